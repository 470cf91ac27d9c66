import Dispatch
import Metering
import NIOCore
import NIOPosix
import Testing

@testable import Proxy

/// What the journal is told of an exchange before its outcome, so that whoever finds this process dead can settle it
/// (DESIGN §6, rules J3, J8). That nothing is charged that was not opened, and nothing opened twice, is audited
/// in every test of the server.
@Suite(.timeLimit(.minutes(10))) struct ServerJournalTests {
    typealias F = ServerFixtures

    /// The loop stands still in `opened` while upstream looks for bytes, and finds none.
    @Test func anExchangeIsOpenedBeforeItsFirstByteGoesUpstream() async throws {
        try await ServerRig.with { rig in
            let read = Watched<[Int]>([])
            let upstream = rig.upstream
            rig.settlements.watched.update { state in
                state.onOpened = {
                    // More turns of upstream's loops than it takes to accept a connection and to read of it.
                    let looked = DispatchSemaphore(value: 0)
                    for _ in 0..<20 {
                        for loop in MultiThreadedEventLoopGroup.singleton.makeIterator() {
                            loop.execute { looked.signal() }
                            looked.wait()
                        }
                    }
                    read.update { $0.append(upstream.state.bytesRead) }
                }
            }
            let client = try await rig.send(F.chat)
            let call = try await upstream.call()
            let opened = try #require(rig.settlements.watched.state.opened.values.first)
            #expect(opened.kind == .orphan && opened.authority == .recovery)
            #expect(
                opened.usage.output == 0
                    && opened.charge.amount.value == opened.usage.input * FakePrices.inputRate)
            #expect(opened.charge.amount > .zero && opened.estimatedBecause == .proxyDied)
            call.reply(F.reply)
            #expect(try await client.reply().status == 200)
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.hold == opened.hold)
            #expect(settlement.occurredAtMilliseconds == opened.occurredAtMilliseconds)
            // On a connection that is kept nothing holds a byte up.
            let bytesBefore = upstream.state.bytesRead
            try await client.send(F.chat)
            try await upstream.call(1).reply(F.reply)
            #expect(try await client.reply().status == 200)
            #expect(read.state == [0, bytesBefore] && upstream.state.connections == 1)
        }
    }

    /// Upstream closes the kept connection when it is leased and nothing is sent on it: in `opened`.
    @Test func itIsOpenedOnceAlsoWhenItIsSentAgain() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.send(F.chat)
            let first = try await rig.upstream.call(0)
            first.reply(F.reply)
            #expect(try await client.reply().status == 200)
            let port = rig.upstream.port
            rig.settlements.watched.update { state in
                state.onOpened = {
                    first.close()
                    KernelSockets.waitUntilNoneIsEstablished(to: port)
                }
            }
            try await client.send(F.chat)
            try await rig.upstream.call(1).reply(F.reply)
            #expect(try await client.reply().text == F.replyBody)
            let settlements = try await rig.settled(2)
            let state = rig.settlements.watched.state
            #expect(Set(state.opened.keys) == Set(settlements.map(\.hold)) && state.violations.isEmpty)
            #expect(rig.server.metrics.retries.load(ordering: .relaxed) == 1)
            // Told to the hold store: nothing was sent, it is sent; and both again.
            let told = rig.store.watched.state.progress[settlements[1].hold, default: []].map(\.value)
            #expect(told.count == 4 && told[0] == 0 && told[1] > 0 && told[2] == 0 && told[3] == told[1])
        }
    }

    @Test func whatNeverGotAConnectionIsNeverOpened() async throws {
        let refusing = try HeldPort(.refusing)
        defer { refusing.release() }
        try await ServerRig.with(configure: {
            $0.upstream = try UpstreamOrigin.parse("http://127.0.0.1:\(refusing.port)/v1")
        }) { rig in
            for strict in [false, true] {
                rig.settlements.watched.update { $0.isStrict = strict }
                let client = try await rig.send(F.chat)
                let settlements = try await rig.settled(strict ? 2 : 1)
                #expect(settlements.last?.kind == .void)
                if strict { try await ServerEndOrderTests.expectNoEnd(client) }
                rig.settlements.becameSafe()
                #expect(try await client.reply().status == 502)
            }
            #expect(rig.settlements.watched.state.opened.isEmpty)
            #expect(rig.store.watched.state.progress.values.allSatisfy { $0 == [.zero] })
        }
    }

    /// Once per second at most, never less than before, never behind the outcome.
    @Test func outputIsToldWhileItPasses() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.connect(keepsBytes: false)
            try await client.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead)
            call.drip(F.chunk(F.frame("hi")), every: .milliseconds(20))
            #expect(await rig.settlements.watched.until { $0.progress.count == 3 })
            let progress = rig.settlements.watched.state.progress
            for (earlier, later) in zip(progress, progress.dropFirst()) {
                #expect(later.at - earlier.at > .milliseconds(950))
                #expect(later.told.outputTokens > earlier.told.outputTokens)
            }
            let opened = try #require(rig.settlements.watched.state.opened.values.first)
            for (told, _) in progress {
                let output = told.outputTokens * FakePrices.outputRate
                #expect(told.charge.amount.value == opened.charge.amount.value + output)
            }
            await client.reset()
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.usage.output >= progress.last?.told.outputTokens ?? .max)
        }
    }

    /// Neither while nothing comes, nor for an exchange that waits for the disk.
    @Test func silenceIsNotTold() async throws {
        try await ServerRig.with { rig in
            rig.settlements.watched.update { $0.isStrict = true }
            let silent = try await rig.send(F.stream)
            try await rig.upstream.call(0).send(F.streamHead)
            let waiting = try await rig.send(F.stream)
            try await rig.upstream.call(1).reply(F.streamReply)
            _ = try await rig.settled(1)
            // A third one shows that seconds pass.
            let busy = try await rig.connect(keepsBytes: false)
            try await busy.send(F.stream)
            let call = try await rig.upstream.call(2)
            call.send(F.streamHead)
            call.drip(F.chunk(F.frame("hi")), every: .milliseconds(20))
            #expect(await rig.settlements.watched.until { $0.progress.count == 2 })
            #expect(Set(rig.settlements.watched.state.progress.map(\.told.hold)).count == 1)
            for client in [silent, waiting, busy] { await client.reset() }
            _ = try await rig.settled(3)
            rig.settlements.becameSafe()
        }
    }
}
