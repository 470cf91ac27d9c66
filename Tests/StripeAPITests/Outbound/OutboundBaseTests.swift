import Testing

@testable import StripeAPI

/// A secret key goes to whatever this accepts.
@Suite struct OutboundBaseTests {
    @Test(arguments: [
        ("https://api.stripe.com", "https://api.stripe.com"),
        ("https://api.stripe.com/", "https://api.stripe.com"),
        ("HTTPS://api.stripe.com:8443/x/", "https://api.stripe.com:8443/x"),
        ("http://127.0.0.1:12111", "http://127.0.0.1:12111"),
        ("http://localhost:1", "http://localhost:1"),
        ("http://[::1]:12111", "http://[::1]:12111"),
    ])
    func accepts(_ text: String, _ expected: String) throws {
        #expect(try OutboundBase(parsing: text).description == expected)
    }

    @Test(arguments: [
        ("", OutboundBase.Problem.notAURL), ("api.stripe.com", .notAURL), ("https://", .notAURL),
        ("https:///v1", .notAURL), ("https://a b", .notAURL), ("https://a\\@b", .notAURL),
        ("https://a\r\nX: y", .notAURL), ("https://a:0", .notAURL), ("https://a:65536", .notAURL),
        ("https://a:", .notAURL), ("https://a:+80", .notAURL), ("https://[::1", .notAURL),
        ("ftp://127.0.0.1", .scheme), ("file:///etc/passwd", .scheme),
        ("http://api.stripe.com", .plainHTTPToAnotherHost),
        ("http://127.evil.example", .plainHTTPToAnotherHost),
        ("http://127.0.0.1.evil.example", .plainHTTPToAnotherHost),
        ("http://10.0.0.1", .plainHTTPToAnotherHost),
        ("http://localhost.evil.example", .plainHTTPToAnotherHost),
        ("http://0.0.0.0", .plainHTTPToAnotherHost),
        ("https://key@api.stripe.com", .userInfo), ("http://127.0.0.1@evil.example", .userInfo),
        ("https://a?b", .queryOrFragment), ("https://a/#b", .queryOrFragment),
    ])
    func refuses(_ text: String, _ problem: OutboundBase.Problem) {
        #expect(throws: problem) { try OutboundBase(parsing: text) }
    }

    /// A line break in a header is a header of its own.
    @Test func aRequestWithALineBreakIsNotSent() throws {
        let base = try OutboundBase(parsing: "https://a")
        #expect(OutboundRequest(.get, base, target: "/x", headers: [.init("A", "b c")]).isWellFormed)
        for header in [
            ("A", "b\r\nC: d"), ("A", "b\nC: d"), ("A: b\r\nC", "d"), ("A", ""), ("", "b"), ("A b", "c"),
        ] {
            let request = OutboundRequest(.get, base, target: "/x", headers: [.init(header.0, header.1)])
            #expect(!request.isWellFormed, "\(header)")
        }
        for target in ["", "x", "/x y", "/x\r\n", "//\u{0}", "/ä"] {
            #expect(!OutboundRequest(.get, base, target: target).isWellFormed, "\(target)")
        }
    }
}
