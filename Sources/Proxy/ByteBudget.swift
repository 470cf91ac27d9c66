import Synchronization

/// A bound on what all connections of the process together hold in memory.
final class ByteBudget: Sendable {
    private let bytesMax: Int
    private let used = Atomic(0)

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// Counts `bytes` in any case, so that what is added can be subtracted.
    ///
    /// - Returns: whether the budget still holds.
    func add(_ bytes: Int) -> Bool {
        self.used.wrappingAdd(bytes, ordering: .relaxed).newValue <= self.bytesMax
    }

    func subtract(_ bytes: Int) { self.used.wrappingSubtract(bytes, ordering: .relaxed) }

    var usedBytes: Int { self.used.load(ordering: .relaxed) }
}
