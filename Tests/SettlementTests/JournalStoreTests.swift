import Glibc
import Metering
import Synchronization
import Testing

@testable import MoneyPath
@testable import Settlement

@Suite(.timeLimit(.minutes(2))) struct JournalStoreTests {
    /// What `kill -9` leaves is the page cache: another mapping of the same files, no sync, no close.
    @Test func whatWasWrittenIsInTheFilesAtOnce() throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        #expect(store.exchange(1) != nil)
        #expect(store.reserve() && store.open(JournalDisk.settlement(2, .orphan)))
        store.progress(
            JournalDisk.settlement(2).hold,
            JournalProgress(
                output: 5, charge: Charge(amount: Millicredits(9), cost: .zero), shadow: Millicredits(9)))
        let found = try disk.read(1)
        #expect(found.waiting == [JournalDisk.settlement(1)])
        #expect(found.orphans.map(\.charge.amount) == [Millicredits(9)])
        #expect(found.openedHolds.count == 2)
        store.stop {}
    }

    @Test func filesAreForTheirOwnerOnly() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        var status = stat()
        #expect(stat(store.directory.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        for name in ["lock", "0000000000000001.seg", "0000000000000002.seg"] {
            #expect(stat("\(store.directory.path)/\(name)", &status) == 0 && status.st_mode & 0o777 == 0o600)
        }
        await store.stop()
    }

    @Test(arguments: JournalStore.SyncMode.allCases)
    func aRecordIsDurableAfterItsSyncAndNotBefore(_ mode: JournalStore.SyncMode) async throws {
        let disk = JournalDisk()
        let store = try disk.store(1, mode)
        let before = disk.syncs.load(ordering: .sequentiallyConsistent)
        let sequence = try #require(store.exchange(1))
        await store.durable(sequence)
        #expect(disk.syncs.load(ordering: .sequentiallyConsistent) > before)
        #expect(store.state.withLock { $0.journal.durableSequence } >= sequence)
        await store.stop()
    }

    /// One thread per event loop, the settler beside them.
    @Test func recordsOfManyThreadsAreAllThere() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1, segmentBytes: 1 << 20)
        await withTaskGroup { group in
            for loop in 0..<4 {
                group.addTask {
                    for number in 1...300 {
                        while store.exchange(loop * 1_000 + number) == nil { await Task.yield() }
                    }
                }
            }
        }
        #expect(try disk.read(1).waiting.count == 1_200)
        var reading = store.outcomes(from: 1)
        let outcomes = reading.next(limit: .max)
        #expect(Set(outcomes.map(\.settlement.hold)).count == 1_200 && reading.unreadable == 0)
        store.acknowledge(through: try #require(outcomes.last?.sequence))
        await store.stop()
        #expect(try disk.read(1).waiting.isEmpty)
    }

    /// Three days of segments must not be three days of open files.
    @Test func segmentsThatWereLeftAreClosedAndStillRead() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        for number in 1...500 { while store.exchange(number) == nil { await Task.yield() } }
        await store.stop()
        store.state.withLock { state in
            #expect(state.journal.files.count > 3)
            #expect(state.journal.files.dropLast().allSatisfy { $0.descriptor == nil })
        }
        var reading = store.outcomes(from: 1)
        #expect(reading.next(limit: .max).count == 500)
    }

    @Test func oldSegmentsAreDeletedWhenAllIsPosted() async throws {
        let disk = JournalDisk()
        let clock = ManualClock()
        let store = try disk.store(1, steady: { clock.now.load(ordering: .sequentiallyConsistent) })
        var last: UInt64 = 0
        for number in 1...300 {
            while true {
                if let sequence = store.exchange(number) {
                    last = sequence
                    break
                }
                await Task.yield()
            }
        }
        await store.durable(last)
        store.acknowledge(through: last)
        clock.now.add(73 * 3_600_000, ordering: .sequentiallyConsistent)
        await store.durable(last)
        while JournalDisk.names(store.directory.path).contains("0000000000000001.seg") {
            store.acknowledge(through: last)
            await Task.yield()
        }
        #expect(try disk.read(1).waiting.isEmpty)
        await store.stop()
    }

    // MARK: Faults

    @Test func afterASyncErrorTheRecordsAreInAnotherSegment() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1, .strict)
        await store.durable(try #require(store.exchange(1)))
        disk.syncsUntilFailure.store(0, ordering: .sequentiallyConsistent)
        let second = try #require(store.exchange(2))
        await store.durable(second)
        #expect(store.syncFailures.load(ordering: .relaxed) == 1)
        #expect(try disk.read(1).waiting.map(\.hold) == [1, 2].map { JournalDisk.settlement($0).hold })
        // The file that failed may hold anything now.
        let failed = "\(store.directory.path)/0000000000000001.seg"
        #expect(JournalDisk.run("/usr/bin/truncate", ["-s", "0", failed]) == 0)
        #expect(
            JournalDisk.run("/usr/bin/truncate", ["-s", "\(JournalFormat.segmentBytesMin)", failed]) == 0)
        #expect(
            Set(try disk.read(1).waiting.map(\.hold)) == Set([1, 2].map { JournalDisk.settlement($0).hold }))
        await store.stop()
    }

    /// Records that are on no disk and in no other segment yet: others should be sent elsewhere.
    @Test func aSegmentThatFailedAndWaitsForRoomIsNotReady() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        #expect(store.isReady)
        store.state.withLock { $0.journal.failedCount = 1 }
        #expect(!store.isReady)
        store.state.withLock { $0.journal.failedCount = 0 }
        await store.stop()
    }

    /// A clock that is a year ahead must not cost three days of outcomes.
    @Test func nothingIsDeletedByAClockThatNobodyTrusts() async throws {
        let disk = JournalDisk()
        let (clock, isTrusted) = (ManualClock(), ManualClock())
        isTrusted.now.store(0, ordering: .sequentiallyConsistent)
        let store = try disk.store(
            1, now: { clock.now.load(ordering: .sequentiallyConsistent) },
            isClockTrusted: { isTrusted.now.load(ordering: .sequentiallyConsistent) == 1 })
        var last: UInt64 = 0
        for number in 1...50 {
            while true {
                if let sequence = store.exchange(number) {
                    last = sequence
                    break
                }
                await Task.yield()
            }
        }
        store.acknowledge(through: last)
        clock.now.add(73 * 3_600_000, ordering: .sequentiallyConsistent)
        for _ in 0..<5 { await store.durable(try #require(store.exchange(1_000))) }
        #expect(JournalDisk.names(store.directory.path).contains("0000000000000001.seg"))
        await store.stop()
    }

    @Test func aFullDiskStopsAdmissionUntilThereIsSpace() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        // A segment that was being prepared when the disk became full may still come.
        while store.spareFailures.load(ordering: .relaxed) == 0 || store.isReady {
            disk.isFull.store(true, ordering: .sequentiallyConsistent)
            _ = store.reserve()
            await Task.yield()
        }
        // Whoever was admitted can still end.
        let reserved = store.state.withLock { $0.journal.unopened }
        #expect(reserved > 0 && !store.isReady)
        for number in 1...reserved {
            #expect(store.open(JournalDisk.settlement(number, .orphan)))
            #expect(store.end(JournalDisk.settlement(number), reserved: true) != nil)
        }
        while store.exchange(Int.random(in: 1_000_000...(.max >> 16))) != nil { await Task.yield() }
        #expect(!store.isReady)
        disk.isFull.store(false, ordering: .sequentiallyConsistent)
        while !store.reserve() { await Task.yield() }
        store.giveBackReservation()
        await store.stop()
        // The next segment may be in preparation for as long as the thread runs; what failed leaves nothing behind.
        let names = JournalDisk.names(store.directory.path)
        #expect(names.contains { $0.hasSuffix(".seg") } && names.allSatisfy { !$0.hasSuffix(".new") })
    }

    @Test func aDiskThatIsFullAtTheStartIsToldByName() {
        let disk = JournalDisk()
        disk.isFull.store(true, ordering: .sequentiallyConsistent)
        let path = "\(disk.root)/\(JournalDisk.boot(1))/0000000000000001.seg"
        #expect(throws: JournalFileFailure(.allocate, path, code: ENOSPC)) { try disk.store(1) }
    }

    @Test func figuresAreOneSamplePerName() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        _ = store.exchange(1)
        let samples = store.samples()
        #expect(Set(samples.map(\.name)).count == samples.count)
        #expect(
            samples.first { $0.name == "journal_unacknowledged" }?.value
                == ExactDecimal(coefficient: 1, scale: 0))
        await store.stop()
    }
}

private final class ManualClock: Sendable {
    let now = Atomic<Int64>(1_000_000)
}
