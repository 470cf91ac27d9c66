import NIOCore

/// The words of replies: a ring of JSON-escaped pieces, one piece per token, so that a whole reply is one
/// copy.
struct ReplyText: Sendable {
    static let plain = ReplyText([
        "tok ", "the ", "of ", "and ", "to ", "in ", "is ", "that ", "for ", "it ", "with ", "as ", "on ",
        "be ",
        "at ", "by ",
    ])
    static let nasty = ReplyText([
        "tok ", #"\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2} "#,
        #"data: [DONE]\n\n"#, "🙂 ", #"\ud83d\ude42"#, #"\\"#, #"\u0000"#, "[DONE] ", "{} ", "\u{2028}",
        #"\r\n\r\n"#, #"\"finish_reason\":\"stop\""#, "日本語 ", #"\/"#, #"}],\"usage\":null}"#, "\u{7F} ",
    ])

    private static let count = 1_024
    private let bytes: ByteBuffer
    private let offsets: [Int]

    private init(_ words: [String]) {
        var bytes = ByteBuffer()
        var offsets: [Int] = [0]
        for index in 0..<Self.count {
            bytes.writeString(words[Int(ReplySeed.scramble(UInt64(index)) % UInt64(words.count))])
            offsets.append(bytes.writerIndex)
        }
        self.bytes = bytes
        self.offsets = offsets
    }

    /// Writes pieces `first ..< first + count` of the text that `seed` selects.
    func write(_ count: Int, from first: Int, seed: UInt64, into out: inout ByteBuffer) {
        var at = (Int(seed >> 40 & 1_023) + first) % Self.count
        var left = count
        while left > 0 {
            let run = min(left, Self.count - at)
            let start = offsets[at]
            let end = offsets[at + run]
            bytes.withUnsafeReadableBytes { _ = out.writeBytes($0[start..<end]) }
            left -= run
            at = 0
        }
    }

    /// Writes piece `index` of `total` argument pieces of a tool call, escaped for the `arguments` string.
    static func writeArgument(_ index: Int, of total: Int, truncated: Bool, into out: inout ByteBuffer) {
        if total == 1, !truncated {
            out.writeStaticString("{}")
        } else if index == 0 {
            out.writeStaticString(#"{\"q\":\""#)
        } else if index == total - 1, !truncated {
            out.writeStaticString(#"\"}"#)
        } else {
            out.writeStaticString("tok ")
        }
    }
}
