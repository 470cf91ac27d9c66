/// By what an encoding cuts text into pieces that are tokenised apart, as far as the encodings differ. Types, so that
/// each has machine code of its own.
///
/// o200k_base, the alternatives in their order:
///
///     [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
///     [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
///     \p{N}{1,3}
///      ?[^\s\p{L}\p{N}]+[\r\n/]*
///     \s*[\r\n]+
///     \s+(?!\S)
///     \s+
///
/// cl100k_base:
///
///     '(?i:[sdmt]|ll|ve|re)
///     [^\r\n\p{L}\p{N}]?+\p{L}++
///     \p{N}{1,3}+
///      ?[^\s\p{L}\p{N}]++[\r\n]*+
///     \s++$
///     \s*[\r\n]
///     \s+(?!\S)
///     \s
protocol PieceRules {
    /// Of what words consist.
    static var word: UInt8 { get }
    /// A word ends where a capital follows a small letter.
    static var wordsHaveCase: Bool { get }
    /// `'s` belongs to the word in front of it; otherwise it is a piece wherever one begins.
    static var contractionsFollowWords: Bool { get }
    /// Punctuation takes slashes with the line breaks behind it.
    static var slashesFollowPunctuation: Bool { get }
    /// White space at the end of the text is one piece, line breaks or not.
    static var spaceAtEndIsOnePiece: Bool { get }
}

enum O200kRules: PieceRules {
    static var word: UInt8 { CharacterClass.caseless }
    static var wordsHaveCase: Bool { true }
    static var contractionsFollowWords: Bool { true }
    static var slashesFollowPunctuation: Bool { true }
    static var spaceAtEndIsOnePiece: Bool { false }
}

enum Cl100kRules: PieceRules {
    static var word: UInt8 { CharacterClass.letter }
    static var wordsHaveCase: Bool { false }
    static var contractionsFollowWords: Bool { false }
    static var slashesFollowPunctuation: Bool { false }
    static var spaceAtEndIsOnePiece: Bool { true }
}
