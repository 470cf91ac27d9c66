import Foundation
import LocalStores
import Testing

/// The private Redis of dev mode: the same duties, and its password must not be seen.
struct LocalRedisTests {
    @Test func aSecondStartKeepsThePasswordAndStoppingLeavesNoProcess() throws {
        let scratch = ScratchDirectory()
        let first = try LocalRedis.start(directory: scratch.path)
        let password = try #require(URLComponents(string: first.url)?.password)
        try first.stop()
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
        let second = try LocalRedis.start(directory: scratch.path)
        #expect(URLComponents(string: second.url)?.password == password)
        try second.flush()
        try second.kill()
        #expect(try StoreProcesses.of(scratch.path).isEmpty)
        #expect(throws: LocalStoresError.self) { try second.flush() }
    }

    @Test func secretsArePrivateAndNotOnAnyCommandLine() throws {
        let scratch = ScratchDirectory()
        let redis = try LocalRedis.start(directory: scratch.path)
        let postgres = try LocalPostgres.start(directory: scratch.path, settings: ["fsync": "off"])
        let secrets = try [redis.url, postgres.url].map { try #require(URLComponents(string: $0)?.password) }
        for file in ["redis/redis.conf", "redis/secret", "postgres.secret", "postgres.log", "redis.log"] {
            let attributes = try FileManager.default.attributesOfItem(atPath: scratch.path + "/" + file)
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(file)")
        }
        for pid in try StoreProcesses.of(scratch.path) {
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
        let scratch = ScratchDirectory()
        let redis = try LocalRedis.start(directory: scratch.path, durable: false)
        let postgres = try LocalPostgres.start(directory: scratch.path, settings: ["fsync": "off"])
        let pids = try StoreProcesses.of(scratch.path)
        #expect(pids.count >= 2)
        for pid in pids { #expect(getsid(pid) != getsid(0)) }
        try redis.stop()
        try postgres.stop()
    }
}
