import Billing
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
        if let active = try await ledger.activeRateCard() {
            do {
                self.active = try RateCard(parsing: active.body)
            } catch is RateCardInvalid {
                // It came from a release that had other rules. To publish another one is the way out.
                progress(
                    "\(active.card)@\(active.version), in force, is not valid here: nothing to compare with")
            }
        }
        self.applied = try await ledger.rateCards()
    }

    /// - Parameter body: the file that `card` was read from.
    func diff(of card: RateCard, body: String) -> RateCardDiff {
        var diff = RateCardDiff(from: self.active, to: card, nowMilliseconds: Clock.wallMilliseconds())
        let same = self.applied.first { $0.card == card.card && $0.version == card.version }
        if let same, same.body != body { diff.refuseVersion(of: card) }
        if body.utf8.count > CardReview.cardBytesMax {
            diff.refuse("(file)", "has more than \(CardReview.cardBytesMax) bytes")
        }
        diff.locateProblems(in: body)
        return diff
    }
}

extension RateCardDiff {
    /// Nothing may be put in force.
    var isRefused: Bool { self.problems.contains { $0.severity == .error } }
}
