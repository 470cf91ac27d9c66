/// Results of POST requests by their `Idempotency-Key`, kept 24 hours.
struct IdempotencyKeys: Equatable, Sendable {
    private struct Entry: Equatable, Sendable {
        let fingerprint: Fingerprint
        let since: Int
        /// Nil while the request is being executed.
        var reply: APIReply?
    }

    private struct Fingerprint: Equatable, Sendable {
        let path: String
        let parameters: FormValue
    }

    enum Verdict: Equatable {
        case execute
        case replay(APIReply)
        case refuse(StripeFailure)
    }

    private var entries: [String: Entry] = [:]

    /// `now` in milliseconds. After `.execute` the key is in use until `finish`.
    mutating func begin(_ key: String, _ path: String, _ parameters: FormValue, now: Int) -> Verdict {
        let fingerprint = Fingerprint(path: path, parameters: parameters)
        guard let entry = self.entries[key], now - entry.since < 86_400_000 else {
            self.entries[key] = Entry(fingerprint: fingerprint, since: now, reply: nil)
            return .execute
        }
        guard entry.fingerprint == fingerprint else { return .refuse(.keyReused(key)) }
        guard let reply = entry.reply else { return .refuse(.keyInUse(key)) }
        return .replay(reply)
    }

    /// Nil for a request that did not begin: its key is free again.
    mutating func finish(_ key: String, _ reply: APIReply?) {
        if let reply { self.entries[key]?.reply = reply } else { self.entries[key] = nil }
    }
}
