/// The end of a text that comes in parts: copied, since the piece it belongs to is not decided. Whole scalars, with what
/// was wrong replaced.
struct HeldText: Sendable {
    private(set) var count = 0
    private var bytes = [UInt8](repeating: 0, count: Self.countMax + 2 * Self.padding)
    /// The beginning of a scalar that ends in the next part.
    private var cut: [UInt8] = []

    static let countMax = 512
    /// Bytes that can be read behind a text.
    static let padding = 16

    /// There is no room for one more scalar.
    var isFull: Bool { self.count + 4 > Self.countMax }
    /// Nothing at all is held, not even a part of a scalar.
    var isEmpty: Bool { self.count == 0 && self.cut.isEmpty }

    mutating func removeAll() {
        self.count = 0
        self.cut.removeAll(keepingCapacity: true)
    }

    /// Removes from the start.
    mutating func drop(_ count: Int) {
        guard count > 0 else { return }
        let left = self.count - count
        self.bytes.withUnsafeMutableBytes { bytes in
            guard let base = bytes.baseAddress else { return }
            base.copyMemory(from: base + count, byteCount: left)
        }
        self.count = left
    }

    /// What is held, with room to read behind it.
    func withBytes<Result>(_ body: (BytePointer) -> Result?) -> Result? {
        self.bytes.withUnsafeBufferPointer { $0.baseAddress.flatMap(body) }
    }

    /// Nothing follows: a scalar that was begun is wrong.
    mutating func end() {
        if !self.cut.isEmpty {
            self.cut.removeAll(keepingCapacity: true)
            self.append(TextRepair.replacement)
        }
        for index in self.count..<self.count + Self.padding { self.bytes[index] = 0 }
    }

    /// Appends whole scalars, with what is wrong replaced, until there is no room for one more.
    /// - Returns: bytes taken, and whether all of them are what was appended.
    mutating func fill(_ start: BytePointer, _ count: Int, upTo room: Int) -> (taken: Int, isCopy: Bool) {
        var isCopy = self.cut.isEmpty
        var at = isCopy ? 0 : self.completeCut(start, count)
        while at < count, self.count + 4 <= room {
            let valid = TextRepair.validPrefix(start + at, min(room - self.count, count - at))
            self.append(UnsafeBufferPointer(start: start + at, count: valid))
            at += valid
            guard at < count, self.count + 4 <= room else { break }
            switch TextRepair.scalar(start + at, count - at) {
            case .whole:
                // There was no room for all of it, and now there is.
                continue
            case .wrong(let bytes):
                self.append(TextRepair.replacement)
                at += bytes
                isCopy = false
            case .cut(let bytes):
                self.cut.append(contentsOf: UnsafeBufferPointer(start: start + at, count: bytes))
                at += bytes
                isCopy = false
            }
        }
        return (at, isCopy)
    }

    /// Goes on with the scalar that the last part began.
    /// - Returns: bytes taken.
    private mutating func completeCut(_ start: BytePointer, _ count: Int) -> Int {
        let known = self.cut.count
        self.cut.append(contentsOf: UnsafeBufferPointer(start: start, count: min(count, 4 - known)))
        let scalar = self.cut.withUnsafeBufferPointer { cut in
            cut.baseAddress.map { TextRepair.scalar($0, cut.count) } ?? .cut(bytes: 0)
        }
        switch scalar {
        case .whole(let bytes):
            self.append(self.cut[..<bytes])
            self.cut.removeAll(keepingCapacity: true)
            return bytes - known
        case .wrong(let bytes):
            self.append(TextRepair.replacement)
            self.cut.removeAll(keepingCapacity: true)
            return bytes - known
        case .cut:
            return self.cut.count - known
        }
    }

    private mutating func append(_ more: some Collection<UInt8>) {
        for byte in more {
            self.bytes[self.count] = byte
            self.count += 1
        }
    }
}
