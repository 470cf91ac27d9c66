import NIOCore
import Testing

@testable import Proxy

/// One upstream connection over real sockets: where messages end, and what is reported when they do not.
@Suite(.timeLimit(.minutes(5))) struct UpstreamConnectionTests {
    static let ok = "HTTP/1.1 200 OK\r\n"
    static let five = ok + "Content-Length: 5\r\n\r\nhello"
    static let chunked =
        ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n"

    static func expectComplete(_ got: Transcript, _ body: String, status: Int = 200) {
        #expect(got.ending == .end, "\(got)")
        #expect(got.status == status)
        #expect(got.body == body)
        #expect(got.violations.isEmpty)
    }

    @Test func messagesOfEveryFramingAreRead() async throws {
        let replies = [
            (Self.five, 200, "hello"), (Self.chunked, 200, "hello world"),
            (Self.ok + "Content-Length: 0\r\n\r\n", 200, ""),
            (Self.ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, ""),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, ""),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + Self.five, 200, "hello"),
            ("HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", 500, "no"),
        ]
        try await withUpstream(replies.map { .reply($0.0) }) { rig, upstream in
            for (index, reply) in replies.enumerated() {
                let got = try await rig.run()
                Self.expectComplete(got, reply.2, status: reply.1)
                #expect(got.reused == (index > 0))
                #expect(got.written == .fully)
            }
            #expect(upstream.state.connections == 1)
            #expect(upstream.state.requests == replies.map { _ in UpstreamRig.request })
        }
    }

    /// A proxy must not care where TCP cuts the stream.
    @Test func repliesReadTheSameByteByByte() async throws {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n"
        try await withUpstream([
            .replyByteByByte(interim + Self.chunked), .replyByteByByte(Self.five),
            .replyByteByByte(Self.chunked),
        ]) { rig, upstream in
            for body in ["hello world", "hello", "hello world"] {
                Self.expectComplete(try await rig.run(), body)
            }
            #expect(upstream.state.connections == 1)
        }
    }

    @Test func aCloseDelimitedBodyEndsWithTheConnection() async throws {
        try await withUpstream([.replyThenClose(Self.ok + "\r\nhello"), .reply(Self.five)]) { rig, upstream in
            Self.expectComplete(try await rig.run(), "hello")
            let next = try await rig.run()
            Self.expectComplete(next, "hello")
            #expect(next.reused == false)
            #expect(upstream.state.connections == 2)
        }
    }

    /// A reset is not an end: what came may be half of the truth.
    @Test func aResetIsNotTheEndOfACloseDelimitedBody() async throws {
        try await withUpstream([.replyThenCut(Self.ok + "\r\nhello")]) { rig, _ in
            let got = try await rig.run()
            #expect(got.body == "hello")
            #expect(got.ending == .closed(.closed))
        }
    }

    static let cuts: [String] = [
        ok, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        ok + "Transfer-Encoding: chunked\r\n\r\n9\r\nhello",
        "", "HTTP/1.1 100 Continue\r\n\r\n",
    ]

    @Test(arguments: cuts)
    func aCutBeforeTheEndIsReported(text: String) async throws {
        try await withUpstream([.replyThenClose(text)]) { rig, _ in
            let got = try await rig.run()
            #expect(got.ending == .closed(.closed))
            #expect(got.written == .fully)
            #expect(got.violations.isEmpty)
            try await rig.eventually("the connection leaves the pool") { $0.count == 0 && $0.idleCount == 0 }
        }
    }

    static let breaches: [String] = [
        "HTTP/1.1 200 OK\n\n", "HTTP/2 200\r\n\r\n",
        ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ok + "A: b\r\n c\r\n\r\n",
        ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        ok + "Transfer-Encoding: chunked\r\n\r\n1;x\r\na\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
        ok + "X: " + String(repeating: "a", count: 40_000),
    ]

    @Test(arguments: breaches)
    func aReplyThatBreaksTheProtocolEndsTheConnection(text: String) async throws {
        try await withUpstream([.reply(text)]) { rig, _ in
            let got = try await rig.run()
            #expect(got.ending == .closed(.protocolViolation))
            #expect(got.violations.isEmpty)
            try await rig.eventually("the connection leaves the pool") { $0.count == 0 && $0.idleCount == 0 }
        }
    }

    static let notReusable: [String] = [
        ok + "Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        five + "x", five + five,
    ]

    @Test(arguments: notReusable)
    func aConnectionThatCannotBeTrustedIsNotUsedAgain(text: String) async throws {
        try await withUpstream([.reply(text), .reply(Self.five)]) { rig, upstream in
            Self.expectComplete(try await rig.run(), "hello")
            let next = try await rig.run()
            Self.expectComplete(next, "hello")
            #expect(next.reused == false)
            #expect(upstream.state.connections == 2)
        }
    }

    /// The rest of the request would be read as the next request, or never.
    @Test func anAnswerToHalfARequestEndsTheConnection() async throws {
        try await withUpstream([.close], onAccept: "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno") {
            rig, upstream in
            // More than the sockets' buffers hold; upstream reads nothing.
            let request = ByteBuffer(repeating: 0x61, count: 32 << 20)
            let got = try await rig.borrow(request).done.get()
            Self.expectComplete(got, "no", status: 413)
            #expect(got.written == .partly)
            try await rig.eventually("the connection leaves the pool") { $0.count == 0 && $0.idleCount == 0 }
            #expect(upstream.state.connections == 1)
        }
    }

    /// The client may have gone: nothing that comes later may reach anyone else.
    @Test func anAbortedReplyIsNotHeardOfAgain() async throws {
        try await withUpstream([.body(8 << 20), .reply(Self.five)]) { rig, upstream in
            let aborted = try await rig.borrow(ByteBuffer(string: UpstreamRig.request), keepsText: false) {
                borrower in
                borrower.abortsAtBody = true
            }
            #expect(try await aborted.done.get().bodyBytes < 1 << 20)
            Self.expectComplete(try await rig.run(), "hello")
            #expect(upstream.state.connections == 2)
            let violations = try await rig.loop.submit { aborted.borrower.value.transcript.violations }.get()
            #expect(violations.isEmpty)
        }
    }

    /// A client that does not read stops the upstream: the sockets fill, the proxy's memory does not.
    @Test func aPausedBorrowerStopsTheUpstream() async throws {
        let size = 64 << 20
        try await withUpstream([.body(size), .reply(Self.five)]) { rig, upstream in
            let stalled = try await rig.borrow(ByteBuffer(string: UpstreamRig.request), keepsText: false) {
                borrower in
                borrower.pausesAtBody = true
            }
            var written = -1
            var quietRounds = 0
            while quietRounds < 10 {
                try await Task.sleep(for: .milliseconds(20))
                let now = upstream.state.bodyBytesWritten
                quietRounds = now == written && now > 0 ? quietRounds + 1 : 0
                written = now
            }
            #expect(written < size / 2)
            let seen = try await rig.loop.submit { stalled.borrower.value.transcript.bodyBytes }.get()
            #expect(seen > 0 && seen <= 1 << 20)
            try await rig.loop.submit { stalled.borrower.value.connection?.resumeReads() }.get()
            let got = try await stalled.done.get()
            #expect(got.ending == .end && got.bodyBytes == size)
            // A pause does not outlive its exchange.
            let next = try await rig.run()
            Self.expectComplete(next, "hello")
            #expect(next.reused == true)
        }
    }
}
