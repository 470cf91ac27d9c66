import ArgumentParser
import Metering
import PostgresLedger
import RateCards

struct RateCardSimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate", abstract: "Price real history under a candidate card.",
        discussion: """
            Reads every exchange of the last days from DATABASE_URL, on one snapshot, and prices its usage with its \
            parts, its tier as served and its tools under FILE. Changes nothing. Revenue is in credits, cost and \
            margin in USD. With the active card itself only what was estimated, waived or cut can differ.
            """)

    @Argument(help: "The YAML file.") var file: String
    @Option(help: "How many days back, 1 to 3650.") var days: Int64
    @Option(help: "exact or ceil; default: BILLING_ROUNDING_MODE.") var rounding: String?
    @Flag(help: "One JSON object on standard output; amounts are strings.") var json = false

    func validate() throws {
        guard (1...3650).contains(days) else {
            throw ValidationError("--days must be a whole number from 1 to 3650")
        }
    }

    func run() async throws {
        try await reporting {
            let mode = try PriceSettings.rounding(rounding)
            let card = try RateCard(parsing: try RateCardFiles.read(file))
            let prices = try card.priceTable(mode: mode, region: try PriceSettings.region())
            let now = Clock.wallMilliseconds()
            let from = now - days * 86_400_000
            let simulation = try await StoreSession.with { store in
                try await store.ledger.foldUsage(
                    from: from, to: now, into: RateCardSimulation(prices: prices)
                ) { simulation, page in
                    for record in page { simulation.add(record) }
                    let done = simulation.total.events + simulation.voided
                    complain("simulate: \(done) events, up to hold \(page.last.map { "\($0.hold)" } ?? "-")")
                }
            }
            if json {
                print(try CommandJSON.of(SimulationJSON(simulation, card: card.identity, days: days)))
            } else {
                print("\(card.identity) on the last \(days) days")
                print(RateCardReport.render(simulation))
            }
        }
    }
}

/// The output of `--json`: millicredits and pico-USD are exact integers, as strings.
private struct SimulationJSON: Encodable {
    struct Sums: Encodable {
        var events: Int64
        var revenueMillicreditsNow, revenueMillicreditsThen, revenueMillicreditsDifference: String
        var costPicousdNow, costPicousdThen, marginPicousdNow, marginPicousdThen: String

        init(_ sums: RateCardSimulation.Sums) {
            self.events = sums.events
            self.revenueMillicreditsNow = "\(sums.revenueNow)"
            self.revenueMillicreditsThen = "\(sums.revenueThen)"
            self.revenueMillicreditsDifference = "\(sums.revenueThen - sums.revenueNow)"
            self.costPicousdNow = "\(sums.costNow)"
            self.costPicousdThen = "\(sums.costThen)"
            self.marginPicousdNow = "\(sums.marginNow)"
            self.marginPicousdThen = "\(sums.marginThen)"
        }
    }

    struct Account: Encodable {
        var account: AccountID
        var user: String
        var sums: Sums
    }

    struct Refused: Encodable {
        var model: String
        var why: String
        var sums: Sums
    }

    var card: String
    var days: Int64
    var total: Sums
    var models: [String: Sums]
    var accounts: [Account]
    var refused: [Refused]
    var voidedEvents: Int64
    var waived, estimated, notPricedAgain: Sums

    init(_ simulation: RateCardSimulation, card: String, days: Int64) {
        (self.card, self.days) = (card, days)
        self.total = Sums(simulation.total)
        self.models = simulation.byModel.mapValues(Sums.init)
        self.accounts = simulation.byAccount.sorted { $0.key < $1.key }.map { account, sums in
            Account(account: account, user: simulation.users[account] ?? "", sums: Sums(sums))
        }
        self.refused = simulation.refused.map { what, sums in
            Refused(model: what.model, why: what.why.rawValue, sums: Sums(sums))
        }.sorted { ($0.model, $0.why) < ($1.model, $1.why) }
        self.voidedEvents = simulation.voided
        self.waived = Sums(simulation.waived)
        self.estimated = Sums(simulation.estimated)
        self.notPricedAgain = Sums(simulation.notPricedAgain)
    }
}
