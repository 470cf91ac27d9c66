import Billing
import Metering

/// A row of `purchase`.
enum PurchaseRow {
    static let columns = """
        p.purchase_id, p.account_id, p.kind, p.package_code, p.package_version, p.package_name,
        p.price_usd_cents, p.credits_millicredits, p.livemode,
        (extract(epoch FROM p.created_at) * 1000)::bigint, p.status, p.session_id, p.payment_intent_id,
        p.customer_id
        """

    static func read(_ row: PostgresRow) throws -> Purchase {
        guard let kind = Purchase.Kind(rawValue: try row.text(2)),
            let status = Purchase.Status(rawValue: try row.text(10))
        else { throw PostgresError.unexpectedResult("unknown kind or status of a purchase") }
        return Purchase(
            id: PurchaseID(try row.uuid(0)), account: try row.int(1), kind: kind,
            packageCode: try row.text(3), packageVersion: try row.int(4), packageName: try row.text(5),
            priceUSDCents: try row.int(6), credits: try row.millicredits(7), livemode: try row.bool(8),
            createdAt: try row.int(9), status: status, session: try row.optionalText(11),
            paymentIntent: try row.optionalText(12), customer: try row.optionalText(13))
    }

    static func find(
        _ condition: String, _ value: PostgresValue, on connection: PostgresConnection
    ) throws -> Purchase? {
        try connection.run("SELECT \(Self.columns) FROM purchase p WHERE \(condition)", [value]).first
            .map(Self.read)
    }

    /// With the row of its payment.
    ///
    /// - Parameter attemptKey: of a recharge, and only of one.
    static func insert(
        _ purchase: Purchase, urls: ReturnURLs?, paymentMethod: String?, attemptKey: String?,
        on connection: PostgresConnection
    ) throws {
        try connection.run(
            """
            INSERT INTO purchase (purchase_id, account_id, kind, package_code, package_version, package_name,
                price_usd_cents, credits_millicredits, livemode, created_at, status, customer_id, success_url,
                cancel_url, payment_method_id, attempt_key)
            VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, to_timestamp($10 / 1000.0), $11, $12, $13, $14,
                $15, $16)
            """,
            [
                .uuid(purchase.id.uuid), .int(purchase.account), .text(purchase.kind.rawValue),
                .text(purchase.packageCode), .int(purchase.packageVersion), .text(purchase.packageName),
                .int(purchase.priceUSDCents), .int(purchase.credits.value), .bool(purchase.livemode),
                .int(purchase.createdAt), .text(purchase.status.rawValue), .text(purchase.customer),
                .text(urls?.success), .text(urls?.cancel), .text(paymentMethod), .text(attemptKey),
            ])
        try connection.run(
            "INSERT INTO payment_state (purchase_id, account_id) VALUES ($1::uuid, $2)",
            [.uuid(purchase.id.uuid), .int(purchase.account)])
    }

    /// What a reading can change.
    static func write(_ purchase: Purchase, _ snapshot: PaymentSnapshot?, on connection: PostgresConnection)
        throws
    {
        let changed = try connection.run(
            """
            UPDATE purchase SET status = $2, session_id = coalesce($3, session_id), payment_intent_id = $4,
                customer_id = coalesce($5, customer_id), receipt_url = coalesce($6, receipt_url),
                paid_at = CASE WHEN $2 = 'paid' THEN coalesce(paid_at, now()) END, updated_at = now()
            WHERE purchase_id = $1::uuid
            """,
            [
                .uuid(purchase.id.uuid), .text(purchase.status.rawValue), .text(purchase.session),
                .text(purchase.paymentIntent), .text(snapshot?.customer), .text(snapshot?.charge?.receiptURL),
            ]
        ).affected
        precondition(changed == 1, "a purchase is never deleted")
    }
}

/// A row of `payment_state`.
enum PaymentStateRow {
    static func exists(_ purchase: PurchaseID, on connection: PostgresConnection) throws -> Bool {
        try connection.run(
            "SELECT 1 FROM payment_state WHERE purchase_id = $1::uuid", [.uuid(purchase.uuid)]
        ).first != nil
    }

