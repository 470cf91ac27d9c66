import Metering
import Testing

@testable import MoneyPath

@Suite struct JournalSyncTests {
    @Test func whatIsOnDiskFollowsTheSyncs() {
        var rig = JournalRig()
        #expect(rig.journal.nextSync() == nil)
        rig.open(1)
        let first = rig.end(1)
        guard let sync = rig.journal.nextSync() else {
            Issue.record("two records wait")
            return
        }
        let second = rig.end(2, reserved: false)
        #expect(rig.journal.durableSequence == 0)
        rig.journal.synced(sync)
        #expect(rig.journal.durableSequence == first)
        rig.sync()
        #expect(rig.journal.durableSequence == second)
        #expect(rig.journal.nextSync() == nil)
    }

    @Test func segmentsGoToDiskOldestFirst() {
        var rig = JournalRig()
        for number in 1...150 {
            rig.prepareSpares()
            rig.end(number, padding: 250, reserved: false)
        }
        #expect(rig.journal.segments.count > 1)
        #expect(rig.journal.nextSync()?.segment.id == 1)
        rig.sync()
        #expect(rig.journal.durableSequence == rig.journal.segments[0].lastSequence)
        #expect(rig.journal.nextSync()?.segment.id == 2)
        while rig.sync() {}
        #expect(rig.journal.durableSequence == rig.journal.lastSequence)
    }

    // MARK: Sync errors (J4)

    @Test func aSyncErrorWritesExactlyTheUnacknowledgedAndTheOpenAgain() throws {
        var rig = JournalRig()
        for number in 1...4 { rig.open(number) }
        rig.progress(4, 17)
        for number in 1...3 { rig.end(number) }
        rig.acknowledge(1)
        let last = rig.journal.lastSequence
        #expect(rig.journal.syncFailed(1) == .rewritten)
        // Two outcomes, one OPEN with its PROGRESS, ABANDON.
        #expect(rig.journal.lastSequence == last + 5)
        #expect(rig.journal.segments.map(\.state) == [.rewritten, .good])
        #expect(rig.journal.durableSequence == 0 && rig.journal.unacknowledged == 2)
        #expect(try rig.recover().says(rig.model))

        // Whatever became of the failed file, the journal is whole without it.
        var disk = rig.disk
        var random = SplitMix(state: 2)
        for index in disk[0].bytes.indices { disk[0].bytes[index] = .random(in: 0...255, using: &random) }
        let recovered = try RecoveredBoot(disk, of: JournalFixtures.boot)
        var waiting = recovered.unacknowledged()
        #expect(waiting.next(limit: 9).map(\.settlement) == rig.model.unacknowledged)
        #expect(Set(recovered.orphans) == rig.model.orphans)

        // Never again on that file.
        #expect(rig.journal.nextSync()?.segment.id == 2)
        // The second time for the ACK that may count the copies now.
        while rig.sync() {}
        #expect(rig.journal.durableSequence == rig.journal.lastSequence)
    }

    /// Their callers know the old numbers only.
    @Test func acknowledgingAnOriginalAcknowledgesItsCopy() throws {
        var rig = JournalRig()
        for number in 1...3 { rig.end(number, reserved: false) }
        rig.sync(fails: true)
        rig.acknowledge(2)
        #expect(rig.journal.unacknowledged == 1)
        // Before the copies are on disk a power cut may bring the originals back, so they count until then.
        #expect(try rig.recover().holds(rig.model))
        while rig.sync() {}
        #expect(try rig.recover().says(rig.model))
        rig.end(4, reserved: false)
        rig.acknowledge(1)
        #expect(rig.journal.unacknowledged == 1)
        #expect(try rig.recover().says(rig.model))
        rig.acknowledge(1)
        #expect(rig.journal.unacknowledged == 0)
        #expect(try rig.recover().says(rig.model))
    }

    @Test func withoutRoomTheCopiesFollowWithTheNextSpare() throws {
        var rig = JournalRig(spares: 1)
        rig.open(1)
        let ended = rig.end(2, reserved: false)
        #expect(rig.journal.syncFailed(1) == .waitsForSpare)
        #expect(rig.journal.syncFailed(1) == .ignored)
        #expect(rig.journal.reserve() == false)
        #expect(rig.journal.end(JournalFixtures.final(1), reserved: true) == nil)
        rig.model.open = [:]
        #expect(rig.journal.nextSync() == nil)
        #expect(rig.journal.durableSequence == 0)
        #expect(rig.journal.wantsSpare)
        rig.addSpare()
        #expect(!rig.journal.hasFailedSegment)
        rig.sync()
        #expect(rig.journal.durableSequence >= ended ?? .max)
        var waiting = try rig.recover().unacknowledged()
        #expect(waiting.next(limit: 9).map(\.settlement) == rig.model.unacknowledged)
    }

