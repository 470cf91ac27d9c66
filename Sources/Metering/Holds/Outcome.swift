/// What is known about an exchange when it ends. Facts only; `Outcome.init(from:)` draws the conclusion.
public struct ExchangeEvidence: Sendable, Hashable {
    /// How much of the request the upstream socket accepted.
    public enum RequestWritten: Int, Sendable, Hashable, Comparable {
        case nothing, partly, fully
        public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// What upstream answered.
    public enum Response: Sendable, Hashable {
        case none
        /// A status of 400 or above; `complete` when its whole body arrived, as framed.
        case error(complete: Bool)
        case success(complete: Bool)
    }

    public enum UsageSeen: Sendable, Hashable {
        /// No usage object, or an explicit null.
        case absent
        case reported(Usage)
        case distrusted(UsageDistrust)
    }

    public var written: RequestWritten
    public var response: Response
    public var usage: UsageSeen
    /// Output that was seen, in tokens: see `VisibleOutput`.
    public var visibleOutput: Int64
    /// The stream carried a frame with an `error` object.
    public var streamError: Bool
    /// A stream stood still at the end of its hold: what came behind was not passed on, so that nobody agreed to pay more
    /// than the hold, whatever upstream reports.
    public var stoodStill = false
    /// The reply shows that a hosted tool was called: that is made, and billed, whatever became of the reply.
    public var sawToolCalls = false
    /// Calls of hosted tools that were seen.
    public var tools = ToolCalls()
    /// What was sent to be heard, or spoken: known before there is a reply, and charged when that tells nothing.
    public var inputMilliseconds: Int64 = 0
    public var characters: Int64 = 0

    public init(
        written: RequestWritten = .nothing, response: Response = .none, usage: UsageSeen = .absent,
        visibleOutput: Int64 = 0, streamError: Bool = false
    ) {
        self.written = written
        self.response = response
        self.usage = usage
        self.visibleOutput = visibleOutput
        self.streamError = streamError
    }
}

/// What made an exchange end. Only the first cause counts.
public enum EndCause: Sendable, Hashable {
    /// Upstream's message ended as its framing says.
    case upstreamEnded
    /// The upstream connection failed, or broke the protocol, before the message ended.
    case upstreamCut
    case upstreamTimeout
    /// The client went away and the policy was to cancel.
    case clientGone
    /// The hold could not be raised any more.
    case creditsEnded
}

/// The conclusion: free, or a usage to charge.
public enum Outcome: Sendable, Hashable {
    /// Proved free: the request was not fully written, or a complete error came before any output.
    case void
    /// `estimatedBecause` nil: the usage was reported, and is charged in full even above the hold. Otherwise at most the
    /// hold is: the usage is an estimate, or was reported of a stream that its hold did not pay to the end.
    case final(Usage, estimatedBecause: EstimateReason?)

    /// - Parameter inputEstimate: estimated input tokens of the request, for when no usage was reported.
    public init(_ cause: EndCause, _ evidence: ExchangeEvidence, inputEstimate: Int64) {
        if case .reported(let usage) = evidence.usage {
            self = .final(usage, estimatedBecause: evidence.stoodStill ? evidence.estimateReason(cause) : nil)
            return
        }
        if evidence.isProvedFree {
            self = .void
            return
        }
        var estimate = Usage(input: inputEstimate, output: evidence.visibleOutput)
        estimate.tools = evidence.tools
        estimate.inputMilliseconds = evidence.inputMilliseconds
        estimate.characters = evidence.characters
        self = .final(estimate, estimatedBecause: evidence.estimateReason(cause))
    }
}

extension ExchangeEvidence {
    /// Exactly the cases of DESIGN §4; everything else is charged, if only as an estimate.
    fileprivate var isProvedFree: Bool {
        guard self.written == .fully else { return self.response == .none || self.visibleOutput == 0 }
        switch self.response {
        case .error(complete: true): return self.visibleOutput == 0
        case .success(complete: true):
            return self.streamError && self.visibleOutput == 0 && !self.sawToolCalls
        case .none, .error, .success: return false
        }
    }

    fileprivate func estimateReason(_ cause: EndCause) -> EstimateReason {
        if case .distrusted(let why) = self.usage { return EstimateReason(why) }
        switch cause {
        case .clientGone: return .clientGone
        case .creditsEnded: return .creditsEnded
        case .upstreamCut: return .upstreamCut
        case .upstreamTimeout: return .upstreamTimeout
        case .upstreamEnded: return .usageMissing
        }
    }
}

extension ModelPrice {
    /// The charge of a captured hold under the price it was admitted with. An estimate never exceeds the
    /// hold; reported usage is charged in full.
    public func settledCharge(
        for usage: Usage, estimatedBecause reason: EstimateReason?, served: ServiceTier?,
        permitted: [ServiceTier],
        hold: Millicredits, mode: RoundingMode
    ) -> (charge: Charge, estimatedBecause: EstimateReason?) {
        do {
            var charge = try self.charge(for: usage, served: served, permitted: permitted, mode: mode)
            if reason != nil { charge.amount = min(charge.amount, hold) }
            return (charge, reason)
        } catch {
            // Believed usage is bounded by the model's limits, so only an absurd rate card comes here: the
            // hold is what the user agreed to, and the row says why.
            return (Charge(amount: hold, cost: .zero), reason ?? .usageImpossible)
        }
    }
}
