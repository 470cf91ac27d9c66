import MoneyPath

/// How a node is asked what it is.
enum Greeting {
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
