import Billing
import Metering

/// Flagged accounts as operators decide about them.
public struct ReviewBook: ReviewDesk {
    private let pool: PostgresPool

    public init(pool: PostgresPool) { self.pool = pool }

    public func reviews(
        _ state: AccountReview.State?, limit: Int64
    ) async throws(ReviewRefusal) -> [AccountReview] {
        try await self.run { connection in
            try connection.run(
                """
                \(Self.columns) WHERE $1::text IS NULL OR r.state = $1 ORDER BY r.review_id DESC LIMIT $2
                """, [.text(state?.rawValue), .int(limit)]
            ).rows.map(AccountReview.init)
        }
    }

    public func clearReview(
        of user: String, seen: Int64?, _ note: ChangeNote
    ) async throws(ReviewRefusal) -> AccountReview {
        try await self.decide(user, seen, .cleared, note) { connection, review in
            try connection.audit(
                note, "review.clear", "account:\(user)", before: Self.json(review, .open),
                after: Self.json(review, .cleared))
        }
    }

    /// The change of the account is what the audit log tells of; of an account that was suspended or closed before, the
    /// decision.
    public func suspendReviewed(
        _ user: String, seen: Int64?, _ note: ChangeNote
    ) async throws(ReviewRefusal) -> AccountReview {
        try await self.decide(user, seen, .suspended, note) { connection, review in
            // Whoever changes the status locks this row first; what is read after it is not older than the lock.
            try connection.run(
                "SELECT 1 FROM credit_balance WHERE account_id = $1 FOR NO KEY UPDATE", [.int(review.account)]
            )
            let gate = try connection.run(
                """
                SELECT b.gate_version, a.status FROM credit_balance b JOIN account a USING (account_id)
                WHERE b.account_id = $1
                """, [.int(review.account)]
            ).one()
            if try gate.text(1) != AccountBook.Status.closed.rawValue {
                let changed = try connection.run(
                    "SELECT o_gate_version FROM change_account($1, NULL, 'suspended', $2, $3, $4)",
                    [.int(review.account), .text(note.actor), .text(note.reason), .text(note.request)]
                ).one()
                if try changed.int(0) != gate.int(0) { return }
            }
            try connection.audit(
                note, "review.suspend", "account:\(user)", before: Self.json(review, .open),
                after: Self.json(review, .suspended))
        }
    }

    private func decide(
        _ user: String, _ seen: Int64?, _ state: AccountReview.State, _ note: ChangeNote,
        _ last: @escaping @Sendable (PostgresConnection, AccountReview) throws -> Void
    ) async throws(ReviewRefusal) -> AccountReview {
        guard Reason.isValid(note.reason) else { throw .invalidReason }
        return try await self.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    let decided = try connection.run(
                        """
                        UPDATE account_review r SET state = $2, actor = $3, reason = $4, decided_at = clock_timestamp()
                        FROM account a
                        WHERE a.account_id = r.account_id AND a.user_id = $1 AND r.state = 'open'
                        RETURNING r.review_id
                        """, [.text(user), .text(state.rawValue), .text(note.actor), .text(note.reason)]
                    ).first
                    guard let decided else { throw ReviewRefusal.noOpenReview }
                    // What was changed of another review is rolled back.
                    guard try seen == nil || seen == decided.int(0) else { throw ReviewRefusal.anotherIsOpen }
                    let review = try AccountReview(
                        connection.run("\(Self.columns) WHERE r.review_id = $1", [.int(decided.int(0))]).one()
                    )
                    try last(connection, review)
                    return review
                }
            }
        }
    }

    private func run<Value: Sendable>(
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws(ReviewRefusal) -> Value {
        do {
            return try await self.pool.run(timeout: .seconds(10), body)
        } catch let refusal as ReviewRefusal {
            throw refusal
        } catch {
            throw .ledgerUnavailable
        }
    }

    private static func json(_ review: AccountReview, _ state: AccountReview.State) -> String {
        "{\"review\":\(review.id),\"day\":\"\(review.day)\",\"state\":\"\(state.rawValue)\"}"
    }

    private static let columns = """
        SELECT r.review_id, r.account_id, a.user_id, r.day::text, r.spent_millicredits, r.mean_millicredits,
               r.multiplier, r.state, (extract(epoch FROM r.opened_at) * 1000)::bigint, r.actor, r.reason,
               (extract(epoch FROM r.decided_at) * 1000)::bigint
        FROM account_review r JOIN account a ON a.account_id = r.account_id
        """
}

extension PostgresLedger {
    /// On the same connections.
    public var reviews: ReviewBook { ReviewBook(pool: self.pool) }
}

extension AccountReview {
    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        guard let day = UTCDay(text: try row.text(3)), let state = State(rawValue: try row.text(7)) else {
            throw .unexpectedResult("a review that this release cannot read")
        }
        var decision: FlagChange?
        if let actor = try row.optionalText(9), let reason = try row.optionalText(10),
            let at = try row.optionalInt(11)
        {
            decision = FlagChange(actor: actor, reason: reason, at: at)
        }
        self.init(
            id: try row.int(0), account: try row.int(1), user: try row.text(2), day: day,
            spent: try row.millicredits(4), mean: try row.millicredits(5), multiplier: try row.int(6),
            state: state, openedAt: try row.int(8), decision: decision)
    }
}
