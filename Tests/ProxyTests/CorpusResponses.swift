/// An upstream is not trusted either: a response that two readers could end at two places would mix up two users.
extension SmugglingCorpus {
    static let responses: [SmugglingCase] =
        statusLines + responseFraming + responseLines + responseChunks + acceptedResponses

    private static let next = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"

    private static func shown(_ text: String) -> String {
        text.unicodeScalars.map { $0.value >= 0x20 && $0.value < 0x7f ? String($0) : "<\($0.value)>" }
            .joined()
    }

    private static let statusLines: [SmugglingCase] = [
        "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 000 OK", "HTTP/1.1 099 OK", "HTTP/1.1 600 OK",
        "HTTP/1.1 +200 OK",
        "HTTP/1.1 2x0 OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200OK", "HTTP/1.2 200 OK",
        "HTTP/2.0 200 OK",
        "HTTP/0.9 200 OK", "http/1.1 200 OK", "HTTP/1.1", "200 OK", " HTTP/1.1 200 OK",
        "HTTP/1.1 200 O\u{00}K",
        "HTTP/1.1 200 O\u{0b}K", "HTTP/1.1 200 O\rK", "HTTP/1.1 101 Switching Protocols", "ICY 200 OK",
        "HTTP/11 200 OK",
        "HTTP/1.1 -200 OK", "HTTP/1.1 0x0 OK", "HTTP/1.1 ٢٠٠ OK",
    ].map { SmugglingCase("status line \(shown($0))", $0 + "\r\nContent-Length: 0\r\n\r\n" + next) }

    private static let responseFraming: [SmugglingCase] = [
        "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: +5", "Content-Length: -5",
        "Content-Length: 5,5", "Content-Length: 0x5", "Content-Length: 5 5", "Content-Length: ",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding : chunked", "Content-Length : 5", "Transfer-Encoding:\r\n chunked",
        "Content Length: 5",
        "Transfer-Encoding: chunked\u{00}",
        // What is metered must be what the client reads.
        "Content-Type: text/event-stream\r\nContent-Type: text/plain\r\nContent-Length: 5",
        "Content-Encoding: gzip\r\nContent-Encoding: identity\r\nContent-Length: 5",
        "Content-Encoding: \(String(repeating: ",", count: 300))gzip\r\nContent-Length: 5",
    ].map {
        SmugglingCase(
            "response field \(shown($0))", "HTTP/1.1 200 OK\r\n\($0)\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + next)
    }

    private static let responseLines: [SmugglingCase] = [
        ("LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
        ("LF after a field", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
        ("LF as the blank line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
        ("CR twice after the status line", "HTTP/1.1 200 OK\r\r\r\n"),
        ("CR alone", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
        ("fold", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
        ("NUL", "HTTP/1.1 200 OK\r\nX: \u{00}\r\nContent-Length: 0\r\n\r\n"),
        ("no colon", "HTTP/1.1 200 OK\r\nXY\r\nContent-Length: 0\r\n\r\n"),
        ("no name", "HTTP/1.1 200 OK\r\n: y\r\nContent-Length: 0\r\n\r\n"),
        ("chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ].map { SmugglingCase("response line: \($0.0)", $0.1 + next) }

    private static let responseChunks: [SmugglingCase] = [
        "5;a\r\nhello\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", "5\nhello\r\n", "5\r\nhello\n",
        "5 \r\nhello\r\n", "\r\nhello\r\n",
        "FFFFFFFFFFFFFFFF\r\nhello\r\n", "5\r\nhelloX\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n", "5\r\nhello\r\n0\r\nConnection: close\r\n\r\n",
    ].map {
        SmugglingCase(
            "response chunk \(shown($0))",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\($0)0\r\n\r\n" + next)
    }

    private static let acceptedResponses: [SmugglingCase] = [
        SmugglingCase("a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", .accepted(["hello"])),
        SmugglingCase("no reason", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", .accepted(["hello"])),
        SmugglingCase(
            "no reason and no blank", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", .accepted(["hello"])),
        SmugglingCase(
            "a reply in chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            .accepted(["hello"])),
        SmugglingCase("until close", "HTTP/1.1 200 OK\r\n\r\nhello", .accepted(["hello"])),
        SmugglingCase(
            "204 and 304 have no body",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            .accepted(["", ""])),
        SmugglingCase(
            "interim heads",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            .accepted(["ok"])),
    ]
}