    /// The error may be told when the next segment is already in use.
    @Test func aSegmentThatWasLeftCanFailToo() throws {
        var rig = JournalRig()
        for number in 1...150 {
            rig.prepareSpares()
            rig.open(number)
            if number % 2 == 0 { rig.end(number, padding: 250) }
        }
        rig.prepareSpares()
        #expect(rig.journal.segments.count > 1)
        rig.sync(fails: true)
        #expect(!rig.journal.hasFailedSegment)
        #expect(try rig.recover().says(rig.model))
        while rig.sync() {}
        #expect(rig.journal.durableSequence == rig.journal.lastSequence)
    }

    // MARK: Retention (J6)

    private static let hour: Int64 = 3_600_000

    @Test func aSegmentGoesWhenAllIsAcknowledgedAndOldEnough() throws {
        var rig = JournalRig()
        for number in 1...120 {
            rig.prepareSpares()
            rig.open(number)
            rig.end(number, padding: 250)
        }
        while rig.sync() {}
        let left = rig.journal.segments[1].begunAtMilliseconds
        let due = left + 72 * Self.hour
        #expect(rig.journal.retirable(steadyMilliseconds: due - 1).isEmpty)
        rig.acknowledge(rig.model.unacknowledged.count)
        #expect(rig.journal.retirable(steadyMilliseconds: due - 1).isEmpty)
        #expect(rig.journal.retirable(steadyMilliseconds: due).first == 1)
        let current = rig.journal.segments.last?.id
        for id in rig.journal.retirable(steadyMilliseconds: due) { rig.journal.retired(id) }
        #expect(rig.journal.segments.map(\.id) == [current])
        #expect(try rig.recover().orphans.isEmpty)
    }

    /// A stream that never ends must not keep three days of disk.
    @Test func anOldOpenExchangeIsCarriedOver() throws {
        var rig = JournalRig()
        rig.open(1_000)
        rig.progress(1_000, 9)
        for number in 1...120 {
            rig.prepareSpares()
            rig.end(number, padding: 250, reserved: false)
        }
        rig.acknowledge(120)
        while rig.sync() {}
        let later = 100 * Self.hour
        rig.prepareSpares()
        #expect(rig.journal.retirable(steadyMilliseconds: later).isEmpty)  // The copy is not on disk.
        while rig.sync() {}
        for id in rig.journal.retirable(steadyMilliseconds: later) { rig.journal.retired(id) }
        #expect(rig.journal.segments.count == 1)
        let recovered = try rig.recover()
        #expect(recovered.orphans == [JournalFixtures.orphan(1_000, JournalFixtures.progress(9))])
        #expect(rig.end(1_000) != nil)
        #expect(try rig.recover().orphans.isEmpty)
    }

    // MARK: Everything together

    /// Whatever is written, rotated, acknowledged, synced or fails to be: a recovery finds what is open and what
    /// waits, and nothing else.
    @Test(arguments: 0..<12) func aRecoveryFindsWhatIsOpenAndWhatWaits(_ round: Int) throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(state: seed)
        var (rig, number) = (JournalRig(), 0)
        for step in 0..<300 {
            if Int.random(in: 0..<4, using: &random) > 0 { rig.prepareSpares() }
            let open = rig.model.open.keys.sorted()
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<7:
                number += 1
                rig.open(number)
            case 7..<12 where !open.isEmpty:
                rig.end(
                    open.randomElement(using: &random) ?? 0, padding: .random(in: 0...256, using: &random))
            case 12..<14 where !open.isEmpty:
                rig.progress(
                    open.randomElement(using: &random) ?? 0, .random(in: 0...1_000, using: &random))
            case 14:
                number += 1
                rig.end(number, reserved: false)
            case 15..<17: rig.acknowledge(.random(in: 1...10, using: &random))
            case 17..<19: rig.sync()
            default:
                rig.prepareSpares()
                rig.sync(fails: true)
            }
            if step % 20 == 0 {
                #expect(rig.journal.unacknowledged >= rig.model.unacknowledged.count, "seed \(seed)")
                let recovered = try rig.recover()
                #expect(recovered.holds(rig.model), "seed \(seed), step \(step)")
            }
        }
        rig.prepareSpares()
        rig.acknowledge(.max)
        while rig.sync() {}
        #expect(rig.journal.durableSequence == rig.journal.lastSequence, "seed \(seed)")
        #expect(rig.journal.unacknowledged == 0, "seed \(seed)")
        #expect(try rig.recover().says(rig.model), "seed \(seed)")
    }
}

extension RecoveredBoot {
    /// As `says`, but some of what was posted may come again: copies are acknowledged when all their originals
    /// are.
    fileprivate func holds(_ model: JournalModel) -> Bool {
        var reading = self.unacknowledged()
        let outcomes = reading.next(limit: .max).map(\.settlement)
        return Set(outcomes).isSuperset(of: model.unacknowledged) && Set(outcomes).count == outcomes.count
            && Set(self.orphans) == model.orphans && self.orphans.count == model.open.count
            && self.openedHolds.isSuperset(of: model.opened)
    }
}
