import Foundation

/// Times as logs and other services want them: RFC 3339 with milliseconds, UTC.
enum Timestamp {
    /// - Parameter milliseconds: since 1970.
    static func text(_ milliseconds: Int64) -> String {
        let (seconds, rest) = milliseconds.quotientAndRemainder(dividingBy: 1000)
        let whole = Date(timeIntervalSince1970: TimeInterval(seconds)).formatted(.iso8601)
        // The digits are written by themselves: a fraction of a Double could be one less.
        return whole.dropLast() + "." + String(1000 + max(0, rest)).dropFirst() + "Z"
    }
}
