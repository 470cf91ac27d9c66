import Crypto
import Metering

/// One forward step of the schema. Never edited once released: its checksum is kept in the database.
public struct Migration: Sendable {
    public let version: Int64
    public let name: String
    /// One or more statements, run in one transaction.
    let sql: String

    init(version: Int64, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
    }

    /// SHA-256 of the statements, in hexadecimal.
    public var checksum: String { Hexadecimal.text(SHA256.hash(data: Array(self.sql.utf8))) }

    /// All of them, in order.
    public static let all: [Migration] = [
        .accountsAndLedger, .settlement, .settleFunction, .rateCardsAndPackages, .generationsAndEstimates,
        .settleInParts, .ledgerPosition, .usageParts, .requestLimits, .holdPolicy, .idempotentReplies,
        .storedResponses, .moneyIn, .books, .reconciliation, .recharges, .rechargeStops, .suspensions,
        .booksReading, .ledgerID, .auditLog, .featureFlags, .staff, .portal, .accountReviews, .secretAges,
        .compatibility, .dashboards, .closedForGood, .dismissedEvents, .accountSnapshots,
    ]
}
