/// How much is set aside for a request.
public enum HoldPolicy: String, Sendable, Hashable, CaseIterable {
    /// The worst case at once.
    case full
    /// The input and the first tokens; more while a stream goes on. Only for streams that show every token they bill.
    case rolling
}

/// A hold that grows with its stream: decides when more is to be set aside, and when the money has ended. Pure.
///
/// More is asked for while at least half a step of what was granted is still unused, so that a stream waits for the
/// hold store only when that is slower than the model. What is not granted is not sent: the stream stops before its
/// hold is used up (MONEY_PATH A11). What is final is said only then: while the granted part lasts, the store may answer
/// again, caps may move on, and credits may come.
public struct RollingHold: Sendable {
    /// Why a stream cannot go on.
    public enum Refusal: Sendable, Hashable {
        case short(available: Millicredits)
        case capReached(SpendCap, limit: Millicredits, resetsAtMilliseconds: Int64)
        case blocked
        /// A reaper has the hold.
        case takenOver
        /// The hold store did not answer, several times in a row, while the stream stood still.
        case unavailable
    }

    /// What a request is held for, as `AdmissionPlan` has it.
    public struct Terms: Sendable {
        public var price: ModelPrice
        public var bounds: RequestBounds
        public var mode: RoundingMode
        /// Output tokens per choice that are set aside at a time.
        public var step: Int64
        /// Output tokens per choice that the request can have at most.
        public var outputMax: Int64
        /// Input tokens that will be charged, where they are known: the last credits then pay for output instead of for
        /// what the input might have been. nil: only its bound is.
        public var knownInput: Int64?

        public init(
            price: ModelPrice, bounds: RequestBounds, mode: RoundingMode, step: Int64, outputMax: Int64,
            knownInput: Int64? = nil
        ) {
            precondition(step > 0, "configuration refuses an empty step")
            self.price = price
            self.bounds = bounds
            self.mode = mode
            self.step = step
            self.outputMax = outputMax
            self.knownInput = knownInput
        }
    }

    /// So many answers in a row that grant nothing are enough.
    private static let fruitlessMax = 3

    /// What is set aside.
    public private(set) var granted: Millicredits
    /// Output tokens, over all choices, that it pays for.
    public private(set) var allowance: Int64 = 0
    /// An EXTEND is on its way; `answered` comes next.
    public private(set) var isAsking = false
    /// No more will be granted; what was granted may be used.
    public private(set) var refusal: Refusal?

    private let terms: Terms
    /// Short answers in a row; and unknown ones, while the stream stands still.
    private var fruitless = 0
    private var unknown = 0
    /// After an unknown answer nobody is asked before so much has passed.
    private var quietUntil: Int64 = 0
    /// The total that the EXTEND on its way is for.
    private var asked = Millicredits.zero
    /// What is granted is all that there was: asked again only when it is used up, since something may have come.
    private var tookTheRest: Bool
    private var output: Int64 = 0
    /// The allowance at which the stream stood still: what comes next does not fit into what is left of it.
    private var exhaustedAt: Int64?

    /// - Parameters:
    ///   - granted: by PLACE.
    ///   - wanted: what PLACE asked for.
    public init(_ terms: Terms, granted: Millicredits, wanted: Millicredits) {
        self.terms = terms
        self.granted = granted
        self.tookTheRest = granted < wanted
        self.measure()
    }

    /// Whether nothing more needs to be set aside, whatever comes.
    public var coversAll: Bool { self.allowance >= self.most }

    /// `output` tokens passed so far. Returns the total to EXTEND the hold to; then `answered` comes.
    ///
    /// - Parameters:
    ///   - isExhausted: the stream stands still: a frame may have several tokens, and they do not fit any more.
    ///   - needed: what has to be allowed for it to go on, if that is known.
    public mutating func passed(
        _ output: Int64, isExhausted: Bool = false, needed: Int64 = 0
    ) -> Millicredits? {
        self.output = max(self.output, output)
        self.exhaustedAt = isExhausted ? self.allowance : nil
        if !isExhausted { self.unknown = 0 }
        let reserve = self.tookTheRest ? 0 : self.terms.step * self.terms.bounds.choices / 2
        guard !self.isAsking, self.refusal == nil, !self.coversAll,
            isExhausted || (self.allowance - self.output <= reserve && self.output >= self.quietUntil)
        else { return nil }
        return self.ask(for: self.target(needed))
    }

