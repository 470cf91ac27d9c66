import Metering
import Testing

@testable import MoneyPath

/// What a recovery must find: kept by the tests beside the journal.
struct JournalModel: Equatable {
    /// In the order in which they ended.
    var unacknowledged: [Settlement] = []
    var open: [Int: JournalProgress?] = [:]
    var opened: Set<HoldID> = []

    var orphans: Set<Settlement> { Set(self.open.map { JournalFixtures.orphan($0.key, $0.value) }) }
}

/// A journal with its disk and its model.
struct JournalRig {
    var journal: Journal<MemorySegment>
    var model = JournalModel()
    private(set) var sequences: [HoldID: UInt64] = [:]
    private let capacity: Int

    init(
        limits: Journal<MemorySegment>.Limits = .init(unreservedOutcomes: 1, acknowledgements: 8),
        capacity: Int = JournalFormat.segmentBytesMin, spares: Int = 2
    ) {
        self.capacity = capacity
        self.journal = Journal(
            boot: JournalFixtures.boot, limits: limits, nowMilliseconds: 1_000, steadyMilliseconds: 1_000)
        for _ in 0..<spares { self.addSpare() }
    }

    /// All files as they are now.
    var disk: [MemorySegment] { self.journal.files + self.journal.spares }

    mutating func addSpare() {
        self.journal.add(spare: MemorySegment(id: self.journal.nextSpareID, capacity: self.capacity))
    }

    mutating func prepareSpares() { while self.journal.wantsSpare { self.addSpare() } }

    @discardableResult mutating func open(_ number: Int) -> Bool {
        guard self.journal.reserve() else { return false }
        #expect(self.journal.open(JournalFixtures.opening(number)) != nil)
        self.model.open[number] = .some(nil)
        self.model.opened.insert(JournalFixtures.hold(number))
        return true
    }

    mutating func progress(_ number: Int, _ output: Int64) {
        let progress = JournalFixtures.progress(output)
        if self.journal.progress(JournalFixtures.hold(number), progress) == .written {
            self.model.open[number] = progress
        }
    }

    @discardableResult mutating func end(_ number: Int, padding: Int = 0, reserved: Bool = true) -> UInt64? {
        let settlement = JournalFixtures.final(number, padding: padding)
        let sequence = self.journal.end(settlement, reserved: reserved)
        self.model.open[number] = nil
        guard let sequence else { return nil }
        self.model.unacknowledged.append(settlement)
        self.sequences[settlement.hold] = sequence
        return sequence
    }

    /// Writes outcomes until there are so many segments, and the last one has a few.
    mutating func fillSegments(_ count: Int) {
        var number = 10_000
        while self.journal.segments.count < count || self.journal.segments[count - 1].used < 2_048 {
            number += 1
            self.prepareSpares()
            self.end(number, padding: 250, reserved: false)
        }
    }

    /// Acknowledges the first `count` outcomes that wait.
    mutating func acknowledge(_ count: Int) {
        let acknowledged = self.model.unacknowledged.prefix(count)
        guard let last = acknowledged.last, let sequence = self.sequences[last.hold] else { return }
        self.journal.acknowledge(through: sequence)
        self.model.unacknowledged.removeFirst(acknowledged.count)
    }

    @discardableResult mutating func sync(fails: Bool = false) -> Bool {
        guard let sync = self.journal.nextSync() else { return false }
        if fails { _ = self.journal.syncFailed(sync.segment.id) } else { self.journal.synced(sync) }
        return true
    }

    func recover(_ mode: JournalRecoveryMode = .strict) throws -> RecoveredBoot<MemorySegment> {
        try RecoveredBoot(self.disk, of: JournalFixtures.boot, mode: mode)
    }
}

extension RecoveredBoot {
    /// In the terms of the model; order does not matter to it.
    func says(_ model: JournalModel) -> Bool {
        var reading = self.unacknowledged()
        let outcomes = reading.next(limit: .max).map(\.settlement)
        return Set(outcomes) == Set(model.unacknowledged) && outcomes.count == model.unacknowledged.count
            && Set(self.orphans) == model.orphans && self.orphans.count == model.open.count
            && self.openedHolds == model.opened
    }
}
