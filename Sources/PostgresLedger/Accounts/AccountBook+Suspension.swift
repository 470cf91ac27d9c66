import Billing
import Metering

extension AccountBook {
    /// What a person did to an account's status.
    public struct StatusChange: Sendable, Hashable {
        public var from: Status
        public var to: Status
        public var actor: String
        public var reason: String
        /// Milliseconds since 1970.
        public var at: Int64
    }

    /// A dispute that is open or lost.
    public struct StandingDispute: Sendable, Hashable {
        public var purchase: PurchaseID
        /// Of Stripe (`dp_…`, `du_…`); `unnamed:…` until a reading of the payment names it.
        public var dispute: String
        public var hold: DisputeHold
        /// Milliseconds since 1970.
        public var since: Int64
        /// A person lifted it: it suspends nobody.
        public var isLifted: Bool
    }

    /// Why an account is suspended, or why it is not.
    public struct Standing: Sendable, Hashable {
        /// The newest, if there ever was one.
        public var word: StatusChange?
        public var disputes: [StandingDispute]

        /// A person's suspension stays whatever disputes do.
        public var suspender: StatusChange? { self.word.flatMap { $0.to == .active ? nil : $0 } }
    }

    /// What a change of status did.
    public struct StatusReceipt: Sendable, Hashable {
        public var gate: AccountGate
        public var from: Status
        /// Disputes that no longer suspend the account.
        public var lifted: Int64
    }

    /// Suspends an account, or makes it active and lifts whatever disputes of it are open or lost at this moment. Every
    /// instance knows it within a second; credits that open disputes freeze stay frozen. A status that it has is no change,
    /// and a closed account stays closed.
    ///
    /// - Parameters:
    ///   - actor: who wants it, 1 to 256 bytes.
    ///   - reason: kept with the change.
    @discardableResult
    public func setStatus(
        of account: AccountID, to status: Status, actor: String, reason: String, request: String? = nil
    ) async throws -> StatusReceipt {
        guard Reason.isValid(reason) else { throw Failure.invalidReason }
        return try await self.row(
            """
            SELECT o_gate_version, o_floor, o_blocked, o_was, o_lifted
            FROM change_account($1, NULL, $2, $3, $4, $5)
            """, [.int(account), .text(status.rawValue), .text(actor), .text(reason), .text(request)]
        ) { row in
            StatusReceipt(
                gate: try AccountGate(row, of: account), from: try Self.status(row.text(3)),
                lifted: try row.int(4))
        }
    }

    public func standing(of account: AccountID) async throws -> Standing {
        try await self.pool.run { connection in
            let word = try connection.run(
                """
                SELECT from_value, to_value, actor, reason, (extract(epoch FROM changed_at) * 1000)::bigint
                FROM account_change WHERE account_id = $1 AND what = 'status' ORDER BY change_id DESC LIMIT 1
                """, [.int(account)]
            ).first
            let disputes = try connection.run(
                """
                SELECT d.purchase_id, d.dispute_id, d.state, (extract(epoch FROM d.since) * 1000)::bigint,
                       l.dispute_id IS NOT NULL
                FROM dispute d LEFT JOIN dispute_lift l USING (purchase_id, dispute_id)
                WHERE d.account_id = $1 AND d.state <> 'over' ORDER BY d.since, d.dispute_id
                """, [.int(account)]
            ).rows
            return Standing(
                word: try word.map(Self.statusChange), disputes: try disputes.map(Self.standingDispute))
        }
    }

    private static func statusChange(_ row: PostgresRow) throws -> StatusChange {
        StatusChange(
            from: try Self.status(row.text(0)), to: try Self.status(row.text(1)), actor: try row.text(2),
            reason: try row.text(3), at: try row.int(4))
    }

    private static func standingDispute(_ row: PostgresRow) throws -> StandingDispute {
        StandingDispute(
            purchase: PurchaseID(try row.uuid(0)), dispute: try row.text(1),
            hold: try DisputeRow.hold(row.text(2)), since: try row.int(3), isLifted: try row.bool(4))
    }

    static func status(_ text: String) throws -> Status {
        guard let status = Status(rawValue: text) else {
            throw PostgresError.unexpectedResult("unknown account status")
        }
        return status
    }
}
