import Billing
import Metering

/// One event, or one look of our own: find the purchase, lock it, read Stripe, post the difference.
struct PaymentSettlement {
    let connection: PostgresConnection
    let hint: PaymentHint
    let event: StripeEventRecord?
    let reader: any PaymentReading
    /// Milliseconds since 1970.
    let now: Int64

    /// Inside a transaction; nothing of it stays when it throws.
    func run() throws -> PaymentOutcome {
        if let event, try self.isRepeated(event) { return .repeated }
        let finder = PaymentFinder(
            connection: self.connection, hint: self.hint, metadata: self.event?.metadata, reader: self.reader,
            now: self.now)
        let found: PaymentFinder.Found
        switch try finder.find() {
        case .ours(let purchase): found = purchase
        case .notOurs: return try self.end(.ignored, nil)
        case .lost(let reason): return try self.end(.dead(reason: reason), nil)
        }
        let purchase = found.purchase
        guard let payment = found.payment ?? purchase.paymentIntent else {
            return try self.followSession(purchase)
        }
        let posted = try PaymentStateRow.lock(purchase.id, on: self.connection)
        // Read once more under the lock, which is taken before the purchase's row is trusted.
        var current = try self.purchase("p.purchase_id = $1::uuid", .uuid(purchase.id.uuid)) ?? purchase
        if try PaymentStateRow.wasReadMeanwhile(purchase.id, on: self.connection) {
            return try self.end(.upToDate, purchase.id)
        }
        try PaymentStateRow.beginReading(purchase.id, on: self.connection)
        let snapshot = try PaymentFinder.renamed(
            self.reader.payment(payment), for: current, on: self.connection)
        let decision = PaymentDecision(current, snapshot, posted: posted)
        current.observed(snapshot, decision)
        try self.lookForOpenPage(&current, snapshot, found.session)
        let outcome = try self.post(decision, current, snapshot, found.session)
        if decision.takesBack(since: posted) {
            try RechargeRow.reversed(current.account, on: self.connection)
        }
        return outcome
    }

    private func isRepeated(_ event: StripeEventRecord) throws -> Bool {
        switch try StripeEventRow.arrive(event, "applied", reason: nil, on: self.connection) {
        case .first, .deadBefore: false
        case .repeated: event.source != .replay
        }
    }

    private func post(
        _ decision: PaymentDecision, _ purchase: Purchase, _ snapshot: PaymentSnapshot, _ session: String?
    ) throws -> PaymentOutcome {
        var purchase = purchase
        if let session { purchase.sessionOpened(session) }
        let outcome = try self.write(decision, purchase, snapshot)
        // At last: its row is locked after all others, here and wherever else it is locked with them.
        if purchase.kind == .recharge {
            let isGranted = if case .posted(_, granted: true, _) = outcome { true } else { false }
            try RechargeRow.tell(
                of: purchase, snapshot, isGranted: isGranted, now: self.now, on: self.connection)
        }
        return outcome
    }

    private func write(
        _ decision: PaymentDecision, _ purchase: Purchase, _ snapshot: PaymentSnapshot
    ) throws -> PaymentOutcome {
        switch decision {
        case .doubt(let doubt):
            try PaymentStateRow.write(purchase.id, doubt: doubt, on: self.connection)
            try PurchaseRow.write(purchase, nil, on: self.connection)
            return try self.end(.dead(reason: doubt.rawValue), purchase.id)
        case .upToDate, .grantStands:
            if decision == .upToDate {
                try RefundRow.seen(snapshot.refunds, of: purchase.id, on: self.connection)
            }
            try PaymentStateRow.write(purchase.id, doubt: nil, on: self.connection)
            try PurchaseRow.write(purchase, snapshot, on: self.connection)
            return try self.end(.upToDate, purchase.id)
        case .post(let change):
            try RefundRow.seen(snapshot.refunds, of: purchase.id, on: self.connection)
            try PurchaseRow.write(purchase, snapshot, on: self.connection)
            try PaymentPoster(connection: self.connection, purchase: purchase).post(change)
            try self.rememberCustomer(snapshot, purchase)
            let granted = change.postings.contains { if case .grant = $0.effect { true } else { false } }
            return try self.end(
                .posted(change.postings.count, granted: granted, purchase: purchase), purchase.id)
        }
    }

    /// While its page is open, whoever was declined can try another card.
    private func lookForOpenPage(
        _ purchase: inout Purchase, _ snapshot: PaymentSnapshot, _ named: String?
    ) throws {
        guard snapshot.status == .requiresPaymentMethod,
            purchase.status == .open || purchase.status == .created,
            let session = purchase.session ?? named
        else { return }
        if try self.reader.session(session).status == .complete { purchase.failedBehindItsPage() }
    }

    private func rememberCustomer(_ snapshot: PaymentSnapshot, _ purchase: Purchase) throws {
        guard let customer = snapshot.customer else { return }
        // The first one stays: several purchases at once can have made several.
        try self.connection.run(
            """
            INSERT INTO stripe_customer (account_id, livemode, customer_id) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING
            """, [.int(purchase.account), .bool(purchase.livemode), .text(customer)])
    }

    /// A session without a payment: nobody has paid yet, or nobody will.
    private func followSession(_ purchase: Purchase) throws -> PaymentOutcome {
        guard let session = self.hint.session ?? purchase.session else {
            return try self.end(.upToDate, purchase.id)
        }
        _ = try PaymentStateRow.lock(purchase.id, on: self.connection)
        var current = try self.purchase("p.purchase_id = $1::uuid", .uuid(purchase.id.uuid)) ?? purchase
        let snapshot = try self.reader.session(session)
        if let payment = snapshot.paymentIntent {
            return try self.again(
                PaymentHint(paymentIntent: payment, session: session, purchase: purchase.id))
        }
        current.sessionOpened(session)
        if snapshot.status == .expired { current.sessionExpired() }
        try PurchaseRow.write(current, nil, on: self.connection)
        return try self.end(.upToDate, purchase.id)
    }

    private func again(_ hint: PaymentHint) throws -> PaymentOutcome {
        // The event is stored already; its outcome is written at the end of this one.
        let outcome = try PaymentSettlement(
            connection: self.connection, hint: hint, event: nil, reader: self.reader, now: self.now
        )
        .run()
        return try self.end(outcome, hint.purchase)
    }

    private func end(_ outcome: PaymentOutcome, _ purchase: PurchaseID?) throws -> PaymentOutcome {
        guard let event = self.event else { return outcome }
        let (text, reason): (String, String?) =
            switch outcome {
            case .dead(let reason): ("dead", reason)
            case .ignored: ("ignored", nil)
            case .repeated, .upToDate, .posted: ("applied", nil)
            }
        try StripeEventRow.end(event.id, text, reason: reason, purchase: purchase, on: self.connection)
        return outcome
    }

    private func purchase(_ condition: String, _ value: PostgresValue) throws -> Purchase? {
        try PurchaseRow.find(condition, value, on: self.connection)
    }
}
