/// Which of the open containers are objects: one bit for each, without an allocation down to 64 deep.
struct Nesting: Sendable {
    static let depthMax = 512

    private(set) var depth = 0
    /// Of the innermost 1 to 64 containers; the innermost is bit `(depth - 1) % 64`.
    private var bits: UInt64 = 0
    private var outer: [UInt64] = []

    /// false outside of everything.
    var isInObject: Bool {
        @inline(__always) get { self.depth > 0 && self.bits >> UInt64((self.depth &- 1) & 63) & 1 != 0 }
    }

    /// false: too deep.
    @inline(__always)
    mutating func open(isObject: Bool) -> Bool {
        guard self.depth < Self.depthMax else { return false }
        let index = UInt64(self.depth & 63)
        if index == 0, self.depth > 0 { self.spill() }
        self.bits = isObject ? self.bits | 1 << index : self.bits & ~(1 << index)
        self.depth &+= 1
        return true
    }

    /// The caller knows that a container is open.
    @inline(__always)
    mutating func close() {
        self.depth &-= 1
        if self.depth & 63 == 0, self.depth > 0 { self.bits = self.outer.removeLast() }
    }

    private mutating func spill() {
        self.outer.append(self.bits)
        self.bits = 0
    }
}
