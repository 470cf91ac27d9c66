import Billing
import Metering

/// Stores a purchase that its payment brought back, inside the transaction that settles the payment. However many events
/// come at once, the row is made once: the later ones wait for the first.
struct PurchaseRestorer {
    let connection: PostgresConnection
    /// Milliseconds since 1970.
    let now: Int64

    /// - Throws: `PurchaseRestoration.Doubt` before anything is written.
    func restore(_ label: PurchaseLabel) throws {
        let restoration = try PurchaseRestoration(
            label, package: try self.package(label), holder: try self.holder(of: label.account))
        let purchase = try restoration.purchase(for: try self.account(of: label))
        let key = restoration.attemptKey(
            for: purchase.account, underWay: try self.attemptUnderWay(of: purchase.account), now: self.now)
        try PurchaseRow.restore(
            purchase, paymentMethod: label.attempt?.paymentMethod, attemptKey: key, on: self.connection)
    }

    private func package(_ label: PurchaseLabel) throws -> CreditPackage? {
        try self.connection.run(
            """
            SELECT code, version, name, price_usd_cents, credits, bonus_credits FROM package
            WHERE code = $1 AND version = $2
            """, [.text(label.packageCode), .int(label.packageVersion)]
        ).first.map { row in
            CreditPackage(
                code: try row.text(0), version: try row.int(1), name: try row.text(2),
                priceUSDCents: try row.int(3), credits: try row.int(4), bonusCredits: try row.int(5))
        }
    }

    private func holder(of account: AccountID) throws -> String? {
        try self.connection.run("SELECT user_id FROM account WHERE account_id = $1", [.int(account)]).first?
            .text(0)
    }

    /// Without an account, the user gets one under the number of before: journals name it by its number.
    private func account(of label: PurchaseLabel) throws -> AccountID {
        if let account = try self.account(ofUser: label.userID) { return account }
        let made = try self.connection.run(
            """
            INSERT INTO account (account_id, user_id) OVERRIDING SYSTEM VALUE VALUES ($1, $2)
            ON CONFLICT DO NOTHING
            """, [.int(label.account), .text(label.userID)]
        ).affected
        if made == 1 {
            try self.connection.run(
                "INSERT INTO credit_balance (account_id, user_id) VALUES ($1, $2)",
                [.int(label.account), .text(label.userID)])
            try self.connection.run(
                """
                SELECT setval('account_account_id_seq', $1)
                WHERE $1 > (SELECT last_value FROM account_account_id_seq)
                """, [.int(label.account)])
            return label.account
        }
        guard let account = try self.account(ofUser: label.userID) else {
            throw PostgresError.unexpectedResult("an account's number was given away at this moment")
        }
        return account
    }

    private func account(ofUser user: String) throws -> AccountID? {
        try self.connection.run("SELECT account_id FROM account WHERE user_id = $1", [.text(user)]).first?
            .int(0)
    }

    /// nil: none, or it has its purchase.
    private func attemptUnderWay(of account: AccountID) throws -> Int64? {
        try self.connection.run(
            """
            SELECT r.attempts FROM recharge r
            WHERE r.account_id = $1 AND r.state IN ('asking', 'processing') AND NOT EXISTS (
                SELECT 1 FROM purchase p WHERE p.attempt_key = 'recharge:' || r.account_id || ':' || r.attempts)
            """, [.int(account)]
        ).first?.int(0)
    }
}

extension PurchaseRow {
    /// As `insert`, unless it is there by now.
    fileprivate static func restore(
        _ purchase: Purchase, paymentMethod: String?, attemptKey: String?, on connection: PostgresConnection
    ) throws {
        let made = try connection.run(
            """
            INSERT INTO purchase (purchase_id, account_id, kind, package_code, package_version, package_name,
                price_usd_cents, credits_millicredits, livemode, created_at, status, payment_method_id, attempt_key)
            VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, to_timestamp($10 / 1000.0), $11, $12, $13)
            ON CONFLICT (purchase_id) DO NOTHING
            """,
            [
                .uuid(purchase.id.uuid), .int(purchase.account), .text(purchase.kind.rawValue),
                .text(purchase.packageCode), .int(purchase.packageVersion), .text(purchase.packageName),
                .int(purchase.priceUSDCents), .int(purchase.credits.value), .bool(purchase.livemode),
                .int(purchase.createdAt), .text(purchase.status.rawValue), .text(paymentMethod),
                .text(attemptKey),
            ]
        ).affected
        guard made == 1 else { return }
        try connection.run(
            "INSERT INTO payment_state (purchase_id, account_id) VALUES ($1::uuid, $2)",
            [.uuid(purchase.id.uuid), .int(purchase.account)])
    }
}
