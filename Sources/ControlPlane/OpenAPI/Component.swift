import Billing
import Metering

/// Schemas that several routes share.
enum Component: String, CaseIterable {
    case error = "Error"
    case malformed = "MalformedRequest"
    case millicredits = "Millicredits"
    case package = "Package"
    case activeRate = "ActiveRate"
    case ledgerLine = "LedgerLine"
    case usageLine = "UsageLine"
    case autoRecharge = "AutoRecharge"

    var schema: Schema {
        switch self {
        case .error:
            .object([
                .init("error", .string.described("For people; no secret is in it.")),
                .init("code", .string.described("For programs; it stays.")),
                .optional("param", .string.described("The member or parameter at fault.")),
            ])
        case .malformed:
            .object([
                .init(
                    "error",
                    .object([
                        .init("message", .string), .init("type", .string), .init("param", .string.orNull),
                        .init("code", .string.orNull),
                    ]))
            ]).described("Of what is no request of HTTP: no route has seen it. In OpenAI's shape.")
        case .millicredits:
            .string(pattern: "^-?[0-9]+$").described("A whole number of millicredits; 1,000 are one credit.")
        case .package: Self.packageSchema
        case .activeRate: Self.activeRateSchema
        case .ledgerLine: Self.ledgerLineSchema
        case .usageLine: Self.usageLineSchema
        case .autoRecharge: Self.autoRechargeSchema
        }
    }

    private static let packageSchema = Schema.object([
        .init("code", .string), .init("name", .string), .init("priceUsdCents", .integer),
        .init("credits", .integer), .init("bonusCredits", .integer),
    ])

    /// What only some models are priced for may be absent.
    private static let activeRateSchema = Schema.object([
        .init("model", .string), .init("priceId", .string), .init("inputCreditsPer1k", .string),
        .init("cachedInputCreditsPer1k", .string), .init("cacheWriteCreditsPer1k", .string),
        .init("outputCreditsPer1k", .string), .optional("cacheWrite12hCreditsPer1k", .string),
        .optional("audioInputCreditsPer1k", .string), .optional("audioCachedInputCreditsPer1k", .string),
        .optional("audioOutputCreditsPer1k", .string), .optional("imageInputCreditsPer1k", .string),
        .optional("imageCachedInputCreditsPer1k", .string), .optional("imageOutputCreditsPer1k", .string),
        .optional("creditsPerSecond", .string), .optional("charactersCreditsPer1k", .string),
        .optional("toolCreditsPer1kCalls", .map(.string)),
    ])

    private static let ledgerLineSchema = Schema.object([
        .init("version", .integer), .init("type", .word(LedgerLineType.self)),
        .init("amountMillicredits", .named(.millicredits)),
        .init("balanceAfterMillicredits", .named(.millicredits)), .init("referenceType", .string),
        .init("referenceId", .string), .init("createdAtMs", .integer), .optional("purchaseId", .string),
        .optional("receiptUrl", .string.orNull),
    ])

    private static let usageLineSchema = Schema.object([
        .init("holdId", .string), .init("kind", .string), .init("model", .string),
        .init("modelServed", .string.orNull), .init("endpoint", .string), .init("inputTokens", .integer),
        .init("cachedInputTokens", .integer), .init("outputTokens", .integer),
        .init("reasoningTokens", .integer), .optional("parts", .map(.integer)), .init("priceId", .string),
        .init("chargedMillicredits", .named(.millicredits)), .init("estimated", .boolean),
        .init("occurredAtMs", .integer),
    ])

    private static let autoRechargeSchema = Schema.object([
        .init("enabled", .boolean), .init("thresholdMillicredits", .named(.millicredits).orNull),
        .init("packageCode", .string.orNull), .init("priceUsdCents", .integer.orNull),
        .init("dailyLimitUsdCents", .integer.orNull),
        .init("state", .words("charging", "disabled", "off", "paused", "active")),
        .init("disabledReason", .string.orNull),
        .init(
            "lastAttempt",
            .object([
                .init("number", .integer), .init("usdCents", .integer), .init("startedAtMs", .integer),
                .init("status", .words("pending", "paid", "failed", "unknown")),
                .init("failure", .string.orNull), .init("purchaseId", .string.orNull),
            ]).orNull),
    ])
}
