/// The line that parts the pieces of a form, as `Content-Type` names it (RFC 2046 §5.1.1, RFC 7578 §4.1).
public struct MultipartBoundary: Sendable, Equatable {
    /// 1 to 70 characters.
    let bytes: [UInt8]

    /// Reads `multipart/form-data; boundary=…`. nil: another type, or a boundary that two programs could read in two
    /// ways.
    public init?(contentType: UnsafeRawBufferPointer) {
        var fields = HeaderParameters(contentType)
        guard fields.value.elementsEqual("multipart/form-data".utf8) else { return nil }
        var boundary: [UInt8]?
        while let parameter = fields.next() {
            guard case .pair(let name, let value) = parameter else { return nil }
            guard name.elementsEqual("boundary".utf8) else { continue }
            guard boundary == nil else { return nil }
            boundary = value
        }
        guard let boundary, 1...70 ~= boundary.count, boundary.last != 0x20,
            boundary.allSatisfy(Self.isAllowed)
        else { return nil }
        self.bytes = boundary
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "'()+_,-./:=? ".utf8.contains(byte)
        }
    }
}

/// The value of a header with parameters, such as `form-data; name="file"`.
struct HeaderParameters {
    enum Parameter: Equatable {
        /// The name in lower case, the value without its quotes.
        case pair(name: [UInt8], value: [UInt8])
        /// Not a parameter, or one whose end is not the same to everyone.
        case unclear
    }

    /// What stands in front of the parameters, in lower case.
    let value: [UInt8]
    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        var end = 0
        while end < bytes.count, bytes[end] != UInt8(ascii: ";") { end += 1 }
        self.at = end
        self.value = Self.trimmed(bytes[..<end]).map(Self.lowered)
    }

    /// nil: there are no more.
    mutating func next() -> Parameter? {
        guard self.at < self.bytes.count else { return nil }
        defer { self.skipBlanks() }
        self.at += 1
        self.skipBlanks()
        let start = self.at
        while self.at < self.bytes.count, Self.isToken(self.bytes[self.at]) { self.at += 1 }
        let name = self.bytes[start..<self.at].map(Self.lowered)
        guard !name.isEmpty, self.take(UInt8(ascii: "=")) else { return .unclear }
        let value = self.take(UInt8(ascii: "\"")) ? self.quoted() : self.token()
        self.skipBlanks()
        guard let value, self.at == self.bytes.count || self.bytes[self.at] == UInt8(ascii: ";") else {
            self.at = self.bytes.count
            return .unclear
        }
        return .pair(name: name, value: value)
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard self.at < self.bytes.count, self.bytes[self.at] == byte else { return false }
        self.at += 1
        return true
    }

    private mutating func token() -> [UInt8]? {
        let start = self.at
        while self.at < self.bytes.count, Self.isToken(self.bytes[self.at]) { self.at += 1 }
        return start == self.at ? nil : Array(self.bytes[start..<self.at])
    }

    /// Browsers write a quote in a name as `%22`, others as `\"`: behind a backslash it is not clear whether it ends the
    /// name.
    private mutating func quoted() -> [UInt8]? {
        let start = self.at
        while self.at < self.bytes.count, self.bytes[self.at] != UInt8(ascii: "\"") {
            if self.bytes[self.at] == UInt8(ascii: "\\") { return nil }
            self.at += 1
        }
        let end = self.at
        return self.take(UInt8(ascii: "\"")) ? Array(self.bytes[start..<end]) : nil
    }

    private mutating func skipBlanks() {
        while self.at < self.bytes.count, [0x20, 0x09].contains(self.bytes[self.at]) { self.at += 1 }
    }

    private static func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
        var bytes = bytes
        while let first = bytes.first, [0x20, 0x09].contains(first) { bytes = bytes.dropFirst() }
        while let last = bytes.last, [0x20, 0x09].contains(last) { bytes = bytes.dropLast() }
        return bytes
    }

    private static func lowered(_ byte: UInt8) -> UInt8 { 0x41...0x5a ~= byte ? byte | 0x20 : byte }

    /// RFC 9110 §5.6.2.
    static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}
