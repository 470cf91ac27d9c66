import Logging
import Metering
import Testing

@testable import RedisHolds

/// What `tollgate verify` reports about Redis.
@Suite struct AuditTests {
    @Test func everyBrokenLawIsReported() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000, version: 4)
        let hold = freshHold()
        _ = await rig.place(rig.request(100, hold: hold))
        let audit = try RedisAudit(url: server.url, group: ScriptClient.group, logger: Logger(label: "test"))
        var rows = try await audit.run()
        #expect(rows.map(\.account) == [rig.account])
        #expect(rows[0].problems == [] && rows[0].available == 900 && rows[0].balance?.version == 4)
        #expect(rows[0].holds == [SettledHold(hold: hold, amount: Millicredits(100))])

        let key = "a:{\(rig.account)}"
        _ = try await rig.client.command("HINCRBY", key, "H", "1")
        _ = try await rig.client.command("HSET", key, "u:\(hold)", "7|x", "p", "1e3")
        rows = try await audit.run()
        #expect(
            rows[0].problems == [
                .malformed(field: "p"), .heldSum(stored: 101, computed: 100),
                .capturedSum(stored: 0, computed: 7),
                .heldAndCaptured(hold),
            ])
        await rig.close()
    }

    @Test func thousandsOfAccountsAreAllRead() async throws {
        let server = try TestRedis()
        let client = try await ScriptClient(server.url)
        let accounts = (1...3000).map { AccountID($0) }
        _ = try await client.run(accounts.map { (.load, $0, ["n"]) })
        let audit = try RedisAudit(url: server.url, group: ScriptClient.group, logger: Logger(label: "test"))
        let rows = try await audit.run()
        #expect(
            rows.map(\.account) == accounts && rows.allSatisfy { $0.problems.isEmpty && $0.balance == nil })
        await client.close()
    }
}
