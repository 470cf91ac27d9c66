import Foundation
import LocalStores
import Testing

/// What every other test target builds on.
@Suite(.offThePool) struct TemporaryStoresTests {
    @Test func databasesAreSeparateAndServersShared() throws {
        let stores = TemporaryStores.shared
        let (one, two) = (try stores.freshDatabase(), try stores.freshDatabase())
        #expect(one != two)
        #expect(URLComponents(string: one)?.port == URLComponents(string: two)?.port)
        #expect(try stores.sharedRedis() === stores.sharedRedis())
        #expect(try stores.ownRedis().port != stores.sharedRedis().port)
    }

    /// Tests of one process start them from many threads at once.
    @Test func manyThreadsGetOneServerAndManyDatabases() async throws {
        let urls = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<8 { group.addTask { try TemporaryStores.shared.freshDatabase() } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(urls.count == 8)
        #expect(Set(urls.compactMap { URLComponents(string: $0)?.port }).count == 1)
    }

    @Test func aProcessThatExitsLeavesNothingAndOneThatIsKilledIsCleanedUpAfter() async throws {
        let note = ScratchDirectory("note-\(getpid())")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            let stores = TemporaryStores.shared
            _ = try (stores.sharedPostgres(), stores.sharedRedis())
            let path = "/tmp/tollgate-stores-note-\(getppid())/directory"
            try Data(stores.directory.utf8).write(to: URL(fileURLWithPath: path))
            _ = raise(SIGKILL)
        }
        let killed = try String(contentsOfFile: note.path + "/directory", encoding: .utf8)
        await #expect(processExitsWith: .success) {
            let path = "/tmp/tollgate-stores-note-\(getppid())/directory"
            try Data(TemporaryStores.shared.directory.utf8).write(to: URL(fileURLWithPath: path))
            _ = try TemporaryStores.shared.sharedRedis()
            exit(0)
        }
        let exited = try String(contentsOfFile: note.path + "/directory", encoding: .utf8)
        #expect(exited != killed)
        for directory in [killed, exited] {
            #expect(try StoreProcesses.of(directory).isEmpty)
            #expect(!FileManager.default.fileExists(atPath: directory))
        }
    }
}
