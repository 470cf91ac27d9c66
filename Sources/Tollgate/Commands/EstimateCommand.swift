import ArgumentParser
import Logging
import Metering
import PostgresLedger
import RateCards
import TokenTables

struct EstimateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "estimate", abstract: "The price of a request, or of many.",
        discussion: """
            --batch reads one JSON object per line: model, inputTokens, cachedInputTokens, cacheWriteTokens, \
            outputTokens, reasoningTokens, tier, and parts by their names in usage_parts. Each is answered by a line \
            of JSON; exit 1 when one of them has no price.
            """)

    @Option(help: "Model, as clients name it.")
    var model: String?
    @Option(help: "Input tokens, cached ones included.")
    var input: Int64?
    @Option(help: "Output tokens, reasoning included; of --request, default: its cap, or no output.")
    var output: Int64?
    @Option(
        help:
            "A file with a chat request in JSON, in place of --model and --input: its text is counted as `serve` does, and its service_tier and web search are priced."
    )
    var request: String?
    @Option(help: "Of the input, tokens read from the prompt cache.")
    var cached: Int64 = 0
    @Option(help: "default, flex, priority, batch or ultrafast; of --request, default: its service_tier.")
    var tier: String?
    @Option(help: "exact or ceil; default: BILLING_ROUNDING_MODE.")
    var rounding: String?
    @Option(help: "A rate card file; default: the active card of DATABASE_URL.")
    var card: String?
    @Option(help: "A file of requests, a JSON object per line; - is standard input.")
    var batch: String?
    @Flag(help: "One line of JSON on standard output; amounts are strings.")
    var json = false

    func validate() throws {
        for (name, value) in [("--input", input ?? 0), ("--output", output ?? 0), ("--cached", cached)]
        where !Self.tokens.contains(value) {
            throw ValidationError("\(name) must be a whole number from 0 to 1000000000000")
        }
        if batch != nil {
            guard model == nil, input == nil, output == nil, cached == 0, tier == nil, request == nil else {
                throw ValidationError("--batch names all requests: no other option describes one")
            }
        } else if request != nil {
            guard model == nil, input == nil, cached == 0 else {
                throw ValidationError("--request takes the place of --model, --input and --cached")
            }
        } else {
            guard model != nil, let input, output != nil else {
                throw ValidationError("give --model, --input and --output, or --request, or --batch")
            }
            if cached > input { throw ValidationError("--cached must not exceed --input") }
        }
    }

    private static let tokens: ClosedRange<Int64> = 0...1_000_000_000_000

    func run() async throws {
        try await reporting {
            let table = try await prices(try PriceSettings.rounding(rounding))
            if let batch {
                guard try EstimateBatch.run(batch, table) else { throw Exit.checkFailed }
                return
            }
            let question = try asked()
            let answer = question.answer(from: table)
            if let error = answer.error { throw CommandFailure("the model '\(answer.model)' \(error)") }
            if json { return print(try CommandJSON.of(answer, pretty: false)) }
            print(
                "\(answer.credits ?? "") credits (\(answer.millicredits ?? "") millicredits) at "
                    + "\(answer.priceId ?? "")")
            if request != nil {
                print(question.explanation)
            }
        }
    }

    private func asked() throws -> EstimateQuestion {
        guard let request else {
            return EstimateQuestion(
                model: model ?? "", inputTokens: input, cachedInputTokens: cached, outputTokens: output,
                tier: tier)
        }
        let body = try TokenFile.read(request)
        return try body.withUnsafeBytes { body in
            let chat: InspectedRequest
            switch RequestInspector.inspect(body, as: .chat) {
            case .success(let inspected): chat = inspected
            case .failure(let rejection): throw UsageError(rejection.message)
            }
            return try EstimateQuestion(
                chat, CountedInput(chat, of: body, Self.encodings()), output: output, tier: tier)
        }
    }

    private static func encodings() -> EncodingTables {
        var reader = SettingsReader.environment()
        var logger = Logger(label: "tollgate", factory: { StreamLogHandler.standardError(label: $0) })
        logger.logLevel = .warning
        return Encodings.open(ServeConfiguration.tokenizerDirectory(&reader), logger)
    }

    private func prices(_ mode: RoundingMode) async throws -> PriceTable {
        let region = try PriceSettings.region()
        if let card {
            return try RateCard(parsing: try RateCardFiles.read(card)).priceTable(mode: mode, region: region)
        }
        return try await StoreSession.with { store in
            guard let active = try await store.ledger.activeRateCard() else {
                throw CommandFailure("no rate card is in force; name a file with --card")
            }
            return try RateCard(parsing: active.body).priceTable(mode: mode, region: region)
        }
    }
}
