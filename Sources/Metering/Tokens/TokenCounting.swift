/// Counts a text that comes in parts, cut anywhere, and that may be long: the count is that of the whole text.
///
/// A value of about 600 bytes; 4 KB more while it is inside of a piece of more than half a kilobyte. It may be used with
/// any tokenizer of one encoding, also with different ones in turn.
public struct TokenCounting: Sendable {
    /// Tokens of the pieces that are decided.
    private var tokens = 0
    /// The text from the first piece on that is not.
    private var held = HeldText()
    /// The piece that was found too long to be held. What is held comes behind what it passed.
    private var long: LongPiece?
    /// Bytes that it passed.
    private var longBytes = 0

    /// So much is looked at in place at a time.
    private static let windowBytes = 1024
    private static let longWindowBytes = 256
    /// Added to what is held at first, to find the end of its piece.
    private static let firstFill = 48

    /// Steps for `advance` that take less than 100 µs, see `scripts/tokenizer_check.py`.
    public static let budgetDefault = 256

    public init() {}

    /// Begins a new text, and keeps the memory.
    public mutating func restart() {
        self.tokens = 0
        self.held.removeAll()
        self.long = nil
        self.longBytes = 0
    }

    // MARK: Text

    /// Takes the next part of the text. Takes as long as that is.
    public mutating func feed(_ part: UnsafeBufferPointer<UInt8>, _ tokenizer: Tokenizer) {
        var taken = 0
        while taken < part.count {
            taken += self.advance(UnsafeBufferPointer(rebasing: part[taken...]), budget: .max, tokenizer)
        }
    }

    public mutating func feed(_ part: Span<UInt8>, _ tokenizer: Tokenizer) {
        part.withUnsafeBufferPointer { self.feed($0, tokenizer) }
    }

    public mutating func feed(_ part: [UInt8], _ tokenizer: Tokenizer) {
        part.withUnsafeBufferPointer { self.feed($0, tokenizer) }
    }

    /// Takes a beginning of the next part, until `budget` steps are done.
    /// - Returns: How many bytes were taken, at least one of any. The rest is to come again.
    public mutating func advance(
        _ part: UnsafeBufferPointer<UInt8>, budget: Int = Self.budgetDefault, _ tokenizer: Tokenizer
    ) -> Int {
        switch tokenizer.encoding {
        case .o200kBase: self.advance(O200kRules.self, part, budget, tokenizer)
        case .cl100kBase: self.advance(Cl100kRules.self, part, budget, tokenizer)
        }
    }

    public mutating func advance(
        _ part: Span<UInt8>, budget: Int = Self.budgetDefault, _ tokenizer: Tokenizer
    ) -> Int {
        part.withUnsafeBufferPointer { self.advance($0, budget: budget, tokenizer) }
    }

    /// The text has ended; its number of tokens. Bounded as `advance` is. `restart` comes next, if anything.
    public mutating func finish(_ tokenizer: Tokenizer) -> Int {
        switch tokenizer.encoding {
        case .o200kBase: self.finish(O200kRules.self, tokenizer)
        case .cl100kBase: self.finish(Cl100kRules.self, tokenizer)
        }
        return self.tokens
    }

    /// Tokens of the pieces that are decided, and the bytes of text behind them. Cheap, and not below `countSoFar` by more
    /// than the tokens of these bytes: usually less than 50.
    var decided: (tokens: Int, bytesBehind: Int) { (self.tokens, self.held.count + self.longBytes) }

    /// The number of tokens if the text ended here.
    public func countSoFar(_ tokenizer: Tokenizer) -> Int {
        var copy = self
        return copy.finish(tokenizer)
    }

    private mutating func advance<Rules: PieceRules>(
        _: Rules.Type, _ part: UnsafeBufferPointer<UInt8>, _ budget: Int, _ tokenizer: Tokenizer
    ) -> Int {
        guard let start = part.baseAddress else { return 0 }
        let steps = tokenizer.encoder.space.steps
        steps.pointee = 0
        var at = 0
        repeat {
            // One step at least, so that no progress means no decision.
            let left = max(1, budget - steps.pointee)
            let taken =
                self.passInPlace(Rules.self, start + at, part.count - at, left, tokenizer)
                ?? self.passHeld(Rules.self, start + at, part.count - at, left, tokenizer)
            at += taken
        } while at < part.count && (steps.pointee < budget || at == 0)
        return at
    }

