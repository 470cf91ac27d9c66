import Billing

/// Whose payment a hint is about: by what the ledger knows, by what the event says of its own payment, and at last by what
/// Stripe says that the payment or the session was made for.
struct PaymentFinder {
    let connection: PostgresConnection
    let hint: PaymentHint
    /// Of the payment, as the event has them; nil: it has none.
    let metadata: [String: String]?
    let reader: any PaymentReading
    /// Milliseconds since 1970.
    let now: Int64

    struct Found {
        var purchase: Purchase
        var payment: String?
        var session: String?
    }

    enum Owner {
        case ours(Found)
        case notOurs
        /// For a person, with this reason.
        case lost(String)
    }

    /// Money came for something that is in no ledger that we know.
    static let unknownPurchase = "unknown_purchase"

    func find() throws -> Owner {
        if let known = try self.known() { return .ours(known) }
        let ledger = try LedgerRow.id(on: self.connection)
        // Other products may sell much more than we do: their events are not asked about.
        if let metadata, try self.owner(metadata, ledger) == .notOurs { return .notOurs }
        guard let read = try self.read() else {
            return self.hint.purchase == nil ? .notOurs : .lost(Self.unknownPurchase)
        }
        switch try self.owner(read, ledger) {
        case .notOurs: return .notOurs
        case .ours(let id): return .ours(try self.found(id))
        case .lost(let id): return try self.restore(id, read, ledger)
        }
    }

    /// By everything that the payment says of it; a release before said too little.
    private func restore(
        _ id: PurchaseID, _ metadata: [String: String], _ ledger: LedgerID
    ) throws -> Owner {
        guard let label = PurchaseLabel(metadata), label.ledger == ledger else {
            return .lost(Self.unknownPurchase)
        }
        do {
            try PurchaseRestorer(connection: self.connection, now: self.now).restore(label)
        } catch let doubt as PurchaseRestoration.Doubt {
            return .lost(doubt.rawValue)
        }
        return .ours(try self.found(id))
    }

    private func known() throws -> Found? {
        if let payment = self.hint.paymentIntent,
            let found = try self.found("p.payment_intent_id = $1", .text(payment))
        {
            return found
        }
        if let session = self.hint.session, let found = try self.found("p.session_id = $1", .text(session)) {
            return found
        }
        guard let id = self.hint.purchase else { return nil }
        return try self.found("p.purchase_id = $1::uuid", .uuid(id.uuid))
    }

    /// - Precondition: the caller has seen it.
    private func found(_ id: PurchaseID) throws -> Found {
        guard let found = try self.found("p.purchase_id = $1::uuid", .uuid(id.uuid)) else {
            throw PostgresError.unexpectedResult("a purchase that was there is gone")
        }
        return found
    }

    private func found(_ condition: String, _ value: PostgresValue) throws -> Found? {
        try PurchaseRow.find(condition, value, on: self.connection).map {
            Found(purchase: $0, payment: self.hint.paymentIntent, session: self.hint.session)
        }
    }

    private func owner(_ metadata: [String: String], _ ledger: LedgerID) throws -> PaymentOwner {
        try PaymentOwner(metadata, of: ledger) { id in
            try PurchaseRow.find("p.purchase_id = $1::uuid", .uuid(id.uuid), on: self.connection) != nil
        }
    }

    /// A refund or a dispute can arrive before we heard that the payment succeeded. nil: nothing is named.
    private func read() throws -> [String: String]? {
        if let payment = self.hint.paymentIntent { return try self.reader.payment(payment).metadata }
        if let session = self.hint.session { return try self.reader.session(session).metadata }
        return nil
    }
}

extension PaymentFinder {
    /// A user's account can have another number after a restore. With our ledger's id, the user is who it is for, whatever the
    /// number was; so the payment names the account that its purchase has now.
    static func renamed(
        _ snapshot: PaymentSnapshot, for purchase: Purchase, on connection: PostgresConnection
    ) throws -> PaymentSnapshot {
        guard snapshot.metadata[Purchase.accountKey] != String(purchase.account),
            let label = PurchaseLabel(snapshot.metadata), label.ledger == (try LedgerRow.id(on: connection)),
            let user = try connection.run(
                "SELECT user_id FROM account WHERE account_id = $1", [.int(purchase.account)]
            ).first?.text(0), user == label.userID
        else { return snapshot }
        var snapshot = snapshot
        snapshot.metadata[Purchase.accountKey] = String(purchase.account)
        return snapshot
    }
}

/// The row of `ledger_meta`.
enum LedgerRow {
    static func id(on connection: PostgresConnection) throws -> LedgerID {
        LedgerID(try connection.run("SELECT ledger_id FROM ledger_meta").one().uuid(0))
    }
}
