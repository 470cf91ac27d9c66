/// The keys seen in each open object, after unescaping.
///
/// Keys are known by 64-bit hashes with a per-process seed, so equal keys are always found; that two
/// different keys of one object are taken for equal has odds of about n² / 2^65, and nobody can aim at it.
/// Few keys are compared in a row, many through a table: a million keys cost a million look-ups.
struct DuplicateKeys {
    private static let rowMax = 16
    private static let factor: UInt64 = 0x9e37_79b9_7f4a_7c15

    private let seed = UInt64(bitPattern: Int64(Hasher().finalize()))
    /// Hashes of the open objects that are small, each run behind the two words that restore the outer
    /// object.
    private var stack: [UInt64] = []
    /// Where the row of the innermost object starts in `stack`.
    private var rowStart = 0
    /// Number of the innermost object when its keys are in the table; 0 when they are in its row.
    private var tableNumber: UInt64 = 0
    private var tablesUsed: UInt64 = 0
    /// Keys of all large objects of the document, told apart by the object's number.
    private var table = HashTable()

    init() { self.stack.reserveCapacity(48) }

    mutating func beginObject() {
        self.stack.append(UInt64(self.rowStart))
        self.stack.append(self.tableNumber)
        self.rowStart = self.stack.count
        self.tableNumber = 0
    }

    mutating func endObject() {
        precondition(self.rowStart >= 2, "JSONWalker ends only objects that it began")
        let frame = self.rowStart - 2
        self.tableNumber = self.stack[frame + 1]
        self.rowStart = Int(self.stack[frame])
        self.stack.removeLast(self.stack.count - frame)
    }

    /// false: the innermost object has this key already. `range` is a validated string.
    mutating func insert(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, escaped: Bool) -> Bool {
        let hash: UInt64
        if escaped {
            var text = JSONText.unescape(bytes, range)
            hash = text.withUTF8 { self.hash(UnsafeRawBufferPointer($0)) }
        } else {
            hash = self.hash(UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
        if self.tableNumber != 0 { return self.table.insert(self.numbered(hash)) }
        let count = self.stack.count
        var index = self.rowStart
        while index < count {
            if self.stack[index] == hash { return false }
            index &+= 1
        }
        if count - self.rowStart < Self.rowMax {
            self.stack.append(hash)
            return true
        }
        self.tablesUsed += 1
        self.tableNumber = self.tablesUsed
        for index in self.rowStart..<count { _ = self.table.insert(self.numbered(self.stack[index])) }
        self.stack.removeLast(count - self.rowStart)
        return self.table.insert(self.numbered(hash))
    }

    private func numbered(_ hash: UInt64) -> UInt64 {
        Self.mixed(hash ^ (self.tableNumber &* Self.factor), self.seed | 1)
    }

    private func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        var hash = self.seed ^ (UInt64(key.count) &* Self.factor)
        var at = 0
        while at &+ 8 <= key.count {
            hash = Self.mixed(hash ^ key.loadUnaligned(fromByteOffset: at, as: UInt64.self), Self.factor)
            at &+= 8
        }
        var rest: UInt64 = 0
        while at < key.count {
            rest = rest << 8 | UInt64(key[at])
            at &+= 1
        }
        return Self.mixed(hash ^ rest, 0xd6e8_feb8_6659_fd93)
    }

    @inline(__always)
    private static func mixed(_ word: UInt64, _ factor: UInt64) -> UInt64 {
        let (high, low) = word.multipliedFullWidth(by: factor)
        return high ^ low
    }
}

/// A set of well-mixed 64-bit hashes: open addressing, at most two thirds full.
private struct HashTable {
    private var slots: [UInt64] = []
    private var count = 0

    /// false: it is there already.
    mutating func insert(_ hash: UInt64) -> Bool {
        // 0 marks a free slot.
        let hash = hash == 0 ? 1 : hash
        if self.count * 3 >= self.slots.count * 2 { self.grow() }
        let mask = self.slots.count - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while self.slots[index] != 0 {
            if self.slots[index] == hash { return false }
            index = (index + 1) & mask
        }
        self.slots[index] = hash
        self.count += 1
        return true
    }

    private mutating func grow() {
        let old = self.slots
        self.slots = [UInt64](repeating: 0, count: max(64, old.count * 4))
        let mask = self.slots.count - 1
        for hash in old where hash != 0 {
            var index = Int(truncatingIfNeeded: hash) & mask
            while self.slots[index] != 0 { index = (index + 1) & mask }
            self.slots[index] = hash
        }
    }
}
