/// Memory that one thread's tokenizer works in: what it remembers of earlier pieces (only ever to be faster), and room
/// for the piece at hand.
///
/// The owner frees it.
struct TokenWorkspace {
    /// Pieces of up to 16 bytes that are no tokens, with what they gave: entries of 48 bytes, bytes of the piece (16),
    /// its length and its number of tokens, and up to 7 tokens.
    let pieces: UnsafeMutableRawPointer
    /// Answers of `mayStandTogether`: the pair plus one, and the answer in the lowest bit.
    let pairs: UnsafeMutablePointer<UInt64>
    /// Which token came at a place of the trie after which others: see `PrefixTokens`.
    let guesses: UnsafeMutablePointer<UInt64>
    /// Where tokens may end in the piece at hand, a bit for each byte.
    let ends: UnsafeMutablePointer<UInt64>
    /// Tokens of the piece at hand.
    let tokens: UnsafeMutablePointer<UInt32>
    /// Of prefixes of the piece at hand.
    let prefixes: UnsafeMutablePointer<UInt64>
    /// Starts of the parts of a piece of up to 8 bytes, and what each merges to with the next.
    let starts: UnsafeMutablePointer<Int>
    let merges: UnsafeMutablePointer<UInt32>
    /// Steps done: about 20 ns each, several times that when nothing is in the caches.
    let steps: UnsafeMutablePointer<Int>

    static let pieceBits: UInt64 = 11
    static let pieceBytes = 48
    static let pieceTokensMax = 7
    static let pairBits: UInt64 = 12
    static let guessBits: UInt64 = 11
    /// Longer pieces are merged by `PrefixTokens` alone.
    static let pieceMax = 1024

    init() {
        let pieces = UnsafeMutableRawPointer.allocate(
            byteCount: Self.pieceBytes << Int(Self.pieceBits), alignment: TokenTableFormat.lineBytes)
        pieces.initializeMemory(as: UInt8.self, repeating: 0, count: Self.pieceBytes << Int(Self.pieceBits))
        self.pieces = pieces
        self.pairs = Self.zeros(1 << Int(Self.pairBits))
        self.guesses = Self.zeros(1 << Int(Self.guessBits))
        self.ends = Self.zeros(Self.pieceMax / 64 + 1)
        self.tokens = Self.zeros(Self.pieceMax)
        self.prefixes = Self.zeros(PrefixTokens.ringCount)
        self.starts = Self.zeros(16)
        self.merges = Self.zeros(16)
        self.steps = Self.zeros(1)
    }

    func free() {
        self.pieces.deallocate()
        self.pairs.deallocate()
        self.guesses.deallocate()
        self.ends.deallocate()
        self.tokens.deallocate()
        self.prefixes.deallocate()
        self.starts.deallocate()
        self.merges.deallocate()
        self.steps.deallocate()
    }

    private static func zeros<Number: FixedWidthInteger>(_ count: Int) -> UnsafeMutablePointer<Number> {
        let numbers = UnsafeMutablePointer<Number>.allocate(capacity: count)
        numbers.initialize(repeating: 0, count: count)
        return numbers
    }
}
