import Glibc
import Metering
import MoneyPath
import Synchronization
import Testing

@testable import Settlement

@Suite(.timeLimit(.minutes(2))) struct JournalScanTests {
    private static let hour: Int64 = 3_600_000

    /// Writes a journal of one outcome and one open exchange, and ends its process (here: its store).
    private static func endedBoot(_ disk: JournalDisk) async throws {
        let store = try disk.store(1)
        #expect(store.exchange(1) != nil)
        #expect(store.reserve() && store.open(JournalDisk.settlement(2, .orphan)))
        await store.stop()
    }

    /// The thread of an ended store lets go of the lock when it ends.
    private static func scan(
        _ disk: JournalDisk, except: Int = 2, now: Int64? = 1_000_000
    ) async throws -> JournalRecoveryScan.Findings {
        while try JournalDirectory.adopt(root: disk.root, boot: JournalDisk.boot(1)) == nil {
            await Task.yield()
        }
        return try JournalRecoveryScan(root: disk.root)
            .scan(except: [JournalDisk.boot(except)], nowMilliseconds: now)
    }

    /// A rolling restart must not make orphans of what still runs (C8).
    @Test func aBootThatLivesIsNotRecovered() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        #expect(try JournalDirectory.adopt(root: disk.root, boot: JournalDisk.boot(1)) == nil)
        let findings = try JournalRecoveryScan(root: disk.root).scan(except: [], nowMilliseconds: 0)
        #expect(findings.ended.isEmpty && findings.refused.isEmpty)
        await store.stop()
    }

    @Test func anotherProcessSeesTheLock() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        let lock = "\(store.directory.path)/lock"
        #expect(JournalDisk.run("/usr/bin/flock", ["-n", "-E", "9", lock, "/bin/true"]) == 9 << 8)
        await store.stop()
    }

    @Test func whatABootLeftGoesIntoOurJournalOnce() async throws {
        let disk = JournalDisk()
        try await Self.endedBoot(disk)
        let ours = try disk.store(2)
        var posted: [Settlement] = []
        let (marks, mark) = AsyncStream<JournalFileFailure?>.makeStream()
        do {
            let ended = try #require(try await Self.scan(disk).ended.first)
            #expect(ended.boot == JournalDisk.boot(1))
            let action = ended.handOver(
                to: ours,
                take: { settlement in
                    posted.append(settlement)
                    return ours.end(settlement, reserved: false)
                }, marked: { mark.yield($0) })
            guard case .copied(2, _) = action else {
                Issue.record("\(action)")
                return
            }
            #expect(await marks.first { _ in true } == .some(nil))
        }
        #expect(posted.map(\.authority) == [.owner, .recovery])
        #expect(Set(try disk.read(2).waiting) == Set(posted))

        // Marked: nothing waits any more, but a new ledger generation can have it again.
        #expect(try await Self.scan(disk).ended.isEmpty)
        var retained: [HoldID] = []
        var opened: Set<HoldID> = []
        try JournalRecoveryScan(root: disk.root)
            .visitRecovered(except: [JournalDisk.boot(2)]) { boot in
                var reading = boot.recovered.retained()
                retained += reading.next(limit: 9).map(\.settlement.hold)
                opened.formUnion(boot.recovered.openedHolds)
                #expect(boot.recovered.waiting.isEmpty && boot.recovered.orphans.isEmpty)
            }
        #expect(retained == [JournalDisk.settlement(1).hold])
        #expect(opened == Set([1, 2].map { JournalDisk.settlement($0).hold }))

        // After the retention it goes, if the clock that says so is trusted.
        _ = try await Self.scan(disk, now: nil)
        #expect(try JournalDirectory.boots(root: disk.root).count == 2)
        _ = try await Self.scan(disk, now: 1_000_000 + 72 * Self.hour)
        #expect(try JournalDirectory.boots(root: disk.root) == [JournalDisk.boot(2)])
        await ours.stop()
    }

    @Test func aDamagedBootIsRefusedLeftAloneAndSalvaged() async throws {
        let disk = JournalDisk()
        try await Self.endedBoot(disk)
        let path = "\(disk.root)/\(JournalDisk.boot(1))/0000000000000001.seg"
        let file = open(path, O_RDWR)
        var byte: UInt8 = 0
        #expect(pread(file, &byte, 1, 64 + 50) == 1)
        byte ^= 1
        #expect(pwrite(file, &byte, 1, 64 + 50) == 1)
        close(file)
        let damage = JournalDamage.record(segment: 1, offset: 64)
        let findings = try await Self.scan(disk)
        #expect(findings.ended.isEmpty && findings.refused == [JournalDisk.boot(1): .damage(damage)])
        let salvaged = try #require(try JournalRecoveryScan(root: disk.root).salvage(JournalDisk.boot(1)))
        #expect(salvaged.recovered.skipped == [damage])
        #expect(salvaged.recovered.waiting == [JournalDisk.settlement(1)])
    }

    /// A crash while a segment is made leaves a file without its name.
    @Test func aHalfMadeSegmentIsNoSegment() async throws {
        let disk = JournalDisk()
        try await Self.endedBoot(disk)
        let half = "\(disk.root)/\(JournalDisk.boot(1))/0000000000000009.seg.new"
        close(open(half, O_CREAT | O_RDWR, 0o600))
        let findings = try await Self.scan(disk)
        #expect(findings.refused.isEmpty && findings.ended.map(\.recovered.waiting.count) == [1])
    }
}
