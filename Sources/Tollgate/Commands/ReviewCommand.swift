import ArgumentParser
import Billing
import PostgresLedger

struct ReviewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "review", abstract: "Accounts whose spend is out of the ordinary.",
        discussion: """
            Every ten minutes accounts are flagged whose charges of the current UTC day are above \
            BILLING_ANOMALY_MULTIPLIER times the mean of the seven days before (of as many as the account is old), and \
            at least 5,000 credits. A flagged account is served until a person suspends it.
            """,
        subcommands: [List.self, Clear.self, Suspend.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Open reviews, newest first.")

        @Flag(help: "Those that were decided too.") var all = false
        @Flag(help: "A JSON array on standard output; millicredits are strings.") var json = false

        func run() async throws {
            try await ReviewCommand.withDesk { desk in
                let reviews = try await desk.reviews(all ? nil : .open, limit: 1000)
                if json { return print(try CommandJSON.of(reviews.map(ReviewJSON.init))) }
                for review in reviews { print(review.line) }
            }
        }
    }

    struct Clear: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "It was in order.")
        @OptionGroup var decision: ReviewOptions

        func run() async throws {
            try await ReviewCommand.withDesk { desk in
                print(
                    try await desk.clearReview(of: decision.user, seen: decision.review, decision.note).line)
            }
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "It was not: suspend the account.")
        @OptionGroup var decision: ReviewOptions

        func run() async throws {
            try await ReviewCommand.withDesk { desk in
                print(
                    try await desk.suspendReviewed(decision.user, seen: decision.review, decision.note).line)
            }
        }
    }

    private static func withDesk(_ body: (ReviewBook) async throws -> Void) async throws {
        try await reporting {
            try await StoreSession.with { store in
                do {
                    try await body(ReviewBook(pool: store.pool))
                } catch let refusal as ReviewRefusal {
                    complain(refusal.words)
                    throw refusal == .ledgerUnavailable ? Exit.unavailable : Exit.checkFailed
                }
            }
        }
    }
}

struct ReviewOptions: ParsableArguments {
    @Option(help: "External user id.") var user: String
    @Option(help: "Number of the review that was seen, as `review list` says it; no other one is decided.")
    var review: Int64?
    @OptionGroup var why: RequiredReason

    var note: ChangeNote { why.note }
}

extension ReviewRefusal {
    fileprivate var words: String {
        switch self {
        case .noOpenReview: "no review of this user is open"
        case .anotherIsOpen: "the review that is given is not the one of this user that is open"
        case .invalidReason: "the reason is not 1 to 1,000 bytes without control characters"
        case .ledgerUnavailable: "the ledger is unavailable"
        }
    }
}

extension AccountReview {
    fileprivate var line: String {
        let decided = self.decision.map { ", \($0.actor) at \(JournalText.time($0.at)): \($0.reason)" } ?? ""
        return
            "\(self.id)  \(self.user)  \(self.day)  \(self.state.rawValue): \(self.spent.creditsText) credits, mean "
            + "\(self.mean.creditsText), above \(self.multiplier) times since "
            + JournalText.time(self.openedAt) + decided
    }
}

private struct ReviewJSON: Encodable {
    var review, account, multiplier: Int64
    var user, day, state, spentMillicredits, meanMillicredits, openedAt: String
    var actor, reason, decidedAt: String?

    init(_ review: AccountReview) {
        (self.review, self.account, self.multiplier) = (review.id, review.account, review.multiplier)
        (self.user, self.day, self.state) = (review.user, "\(review.day)", review.state.rawValue)
        (self.spentMillicredits, self.meanMillicredits) = ("\(review.spent)", "\(review.mean)")
        self.openedAt = JournalText.time(review.openedAt)
        (self.actor, self.reason) = (review.decision?.actor, review.decision?.reason)
        self.decidedAt = review.decision.map { JournalText.time($0.at) }
    }
}
