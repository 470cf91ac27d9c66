import Billing
import Metering

/// On a pool of its own: a settlement waits for Stripe with its connection in hand.
extension PostgresLedger: PurchaseLedger {
    /// Longer than a reading of Stripe with all its retries.
    static let settlementTimeout = Duration.seconds(45)
    /// Several events of one payment come at once, and each waits for the reading of the one before.
    private static let paymentLockTimeout = Duration.seconds(15)

    /// Each is a row here and a session at Stripe, which limits them for everybody.
    private static let unpaidPagesMax = 30

    @discardableResult
    public func open(_ purchase: Purchase, urls: ReturnURLs?, paymentMethod: String?) async throws -> Bool {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                guard try Self.mayOpen(another: purchase.account, on: connection) else { return false }
                try PurchaseRow.insert(
                    purchase, urls: urls, paymentMethod: paymentMethod, attemptKey: nil, on: connection)
                return true
            }
        }
    }

    private static func mayOpen(
        another account: AccountID, on connection: PostgresConnection
    ) throws -> Bool {
        try connection.run(
            """
            SELECT count(*) FROM purchase WHERE account_id = $1 AND status IN ('created', 'open')
                AND created_at > now() - interval '1 hour'
            """, [.int(account)]
        ).one().int(0) < Self.unpaidPagesMax
    }

    public func sessionAnswered(_ session: String?, for purchase: PurchaseID) async throws {
        try await self.pool.run { connection in
            try connection.transaction { connection in
                guard
                    var current = try connection.run(
                        "SELECT \(PurchaseRow.columns) FROM purchase p WHERE p.purchase_id = $1::uuid FOR UPDATE",
                        [.uuid(purchase.uuid)]
                    ).first.map(PurchaseRow.read)
                else { throw PostgresError.unexpectedResult("no such purchase") }
                if let session { current.sessionOpened(session) } else { current.refused() }
                try PurchaseRow.write(current, nil, on: connection)
            }
        }
    }

    public func purchase(_ id: PurchaseID) async throws -> Purchase? {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT \(PurchaseRow.columns) FROM purchase p WHERE p.purchase_id = $1::uuid",
                [.uuid(id.uuid)]
            ).first.map(PurchaseRow.read)
        }
    }

    public func label(of purchase: PurchaseID) async throws -> PurchaseLabel {
        try await self.pool.run { connection in
            let row = try connection.run(
                """
                SELECT \(PurchaseRow.columns), a.user_id, m.ledger_id, p.attempt_key, p.payment_method_id
                FROM purchase p JOIN account a USING (account_id) CROSS JOIN ledger_meta m
                WHERE p.purchase_id = $1::uuid
                """, [.uuid(purchase.uuid)]
            ).one()
            let attempt = try row.optionalText(16).map { key in
                PurchaseLabel.Attempt(
                    number: RechargeAttempt.number(inKey: key), paymentMethod: try row.text(17))
            }
            return PurchaseLabel(
                try PurchaseRow.read(row), userID: try row.text(14), ledger: LedgerID(try row.uuid(15)),
                attempt: attempt)
        }
    }

    public func customer(of account: AccountID, livemode: Bool) async throws -> String? {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT customer_id FROM stripe_customer WHERE account_id = $1 AND livemode = $2",
                [.int(account), .bool(livemode)]
            ).first?.text(0)
        }
    }

    public func forgetCustomer(_ customer: String, of account: AccountID) async throws {
        _ = try await self.pool.run { connection in
            try connection.run(
                "DELETE FROM stripe_customer WHERE account_id = $1 AND customer_id = $2",
                [.int(account), .text(customer)]
            ).affected
        }
    }

    public func settle(
        _ hint: PaymentHint, event: StripeEventRecord?, reader: any PaymentReading
    ) async throws -> PaymentOutcome {
        try await self.pool.run(timeout: Self.settlementTimeout) { connection in
            try connection.retryingConcurrency(attempts: 3) {
                try connection.transaction { connection in
                    try Self.beginSettlement(on: connection)
                    return try PaymentSettlement(
                        connection: connection, hint: hint, event: event, reader: reader,
                        now: Self.wallMilliseconds()
                    ).run()
                }
            }
        }
    }

    /// The limits of a transaction that waits for Stripe.
    static func beginSettlement(on connection: PostgresConnection) throws {
        try connection.run(
            """
            SELECT set_config('idle_in_transaction_session_timeout', $1, true),
                   set_config('lock_timeout', $2, true)
            """,
            [
                .text("\(Self.settlementTimeout.components.seconds * 1000)"),
                .text("\(Self.paymentLockTimeout.components.seconds * 1000)"),
            ])
    }

    public func keep(_ event: StripeEventRecord, deadBecause reason: String?) async throws -> Bool {
        try await self.pool.run { connection in
            let arrival = try StripeEventRow.arrive(
                event, reason == nil ? "ignored" : "dead", reason: reason, on: connection)
            return arrival == .first
        }
    }
}
