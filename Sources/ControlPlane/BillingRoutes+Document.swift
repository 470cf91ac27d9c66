extension BillingRoutes {
    static let summaryOperation = Operation(
        .billing, "summary", "Balance, packages, prices, and what happened last.",
        reply: .object([
            .init("balanceMillicredits", .named(.millicredits)), .init("balanceCredits", .number),
            .init("balanceUsd", .number), .init("heldMillicredits", .named(.millicredits)),
            .init("heldKnown", .boolean), .init("availableMillicredits", .named(.millicredits)),
            .init("packages", .array(.named(.package))), .init("activeRates", .array(.named(.activeRate))),
            .init("recentLedger", .array(.named(.ledgerLine))),
            .init("recentUsage", .array(.named(.usageLine))),
        ]))

    static let packagesOperation = Operation(
        .billing, "packages", "What can be bought.", reply: .page(.named(.package)))

    static let usageOperation = Operation(
        .billing, "usage", "Exchanges as they count, newest first.",
        [.query("model", .string, "Of this model only.")] + .span + .page, reply: .page(.named(.usageLine)))

    static let estimateOperation = Operation(
        .billing, "estimate", "The price of a request, by counts or by its messages.",
        body: .object([
            .init("model", .string(1...256)), .optional("inputTokens", .integer(0...1_000_000_000_000)),
            .optional("cachedInputTokens", .integer(0...1_000_000_000_000)),
            .optional("outputTokens", .integer(0...1_000_000_000_000)),
            .optional("messages", .array(.any)),
            .optional("maxOutputTokens", .integer(0...1_000_000_000_000)),
        ]),
        reply: .object([
            .init("model", .string), .init("priceId", .string), .init("inputTokens", .integer),
            .init("cachedInputTokens", .integer), .init("outputTokens", .integer),
            .init("estimated", .boolean), .init("millicredits", .named(.millicredits)),
            .init("credits", .number), .init("usd", .number),
        ]))
}