    /// Locks it: whoever posts later has also read later.
    static func lock(_ purchase: PurchaseID, on connection: PostgresConnection) throws -> PaymentPosted {
        let row = try connection.run(
            """
            SELECT revision, granted, paid_cents, refunded_cents, lost_cents, clawed_by_refunds,
                   clawed_by_disputes, frozen, is_disputed, fee_cents, withdrawn_cents, lost_beyond_paid_cents,
                   dispute_fee_cents
            FROM payment_state WHERE purchase_id = $1::uuid FOR UPDATE
            """, [.uuid(purchase.uuid)]
        ).one()
        var state = try PaymentTarget(row, from: 1)
        state.cash.feeCents = try row.optionalInt(9)
        state.cash.withdrawnCents = try row.int(10)
        state.cash.lostBeyondPaidCents = try row.int(11)
        state.cash.disputeFeeCents = try row.int(12)
        state.disputes = try DisputeRow.standing(of: purchase, on: connection)
        return PaymentPosted(revision: try row.int(0), state: state)
    }

    /// Whether a reading that began after this transaction was posted while it waited for the lock. What an event tells
    /// was true before it arrived, so that reading knows it; of the five events of a payment, two are enough.
    static func wasReadMeanwhile(_ purchase: PurchaseID, on connection: PostgresConnection) throws -> Bool {
        try connection.run(
            """
            SELECT coalesce(read_at > now() AND doubt IS NULL, false) FROM payment_state WHERE purchase_id = $1::uuid
            """, [.uuid(purchase.uuid)]
        ).one().bool(0)
    }

    /// Before Stripe is asked.
    static func beginReading(_ purchase: PurchaseID, on connection: PostgresConnection) throws {
        try connection.run(
            "UPDATE payment_state SET read_at = clock_timestamp() WHERE purchase_id = $1::uuid",
            [.uuid(purchase.uuid)])
    }

    static func write(
        _ purchase: PurchaseID, doubt: PaymentDoubt?, on connection: PostgresConnection
    ) throws {
        try connection.run(
            "UPDATE payment_state SET doubt = $2 WHERE purchase_id = $1::uuid",
            [.uuid(purchase.uuid), .text(doubt?.rawValue)])
    }

    static func write(_ purchase: PurchaseID, _ after: PaymentPosted, on connection: PostgresConnection)
        throws
    {
        let state = after.state
        try connection.run(
            """
            UPDATE payment_state SET doubt = NULL, revision = $2, granted = $3, paid_cents = $4, refunded_cents = $5,
                lost_cents = $6, clawed_by_refunds = $7, clawed_by_disputes = $8, frozen = $9, is_disputed = $10,
                fee_cents = $11, withdrawn_cents = $12, lost_beyond_paid_cents = $13, dispute_fee_cents = $14,
                disputes_revision = $2
            WHERE purchase_id = $1::uuid
            """,
            [
                .uuid(purchase.uuid), .int(after.revision), .int(state.granted.value), .int(state.paidCents),
                .int(state.refundedCents), .int(state.lostCents), .int(state.clawedByRefunds.value),
                .int(state.clawedByDisputes.value), .int(state.frozen.value), .bool(state.isDisputed),
                .int(state.cash.feeCents), .int(state.cash.withdrawnCents),
                .int(state.cash.lostBeyondPaidCents), .int(state.cash.disputeFeeCents),
            ])
    }
}

extension PaymentTarget {
    /// Eight columns of `payment_state` in their order, `granted` to `is_disputed`, without what moved at Stripe.
    init(_ row: PostgresRow, from first: Int) throws {
        self.init()
        self.granted = try row.millicredits(first)
        self.paidCents = try row.int(first + 1)
        self.refundedCents = try row.int(first + 2)
        self.lostCents = try row.int(first + 3)
        self.clawedByRefunds = try row.millicredits(first + 4)
        self.clawedByDisputes = try row.millicredits(first + 5)
        self.frozen = try row.millicredits(first + 6)
        self.isDisputed = try row.bool(first + 7)
    }
}
