/// The bytes of a string of at most `capacity` bytes, kept in place: no heap allocation until the string is wanted.
///
/// Thousands of streams keep a handful of texts each, so each is as long as what it is for, and its length a byte.
struct ShortText<let capacity: Int>: Sendable {
    private var bytes: InlineArray<capacity, UInt8> = .init(repeating: 0)
    private var length: UInt8 = 0
    /// There was one, which is not kept.
    private(set) var isTooLong = false

    private var count: Int { Int(self.length) }

    mutating func clear() {
        self.length = 0
        self.isTooLong = false
    }

    /// - Parameter text: nil when it is known to be too long.
    @inline(__always)
    mutating func set(_ text: UnsafeRawBufferPointer?) {
        self.clear()
        guard let text, text.count <= min(capacity, Int(UInt8.max)) else {
            self.isTooLong = true
            return
        }
        withUnsafeMutableBytes(of: &self.bytes) { $0.copyMemory(from: text) }
        self.length = UInt8(truncatingIfNeeded: text.count)
    }

    /// Hands over the bytes; nil when they were too many to keep.
    @inline(__always)
    func withBytes<R>(_ body: (UnsafeRawBufferPointer?) -> R) -> R {
        guard !self.isTooLong else { return body(nil) }
        return withUnsafeBytes(of: self.bytes) { body(UnsafeRawBufferPointer(rebasing: $0[..<self.count])) }
    }

    @inline(__always)
    func equals(_ wanted: StaticString) -> Bool {
        self.withBytes { ByteSearch.equals($0, wanted) }
    }

    @inline(__always)
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
