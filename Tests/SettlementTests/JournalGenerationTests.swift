import Glibc
import Metering
import MoneyPath
import Testing

@testable import Settlement

/// A ledger that was set back gets what it lost, from every journal there is (rules P7, J6).
@Suite(.timeLimit(.minutes(1))) struct JournalGenerationTests {
    /// What one process has posted again says nothing of the other's journal.
    @Test func eachProcessOfAHostPostsItsOwnJournalAgain() async throws {
        let disk = JournalDisk()
        let (one, two) = (try KeeperRig(disk, boot: 1), try KeeperRig(disk, boot: 2))
        for rig in [one, two] { await rig.begin(generation: 1) }
        #expect([one.generation(1), two.generation(2)] == [1, 1])
        #expect(one.journal.exchange(1) != nil && two.journal.exchange(2) != nil)
        for rig in [one, two] { rig.keeper.noted(generation: 2) }
        await one.keeper.replay()
        #expect(one.ledger.numbers == [1] && one.generation(1) == 2 && one.generation(2) == 1)
        await two.keeper.replay()
        #expect(two.ledger.numbers == [2] && one.generation(2) == 2)
        // Once is enough.
        await two.keeper.replay()
        #expect(two.ledger.numbers == [2])
        for rig in [one, two] { await rig.journal.stop() }
    }

    /// What it had acknowledged is in no other journal.
    @Test func aBootThatDiedBeforeItHeardOfTheGenerationIsPostedByWhoeverTakesItOver() async throws {
        let heir = try await KeeperRig.heir(generation: 2)
        #expect(!heir.keeper.isRecovered(JournalDisk.boot(1)))
        await heir.keeper.replay()
        #expect(heir.ledger.numbers == [1, 2])
        #expect(heir.generation(1) == 2 && heir.keeper.isRecovered(JournalDisk.boot(1)))
        await heir.journal.stop()
    }

    /// The heir may be gone before the next generation comes.
    @Test func aRecoveredBootIsPostedToEachGeneration() async throws {
        let heir = try await KeeperRig.heir(generation: 1)
        await heir.keeper.replay()
        await heir.journal.stop()
        let next = try KeeperRig(heir.disk, boot: 3)
        await next.begin(generation: 1)
        await next.keeper.replay()
        #expect(!next.ledger.numbers.contains(1))
        next.keeper.noted(generation: 2)
        await next.keeper.replay()
        #expect(next.ledger.numbers.contains(1) && next.generation(1) == 2)
        await next.journal.stop()
    }

    @Test func aLockedJournalIsNotDone() async throws {
        let heir = try await KeeperRig.heir(generation: 2)
        do {
            let lock = try #require(
                try JournalDirectory.adopt(root: heir.disk.root, boot: JournalDisk.boot(1)))
            await heir.keeper.replay()
            withExtendedLifetime(lock) {}
        }
        #expect(!heir.ledger.numbers.contains(1) && heir.generation(1) == 0)
        await heir.keeper.replay()
        #expect(heir.ledger.numbers == [1, 2] && heir.generation(1) == 2)
        await heir.journal.stop()
    }

    @Test func aGenerationThatCouldNotBeWrittenIsNotDone() async throws {
        let heir = try await KeeperRig.heir(generation: 2)
        let obstacle = "\(heir.disk.path(1))/generation.new"
        #expect(mkdir(obstacle, 0o700) == 0)
        await heir.keeper.replay()
        #expect(heir.generation(1) == 0 && !heir.keeper.isRecovered(JournalDisk.boot(1)))
        #expect(rmdir(obstacle) == 0)
        // Not at once: a heir.disk in trouble would have the whole journal posted every second.
        await heir.keeper.replay()
        #expect(heir.generation(1) == 0)
        heir.letAnHourPass()
        await heir.keeper.replay()
        #expect(heir.generation(1) == 2)
        await heir.journal.stop()
    }

    /// Nothing is true of the journals behind a bad one.
    @Test func aDamagedJournalIsNotDoneAndStopsNoOther() async throws {
        let disk = JournalDisk()
        for boot in [1, 2] { try await disk.endedBoot(boot) }
        let heir = try KeeperRig(disk, boot: 3)
        await heir.begin(generation: 2)
        for boot in [1, 2] { await heir.takeOver(boot) }
        disk.damage(1)
        await heir.keeper.replay()
        #expect(heir.generation(1) == 0 && heir.generation(2) == 2)
        // Of the damaged one there is what can be read.
        #expect(heir.ledger.numbers.filter { $0 == 2 }.count == 2)
        await heir.journal.stop()
    }

    @Test(arguments: ["", "7", "x\n", "99999999999999999999\n"])
    func aFileThatSaysNothingIsNoGeneration(_ text: String) async throws {
        let disk = JournalDisk()
        try await disk.endedBoot(1)
        let file = open("\(disk.path(1))/generation", O_WRONLY | O_CREAT, 0o600)
        _ = write(file, text, text.utf8.count)
        close(file)
        #expect(JournalDirectory.generation(disk.path(1)) == 0)
    }
}
