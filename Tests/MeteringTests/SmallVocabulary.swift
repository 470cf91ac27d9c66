@testable import Metering

/// A vocabulary of a few random merges, and the definition of what it makes of a piece.
struct SmallVocabulary {
    private(set) var tokens: [[UInt8]] = (UInt8.min...UInt8.max).map { [$0] }
    private var ids: [[UInt8]: UInt32]

    /// - Parameter alphabet: merges are of its bytes, and of what they were merged to.
    init(seed: UInt64, alphabet: String, merges: Int) {
        var random = SeededRandom(seed)
        self.ids = Dictionary(uniqueKeysWithValues: self.tokens.enumerated().map { ($1, UInt32($0)) })
        var parts = Set(alphabet.utf8).sorted().map { [$0] }
        for _ in 0..<merges * 8 where self.tokens.count < 256 + merges {
            guard let left = parts.randomElement(using: &random),
                let right = parts.randomElement(using: &random),
                left.count + right.count <= 100, self.ids[left + right] == nil
            else { continue }
            let token = left + right
            // Only what merging by rank makes.
            guard self.merged(token).count == 2, self.merged(token).first == left else { continue }
            self.ids[token] = UInt32(self.tokens.count)
            self.tokens.append(token)
            parts.append(token)
        }
    }

    var tiktoken: [UInt8] { Self.tiktoken(self.tokens) }

    static func tiktoken(_ tokens: [[UInt8]]) -> [UInt8] {
        tokens.enumerated().flatMap { Array("\(self.base64($1)) \($0)\n".utf8) }
    }

    func table(_ encoding: TokenEncoding) throws -> TokenTable {
        try TokenTable(copying: TokenTableBuilder.build(encoding, vocabulary: self.tiktoken))
    }

    /// The definition: the pair with the lowest rank, the first of these, until none is left.
    func merged(_ piece: [UInt8]) -> [[UInt8]] {
        var parts = piece.map { [$0] }
        while true {
            var best: (rank: UInt32, place: Int)?
            for place in parts.indices.dropLast() {
                guard let rank = self.ids[parts[place] + parts[place + 1]] else { continue }
                if rank < best?.rank ?? .max { best = (rank, place) }
            }
            guard let best else { return parts }
            parts[best.place] += parts.remove(at: best.place + 1)
        }
    }

    func ids(_ piece: [UInt8]) -> [UInt32] { self.merged(piece).compactMap { self.ids[$0] } }

    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = (Array(group) + [0, 0]).prefix(3).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            for index in 0..<4 {
                text.append(index <= group.count ? digits[Int(bits >> (18 - 6 * UInt32(index)) & 63)] : "=")
            }
        }
        return text
    }
}

/// The same numbers on every machine.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) { self.state = seed &+ 0x9e37_79b9_7f4a_7c15 }

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

extension Tokenizer {
    /// The pieces of a text.
    func pieces(_ text: String) -> [String] {
        self.pieces(Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
    }

    func pieces(_ text: [UInt8]) -> [[UInt8]] {
        let padded = text + [UInt8](repeating: 0, count: HeldText.padding)
        return padded.withUnsafeBufferPointer { padded in
            guard let start = padded.baseAddress else { return [] }
            let span = TextSpan(end: start + text.count, isWhole: true)
            var pieces: [[UInt8]] = []
            var at = start
            while at < span.end {
                let end =
                    switch self.encoding {
                    case .o200kBase: self.splitter.pieceEnd(O200kRules.self, at, span)
                    case .cl100kBase: self.splitter.pieceEnd(Cl100kRules.self, at, span)
                    }
                pieces.append(Array(UnsafeBufferPointer(start: at, count: end - at)))
                at = end
            }
            return pieces
        }
    }
}
