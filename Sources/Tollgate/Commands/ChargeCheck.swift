import PostgresLedger
import RateCards

/// The invariant for which the ledger needs the rate cards: what was posted is what usage and price say.
enum ChargeCheck {
    static func run(_ store: StoreSession, _ findings: inout VerifyFindings) async throws {
        progress("charges against rate cards")
        var cards: [RateCard] = []
        for stored in try await store.ledger.rateCards() {
            do {
                cards.append(try RateCard(parsing: stored.body))
            } catch is RateCardInvalid {
                // The row of the ledger may come from a release that had other rules.
                findings.add(
                    .warning, "C1 rate cards are readable",
                    ["\(stored.card)@\(stored.version) is not valid here"])
            }
        }
        let audit = try await store.ledger.foldUsage(into: try ChargeAudit(cards: cards)) { audit, page in
            for record in page { audit.add(record) }
        }
        findings.add(
            VerifyFinding(
                .violation, "C1 charges are usage times price", audit.offenders, total: audit.offendersTotal))
    }
}
