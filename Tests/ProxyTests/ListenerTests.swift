import NIOCore
import NIOHPACK
import Testing

@testable import Proxy

/// A gateway that translates HTTP/2 into HTTP/1.1 is where requests are smuggled: what would read as something else
/// there must not pass.
@Suite struct ListenerHTTP2Tests {
    private static let good: [(String, String)] = [
        (":method", "POST"), (":scheme", "https"), (":path", "/v1/x?y=z"), (":authority", "h"), ("x-a", "b"),
    ]

    private static func head(_ fields: [(String, String)], endStream: Bool = false) -> HTTP2RequestHead? {
        HTTP2RequestHead(HPACKHeaders(fields), endStream: endStream, allocator: ByteBufferAllocator())
    }

    private static func changed(_ name: String, _ value: String?) -> [(String, String)] {
        var fields = Self.good.filter { $0.0 != name }
        if let value { fields.append((name, value)) }
        return fields
    }

    @Test func theHeadIsWhatTheStrictParserReads() throws {
        let head = try #require(Self.head(Self.good))
        var search = RequestHeadSearch()
        guard case .complete(let parsed) = head.bytes.withUnsafeReadableBytes({ search.parse($0) }) else {
            Issue.record("it must parse")
            return
        }
        #expect(parsed.byteCount == head.bytes.readableBytes && parsed.framing == .chunked && head.isChunked)
        #expect(String(buffer: head.bytes).hasPrefix("POST /v1/x?y=z HTTP/1.1\r\nhost: h\r\nx-a: b\r\n"))
    }

    @Test func bodiesAreFramedAsAnnounced() throws {
        let sized = try #require(Self.head(Self.good + [("content-length", "5")]))
        #expect(!sized.isChunked && !String(buffer: sized.bytes).contains("chunked"))
        let empty = try #require(Self.head(Self.good, endStream: true))
        #expect(!empty.isChunked && !String(buffer: empty.bytes).contains("chunked"))
        let cookies = try #require(Self.head(Self.good + [("cookie", "a=1"), ("cookie", "b=2")]))
        #expect(String(buffer: cookies.bytes).contains("cookie: a=1; b=2\r\n"))
    }

    @Test(
        arguments: [
            (":method", nil), (":path", nil), (":authority", nil), (":method", "GET /x HTTP/1.1\r\n"),
            (":method", ""),
            (":path", ""), (":path", "/a b"), (":path", "/a\r\nx: y"), (":path", "/\u{0}"),
            (":authority", "h\r\nx: y"),
            (":authority", ""), (":scheme", "javascript"), ("host", "other"), ("x-a", "b\r\nc: d"),
            ("x-a", "b\nc"), ("x-a", "\u{0}"),
            ("x-a", " b"), ("x-a", "b\t"), ("X-A", "b"), ("x a", "b"), ("x-a:", "b"), ("", "b"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"), ("upgrade", "h2c"), ("keep-alive", "1"),
            ("proxy-connection", "x"), ("te", "gzip"),
            ("cookie", "a\r\nb: c"),
        ] as [(String, String?)])
    func whatWouldReadAsSomethingElseIsRefused(name: String, value: String?) {
        #expect(Self.head(Self.changed(name, value)) == nil)
    }

    @Test(arguments: [":method", ":path", ":authority"])
    func pseudoFieldsComeOnce(name: String) {
        #expect(Self.head(Self.good + [(name, "/again")]) == nil)
    }
}

@Suite struct ListenerCertificateTests {
    @Test(arguments: [
        ("a.test", "a.test", true), ("a.test", "b.a.test", false), ("*.a.test", "b.a.test", true),
        ("*.a.test", "a.test", false),
        ("*.a.test", "c.b.a.test", false), ("*.a.test", ".a.test", false), ("*", "a", false),
        ("*.test", "a.test", true),
    ])
    func aWildcardIsOneLabel(name: String, host: String, expected: Bool) {
        #expect(CertificateName.matches(name, host) == expected)
    }

    /// Certificates in their order, the name that a client asks for, and which of them it gets; nil: the first.
    @Test(
        arguments: [
            ([["*.a.test"], ["b.a.test"]], "b.a.test", 1),  // whoever is named comes before any wildcard
            ([["b.a.test"], ["*.a.test"]], "b.a.test", 0), ([["b.a.test"], ["*.a.test"]], "c.a.test", 1),
            ([["x.test", "*.a.test"], ["y.test", "b.a.test"]], "b.a.test", 1),
            ([["a.test"], ["a.test"]], "a.test", 0), ([["*.a.test"], ["*.a.test"]], "b.a.test", 0),
            ([["first.test"], ["b.a.test"]], "b.a.test.", 1),  // a full name
            ([["first.test"], ["*.a.test"]], "B.A.TEST.", 1),
            ([["first.test"], ["b.a.test"]], "b.a.test..", nil), ([["first.test"], ["*.a.test"]], ".", nil),
            ([["first.test"], ["b.a.test"]], "", nil), ([["first.test"], ["b.a.test"]], nil, nil),
            ([["first.test"], ["b.a.test"]], "c.test", nil), ([[], ["b.a.test"]], "b.a.test", 1),
        ] as [([[String]], String?, Int?)])
    func anExactNameComesBeforeAWildcard(certificates: [[String]], host: String?, expected: Int?) {
        #expect(CertificateName.best(for: host, among: certificates) == expected)
    }

    @Test func whatCannotBeUsedNamesTheFile() {
        let pair = DataPlaneConfiguration.CertificatePair(
            certificateFile: "/nonexistent/c.pem", keyFile: "/nonexistent/k.pem")
        do {
            _ = try ListenerCertificates([pair])
            Issue.record("it must not load")
        } catch {
            #expect(error.file == "/nonexistent/c.pem")
        }
    }
}
