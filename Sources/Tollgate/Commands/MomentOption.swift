import Foundation

/// A moment as operators write it: a UTC day (its begin), an instant, or how long ago: `90m`, `2h`, `3d`.
struct MomentOption: Sendable, Hashable {
    /// Since 1970.
    let seconds: Int64

    /// - Parameter now: seconds since 1970.
    init?(_ text: String, now: Int64) {
        if let ago = Self.ago(text) {
            guard ago <= now else { return nil }
            self.seconds = now - ago
            return
        }
        let whole = text.utf8.count == 10 ? text + "T00:00:00Z" : text
        guard let date = try? Date(whole, strategy: .iso8601),
            (0..<253_402_300_800).contains(date.timeIntervalSince1970)
        else { return nil }
        self.seconds = Int64(date.timeIntervalSince1970)
    }

    private static func ago(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["m": 60, "h": 3600, "d": 86_400]
        guard let last = text.last, let unit = units[last], text.utf8.count <= 8,
            text.dropLast().utf8.allSatisfy({ 48...57 ~= $0 }), let count = Int64(text.dropLast())
        else { return nil }
        return count * unit
    }
}
