import Metering
import Testing

@testable import RedisHolds

/// What a session says of a running exchange, as it stands in Redis: a reaper of another process charges it.
@Suite struct ProgressTests {
    @Test func theLastProgressStandsInTheHoldAndSurvivesALossOfData() async throws {
        let server = try TestRedis()
        let rig = try await SessionRig(server: server) { $0.session.touchEvery = .milliseconds(40) }
        rig.ledger.set(rig.account, balance: 1000)
        let hold = freshHold()
        #expect(
            await rig.place(rig.request(100, hold: hold))
                == .granted(amount: .init(100), balance: .init(1000)))
        let tail = {
            try await rig.client.hash(rig.account)["h:\(hold)"]?.split(separator: "|", maxSplits: 4).last
        }
        #expect(try await tail() == "3|openai@1/gpt-4o|mini|chat|")
        for charge in [0, 42, 57] as [Int64] {
            await rig.session.onLoop { $0.progressed(hold, charge: Millicredits(charge)) }
            try await eventually("TOUCH carries \(charge)") {
                try await tail() == "3|openai@1/gpt-4o|mini|chat|\(charge)"
            }
        }
        // Everything is lost: REASSERT brings the progress back with the hold.
        _ = try await rig.client.command("FLUSHALL")
        try await eventually("the hold is back") { try await tail() == "3|openai@1/gpt-4o|mini|chat|57" }
        await rig.close()
    }
}
