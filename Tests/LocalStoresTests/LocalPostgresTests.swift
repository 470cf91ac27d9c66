import Foundation
import LocalStores
import Testing

/// The private Postgres of dev mode must survive restarts and crashes, and leave nothing running.
struct LocalPostgresTests {
    static let fast = ["fsync": "off"]

    @Test func dataAndPasswordSurviveARestartAndStoppingLeavesNoProcess() throws {
        let scratch = ScratchDirectory()
        let first = try LocalPostgres.start(directory: scratch.path, settings: Self.fast)
        let password = try #require(URLComponents(string: first.url)?.password)
        _ = try first.makeDatabase(named: "kept")
        try first.stop()
        try first.stop()
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
        #expect(!FileManager.default.fileExists(atPath: scratch.path + "/postgres.lock"))

        let second = try LocalPostgres.start(directory: scratch.path, settings: Self.fast)
        #expect(URLComponents(string: second.url)?.password == password)
        #expect(throws: LocalStoresError.self, "the database of the first run is there") {
            try second.makeDatabase(named: "kept")
        }
        try second.stop()
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
    }

    /// Two starts on one directory would fight over the files of a living stack.
    @Test func aDirectoryInUseByALivingProcessIsRefused() throws {
        let scratch = ScratchDirectory()
        let owner = try LocalPostgres.start(directory: scratch.path, settings: Self.fast)
        let error = #expect(throws: LocalStoresError.self) {
            try LocalPostgres.start(directory: scratch.path)
        }
        #expect(error?.step.contains("in use by process \(getpid())") == true)
        #expect(owner.isRunning)
        try owner.stop()
    }

    @Test func aKilledServerIsRecoveredByTheNextStart() throws {
        let scratch = ScratchDirectory()
        let killed = try LocalPostgres.start(directory: scratch.path)
        _ = try killed.makeDatabase(named: "kept")
        try killed.kill()
        let next = try LocalPostgres.start(directory: scratch.path)
        #expect(throws: LocalStoresError.self) { try next.makeDatabase(named: "kept") }
        try next.dropDatabase(named: "kept")
        _ = try next.makeDatabase(named: "kept")
        try next.stop()
    }

    /// After a restart of the machine or the container the old pid may be anybody's.
    @Test func aStalePidFileThatNamesAnotherLivingProcessDoesNotStopTheStart() throws {
        let scratch = ScratchDirectory()
        let first = try LocalPostgres.start(directory: scratch.path, settings: Self.fast)
        try first.stop()
        let stale = "\(getppid())\n\(scratch.path)/postgres\n1\n5432\n\n127.0.0.1\n0 0\nready\n"
        try Data(stale.utf8).write(to: URL(fileURLWithPath: scratch.path + "/postgres/postmaster.pid"))
        let second = try LocalPostgres.start(directory: scratch.path, settings: Self.fast)
        #expect(second.isRunning)
        try second.stop()
    }

    /// Such as one below /root: the user that Postgres runs as must still reach its files.
    @Test func aDirectoryThatOthersCannotEnterWorksToo() throws {
        let scratch = ScratchDirectory(mode: 0o700)
        for _ in 0..<2 {
            let server = try LocalPostgres.start(directory: scratch.path, settings: Self.fast)
            try server.stop()
        }
        let data = try FileManager.default.destinationOfSymbolicLink(atPath: scratch.path + "/postgres")
        #expect(geteuid() != 0 || FileManager.default.fileExists(atPath: data + "/PG_VERSION"))
        try? FileManager.default.removeItem(atPath: (data as NSString).deletingLastPathComponent)
    }

    @Test func aWrongSettingIsReportedWithTheServersOwnWords() throws {
        let scratch = ScratchDirectory()
        let error = #expect(throws: LocalStoresError.self) {
            try LocalPostgres.start(
                directory: scratch.path, settings: ["fsync": "off", "no_such_setting": "1"])
        }
        #expect(error?.program == "postgres")
        #expect(error?.description.contains("no_such_setting") == true)
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
    }
}
