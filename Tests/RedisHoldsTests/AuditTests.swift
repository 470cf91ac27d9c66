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

    /// A release that knows no W ends waived holds and leaves it: a cold load adds it up again.
    @Test(arguments: ["H", "U", "W"]) func aWrongSumIsRightAfterTheSweepMadeItsAccountCold(_ sum: String)
        async throws
    {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server)
        rig.ledger.set(rig.account, balance: 1000)
        _ = await rig.place(rig.request(100))
        let sweep = rig.holds.sweep
        #expect(try await sweep.accounts(from: nil).accounts.map(\.hasWrongSums) == [false])
        _ = try await rig.client.command("HINCRBY", "a:{\(rig.account)}", sum, "5")
        #expect(try await sweep.accounts(from: nil).accounts.map(\.hasWrongSums) == [true])
        #expect(try await sweep.cool(rig.account))
        #expect(try await !sweep.cool(rig.account), "it is cold")
        let reads = rig.ledger.reads
        #expect(
            await rig.place(rig.request(10))
                == .granted(amount: Millicredits(10), balance: Millicredits(1000)))
        #expect(rig.ledger.reads == reads + 1)
        let audit = try await rig.client.audit(rig.account)
        #expect(audit.problems == [] && audit.held == 110 && audit.captured == 0 && audit.waived == 0)
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
