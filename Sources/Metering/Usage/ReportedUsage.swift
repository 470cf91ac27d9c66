/// The usage object of a reply as it stood on the wire, of whichever endpoint, before any belief in it. A field is nil
/// when it was absent or null; an explicit 0 is 0.
public struct ReportedUsage: Sendable, Hashable {
    /// `prompt_tokens`, `input_tokens`.
    public var inputTokens: Int64?
    /// `completion_tokens`, `output_tokens`.
    public var outputTokens: Int64?
    public var totalTokens: Int64?
    public var cachedTokens: Int64?
    /// Of the cached ones, when the report says of what kind they are.
    public var cachedAudioTokens: Int64?
    public var cachedImageTokens: Int64?
    public var cacheWriteTokens: Int64?
    /// Of the written ones, by how long they stay.
    public var cacheWrite30MinuteTokens: Int64?
    public var cacheWrite12HourTokens: Int64?
    public var inputAudioTokens: Int64?
    public var inputImageTokens: Int64?
    public var inputTextTokens: Int64?
    public var reasoningTokens: Int64?
    public var outputAudioTokens: Int64?
    public var outputImageTokens: Int64?
    public var outputTextTokens: Int64?
    /// `seconds` of a transcription that is priced by time, in milliseconds, rounded up.
    public var milliseconds: Int64?

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
    /// Tokens of a kind for which the model has no price.
    case unpriced = "usage_unpriced"
}

/// What a report is measured against.
public struct UsageLimits: Sendable, Hashable {
    /// Most input tokens: the model's context, times the turns that hosted tools may take.
    public var inputMax: Int64
    /// Most output tokens: n × the model's maximal output. Both bounds stop garbage such as 9e18; a report above the
    /// client's cap but within them is believed and charged in full.
    public var outputMax: Int64
    /// The endpoint reports no output because it makes none (embeddings).
    public var outputIsOptional = false
    /// The request had its cache writes kept for 12 hours; only counts when the report does not say.
    public var writesForTwelveHours = false
    public var audioIsPriced = false
    public var longWritesArePriced = false
    /// Longest audio that a report of time is believed for; nil: the model is not priced by time.
    public var millisecondsMax: Int64?

    public init(inputMax: Int64, outputMax: Int64) {
        self.inputMax = inputMax
        self.outputMax = outputMax
    }
}

extension Usage {
    /// Partitions a report into disjoint parts, or says why it is not to be believed. One rule for all endpoints.
    public init(_ report: ReportedUsage, within limits: UsageLimits) throws(UsageDistrust) {
        if let longest = limits.millisecondsMax, let heard = report.milliseconds {
            try self.init(heard: heard, longest: longest, report)
            return
        }
        guard let input = report.inputTokens else { throw .malformed }
        guard let output = report.outputTokens ?? (limits.outputIsOptional ? 0 : nil) else {
            throw .malformed
        }
        guard report.hasNoNegative else { throw .malformed }
        guard input <= limits.inputMax, output <= limits.outputMax else { throw .impossible }
        if let total = report.totalTokens, total != input &+ output { throw .inconsistent }
        self.init(input: input, output: output)
        try self.divideOutput(report)
        try self.divideInput(report, limits)
        guard limits.audioIsPriced || self.audio.isZero,
            limits.longWritesArePriced || self.cacheWriteLong == 0
        else { throw .unpriced }
    }

    /// A report of time: a transcription is billed by seconds or by tokens, never by both.
    private init(heard: Int64, longest: Int64, _ report: ReportedUsage) throws(UsageDistrust) {
        guard heard >= 0 else { throw .malformed }
        guard report.inputTokens == nil, report.outputTokens == nil else { throw .inconsistent }
        guard heard <= longest else { throw .impossible }
        self.init(input: 0, output: 0)
        self.inputMilliseconds = heard
    }

