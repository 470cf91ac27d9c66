import Billing
import Metering

extension AccountRoutes {
    private static let account = Operation.Parameter.path(
        "account", .integer(1...Int64.max), "Number of the account.")

    /// Null is as configured, 0 none.
    static let limits = Schema.object([
        .init("requestsPerMinute", .integer.orNull), .init("tokensPerMinute", .integer.orNull),
        .init("streams", .integer.orNull),
    ])

    private static let shape: [Property] = [
        .init("accountId", .integer), .init("userId", .string), .init("status", .word(AccountStatus.self)),
        .init("balanceMillicredits", .named(.millicredits)),
        .init("floorMillicredits", .named(.millicredits)),
        .init("blocked", .boolean), .init("limits", Self.limits),
        .init("holdPolicy", .word(HoldPolicy.self).orNull),
        .init("createdAtMs", .integer),
    ]

    private static let dispute = Schema.object([
        .init("purchaseId", .string), .init("disputeId", .string), .init("state", .words("open", "lost")),
        .init("sinceMs", .integer), .init("lifted", .boolean),
    ])

    static let reason = Property("reason", .string(1...1000))

    private static func change(
        _ id: String, _ summary: String, _ members: [Property]
    ) -> Operation {
        Operation(
            .admin, id, summary, [Self.account],
            body: Operation.Body(schema: .object(members + [Self.reason], isClosed: true)),
            replies: [.json(.object(Self.shape))], errors: [.notFound, .conflict], audits: true)
    }

    static let listOperation = Operation(
        .admin, "adminAccounts", "Accounts, by their number.",
        [
            .query("prefix", .string(1...256), "Of users whose id begins with it."),
            .query(
                "keyPrefix", .string(1...Int64(AdministeredKey.prefixBytes)),
                "With a key that begins so, as lists of keys show it; never a whole key."),
            .query("accountId", .integer(1...Int64.max), "Of this number only."),
        ] + .page,
        reply: .page(.object(Self.shape)))

    static let createOperation = Operation(
        .admin, "adminCreateAccount", "The account of a user; one that exists is left as it is.",
        body: Operation.Body(
            schema: .object([.init("userId", .string(1...256)), Self.reason], isClosed: true)),
        replies: [.json(.object(Self.shape))], audits: true)

    static let showOperation = Operation(
        .admin, "adminAccount",
        "One account, with what is set aside, why it may not go on, and what counts against the caps of all accounts.",
        [Self.account],
        reply: .object(
            Self.shape + [
                .init("heldMillicredits", .named(.millicredits).orNull), .init("liveHolds", .integer.orNull),
                .init(
                    "standing",
                    .object([
                        .init("actor", .string.orNull), .init("reason", .string.orNull),
                        .init("changedAtMs", .integer.orNull), .init("disputes", .array(Self.dispute)),
                    ])),
                .init(
                    "capSpend",
                    .object([
                        .init("sessionMillicredits", .named(.millicredits)),
                        .init("dayMillicredits", .named(.millicredits)),
                    ]).orNull),
            ]), errors: [.notFound])

    static let statusOperation = Self.change(
        "adminSetStatus", "Suspend an account, or make it active and lift its disputes.",
        [.init("status", .words("active", "suspended"))])

    static let limitsOperation = Self.change(
        "adminSetLimits", "Replace the limits of an account; 0 is none, null as configured.",
        ["requestsPerMinute", "tokensPerMinute", "streams"].map {
            Property($0, .integer(0...RequestLimits.range.upperBound).orNull)
        })

    static let policyOperation = Self.change(
        "adminSetHoldPolicy", "What is set aside for the streams of an account; null as configured.",
        [.init("policy", .word(HoldPolicy.self).orNull)])

    static let adjustOperation = Operation(
        .admin, "adminAdjust", "Add or take credits, once per idempotency key.", [Self.account],
        body: Operation.Body(
            schema: .object(
                [
                    .init("amountMillicredits", .named(.millicredits)),
                    .init("idempotencyKey", .string(1...200)), Self.reason,
                ], isClosed: true)),
        replies: [
            .json(
                .object([
                    .init("accountId", .integer), .init("idempotencyKey", .string),
                    .init("amountMillicredits", .named(.millicredits)),
                    .init("balanceMillicredits", .named(.millicredits)), .init("repeated", .boolean),
                ]))
        ], errors: [.notFound, .conflict, .unprocessableContent], audits: true)

    static let holdsOperation = Operation(
        .admin, "adminHolds", "What is set aside for an account at this moment.", [Self.account],
        reply: .page(
            .object([
                .init("holdId", .string), .init("amountMillicredits", .named(.millicredits)),
                .init("state", .words("held", "captured")),
            ])), errors: [.notFound])

    static let ledgerOperation = Operation(
        .admin, "adminLedger", "What changed the balance of an account, newest first.",
        [Self.account, .query("type", .word(LedgerLineType.self), "Of this type only.")] + .span + .page,
        reply: .page(.named(.ledgerLine)), errors: [.notFound])

    static let usageOperation = Operation(
        .admin, "adminUsage", "Exchanges of an account, newest first.",
        [Self.account, .query("model", .string, "Of this model only.")] + .span + .page,
        reply: .page(.named(.usageLine)), errors: [.notFound])
}
