/// What a node said about itself when the connection was made.
struct Greeting: Sendable, Hashable {
    var runID = ""
    var replicationID = ""
    var epochKey = ""

    /// Rule E1: everything that changes when a node may have forgotten something.
    func epoch(ledgerGeneration: Int64) -> String {
        // FNV-1a: this detects accidents, not adversaries.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(self.runID)|\(self.replicationID)|\(self.epochKey)|\(ledgerGeneration)".utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        hash = (hash ^ (hash >> 32)) &* 0xd6e8_feb8_6659_fd93
        hash ^= hash >> 32
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    static let epochKeyName = "tollgate:epoch"

    /// A fresh value for the epoch key, used when there is none.
    static func freshEpochKey() -> String {
        String(UInt64.random(in: 1 ... .max), radix: 16) + String(UInt64.random(in: 1 ... .max), radix: 16)
    }

    /// The value of `name` in a reply to INFO.
    static func infoField(_ name: String, in text: String) -> String? {
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix(name + ":") {
            return String(line.dropFirst(name.count + 1))
        }
        return nil
    }
}

/// The commands of a greeting, in order; all are sent at once.
enum GreetingStep: Sendable, Hashable {
    case authenticate, select, server, replication, makeEpochKey, readEpochKey
    case loadScript(Int)
}

/// Why a greeting failed. Bounded; safe for logs.
enum GreetingFailure: Error, Sendable, Hashable {
    case refused(step: GreetingStep, code: String)
    case unreadable(step: GreetingStep)
    case tooSlow
}
