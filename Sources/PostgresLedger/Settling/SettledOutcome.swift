import Metering

/// A hold as the ledger keys it.
public struct LedgerHold: Sendable, Hashable {
    public var account: AccountID
    public var hold: HoldID

    public init(account: AccountID, hold: HoldID) {
        self.account = account
        self.hold = hold
    }
}

/// What a settlement row or a correction says about its hold.
public struct SettledOutcome: Sendable, Hashable {
    public var authority: Settlement.Authority
    public var amount: Millicredits
    /// `Settlement.digest` of the whole outcome.
    public var digest: Int64
}

extension PostgresLedger {
    /// Those of the holds that are settled, each with the outcome that counts: the one of highest authority.
    /// Asks in statements of 1,000 holds.
    public func settled(among holds: [LedgerHold]) async throws -> [LedgerHold: SettledOutcome] {
        try await self.pool.run(timeout: .seconds(60)) { connection in
            try SettledOutcome.all(of: holds, on: connection).compactMapValues(\.last)
        }
    }
}

extension SettledOutcome {
    private static let holdsPerStatement = 1000

    /// Every row of these holds, lowest authority first; holds without one are left out.
    static func all(
        of holds: [LedgerHold], on connection: PostgresConnection
    ) throws -> [LedgerHold: [SettledOutcome]] {
        var outcomes: [LedgerHold: [SettledOutcome]] = [:]
        let asked = Array(Set(holds))
        for start in stride(from: 0, to: asked.count, by: self.holdsPerStatement) {
            let chunk = asked[start..<min(start + self.holdsPerStatement, asked.count)]
            for row in try self.rows(of: chunk, on: connection) {
                let key = LedgerHold(account: try row.int(0), hold: try row.uuid(1))
                outcomes[key, default: []].append(try SettledOutcome(row))
            }
        }
        return outcomes
    }

    /// LIMIT keeps each look-up an index probe of one partition, whatever the planner thinks of the whole.
    private static func rows(
        of holds: ArraySlice<LedgerHold>, on connection: PostgresConnection
    ) throws(PostgresError) -> [PostgresRow] {
        try connection.run(
            """
            SELECT w.account_id, w.hold_id, r.authority, r.charged_millicredits, r.digest
            FROM unnest($1::bigint[], $2::uuid[]) AS w(account_id, hold_id) CROSS JOIN LATERAL (
                (SELECT e.authority, e.charged_millicredits, e.digest FROM usage_events e
                 WHERE e.account_id = w.account_id AND e.hold_id = w.hold_id LIMIT 1)
                UNION ALL
                (SELECT c.authority, c.charged_millicredits, c.digest FROM usage_correction c
                 WHERE c.account_id = w.account_id AND c.hold_id = w.hold_id LIMIT 3)) r
            ORDER BY r.authority
            """,
            [.array(PostgresArray(holds.map(\.account))), .array(PostgresArray(holds.map(\.hold)))]
        ).rows
    }

    private init(_ row: PostgresRow) throws(PostgresError) {
        self.init(authority: try row.authority(2), amount: try row.millicredits(3), digest: try row.int(4))
    }
}

extension PostgresRow {
    func authority(_ column: Int) throws(PostgresError) -> Settlement.Authority {
        guard
            let authority = Int16(exactly: try self.int(column)).flatMap(Settlement.Authority.init(rawValue:))
        else { throw .unexpectedResult("an authority that this release does not know") }
        return authority
    }
}
