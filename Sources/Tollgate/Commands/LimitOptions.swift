import ArgumentParser
import Metering
import PostgresLedger

/// `--rpm`, `--tpm`, `--streams` of a key or an account.
struct LimitOptions: ParsableArguments {
    @Option(help: "Requests per minute: a number, 'none', or 'default' for what is configured.")
    var rpm: LimitText?
    @Option(help: "Tokens per minute, input bound and output cap: a number, 'none' or 'default'.")
    var tpm: LimitText?
    @Option(help: "Requests at a time: a number, 'none' or 'default'.")
    var streams: LimitText?

    var changes: AccountBook.LimitChanges {
        var changes = AccountBook.LimitChanges()
        changes.requestsPerMinute = self.rpm?.change ?? .keep
        changes.tokensPerMinute = self.tpm?.change ?? .keep
        changes.streams = self.streams?.change ?? .keep
        return changes
    }
}

struct LimitText: ExpressibleByArgument {
    let change: AccountBook.LimitChange

    init?(argument: String) {
        switch argument {
        case "none": self.change = .none
        case "default": self.change = .usual
        default:
            guard let limit = Int64(argument), RequestLimits.range.contains(limit) else { return nil }
            self.change = .limit(limit)
        }
    }
}

extension RequestLimitOverrides {
    /// Tab-separated, for lists.
    var line: String {
        func text(_ limit: Int64?) -> String { limit.map { $0 == 0 ? "none" : "\($0)" } ?? "default" }
        return "\(text(self.requestsPerMinute))\t\(text(self.tokensPerMinute))\t\(text(self.streams))"
    }

    static let heading = "rpm\ttpm\tstreams"
}
