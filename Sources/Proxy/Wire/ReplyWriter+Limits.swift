import Metering
import NIOCore

extension ReplyWriter {
    /// OpenAI's rate limit headers, of the tightest of key and account, and the caps that are nearly reached. Each
    /// begins with the end of the line before it.
    static func limits(_ reading: LimitReading, _ nearCaps: [SpendCap], into out: inout ByteBuffer) {
        func level(_ level: LimitLevel?, _ what: StaticString) {
            guard let level else { return }
            func field(_ name: StaticString, _ value: String) {
                out.writeStaticString("\r\nx-ratelimit-")
                out.writeStaticString(name)
                out.writeStaticString(what)
                out.writeString(value)
            }
            field("limit-", "\(level.limit)")
            field("remaining-", "\(level.remaining)")
            field("reset-", GoDuration.text(level.resetMilliseconds))
        }
        level(reading.requests, "requests: ")
        level(reading.tokens, "tokens: ")
        guard !nearCaps.isEmpty else { return }
        out.writeStaticString("\r\nx-tollgate-spend-warning: ")
        out.writeString(nearCaps.map(\.rawValue).joined(separator: ", "))
    }
}
