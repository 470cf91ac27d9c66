import Metering

/// Ids of holds, first in, first out, in pieces: taking a copy costs next to nothing, and what is added afterwards
/// copies one piece. 16 bytes each.
struct HoldIDRow: Sendable {
    private static let pieceCount = 4_096
    private var pieces: [[HoldID]] = []
    /// Ids of the first piece that are gone.
    private var taken = 0
    private(set) var count = 0

    mutating func append(_ hold: HoldID) {
        if self.pieces.isEmpty || self.pieces[self.pieces.count - 1].count == Self.pieceCount {
            self.pieces.append([])
        }
        self.pieces[self.pieces.count - 1].append(hold)
        self.count += 1
    }

    mutating func popFirst() -> HoldID? {
        guard self.count > 0 else { return nil }
        let hold = self.pieces[0][self.taken]
        self.count -= 1
        self.taken += 1
        if self.taken == self.pieces[0].count {
            self.pieces.removeFirst()
            self.taken = 0
        }
        return hold
    }

    func forEach(_ body: (HoldID) -> Void) {
        for (index, piece) in self.pieces.enumerated() {
            for hold in piece.dropFirst(index == 0 ? self.taken : 0) { body(hold) }
        }
    }
}

/// Holds whose outcome was decided and is not known to be in the ledger: the sweep leaves them alone (rule F7).
/// Taken under the lock of the queue, asked outside.
public struct UnfinishedHolds: Sendable {
    let inMemory: [HoldID]
    let spilled: HoldIDRow
    let lost: [HoldID]
    /// false: there are more than are remembered, so any hold may be one.
    public let isComplete: Bool

    /// Those of `holds` that are unfinished, or may be. One look for many holds: it goes through all there are.
    public func among(_ holds: Set<HoldID>) -> Set<HoldID> {
        guard self.isComplete, !holds.isEmpty else { return holds }
        var found: Set<HoldID> = []
        func look(_ hold: HoldID) { if holds.contains(hold) { found.insert(hold) } }
        self.inMemory.forEach(look)
        self.spilled.forEach(look)
        self.lost.forEach(look)
        return found
    }

    public func contains(_ hold: HoldID) -> Bool { !self.among([hold]).isEmpty }
}
