/// A JSON document, and the places in which the next one may differ and yet be read in the same way: the chunks
/// of a stream are alike but for a few letters, and what is alike need not be read twice.
struct RepeatedDocument: Sendable {
    /// A value that may be another one.
    struct Hole: Sendable {
        enum Kind: UInt8, Sendable {
            /// Visible text, without its quotes.
            case shown
            /// A string that says nothing to metering, without its quotes.
            case ignored
            /// Digits of the sequence number.
            case sequence
        }

        let kind: Kind
        let start: UInt16
        let end: UInt16
    }

    /// What a document has in the places of the holes.
    struct Values {
        var shown = 0..<0
        var sequence: Int64?
    }

    /// Longer documents would be no small part of the memory of a stream that waits.
    static let bytesMax = 1 << 10
    /// Documents of a second. Where fewer come none is kept: reading them costs little, and there may be
    /// thousands of such streams.
    static let worthwhile = 3
    /// Fewer than an `Int64` can have, so that none overflows.
    private static let digitsMax = 18

    /// Empty: there is none.
    private var bytes: [UInt8] = []
    /// In the order of the bytes.
    private var holes = InlineArray<5, Hole>(repeating: Hole(kind: .ignored, start: 0, end: 0))
    private var holeCount = 0
    private var shownCount = 0
    private var sequenceCount = 0
    /// The text is the event's own `delta`.
    private(set) var textIsDelta = false
    /// Documents since the second began.
    private var count = 0

    /// Another document is read, which may be worth to be kept.
    mutating func begin() {
        self.count += 1
        self.bytes.removeAll(keepingCapacity: true)
        self.holeCount = 0
        self.shownCount = 0
        self.sequenceCount = 0
    }

    /// A string value ended in front of `end`; of one that came in pieces `start` tells nothing.
    @inline(__always)
    mutating func note(_ slot: ReplySlot, isDelta: Bool, _ start: Int, _ end: Int) {
        if slot == .visibleText {
            self.shownCount += 1
            self.textIsDelta = isDelta
            self.add(.shown, start, end)
        } else if slot == .none, self.shownCount > 0 {
            // In front of the text stand names that stay.
            self.add(.ignored, start, end)
        }
    }

    /// A sequence number ended in front of `end`; one that is not whole stays as it is.
    mutating func noteSequence(_ bytes: UnsafeRawBufferPointer, endingAt end: Int, isWhole: Bool) {
        self.sequenceCount += 1
        guard isWhole else { return }
        var start = end
        while start > 0, Self.isDigit(bytes[start - 1]) { start -= 1 }
        self.add(.sequence, start, end)
    }

    private mutating func add(_ kind: Hole.Kind, _ start: Int, _ end: Int) {
        // One place is left to a number behind the text.
        let isRoom = self.holeCount < (kind == .ignored ? self.holes.count - 1 : self.holes.count)
        guard isRoom, start <= end, end <= Self.bytesMax else { return }
        self.holes[self.holeCount] = Hole(kind: kind, start: UInt16(start), end: UInt16(end))
        self.holeCount += 1
    }

    /// The document whose values were noted, whole and read in one piece.
    mutating func keep(_ bytes: UnsafeRawBufferPointer) {
        guard self.count >= Self.worthwhile, self.shownCount == 1, self.sequenceCount <= 1,
            bytes.count <= Self.bytesMax
        else { return }
        self.bytes.append(contentsOf: bytes)
    }

    /// The document came again.
    mutating func countRepeat() { self.count += 1 }

    mutating func secondPassed() {
        if self.count < Self.worthwhile { self.bytes = [] }
        self.count = 0
    }

    // MARK: Another document

    /// What stands in its holes, when it is the kept one but for them; else nil. Texts with escapes have to be
    /// read.
    func values(of other: UnsafeRawBufferPointer) -> Values? {
        guard !self.bytes.isEmpty else { return nil }
        return self.bytes.withUnsafeBytes { kept in
            var values = Values()
            var (from, at) = (0, 0)
            for index in 0..<self.holeCount {
                let hole = self.holes[index]
                guard let start = Self.literalEnd(kept[from..<Int(hole.start)], other, at),
                    let end = Self.take(hole.kind, other, start, &values)
                else { return nil }
                (from, at) = (Int(hole.end), end)
            }
            return Self.literalEnd(kept[from...], other, at) == other.count ? values : nil
        }
    }

    @inline(__always)
    private static func literalEnd(
        _ literal: Slice<UnsafeRawBufferPointer>, _ other: UnsafeRawBufferPointer, _ at: Int
    ) -> Int? {
        let end = at + literal.count
        guard let left = UnsafeRawBufferPointer(rebasing: literal).baseAddress, let right = other.baseAddress,
            end <= other.count, ByteSearch.equal(left, right + at, literal.count)
        else { return nil }
        return end
    }

    /// - Returns: the end of the value that begins here; nil: there is none of its kind.
    @inline(__always)
    private static func take(
        _ kind: Hole.Kind, _ other: UnsafeRawBufferPointer, _ start: Int, _ values: inout Values
    ) -> Int? {
        guard kind != .sequence else { return Self.takeSequence(other, start, &values) }
        let end = ByteSearch.stringStop(other, start)
        guard end < other.count, other[end] == UInt8(ascii: "\"") else { return nil }
        if kind == .shown { values.shown = start..<end }
        return end
    }

    private static func takeSequence(
        _ other: UnsafeRawBufferPointer, _ start: Int, _ values: inout Values
    ) -> Int? {
        var (end, number): (Int, Int64) = (start, 0)
        while end < other.count, end - start < Self.digitsMax, Self.isDigit(other[end]) {
            number = number * 10 + Int64(other[end] - 0x30)
            end += 1
        }
        values.sequence = number
        return end > start ? end : nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }
}
