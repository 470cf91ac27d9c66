/// Where a JSON document breaks RFC 8259, or our bounds.
struct JSONFault: Error, Equatable {
    enum Reason: String {
        case empty = "the body is empty"
        case unexpected = "unexpected character"
        case truncated = "the document ends too early"
        case trailing = "there is something behind the document"
        case depth = "nested deeper than 512"
        case control = "control character in a string"
        case escape = "bad escape in a string"
        case utf8 = "not UTF-8"
        case number = "bad number"
        case duplicateKey = "duplicate key"
    }

    var reason: Reason
    /// Byte in the document.
    var offset: Int
}

/// What a walk over a document tells. Ranges are the raw bytes; of strings those between the quotes.
protocol JSONVisitor {
    associatedtype Rejection: Error
    mutating func key(_ range: Range<Int>, escaped: Bool)
    mutating func string(_ range: Range<Int>, escaped: Bool) throws(Rejection)
    mutating func number(_ range: Range<Int>) throws(Rejection)
    mutating func bool(_ value: Bool, at offset: Int) throws(Rejection)
    mutating func null(at offset: Int) throws(Rejection)
    /// `offset` is that of the opening bracket.
    mutating func beginObject(at offset: Int) throws(Rejection)
    mutating func beginArray(at offset: Int) throws(Rejection)
    /// `offset` is that of the closing bracket.
    mutating func endContainer(at offset: Int) throws(Rejection)
}

/// One strict pass over a whole JSON document, without recursion: the depth is bounded and costs no stack.
struct JSONWalker {
    /// Why a walk stopped early: the document is bad, or the visitor refused.
    enum Ending<Rejection: Error>: Error {
        case fault(JSONFault)
        case rejected(Rejection)
    }

    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var nesting = Nesting()
    /// The innermost container has no item yet.
    private var isFirst = false
    private var keys = DuplicateKeys()

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func walk<Visitor: JSONVisitor>(_ visitor: inout Visitor) throws(Ending<Visitor.Rejection>) {
        self.skipBlanks()
        guard self.at < self.bytes.count else { throw .fault(self.fault(.empty)) }
        try self.value(&visitor)
        while self.nesting.depth > 0 {
            if self.nesting.isInObject {
                try self.nextMember(&visitor)
            } else {
                try self.nextElement(&visitor)
            }
        }
        self.skipBlanks()
        guard self.at == self.bytes.count else { throw .fault(self.fault(.trailing)) }
    }

    private func fault(_ reason: JSONFault.Reason) -> JSONFault {
        JSONFault(
            reason: self.at >= self.bytes.count && reason == .unexpected ? .truncated : reason,
            offset: self.at)
    }

    // MARK: Structure

    /// After an opening brace or a member: the next member, or the end.
    private mutating func nextMember<Visitor: JSONVisitor>(
        _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) {
        guard try self.continues(closing: UInt8(ascii: "}"), &visitor) else { return }
        guard self.at < self.bytes.count, self.bytes[self.at] == UInt8(ascii: "\"") else {
            throw .fault(self.fault(.unexpected))
        }
        let start = self.at
        let (range, escaped) = try self.scanString(Visitor.Rejection.self)
        guard self.keys.insert(self.bytes, range, escaped: escaped) else {
            visitor.key(range, escaped: escaped)
            throw .fault(JSONFault(reason: .duplicateKey, offset: start))
        }
        visitor.key(range, escaped: escaped)
        self.skipBlanks()
        guard self.at < self.bytes.count, self.bytes[self.at] == UInt8(ascii: ":") else {
            throw .fault(self.fault(.unexpected))
        }
        self.at += 1
        self.skipBlanks()
        try self.value(&visitor)
    }

    private mutating func nextElement<Visitor: JSONVisitor>(
        _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) {
        guard try self.continues(closing: UInt8(ascii: "]"), &visitor) else { return }
        try self.value(&visitor)
    }

    /// Handles the comma or the closing bracket; whether another item follows.
    private mutating func continues<Visitor: JSONVisitor>(
        closing: UInt8, _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) -> Bool {
        let isFirst = self.isFirst
        self.isFirst = false
        self.skipBlanks()
        guard self.at < self.bytes.count else { throw .fault(self.fault(.truncated)) }
        if self.bytes[self.at] == closing {
            let offset = self.at
            self.at += 1
            if self.nesting.isInObject { self.keys.endObject() }
            self.nesting.close()
            do { try visitor.endContainer(at: offset) } catch { throw .rejected(error) }
            return false
        }
        if !isFirst {
            guard self.bytes[self.at] == UInt8(ascii: ",") else { throw .fault(self.fault(.unexpected)) }
            self.at += 1
            self.skipBlanks()
        }
        return true
    }

