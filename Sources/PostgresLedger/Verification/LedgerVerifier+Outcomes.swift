import Metering

/// An entry of the hold store, for the comparison with the ledger.
public struct StoreEntry: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// `h:`, set aside.
        case held
        /// `u:`, spent and waiting to be posted with its owner's authority.
        case captured
    }

    public var hold: LedgerHold
    public var kind: Kind
    public var amount: Millicredits

    public init(hold: LedgerHold, kind: Kind, amount: Millicredits) {
        self.hold = hold
        self.kind = kind
        self.amount = amount
    }

    /// For a person.
    public var name: String { "hold \(self.hold.hold) of account \(self.hold.account)" }
}

/// Entries of the hold store whose holds are settled.
public struct SettledEntries: Sendable, Hashable {
    public static let check = "R5 no terminal id left in the hold store"

    public struct Entry: Sendable, Hashable {
        public var entry: StoreEntry
        /// For a person.
        public var text: String
    }

    /// Settled for good: they have no business there.
    public var final: [Entry] = []
    /// Held, while the ledger has an estimate: their owner has the last word still to say.
    public var estimated: [Entry] = []

    public var findings: [LedgerFinding] {
        [
            LedgerFinding(check: Self.check, severity: .violation, rows: self.final.map(\.text)),
            LedgerFinding(
                check: "R5 holds with an estimate", severity: .warning, rows: self.estimated.map(\.text)),
        ].filter { $0.total > 0 }
    }
}

/// The invariants for which somebody else brings one side: a journal (I9), the hold store (R5). Both sides should
/// rest meanwhile: an outcome that is just on its way is reported.
extension LedgerVerifier {
    /// I9: every outcome of a journal has its row, or one of higher authority that counts instead. Call it with
    /// chunks of some thousand outcomes.
    ///
    /// What the ledger holds for a person already (a conflict, a quarantined row) is a warning.
    public func verify(journal outcomes: [Settlement]) async throws -> [LedgerFinding] {
        try await self.pool.run(timeout: .seconds(300)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                let holds = outcomes.map { LedgerHold(account: $0.account, hold: $0.hold) }
                let rows = try SettledOutcome.all(of: holds, on: connection)
                let suspects = outcomes.filter { outcome in
                    let key = LedgerHold(account: outcome.account, hold: outcome.hold)
                    return !(rows[key] ?? []).contains { $0.answers(outcome) }
                }
                guard !suspects.isEmpty else { return [] }
                let known = try Self.setAside(suspects, on: connection)
                return [
                    LedgerFinding(
                        check: "I9 journal outcomes are in the ledger", severity: .violation,
                        rows: suspects.filter { !known.contains(SetAside($0)) }.map { outcome in
                            Self.describe(outcome, among: rows)
                        }),
                    LedgerFinding(
                        check: "I9 journal outcomes that wait for a person", severity: .warning,
                        rows: suspects.filter { known.contains(SetAside($0)) }.map { outcome in
                            Self.describe(outcome, among: rows)
                        }),
                ].filter { $0.total > 0 }
            }
        }
    }

    /// R5: which of the entries stand for holds that are over. A capture is in order while the ledger has only an
    /// estimate.
    public func settled(among entries: [StoreEntry]) async throws -> SettledEntries {
        let over = try await self.pool.run(timeout: .seconds(300)) { connection in
            try SettledOutcome.all(of: entries.map(\.hold), on: connection).compactMapValues(\.last)
        }
        var settled = SettledEntries()
        for entry in entries {
            guard let outcome = over[entry.hold] else { continue }
            let found = SettledEntries.Entry(
                entry: entry,
                text:
                    "\(entry.name) is \(entry.kind.rawValue), and settled with \(outcome.amount), authority "
                    + "\(outcome.authority.rawValue)")
            switch (outcome.authority, entry.kind) {
            case (.owner, _): settled.final.append(found)
            case (_, .held): settled.estimated.append(found)
            case (_, .captured): continue
            }
        }
        return settled
    }

    private static func describe(
        _ outcome: Settlement, among rows: [LedgerHold: [SettledOutcome]]
    ) -> String {
        let stored = rows[LedgerHold(account: outcome.account, hold: outcome.hold)]?.map { row in
            "\(row.amount) by authority \(row.authority.rawValue), digest \(row.digest)"
        }
        return
            "hold \(outcome.hold) of account \(outcome.account): journal \(outcome.charge.amount) by authority "
            + "\(outcome.authority.rawValue), digest \(outcome.digest); ledger "
            + (stored?.joined(separator: " and ") ?? "nothing")
    }

    /// Which of the outcomes wait in `settlement_conflict` or `settlement_quarantine`.
    private static func setAside(
        _ outcomes: [Settlement], on connection: PostgresConnection
    ) throws -> Set<SetAside> {
        let rows = try connection.run(
            """
            SELECT q.account_id, q.hold_id, q.digest FROM (
                SELECT account_id, hold_id, digest FROM settlement_quarantine
                UNION ALL SELECT account_id, hold_id, digest FROM settlement_conflict) q
            WHERE (q.account_id, q.hold_id, q.digest) IN (
                SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[]))
            """,
            [
                .array(PostgresArray(outcomes.map(\.account))), .array(PostgresArray(outcomes.map(\.hold))),
                .array(PostgresArray(outcomes.map(\.digest))),
            ]
        ).rows
        return Set(
            try rows.map { row in
                SetAside(account: try row.int(0), hold: try row.uuid(1), digest: try row.int(2))
            })
    }
}

private struct SetAside: Hashable {
    var account: AccountID
    var hold: HoldID
    var digest: Int64

    init(account: AccountID, hold: HoldID, digest: Int64) {
        self.account = account
        self.hold = hold
        self.digest = digest
    }

    init(_ outcome: Settlement) {
        self.init(account: outcome.account, hold: outcome.hold, digest: outcome.digest)
    }
}

extension SettledOutcome {
    /// A row of higher authority overrules the outcome whatever it says; one of equal authority must be it.
    fileprivate func answers(_ outcome: Settlement) -> Bool {
        guard self.authority == outcome.authority else {
            return self.authority.rawValue > outcome.authority.rawValue
        }
        return self.amount == outcome.charge.amount && self.digest == outcome.digest
    }
}

extension LedgerFinding {
    fileprivate init(check: String, severity: Severity, rows: [String]) {
        self.init(
            check: check, severity: severity, rows: Array(rows.sorted().prefix(LedgerVerifier.rowsMax)),
            total: Int64(rows.count))
    }
}
