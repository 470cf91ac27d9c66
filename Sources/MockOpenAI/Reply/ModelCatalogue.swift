import NIOCore

/// The models the mock knows. A name that ends in `*` stands for every name with that prefix.
struct ModelCatalogue: Sendable {
    struct Model: Sendable {
        /// Name in replies: the dated snapshot that an alias stands for, as OpenAI answers; nil: as
        /// requested.
        let served: [UInt8]?
        let reasons: Bool
        /// The o-series refuses `max_tokens`.
        let isOSeries: Bool
        /// Long prompts are written to a cache that has a price.
        let writesCache: Bool
        /// Searches the web whether told to or not.
        let searchesWeb: Bool
    }

    private let byHash: [UInt64: (name: [UInt8], model: Model)]
    private let prefixes: [[UInt8]]
    /// Names without wildcard, for `GET /v1/models`.
    let listed: [String]

    static let snapshots: [String: String] = [
        "gpt-4o": "gpt-4o-2024-08-06", "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
        "gpt-4.1": "gpt-4.1-2025-04-14", "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
        "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14", "gpt-5": "gpt-5-2025-08-07",
        "gpt-5-mini": "gpt-5-mini-2025-08-07", "gpt-5-nano": "gpt-5-nano-2025-08-07",
        "gpt-5.4": "gpt-5.4-2026-03-05", "o1": "o1-2024-12-17", "o3": "o3-2025-04-16",
        "o3-mini": "o3-mini-2025-01-31", "o4-mini": "o4-mini-2025-04-16",
    ]

    /// Every chat model of OpenAI's price list of 2026-11, all later members of the newest families, and
    /// models of the other endpoints.
    static let standard: [String] =
        snapshots.map { [$0.key, $0.value] }.flatMap { $0 }.sorted() + [
            "gpt-3.5-turbo", "gpt-4", "gpt-4-turbo", "gpt-4o-2024-05-13", "gpt-4o-2024-11-20",
            "gpt-5-chat-latest", "gpt-5.1", "gpt-5.2", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5", "gpt-5.6",
            "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-6-astra", "gpt-6-sol", "gpt-6-luna",
            "gpt-6.1-sol", "gpt-6.1-terra", "gpt-5.1-*", "gpt-5.2-*", "gpt-5.3-*", "gpt-5.4*", "gpt-5.5*",
            "gpt-5.6*",
            "gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct-0914", "text-embedding-3-small",
            "text-embedding-3-large", "text-embedding-ada-002", "omni-moderation-latest", "gpt-audio",
            "gpt-audio-1.5", "gpt-audio-mini", "gpt-4o-search-preview", "gpt-4o-mini-search-preview",
            "gpt-5-search-api", "gpt-image-*", "tts-1", "tts-1-hd", "gpt-4o-mini-tts*", "whisper-1",
            "gpt-4o-transcribe*", "gpt-4o-mini-transcribe*", "gpt-transcribe",
        ]

    init(names: [String], echo: Bool) {
        var table: [UInt64: (name: [UInt8], model: Model)] = [:]
        for name in names where !name.hasSuffix("*") {
            let bytes = Array(name.utf8)
            let served = echo ? nil : Self.snapshots[name].map { Array($0.utf8) }
            table[ReplySeed.fnv(bytes)] = (bytes, Self.traits(bytes, served: served))
        }
        byHash = table
        prefixes = names.filter { $0.hasSuffix("*") }.map { Array($0.utf8.dropLast()) }
        listed = names.filter { !$0.hasSuffix("*") }
    }

    /// The model of that name (raw JSON string contents), or nil. `ft:BASE:…` is known when BASE is.
    func model(_ name: ByteBuffer) -> Model? {
        let view = name.readableBytesView
        if let entry = byHash[ReplySeed.fnv(view)], view.elementsEqual(entry.name) { return entry.model }
        if prefixes.contains(where: { view.starts(with: $0) }) {
            return Self.traits(Array(view), served: nil)
        }
        guard view.starts(with: "ft:".utf8) else { return nil }
        let base = view.dropFirst(3).prefix { $0 != UInt8(ascii: ":") }
        guard let entry = byHash[ReplySeed.fnv(base)], base.elementsEqual(entry.name) else { return nil }
        return Self.traits(entry.name, served: nil)
    }

    private static func traits(_ name: [UInt8], served: [UInt8]?) -> Model {
        let isOSeries =
            name.count >= 2 && name[0] == UInt8(ascii: "o") && (0x31...0x39).contains(name[1])
        let isGPT5 = name.starts(with: "gpt-5".utf8) && !name.starts(with: "gpt-5-chat".utf8)
        let text = String(decoding: name, as: UTF8.self)
        return Model(
            served: served, reasons: (isOSeries || isGPT5) && !text.contains("-search-"),
            isOSeries: isOSeries,
            writesCache: text.hasPrefix("gpt-5.6") || text.hasPrefix("gpt-6"),
            searchesWeb: text.contains("-search-"))
    }
}
