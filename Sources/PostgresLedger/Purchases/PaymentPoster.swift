import Billing
import Metering

/// Posts the difference between a payment's target and what was posted, inside the transaction that holds its lock.
struct PaymentPoster {
    let connection: PostgresConnection
    let purchase: Purchase

    /// The state is written first: the gate adds up what the rows of the account say.
    func post(_ change: PaymentChange) throws {
        try PaymentStateRow.write(self.purchase.id, change.after, on: self.connection)
        try DisputeRow.write(change.after.state.disputes, of: self.purchase, on: self.connection)
        for posting in change.postings { try self.post(posting) }
    }

    private func post(_ posting: PaymentPosting) throws {
        switch posting.effect {
        case .grant(let credits, let paidCents):
            try self.line(
                posting.key, credits, type: .purchase, reason: "\(self.purchase.packageName)",
                paidCents: paidCents)
        case .reversal(let reversal):
            try self.line(
                posting.key, reversal.amount, type: reversal.cause == .refund ? .refund : .adjustment,
                reason: reversal.cause.rawValue, reversal: reversal)
        case .cash(let cash, let cents):
            try self.connection.run(
                "INSERT INTO cash_movement (movement_key, purchase_id, kind, cents) VALUES ($1, $2::uuid, $3, $4)",
                [
                    .text(posting.key), .uuid(self.purchase.id.uuid), .text(cash.rawValue), .int(cents),
                ])
            try self.book(cash, cents, posting.key)
        case .gate:
            try self.connection.run("SELECT set_dispute_gate($1)", [.int(self.purchase.account)])
        }
    }

    private func book(_ movement: CashMovement, _ cents: Int64, _ key: String) throws {
        let entry = try JournalEntry(
            movement, cents: cents, key: key, day: JournalWriter.today(on: self.connection))
        try JournalWriter.write(entry, account: self.purchase.account, on: self.connection)
    }

    private func line(
        _ key: String, _ amount: Millicredits, type: Grant.Kind, reason: String, paidCents: Int64 = 0,
        reversal: PaymentPosting.Reversal? = nil
    ) throws {
        try self.connection.run(
            "SELECT post_purchase_line($1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            [
                .uuid(PostgresLedger.freshID()), .uuid(self.purchase.id.uuid), .int(self.purchase.account),
                .int(amount.value), .text(type.rawValue), .text(key), .text(reason), .int(paidCents),
                .text(reversal?.lot), .int(reversal?.clawed.value), .int(reversal?.reversedCents),
            ])
    }
}
