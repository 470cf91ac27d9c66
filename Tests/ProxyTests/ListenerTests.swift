import Foundation
import Metering
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

/// One line per request, whatever a client puts into it.
@Suite struct AccessLineTests {
    @Test func hostileTextsStayInTheirMembers() throws {
        var record = AccessRecord(
            finishedAt: 1_795_464_503_123, client: ClientAddress(nil), transport: .tls, minorVersion: 1,
            method: "POST",
            path: "/a\"b\\c", endpoint: .chat, status: 200, end: .complete, requestBytes: 1, responseBytes: 2,
            duration: .microseconds(3))
        record.user = "u\n{\"status\":500}\u{2028}\u{7f}\u{85}é😀" + String(repeating: "x", count: 500)
        record.charged = Millicredits(-5)
        var out = ByteBuffer()
        AccessLine.write(record, into: &out)
        let line = String(buffer: out)
        #expect(line.hasSuffix("}\n") && line.filter { $0 == "\n" }.count == 1)
        let members = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(members["path"] as? String == "/a\"b\\c" && members["status"] as? Int == 200)
        #expect(
            (members["user"] as? String)?.hasPrefix("u\n{\"status\":500}\u{2028}\u{7f}\u{85}é😀xx") == true)
        #expect((members["user"] as? String)?.utf8.count ?? 999 <= 256)
        #expect(members["charged_millicredits"] as? Int == -5 && members["model"] == nil)
        #expect(members["time"] as? String == "2026-11-23T20:08:23.123Z" && members["tls"] as? Bool == true)
    }
}
