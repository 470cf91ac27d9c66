import NIOCore
import Testing

@testable import Proxy

/// Upstream replies are held to the same rules as requests: a reply that ends elsewhere than we think
/// poisons the next exchange on the connection.
@Suite struct WireResponseHeadTests {
    static func parse(_ text: String, byteByByte: Bool = false) -> Parsed<ResponseHead> {
        let bytes = Array(text.utf8)
        var search = ResponseHeadSearch()
        for count in (byteByByte ? 0 : bytes.count)...bytes.count {
            let found = bytes.withUnsafeBytes { search.parse(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            switch found {
            case .incomplete: continue
            case .complete(let head): return .complete(head)
            case .invalid(let fault): return .invalid(fault)
            }
        }
        return .incomplete
    }

    static let ok = "HTTP/1.1 200 OK\r\n"

    static let good: [(String, Int, BodyFraming, Bool)] = [
        (ok + "\r\n", 200, BodyFraming.untilClose, true),
        (ok + "Content-Length: 7\r\n\r\n", 200, .length(7), true),
        (ok + "Content-Length: 0\r\n\r\n", 200, .none, true),
        (ok + "Transfer-Encoding: chunked\r\n\r\n", 200, .chunked, true),
        (ok + "Connection: close\r\nContent-Length: 7\r\n\r\n", 200, .length(7), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n", 200, .length(7), false),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 7\r\n\r\n", 200, .length(7), true),
        ("HTTP/1.1 200\r\nContent-Length: 7\r\n\r\n", 200, .length(7), true),
        ("HTTP/1.1 200 \r\nContent-Length: 7\r\n\r\n", 200, .length(7), true),
        ("HTTP/1.1 204 No Content\r\n\r\n", 204, .none, true),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", 204, .none, true),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 304, .none, true),
        ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, .none, true),
        ("HTTP/1.1 100 Continue\r\n\r\n", 100, .none, true),
        ("HTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n", 103, .none, true),
        ("HTTP/1.1 429 Trop \u{e0} la fois\r\nContent-Length: 7\r\n\r\n", 429, .length(7), true),
        ("HTTP/1.1 599 x\r\nContent-Length: 7\r\n\r\n", 599, .length(7), true),
    ]

    @Test(arguments: good)
    func repliesEndWhereTheStandardSays(text: String, status: Int, framing: BodyFraming, keepAlive: Bool)
        throws
    {
        for byteByByte in [false, true] {
            let head = try Self.parse(text, byteByByte: byteByByte).head
            #expect(head.status == status)
            #expect(head.framing(forHead: false) == framing)
            #expect(head.framing(forHead: true) == .none)
            #expect(head.keepAlive == keepAlive)
            #expect(head.isInterim == (status < 200))
            #expect(head.byteCount == text.utf8.count)
        }
    }

    static let bad: [(String, HeadFault)] = [
        ("HTTP/1.1 200 OK\n\n", HeadFault.bareLF),
        ("HTTP/1.1 200 OK\r\nA: b\n\r\n", .bareLF),
        ("HTTP/2 200 OK\r\n\r\n", .badStatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.2 200 OK\r\n\r\n", .badStatusLine),
        ("http/1.1 200 OK\r\n\r\n", .badStatusLine),
        ("ICY 200 OK\r\n\r\n\r\n", .badStatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 20 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 600 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 2x0 OK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 200 O\rK\r\n\r\n", .badStatusLine),
        ("HTTP/1.1 200 OK\r\r\r\n", .bareCR),
        ("HTTP/1.1\r\n\r\n", .badStatusLine),
        ("\r\n\r\n", .badStatusLine),
        (ok + " folded\r\n\r\n", .obsoleteFold),
        (ok + "A: b\r\n c\r\n\r\n", .obsoleteFold),
        (ok + "A : b\r\n\r\n", .spaceBeforeColon),
        (ok + "A: b\0\r\n\r\n", .nulByte),
        (ok + "nonsense\r\n\r\n", .badFieldName),
        (ok + "Content-Length: +7\r\n\r\n", .badLength),
        (ok + "Content-Length: 7, 7\r\n\r\n", .badLength),
        (ok + "Content-Length: 99999999999999999999\r\n\r\n", .badLength),
        (ok + "Content-Length: 7\r\nContent-Length: 7\r\n\r\n", .repeatedField),
        (ok + "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthAndChunked),
        (ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", .unknownTransferCoding),
        (ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .repeatedField),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthAndChunked),
        // What is metered must be what the client reads.
        (ok + "Content-Encoding: gzip\r\nContent-Encoding: identity\r\n\r\n", .repeatedField),
        (ok + "Content-Encoding: identity\r\ncontent-encoding: identity\r\n\r\n", .repeatedField),
        (ok + "Content-Type: text/event-stream\r\nContent-Type: text/plain\r\n\r\n", .repeatedField),
        (ok + "Content-Encoding: " + String(repeating: "x", count: 129) + "\r\n\r\n", .longContentCoding),
        (ok + "Content-Encoding: gzip" + String(repeating: ",", count: 256) + "\r\n\r\n", .longContentCoding),
        (ok + "Connection: " + String(repeating: "x,", count: 33) + "\r\n\r\n", .tooManyOptions),
    ]

    @Test(arguments: bad)
    func repliesThatCouldBeReadInTwoWaysAreRefused(text: String, fault: HeadFault) {
        #expect(Self.parse(text).fault == fault)
        #expect(Self.parse(text, byteByByte: true).fault == fault)
    }

    @Test func notedFieldsPointAtTheirValues() throws {
        let text =
            Self.ok + "Content-Type: text/event-stream\r\nX-Request-ID: req_1\r\nRetry-After: 7\r\n"
            + "Content-Encoding: gzip\r\n\r\n"
        let head = try Self.parse(text).head
        func value(_ range: Range<Int>?) -> String? {
            range.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) }
        }
        #expect(value(head.contentType) == "text/event-stream")
        #expect(value(head.requestID) == "req_1")
        #expect(value(head.retryAfter) == "7")
        #expect(value(head.contentEncoding) == "gzip")
    }

    /// A coding that was not read would pass for none, and its reply be relayed unmetered.
    @Test(arguments: ["gzip", String(repeating: "x", count: 128), ""])
    func aCodingIsReadWhole(coding: String) throws {
        let text = Self.ok + "Content-Encoding: \(coding)\r\nContent-Length: 0\r\n\r\n"
        let relay = Relay(
            head: try Self.parse(text).head, headBytes: ByteBuffer(string: text), wantsStream: false,
            shape: .completions, stripUsage: false)
        guard case .unreadable = relay.mode else {
            Issue.record("\(relay.mode)")
            return
        }
    }
}
