import Billing
import Metering

extension RechargeRow {
    /// What became of an attempt, in the transaction that posts it.
    ///
    /// - Parameter isGranted: in this transaction.
    static func tell(
        of purchase: Purchase, _ snapshot: PaymentSnapshot, isGranted: Bool, now: Int64,
        on connection: PostgresConnection
    ) throws {
        guard var row = try Self.find(purchase.account, lock: .wait, on: connection) else { return }
        let named = try connection.run(
            """
            SELECT split_part(p.attempt_key, ':', 3)::bigint, b.version
            FROM purchase p JOIN credit_balance b USING (account_id) WHERE p.purchase_id = $1::uuid
            """, [.uuid(purchase.id.uuid)]
        ).one()
        let number = try named.int(0)
        let before = row.machine
        var action = Recharge.Action.nothing
        switch purchase.status {
        case .paid:
            // Of no attempt: it came back, see `PurchaseRestoration.attemptKey`.
            if number == 0, isGranted { row.machine.recalled(purchase, now: now) }
            action = row.machine.succeeded(number, version: try named.int(1), now: now)
        case .processing, .quarantined: action = row.machine.started(number)
        case .created, .open, .expired, .failed:
            guard let failure = RechargeFailure(snapshot) else { return }
            action = row.machine.failed(number, failure, now: now)
            if row.machine != before { row.lastFailure = failure }
        }
        guard row.machine != before else { return }
        try row.write(after: action, on: connection)
    }

    /// Money of the account goes back, in the transaction that posts it.
    static func reversed(_ account: AccountID, on connection: PostgresConnection) throws {
        guard var row = try Self.find(account, lock: .wait, on: connection) else { return }
        let opened = try row.attempt.flatMap { attempt in
            try PostgresLedger.opened(attempt.key(of: account), on: connection)
        }
        let action = row.machine.reversed(isOpened: opened != nil)
        guard action != .nothing else { return }
        try row.write(after: action, on: connection)
    }

    /// An order came to nothing, or nobody knows. Nothing changes when it is not the last one any more.
    mutating func fail(
        _ order: RechargeOrder, _ failure: RechargeFailure, now: Int64, on connection: PostgresConnection
    ) throws {
        let before = self.machine
        let action = self.machine.failed(order.attempt.number, failure, now: now)
        guard self.machine != before else { return }
        self.lastFailure = failure
        try self.write(after: action, on: connection)
    }

    private func write(after action: Recharge.Action, on connection: PostgresConnection) throws {
        if case .wait(let until) = action {
            try self.write(lookAt: until, on: connection)
        } else {
            try self.write(lookAt: 0, on: connection)
        }
    }
}
