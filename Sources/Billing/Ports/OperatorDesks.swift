import Metering

/// An amount that is held or captured at this moment.
public struct OpenHold: Sendable, Hashable {
    public var hold: HoldID
    public var amount: Millicredits
    /// The exchange is over, its settlement is on its way.
    public var isCaptured: Bool

    public init(hold: HoldID, amount: Millicredits, isCaptured: Bool) {
        self.hold = hold
        self.amount = amount
        self.isCaptured = isCaptured
    }
}

/// What counts against the spend caps of an account at this moment: spent and held.
public struct CapSpend: Sendable, Hashable {
    /// Of the last sixty minutes.
    public var session: Millicredits
    /// Of the UTC day.
    public var day: Millicredits

    public init(session: Millicredits, day: Millicredits) {
        self.session = session
        self.day = day
    }
}

/// Holds of the hold store.
public protocol HoldReading: Sendable {
    /// nil: the hold store cannot be asked just now.
    func liveHolds(of account: AccountID) async -> [OpenHold]?
    /// nil: it is not known just now.
    func capSpend(of account: AccountID) async -> CapSpend?
}

/// A run of the reconciliation.
public struct ReconciliationRun: Sendable, Hashable {
    public struct Result: Sendable, Hashable {
        public var check: String
        public var outcome: String
        public var findings: Int64
        /// Millicredits.
        public var mismatch: String

        public init(check: String, outcome: String, findings: Int64, mismatch: String) {
            self.check = check
            self.outcome = outcome
            self.findings = findings
            self.mismatch = mismatch
        }
    }

    public var run: Int64
    public var day: String
    public var source: String
    /// Milliseconds since 1970.
    public var finishedAt: Int64
    public var isClean: Bool
    public var isComplete: Bool
    public var mismatch: String
    public var results: [Result]

    public init(
        run: Int64, day: String, source: String, finishedAt: Int64, isClean: Bool, isComplete: Bool,
        mismatch: String, results: [Result]
    ) {
        self.run = run
        self.day = day
        self.source = source
        self.finishedAt = finishedAt
        self.isClean = isClean
        self.isComplete = isComplete
        self.mismatch = mismatch
        self.results = results
    }
}

/// A difference, or a reason why nothing was compared, as it was stored.
public struct StoredFinding: Sendable, Hashable {
    public var check: String
    public var finding: ReconciliationFinding

    public init(check: String, finding: ReconciliationFinding) {
        self.check = check
        self.finding = finding
    }
}

/// The books and their comparisons, for the operator.
public protocol BooksReading: Sendable {
    /// Sums of the accounts of the books, micro-USD, at this moment.
    func balanceOfBooks() async throws -> TrialBalance
    /// Newest first.
    func reconciliationRuns(before: Int64?, limit: Int64) async throws -> [ReconciliationRun]
    /// The first differences of each check; nil: no such run.
    func findings(of run: Int64) async throws -> [StoredFinding]?
    /// What the gauges tell; nil: nothing was read yet.
    func figures() async throws -> FinanceFigure?
}

/// What the business owes and earns; micro-USD.
public struct FinanceFigure: Sendable, Hashable {
    public var deferredRevenue: Int128
    public var liability: Int128
    public var marginYesterday: Int128
    public var lagLines: Int64
    /// Seconds since 1970.
    public var readAt: Int64

    public init(
        deferredRevenue: Int128, liability: Int128, marginYesterday: Int128, lagLines: Int64, readAt: Int64
    ) {
        self.deferredRevenue = deferredRevenue
        self.liability = liability
        self.marginYesterday = marginYesterday
        self.lagLines = lagLines
        self.readAt = readAt
    }
}

/// A rate card as it was applied.
public struct AppliedRateCard: Sendable, Hashable {
    public var card: String
    public var version: String
    /// Milliseconds since 1970.
    public var effectiveFrom: Int64
    public var appliedAt: Int64
    public var appliedBy: String
    public var sha256: String
    public var isActive: Bool

    public init(
        card: String, version: String, effectiveFrom: Int64, appliedAt: Int64, appliedBy: String,
        sha256: String, isActive: Bool
    ) {
        self.card = card
        self.version = version
        self.effectiveFrom = effectiveFrom
        self.appliedAt = appliedAt
        self.appliedBy = appliedBy
        self.sha256 = sha256
        self.isActive = isActive
    }
}

/// What applying a card would change, or changes.
public struct CardReview: Sendable, Hashable {
    public struct Problem: Sendable, Hashable {
        /// `error`, `warning` or `notice`.
        public var severity: String
        public var path: String
        public var message: String
        /// In the file, counted from 1; nil: it is of no one place.
        public var line: Int64?

