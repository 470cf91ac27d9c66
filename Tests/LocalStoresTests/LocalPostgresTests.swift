import Foundation
import LocalStores
import Testing

/// The private Postgres of dev mode must survive restarts and crashes, leave nothing running, and show no secret.
@Suite(.serialized, .offThePool) struct LocalPostgresTests {
    static let fast = ["fsync": "off"]

    /// One cluster for most of these tests, which run one after the other: making one is the slow part.
    static let directory: String = {
        let path = "/tmp/tollgate-stores-shared-\(getpid())"
        atexit { try? FileManager.default.removeItem(atPath: LocalPostgresTests.directory) }
        return path
    }()

    @Test func dataAndPasswordSurviveARestartAndStoppingLeavesNoProcess() throws {
        let first = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        let password = try #require(URLComponents(string: first.url)?.password)
        _ = try first.makeDatabase(named: "kept")
        try first.stop()
        try first.stop()
        #expect(try StoreProcesses.of(Self.directory).isEmpty)
        #expect(!FileManager.default.fileExists(atPath: Self.directory + "/postgres.lock"))

        let second = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        #expect(URLComponents(string: second.url)?.password == password)
        #expect(throws: LocalStoresError.self, "the database of the first run is there") {
            try second.makeDatabase(named: "kept")
        }
        try second.dropDatabase(named: "kept")
        try second.stop()
        #expect(try StoreProcesses.of(Self.directory).isEmpty)
    }

    /// Two starts on one directory would fight over the files of a living stack.
    @Test func aDirectoryInUseByALivingProcessIsRefused() throws {
        let owner = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        let error = #expect(throws: LocalStoresError.self) {
            try LocalPostgres.start(directory: Self.directory)
        }
        #expect(error?.step.contains("in use by process \(getpid())") == true)
        #expect(owner.isRunning)
        try owner.stop()
    }

    @Test func aKilledServerIsRecoveredByTheNextStart() throws {
        let killed = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        _ = try killed.makeDatabase(named: "kept")
        try killed.kill()
        let next = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        #expect(throws: LocalStoresError.self) { try next.makeDatabase(named: "kept") }
        try next.dropDatabase(named: "kept")
        try next.stop()
    }

    /// After a restart of the machine or the container the old pid may be anybody's.
    @Test func aStalePidFileThatNamesAnotherLivingProcessDoesNotStopTheStart() throws {
        let first = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        try first.stop()
        let stale = "\(getppid())\n\(Self.directory)/postgres\n1\n5432\n\n127.0.0.1\n0 0\nready\n"
        try Data(stale.utf8).write(to: URL(fileURLWithPath: Self.directory + "/postgres/postmaster.pid"))
        let second = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        #expect(second.isRunning)
        try second.stop()
    }

    /// Such as one below /root: the user that Postgres runs as must still reach its files, and what is kept elsewhere
    /// for a temporary directory must go after it.
    @Test func aDirectoryThatOthersCannotEnterWorksAndLeavesNothingBehind() throws {
        let gone: String
        do {
            let scratch = ScratchDirectory(mode: 0o700)
            for _ in 0..<2 { try LocalPostgres.start(directory: scratch.path, settings: Self.fast).stop() }
            #expect(FileManager.default.fileExists(atPath: scratch.path + "/postgres/PG_VERSION"))
            let link = try? FileManager.default.destinationOfSymbolicLink(atPath: scratch.path + "/postgres")
            #expect((link == nil) == (geteuid() != 0))
            gone = link ?? scratch.path
        }
        let next = ScratchDirectory(mode: 0o700)
        try LocalPostgres.start(directory: next.path, settings: Self.fast).stop()
        #expect(!FileManager.default.fileExists(atPath: gone))
    }

    @Test func aWrongSettingIsReportedWithTheServersOwnWords() throws {
        let error = #expect(throws: LocalStoresError.self) {
            try LocalPostgres.start(
                directory: Self.directory, settings: ["fsync": "off", "no_such_setting": "1"])
        }
        #expect(error?.program == "postgres")
        #expect(error?.description.contains("no_such_setting") == true)
        #expect(try StoreProcesses.of(Self.directory).isEmpty)
    }

    @Test func secretsArePrivateAndNotOnAnyCommandLine() throws {
        let redis = try LocalRedis.start(directory: Self.directory)
        let postgres = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        let secrets = try [redis.url, postgres.url].map { try #require(URLComponents(string: $0)?.password) }
        for file in ["redis/redis.conf", "redis/secret", "postgres.secret", "postgres.log", "redis.log"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: Self.directory + "/" + file)
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(file)")
        }
        for pid in try StoreProcesses.of(Self.directory) {
            for part in ["cmdline", "environ"] {
                let text = FileManager.default.contents(atPath: "/proc/\(pid)/\(part)") ?? Data()
                for secret in secrets { #expect(!String(decoding: text, as: UTF8.self).contains(secret)) }
            }
        }
        try redis.stop()
        try postgres.stop()
    }

    /// The terminal sends Ctrl-C to its whole foreground group; the stores must outlive it until we stop them.
    @Test func serversDoNotShareOurSession() throws {
        let redis = try LocalRedis.start(directory: Self.directory, durable: false)
        let postgres = try LocalPostgres.start(directory: Self.directory, settings: Self.fast)
        let pids = try StoreProcesses.of(Self.directory)
        #expect(pids.count >= 2)
        for pid in pids { #expect(getsid(pid) != getsid(0)) }
        try redis.stop()
        try postgres.stop()
    }
}
