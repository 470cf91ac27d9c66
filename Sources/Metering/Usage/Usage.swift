/// What one exchange consumed, in disjoint parts. Their sum is what OpenAI reported as `total_tokens`.
///
/// Source of the arithmetic: cached and cache-write tokens are disjoint subsets of the reported input,
/// reasoning tokens are a subset of the reported output (openai-openapi, `CompletionUsage`).
public struct Usage: Sendable, Hashable {
    /// Input tokens that were neither read from nor written to the prompt cache.
    public var input: Int64
    public var cachedInput: Int64
    /// Input tokens written to the prompt cache (priced above plain input on newer models).
    public var cacheWrite: Int64
    /// Visible output tokens, rejected prediction tokens included.
    public var output: Int64
    /// Hidden output tokens; priced as output.
    public var reasoning: Int64

    public static let zero = Usage(input: 0, output: 0)

    public init(
        input: Int64, cachedInput: Int64 = 0, cacheWrite: Int64 = 0, output: Int64, reasoning: Int64 = 0
    ) {
        self.input = input
        self.cachedInput = cachedInput
        self.cacheWrite = cacheWrite
        self.output = output
        self.reasoning = reasoning
    }

    /// As the API reports it: `prompt_tokens`, cached and written ones included.
    public var inputTotal: Int64 { self.input + self.cachedInput + self.cacheWrite }
    /// As the API reports it: `completion_tokens`, reasoning included.
    public var outputTotal: Int64 { self.output + self.reasoning }
}

/// The usage object of a chat completion as it stood on the wire, before any belief in it.
/// A field is nil when it was absent or null; an explicit 0 is 0.
public struct ReportedUsage: Sendable, Hashable {
    public var promptTokens: Int64?
    public var completionTokens: Int64?
    public var totalTokens: Int64?
    public var cachedTokens: Int64?
    public var cacheWriteTokens: Int64?
    public var reasoningTokens: Int64?
    /// Audio tokens of input and output together: they have no text price, so their presence voids the
    /// report.
    public var audioTokens: Int64?

    public init() {}
}

/// Why a usage report was not believed; the exchange is then estimated. Bounded: used as a metric label.
public enum UsageDistrust: String, Error, Sendable, Hashable, CaseIterable {
    /// A needed field is absent, or the object could not be read.
    case malformed = "usage_malformed"
    /// The parts do not add up to the totals.
    case inconsistent = "usage_inconsistent"
    /// More tokens than the model's context and output limits allow.
    case impossible = "usage_impossible"
    /// Tokens of a kind for which the request had no price.
    case unpriced = "usage_unpriced"
}

extension Usage {
    /// Partitions a report into disjoint parts, or says why it is not to be believed.
    ///
    /// - Parameters:
    ///   - inputMax: the model's context, in tokens.
    ///   - outputMax: n × the model's maximal output, in tokens. Both bounds stop garbage such as 9e18; a
    ///   report
    ///     above the client's cap but within them is believed and charged in full.
    public init(
        _ report: ReportedUsage, inputMax: Int64, outputMax: Int64
    ) throws(UsageDistrust) {
        guard let prompt = report.promptTokens, let completion = report.completionTokens else {
            throw .malformed
        }
        let cached = report.cachedTokens ?? 0
        let written = report.cacheWriteTokens ?? 0
        let reasoning = report.reasoningTokens ?? 0
        guard prompt >= 0, completion >= 0, cached >= 0, written >= 0, reasoning >= 0 else {
            throw .malformed
        }
        guard prompt <= inputMax, completion <= outputMax else { throw .impossible }
        guard (report.audioTokens ?? 0) == 0 else { throw .unpriced }
        guard cached <= prompt, written <= prompt - cached, reasoning <= completion else {
            throw .inconsistent
        }
        if let total = report.totalTokens, total != prompt + completion { throw .inconsistent }
        self.init(
            input: prompt - cached - written, cachedInput: cached, cacheWrite: written,
            output: completion - reasoning, reasoning: reasoning)
    }
}
