/// How the mock answers one request: the process-wide defaults, overridden by directives in the request
/// (`[[mock tokens=20 fault=cut]]` anywhere in the body, or the header `X-Mock: tokens=20; fault=cut`).
public struct Behaviour: Sendable {
    /// Visible tokens per choice; nil: 8…71, from the hash of the messages.
    public var tokens: Int?
    /// Milliseconds before the first reply byte.
    public var firstTokenMilliseconds = 0
    /// Deltas per second and stream, all choices together; 0: at once.
    public var tokensPerSecond = 0.0
    /// Forced `prompt_tokens`.
    public var prompt: Int?
    /// Forced `cached_tokens`, at most `prompt_tokens`.
    public var cached: Int?
    /// Forced `reasoning_tokens` per choice, for any model.
    public var reasoning: Int?
    /// Service tier that the reply claims; nil: the requested one, `auto` and none as `default`.
    public var tier: String?
    /// Deltas before a mid-stream fault strikes; nil: half of them.
    public var after: Int?
    /// Pause between two pieces of `slow_body`, in milliseconds.
    public var gapMilliseconds = 10
    /// Text that looks like SSE and usage, with escapes and multi-byte characters.
    public var nastyText = false
    /// Fixed id, `created` and request fingerprint: equal requests get byte-equal bodies.
    public var fixedIdentity = false
    public var faults: Faults = []
    /// Forced tokens written to the prompt cache.
    public var cacheWrite: Int?
    /// Forced audio tokens: of the input, and of each choice.
    public var inputAudio: Int?
    public var outputAudio: Int?
    /// Forced tokens of a prediction, all choices together.
    public var accepted: Int?
    public var rejected: Int?
    /// Calls of hosted tools that a response wants to make, before `max_tool_calls`; nil: 1…3.
    public var calls: Int?
    /// How many of its web searches only open a page, which is not billed; nil: every third.
    public var opens: Int?
    /// Whether a response says in `tool_usage` what searches are billed.
    public var tellsToolUsage = true
    /// How a response ends.
    public var status = ResponseStatus.completed

    public enum ResponseStatus: String, Sendable { case completed, incomplete, failed }

    public init() {}

    /// A directive that the mock does not know; it answers 400 rather than silently not doing what a test
    /// wants.
    public struct BadDirective: Error, Equatable {
        public let key: String
    }

    /// Keys and meanings, for `--help`.
    public static let keys: [(key: String, meaning: String)] = [
        ("tokens=N", "reply length: visible tokens (= content deltas) per choice"),
        ("ttft_ms=N", "milliseconds before the first reply byte"),
        ("tps=X", "deltas per second of a stream, 0.001…1000000; 0 = at once"),
        ("prompt=N", "force prompt_tokens"),
        ("cached=N", "force cached_tokens"),
        ("reasoning=N", "force reasoning_tokens per choice"),
        ("tier=T", "service_tier the reply claims"),
        ("after=N", "deltas before cut, cut_rst, stall, error_frame, malformed, big (default: half)"),
        ("gap_ms=N", "pause between the pieces of slow_body"),
        ("text=nasty", "text with escapes, emoji, and pieces that look like SSE and usage"),
        ("fixed=1", "constant id and created: equal requests give byte-equal bodies"),
        ("cache_write=N", "force cache_write_tokens"),
        ("audio_in=N", "force audio tokens of the input"),
        ("audio_out=N", "force audio tokens of each choice"),
        ("accepted=N", "force accepted_prediction_tokens"),
        ("rejected=N", "force rejected_prediction_tokens"),
        ("calls=N", "calls of hosted tools, before max_tool_calls (default: 1 to 3)"),
        ("opens=N", "web searches that open a page and are not billed (default: every third)"),
        ("tool_usage=0", "a response without tool_usage"),
        ("status=S", "how a response ends: completed, incomplete, failed"),
        ("fault=F[,F…]", "see below"),
    ]

    /// Applies `key=value` words separated by blanks or semicolons.
    public mutating func apply(_ text: some Collection<UInt8>) throws(BadDirective) {
        let separators: [UInt8] = [0x20, 0x3B, 0x09]
        for word in text.split(whereSeparator: { separators.contains($0) }) {
            let parts = word.split(
                separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(decoding: parts[0], as: UTF8.self)
            guard parts.count == 2 else { throw BadDirective(key: Self.printable(key)) }
            try apply(key, String(decoding: parts[1], as: UTF8.self))
        }
    }

    private mutating func apply(_ key: String, _ value: String) throws(BadDirective) {
        switch key {
        case "tokens": tokens = try Self.count(key, value)
        case "ttft_ms": firstTokenMilliseconds = try Self.count(key, value)
        case "tps":
            guard let rate = Double(value), rate == 0 || (0.001...1_000_000).contains(rate) else {
                throw BadDirective(key: key)
            }
            tokensPerSecond = rate
        case "prompt": prompt = try Self.count(key, value, max: 2_000_000_000)
        case "cached": cached = try Self.count(key, value, max: 2_000_000_000)
        case "reasoning": reasoning = try Self.count(key, value)
        case "tier":
            guard !value.isEmpty,
                value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C })
            else { throw BadDirective(key: key) }
            tier = value
        case "after": after = try Self.count(key, value)
        case "gap_ms": gapMilliseconds = try Self.count(key, value)
        case "cache_write": cacheWrite = try Self.count(key, value, max: 2_000_000_000)
        case "audio_in": inputAudio = try Self.count(key, value)
        case "audio_out": outputAudio = try Self.count(key, value)
        case "accepted": accepted = try Self.count(key, value)
        case "rejected": rejected = try Self.count(key, value)
        case "calls": calls = try Self.count(key, value, max: 128)
        case "opens": opens = try Self.count(key, value, max: 128)
        case "tool_usage": tellsToolUsage = value != "0"
        case "status":
            guard let known = ResponseStatus(rawValue: value) else { throw BadDirective(key: key) }
            status = known
        case "text": nastyText = value == "nasty"
        case "fixed": fixedIdentity = value == "1"
        case "fault":
            for name in value.split(separator: ",") where name != "none" {
                guard let fault = Faults(word: String(name)) else {
                    throw BadDirective(key: "fault=" + Self.printable(String(name)))
                }
                faults.insert(fault)
            }
        default: throw BadDirective(key: Self.printable(key))
        }
    }

    private static func count(
        _ key: String, _ value: String, max: Int = 1_000_000
    ) throws(BadDirective) -> Int {
        guard let number = Int(value), (0...max).contains(number) else { throw BadDirective(key: key) }
        return number
    }

    /// The key goes into a JSON error text, so only harmless characters of it do.
    private static func printable(_ key: String) -> String {
        let kept = key.utf8.prefix(40).filter { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C }
        return String(decoding: kept, as: UTF8.self)
    }
}