    // MARK: In place

    /// Counts where the text lies, without copying it.
    /// - Returns: bytes taken; nil when nothing is decided this way.
    private mutating func passInPlace<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ count: Int, _ budget: Int, _ tokenizer: Tokenizer
    ) -> Int? {
        guard self.held.isEmpty, count > Self.firstFill + HeldText.padding else { return nil }
        let window = min(self.long == nil ? Self.windowBytes : Self.longWindowBytes, count - HeldText.padding)
        let valid = TextRepair.validPrefix(start, window)
        let span = TextSpan(end: start + valid, isWhole: false)
        var position = start
        if self.long == nil {
            let passed = tokenizer.countPieces(Rules.self, start, span, stepsMax: budget)
            self.tokens += passed.tokens
            position = passed.position
            // A piece longer than the window. One scalar can be cut off at its end.
            if position == start, valid + PieceSplitter.lookahead > Self.windowBytes {
                self.long = LongPiece(Rules.self, &position, tokenizer.encoder, tokenizer.splitter)
            }
        }
        if self.long != nil { position = self.passLong(Rules.self, position, span, tokenizer) }
        return position == start ? nil : position - start
    }

    private mutating func passLong<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ span: TextSpan, _ tokenizer: Tokenizer
    ) -> BytePointer {
        guard let progress = self.long?.pass(Rules.self, start, span, tokenizer.encoder, tokenizer.splitter)
        else {
            return start
        }
        self.longBytes += progress.position - start
        if let tokens = progress.tokens {
            self.tokens += tokens
            self.long = nil
            self.longBytes = 0
        }
        return progress.position
    }

    // MARK: What is held

    /// Appends text to what is held, and counts that as far as it is decided.
    /// - Returns: bytes taken, which is nothing when what was held before was too much.
    private mutating func passHeld<Rules: PieceRules>(
        _: Rules.Type, _ start: BytePointer, _ count: Int, _ budget: Int, _ tokenizer: Tokenizer
    ) -> Int {
        let before = self.held.count
        let isLittle = before > 0 && before < HeldText.countMax / 2
        let filled = self.held.fill(
            start, count, upTo: isLittle ? before + Self.firstFill : HeldText.countMax)
        let used = self.settle(Rules.self, isWhole: false, budget, tokenizer)
        if filled.isCopy, before > 0, used >= before {
            // The next piece begins in this part: back to counting in place.
            self.held.removeAll()
            return used - before
        }
        self.held.drop(used)
        return filled.taken
    }

    /// Counts what is held.
    /// - Returns: bytes counted.
    private mutating func settle<Rules: PieceRules>(
        _: Rules.Type, isWhole: Bool, _ budget: Int, _ tokenizer: Tokenizer
    ) -> Int {
        let held = self.held
        let used = held.withBytes { start in
            let span = TextSpan(end: start + held.count, isWhole: isWhole)
            var position = start
            if self.long != nil { position = self.passLong(Rules.self, position, span, tokenizer) }
            if self.long == nil {
                let passed = tokenizer.countPieces(Rules.self, position, span, stepsMax: budget)
                self.tokens += passed.tokens
                position = passed.position
                if position == start, !isWhole, held.isFull {
                    self.long = LongPiece(Rules.self, &position, tokenizer.encoder, tokenizer.splitter)
                    position = self.passLong(Rules.self, position, span, tokenizer)
                }
            }
            return position - start
        }
        return used ?? 0
    }

    private mutating func finish<Rules: PieceRules>(_: Rules.Type, _ tokenizer: Tokenizer) {
        self.held.end()
        _ = self.settle(Rules.self, isWhole: true, .max, tokenizer)
        self.held.removeAll()
    }
}
