/// One disguise of HTTP/1.1, and what a strict reader does with it.
struct SmugglingCase: Sendable, CustomStringConvertible {
    enum Expected: Sendable, Equatable {
        /// Nothing of it is answered but with one error, and the connection ends.
        case rejected
        /// These bodies, message by message.
        case accepted([String])
    }

    let name: String
    let bytes: [UInt8]
    let expected: Expected

    init(_ name: String, _ text: String, _ expected: Expected = .rejected) {
        self.init(name, bytes: Array(text.utf8), expected)
    }

    init(_ name: String, bytes: [UInt8], _ expected: Expected = .rejected) {
        self.name = name
        self.bytes = bytes
        self.expected = expected
    }

    var description: String { self.name }
}

/// Ways by which requests were smuggled past proxies, as data. Sources: RFC 9112 §11.2; PortSwigger's HTTP desync
/// research (CL.TE, TE.CL, TE.TE, CL.0); the HTTP Garden; advisories of Node (CVE-2019-15605, -2021-22959, -2021-22960,
/// -2022-32213…32215, -2022-35256, -2023-30589), HAProxy (CVE-2021-40346, -2023-25725, -2023-45539), nginx, Apache Traffic
/// Server, Envoy, Go (CVE-2022-1705), Python http.server.
enum SmugglingCorpus {
    static let requests: [SmugglingCase] =
        lengths + codings + conflicts + lines + names + chunkSizes
        + chunkFraming + trailers + requestLines + hosts + leadingLines + expectations + hiddenBodies
        + acceptedRequests + acceptedBodies + acceptedTrailers

    static let smuggled = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n"

    static func post(_ fields: String, _ body: String = "") -> String {
        "POST /api/x HTTP/1.1\r\nHost: h\r\n\(fields)\r\n\(body)"
    }

    private static func shown(_ text: String) -> String {
        text.unicodeScalars.map { $0.value >= 0x20 && $0.value < 0x7f ? String($0) : "<\($0.value)>" }
            .joined()
    }

    // MARK: Content-Length

    private static let lengths: [SmugglingCase] = [
        "+5", "-5", "-0", "+0", "0x5", "5x", "x5", "5 5", "5,5", "5, 5", "5,6", ",5", "5,", "5;5", "5.0",
        "5e0", "١", "५",
        "\u{0b}5", "5\u{0b}", "\u{0c}5", "\u{a0}5", "0o5", "0b1", "5_0", "'5'", "\"5\"", "",
        "99999999999999999999", "18446744073709551621", "9223372036854775808", "4294967301x", "5\t5", "5\t",
        "\t5", "five",
        "Infinity",
        "NaN", "5\u{00}", "\u{7f}5",
    ].map {
        SmugglingCase("content-length \(shown($0))", post("Content-Length: \($0)\r\n", "hello" + smuggled))
    }

    // MARK: Transfer-Encoding

    private static let codings: [SmugglingCase] = [
        "xchunked", "chunkedx", "chunked, chunked", "chunked,chunked", "chunked, identity",
        "identity, chunked",
        "gzip, chunked", "chunked, gzip", "gzip", "identity", "deflate", "x, chunked", "chunked,", ",chunked",
        "chunked;q=1",
        "chunked; foo", "\"chunked\"", "'chunked'", "\u{0b}chunked", "chunked\u{0b}", "\u{0c}chunked",
        "\u{a0}chunked",
        "chunked\u{00}", "chun\u{00}ked", "chunked\u{7f}", "chunk", "chunked chunked", "ch–unked", "cow",
        "null", "",
        "\u{212a}hunked", "chunKED\u{0130}", "chunked\u{85}", "=?iso-8859-1?B?Y2h1bmtlZA==?=",
    ].map {
        SmugglingCase(
            "transfer-encoding \(shown($0))", post("Transfer-Encoding: \($0)\r\n", "0\r\n\r\n" + smuggled))
    }

