import Testing

@testable import LoadBench

@Suite struct StackControlReplyTests {
    private static let whole: [(text: String, body: String, isLast: Bool)] = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
        ("HTTP/1.1 200 OK\r\ncontent-length:0\r\nConnection: close\r\n\r\n", "", true),
        (
            "HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
            "hello", false
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", false),
    ]

    /// TCP cuts where it wants to.
    @Test func aReplyIsWholeAtItsLastByteAndNotBefore() throws {
        for (text, body, isLast) in Self.whole {
            let bytes = Array(text.utf8)
            for cut in 0..<bytes.count {
                let part = try ControlReplyParser.parse(Array(bytes[..<cut]), isEnd: false)
                #expect(part == nil, "\(text) cut at \(cut)")
            }
            let reply = try #require(try ControlReplyParser.parse(bytes, isEnd: false))
            #expect(reply.text == body)
            #expect(reply.isLast == isLast)
        }
    }

    @Test func withoutALengthTheBodyEndsWithTheConnection() throws {
        let bytes = Array("HTTP/1.1 200 OK\r\n\r\nhalf".utf8)
        #expect(try ControlReplyParser.parse(bytes, isEnd: false) == nil)
        let reply = try #require(try ControlReplyParser.parse(bytes, isEnd: true))
        #expect(reply.text == "half" && reply.isLast)
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", ControlReplyParser.Problem.cut),
        ("HTTP/1.1 200 OK\r\nContent-Le", .cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", .cut),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhel\r\n", .badChunk),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nhel\r\n", .badChunk),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", .badLength),
        ("SSH-2.0-x\r\n\r\n", .noStatus),
    ])
    func whatIsNoReplyIsSaidToBeNone(text: String, problem: ControlReplyParser.Problem) {
        #expect(throws: problem) { try ControlReplyParser.parse(Array(text.utf8), isEnd: true) }
    }

    @Test func nobodyWhoListensIsAnError() throws {
        let port = try LoopbackPort.free()
        #expect(throws: StackError.call(what: "GET /x on port \(port)", reason: "nobody listens")) {
            try ControlCall(port: port).get("/x")
        }
    }
}
