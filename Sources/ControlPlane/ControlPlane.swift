import Billing
import Hummingbird
import Metering

/// The billing API of CONTRACT §5 as one responder, called in process by the data plane's listener.
public struct ControlPlane: Sendable {
    public struct Settings: Sendable {
        public var version: String
        /// Each at least 32 bytes; all are valid while rotating.
        public var adminTokens: [String]
        /// Exact origins that browsers may call from.
        public var corsOrigins: [String]
        /// Of sessions: the first makes, all are accepted.
        public var sessionSecrets: [String]
        /// The site is reached by https.
        public var isSecure: Bool
        /// The same for every account.
        public var caps: SpendCaps

        public init(
            version: String, adminTokens: [String], corsOrigins: [String], sessionSecrets: [String],
            isSecure: Bool, caps: SpendCaps = .none
        ) {
            self.version = version
            self.adminTokens = adminTokens
            self.corsOrigins = corsOrigins
            self.sessionSecrets = sessionSecrets
            self.isSecure = isSecure
            self.caps = caps
        }
    }

    public struct Dependencies: Sendable {
        public var directory: any AccountDirectory
        public var keyHasher: KeyHasher
        public var prices: any PriceSource
        public var billing: any BillingReading
        public var held: any HeldReading
        public var readiness: @Sendable () async -> [Readiness]
        /// By which the texts of a request are counted.
        public var encodings: EncodingTables
        /// Answers that purchases are not set up, when they are not.
        public var checkouts: any CheckoutDesk
        public var webhooks: any WebhookDesk
        public var history: any HistoryReading
        public var statements: any StatementPrinting
        /// Answers that it is off, when it is.
        public var recharges: any RechargeDesk
        public var refunds: any Refunding
        public var records: any PaymentRecords
        public var metrics: ControlMetrics
        /// nil: there are no pages.
        public var portal: PortalParts?
        public var admin: AdminPorts
        /// Where passwords are hashed. Tests that run beside each other have one each.
        var passwordWork = SlowWork.passwords

        public init(
            directory: any AccountDirectory, keyHasher: KeyHasher, prices: any PriceSource,
            billing: any BillingReading, held: any HeldReading,
            readiness: @escaping @Sendable () async -> [Readiness],
            encodings: EncodingTables = EncodingTables(), checkouts: any CheckoutDesk,
            webhooks: any WebhookDesk, history: any HistoryReading, statements: any StatementPrinting,
            recharges: any RechargeDesk,
            refunds: any Refunding, records: any PaymentRecords, admin: AdminPorts,
            metrics: ControlMetrics = ControlMetrics(), portal: PortalParts? = nil
        ) {
            self.directory = directory
            self.keyHasher = keyHasher
            self.prices = prices
            self.billing = billing
            self.held = held
            self.readiness = readiness
            self.encodings = encodings
            self.checkouts = checkouts
            self.webhooks = webhooks
            self.history = history
            self.statements = statements
            self.recharges = recharges
            self.refunds = refunds
            self.records = records
            self.metrics = metrics
            self.portal = portal
            self.admin = admin
        }
    }

    /// The internal account that an admin sees when no user is named.
    public static let adminUserID = "admin"

    /// All routes, with their errors already mapped to replies. To be called in process through an
    /// `InProcessResponder`, or served by an `Application` (tests).
    public static func router(_ settings: Settings, _ dependencies: Dependencies) -> Router<ControlContext> {
        self.table(settings, dependencies).router([
            MeasuredReplies(metrics: dependencies.metrics), ReplyFields(isSecure: settings.isSecure),
            CrossOrigin(origins: Set(settings.corsOrigins)), ErrorReplies(),
        ])
    }

    /// The routes, with what the OpenAPI document says of each.
    static func table(_ settings: Settings, _ dependencies: Dependencies) -> RouteTable {
        var dependencies = dependencies
        dependencies.admin.audit = OneVerification(dependencies.admin.audit)
        let credentials = Credentials(settings: settings, dependencies: dependencies)
        let desk = StaffDesk(
            store: dependencies.admin.staff, secrets: SessionSecrets(settings.sessionSecrets),
            work: dependencies.passwordWork)
        let gate = StaffGate(credentials: credentials, desk: desk, isSecure: settings.isSecure)
        var table = RouteTable(gate: gate)
        HealthRoutes(version: settings.version, readiness: dependencies.readiness)
            .add(to: &table, under: "/api")
        BillingRoutes(credentials: credentials, dependencies: dependencies).add(to: &table)
        HistoryRoutes(
            credentials: credentials, history: dependencies.history, printer: dependencies.statements
        ).add(to: &table)
        StripeRoutes(
            credentials: credentials, checkouts: dependencies.checkouts, webhooks: dependencies.webhooks
        ).add(to: &table)
        RechargeRoutes(credentials: credentials, desk: dependencies.recharges).add(to: &table)
        AdminRoutes(refunds: dependencies.refunds, records: dependencies.records).add(to: &table)
        if let portal = dependencies.portal {
            CreditsPages(parts: portal, credentials: credentials, dependencies: dependencies)
                .add(to: &table)
            ConsolePages(
                site: portal.site, gate: gate, dependencies: dependencies, caps: settings.caps
            ).add(to: &table)
        }
        Self.addOperator(to: &table, dependencies)
        CapRoutes(caps: settings.caps).add(to: &table)
        SessionRoutes(desk: desk, isSecure: settings.isSecure).add(to: &table)
        table.addDocument(version: settings.version)
        return table
    }
}

extension ControlPlane {
    /// What people of the operator's look at and change.
    private static func addOperator(to table: inout RouteTable, _ dependencies: Dependencies) {
        let admin = dependencies.admin
        AccountRoutes(
            accounts: admin.accounts, held: dependencies.held, holds: admin.holds,
            billing: dependencies.billing,
            history: dependencies.history
        ).add(to: &table)
        KeyRoutes(accounts: admin.accounts).add(to: &table)
        ReplayRoutes(desk: admin.replay).add(to: &table)
        RateCardRoutes(desk: admin.cards).add(to: &table)
        BooksRoutes(books: admin.books).add(to: &table)
        FlagRoutes(desk: admin.flags).add(to: &table)
        AuditRoutes(audit: admin.audit).add(to: &table)
        ReviewRoutes(desk: admin.reviews).add(to: &table)
        ShadowRoutes(dashboards: admin.dashboards).add(to: &table)
    }
}

/// A request to the control plane, with what the data plane's listener knows of it.
public struct ControlContext: RequestContext {
    public var coreContext: CoreRequestContextStorage
    /// Where the request comes from: what attempts to sign in are counted by.
    var address: String
    /// From where errors become replies to where replies are counted.
    let cause = AnswerCause()

    public init(source: ApplicationRequestContextSource) {
        self.coreContext = .init(source: source)
        self.address = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}