        public init(severity: String, path: String, message: String, line: Int64? = nil) {
            self.severity = severity
            self.path = path
            self.message = message
            self.line = line
        }
    }

    public struct Change: Sendable, Hashable {
        public var model: String
        /// `added`, `removed` or `changed`.
        public var change: String
        public var path: String?
        public var from: String?
        public var to: String?

        public init(
            model: String, change: String, path: String? = nil, from: String? = nil, to: String? = nil
        ) {
            self.model = model
            self.change = change
            self.path = path
            self.from = from
            self.to = to
        }
    }

    /// What remains of a rate after its cost, as text: the unit is that of the price.
    public struct Margin: Sendable, Hashable {
        public var model: String
        public var path: String
        public var price: String
        public var cost: String
        public var margin: String

        public init(model: String, path: String, price: String, cost: String, margin: String) {
            self.model = model
            self.path = path
            self.price = price
            self.cost = cost
            self.margin = margin
        }
    }

    /// Of a card's file. Cards of hundreds of models have some ten thousand.
    public static let cardBytesMax = 1 << 20

    /// `card@version`; nil: none is in force.
    public var active: String?
    /// nil: the file could not be read as a card.
    public var card: String?
    public var problems: [Problem]
    public var changes: [Change]
    /// Of the usual rates of each model.
    public var margins: [Margin]

    public init(
        active: String?, card: String?, problems: [Problem], changes: [Change], margins: [Margin] = []
    ) {
        self.active = active
        self.card = card
        self.problems = problems
        self.changes = changes
        self.margins = margins
    }

    /// It cannot be applied.
    public var isRefused: Bool { self.card == nil || self.problems.contains { $0.severity == "error" } }
}

/// What history would have cost under another card; millicredits and pico-USD.
public struct CardHistory: Sendable, Hashable {
    public struct Line: Sendable, Hashable {
        public var name: String
        public var events: Int64
        public var now: Int128
        public var then: Int128

        public init(name: String, events: Int64, now: Int128, then: Int128) {
            self.name = name
            self.events = events
            self.now = now
            self.then = then
        }
    }

    public var total: Line
    public var models: [Line]

    public init(total: Line, models: [Line]) {
        self.total = total
        self.models = models
    }
}

/// Why a card was not applied.
public enum RateCardRefusal: Error, Sendable, Hashable {
    /// See its problems.
    case invalid(CardReview)
    /// This version was applied with other content.
    case versionTaken
    /// Somebody else's simulation runs; one at a time reads the history.
    case busy
}

/// Rate cards for the operator.
public protocol RateCardDesk: Sendable {
    /// The one that took, or takes, effect last first.
    func appliedCards() async throws -> [AppliedRateCard]
    /// YAML; nil: no such card.
    func text(ofCard card: String, version: String) async throws -> String?
    func review(_ yaml: String) async throws -> CardReview
    /// - Throws: `RateCardRefusal`.
    func simulate(_ yaml: String, days: Int64) async throws -> CardHistory
    /// - Throws: `RateCardRefusal`.
    func apply(_ yaml: String, note: ChangeNote) async throws -> (review: CardReview, isNew: Bool)
}

/// Which events of Stripe are applied again.
public enum ReplayChoice: Sendable, Hashable {
    case event(String)
    /// Those that were kept for a person.
    case dead
}

/// What a replay came to.
public struct ReplayResult: Sendable, Hashable {
    public var events: Int64
    public var posted: Int64
    /// That still need a person.
    public var open: Int64

    public init(events: Int64, posted: Int64, open: Int64) {
        self.events = events
        self.posted = posted
        self.open = open
    }
}

public enum ReplayRefusal: Error, Sendable, Hashable {
    case notConfigured
    case unknownEvent
    /// Only what needs a person can be dismissed.
    case notDead
    case stripeUnavailable
    case ledgerUnavailable
}

/// What became of the wish to dismiss an event.
public enum EventDismissal: Sendable, Hashable {
    /// Now, or before.
    case dismissed
    case unknownEvent
    case notDead
}

/// Decides events of Stripe that need a person.
public protocol EventReplaying: Sendable {
    /// Applies them again; nothing is granted or taken twice.
    func replay(_ choice: ReplayChoice, note: ChangeNote) async throws(ReplayRefusal) -> ReplayResult
    /// Nothing is to be made of it. It is applied all the same when that becomes possible and somebody asks for it.
    func dismiss(_ event: String, note: ChangeNote) async throws(ReplayRefusal)
}
