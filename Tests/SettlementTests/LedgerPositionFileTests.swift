import Foundation
import Metering
import Testing

@testable import Settlement

/// A process that starts after the ledger was set back must see it, too.
@Suite struct LedgerPositionFileTests {
    private let position = LedgerPosition(
        origin: "7212/16384/16391", timeline: 3, generation: 1_764_000_000_000, flushed: 98_765)

    @Test func whatOneProcessHeardTheNextOneReads() async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        let file = LedgerPositionFile(root: disk.root)
        #expect(await file.read() == nil)
        try await file.write(self.position)
        var later = self.position
        later.flushed += 1
        try await file.write(later)
        #expect(await LedgerPositionFile(root: disk.root).read() == later)
        // It is in nobody's way.
        #expect(try JournalDirectory.boots(root: disk.root) == [JournalDisk.boot(1)])
        #expect(JournalRecoveryScan(root: disk.root).clean(nowMilliseconds: 1_000_000).isEmpty)
        #expect(await file.read() == later)
        await store.stop()
    }

    /// The first heartbeat comes before the first journal.
    @Test func withoutJournalsNothingIsWrittenAndNothingFails() async throws {
        let file = LedgerPositionFile(root: "/nonexistent/journals")
        try await file.write(self.position)
        #expect(await file.read() == nil)
    }

    /// Cut off, or of another program: nothing is concluded.
    @Test(arguments: ["", "\n", "3 1 98765 a/b/c", "3 1 98765\n", "3 1 x a/b/c\n", "3 1 2 a b\n"])
    func whatCannotBeReadIsNotThere(_ text: String) async throws {
        let disk = JournalDisk()
        let store = try disk.store(1)
        try Data(text.utf8).write(to: URL(fileURLWithPath: disk.root + "/ledger"))
        #expect(await LedgerPositionFile(root: disk.root).read() == nil)
        await store.stop()
    }
}
