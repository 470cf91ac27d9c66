import Billing
import Metering
import PostgresLedger
import RateCards
import Synchronization

/// Rate cards for the operator's routes.
struct LedgerRateCards: RateCardDesk {
    let ledger: PostgresLedger
    /// Where a simulation may keep a connection for minutes.
    let history: PostgresLedger
    let mode: RoundingMode
    let region: Region?
    private static let isSimulating = Mutex(false)

    func appliedCards() async throws -> [AppliedRateCard] {
        let active = try await self.ledger.activeRateCard()
        return try await self.ledger.rateCards().map {
            AppliedRateCard(
                card: $0.card, version: $0.version, effectiveFrom: $0.effectiveFrom, appliedAt: $0.appliedAt,
                appliedBy: $0.appliedBy, sha256: $0.sha256,
                isActive: $0.card == active?.card && $0.version == active?.version)
        }
    }

    func text(ofCard card: String, version: String) async throws -> String? {
        try await self.ledger.rateCards().first { $0.card == card && $0.version == version }?.body
    }

    func review(_ yaml: String) async throws -> CardReview {
        let publishing = try await RateCardPublishing(self.ledger)
        let card: RateCard
        do { card = try RateCard(parsing: yaml) } catch let invalid as RateCardInvalid {
            return CardReview(
                active: publishing.active?.identity, card: nil, problems: invalid.problems.map(Self.problem),
                changes: [])
        }
        return Self.review(publishing, card, yaml)
    }

    func simulate(_ yaml: String, days: Int64) async throws -> CardHistory {
        let prices = try Self.parse(yaml).priceTable(mode: self.mode, region: self.region)
        // It takes minutes on a connection that dashboards need as well.
        let isFree = Self.isSimulating.withLock { isTaken in
            defer { isTaken = true }
            return !isTaken
        }
        guard isFree else { throw RateCardRefusal.busy }
        defer { Self.isSimulating.withLock { $0 = false } }
        let now = Clock.wallMilliseconds()
        let simulation = try await self.history.foldUsage(
            from: now - days * 86_400_000, to: now, into: RateCardSimulation(prices: prices)
        ) { simulation, page in
            for record in page { simulation.add(record) }
        }
        return CardHistory(
            total: Self.line("total", simulation.total),
            models: simulation.byModel.sorted { $0.key < $1.key }.map { Self.line($0.key, $0.value) })
    }

    func apply(_ yaml: String, note: ChangeNote) async throws -> (review: CardReview, isNew: Bool) {
        let card = try Self.parse(yaml)
        let review = Self.review(try await RateCardPublishing(self.ledger), card, yaml)
        guard !review.isRefused else { throw RateCardRefusal.invalid(review) }
        do {
            let applied = try await self.ledger.applyRateCard(
                card: card.card, version: card.version, effectiveFrom: card.effectiveFromMilliseconds,
                body: yaml,
                by: note.actor, note: note)
            return (review, applied == .applied)
        } catch RateCardFailure.versionTaken {
            throw RateCardRefusal.versionTaken
        }
    }

    private static func parse(_ yaml: String) throws -> RateCard {
        do { return try RateCard(parsing: yaml) } catch let invalid as RateCardInvalid {
            throw RateCardRefusal.invalid(
                CardReview(
                    active: nil, card: nil, problems: invalid.problems.map(Self.problem), changes: []))
        }
    }

    private static func review(_ publishing: RateCardPublishing, _ card: RateCard, _ yaml: String)
        -> CardReview
    {
        let diff = publishing.diff(of: card, body: yaml)
        return CardReview(
            active: diff.from, card: diff.to, problems: diff.problems.map(Self.problem),
            changes: diff.review.map { row in
                switch row.change {
                case .added: .init(model: row.model, change: "added")
                case .removed: .init(model: row.model, change: "removed")
                case .changed(let path, let from, let to):
                    .init(model: row.model, change: "changed", path: path, from: from, to: to)
                }
            },
            // Tiers and long contexts are in the diff.
            margins: diff.margins.filter { !$0.path.contains(".") }.map {
                .init(
                    model: $0.model, path: $0.path, price: $0.price.description, cost: $0.cost.description,
                    margin: $0.text)
            })
    }

    private static func problem(_ problem: RateCardProblem) -> CardReview.Problem {
        .init(
            severity: problem.severity.rawValue, path: problem.path, message: problem.message,
            line: problem.line.map { Int64($0) })
    }

    private static func line(_ name: String, _ sums: RateCardSimulation.Sums) -> CardHistory.Line {
        .init(name: name, events: sums.events, now: sums.revenueNow, then: sums.revenueThen)
    }
}
