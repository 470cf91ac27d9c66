import Metering
import PostgresLedger
import RateCards

/// What publishing a card looks at besides the card itself (CONTRACT §7).
struct RateCardPublishing {
    /// The card in force, or the one that `--against` names.
    var active: RateCard?
    var applied: [StoredRateCard] = []

    init(against card: RateCard?) { self.active = card }

    init(_ ledger: PostgresLedger) async throws {
        self.active = try await ledger.activeRateCard().map { try RateCard(parsing: $0.body) }
        self.applied = try await ledger.rateCards()
    }

    /// - Parameter body: the file that `card` was read from.
    func diff(of card: RateCard, body: String) -> RateCardDiff {
        var diff = RateCardDiff(from: self.active, to: card, nowMilliseconds: Clock.wallMilliseconds())
        let same = self.applied.first { $0.card == card.card && $0.version == card.version }
        if let same, same.body != body { diff.refuseVersion(of: card) }
        return diff
    }
}

extension RateCardDiff {
    /// Nothing may be put in force.
    var isRefused: Bool { self.problems.contains { $0.severity == .error } }
}
