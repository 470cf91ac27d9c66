import Billing
import Metering

/// What the operator's routes are joined to.
public struct AdminPorts: Sendable {
    public var staff: any StaffStore
    public var accounts: any AccountAdministering
    public var holds: any HoldReading
    public var books: any BooksReading
    public var cards: any RateCardDesk
    public var flags: any FlagDesk
    public var replay: any EventReplaying
    public var audit: any AuditReading
    public var reviews: any ReviewDesk
    public var dashboards: any DashboardReading
    /// The meters of this process.
    public var samples: @Sendable () -> [MetricSample]

    public init(
        staff: any StaffStore, accounts: any AccountAdministering, holds: any HoldReading,
        books: any BooksReading, cards: any RateCardDesk, flags: any FlagDesk, replay: any EventReplaying,
        audit: any AuditReading, reviews: any ReviewDesk, dashboards: any DashboardReading,
        samples: @escaping @Sendable () -> [MetricSample] = { [] }
    ) {
        self.staff = staff
        self.accounts = accounts
        self.holds = holds
        self.books = books
        self.cards = cards
        self.flags = flags
        self.replay = replay
        self.audit = audit
        self.reviews = reviews
        self.dashboards = dashboards
        self.samples = samples
    }
}
