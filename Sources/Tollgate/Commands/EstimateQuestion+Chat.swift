import Metering

extension EstimateQuestion {
    private static let tokens: ClosedRange<Int64> = 0...1_000_000_000_000

    /// What a chat request is expected to use: its text as `serve` counts it, its audio as it is measured, one search if it
    /// searches, and as much output as is allowed.
    ///
    /// - Parameters:
    ///   - output: in place of the request's own cap.
    ///   - tier: in place of the request's own tier.
    init(
        _ chat: InspectedRequest, _ counted: CountedInput, output: Int64?, tier: String?
    ) throws {
        // What a search brings is not known either, but its fee is.
        let searches = chat.hostedTools.contains(.webSearchPreview)
        guard !chat.unboundedInput || searches && chat.media.isEmpty && chat.references.isEmpty else {
            throw UsageError("images and files cannot be estimated from their bytes; give --input")
        }
        let cap = output ?? chat.outputCap
        let (all, overflow) = (cap ?? 0).multipliedReportingOverflow(by: chat.choices)
        guard !overflow, Self.tokens.contains(all) else {
            throw UsageError("the cap is too large to be priced")
        }
        var parts: [String: Int64] = [:]
        if chat.audioTokensEstimate > 0 { parts["audio_input_tokens"] = chat.audioTokensEstimate }
        if searches { parts["web_search_preview_calls"] = 1 }
        var own: String?
        if case .named(let named) = chat.serviceTier { own = named.rawValue }
        self.init(
            model: chat.model, inputTokens: chat.inputEstimate(counted) + chat.audioTokensEstimate,
            outputTokens: cap == nil ? nil : all, tier: tier ?? own, parts: parts)
    }

    /// What was priced, for people.
    var explanation: String {
        var text = "input \(self.inputTokens ?? 0) tokens, estimated; "
        if let output = self.outputTokens {
            text += "output \(output)"
        } else {
            text += "no output: the request has no cap, and there is no --output"
        }
        if let tier = self.tier, tier != "default" { text += "; tier \(tier)" }
        if let searches = self.parts?["web_search_preview_calls"] {
            text += "; \(searches) web search, without the tokens that it brings"
        }
        return text
    }
}
