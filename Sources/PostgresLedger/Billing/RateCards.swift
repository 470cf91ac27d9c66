import Billing
import Crypto
import Metering

/// A rate card as the ledger keeps it. Immutable once applied.
public struct StoredRateCard: Sendable, Hashable {
    public var card: String
    public var version: String
    /// Milliseconds since 1970.
    public var effectiveFrom: Int64
    /// The YAML file.
    public var body: String
    /// Hexadecimal, over the body.
    public var sha256: String
    public var appliedAt: Int64
    public var appliedBy: String
}

public enum RateCardApplied: Sendable, Hashable {
    case applied
    /// The same version with the same body is there already.
    case unchanged
}

public enum RateCardFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// This version was applied with another body.
    case versionTaken

    public var description: String {
        "this version of the card was applied with other content, and cards never change: give the file a new version"
    }
}

extension PostgresLedger {
    /// Stores a validated card. It is in force from `effectiveFrom`, or from now when that is past (CONTRACT
    /// §7).
    ///
    /// - Parameters:
    ///   - effectiveFrom: milliseconds since 1970.
    ///   - note: of a person's change; nil: a set-up's.
    public func applyRateCard(
        card: String, version: String, effectiveFrom: Int64, body: String, by actor: String,
        note: ChangeNote? = nil
    ) async throws -> RateCardApplied {
        let sha256 = Hexadecimal.text(SHA256.hash(data: Array(body.utf8)))
        return try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction { connection in
                    let inserted = try connection.run(
                        """
                        INSERT INTO rate_card (card, version, effective_from, body, sha256, applied_by)
                        VALUES ($1, $2, to_timestamp($3::bigint / 1000.0), $4, $5, $6)
                        ON CONFLICT (card, version) DO NOTHING
                        """,
                        [
                            .text(card), .text(version), .int(effectiveFrom), .text(body), .text(sha256),
                            .text(actor),
                        ]
                    ).affected
                    guard inserted == 1 else {
                        let stored = try connection.run(
                            "SELECT sha256 FROM rate_card WHERE card = $1 AND version = $2",
                            [.text(card), .text(version)]
                        ).one().text(0)
                        guard stored == sha256 else { throw RateCardFailure.versionTaken }
                        return .unchanged
                    }
                    guard let note else { return .applied }
                    try connection.audit(
                        note, "ratecard.apply", "ratecard:\(card)@\(version)", before: nil,
                        after: AuditJSON.object([
                            ("effectiveFromMs", AuditJSON.number(effectiveFrom)),
                            ("sha256", AuditJSON.text(sha256)),
                        ]))
                    return .applied
                }
            }
        }
    }

    /// All cards, the one that took (or takes) effect last first.
    public func rateCards() async throws -> [StoredRateCard] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(Self.cardColumns) FROM rate_card ORDER BY greatest(effective_from, applied_at)
                DESC, version DESC
                """
            ).rows.map(Self.storedCard)
        }
    }

    /// The card in force; nil when none is.
    ///
    /// - Parameter milliseconds: since 1970; nil is the database's clock.
    public func activeRateCard(at milliseconds: Int64? = nil) async throws -> StoredRateCard? {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(Self.cardColumns) FROM rate_card
                WHERE greatest(effective_from, applied_at) <= coalesce(to_timestamp($1::bigint / 1000.0),
                    now())
                ORDER BY greatest(effective_from, applied_at) DESC, version DESC LIMIT 1
                """, [.int(milliseconds)]
            ).rows.map(Self.storedCard).first
        }
    }

    private static let cardColumns = """
        card, version, (extract(epoch FROM effective_from) * 1000)::bigint, body, sha256,
        (extract(epoch FROM applied_at) * 1000)::bigint, applied_by
        """

    private static func storedCard(_ row: PostgresRow) throws -> StoredRateCard {
        try StoredRateCard(
            card: row.text(0), version: row.text(1), effectiveFrom: row.int(2), body: row.text(3),
            sha256: row.text(4),
            appliedAt: row.int(5), appliedBy: row.text(6))
    }
}
