import Metering
import Testing

@testable import MoneyPath

/// What the settler reads of a journal whose disk fails now and then.
@Suite struct JournalBacklogTests {
    /// Three segments with outcomes only, numbered as they are recorded.
    private func filled() -> (rig: JournalRig, count: Int) {
        var (rig, number) = (JournalRig(), 0)
        while rig.journal.segments.count < 3 {
            rig.prepareSpares()
            number += 1
            rig.end(number, padding: 200, reserved: false)
        }
        rig.prepareSpares()
        return (rig, number)
    }

    private func read(_ rig: JournalRig, from: UInt64, limit: Int = .max) -> [Int64] {
        let page = rig.journal.backlog(from: from, limit: limit).read()
        #expect(page.lost.isEmpty)
        return page.outcomes.map(\.settlement.usage.output)
    }

    /// The settler counted them where they were recorded: the copies are not further outcomes, and those that are
    /// read from them have their old numbers.
    @Test func afterASyncErrorEachIsReadOnceAtItsPlace() throws {
        var (rig, count) = self.filled()
        rig.acknowledge(5)
        rig.sync(fails: true)
        #expect(self.read(rig, from: 1) == Array(6...Int64(count)))
        let middle = rig.journal.backlog(from: 9, limit: 2).read().outcomes
        #expect(middle.map(\.sequence) == [9, 10] && middle.map(\.settlement.usage.output) == [9, 10])
        // Those behind the copies follow those before them.
        rig.end(count + 1, reserved: false)
        #expect(
            self.read(rig, from: UInt64(count) - 1) == [Int64(count) - 1, Int64(count), Int64(count) + 1])
    }

    /// The file that failed may read as anything from now on.
    @Test func copiesAreReadWhereTheyStandNow() throws {
        var (rig, count) = self.filled()
        rig.acknowledge(45)  // The rest of the first segment fits into the third.
        rig.sync(fails: true)
        let copies = rig.journal.currentSegmentID
        rig.prepareSpares()
        while let sync = rig.journal.nextSync(), sync.segment.id != copies { rig.journal.synced(sync) }
        rig.sync(fails: true)
        for index in [0, 2] {
            let file = rig.journal.files[index]
            rig.journal.files[index].bytes = [UInt8](repeating: 0xff, count: file.capacity)
        }
        #expect(rig.journal.segments[0].state == .rewritten && rig.journal.segments[2].state == .rewritten)
        #expect(self.read(rig, from: 1) == Array(46...Int64(count)))
        #expect(try rig.recover().says(rig.model))
    }

    @Test func whatCannotBeReadIsNamed() {
        var (rig, _) = self.filled()
        let outcome = rig.journal.segments[0].firstSequence + 3
        var walker = RecordWalker(
            rig.journal.files[0], seed: rig.journal.segments[0].seed, firstSequence: 1)
        for _ in 1..<outcome { _ = walker.next() }
        rig.journal.files[0].bytes[walker.offset + 40] ^= 1
        let page = rig.journal.backlog(from: 1, limit: 6).read()
        #expect(page.lost == [4] && page.outcomes.map(\.sequence) == [1, 2, 3, 5, 6])
        // Copying it fails as well, and says so; it is not taken for posted.
        rig.sync(fails: true)
        #expect(rig.journal.recordsLost == 1)
        #expect(rig.journal.backlog(from: 1, limit: 6).read() == page)
    }

    /// Copies of the first stand in the second when that fails as well. Once the first was acknowledged, so was all
    /// that stood before its copies: the second.
    @Test func acknowledgingOneFailedSegmentDoesNotAcknowledgeTheNext() throws {
        var (rig, number) = (JournalRig(), 0)
        while rig.journal.segments.count < 2 || number % 10 > 0 {
            rig.prepareSpares()
            number += 1
            rig.end(number, padding: 200, reserved: false)
        }
        rig.acknowledge(40)
        for _ in 1...2 {
            rig.prepareSpares()
            rig.sync(fails: true)
        }
        #expect(rig.journal.segments.prefix(2).map(\.state) == [.rewritten, .rewritten])
        let first = rig.journal.segments[0].lastSequence
        rig.acknowledge(Int(first) - 40)
        #expect(rig.journal.unacknowledged == rig.model.unacknowledged.count)
        #expect(self.read(rig, from: first + 1) == rig.model.unacknowledged.map(\.usage.output))
        var waiting = try rig.recover().unacknowledged()
        #expect(Set(waiting.next(limit: .max).map(\.settlement)).isSuperset(of: rig.model.unacknowledged))
        #expect(!rig.model.unacknowledged.isEmpty)
    }

    // MARK: What is reported durable (J4)

    /// The copies lie behind a segment that is synced meanwhile; then the power fails.
    @Test func whatWasCopiedIsDurableWhenTheCopiesAre() throws {
        var (rig, _) = self.filled()
        rig.acknowledge(45)  // The rest of the first segment fits into the third.
        rig.sync(fails: true)
        let copies = rig.journal.lastSequence
        var synced: Set<UInt64> = []
        while rig.journal.durableSequence < copies, let sync = rig.journal.nextSync() {
            // None of the outcomes of the first segment is on a disk before the segment with the copies is.
            #expect(rig.journal.durableSequence == 0)
            synced.insert(sync.segment.id)
            rig.journal.synced(sync)
        }
        #expect(synced.count == 2 && rig.journal.durableSequence == copies)
        var disk = rig.disk
        for index in disk.indices where !synced.contains(disk[index].id) {
            disk[index].bytes = [UInt8](repeating: 0, count: disk[index].bytes.count)
        }
        var waiting = try RecoveredBoot(disk, of: JournalFixtures.boot, mode: .salvage).unacknowledged()
        #expect(Set(waiting.next(limit: .max).map(\.settlement)) == Set(rig.model.unacknowledged))
    }

    @Test func aFailedSegmentGoesWhenItsCopiesAreOnDisk() {
        var (rig, count) = self.filled()
        rig.sync(fails: true)
        rig.acknowledge(count)
        let later: Int64 = 100 * 3_600_000
        #expect(rig.journal.retirable(steadyMilliseconds: later).isEmpty)
        while rig.sync() {}
        #expect(rig.journal.retirable(steadyMilliseconds: later).first == 1)
    }

    /// One wrong jump of the wall clock must not delete three days, nor one back keep them for ever.
    @Test(arguments: [Int64.max, 0, -1_000_000]) func theWallClockDoesNotAgeSegments(_ wall: Int64) {
        var (rig, count) = self.filled()
        rig.acknowledge(count)
        while rig.sync() {}
        rig.journal.tick(nowMilliseconds: wall, steadyMilliseconds: 2_000)
        #expect(rig.journal.retirable(steadyMilliseconds: 3_000).isEmpty)
        #expect(!rig.journal.retirable(steadyMilliseconds: 73 * 3_600_000).isEmpty)
    }
}
