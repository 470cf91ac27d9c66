import Metering

/// What the reply's report is taken for.
extension AdmissionPlan {
    /// The usage that a report is charged as, or why it is not believed.
    ///
    /// Seconds and characters were known before anything was sent, and the hold was made of them. So a report of them is
    /// only compared, never charged: neither a header that declares another length than the file has nor a server that
    /// believes it changes the charge, and no charge is above its hold.
    func usage(of report: ReportedUsage, _ tools: ToolCalls) throws(UsageDistrust) -> Usage {
        if self.endpoint == .speech, let spoken = self.silentUsage { return spoken }
        if self.isPricedByTime, report.milliseconds == nil {
            // Tokens, of which this model has no price: they would be free.
            throw report.inputTokens == nil ? .malformed : .unpriced
        }
        var usage = try Usage(report, within: self.usageLimits)
        if self.isPricedByTime { usage.inputMilliseconds = self.inputUsage.inputMilliseconds }
        usage.tools = tools
        return usage
    }

    private var isPricedByTime: Bool {
        self.price.units.price.millisecond != nil && self.inputUsage.inputMilliseconds > 0
    }

    /// Within these a usage report is believed (MONEY_PATH C14): what the model can read and write, however short the
    /// body was.
    var usageLimits: UsageLimits {
        let reads = self.bounds.turns + self.bounds.inputs - 1
        let output = Self.product(self.bounds.choices, self.price.outputMax(self.bounds))
        let (all, overflow) = output.addingReportingOverflow(self.bounds.extraOutputTokens)
        var limits = UsageLimits(
            inputMax: Self.product(self.price.context, reads), outputMax: overflow ? .max : all)
        limits.outputIsOptional = self.endpoint == .embeddings
        if self.isPricedByTime {
            // Beyond that the report is of something else than what was sent.
            let measured = self.inputUsage.inputMilliseconds
            limits.millisecondsMax = max(2 * measured, measured + 60_000)
        }
        limits.writesForTwelveHours = self.writesForTwelveHours
        limits.audioIsPriced = self.price.prices(.audio)
        limits.longWritesArePriced = self.price.prices(.longWrites)
        return limits
    }

    /// What a reply without usage consumed, where that is known: characters that were sent, seconds that were measured;
    /// or where it costs nothing.
    var silentUsage: Usage? {
        var usage = Usage(input: 0, output: 0)
        switch self.endpoint {
        case .moderations:
            return self.inputUsage
        case .transcriptions, .translations:
            guard self.price.units.price.millisecond != nil else { return nil }
            usage.inputMilliseconds = self.inputUsage.inputMilliseconds
        case .speech:
            guard self.price.units.price.character != nil else { return nil }
            usage.characters = self.inputUsage.characters
        case .chat, .responses, .completions, .embeddings, .images:
            return nil
        }
        return usage
    }
}
