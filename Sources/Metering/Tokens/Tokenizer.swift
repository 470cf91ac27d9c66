/// Counts and encodes texts with a table. Has memory of its own to work in, about 170 KB, and is not Sendable: each
/// thread or event loop makes one and keeps it. The table is shared by all.
///
/// Texts are bytes; where they are no UTF-8 they are read with U+FFFD in place of what is wrong, as by Python's
/// `bytes.decode("utf-8", errors="replace")`.
public final class Tokenizer {
    public let table: TokenTable
    let encoder: PieceEncoder
    let splitter: PieceSplitter
    private var counting: TokenCounting

    public init(_ table: TokenTable) {
        self.table = table
        self.encoder = PieceEncoder(table: table.sections, space: TokenWorkspace())
        self.splitter = PieceSplitter(table.sections)
        self.counting = TokenCounting()
    }

    deinit { self.encoder.space.free() }

    public var encoding: TokenEncoding { self.table.encoding }

    // MARK: Counting

    /// The number of tokens of a whole text. Takes as long as the text is: see `TokenCounting.advance` for slices.
    public func count(_ text: UnsafeBufferPointer<UInt8>) -> Int {
        self.counting.restart()
        self.counting.feed(text, self)
        return self.counting.finish(self)
    }

    public func count(_ text: Span<UInt8>) -> Int { text.withUnsafeBufferPointer { self.count($0) } }

    public func count(_ text: [UInt8]) -> Int { text.withUnsafeBufferPointer { self.count($0) } }

    public func count(_ text: String) -> Int {
        var text = text
        return text.withUTF8 { self.count($0) }
    }

    // MARK: Encoding

    /// The ids of a whole text.
    public func encode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt32] {
        var padded = TextRepair.repaired(text)
        let count = padded.count
        padded += repeatElement(0, count: HeldText.padding)
        return [UInt32](unsafeUninitializedCapacity: count) { ids, written in
            guard let output = ids.baseAddress else { return }
            written = padded.withUnsafeBufferPointer { text in
                guard let start = text.baseAddress else { return 0 }
                let span = TextSpan(end: start + count, isWhole: true)
                return switch self.encoding {
                case .o200kBase: self.encode(O200kRules.self, start, span, output)
                case .cl100kBase: self.encode(Cl100kRules.self, start, span, output)
                }
            }
        }
    }

    public func encode(_ text: Span<UInt8>) -> [UInt32] { text.withUnsafeBufferPointer { self.encode($0) } }

    public func encode(_ text: [UInt8]) -> [UInt32] { text.withUnsafeBufferPointer { self.encode($0) } }

    public func encode(_ text: String) -> [UInt32] {
        var text = text
        return text.withUTF8 { self.encode($0) }
    }

    private func encode<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan, _ output: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let encoder = self.encoder
        let splitter = self.splitter
        var at = start
        var tokens = 0
        var (low, high): (UInt64, UInt64) = (0, 0)
        while at < span.end {
            let end = splitter.pieceEnd(Rules.self, at, span)
            let count = end - at
            let token = encoder.wholeToken(at, count, &low, &high)
            if token != TokenTableFormat.none {
                output[tokens] = token
                tokens &+= 1
            } else if count <= TokenWorkspace.pieceMax {
                tokens &+= encoder.merge(at, count, low, high, output + tokens)
            } else {
                tokens &+= encoder.mergePrefixes(at, count, output + tokens)
            }
            at = end
        }
        return tokens
    }

    // MARK: Pieces

    /// Where counting stopped, and the tokens in front of it.
    struct Passed {
        var position: BytePointer
        var tokens: Int
    }

    /// Counts the pieces that are decided, until so many steps are done.
    @inline(never)
    func countPieces<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan, stepsMax: Int
    ) -> Passed {
        let encoder = self.encoder
        let splitter = self.splitter
        let limit = span.isWhole ? span.end : span.end - PieceSplitter.lookahead
        var at = start
        var tokens = 0
        var steps = 0
        var (low, high): (UInt64, UInt64) = (0, 0)
        while at < limit, steps < stepsMax {
            let end = splitter.pieceEnd(Rules.self, at, span)
            if end > limit { break }
            if encoder.wholeToken(at, end - at, &low, &high) != TokenTableFormat.none {
                tokens &+= 1
                steps &+= 1
            } else {
                let merged = encoder.merge(at, end - at, low, high, encoder.space.tokens)
                tokens &+= merged
                steps &+= merged &+ 1
            }
            at = end
        }
        encoder.space.steps.pointee &+= steps
        return Passed(position: at, tokens: tokens)
    }
}