    // MARK: Both, or twice

    private static let conflicts: [SmugglingCase] =
        [
            ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
            (
                "TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
                "5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"
            ),
            ("CL.CL same", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
            ("CL.CL different", "Content-Length: 5\r\nContent-Length: 0\r\n", "hello"),
            ("CL.cl", "Content-Length: 5\r\ncontent-length: 6\r\n", "hello!"),
            ("TE.TE same", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("TE.TE cow", "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n", "0\r\n\r\n"),
            (
                "TE.TE identity first", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n"
            ),
            ("CL zero with TE", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("bad CL beside TE", "Content-Length: x\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            ("two Authorizations", "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", ""),
            ("two payers", "X-Tollgate-User: a\r\nX-Tollgate-User: b\r\n", ""),
            ("two content types", "Content-Type: application/json\r\nContent-Type: text/plain\r\n", ""),
            ("two content encodings", "Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", ""),
            ("too many connection options", "Connection: " + String(repeating: "x,", count: 33) + "\r\n", ""),
        ].map { SmugglingCase("both: \($0.0)", post($0.1, $0.2 + smuggled)) }
        + [
            SmugglingCase(
                "transfer-encoding in HTTP/1.0",
                "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled)
        ]

    // MARK: Line ends

    private static let lines: [SmugglingCase] = [
        ("LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n"),
        ("LF after a field", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n"),
        ("LF as the blank line", "GET / HTTP/1.1\r\nHost: h\r\n\n"),
        ("LF LF", "GET / HTTP/1.1\nHost: h\n\n"),
        ("CR CR LF", "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"),
        ("CR alone after a field", "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"),
        ("CR alone in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\rContent-Length: 5\r\n\r\n"),
        ("CR alone after the request line", "GET / HTTP/1.1\rHost: h\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{00}b\r\n\r\n"),
        ("NUL in a name", "GET / HTTP/1.1\r\nHost: h\r\nX\u{00}: a\r\n\r\n"),
        ("NUL in the target", "GET /\u{00} HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("BEL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: \u{07}\r\n\r\n"),
        ("DEL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: \u{7f}\r\n\r\n"),
        ("ESC in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: \u{1b}[31m\r\n\r\n"),
        ("VT in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\u{0b}b\r\n\r\n"),
        ("fold by space", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n"),
        ("fold by tab", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tb\r\n\r\n"),
        ("fold of a length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n 5\r\n\r\nhello"),
        ("fold of a coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("fold before the first field", "GET / HTTP/1.1\r\n X: a\r\nHost: h\r\n\r\n"),
        ("blank first field", "GET / HTTP/1.1\r\n\tHost: h\r\nHost: h\r\n\r\n"),
    ].map { SmugglingCase("line: \($0.0)", $0.1 + smuggled) }

    // MARK: Field names

    private static let names: [SmugglingCase] = [
        "Content-Length : 5", "Content-Length\t: 5", "Content-Length\u{0b}: 5", " Content-Length: 5",
        "\tContent-Length: 5",
        "Content Length: 5", "Content-Length", ": 5", "Content-Length=5", "Content-Length; 5",
        "\"Content-Length\": 5",
        "Content-Length\u{a0}: 5", "Content\u{2d}Length\u{00}: 5", "Contént-Length: 5", "(Content-Length): 5",
        "Content/Length: 5",
        "Content@Length: 5", "[Content-Length]: 5", "Transfer-Encoding : chunked",
        "Transfer-Encoding\t:chunked",
        "Transfer Encoding: chunked", "Transfer-Encoding\u{85}: chunked",
        "Transfer-\u{45}ncoding\u{01}: chunked",
        "{Transfer-Encoding}: chunked", "Transfer-Encoding\\: chunked",
    ].map { SmugglingCase("name \(shown($0))", post($0 + "\r\n", "0\r\n\r\n" + smuggled)) }

    // MARK: Chunks

    private static let chunkSizes: [SmugglingCase] = [
        "", " 5", "5 ", "\t5", "5\t", "+5", "-5", "0x5", "0X5", "5h", "g", "５", "5,", "5.0", "1_0", "\u{0b}5",
        "10000000000000005", "FFFFFFFFFFFFFFFF", "ffffffffffffffff5", "00000000000000000000005",
        "8000000000000000",
        "5\u{00}", "\"5\"", "5\r", "\n5", "5 ;a", "5; ",
    ].map {
        SmugglingCase(
            "chunk size \(shown($0))",
            post("Transfer-Encoding: chunked\r\n", "\($0)\r\nhello\r\n0\r\n\r\n" + smuggled))
    }

    private static let chunkFraming: [SmugglingCase] = [
        ("LF after the size", "5\nhello\r\n0\r\n\r\n"), ("LF after the data", "5\r\nhello\n0\r\n\r\n"),
        ("LF at the end", "5\r\nhello\r\n0\n\n"), ("no end of the data", "5\r\nhello0\r\n\r\n"),
        ("data too long", "5\r\nhello!\r\n0\r\n\r\n"), ("data too short", "6\r\nhello\r\n0\r\n\r\n"),
        ("CR alone after the size", "5\rhello\r\n0\r\n\r\n"),
        ("CR CR LF after the size", "5\r\r\nhello\r\n0\r\n\r\n"),
        ("two bytes between", "5\r\nhelloXX0\r\n\r\n"), ("extension with LF", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("extension with NUL", "5;a\u{00}\r\nhello\r\n0\r\n\r\n"),
        ("extension with CR", "5;a=\"\r\"\r\nhello\r\n0\r\n\r\n"),
        ("last chunk with LF", "0\r\n\n"), ("garbage after the last size", "0x\r\n\r\n"),
    ].map { SmugglingCase("chunk: \($0.0)", post("Transfer-Encoding: chunked\r\n", $0.1 + smuggled)) }

    private static let trailers: [SmugglingCase] = [
        ("space before colon", "X : y\r\n"), ("fold", "X: y\r\n z\r\n"), ("LF", "X: y\n"),
        ("NUL", "X: \u{00}\r\n"),
        ("no colon", "XY\r\n"), ("CR alone", "X: a\rb\r\n"), ("no name", ": y\r\n"),
        // It is too late to say these, and who believes them ends the message elsewhere.
        ("a length", "Content-Length: 5\r\n"), ("a length of nothing", "X: y\r\ncontent-length: 0\r\n"),
        ("a coding", "Transfer-Encoding: chunked\r\n"), ("no coding", "TRANSFER-ENCODING:\r\n"),
        ("close", "Connection: close\r\n"), ("keep-alive", "X: y\r\nconnection: keep-alive\r\n"),
    ].map {
        SmugglingCase(
            "trailer: \($0.0)", post("Transfer-Encoding: chunked\r\n", "0\r\n\($0.1)\r\n" + smuggled))
    }

    // MARK: Request lines

    private static let requestLines: [SmugglingCase] = [
        "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1", "GET /",
        "GET", "GET / HTTP/0.9", "GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/2", "GET / HTTP/1",
        "GET / HTTP/1.", "GET / HTTP/11",
        "GET / http/1.1", "GET / HTTP/1.1x", "GET / HTTP/ 1.1", "GET / HTTP/01.1", "GET / HTTP/1.01",
        "GET / HTTP/1,1",
        "GET / HTTPS/1.1", "GET / XTTP/1.1", "G ET / HTTP/1.1", "GET / / HTTP/1.1", "(GET) / HTTP/1.1",
        "GET\u{0b}/ HTTP/1.1",
        "GE\u{00}T / HTTP/1.1", "GET /\u{7f} HTTP/1.1", "GET /é HTTP/1.1", "\u{feff}GET / HTTP/1.1",
        "PRI * HTTP/2.0", "GET / HTTP/1.1\u{0b}",
        "GET //v1/models HTTP/1.1", "GET /v1/%2e%2e/x HTTP/1.1", "GET /v1/../x HTTP/1.1",
        "GET /./v1 HTTP/1.1", "GET /%76%31 HTTP/1.1",
        "GET /v1%2fmodels HTTP/1.1", "GET http://h/ HTTP/1.1", "GET h:80 HTTP/1.1", "GET * HTTP/1.1",
        "GET \\v1 HTTP/1.1", "GET /v1\\x HTTP/1.1",
        "GET /#a HTTP/1.1", "GET /%zz HTTP/1.1", "GET /% HTTP/1.1", "GET ?a HTTP/1.1",
    ].map { SmugglingCase("request line \(shown($0))", $0 + "\r\nHost: h\r\n\r\n" + smuggled) }

    private static let hosts: [SmugglingCase] = [
        ("none", ""), ("two", "Host: a\r\nHost: b\r\n"), ("two the same", "Host: a\r\nHost: a\r\n"),
        ("list", "Host: a, b\r\n"),
        ("space inside", "Host: a b\r\n"), ("path", "Host: a/b\r\n"), ("userinfo", "Host: a@b\r\n"),
        ("query", "Host: a?b\r\n"),
        ("backslash", "Host: a\\b\r\n"), ("fragment", "Host: a#b\r\n"), ("NUL", "Host: a\u{00}b\r\n"),
        ("quoted", "Host: \"a\"\r\n"),
    ].map { SmugglingCase("host: \($0.0)", "GET / HTTP/1.1\r\n\($0.1)\r\n" + smuggled) }

    /// A line end that one reader skips is the first of a head to another.
    private static let leadingLines: [SmugglingCase] = [
        "\r\n", "\r\n\r\n", "\n", "\r", " \r\n", "\r\n ", "\0", "\t",
    ].map {
        SmugglingCase("leading \(shown($0))", $0 + "GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n" + smuggled)
    }

    // MARK: Expect

    private static let expectations: [SmugglingCase] = [
        "Expect: 100-continue\r\nExpect: 100-continue", "Expect: x\r\nExpect: 100-continue",
        "Expect: 100-continue\r\nexpect: x", "Expect: 100-continue, 100-continue", "Expect: 100-continue, x",
        "Expect: 100-continue;a", "Expect: 100-continue x", "Expect: x 100-continue", "Expect:",
        "Expect: 200-ok",
        "Expect: 100", "Expect: \"100-continue\"", "Expect : 100-continue", "Expect:\r\n 100-continue",
        "Expect: 100-continue\u{0b}", "Expect: 100-continue\u{00}", "Expect: y 100-continue",
    ].map {
        SmugglingCase("expect: \(shown($0))", post("\($0)\r\nContent-Length: 5\r\n", "hello" + smuggled))
    }

    // MARK: Bodies where few expect them

    /// CL.0 and its like: a reader who knows that such a method has no body takes what it holds for the next request.
    private static let methodsWithoutBodies = ["GET", "HEAD", "DELETE", "OPTIONS"]

    static func request(_ method: String, _ fields: String, _ body: String = "") -> String {
        "\(method) /api/x HTTP/1.1\r\nHost: h\r\n\(fields)\r\n\(body)"
    }

    private static let hiddenBodies: [SmugglingCase] = methodsWithoutBodies.flatMap { method in
        [
            "Content-Length: +33", "Content-Length: 33, 33", "Content-Length: 0\r\nContent-Length: 33",
            "Content-Length : 33", "Content-Length: 33\r\nTransfer-Encoding: chunked",
            "Content-Length:\r\n 33",
            "Transfer-Encoding: identity", "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: \u{0b}chunked",
        ].map {
            SmugglingCase(
                "body of \(method): \(shown($0))", request(method, $0 + "\r\n", smuggled + smuggled))
        }
    }

    private static let next = "GET /api/next HTTP/1.1\r\nHost: h\r\n\r\n"

    /// Bodies of a length and in chunks; the second message is the one behind them, and not the one in them.
    private static func withBodies(_ method: String) -> [SmugglingCase] {
        let length = "Content-Length: \(smuggled.utf8.count)\r\n"
        let chunks = String(smuggled.utf8.count, radix: 16) + "\r\n\(smuggled)\r\n0\r\n\r\n"
        return [
            SmugglingCase(
                "\(method) with a length", request(method, length, smuggled) + next,
                .accepted([smuggled, ""])),
            SmugglingCase(
                "\(method) in chunks", request(method, "Transfer-Encoding: chunked\r\n", chunks) + next,
                .accepted([smuggled, ""])),
            SmugglingCase(
                "\(method) with an empty body", request(method, "Content-Length: 0\r\n") + next,
                .accepted(["", ""])),
            SmugglingCase("\(method) without a body", request(method, "") + next, .accepted(["", ""])),
        ]
    }

    private static let acceptedBodies: [SmugglingCase] =
        ["GET", "DELETE", "OPTIONS", "PUT", "PATCH"].flatMap(withBodies)

    /// Replies to HEAD have no body themselves, so these are asked of the live server in another way.
    static let headRequests: [SmugglingCase] = withBodies("HEAD")

    private static let acceptedTrailers: [SmugglingCase] = [
        "Host: other", "Authorization: Bearer x", "X-Tollgate-User: x", "Content-Type: a/b",
        "Content-Encoding: gzip", "Trailer: x", "Expect: x", "Content-Lengthy: 5", "Cookie: a=b",
    ].map {
        SmugglingCase(
            "a trailer that is dropped: \($0)",
            post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\n\($0)\r\n\r\n") + next,
            .accepted(["a", ""]))
    }

    // MARK: What must go on working

    private static let acceptedRequests: [SmugglingCase] = [
        SmugglingCase("plain GET", "GET /api/x HTTP/1.1\r\nHost: h\r\n\r\n", .accepted([""])),
        SmugglingCase("a body", post("Content-Length: 5\r\n", "hello"), .accepted(["hello"])),
        SmugglingCase(
            "a length with blanks around", post("Content-Length:  5  \r\n", "hello"), .accepted(["hello"])),
        SmugglingCase("a length with zeros", post("Content-Length: 005\r\n", "hello"), .accepted(["hello"])),
        SmugglingCase(
            "chunks", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
            .accepted(["hello!"])),
        SmugglingCase(
            "chunks, upper case", post("TRANSFER-ENCODING: Chunked\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
            .accepted(["0123456789"])),
        SmugglingCase(
            "a trailer", post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX: y\r\n\r\n"),
            .accepted(["a"])),
        SmugglingCase(
            "two in one packet", post("Content-Length: 2\r\n", "ab") + post("Content-Length: 1\r\n", "c"),
            .accepted(["ab", "c"])),
        SmugglingCase(
            "obs-text in a value",
            bytes: Array("GET /api HTTP/1.1\r\nHost: h\r\nX: ".utf8) + [0xe9, 0xff, 0x0d, 0x0a, 0x0d, 0x0a],
            .accepted([""])),
        SmugglingCase("an empty value", "GET /api HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n", .accepted([""])),
        SmugglingCase(
            "expect", post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello") + next,
            .accepted(["hello", ""])),
        SmugglingCase(
            "expect, in other letters, without a body", post("EXPECT: 100-Continue\r\n") + next,
            .accepted(["", ""])),
        SmugglingCase(
            "as many connection options as may come",
            post("Connection: " + String(repeating: "x, ", count: 32) + "\r\n") + next, .accepted(["", ""])),
        SmugglingCase(
            "a query with everything", "GET /api?a=/../%2f?b;c HTTP/1.1\r\nHost: h\r\n\r\n", .accepted([""])),
    ]
}
