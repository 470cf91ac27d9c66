import Foundation
import LocalStores
import Testing

/// What happens around the life of the process that owns the stores. Each body runs in a process of its own.
@Suite(.offThePool) struct KilledParentTests {
    /// The child is killed with both servers running, as `kill -9` of `tollgate dev` does.
    @Test func whatAKilledParentLeftRunningIsEndedByTheNextStart() async throws {
        let scratch = ScratchDirectory("orphan-\(getpid())")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            let directory = "/tmp/tollgate-stores-orphan-\(getppid())"
            let postgres = try LocalPostgres.start(directory: directory, settings: ["fsync": "off"])
            let redis = try LocalRedis.start(directory: directory)
            _ = try postgres.makeDatabase(named: "kept")
            withExtendedLifetime((postgres, redis)) { _ = raise(SIGKILL) }
        }
        let left = try StoreProcesses.of(scratch.path)
        #expect(left.count >= 2, "both servers outlive their parent")

        let postgres = try LocalPostgres.start(directory: scratch.path, settings: ["fsync": "off"])
        let redis = try LocalRedis.start(directory: scratch.path)
        #expect(try Set(StoreProcesses.of(scratch.path)).isDisjoint(with: left), "the killed run still lives")
        #expect(throws: LocalStoresError.self, "its data are kept") {
            try postgres.makeDatabase(named: "kept")
        }
        try postgres.stop()
        try redis.stop()
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
    }

    @Test(.enabled(if: geteuid() == 0, "only root can become another user"))
    func anOrdinaryUserCanRunBoth() async throws {
        let scratch = ScratchDirectory("nobody-\(getpid())", mode: 0o777)
        chmod(scratch.path, 0o777)
        await #expect(processExitsWith: .success) {
            let directory = "/tmp/tollgate-stores-nobody-\(getppid())"
            guard setgroups(0, nil) == 0, setgid(65534) == 0, setuid(65534) == 0 else { exit(3) }
            let postgres = try LocalPostgres.start(directory: directory, settings: ["fsync": "off"])
            let redis = try LocalRedis.start(directory: directory)
            try postgres.stop()
            try redis.stop()
        }
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
        let owner = try FileManager.default.attributesOfItem(atPath: scratch.path + "/postgres")
        #expect(owner[.ownerAccountID] as? UInt == 65534)
    }

    @Test func objectsThatAreDroppedTakeTheirServersWithThem() throws {
        let scratch = ScratchDirectory()
        do {
            let redis = try LocalRedis.start(directory: scratch.path)
            #expect(redis.isRunning)
        }
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
    }
}
