import Metering
import NIOCore
import Testing

@testable import Proxy

/// Exchanges that are served and not charged.
@Suite(.timeLimit(.minutes(10))) struct ServerWaivedTests {
    typealias F = ServerFixtures

    /// Controls that a test switches.
    final class Switch: ControlSource {
        let watched = Watched(Controls())
        var current: Controls { self.watched.state }
    }

    static let off: Switch = {
        let controls = Switch()
        controls.watched.update { $0.charging = false }
        return controls
    }()

    @Test func whoHasNothingIsServedAndChargedNothing() async throws {
        try await ServerRig.with(controls: Self.off) { rig in
            rig.store.watched.update { $0.balance = .zero }
            let client = try await rig.send(F.chat)
            let call = try await rig.upstream.call()
            let opened = try #require(rig.settlements.watched.state.opened.values.first)
            #expect(opened.kind == .waived && opened.charge.amount == .zero && opened.shadow > .zero)
            #expect(!call.body.holds("max_completion_tokens"), "nothing is clamped")
            call.reply(F.reply)
            let reply = try await client.reply()
            #expect(reply.status == 200)
            #expect(reply["x-tollgate-waived"] == "charging_off")
            #expect(reply["x-tollgate-held-millicredits"] == "0")
            #expect(reply["x-tollgate-charged-millicredits"] == "0")
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.kind == .waived && settlement.charge.amount == .zero)
            #expect(settlement.shadow.value == F.usageCharge && settlement.charge.cost.value > 0)
            // What a reaper would charge, all the time.
            #expect(rig.store.watched.state.progress.values.allSatisfy { $0.allSatisfy { $0 == .zero } })
            #expect(rig.store.watched.state.balance == .zero)
        }
    }

    /// A stream that would be cut at the end of its first step.
    @Test func aStreamIsNotCut() async throws {
        try await ServerRig.with(
            controls: Self.off, configure: { $0.limits.rollingStepTokens = 20 }
        ) { rig in
            rig.store.watched.update { $0.balance = .zero }
            let client = try await rig.send(ServerRollingTests.stream)
            let call = try await rig.upstream.call()
            call.reply(F.streamHead + F.chunk(ServerRollingTests.frames(0..<300)) + F.streamEnd)
            let reply = try await client.reply()
            #expect(reply.text.holds("w299\"") && reply.text.hasSuffix("data: [DONE]\n\n"))
            #expect(rig.store.watched.state.extended == 0)
            #expect(try await rig.settled(1)[0].kind == .waived)
        }
    }

    /// A switch in the middle changes nothing for those that were admitted.
    @Test(arguments: [true, false]) func itIsDecidedAtAdmission(chargesAtFirst: Bool) async throws {
        let controls = Switch()
        controls.watched.update { $0.charging = chargesAtFirst }
        try await ServerRig.with(controls: controls) { rig in
            let client = try await rig.send(F.stream)
            let call = try await rig.upstream.call()
            call.reply(F.streamHead + F.chunk(F.frame("hi")))
            try await client.received("hi\"")
            controls.watched.update { $0.charging = !chargesAtFirst }
            call.send(F.chunk(F.frame("there")) + F.streamEnd)
            #expect(try await client.reply().status == 200)
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.kind == (chargesAtFirst ? .final : .waived))
            #expect(settlement.charge.amount.value == (chargesAtFirst ? F.usageCharge : 0))
            #expect(settlement.shadow.value == F.usageCharge)
        }
    }

    /// What was never sent is no waived exchange.
    @Test func whatIsVoidStaysVoid() async throws {
        try await ServerRig.with(controls: Self.off) { rig in
            let client = try await rig.send(F.chat)
            try await rig.upstream.call().reply(F.upstreamReply("{}", status: "500 Oops"))
            #expect(try await client.reply().status == 502)
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.kind == .void && settlement.shadow == .zero)
        }
    }

    @Test func anotherModelIsRefusedBeforeAnythingIsHeld() async throws {
        let controls = Switch()
        controls.watched.update { $0.modelAllowlist = ["gpt-rolling"] }
        try await ServerRig.with(controls: controls) { rig in
            let reply = try await rig.ask(F.chat)
            #expect(reply.status == 403)
            #expect(
                reply.text.holds("\"code\":\"model_not_allowed\"") && reply.text.holds("\"param\":\"model\""))
            #expect(rig.store.watched.state.placed == 0)
            let list = try await rig.ask(F.get("/v1/models"))
            #expect(list.text.holds("gpt-rolling") && !list.text.holds("gpt-test"))
            #expect(try await rig.ask(F.get("/v1/models/gpt-test")).status == 403)
            #expect(try await rig.ask(F.get("/v1/models/gpt-rolling")).status == 200)
        }
    }
}
