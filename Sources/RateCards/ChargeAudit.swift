import Metering

/// Computes charges of the ledger again from the usage and the card that each row names, and compares amount and cost.
///
/// The ledger does not keep which rounding mode and which region were in force: a row is right when it is right under
/// one of them. Estimates are bounded by holds that nobody remembers, and a tier without rates of its own takes the
/// dearest of those that the request permitted: both cannot be computed again.
public struct ChargeAudit: Sendable {
    public static let offendersMax = 20

    /// Rows whose amount and cost were computed again.
    public private(set) var recomputed: Int64 = 0
    /// Rows that say what is charged, but not why.
    public private(set) var notRecomputable: Int64 = 0
    /// The first of the rows that are wrong.
    public private(set) var offenders: [String] = []
    public private(set) var offendersTotal: Int64 = 0
    /// By `card@version`, one for each region in which it has other prices.
    private let tables: [String: [PriceTable]]

    /// - Throws: `RateCardInvalid`.
    public init(cards: [RateCard]) throws {
        var tables: [String: [PriceTable]] = [:]
        for card in cards {
            let isUplifted = card.models.values.contains { !$0.regionalUplift.isEmpty }
            let regions: [Region?] = [nil] + (isUplifted ? Region.allCases : [])
            tables[card.identity] = try regions.map { try card.priceTable(mode: .exact, region: $0) }
        }
        self.tables = tables
    }

    public mutating func add(_ record: UsageRecord) {
        guard record.kind == .final || record.kind == .waived, !record.isEstimated else {
            return self.notRecomputable += 1
        }
        guard let usage = record.usage else {
            // Of a later release: no fault of this row.
            if record.hasUnknownParts { return self.notRecomputable += 1 }
            return self.report(record, "its parts of usage do not fit into its totals")
        }
        let rows = self.rows(record)
        guard !rows.isEmpty else { return self.notRecomputable += 1 }
        self.recomputed += 1
        let posted = Charge(
            amount: record.kind == .waived ? record.shadow : record.charged, cost: record.cost)
        var computed: [Charge] = []
        for row in rows {
            for mode in RoundingMode.allCases {
                guard let charge = try? row.charge(for: usage, served: record.tier, mode: mode) else {
                    continue
                }
                if charge == posted { return }
                computed.append(charge)
            }
        }
        let expected = computed.first.map { "\($0.amount) and cost \($0.cost.value)" } ?? "too much"
        self.report(
            record,
            "charged \(posted.amount) and cost \(posted.cost.value), but the usage at "
                + "\(record.priceID) is \(expected)")
    }

    /// The row that priced it, as each region has it; empty: it is not known, or has no rates for the tier.
    private func rows(_ record: UsageRecord) -> [ModelPrice] {
        guard let slash = record.priceID.firstIndex(of: "/"), let tier = record.tier else { return [] }
        let model = Settlement.model(ofPrice: record.priceID)
        let tables = self.tables[String(record.priceID[..<slash])] ?? []
        return tables.compactMap { $0.row(for: model) }.filter { $0.tiers[tier] != nil }
    }

    private mutating func report(_ record: UsageRecord, _ what: String) {
        self.offendersTotal += 1
        guard self.offenders.count < Self.offendersMax else { return }
        self.offenders.append("hold \(record.hold) of account \(record.account): \(what)")
    }
}