    /// Returns the total to EXTEND to instead: the rest that there is.
    public mutating func answered(_ answer: ExtendAnswer) -> Millicredits? {
        self.isAsking = false
        switch answer {
        case .granted(let total):
            (self.fruitless, self.unknown, self.quietUntil) = (0, 0, 0)
            self.granted = max(self.granted, total)
            self.measure()
        case .short(let available):
            return self.wasShort(available)
        case .capReached(let cap, let limit, let resetsAt):
            return self.wasCapped(cap, limit, resetsAt)
        case .blocked:
            self.refusal = .blocked
        case .takenOver:
            self.refusal = .takenOver
        case .unknown:
            self.wasUnknown()
        }
        return nil
    }

    private var most: Int64 { self.terms.outputMax * self.terms.bounds.choices }

    /// The granted part is used up, or what comes next does not fit into it.
    private var isUsedUp: Bool { self.output >= self.allowance || self.exhaustedAt == self.allowance }

    /// One step more than what passed, what is granted, and what is needed.
    private func target(_ needed: Int64) -> Millicredits? {
        let choices = self.terms.bounds.choices
        let shown = max(self.allowance, self.output, min(needed, self.most))
        let perChoice = shown / choices + self.terms.step
        return try? self.terms.price.worstCase(
            self.terms.bounds, outputCap: min(perChoice, self.terms.outputMax), mode: self.terms.mode)
    }

    private mutating func ask(for total: Millicredits?) -> Millicredits? {
        guard let total, total > self.granted else {
            // Priced in full at admission, so this is a card that cannot be: what was granted is all there is.
            self.refusal = .short(available: .zero)
            return nil
        }
        self.isAsking = true
        self.asked = total
        return total
    }

    /// Asked again when half of what is left has passed, and at once where nothing is left.
    private mutating func wasUnknown() {
        guard self.isUsedUp else {
            self.quietUntil = self.output + (self.allowance - self.output + 1) / 2
            return
        }
        self.unknown += 1
        if self.unknown >= Self.fruitlessMax { self.refusal = .unavailable }
    }

    /// A whole step is above a cap; a part of it may not be. Of a cap per request the limit tells how large a part; the
    /// others count what other requests hold, so the half is tried, and its half, down to one token.
    private mutating func wasCapped(
        _ cap: SpendCap, _ limit: Millicredits, _ resetsAt: Int64
    ) -> Millicredits? {
        self.takeTheRest()
        let half = Millicredits(self.granted.value + (self.asked.value - self.granted.value) / 2)
        let part = cap == .request && limit < self.asked ? limit : max(half, self.oneMore ?? half)
        if part > self.granted, part < self.asked, self.affordable(part) > self.allowance {
            return self.ask(for: part)
        }
        if self.isUsedUp {
            self.refusal = .capReached(cap, limit: limit, resetsAtMilliseconds: resetsAt)
        }
        return nil
    }

    /// What one more token of each choice costs altogether.
    private var oneMore: Millicredits? {
        try? self.terms.price.worstCase(
            self.bounds, outputCap: self.allowance / self.terms.bounds.choices + 1, mode: self.terms.mode)
    }

    private mutating func takeTheRest() {
        guard !self.tookTheRest else { return }
        self.tookTheRest = true
        self.measure()
    }

    private mutating func wasShort(_ available: Millicredits) -> Millicredits? {
        self.fruitless += 1
        self.takeTheRest()
        if available > .zero, self.fruitless < Self.fruitlessMax,
            let rest = Millicredits(exactly: self.granted.value + available.value)
        {
            return self.ask(for: rest)
        }
        if self.isUsedUp {
            self.refusal = .short(available: max(available, .zero))
        }
        return nil
    }

    private mutating func measure() { self.allowance = self.affordable(self.granted) }

    /// Output tokens, over all choices, that a hold of `total` pays for.
    private func affordable(_ total: Millicredits) -> Int64 {
        let perChoice =
            self.terms.price.affordableOutputCap(self.bounds, within: total, mode: self.terms.mode) ?? 0
        return min(perChoice, self.terms.outputMax) * self.terms.bounds.choices
    }

    private var bounds: RequestBounds {
        var bounds = self.terms.bounds
        if self.tookTheRest, let known = self.terms.knownInput {
            bounds.inputTokensMax = min(bounds.inputTokensMax, known)
        }
        return bounds
    }
}
