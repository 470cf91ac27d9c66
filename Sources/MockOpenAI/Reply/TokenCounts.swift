/// Token counts of one exchange, as OpenAI's usage objects group them: cached, written and media tokens are
/// part of the prompt; reasoning, audio and prediction tokens part of the completion.
struct TokenCounts: Equatable {
    var prompt: Int
    var completion: Int
    var cached = 0
    var cacheWrite = 0
    var reasoning = 0
    var inputAudio = 0
    var inputImage = 0
    var outputAudio = 0
    var outputImage = 0
    var accepted = 0
    var rejected = 0

    /// What the wire claims: the truth, bent by the usage faults. `cap` is that of all choices together.
    func bent(by faults: Faults, cap: Int?) -> TokenCounts {
        var counts = self
        if faults.contains(.overCap) { counts.completion = (cap ?? completion) + 50 }
        if faults.contains(.hugeUsage) { counts.completion = 9_000_000_000_000_000_000 }
        if faults.contains(.negativeUsage) { counts.completion = -1 }
        if faults.contains(.zeroUsage) { counts = TokenCounts(prompt: 0, completion: 0) }
        if faults.contains(.cachedOver) { counts.cached = counts.prompt + 1_000 }
        return counts
    }
}
