import Glibc
import Logging
import Metering
import MoneyPath
import Synchronization

@testable import Settlement

/// A ledger that notes what it is given.
final class NotingLedger: SettlementPosting {
    let holds = Mutex<[HoldID]>([])

    func reconnect() {}

    func settle(_ batch: [Settlement]) async throws -> SettlementReceipt {
        self.holds.withLock { $0 += batch.map(\.hold) }
        return SettlementReceipt(balances: [])
    }

    /// The numbers of `JournalDisk.settlement`.
    var numbers: [UInt64] { self.holds.withLock { $0.map(\.low) } }
}

/// One process of a host: its journal, and the keeper of all journals there.
struct KeeperRig {
    let disk: JournalDisk
    let journal: JournalStore
    let ledger = NotingLedger()
    let keeper: JournalKeeper
    private let seconds: HostSeconds

    init(
        _ disk: JournalDisk, boot: Int, now: Int64 = 1_000_000,
        isClockTrusted: @escaping @Sendable () -> Bool = { true }
    ) throws {
        self.disk = disk
        self.journal = try disk.store(boot, now: { now }, isClockTrusted: isClockTrusted)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let seconds = HostSeconds()
        self.seconds = seconds
        self.keeper = JournalKeeper(
            journal: self.journal, root: disk.root,
            settler: Settler(ledger: self.ledger, journal: self.journal, logger: logger), logger: logger,
            moment: {
                Moment(nanoseconds: 1_000_000_000 * seconds.now.load(ordering: .sequentiallyConsistent))
            },
            spareMillisecondsMax: 1)
    }

    /// Boot 2, after it took boot 1 over, with a ledger of this generation.
    static func heir(generation: Int64) async throws -> KeeperRig {
        let disk = JournalDisk()
        try await disk.endedBoot(1)
        let heir = try KeeperRig(disk, boot: 2)
        await heir.begin(generation: generation)
        await heir.takeOver(1)
        return heir
    }

    /// Starts as the process does, with a ledger of this generation.
    func begin(generation: Int64) async {
        self.keeper.noted(generation: generation)
        await self.keeper.begin()
    }

    /// Looks until this boot is marked as recovered, whatever that takes.
    func takeOver(_ boot: Int) async {
        let path = self.disk.path(boot)
        while JournalDirectory.recoveredAtMilliseconds(path) == nil {
            await self.keeper.look()
            await Task.yield()
        }
        // The mark is written before the lock is let go.
        try? await self.disk.waitUntilFree(boot)
        await self.keeper.look()
    }

    /// Whatever is left alone for a while may be tried again.
    func letAnHourPass() { self.seconds.now.add(3_601, ordering: .sequentiallyConsistent) }

    func generation(_ boot: Int) -> Int64 { JournalDirectory.generation(self.disk.path(boot)) }
}

private final class HostSeconds: Sendable {
    let now = Atomic<Int64>(1)
}

extension JournalDisk {
    /// A boot that ended: exchange 1 is acknowledged, 2 is not, 3 is open.
    func endedBoot(_ boot: Int) async throws {
        try await self.writeAndStop(boot)
        try await self.waitUntilFree(boot)
    }

    private func writeAndStop(_ boot: Int) async throws {
        let store = try self.store(boot)
        if let first = store.exchange(1) { store.acknowledge(through: first) }
        _ = store.exchange(2)
        _ = store.reserve() && store.open(Self.settlement(3, .orphan))
        await store.stop()
    }

    func firstSegment(of boot: Int) -> String { "\(self.path(boot))/0000000000000001.seg" }

    /// One bit of the boot's first record.
    func damage(_ boot: Int) {
        let file = Glibc.open(self.firstSegment(of: boot), O_RDWR)
        defer { close(file) }
        var byte: UInt8 = 0
        _ = pread(file, &byte, 1, off_t(JournalDisk.firstRecord + 50))
        byte ^= 1
        _ = pwrite(file, &byte, 1, off_t(JournalDisk.firstRecord + 50))
    }

    static func voids(_ numbers: [Int], of boot: Int) -> [Settlement] {
        numbers.map { number in
            Settlement.void(
                of: Self.settlement(number).hold, account: 7, owner: Self.boot(boot), endpoint: .chat,
                priceID: "p1")
        }
    }
}
