import Metering

/// Zeros for what is priced and sold. A rate begins with the second sample of a series: without them the first purchase of
/// a package, and the first exchange of a model, would be missing in every rate. The exposition adds series of one name.
struct KnownSeries: MetricSource {
    let prices: any PriceSource
    /// Codes.
    let packages: [String]

    func samples() -> [MetricSample] {
        self.packages.flatMap { package in
            Self.ofPackages.map { Self.zero($0.name, $0.help, .init("package", package)) }
        }
            + self.prices.current.models.flatMap { row in
                Self.ofModels.map { Self.zero($0.name, $0.help, .init("model", row.model)) }
            }
    }

    private static let ofPackages = [
        (name: "billing_credits_purchased_total", help: "Credits granted for payments."),
        (name: "billing_checkouts_total", help: "Pages opened on which a package can be paid."),
        (name: "billing_checkouts_paid_total", help: "Packages that were paid on such a page."),
    ]

    private static let ofModels = [
        (name: "billing_credits_deducted_total", help: "Credits charged, by priced model."),
        (name: "billing_cost_usd_total", help: "What OpenAI charges for settled exchanges, by priced model."),
        (name: "billing_exchanges_total", help: "Settled exchanges that were not free, by priced model."),
    ]

    private static func zero(_ name: String, _ help: String, _ label: MetricSample.Label) -> MetricSample {
        MetricSample(name, help: help, kind: .counter, labels: [label], count: 0)
    }
}
