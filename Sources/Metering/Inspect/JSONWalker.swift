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
    static let depthMax = 512

    private let bytes: UnsafeRawBufferPointer
    private var at = 0
    private var frames: [Frame] = []
    private var keys = DuplicateKeys()
    /// A visitor's refusal; the walk stops and hands it over.
    enum Ending<Rejection: Error>: Error {
        case fault(JSONFault)
        case rejected(Rejection)
    }

    private enum Frame { case object, array }

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func walk<Visitor: JSONVisitor>(_ visitor: inout Visitor) throws(Ending<Visitor.Rejection>) {
        self.skipBlanks()
        guard self.at < self.bytes.count else { throw .fault(self.fault(.empty)) }
        try self.value(&visitor)
        while let frame = self.frames.last {
            switch frame {
            case .object: try self.nextMember(&visitor)
            case .array: try self.nextElement(&visitor)
            }
        }
        self.skipBlanks()
        guard self.at == self.bytes.count else { throw .fault(self.fault(.trailing)) }
    }

    private func fault(_ reason: JSONFault.Reason) -> JSONFault {
        JSONFault(reason: self.at >= self.bytes.count && reason == .unexpected ? .truncated : reason, offset: self.at)
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
            if self.frames.popLast() == .object { self.keys.endObject() }
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

    /// The innermost container has no item yet.
    private var isFirst = false

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
            try self.open(.object, Visitor.Rejection.self)
            do { try visitor.beginObject(at: start) } catch { throw .rejected(error) }
        case UInt8(ascii: "["):
            try self.open(.array, Visitor.Rejection.self)
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

    private mutating func open<R: Error>(_ frame: Frame, _: R.Type) throws(Ending<R>) {
        guard self.frames.count < Self.depthMax else { throw .fault(self.fault(.depth)) }
        self.frames.append(frame)
        if frame == .object { self.keys.beginObject() }
        self.at += 1
        self.isFirst = true
    }

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
        while at < count {
            let byte = self.bytes[at]
            if byte == UInt8(ascii: "\"") {
                self.at = at + 1
                return (start..<at, escaped)
            }
            if byte == UInt8(ascii: "\\") {
                escaped = true
                guard let next = JSONText.escapeEnd(self.bytes, at) else {
                    self.at = at
                    throw .fault(self.fault(.escape))
                }
                at = next
            } else if byte < 0x20 {
                self.at = at
                throw .fault(self.fault(.control))
            } else if byte < 0x80 {
                at += 1
            } else {
                guard let next = JSONText.sequenceEnd(self.bytes, at) else {
                    self.at = at
                    throw .fault(self.fault(.utf8))
                }
                at = next
            }
        }
        self.at = count
        throw .fault(self.fault(.truncated))
    }
}

/// The keys seen in each open object, after unescaping. Linear in small objects, hashed in large ones, so that a
/// million keys cost a million look-ups. The hash is keyed per process: nobody can aim at a collision.
private struct DuplicateKeys {
    private static let linearMax = 16
    private var hashes: [Int] = []
    private var starts: [Int] = []
    private var large: [Int: Set<Int>] = [:]

    mutating func beginObject() { self.starts.append(self.hashes.count) }

    mutating func endObject() {
        guard let start = self.starts.popLast() else { return }
        self.hashes.removeSubrange(start...)
        if !self.large.isEmpty { self.large[self.starts.count] = nil }
    }