    private mutating func divideOutput(_ report: ReportedUsage) throws(UsageDistrust) {
        self.reasoning = report.reasoningTokens ?? 0
        self.audio.output = report.outputAudioTokens ?? 0
        self.image.output = report.outputImageTokens ?? 0
        try Self.take(self.reasoning, from: &self.output)
        try Self.take(self.audio.output, from: &self.output)
        try Self.take(self.image.output, from: &self.output)
        // Whether reasoning counts as text differs by endpoint; more text than there is, is none of the answers.
        if let text = report.outputTextTokens, text > self.output + self.reasoning { throw .inconsistent }
    }

    private mutating func divideInput(
        _ report: ReportedUsage, _ limits: UsageLimits
    ) throws(UsageDistrust) {
        self.audio.input = report.inputAudioTokens ?? 0
        self.image.input = report.inputImageTokens ?? 0
        try Self.take(self.audio.input, from: &self.input)
        try Self.take(self.image.input, from: &self.input)
        if let text = report.inputTextTokens, text > self.input { throw .inconsistent }
        try self.divideCached(report)
        try self.divideWritten(report, limits)
    }

    private mutating func divideCached(_ report: ReportedUsage) throws(UsageDistrust) {
        var cached = report.cachedTokens ?? 0
        self.audio.cachedInput = report.cachedAudioTokens ?? 0
        self.image.cachedInput = report.cachedImageTokens ?? 0
        try Self.take(self.audio.cachedInput, from: &cached)
        try Self.take(self.image.cachedInput, from: &cached)
        try Self.take(self.audio.cachedInput, from: &self.audio.input)
        try Self.take(self.image.cachedInput, from: &self.image.input)
        // The kind of the others is not told. A prompt begins with text, and its beginning is what a cache knows; what
        // text cannot be is an image or audio.
        self.cachedInput = min(cached, self.input)
        self.input -= self.cachedInput
        let images = min(cached - self.cachedInput, self.image.input)
        self.image.cachedInput += images
        self.image.input -= images
        let sounds = cached - self.cachedInput - images
        self.audio.cachedInput += sounds
        try Self.take(sounds, from: &self.audio.input)
    }

    private mutating func divideWritten(
        _ report: ReportedUsage, _ limits: UsageLimits
    ) throws(UsageDistrust) {
        let parts = (report.cacheWrite30MinuteTokens, report.cacheWrite12HourTokens)
        if parts == (nil, nil) {
            let written = report.cacheWriteTokens ?? 0
            self.cacheWrite = limits.writesForTwelveHours ? 0 : written
            self.cacheWriteLong = limits.writesForTwelveHours ? written : 0
        } else {
            (self.cacheWrite, self.cacheWriteLong) = (parts.0 ?? 0, parts.1 ?? 0)
            let (sum, overflow) = self.cacheWrite.addingReportingOverflow(self.cacheWriteLong)
            guard !overflow, report.cacheWriteTokens ?? sum == sum else { throw .inconsistent }
        }
        // Written media would have to be priced as text; no model writes them yet.
        try Self.take(self.cacheWrite, from: &self.input)
        try Self.take(self.cacheWriteLong, from: &self.input)
    }

    private static func take(_ part: Int64, from whole: inout Int64) throws(UsageDistrust) {
        guard part <= whole else { throw .inconsistent }
        whole -= part
    }
}

extension ReportedUsage {
    /// The sign bits of all counts together: no list is made for each report.
    fileprivate var hasNoNegative: Bool {
        var signs = (self.inputTokens ?? 0) | (self.outputTokens ?? 0) | (self.totalTokens ?? 0)
        signs |= (self.cachedTokens ?? 0) | (self.cachedAudioTokens ?? 0) | (self.cachedImageTokens ?? 0)
        signs |= (self.cacheWriteTokens ?? 0) | (self.cacheWrite30MinuteTokens ?? 0)
        signs |= (self.cacheWrite12HourTokens ?? 0) | (self.inputAudioTokens ?? 0)
        signs |= (self.inputImageTokens ?? 0) | (self.inputTextTokens ?? 0) | (self.reasoningTokens ?? 0)
        signs |= (self.outputAudioTokens ?? 0) | (self.outputImageTokens ?? 0)
        signs |= (self.outputTextTokens ?? 0) | (self.milliseconds ?? 0)
        return signs >= 0
    }
}
