import Foundation
import LocalStores
import Testing

/// The private Redis of dev mode: the same duties as the private Postgres.
@Suite(.offThePool) struct LocalRedisTests {
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
}
