import NIOCore
import Testing

@testable import Proxy

/// Whoever is slow slows down whoever feeds it, and nobody else. What is in flight is seen from outside: by
/// the bytes that the sender's kernel took. Both kernels' buffers are part of that, several megabytes on each
/// side.
@Suite(.timeLimit(.minutes(10))) struct ServerBackPressureTests {
    typealias F = ServerFixtures

    /// Buffers of the kernel (4 MiB to send, 6 MiB to receive, at most), and a little of ours.
    static let inFlightMax = 16 << 20
    static let total = 64 << 20

    @Test func aSlowClientOfAStreamHoldsUpstreamBack() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.connect(receiveBuffer: 64 << 10, keepsBytes: false)
            try await client.send(F.stream)
            let call = try await rig.upstream.call()
            call.send(F.streamHead)
            #expect(await client.watched.until { $0.bytesReceived > 0 })
            try await client.pause()
            let pieces = Self.total / F.bulk.chunk.readableBytes
            call.pump(F.bulk.chunk, times: pieces)
            let stalledAt = try await rig.upstream.stalls(call.connection)
            #expect(stalledAt < Self.inFlightMax, "\(stalledAt) bytes are under way")
            try await client.resume()
            #expect(
                await rig.upstream.watched.until { $0.bytesPumped[call.connection] == Self.pumped(pieces) })
            call.reply(F.streamEnd)
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.charge.amount.value == F.usageCharge && settlement.estimatedBecause == nil)
            let payload = pieces * F.bulk.frames * F.frame(String(repeating: "x", count: 950)).utf8.count
            #expect(await client.watched.until { $0.bytesReceived > payload }, "every byte arrives")
        }
    }

    private static func pumped(_ pieces: Int) -> Int { pieces * F.bulk.chunk.readableBytes }

    /// A reply too large to be held until its charge is known is passed on under the same rule.
    @Test func aSlowClientOfAWholeReplyHoldsUpstreamBack() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.connect(receiveBuffer: 64 << 10, keepsBytes: false)
            try await client.send(F.chat)
            let call = try await rig.upstream.call()
            let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 64 << 10)
            let pieces = Self.total / piece.readableBytes
            let (start, end) = ("{\"x\":\"", "\",\(F.usage)}")
            let length = start.utf8.count + Self.total + end.utf8.count
            call.send(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: \(length)\r\n\r\n"
                    + start)
            #expect(await client.watched.until { $0.bytesReceived > 0 })
            try await client.pause()
            call.pump(piece, times: pieces)
            let stalledAt = try await rig.upstream.stalls(call.connection)
            #expect(stalledAt < Self.inFlightMax, "\(stalledAt) bytes are under way")
            try await client.resume()
            #expect(await rig.upstream.watched.until { $0.bytesPumped[call.connection] == Self.total })
            call.reply(end)
            #expect(try await rig.settled(1)[0].charge.amount.value == F.usageCharge)
            #expect(await client.watched.until { $0.bytesReceived > length }, "every byte arrives")
        }
    }

    @Test func aSlowClientOfTheControlPlaneHoldsTheResponderBack() async throws {
        try await ServerRig.with { rig in
            let client = try await rig.connect(receiveBuffer: 64 << 10, keepsBytes: false)
            try await client.pause()
            try await client.send(F.get("/api/large"))
            let total = FakeControlPlane.largePieces * FakeControlPlane.largePiece.readableBytes
            var last = -1
            while case let now = rig.control.watched.state.largeBytesWritten, now != last || now == 0 {
                last = now
                _ = await rig.control.watched.until(within: .milliseconds(400)) { $0.largeBytesWritten > now }
            }
            #expect(last < Self.inFlightMax && last < total, "\(last) bytes are under way")
            try await client.resume()
            #expect(await client.watched.until { $0.bytesReceived > total })
        }
    }

    /// Only so much is read ahead of a client that pipelines; the rest is left in its socket.
    @Test func aSlowHoldStoreHoldsTheClientBack() async throws {
        try await ServerRig.with(configure: { $0.limits.pipelinedBytesMax = 64 << 10 }) { rig in
            rig.store.watched.update { $0.isClosed = true }
            let client = try await rig.send(F.chat)
            #expect(await rig.store.watched.until { $0.waiting == 1 })
            let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 10)
            let pieces = Self.total / piece.count
            for _ in 0..<pieces { client.offer(piece) }
            let taken = await client.stalls()
            #expect(taken < Self.inFlightMax, "\(taken) bytes are under way")
            try await rig.store.openGate()
            try await rig.upstream.call().reply(F.reply)
            #expect(try await client.reply().text == F.replyBody)
            // What came behind is a method without an end.
            #expect(try await client.reply().status == 431)
        }
    }

    /// Upstream that does not read costs the memory of the request and nothing else.
    @Test func aSlowUpstreamHoldsNobodyElseBack() async throws {
        try await ServerRig.with(readsRequests: false) { rig in
            let client = try await rig.send(
                F.post(F.streamBody + String(repeating: " ", count: 16 << 20)))
            try await rig.eventually("it is on its way upstream") { rig.upstream.state.connections == 1 }
            for _ in 0..<10 { #expect(try await rig.ask(F.health).status == 200) }
            await client.reset()
            let settlement = try await rig.settled(1)[0]
            #expect(settlement.kind == .void, "upstream never had the whole request")
        }
    }

    /// One loop, one stream at full speed and one that sends a frame at a time: the second must not wait for
    /// the first.
    @Test func aStreamAtFullSpeedDoesNotStarveAnother() async throws {
        try await ServerRig.with { rig in
            let fast = try await rig.connect(keepsBytes: false)
            try await fast.send(F.stream)
            let flood = try await rig.upstream.call(0)
            flood.send(F.streamHead)
            #expect(await fast.watched.until { $0.bytesReceived > 0 })
            // What comes of the fast one between a frame's writing and its reading, both on their loops: how long the
            // test waits for its turn does not count.
            let passed = Watched((sentAt: Int?.none, bytes: 0))
            let slow = try await rig.connect(saying: F.stream) { _, _ in
                passed.update { passed in
                    if let sentAt = passed.sentAt { passed.bytes += fast.state.bytesReceived - sentAt }
                    passed.sentAt = nil
                }
            }
            let drops = try await rig.upstream.call(1)
            drops.send(F.streamHead)
            flood.pump(F.bulk.chunk, times: 100_000)
            #expect(await fast.watched.until { $0.bytesReceived > 1 << 20 })
            let before = fast.state.bytesReceived
            let rounds = 40
            for round in 0..<rounds {
                drops.channel.eventLoop.execute {
                    passed.update { $0.sentAt = fast.state.bytesReceived }
                    drops.send(F.chunk(F.frame("<\(round)>")))
                }
                try await slow.received("<\(round)>")
            }
            #expect(fast.state.bytesReceived > before, "the fast one goes on")
            let each = passed.state.bytes / rounds
            #expect(each < 16 << 20, "\(each) bytes of the one per frame of the other")
            drops.reply(F.streamEnd)
            #expect(try await slow.reply().status == 200)
            await fast.reset()
            #expect(try await rig.settled(2).count == 2)
        }
    }
}