    /// false: the innermost object has this key already.
    mutating func insert(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, escaped: Bool) -> Bool {
        var hasher = Hasher()
        if escaped {
            var text = JSONText.unescape(bytes, range)
            text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        } else {
            hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
        let hash = hasher.finalize()
        let depth = self.starts.count - 1
        let start = self.starts[depth]
        if self.large[depth] != nil { return self.large[depth]?.insert(hash).inserted ?? true }
        for index in start..<self.hashes.count where self.hashes[index] == hash { return false }
        self.hashes.append(hash)
        if self.hashes.count - start > Self.linearMax { self.large[depth] = Set(self.hashes[start...]) }
        return true
    }
}

/// Escapes and UTF-8 sequences.
enum JSONText {
    /// Behind the escape that starts at `at`, surrogate pairs taken together; nil when it is malformed.
    static func escapeEnd(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int? {
        guard at + 1 < bytes.count else { return nil }
        switch bytes[at + 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return at + 2
        case UInt8(ascii: "u"):
            guard let unit = self.hexadecimal(bytes, at + 2) else { return nil }
            guard 0xd800...0xdfff ~= unit else { return at + 6 }
            guard unit < 0xdc00, at + 7 < bytes.count, bytes[at + 6] == UInt8(ascii: "\\"),
                bytes[at + 7] == UInt8(ascii: "u"), let low = self.hexadecimal(bytes, at + 8),
                0xdc00...0xdfff ~= low
            else { return nil }
            return at + 12
        default:
            return nil
        }
    }

    private static func hexadecimal(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> UInt32? {
        guard at + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for index in at..<at + 4 {
            switch bytes[index] {
            case 0x30...0x39: value = value << 4 | UInt32(bytes[index] - 0x30)
            case 0x61...0x66: value = value << 4 | UInt32(bytes[index] - 0x57)
            case 0x41...0x46: value = value << 4 | UInt32(bytes[index] - 0x37)
            default: return nil
            }
        }
        return value
    }

    /// Behind the well-formed multi-byte sequence that starts at `at` (Unicode, table 3-7); nil when it is not one.
    static func sequenceEnd(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> Int? {
        func isTail(_ offset: Int, _ low: UInt8 = 0x80, _ high: UInt8 = 0xbf) -> Bool {
            at + offset < bytes.count && bytes[at + offset] >= low && bytes[at + offset] <= high
        }
        switch bytes[at] {
        case 0xc2...0xdf: return isTail(1) ? at + 2 : nil
        case 0xe0: return isTail(1, 0xa0) && isTail(2) ? at + 3 : nil
        case 0xed: return isTail(1, 0x80, 0x9f) && isTail(2) ? at + 3 : nil
        case 0xe1...0xef: return isTail(1) && isTail(2) ? at + 3 : nil
        case 0xf0: return isTail(1, 0x90) && isTail(2) && isTail(3) ? at + 4 : nil
        case 0xf1...0xf3: return isTail(1) && isTail(2) && isTail(3) ? at + 4 : nil
        case 0xf4: return isTail(1, 0x80, 0x8f) && isTail(2) && isTail(3) ? at + 4 : nil
        default: return nil
        }
    }

    /// The text of a validated string.
    static func unescape(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(range.count)
        var at = range.lowerBound
        while at < range.upperBound {
            guard bytes[at] == UInt8(ascii: "\\") else {
                out.append(bytes[at])
                at += 1
                continue
            }
            switch bytes[at + 1] {
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0c)
            case UInt8(ascii: "n"): out.append(0x0a)
            case UInt8(ascii: "r"): out.append(0x0d)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                at = self.appendUnicode(bytes, at, &out)
                continue
            default: out.append(bytes[at + 1])
            }
            at += 2
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func appendUnicode(_ bytes: UnsafeRawBufferPointer, _ at: Int, _ out: inout [UInt8]) -> Int {
        var scalar = self.hexadecimal(bytes, at + 2) ?? 0xfffd
        var end = at + 6
        if 0xd800...0xdbff ~= scalar, let low = self.hexadecimal(bytes, at + 8) {
            scalar = 0x10000 + (scalar - 0xd800) << 10 + (low - 0xdc00)
            end = at + 12
        }
        out.append(contentsOf: Array(String(Unicode.Scalar(scalar) ?? "\u{fffd}").utf8))
        return end
    }

    static func text(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, escaped: Bool) -> String {
        escaped ? self.unescape(bytes, range) : String(decoding: bytes[range], as: UTF8.self)
    }
}
