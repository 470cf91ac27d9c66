import Metering
import MoneyPath

/// A file of the journal: what was written, and what of it would survive a loss of power.
final class SimSegment: JournalSegment {
    let id: UInt64
    let capacity: Int
    private var bytes: [UInt8]
    /// Everything before is on the disk.
    private var syncedThrough = 0
    private var writtenThrough = 0

    init(id: UInt64, capacity: Int) {
        self.id = id
        self.capacity = capacity
        self.bytes = [UInt8](repeating: 0, count: capacity)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        self.bytes.withUnsafeMutableBytes { memory in
            memory.baseAddress.map {
                $0.advanced(by: offset).copyMemory(
                    from: bytes.baseAddress ?? UnsafeRawPointer($0), byteCount: bytes.count)
            }
        }
        self.writtenThrough = max(self.writtenThrough, offset + bytes.count)
    }

    func withBytes<Result>(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        self.bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    func sync() { self.syncedThrough = self.writtenThrough }

    /// The power fails: pages that were not synced reached the disk in any order, whole, in part or not at all.
    /// - Returns: whether something is gone.
    func losePower(_ random: inout SimRandom) -> Bool {
        var isTorn = false
        var start = self.syncedThrough
        while start < self.writtenThrough {
            let end = min((start / Self.pageBytes + 1) * Self.pageBytes, self.writtenThrough)
            let kept: Int
            switch random.below(4) {
            case 0: kept = start
            case 1: kept = start + random.below(end - start)
            default: kept = end
            }
            for index in kept..<end { self.bytes[index] = 0 }
            isTorn = isTorn || kept < end
            start = end
        }
        self.syncedThrough = self.writtenThrough
        return isTorn
    }

    /// Small, as the segments are.
    private static let pageBytes = 512
}

/// The disk of one host: a directory of segments per boot.
struct SimDisk {
    var directories: [BootID: [SimSegment]] = [:]
    /// Boots whose journal was taken over by a later one; kept for a new ledger generation.
    var recovered: Set<BootID> = []
    /// Everything retained here was posted to this generation of the ledger; 0: nothing was ever posted.
    var generation: Int64 = 0
    var isFull = false
    static let segmentBytes = 48 << 10
}
