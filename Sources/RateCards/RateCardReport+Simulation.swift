import Metering

extension RateCardReport {
    /// The difference in total, by model and by account, then the flows that are no plain sales. Revenue in credits,
    /// cost and margin in USD, all exact.
    public static func render(_ simulation: RateCardSimulation) -> String {
        var models = Self.table("model")
        for (model, sums) in simulation.byModel.sorted(by: { $0.key < $1.key }) {
            models.add(Self.cells(model, sums))
        }
        models.add(Self.cells("total", simulation.total))
        var accounts = Self.table("account")
        for (account, sums) in simulation.byAccount.sorted(by: { $0.key < $1.key }) {
            accounts.add(Self.cells(simulation.users[account] ?? "\(account)", sums))
        }
        return ([models.text, accounts.text] + [Self.flows(simulation).joined(separator: "\n")])
            .joined(separator: "\n\n")
    }

    private static func flows(_ simulation: RateCardSimulation) -> [String] {
        var lines: [String] = []
        for (what, sums) in simulation.refused.sorted(by: {
            ($0.key.model, $0.key.why.rawValue) < ($1.key.model, $1.key.why.rawValue)
        }) {
            lines.append(
                "refused: \(what.model): \(what.why.rawValue): \(sums.events) events, "
                    + "\(Self.credits(sums.revenueNow)) credits now")
        }
        lines.append("voided: \(simulation.voided) events, free on both sides")
        lines.append(
            Self.flow("waived", "would have earned", simulation.waived) + "; they earn nothing on both sides")
        lines.append(
            Self.flow("estimated", "", simulation.estimated) + "; now their amounts are bounded by holds")
        lines.append(
            Self.flow("not priced again", "", simulation.notPricedAgain)
                + "; only their amounts are known, which stand on both sides")
        return lines
    }

    private static func flow(_ name: String, _ verb: String, _ sums: RateCardSimulation.Sums) -> String {
        "\(name): \(sums.events) events, " + (verb.isEmpty ? "" : verb + " ")
            + "\(Self.credits(sums.revenueNow)) → \(Self.credits(sums.revenueThen)) credits"
    }

    private static func table(_ what: String) -> TextTable {
        TextTable(
            what, "events", "revenue now", "then", "difference", "cost now", "then", "margin now", "then")
    }

    private static func cells(_ name: String, _ sums: RateCardSimulation.Sums) -> [String] {
        [
            name, "\(sums.events)", Self.credits(sums.revenueNow), Self.credits(sums.revenueThen),
            Self.credits(sums.revenueThen - sums.revenueNow), Self.usd(sums.costNow),
            Self.usd(sums.costThen), Self.usd(sums.marginNow), Self.usd(sums.marginThen),
        ]
    }

    private static func credits(_ millicredits: Int128) -> String {
        ExactDecimal(coefficient: millicredits, scale: 3).description
    }

    private static func usd(_ pico: Int128) -> String {
        ExactDecimal(coefficient: pico, scale: 12).description
    }
}
