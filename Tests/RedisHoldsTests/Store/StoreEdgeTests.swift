import LedgerSim
import Metering
import MoneyPath
import Testing

@testable import RedisHolds

/// Progress, zero, and the largest numbers: what the random steps are unlikely to meet, on Redis and on the model.
@Suite struct StoreEdgeTests {
    /// Runs the steps on both, and returns what both said and how the hash looks after them.
    private static func run(
        _ steps: [StoreStep], _ maker: StepMaker
    ) async throws -> (codes: [Int64?], fields: [String: String], answers: [StoreAnswer]) {
        let client = try await ScriptClient()
        let scripts = try await ClockedScripts(client)
        var node = StoreNode(name: "m")
        let expected = steps.map { $0.run(on: &node) }
        let answers = try await scripts.run(steps)
        let fields = try await scripts.hashes([maker.account])[0]
        #expect(answers == expected)
        #expect(fields == node.accounts[maker.account]?.fields ?? [:])
        for value in fields.values { #expect(value != "-0" && !value.contains("e+") && value != "inf") }
        await client.close()
        return (answers.map(\.code), fields, answers)
    }

    /// What a reaper charges if the owner dies with its journal: the last progress, and of a model whose name has
    /// the separator in it.
    @Test(arguments: ["c@1/m", "openai@1/gpt|4o|mini", "c@1/|", "c@1/7|8|9"])
    func progressStaysTheLastField(_ priceID: String) async throws {
        var maker = StepMaker()
        maker.priceID = priceID
        let steps =
            maker.warm() + [
                maker.place(1, 100), maker.touch(1, 100), maker.touch(1, 100, progress: 42),
                maker.touch(1, 120), maker.reassert(1, 120, progress: 7),
                maker.reassert(2, 70, progress: 33), maker.touch(2, 70), maker.reassert(3, 50),
                maker.touch(3, 50, progress: 0), maker.reassert(4, 50),
                maker.reap(1).at(30_000), maker.touch(1, 120, progress: 99).at(30_000),
                // Nor may the reaper: what it took over is settled, never extended.
                maker.touch(1, 120, progress: 50).by(bootB).at(30_000),
            ]
        let (codes, fields, answers) = try await Self.run(steps, maker)
        #expect(codes == [nil, 0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 3, 3])
        guard case .reaped(.taken(let reaped)) = answers[12] else {
            Issue.record("REAP took nothing: \(answers[12])")
            return
        }
        #expect(reaped.progress == Millicredits(42) && reaped.priceID == priceID)
        #expect(reaped.amount == Millicredits(120) && reaped.inputEstimate == Millicredits(5))
        let noon = StoreStep.noon
        let meta = "5|\(priceID)|chat"
        #expect(fields["h:\(maker.hold(1))"] == "120|\(noon + 60_000)|\(bootB)~\(bootA)|\(noon)|\(meta)|42")
        #expect(fields["h:\(maker.hold(2))"] == "70|\(noon + 30_000)|\(bootA)|\(noon)|\(meta)|33")
        // Zero was said: nothing went upstream. That is not the same as nothing said.
        #expect(fields["h:\(maker.hold(3))"] == "50|\(noon + 30_000)|\(bootA)|\(noon)|\(meta)|0")
        #expect(fields["h:\(maker.hold(4))"] == "50|\(noon + 30_000)|\(bootA)|\(noon)|\(meta)|")
    }

    /// A8: nowhere `-0`, and no script stops half-way.
    @Test func zeroGoesThroughEveryScript() async throws {
        let maker = StepMaker()
        let none = SpendCaps(request: .zero, session: .zero, day: .zero)
        let steps =
            maker.warm { $0.balance = 0 } + [
                maker.place(1, 0, caps: none), maker.touch(1, 0, progress: 0), maker.extend(1, 0, caps: none),
                maker.capture(1, 0), maker.place(2, 0), maker.release(2), maker.reassert(3, 0),
                maker.posted(2, 0, (1, 0), (3, 0)), maker.capture(4, 0, force: true),
                maker.reassert(5, 0), maker.reap(5).at(30_000),
                maker.initialize {
                    $0.version = 3
                    $0.balance = 0
                    $0.settled = [(4, 0), (5, 0)]
                }, maker.place(6, 1), maker.evict().at(1_000_000),
            ]
        let (codes, fields, _) = try await Self.run(steps, maker)
        #expect(codes == [nil, 0, 0, 1, 1, 0, 0, 0, 0, 2, 3, 0, 1, 0, -2, 1])
        #expect(fields == [:])
    }

    /// Balances end at ±9e15, just below 2^53: from there to zero every digit counts.
    @Test func theLargestBalanceIsSpentToTheLastDigit() async throws {
        let maker = StepMaker()
        let most = Millicredits.magnitudeMax
        let caps = SpendCaps(
            request: Millicredits(most), session: Millicredits(most), day: Millicredits(most))
        let steps =
            maker.warm { $0.balance = most } + [
                maker.place(1, most - 1, caps: caps), maker.place(2, 2), maker.place(3, 2, caps: caps),
                maker.place(3, 1, caps: caps), maker.touch(1, most), maker.capture(1, most - 1),
                maker.capture(3, 1), maker.place(4, 1, least: 0), maker.posted(2, 0, (1, most - 1), (3, 1)),
                maker.posted(3, -most), maker.place(5, 0), maker.gate(2, floor: -most), maker.place(5, 1),
                maker.place(6, 0), maker.initialize { ($0.version, $0.balance, $0.gate) = (4, most, 2) },
            ]
        let (codes, fields, _) = try await Self.run(steps, maker)
        #expect(codes == [nil, 0, 0, -2, -4, 0, -2, 0, 0, 0, 2, 0, -2, 1, -2, 0, 0])
        #expect(fields["p"] == "\(most)" && fields["H"] == "0" && fields["U"] == "0")
    }

    /// 2^53 is the last integer that every double below it reaches; a credit line may lead up to it exactly.
    @Test(arguments: [-1, 0] as [Int64])
    func availableIsExactUpToTwoToTheFiftyThree(_ difference: Int64) async throws {
        let maker = StepMaker()
        let edge: Int64 = 1 << 53
        let most = Millicredits.magnitudeMax
        let floor = -(edge - most + difference)
        let steps =
            maker.warm {
                $0.balance = most
                $0.floor = floor
            } + [maker.place(1, most), maker.place(2, -floor), maker.place(3, 1), maker.place(4, 0)]
        let (codes, fields, _) = try await Self.run(steps, maker)
        #expect(codes == [nil, 0, 0, 0, -2, 0])
        #expect(fields["H"] == "\(edge + difference)")
    }

    /// A negative floor is a credit line, and half of a negative rest is rounded down.
    @Test(arguments: [-300, 0, 500] as [Int64], [-301, -1, 0, 7, 499] as [Int64])
    func floorsOfEitherSignAreRespected(_ floor: Int64, _ balance: Int64) async throws {
        let maker = StepMaker()
        let available = balance - floor
        let steps =
            maker.warm {
                $0.balance = balance
                $0.floor = floor
            } + [
                maker.place(1, max(0, available + 1)), maker.place(2, 10_000, least: 0),
                maker.place(3, 10_000, least: max(0, (available + 1) / 2)), maker.place(4, 1),
            ]
        let (codes, _, _) = try await Self.run(steps, maker)
        #expect(codes[2] == -2)
        #expect((codes[3] == 0) == (available >= 0))
    }
}
