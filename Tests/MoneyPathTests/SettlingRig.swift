import Metering
import Testing

@testable import MoneyPath

/// A journal, the queue of its settler, and a ledger that remembers what it was sent.
struct SettlingRig {
    /// What stands on a disk: the bytes of the last sync of each segment.
    private var onDisk: [UInt64: [UInt8]] = [:]
    var rig = JournalRig()
    private var queue = SettlementQueue(limits: .init(batchRowsMax: 5, memoryMax: 8))
    private var inFlight: [Settlement]?
    /// Committed, and the hold store is not told yet.
    private var committed: UInt64?
    private let now = Moment(nanoseconds: 1_000_000_000)

    private(set) var recorded: [(sequence: UInt64, settlement: Settlement)] = []
    private(set) var sent: Set<HoldID> = []
    private(set) var sendings = 0
    private var acknowledged: UInt64 = 0

    mutating func record(padding: Int) {
        let settlement = JournalFixtures.final(self.recorded.count + 1, padding: padding)
        guard let sequence = self.rig.journal.end(settlement, reserved: false) else { return }
        self.recorded.append((sequence, settlement))
        _ = self.queue.record(PendingOutcome(settlement, sequence: sequence), now: self.now)
    }

    /// Whatever the settler does next.
    mutating func settle(commits: Bool) {
        if let batch = self.inFlight {
            guard commits else { return }
            self.inFlight = nil
            self.sent.formUnion(batch.map(\.hold))
            self.committed = self.queue.committed() ?? self.committed
            return
        }
        switch self.queue.next(now: self.now, draining: true) {
        case .send(let batch):
            self.sendings += batch.count
            self.inFlight = batch
        case .read(let from, let limit):
            let backlog = self.rig.journal.backlog(from: from, limit: limit)
            // The lock is not held while it is read.
            let page = backlog.read()
            #expect(self.queue.refill(page, from: from, limit: limit, now: self.now) == .refilled)
        case .wait, .idle, .busy: break
        }
    }

    /// Returns an outcome that is acknowledged and was not sent; nil: there is none.
    mutating func acknowledge() -> UInt64? {
        guard let through = self.committed else { return nil }
        self.committed = nil
        self.rig.journal.acknowledge(through: through)
        self.acknowledged = max(self.acknowledged, through)
        return self.recorded.first {
            $0.sequence <= self.acknowledged && !self.sent.contains($0.settlement.hold)
        }?
        .sequence
    }

    mutating func sync(fails: Bool) {
        guard let sync = self.rig.journal.nextSync() else { return }
        if fails {
            _ = self.rig.journal.syncFailed(sync.segment.id)
        } else {
            self.onDisk[sync.segment.id] = sync.segment.bytes
            self.rig.journal.synced(sync)
        }
    }

    /// What nobody has: neither the ledger, nor the recovery of what `kill -9` leaves.
    func lostByKill() throws -> [HoldID] {
        try self.missing(RecoveredBoot(self.rig.disk, of: JournalFixtures.boot), through: .max)
    }

    /// As `lostByKill`, when the power fails: of what was reported durable.
    func lostByPowerCut() throws -> [HoldID] {
        var disk = self.rig.disk
        for index in disk.indices {
            disk[index].bytes =
                self.onDisk[disk[index].id] ?? [UInt8](repeating: 0, count: disk[index].capacity)
        }
        let recovered = try RecoveredBoot(disk, of: JournalFixtures.boot, mode: .salvage)
        return self.missing(recovered, through: self.rig.journal.durableSequence)
    }

    private func missing(_ recovered: RecoveredBoot<MemorySegment>, through: UInt64) -> [HoldID] {
        var reading = recovered.unacknowledged()
        let waiting = self.sent.union(reading.next(limit: .max).map(\.settlement.hold))
        return self.recorded.filter { $0.sequence <= through && !waiting.contains($0.settlement.hold) }
            .map(\.settlement.hold)
    }

    /// All that waits is sent, and acknowledged.
    mutating func finish() -> UInt64? {
        var lost: UInt64?
        while self.queue.backlog > 0 || self.inFlight != nil || self.committed != nil {
            self.rig.prepareSpares()
            self.settle(commits: true)
            lost = lost ?? self.acknowledge()
        }
        return lost
    }
}

@Suite struct BacklogPropertyTests {
    /// Whatever fails and whoever dies: an outcome is acknowledged after it was sent, never before.
    @Test(arguments: 0..<8) func everyOutcomeIsSentBeforeItIsAcknowledged(_ round: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(state: seed)
        var settling = SettlingRig()
        let isBusy = Bool.random(using: &random)
        for step in 0..<400 {
            if Int.random(in: 0..<4, using: &random) > 0 { settling.rig.prepareSpares() }
            switch Int.random(in: 0..<24, using: &random) {
            case 0..<(isBusy ? 12 : 7): settling.record(padding: .random(in: 0...256, using: &random))
            case ..<17: settling.settle(commits: Int.random(in: 0..<3, using: &random) > 0)
            case 17..<19:
                let early = settling.acknowledge()
                #expect(early == nil, "seed \(seed), step \(step)")
            case 19..<22: settling.sync(fails: false)
            default: settling.sync(fails: true)
            }
            guard step % 25 == 0 else { continue }
            #expect(try settling.lostByKill().isEmpty, "seed \(seed), step \(step)")
            #expect(try settling.lostByPowerCut().isEmpty, "seed \(seed), step \(step)")
        }
        let early = settling.finish()
        #expect(early == nil && settling.sent.count == settling.recorded.count, "seed \(seed)")
        #expect(settling.sendings == settling.recorded.count, "each once; seed \(seed)")
        #expect(settling.rig.journal.unacknowledged == 0, "seed \(seed)")
    }
}
