/// The bytes of a string of at most 128 bytes, kept in place: no heap allocation until the string is wanted.
struct ShortText: Sendable {
    private static let capacity = 128

    private var bytes: InlineArray<128, UInt8> = .init(repeating: 0)
    /// In a byte: thousands of streams keep a handful of texts each.
    private var length: UInt8 = 0
    private var isTooLong = false

    private var count: Int { Int(self.length) }

    mutating func clear() {
        self.length = 0
        self.isTooLong = false
    }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        let start = self.count
        guard !self.isTooLong, more.count <= Self.capacity - start else {
            self.isTooLong = true
            return
        }
        withUnsafeMutableBytes(of: &self.bytes) { buffer in
            UnsafeMutableRawBufferPointer(rebasing: buffer[start...]).copyMemory(from: more)
        }
        self.length = UInt8(start + more.count)
    }

    mutating func set(_ text: UnsafeRawBufferPointer) {
        self.clear()
        self.append(text)
    }

    /// Hands over the bytes; nil when they were too many to keep.
    func withBytes<R>(_ body: (UnsafeRawBufferPointer?) -> R) -> R {
        guard !self.isTooLong else { return body(nil) }
        return withUnsafeBytes(of: self.bytes) { body(UnsafeRawBufferPointer(rebasing: $0[..<self.count])) }
    }

    func equals(_ wanted: StaticString) -> Bool {
        self.count == wanted.utf8CodeUnitCount
            && self.withBytes { bytes in bytes.map { ByteSearch.matches($0, 0, wanted) } ?? false }
    }

    func ends(with wanted: StaticString) -> Bool {
        let start = self.count - wanted.utf8CodeUnitCount
        return start >= 0
            && self.withBytes { bytes in bytes.map { ByteSearch.matches($0, start, wanted) } ?? false }
    }

    /// nil when it is empty, or was too long to be kept.
    var string: String? {
        guard self.count > 0 else { return nil }
        return self.withBytes { $0.map { String(decoding: $0, as: UTF8.self) } }
    }
}
