import Testing

@testable import Proxy

/// What decides where a request ends decides who is billed for the bytes behind it: everything that two
/// programs could read in two ways is refused.
@Suite struct WireRequestHeadTests {
    /// Parses the way a connection does: all bytes at once, or one more byte per call.
    static func parse(
        _ text: String, limits: HeadLimits = HeadLimits(), byteByByte: Bool = false
    ) -> Parsed<RequestHead> {
        let bytes = Array(text.utf8)
        var search = RequestHeadSearch(limits: limits)
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

    static func head(_ text: String) throws -> RequestHead { try self.parse(text).head }

    static let start = "POST /v1/chat/completions HTTP/1.1\r\n"
    static let host = "Host: tollgate.example\r\n"

    struct Good: Sendable, CustomTestStringConvertible {
        let text: String
        let framing: BodyFraming
        let keepAlive: Bool
        var testDescription: String { self.text.debugDescription }

        init(_ text: String, _ framing: BodyFraming = .none, keepAlive: Bool = true) {
            self.text = text
            self.framing = framing
            self.keepAlive = keepAlive
        }

        init(fields: String, _ framing: BodyFraming = .none, keepAlive: Bool = true) {
            self.init(
                WireRequestHeadTests.start + WireRequestHeadTests.host + fields + "\r\n", framing,
                keepAlive: keepAlive)
        }
    }

    static let good: [Good] = [
        Good(fields: ""),
        Good(fields: "Content-Length: 0\r\n", .length(0)),
        Good(fields: "Content-Length: 12\r\n", .length(12)),
        Good(fields: "content-length:12\r\n", .length(12)),
        Good(fields: "CONTENT-LENGTH:  12  \r\n", .length(12)),
        Good(fields: "Content-Length: 0012\r\n", .length(12)),
        Good(fields: "Content-Length: 999999999999999999\r\n", .length(999_999_999_999_999_999)),
        Good(fields: "Transfer-Encoding: chunked\r\n", .chunked),
        Good(fields: "transfer-encoding:CHUNKED \r\n", .chunked),
        Good(fields: "Connection: close\r\n", keepAlive: false),
        Good(fields: "Connection: Close\r\n", keepAlive: false),
        Good(fields: "Connection: keep-alive\r\n"),
        Good(fields: "Connection: x-a , CLOSE\r\n", keepAlive: false),
        Good(fields: "Connection: x-a\r\nConnection: close\r\n", keepAlive: false),
        Good(fields: "Connection: keep-alive, close\r\n", keepAlive: false),
        Good(fields: "Connection: closed\r\n"),
        Good(fields: "Connection:\r\n"),
        Good(fields: "Empty:\r\nEmptyToo:   \r\n"),
        Good(fields: "X-Latin: caf\u{e9}\r\n"),
        Good(fields: "X-Tab: a\tb\r\n"),
        Good(fields: "X-Colons: a:b:c\r\n"),
        Good(fields: "!#$%&'*+-.^_`|~09azAZ: token\r\n"),
        Good(fields: "Accept: a\r\nAccept: b\r\n"),
        Good(fields: "Cookie: a=b\r\nCookie: c=d\r\n"),
        Good(fields: "Expect: 100-continue\r\nContent-Length: 5\r\n", .length(5)),
        Good("GET / HTTP/1.1\r\nhost:x\r\n\r\n"),
        Good("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
        Good("GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Good("GET / HTTP/1.0\r\n\r\n", keepAlive: false),
        Good("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        Good("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", keepAlive: false),
        Good("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n", .length(3), keepAlive: false),
        Good("PATCH /x?a=b&c=%20 HTTP/1.1\r\nHost: x\r\n\r\n"),
        Good("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        Good("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]

    @Test(arguments: good) func goodHeadsAreRead(_ good: Good) throws {
        let head = try Self.head(good.text)
        #expect(head.framing == good.framing)
        #expect(head.keepAlive == good.keepAlive)
        #expect(head.byteCount == good.text.utf8.count)
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let text: String
        let fault: HeadFault
        var testDescription: String { self.text.debugDescription }

        init(_ text: String, _ fault: HeadFault) {
            self.text = text
            self.fault = fault
        }

        init(fields: String, _ fault: HeadFault) {
            self.init(WireRequestHeadTests.start + WireRequestHeadTests.host + fields + "\r\n", fault)
        }
    }

    static let badFraming: [Bad] = [
        Bad(fields: "Content-Length: +5\r\n", .badLength),
        Bad(fields: "Content-Length: -5\r\n", .badLength),
        Bad(fields: "Content-Length: 0x5\r\n", .badLength),
        Bad(fields: "Content-Length: 5 5\r\n", .badLength),
        Bad(fields: "Content-Length: 5,5\r\n", .badLength),
        Bad(fields: "Content-Length: 5, 5\r\n", .badLength),
        Bad(fields: "Content-Length: 5;a\r\n", .badLength),
        Bad(fields: "Content-Length: 5.0\r\n", .badLength),
        Bad(fields: "Content-Length: 1e3\r\n", .badLength),
        Bad(fields: "Content-Length: \"5\"\r\n", .badLength),
        Bad(fields: "Content-Length:\r\n", .badLength),
        Bad(fields: "Content-Length: five\r\n", .badLength),
        Bad(fields: "Content-Length: \u{0665}\r\n", .badLength),
        Bad(fields: "Content-Length: 9223372036854775808\r\n", .badLength),
        Bad(fields: "Content-Length: 18446744073709551621\r\n", .badLength),
        Bad(fields: "Content-Length: 5\r\nContent-Length: 5\r\n", .repeatedField),
        Bad(fields: "Content-Length: 5\r\ncontent-length: 6\r\n", .repeatedField),
        Bad(fields: "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", .lengthAndChunked),
        Bad(fields: "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", .lengthAndChunked),
        Bad("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .lengthAndChunked),
        Bad(fields: "Transfer-Encoding: gzip\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: identity\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: gzip, chunked\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: chunked, identity\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: chunked, chunked\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: ,chunked\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: chunked;q=1\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: xchunked\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: \"chunked\"\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding:\r\n", .unknownTransferCoding),
        Bad(fields: "Transfer-Encoding: \u{0b}chunked\r\n", .nulByte),
        Bad(fields: "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", .repeatedField),
        Bad(fields: "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", .repeatedField),
        Bad(fields: "Transfer-Encoding : chunked\r\n", .spaceBeforeColon),
        Bad(fields: "Content-Length\t: 5\r\n", .spaceBeforeColon),
    ]

    static let badLines: [Bad] = [
        Bad("GET / HTTP/1.1\nHost: x\n\n", .bareLF),
        Bad("GET / HTTP/1.1\r\nHost: x\n\r\n", .bareLF),
        Bad("GET / HTTP/1.1\r\nHost: x\r\n\n", .bareLF),
        Bad("\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", .bareLF),
        Bad("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", .badMethod),
        Bad("\r\n\r\n", .badMethod),
        Bad(fields: "X-A: a\rX-B: b\r\n", .bareCR),
        Bad(fields: "X-A: a\r\r\n", .bareCR),
        // Ended there, or not: no more of it is waited for.
        Bad("GET / HTTP/1.1\r\r\r\n", .bareCR),
        Bad("\r\r\n", .bareCR),
        Bad(fields: "X-A: a\rTransfer-Encoding: chunked\r\n", .bareCR),
        Bad(fields: "X-A: a\r\n b\r\n", .obsoleteFold),
        Bad(fields: "X-A: a\r\n\tb\r\n", .obsoleteFold),
        Bad(" Host: x\r\n\r\n", .badMethod),
        Bad("GET / HTTP/1.1\r\n Host: x\r\n\r\n", .obsoleteFold),
        Bad(fields: "X-A: a\0b\r\n", .nulByte),
        Bad(fields: "X-A: \u{7f}\r\n", .nulByte),
        Bad(fields: "X-A: \u{1}\r\n", .nulByte),
        Bad(fields: "X\0A: a\r\n", .badFieldName),
        Bad(fields: "X-A\r\n", .badFieldName),
        Bad(fields: ": a\r\n", .badFieldName),
        Bad(fields: "X A: a\r\n", .spaceBeforeColon),
        Bad(fields: "X(A): a\r\n", .badFieldName),
        Bad(fields: "X@A: a\r\n", .badFieldName),
        Bad(fields: "\"X\": a\r\n", .badFieldName),
        Bad(fields: "X\u{e9}: a\r\n", .badFieldName),
        Bad("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", .badTarget),
        Bad("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET /  HTTP/1.1\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", .badMethod),
        Bad("GET /\tHTTP/1.1\r\nHost: x\r\n\r\n", .badTarget),
        Bad("GET / a HTTP/1.1\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET /caf\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n", .badTarget),
        Bad("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", .badTarget),
        Bad("GET /\r\nHost: x\r\n\r\n", .badTarget),
        Bad("GET\r\nHost: x\r\n\r\n", .badMethod),
        Bad("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", .badMethod),
        Bad("\u{16}\u{3}\u{1}\r\n\r\n", .badMethod),
        Bad("GET / HTTP/1.2\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET / HTTP/2.0\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET / HTTP/0.9\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET / http/1.1\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET / HTTP/1.10\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET / HTTP/01.1\r\nHost: x\r\n\r\n", .badVersion),
        Bad("GET / HTTP/1,1\r\nHost: x\r\n\r\n", .badVersion),
        Bad("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .badMethod),
        Bad("get / HTTP/1.1\r\nHost: x\r\n\r\n", .badMethod),
        Bad(fields: "Content-Length: 12\t\r\n", .badLength),
        Bad(fields: "Content-Length:\t12\r\n", .badLength),
        Bad(fields: "Transfer-Encoding:\tchunked\r\n", .unknownTransferCoding),
        Bad("GETS / HTTP/1.1\r\nHost: x\r\n\r\n", .badMethod),
        Bad("helloGET / HTTP/1.1\r\nHost: x\r\n\r\n", .badMethod),
        Bad(fields: "Expect: something\r\n", .unknownExpectation),
        Bad("GET / HTTP/1.1\r\n\r\n", .missingHost),
        Bad("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", .repeatedField),
        Bad("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .badHost),
        Bad("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", .badHost),
        Bad("GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", .badHost),
        Bad("GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", .badHost),
        Bad("GET / HTTP/1.0\r\nHost: x#y\r\n\r\n", .badHost),
        Bad(fields: "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", .repeatedField),
        Bad(fields: "Content-Type: a/b\r\nContent-Type: a/b\r\n", .repeatedField),
        Bad(fields: "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", .repeatedField),
        Bad(fields: "X-Tollgate-User: a\r\nx-tollgate-user: b\r\n", .repeatedField),
        Bad(fields: "X-Tollgate-Receipt: sse\r\nX-Tollgate-Receipt: sse\r\n", .repeatedField),
        Bad(fields: "Expect: 100-continue\r\nExpect: 100-continue\r\n", .repeatedField),
        Bad(fields: "Expect: something\r\nExpect: 100-continue\r\n", .repeatedField),
        Bad(fields: "Expect: 100-continue, 100-continue\r\n", .unknownExpectation),
        Bad(fields: "Expect:\r\n", .unknownExpectation),
        Bad("POST / HTTP/1.0\r\nExpect: a\r\nExpect: b\r\n\r\n", .repeatedField),
    ]

    @Test(arguments: badFraming + badLines) func badHeadsAreRefusedByName(_ bad: Bad) {
        #expect(Self.parse(bad.text).fault == bad.fault)
    }

    /// A proxy must not care where TCP cuts the stream.
    @Test func everyHeadReadsTheSameByteByByte() throws {
        for good in Self.good {
            let head = try Self.parse(good.text, byteByByte: true).head
            let whole = try Self.head(good.text)
            #expect(head.fields == whole.fields, "\(good.text.debugDescription)")
            #expect(head.framing == whole.framing && head.keepAlive == whole.keepAlive)
            #expect(head.targetRange == whole.targetRange && head.byteCount == whole.byteCount)
        }
        for bad in Self.badFraming + Self.badLines {
            #expect(Self.parse(bad.text, byteByByte: true).fault == bad.fault, "\(bad.text.debugDescription)")
        }
    }

    @Test func aHeadIsIncompleteUntilItsLastByte() {
        let bytes = Array((Self.start + Self.host + "Content-Length: 5\r\n\r\n").utf8)
        for count in 0..<bytes.count {
            #expect(
                Self.parse(String(decoding: bytes[..<count], as: UTF8.self)).isIncomplete, "\(count) bytes")
        }
    }

    /// What follows belongs to the body or to the next request.
    @Test func theHeadEndsAtItsBlankLine() throws {
        let text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"
        #expect(try Self.head(text + "abcGET /v1/x HTTP/1.1\n\n").byteCount == text.utf8.count)
    }

    @Test func notedFieldsPointAtTheirValues() throws {
        let text =
            Self.start + Self.host + "authorization:  Bearer tg_1 \r\nX-TOLLGATE-USER: u7\r\n"
            + "X-Tollgate-Receipt: sse\r\nContent-Encoding: gzip\r\nExpect: 100-Continue\r\n"
            + "Content-Length: 1\r\n\r\n"
        let head = try Self.head(text)
        func value(_ range: Range<Int>?) -> String? {
            range.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) }
        }
        #expect(head.method == .post)
        #expect(value(head.methodRange) == "POST")
        #expect(value(head.targetRange) == "/v1/chat/completions")
        #expect(value(head.authorization) == "Bearer tg_1")
        #expect(value(head.tollgateUser) == "u7")
        #expect(value(head.tollgateReceipt) == "sse")
        #expect(value(head.contentEncoding) == "gzip")
        #expect(head.expectContinue)
    }

    /// HTTP/1.0 clients do not understand an interim response.
    @Test func expectIsIgnoredFromAnHTTP10Client() throws {
        #expect(
            try !Self.head("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
                .expectContinue)
        #expect(
            try !Self.head("POST / HTTP/1.0\r\nExpect: something\r\nContent-Length: 1\r\n\r\n").expectContinue
        )
    }

    @Test(arguments: [
        ("GET", RequestHead.Method.get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("PATCH", .patch),
        ("DELETE", .delete), ("OPTIONS", .options), ("CONNECT", .other), ("TRACE", .other),
    ])
    func methodsAreKnown(name: String, method: RequestHead.Method) throws {
        #expect(try Self.head("\(name) / HTTP/1.1\r\nHost: x\r\n\r\n").method == method)
    }

    @Test func limitsHoldExactly() {
        let text = "GET / HTTP/1.1\r\nHost: x\r\nX: " + String(repeating: "a", count: 100) + "\r\n\r\n"
        let size = text.utf8.count
        for byteByByte in [false, true] {
            #expect(Self.parse(text, limits: HeadLimits(bytesMax: size), byteByByte: byteByByte).fault == nil)
            #expect(
                Self.parse(text, limits: HeadLimits(bytesMax: size - 1), byteByByte: byteByByte).fault
                    == .headTooLarge)
        }
        #expect(Self.parse(text, limits: HeadLimits(fieldsMax: 2)).fault == nil)
        #expect(Self.parse(text, limits: HeadLimits(fieldsMax: 1)).fault == .tooManyFields)
        let endless = String(repeating: "a", count: 32 << 10)
        #expect(Self.parse(endless).fault == .headTooLarge)
        #expect(Self.parse(String(endless.dropLast())).isIncomplete)
    }

    /// Each field that could go on is compared with each of them: thousands would cost a second of a loop.
    @Test func connectionOptionsAreBounded() throws {
        func connection(_ count: Int, lines: Int) -> String {
            let items = (0..<count).map { "x-\($0)" }
            let perLine = (count + lines - 1) / lines
            return stride(from: 0, to: count, by: perLine).map { start in
                "Connection: " + items[start..<min(count, start + perLine)].joined(separator: ", ,") + "\r\n"
            }.joined()
        }
        let max = FieldScan.connectionOptionsMax
        for lines in [1, 5, max] {
            let head = try Self.head(Self.start + Self.host + connection(max, lines: lines) + "\r\n")
            #expect(head.connectionOptions.count == max && head.keepAlive)
            let more = Self.start + Self.host + connection(max + 1, lines: lines) + "\r\n"
            #expect(Self.parse(more).fault == .tooManyOptions)
        }
        let close = connection(max - 1, lines: 1).dropLast(2) + ", Close\r\n"
        #expect(try !Self.head(Self.start + Self.host + close + "\r\n").keepAlive, "the last one counts")
        let empty = "Connection: " + String(repeating: ",", count: 20_000) + "\r\n"
        #expect(try Self.head(Self.start + Self.host + empty + "\r\n").connectionOptions.isEmpty)
    }

    /// One line of 32 KiB that comes byte by byte: each byte is looked at once, not once per read.
    @Test func aSlowHeadIsSearchedOnce() {
        let bytes = Array(repeating: UInt8(ascii: "a"), count: 4 << 20)
        let limits = HeadLimits(bytesMax: 8 << 20)
        var search = HeadSearch()
        let clock = ContinuousClock()
        let spent = clock.measure {
            bytes.withUnsafeBytes { all in
                for count in stride(from: 1, through: all.count, by: 16) {
                    let found = search.find(UnsafeRawBufferPointer(rebasing: all[..<count]), limits: limits)
                    #expect(found == .incomplete)
                }
            }
        }
        // Searching from the line's start each time would read 550 GB: 6 s where this was measured.
        #expect(spent < .seconds(3))
    }
}

/// What a parse gave, comparable in tests.
enum Parsed<Head> {
    case incomplete
    case complete(Head)
    case invalid(HeadFault)

    struct NotComplete: Error { let fault: HeadFault? }

    var isIncomplete: Bool { if case .incomplete = self { true } else { false } }

    var fault: HeadFault? { if case .invalid(let fault) = self { fault } else { nil } }

    var head: Head {
        get throws {
            guard case .complete(let head) = self else { throw NotComplete(fault: self.fault) }
            return head
        }
    }
}
