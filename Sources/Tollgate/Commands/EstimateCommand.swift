import ArgumentParser
import Metering
import PostgresLedger
import RateCards

struct EstimateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "estimate", abstract: "The price of a request.")

    @Option(help: "Model, as clients name it.")
    var model: String
    @Option(help: "Input tokens, cached ones included.")
    var input: Int64
    @Option(help: "Output tokens, reasoning included.")
    var output: Int64
    @Option(help: "Of the input, tokens read from the prompt cache.")
    var cached: Int64 = 0
    @Option(help: "exact or ceil; default: BILLING_ROUNDING_MODE.")
    var rounding: String?
    @Option(help: "A rate card file; default: the active card of DATABASE_URL.")
    var card: String?

    func validate() throws {
        for (name, value) in [("--input", input), ("--output", output), ("--cached", cached)]
        where !(0...1_000_000_000_000).contains(value) {
            throw ValidationError("\(name) must be a whole number from 0 to 1000000000000")
        }
        if cached > input { throw ValidationError("--cached must not exceed --input") }
    }

    func run() async throws {
        try await reporting {
            var reader = SettingsReader(
                get: { name in rounding ?? System.environment(name) }, readFile: { _ in "" })
            let mode: RoundingMode = reader.choice("BILLING_ROUNDING_MODE", default: .exact)
            guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
            let table = try await prices(mode)
            guard let row = table.row(for: model) else {
                throw UsageError("the model '\(model)' has no price on \(table.version)")
            }
            let usage = Usage(input: input - cached, cachedInput: cached, output: output)
            let charge = try row.charge(for: usage, served: .default, mode: mode)
            print("\(charge.amount.creditsText) credits (\(charge.amount) millicredits) at \(row.priceID)")
        }
    }

    private func prices(_ mode: RoundingMode) async throws -> PriceTable {
        if let card { return try RateCard(parsing: try RateCardFiles.read(card)).priceTable(mode: mode) }
        return try await StoreSession.with { store in
            guard let active = try await store.ledger.activeRateCard() else {
                throw UsageError("no rate card is in force; name a file with --card")
            }
            return try RateCard(parsing: active.body).priceTable(mode: mode)
        }
    }
}
