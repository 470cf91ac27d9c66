/// The texts of a request that the model reads as they are, as JSON strings in the body, in order. What a template makes
/// something else of (names, tools, schemas, media) is none of them.
public struct RequestTexts: Sendable, Equatable {
    struct Text: Sendable, Equatable {
        /// Between the quotes.
        var range: Range<Int>
        var isEscaped: Bool
    }

    private(set) var all: [Text] = []
    /// Of all, as they stand in the body.
    private(set) var bodyBytes = 0

    /// More text than this is left to the bound by its bytes. 2 MiB are half a million tokens of prose, more than most
    /// models read, and what is longer is bounded by the model's context anyway; to count them takes a loop 25 ms, in
    /// some 500 slices, about as long as to relay them.
    static let bodyBytesMax = 2 << 20
    /// So many small ones cost more to keep than they could save.
    static let countMax = 4096

    mutating func note(_ range: Range<Int>, isEscaped: Bool) {
        guard !range.isEmpty, self.all.count < Self.countMax,
            range.count <= Self.bodyBytesMax - self.bodyBytes
        else { return }
        self.all.append(Text(range: range, isEscaped: isEscaped))
        self.bodyBytes += range.count
    }
}
