import Glibc
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

@Suite(.timeLimit(.minutes(1))) struct JournalKeeperTests {
    private static let dead = JournalDisk.boot(1)
    private static let hour: Int64 = 3_600_000

    /// Holds 1 to 3 have an OPEN; only of 1 the ledger has the end for certain.
    @Test func theSweepHearsOfHoldsThatTheLedgerMayNotHave() async throws {
        let disk = JournalDisk()
        try await disk.endedBoot(1)
        let heir = try KeeperRig(disk, boot: 2)
        await heir.begin(generation: 1)
        #expect(heir.keeper.endedBoots == [Self.dead])
        let opened = (1...4).map { heir.keeper.isOpened(Self.dead, JournalDisk.settlement($0).hold) }
        #expect(opened == [false, true, true, false])
        #expect(Set(heir.journal.outcomes(from: 1).holds) == [2, 3])
        await heir.journal.stop()
    }

    /// F8 asks for those few that a reaper estimated; only then a recovered journal is read.
    @Test func onlyEstimatesWithoutOpenAreVoided() async throws {
        let first = try await KeeperRig.heir(generation: 1)
        await first.keeper.replay()
        let voids = JournalDisk.voids([1, 2, 3, 4], of: 1)
        #expect(await first.keeper.unopened(voids) == [voids[3]])
        await first.journal.stop()

        let second = try KeeperRig(first.disk, boot: 3)
        await second.begin(generation: 1)
        #expect(second.keeper.endedBoots.contains(Self.dead))
        #expect(second.keeper.reviewable.contains(Self.dead) && !second.keeper.isRecovered(Self.dead))
        #expect(await second.keeper.unopened(voids) == [voids[3]])
        #expect(second.keeper.isRecovered(Self.dead))
        #expect(await second.keeper.unopened(JournalDisk.voids([4], of: 9)).isEmpty)
        await second.journal.stop()
    }

    /// What was skipped may have been the OPEN.
    @Test func aJournalWithGapsVoidsNothing() async throws {
        let heir = try await KeeperRig.heir(generation: 1)
        await heir.keeper.replay()
        await heir.journal.stop()
        heir.disk.damage(1)
        let next = try KeeperRig(heir.disk, boot: 3)
        await next.begin(generation: 1)
        #expect(await next.keeper.unopened(JournalDisk.voids([1, 4], of: 1)).isEmpty)
        #expect(!next.keeper.isRecovered(Self.dead) && !next.keeper.reviewable.contains(Self.dead))
        await next.journal.stop()
    }

    /// A ledger that was set back may show an estimate that the outcome corrected.
    @Test func nothingIsVoidedBeforeTheLedgerHasWhatItLost() async throws {
        let heir = try await KeeperRig.heir(generation: 1)
        await heir.keeper.replay()
        heir.keeper.noted(generation: 2)
        #expect(heir.keeper.reviewable.isEmpty && !heir.keeper.isRecovered(Self.dead))
        await heir.keeper.replay()
        #expect(heir.keeper.reviewable == [Self.dead] && heir.keeper.isRecovered(Self.dead))
        await heir.journal.stop()
    }

    // MARK: Room

    /// A journal that is longer than the room in ours goes over in pieces, and admission goes on meanwhile.
    @Test func aTakeOverWaitsForRoomAndGoesOnFromThere() async throws {
        let disk = JournalDisk()
        try await Self.longBoot(disk)
        try await disk.waitUntilFree(1)
        let heir = try KeeperRig(disk, boot: 2)
        disk.isFull.store(true, ordering: .sequentiallyConsistent)
        await heir.begin(generation: 1)
        let before = heir.journal.outcomes(from: 1).holds
        #expect(!before.isEmpty && before.count < 300)
        #expect(heir.journal.isReady && JournalDirectory.recoveredAtMilliseconds(disk.path(1)) == nil)
        disk.isFull.store(false, ordering: .sequentiallyConsistent)
        await heir.takeOver(1)
        #expect(heir.journal.outcomes(from: 1).holds == Array(1...300))
        await heir.journal.stop()
    }

    private static func longBoot(_ disk: JournalDisk) async throws {
        let store = try disk.store(1)
        for number in 1...300 { while store.exchange(number) == nil { await Task.yield() } }
        await store.stop()
    }

    @Test func aBootThatNeverWroteIsDeletedAndItsEstimatesAreVoided() async throws {
        let disk = JournalDisk()
        do {
            // As kill -9 leaves it.
            let directory = try JournalDirectory.create(root: disk.root, boot: Self.dead)
            _ = try MappedSegment.create(
                id: 1, bytes: JournalFormat.segmentBytesMin, in: directory.path, calls: disk.calls)
        }
        let heir = try KeeperRig(disk, boot: 2)
        await heir.begin(generation: 1)
        #expect(try JournalDirectory.boots(root: disk.root) == [JournalDisk.boot(2)])
        let voids = JournalDisk.voids([1], of: 1)
        await heir.keeper.look()
        #expect(heir.keeper.isRecovered(Self.dead))
        #expect(await heir.keeper.unopened(voids) == voids)
        await heir.journal.stop()
    }

    @Test(arguments: [true, false]) func oldJournalsGoWhenTheTimeIsKnown(_ isKnown: Bool) async throws {
        let heir = try await KeeperRig.heir(generation: 1)
        let later = try KeeperRig(
            heir.disk, boot: 3, now: 1_000_000 + 73 * Self.hour, isClockTrusted: { isKnown })
        await later.begin(generation: 1)
        #expect(try JournalDirectory.boots(root: heir.disk.root).contains(Self.dead) == !isKnown)
        #expect(later.keeper.endedBoots.contains(Self.dead) == !isKnown)
        for rig in [heir, later] { await rig.journal.stop() }
    }

    // MARK: Faults

    /// Too many open files, say: that passes, and the outcomes must not wait for the next start.
    @Test func aJournalThatCouldNotBeReadIsTriedAgain() async throws {
        let disk = JournalDisk()
        try await disk.endedBoot(1)
        let segment = disk.firstSegment(of: 1)
        #expect(rename(segment, disk.root + "/aside") == 0 && mkdir(segment, 0o700) == 0)
        let heir = try KeeperRig(disk, boot: 2)
        await heir.begin(generation: 1)
        #expect(rmdir(segment) == 0 && rename(disk.root + "/aside", segment) == 0)
        await heir.keeper.look()
        #expect(!heir.keeper.endedBoots.contains(Self.dead))
        heir.letAnHourPass()
        await heir.takeOver(1)
        #expect(Set(heir.journal.outcomes(from: 1).holds) == [2, 3])
        await heir.journal.stop()
    }

    /// Reading three days of records must not stop all tasks of the process.
    @Test func journalsAreReadOnThreadsOfTheirOwn() async {
        // More at once than there are threads for tasks: they meet only if each has its own.
        let (meeting, guests) = (Meeting(), 64)
        await withTaskGroup { group in
            for _ in 0..<guests {
                group.addTask { await JournalThread.run { meeting.wait(for: guests) } }
            }
        }
        #expect(meeting.guests.load(ordering: .sequentiallyConsistent) == guests)
    }
}

private final class Meeting: Sendable {
    let guests = Atomic(0)

    func wait(for count: Int) {
        self.guests.add(1, ordering: .sequentiallyConsistent)
        while self.guests.load(ordering: .sequentiallyConsistent) < count { sched_yield() }
    }
}

extension JournalReading {
    /// Numbers of the outcomes.
    fileprivate var holds: [UInt64] {
        var reading = self
        return reading.next(limit: .max).map(\.settlement.hold.low)
    }
}
