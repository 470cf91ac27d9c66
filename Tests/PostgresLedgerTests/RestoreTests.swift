import Foundation
import LocalStores
import Metering
import Testing

@testable import PostgresLedger

/// A real point-in-time recovery: committed batches are gone, the timeline is new, and everything posted again ends
/// with the right money.
@Suite(.serialized) struct RestoreTests {
    @Test func aRestoredLedgerIsOfANewGenerationAndLosesNothingThatIsPostedAgain() async throws {
        let place = OwnCluster()
        defer { place.remove() }
        let outcomes = Outcomes()
        var server = try await place.start()
        let before = try TestDatabase(url: server.url)
        _ = try await Migrator().migrate(before.pool)
        let account = try await before.account("user", balance: 1000)
        let early = [outcomes.final(account, 100), outcomes.final(account, 20)]
        _ = try await before.ledger.settle(early)
        before.pool.shutDownAndWait()
        try await place.stop(server)
        try await place.backUp()

        server = try await place.start()
        let lost = try TestDatabase(url: server.url)
        let late = [outcomes.final(account, 300), outcomes.void(account)]
        let newest = try #require(try await lost.ledger.settle(late).balances.first)
        #expect(newest.generation == 1 && newest.balance.value == 580)
        lost.pool.shutDownAndWait()
        try await place.stop(server)

        try await place.restore()
        server = try await place.start()
        let restored = try TestDatabase(url: server.url)
        let timeline = try await restored.integer(
            "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)::bigint")
        #expect(timeline == 2)
        #expect(try await restored.balance(account) == 880)
        let generation = try await restored.ledger.checkGeneration()
        #expect(generation > newest.generation)
        #expect(try await restored.ledger.checkGeneration() == generation)
        #expect(try await restored.verifier.verify(journal: early + late).first?.total == 2)
        // The journals of 72 hours, all of them.
        let again = try await restored.ledger.settle(early + late)
        #expect(again.balances.map(\.balance.value) == [580])
        #expect(again.balances.map(\.generation) == [generation])
        #expect(try await restored.verifier.verify(journal: early + late).isEmpty)
        #expect(try await restored.verifier.verify().isEmpty)
        restored.pool.shutDownAndWait()
        try await place.stop(server)
    }
}

/// A cluster that is stopped, copied and put back.
private struct OwnCluster: Sendable {
    let directory = TemporaryStores.shared.directory + "/own-restore-\(UInt32.random(in: 0...UInt32.max))"

    /// Where the data really are: as root, elsewhere and linked.
    private var data: String {
        let wanted = self.directory + "/postgres"
        return (try? FileManager.default.destinationOfSymbolicLink(atPath: wanted)) ?? wanted
    }

    private var copy: String { self.data + ".backup" }

    /// restore_command counts only while recovery.signal is there. Without hot standby the server is ready when it is
    /// a primary, not while it still recovers.
    func start() async throws -> LocalPostgres {
        try await blocking {
            try LocalPostgres.start(
                directory: self.directory,
                settings: [
                    "fsync": "off", "synchronous_commit": "off", "autovacuum": "off",
                    "restore_command": "/bin/false", "hot_standby": "off",
                ])
        }
    }

    func stop(_ server: LocalPostgres) async throws { try await blocking { try server.stop() } }

    func backUp() async throws { try await self.run("cp", "-a", self.data, self.copy) }

    func restore() async throws {
        try await self.run("rm", "-rf", self.data)
        try await self.run("mv", self.copy, self.data)
        try await self.run("touch", self.data + "/recovery.signal")
        try await self.run("chown", "--reference=" + self.data, self.data + "/recovery.signal")
    }

    func remove() {
        for place in [self.data, self.copy, self.directory] {
            try? FileManager.default.removeItem(atPath: place)
        }
    }

    private func run(_ arguments: String...) async throws {
        try await blocking {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = arguments
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0, "\(arguments)")
        }
    }
}

/// Off the cooperative pool, for what takes seconds.
private func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
    }
}
