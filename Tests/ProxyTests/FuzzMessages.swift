@testable import Proxy

/// A generator whose whole sequence follows from its seed (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var word = self.state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self) < percent }

    mutating func pick<Element>(_ from: [Element]) -> Element {
        from[Int.random(in: 0..<from.count, using: &self)]
    }
}

/// Bytes that are nearly HTTP/1.1: well-formed messages, with a few things wrong.
struct FuzzMessages {
    var random: SeededRandom

    private static let lineEnds = [
        "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n", "\n\r\n", "",
    ]
    private static let blanks = [" ", " ", " ", " ", "", "\t", "  ", " \t", "\u{0b}", "\u{0c}", "\u{a0}"]
    private static let lengths = [
        "0", "5", "5", "3", "+5", "-5", "0x5", "05", "5,5", "5 ", "", "99999999999999999999", "5;", "1_0",
        "٥",
    ]
    private static let codings = [
        "chunked", "chunked", "chunked", "Chunked", "CHUNKED", " chunked ", "chunked,", "chunked, chunked",
        "gzip, chunked",
        "identity", "chunked;q=1", "xchunked", "\u{0b}chunked", "chunked\u{0}", "", "\"chunked\"",
    ]
    private static let names = [
        "X", "Accept", "X-A", "Content-Length", "Transfer-Encoding", "Host", "Connection", "Content-Type",
        "Trailer", "TE", "Cookie",
        "content-length", "TRANSFER-ENCODING", "Transfer Encoding", "Content_Length",
        "Upgrade-Insecure-Requests", "X:Y", "", "Expect", "Content-Encoding",
    ]
    /// Of trailers: some that are not allowed there, because they would say something else of the message.
    private static let trailerNames = [
        "X-T", "X-T", "Content-Length", "Transfer-Encoding", "Host", "Authorization", "Connection", "Trailer",
        "",
        "X T", "GET /canary HTTP/1.1",
    ]
    private static let values = [
        "", "y", "a b", "close", "keep-alive", "text/plain", "\u{e9}", "a\tb", "a\u{0}b", "x\u{7f}", "\u{1}",
        "h", "Content-Length", "1, 2", "100-continue", "5", "chunked",
    ]
    private static let targets = [
        "/", "/api/x", "/a?b=c", "/a/b%20c", "/v1/models", "/api?x=%zz", "/a//b", "/%2e", "*", "http://h/",
        "/a#b", "//x",
    ]
    private static let methods = [
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "G", "PO ST", "GET\u{0}", "POST,",
    ]
    private static let sizes = [
        "0", "1", "5", "a", "A", "05", "+5", "5 ", " 5", "5;x=y", "5;", "0x5", "FFFFFFFFFFFFFFFF",
        "10000000000000005", "", "g",
    ]

    mutating func requests() -> [UInt8] {
        var text = ""
        for _ in 0..<Int.random(in: 1...3, using: &self.random) { text += self.request() }
        // What a smuggler is after: a message that only one of two readers sees.
        if self.random.chance(50) { text += "GET /canary HTTP/1.1\r\nHost: c\r\n\r\n" }
        return self.mutated(Array(text.utf8))
    }

    mutating func responses() -> [UInt8] {
        var text = ""
        for _ in 0..<Int.random(in: 1...2, using: &self.random) { text += self.response() }
        if self.random.chance(50) { text += "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary" }
        return self.mutated(Array(text.utf8))
    }

    private mutating func rarely(_ list: [String], _ usual: String, _ percent: Int = 8) -> String {
        self.random.chance(percent) ? self.random.pick(list) : usual
    }

    private mutating func end() -> String { self.rarely(Self.lineEnds, "\r\n", 3) }

    private mutating func request() -> String {
        let method = self.rarely(Self.methods, self.random.pick(["GET", "POST", "POST"]))
        let target = self.rarely(Self.targets, "/api/x", 20)
        let version = self.rarely(
            ["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", ""], "HTTP/1.1", 5)
        var text = self.random.chance(2) ? self.random.pick(["\r\n", "\n", "\r", " "]) : ""
        text +=
            method + self.rarely(Self.blanks, " ", 2) + target + self.rarely(Self.blanks, " ", 2) + version
            + self.end()
        if !self.random.chance(3) { text += "Host:" + self.rarely(Self.blanks, " ", 3) + "h" + self.end() }
        return text + self.fieldsAndBody()
    }

    private mutating func response() -> String {
        let status = self.rarely(["204", "304", "100", "103", "20", "2000", "099", "101", "600"], "200", 15)
        let version = self.rarely(["HTTP/1.0", "HTTP/2.0", "ICY"], "HTTP/1.1", 5)
        let reason = self.rarely(["", " ", " \u{e9}", " a\u{0}", "\tOK"], " OK", 8)
        return version + self.rarely(Self.blanks, " ", 2) + status + reason + self.end()
            + self.fieldsAndBody()
    }

    private mutating func fieldsAndBody() -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...2, using: &self.random) {
            text += self.rarely(Self.names, "X-A", 30) + self.rarely([" :", ":", "\t:", ""], ":", 3)
            text += self.rarely(Self.blanks, " ", 5) + self.random.pick(Self.values) + self.end()
            if self.random.chance(2) { text += " folded" + self.end() }
        }
        switch Int.random(in: 0..<10, using: &self.random) {
        case 0..<3:
            text +=
                "Content-Length:" + self.rarely(Self.blanks, " ", 5) + self.rarely(Self.lengths, "5", 20)
                + self.end()
            if self.random.chance(5) { text += "Content-Length: 5" + self.end() }
            return text + self.end() + "hello"
        case 3..<6:
            text +=
                "Transfer-Encoding:" + self.rarely(Self.blanks, " ", 5)
                + self.rarely(Self.codings, "chunked", 20) + self.end()
            if self.random.chance(5) { text += "Content-Length: 5" + self.end() }
            return text + self.end() + self.chunks()
        default:
            return text + self.end()
        }
    }

    private mutating func chunks() -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...3, using: &self.random) {
            text += self.rarely(Self.sizes, "5", 10) + self.end() + "hello" + self.end()
        }
        text += self.rarely(["00", "0;a", "0 ", "+0", "-0"], "0", 5) + self.end()
        if self.random.chance(15) {
            text += self.random.pick(Self.trailerNames) + ":" + self.rarely(Self.blanks, " ", 5)
            text += self.random.pick(Self.values) + self.end()
        }
        return text + self.end()
    }

    private static let sharpBytes: [UInt8] = [
        0, 9, 10, 11, 12, 13, 32, 43, 44, 45, 48, 58, 59, 95, 127, 0x85, 0xa0, 0xff,
    ]

    private mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        guard self.random.chance(40) else { return bytes }
        for _ in 0..<Int.random(in: 1...2, using: &self.random) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &self.random)
            switch Int.random(in: 0..<5, using: &self.random) {
            case 0: bytes[at] = self.random.pick(Self.sharpBytes)
            case 1: bytes.insert(self.random.pick(Self.sharpBytes), at: at)
            case 2: bytes.remove(at: at)
            case 3: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &self.random)
            default:
                let end = min(bytes.count, at + Int.random(in: 1...12, using: &self.random))
                bytes.insert(contentsOf: bytes[at..<end], at: at)
            }
        }
        return bytes
    }
}
