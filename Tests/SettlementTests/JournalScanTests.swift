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
        _ disk: JournalDisk, except: Int = 2
    ) async throws -> JournalRecoveryScan.Findings {
        while try JournalDirectory.adopt(root: disk.root, boot: JournalDisk.boot(1)) == nil {
            await Task.yield()
        }
        return try JournalRecoveryScan(root: disk.root)
            .scan(except: [JournalDisk.boot(except)])
    }

    /// A rolling restart must not make orphans of what still runs (C8).
    @Test func aBootThatLivesIsNotRecovered() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        #expect(try JournalDirectory.adopt(root: disk.root, boot: JournalDisk.boot(1)) == nil)
        let findings = try JournalRecoveryScan(root: disk.root).scan(except: [])
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
            var handOver = ended.handOver()
            let action = handOver.proceed { settlement in
                posted.append(settlement)
                return ours.end(settlement, reserved: false)
            }
            guard case .copied(2, let last) = action else {
                Issue.record("\(action)")
                return
            }
            ended.mark(whenDurable: last, in: ours) { mark.yield($0) }
            #expect(await marks.first { _ in true } == .some(nil))
        }
        #expect(posted.map(\.authority) == [.owner, .recovery])
        #expect(Set(try disk.read(2).waiting) == Set(posted))

        // Marked: nothing waits any more, but a new ledger generation can have it again.
        #expect(try await Self.scan(disk).ended.isEmpty)
        do {
            let boot = try #require(try JournalRecoveryScan(root: disk.root).openMarked(JournalDisk.boot(1)))
            var reading = boot.recovered.retained()
            #expect(reading.next(limit: 9).map(\.settlement.hold) == [JournalDisk.settlement(1).hold])
            #expect(boot.recovered.openedHolds == Set([1, 2].map { JournalDisk.settlement($0).hold }))
            #expect(boot.recovered.waiting.isEmpty && boot.recovered.orphans.isEmpty)
        }

        // After the retention it goes, if somebody knows what time it is.
        let scan = JournalRecoveryScan(root: disk.root)
        #expect(scan.clean(nowMilliseconds: nil).isEmpty)
        #expect(scan.clean(nowMilliseconds: 1_000_000 + 72 * Self.hour - 1).isEmpty)
        #expect(try JournalDirectory.boots(root: disk.root).count == 2)
        try await disk.clean(scan, 1_000_000 + 72 * Self.hour, until: [2])
        await ours.stop()
    }

    /// By a clock that nobody trusts, a journal would be deleted too early, or never.
    @Test func aMarkOfAWrongClockCountsFromWhenTheTimeIsKnown() async throws {
        let now: Int64 = 1_800_000_000_000
        let future = now + 10_000 * Self.hour
        for (stamp, isTrusted) in [(Int64(1_000_000), false), (future, false), (future, true)] {
            let disk = JournalDisk()
            try await Self.endedBoot(disk)
            let ours = try disk.store(2, now: { stamp }, isClockTrusted: { isTrusted })
            let (marks, mark) = AsyncStream<JournalFileFailure?>.makeStream()
            do {
                let ended = try #require(try await Self.scan(disk).ended.first)
                ended.mark(whenDurable: 0, in: ours) { mark.yield($0) }
                #expect(await marks.first { _ in true } == .some(nil))
            }
            try await disk.waitUntilFree(1)
            #expect(try await Self.scan(disk).ended.isEmpty, "it is marked in any case")
            let scan = JournalRecoveryScan(root: disk.root)
            for later in [0, 1, 72 * Self.hour - 1] {
                #expect(scan.clean(nowMilliseconds: now + later).isEmpty)
                #expect(try JournalDirectory.boots(root: disk.root).count == 2, "\(stamp) \(later)")
            }
            try await disk.clean(scan, now + 72 * Self.hour, until: [2])
            await ours.stop()
        }
    }

    @Test func aDamagedBootIsRefusedLeftAloneAndSalvaged() async throws {
        let disk = JournalDisk()
        try await Self.endedBoot(disk)
        let path = "\(disk.root)/\(JournalDisk.boot(1))/0000000000000001.seg"
        let file = open(path, O_RDWR)
        var byte: UInt8 = 0
        #expect(pread(file, &byte, 1, off_t(JournalDisk.firstRecord + 50)) == 1)
        byte ^= 1
        #expect(pwrite(file, &byte, 1, off_t(JournalDisk.firstRecord + 50)) == 1)
        close(file)
        let damage = JournalDamage.record(segment: 1, offset: JournalDisk.firstRecord)
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
