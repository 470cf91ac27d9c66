/// Counts the tokens of every prefix of a piece, byte by byte, however long it gets.
///
/// Of all tokens that a prefix ends with exactly one may follow the last token of what is in front of it, and that is
/// the last token of the prefix. So what is remembered of earlier prefixes is their last token and their count, and
/// no more of them than the longest token has bytes. The time for a byte is bounded by the tokens that end there.
struct PrefixTokens: Sendable {
    /// Bytes so far.
    private(set) var bytes = 0
    /// In the trie of the table, the longest suffix of the bytes so far.
    private var place: UInt32 = 0
    /// The last tokens of the two last prefixes.
    private var last: UInt32 = 0
    private var beforeLast: UInt32 = 0

    /// Prefixes that are remembered: a power of two above the length of the longest token.
    static let ringCount = 256
    static let ringMask = ringCount - 1

    /// What is remembered of a prefix: its count above the bits of its last token.
    @inline(__always)
    static func lastToken(_ prefix: UInt64) -> UInt32 {
        UInt32(truncatingIfNeeded: prefix & TokenTableFormat.tokenMask)
    }

    /// Tokens of the bytes so far.
    /// - Parameter mask: of places in `prefixes`: of a ring, or all ones for an array of all prefixes.
    @inline(__always)
    func count(_ prefixes: UnsafeMutablePointer<UInt64>, mask: Int) -> Int {
        self.bytes == 0
            ? 0 : Int(truncatingIfNeeded: prefixes[self.bytes & mask] >> TokenTableFormat.tokenBits)
    }

    /// Takes the next byte.
    @inline(__always)
    mutating func push(
        _ byte: UInt8, _ encoder: PieceEncoder, _ prefixes: UnsafeMutablePointer<UInt64>, mask: Int
    ) {
        let table = encoder.table
        self.place = table.follow(self.place, byte)
        self.bytes &+= 1
        // What came here last time after the same tokens is tried first; being the only one that fits, it needs no
        // other proof. The place is part of the key in full: its tokens are what the bytes end with.
        let history = UInt64(self.last) &* 0x9e37_79b9 ^ UInt64(self.beforeLast) &* 0x85eb_ca6b
        let key = UInt64(self.place) << 23 | history & 0x7f_ffff
        let slot = Int(
            truncatingIfNeeded: (key &* 0x9e37_79b9_7f4a_7c15) >> (64 - TokenWorkspace.guessBits))
        let guess = encoder.space.guesses[slot]
        var token = Self.lastToken(guess)
        var count =
            guess >> TokenTableFormat.tokenBits == key
            ? self.countEnding(token, encoder, prefixes, mask) : nil
        if count == nil {
            token = self.search(encoder, prefixes, mask)
            count = self.countBefore(token, table, prefixes, mask) &+ 1
            encoder.space.guesses[slot] = key << TokenTableFormat.tokenBits | UInt64(token)
        }
        let found = UInt64(truncatingIfNeeded: count ?? 1)
        prefixes[self.bytes & mask] = found << TokenTableFormat.tokenBits | UInt64(token)
        self.beforeLast = self.last
        self.last = token
        encoder.space.steps.pointee &+= 1
    }

    /// The last token of the bytes so far: of those they end with, longest first, the one that fits.
    @inline(__always)
    private func search(
        _ encoder: PieceEncoder, _ prefixes: UnsafeMutablePointer<UInt64>, _ mask: Int
    ) -> UInt32 {
        var token = TokenSections.Unit.token(encoder.table.trie[Int(self.place)])
        while self.countEnding(token, encoder, prefixes, mask) == nil {
            encoder.space.steps.pointee &+= 1
            let suffix = encoder.table.suffixes[Int(token)]
            // One does fit. The single byte ends the search in any table.
            if suffix == 0 { break }
            token = suffix &- 1
        }
        return token
    }

    /// The count of the bytes so far if this is their last token; nil when it cannot be.
    @inline(__always)
    private func countEnding(
        _ token: UInt32, _ encoder: PieceEncoder, _ prefixes: UnsafeMutablePointer<UInt64>, _ mask: Int
    ) -> Int? {
        let start = self.bytes &- encoder.table.length(token)
        if start == 0 { return 1 }
        let before = prefixes[start & mask]
        guard encoder.mayStandTogether(Self.lastToken(before), token) else { return nil }
        return Int(truncatingIfNeeded: before >> TokenTableFormat.tokenBits) &+ 1
    }

    /// The count of what is in front of the last token.
    @inline(__always)
    private func countBefore(
        _ token: UInt32, _ table: TokenSections, _ prefixes: UnsafeMutablePointer<UInt64>, _ mask: Int
    ) -> Int {
        let start = self.bytes &- table.length(token)
        return start == 0
            ? 0 : Int(truncatingIfNeeded: prefixes[start & mask] >> TokenTableFormat.tokenBits)
    }
}