    private mutating func value<Visitor: JSONVisitor>(
        _ visitor: inout Visitor
    ) throws(Ending<Visitor.Rejection>) {
        guard self.at < self.bytes.count else { throw .fault(self.fault(.truncated)) }
        let start = self.at
        switch self.bytes[start] {
        case UInt8(ascii: "\""):
            let (range, escaped) = try self.scanString(Visitor.Rejection.self)
            do { try visitor.string(range, escaped: escaped) } catch { throw .rejected(error) }
        case UInt8(ascii: "{"):
            try self.open(isObject: true, Visitor.Rejection.self)
            do { try visitor.beginObject(at: start) } catch { throw .rejected(error) }
        case UInt8(ascii: "["):
            try self.open(isObject: false, Visitor.Rejection.self)
            do { try visitor.beginArray(at: start) } catch { throw .rejected(error) }
        case UInt8(ascii: "t"):
            try self.literal("true", Visitor.Rejection.self)
            do { try visitor.bool(true, at: start) } catch { throw .rejected(error) }
        case UInt8(ascii: "f"):
            try self.literal("false", Visitor.Rejection.self)
            do { try visitor.bool(false, at: start) } catch { throw .rejected(error) }
        case UInt8(ascii: "n"):
            try self.literal("null", Visitor.Rejection.self)
            do { try visitor.null(at: start) } catch { throw .rejected(error) }
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let range = try self.scanNumber(Visitor.Rejection.self)
            do { try visitor.number(range) } catch { throw .rejected(error) }
        default:
            throw .fault(self.fault(.unexpected))
        }
    }

    private mutating func open<R: Error>(isObject: Bool, _: R.Type) throws(Ending<R>) {
        guard self.nesting.open(isObject: isObject) else { throw .fault(self.fault(.depth)) }
        if isObject { self.keys.beginObject() }
        self.at += 1
        self.isFirst = true
    }

    @inline(__always)
    private mutating func skipBlanks() {
        while self.at < self.bytes.count {
            switch self.bytes[self.at] {
            case 0x20, 0x09, 0x0a, 0x0d: self.at += 1
            default: return
            }
        }
    }

    // MARK: Scalars

    private mutating func literal<R: Error>(_ text: StaticString, _: R.Type) throws(Ending<R>) {
        for index in 0..<text.utf8CodeUnitCount {
            guard self.at < self.bytes.count, self.bytes[self.at] == text.utf8Start[index] else {
                throw .fault(self.fault(.unexpected))
            }
            self.at += 1
        }
    }

    private mutating func scanNumber<R: Error>(_: R.Type) throws(Ending<R>) -> Range<Int> {
        let start = self.at
        func digits(_ at: inout Int) -> Int {
            let from = at
            while at < self.bytes.count, self.bytes[at] &- 0x30 <= 9 { at += 1 }
            return at - from
        }
        var at = start
        if self.bytes[at] == UInt8(ascii: "-") { at += 1 }
        let leadsWithZero = at < self.bytes.count && self.bytes[at] == 0x30
        let whole = digits(&at)
        var isGood = whole == 1 || (whole > 1 && !leadsWithZero)
        if at < self.bytes.count, self.bytes[at] == UInt8(ascii: ".") {
            at += 1
            isGood = digits(&at) > 0 && isGood
        }
        if at < self.bytes.count, self.bytes[at] | 0x20 == UInt8(ascii: "e") {
            at += 1
            if at < self.bytes.count, self.bytes[at] == 0x2b || self.bytes[at] == 0x2d { at += 1 }
            isGood = digits(&at) > 0 && isGood
        }
        guard isGood else { throw .fault(self.fault(.number)) }
        self.at = at
        return start..<at
    }

    /// At the opening quote; leaves `at` behind the closing one.
    private mutating func scanString<R: Error>(_: R.Type) throws(Ending<R>) -> (Range<Int>, Bool) {
        let start = self.at + 1
        var at = start
        var escaped = false
        let count = self.bytes.count
        while true {
            at = ByteSearch.asciiStringStop(self.bytes, at)
            guard at < count else { break }
            let byte = self.bytes[at]
            if byte == UInt8(ascii: "\"") {
                self.at = at + 1
                return (start..<at, escaped)
            }
            let next: Int?
            if byte == UInt8(ascii: "\\") {
                escaped = true
                next = JSONText.escapeEnd(self.bytes, at)
            } else {
                next = byte < 0x20 ? nil : JSONText.sequencesEnd(self.bytes, at)
            }
            guard let next else {
                self.at = at
                let reason: JSONFault.Reason = byte < 0x20 ? .control : byte < 0x80 ? .escape : .utf8
                throw .fault(JSONFault(reason: reason, offset: at))
            }
            at = next
        }
        self.at = count
        throw .fault(self.fault(.truncated))
    }
}
