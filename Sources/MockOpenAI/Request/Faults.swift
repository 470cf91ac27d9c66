/// Ways in which one reply can go wrong. Several can be asked for at once (`fault=crlf,split`).
/// The names in `named` are the words of the `fault=` directive and of the log's `fault` field.
public struct Faults: OptionSet, Sendable, Hashable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    // Errors instead of a reply.
    public static let rateLimited = Faults(rawValue: 1 << 0)
    public static let quotaExhausted = Faults(rawValue: 1 << 1)
    public static let serverError = Faults(rawValue: 1 << 2)
    public static let overloaded = Faults(rawValue: 1 << 3)
    public static let unauthorized = Faults(rawValue: 1 << 4)
    public static let earlyError = Faults(rawValue: 1 << 5)
    // Connections that break or freeze.
    public static let cut = Faults(rawValue: 1 << 6)
    public static let cutReset = Faults(rawValue: 1 << 7)
    public static let cutHead = Faults(rawValue: 1 << 8)
    public static let cutBody = Faults(rawValue: 1 << 9)
    public static let stall = Faults(rawValue: 1 << 10)
    public static let stallHead = Faults(rawValue: 1 << 11)
    // Usage that is wrong or absent.
    public static let malformed = Faults(rawValue: 1 << 12)
    public static let malformedUsage = Faults(rawValue: 1 << 13)
    public static let noUsage = Faults(rawValue: 1 << 14)
    public static let nullUsage = Faults(rawValue: 1 << 15)
    public static let overCap = Faults(rawValue: 1 << 16)
    public static let hugeUsage = Faults(rawValue: 1 << 17)
    public static let negativeUsage = Faults(rawValue: 1 << 18)
    public static let stringUsage = Faults(rawValue: 1 << 19)
    public static let zeroUsage = Faults(rawValue: 1 << 20)
    public static let cachedOver = Faults(rawValue: 1 << 21)
    // Framing that is legal but rare, or nearly legal.
    public static let crlf = Faults(rawValue: 1 << 22)
    public static let carriageReturn = Faults(rawValue: 1 << 23)
    public static let split = Faults(rawValue: 1 << 24)
    public static let splitEveryByte = Faults(rawValue: 1 << 25)
    public static let slowBody = Faults(rawValue: 1 << 26)
    public static let gzip = Faults(rawValue: 1 << 27)
    public static let errorFrame = Faults(rawValue: 1 << 28)
    public static let errorFrameFirst = Faults(rawValue: 1 << 29)
    public static let closeDelimited = Faults(rawValue: 1 << 30)
    public static let contentAndUsage = Faults(rawValue: 1 << 31)
    public static let comments = Faults(rawValue: 1 << 32)
    public static let byteOrderMark = Faults(rawValue: 1 << 33)
    public static let interim = Faults(rawValue: 1 << 34)
    public static let big = Faults(rawValue: 1 << 35)
    public static let noDone = Faults(rawValue: 1 << 36)

    /// Directive word, fault, and what `--help` says about it.
    public static let named: [(word: String, fault: Faults, meaning: String)] = [
        ("429", .rateLimited, "rate limit: 429 rate_limit_exceeded with retry-after"),
        ("429quota", .quotaExhausted, "the operator's quota: 429 insufficient_quota"),
        ("500", .serverError, "500 server_error"),
        ("503", .overloaded, "503 overloaded"),
        ("401", .unauthorized, "401 invalid_api_key"),
        ("early_error", .earlyError, "413 before the body was read, then a lingering close"),
        ("cut", .cut, "FIN in mid-stream (without stream: as cut_body)"),
        ("cut_rst", .cutReset, "RST in mid-stream (without stream: in mid-body)"),
        ("cut_head", .cutHead, "close before any reply byte"),
        ("cut_body", .cutBody, "content-length promised, half of the body sent, FIN"),
        ("stall", .stall, "half of the reply, then nothing until the peer goes away"),
        ("stall_head", .stallHead, "nothing at all until the peer goes away"),
        ("malformed", .malformed, "broken JSON body; in a stream one broken data line"),
        ("malformed_usage", .malformedUsage, "the usage object is not JSON"),
        ("no_usage", .noUsage, "usage is never sent"),
        ("null_usage", .nullUsage, "usage is null where it should be an object"),
        ("over_cap", .overCap, "usage.completion_tokens = cap x n + 50 (no cap: true + 50)"),
        ("huge_usage", .hugeUsage, "usage.completion_tokens = 9e18"),
        ("negative_usage", .negativeUsage, "usage.completion_tokens = -1"),
        ("string_usage", .stringUsage, "usage numbers are JSON strings"),
        ("zero_usage", .zeroUsage, "all usage numbers are 0"),
        ("cached_over", .cachedOver, "cached_tokens = prompt_tokens + 1000"),
        ("crlf", .crlf, "SSE lines end in CRLF"),
        ("cr", .carriageReturn, "SSE lines end in a lone CR"),
        ("split", .split, "the reply goes out in writes of 1 to 7 bytes, each flushed"),
        ("split1", .splitEveryByte, "the reply goes out byte by byte, each flushed"),
        ("slow_body", .slowBody, "16 bytes every gap_ms"),
        ("gzip", .gzip, "content-encoding: gzip although nobody asked"),
        ("error_frame", .errorFrame, "SSE error object after `after` deltas, then the end (no stream: 500)"),
        ("error_frame0", .errorFrameFirst, "SSE error object as the first frame of a 200 (no stream: 500)"),
        ("close_delimited", .closeDelimited, "no content-length, no chunks: the end is the close"),
        ("content_and_usage", .contentAndUsage, "last content, finish_reason and usage in one frame"),
        ("comments", .comments, "SSE comment lines between frames"),
        ("bom", .byteOrderMark, "a UTF-8 byte order mark first"),
        ("100", .interim, "interim 100 and 103 responses first"),
        ("big", .big, "one delta of 1 MB in one line, counted as one token"),
        ("no_done", .noDone, "the stream ends without [DONE]"),
    ]

    /// The fault a directive word stands for; nil for an unknown word.
    public init?(word: String) {
        guard let entry = Faults.named.first(where: { $0.word == word }) else { return nil }
        self = entry.fault
    }

    /// The words of all faults in the set, comma-separated; empty for none.
    public var words: String {
        Faults.named.filter { self.contains($0.fault) }.map(\.word).joined(separator: ",")
    }

    /// Single faults of the set.
    var members: [Faults] { Faults.named.map(\.fault).filter { self.contains($0) } }

    static let refusals: Faults = [.rateLimited, .quotaExhausted, .serverError, .overloaded, .unauthorized]
    static let drips: Faults = [.split, .splitEveryByte, .slowBody]
}
