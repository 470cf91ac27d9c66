import Metering

/// A reaper's estimate (authority 0) that nothing of higher authority has corrected.
public struct StandingEstimate: Sendable, Hashable {
    public var account: AccountID
    public var hold: HoldID
    /// The boot whose hold it was; not the reaper.
    public var owner: BootID
    public var endpoint: Endpoint
    public var model: String
    public var priceID: String
    public var charged: Millicredits
    /// When the exchange was admitted, milliseconds since 1970.
    public var occurredAtMilliseconds: Int64

    /// The owner's word that the request was never sent (rule F8). Made of the stored row alone, so two starts of
    /// the owner make the same outcome with the same digest.
    public var void: Settlement {
        .void(
            of: self.hold, account: self.account, owner: self.owner, endpoint: self.endpoint,
            priceID: self.priceID)
    }
}

extension PostgresLedger {
    private static let estimatesPageRows = 1000

    /// Standing estimates for holds of these boots, without those whose OPEN is in a journal (`opened`): what is
    /// left was charged for a request that was never sent, and its `void` is to be settled (rule F8).
    public func standingEstimates(of boots: [BootID], notIn opened: Set<HoldID>) async throws
        -> [StandingEstimate]
    {
        var found: [StandingEstimate] = []
        var after = HoldID(high: 0, low: 0)
        while true {
            let page = try await self.estimatesPage(of: boots, after: after)
            found += page.filter { !opened.contains($0.hold) }
            guard page.count == Self.estimatesPageRows, let last = page.last else { return found }
            // A hold belongs to one account (I5), so its id alone is a place in the order.
            after = last.hold
        }
    }

    private func estimatesPage(of boots: [BootID], after: HoldID) async throws -> [StandingEstimate] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT e.account_id, e.hold_id, e.owner_boot, e.endpoint, e.model, e.price_id,
                       e.charged_millicredits, (extract(epoch FROM e.occurred_at) * 1000)::bigint
                FROM usage_events e
                WHERE e.authority = 0 AND e.owner_boot = ANY ($1::uuid[]) AND e.hold_id > $2::uuid
                  AND NOT EXISTS (SELECT 1 FROM usage_correction c
                                  WHERE c.account_id = e.account_id AND c.hold_id = e.hold_id)
                ORDER BY e.hold_id LIMIT $3
                """,
                [.array(PostgresArray(boots)), .uuid(after), .int(Int64(Self.estimatesPageRows))]
            ).rows.map(StandingEstimate.init)
        }
    }
}

extension StandingEstimate {
    fileprivate init(_ row: PostgresRow) throws(PostgresError) {
        guard let endpoint = Endpoint(rawValue: try row.text(3)) else {
            throw .unexpectedResult("an endpoint that this release does not know")
        }
        self.init(
            account: try row.int(0), hold: try row.uuid(1), owner: try row.uuid(2), endpoint: endpoint,
            model: try row.text(4), priceID: try row.text(5), charged: try row.millicredits(6),
            occurredAtMilliseconds: try row.int(7))
    }
}
