/// The end of the allowance: what is not paid for waits.
extension SSEUsageTap {
    /// Something is withheld: more may go on only when `visibleTokensMax` was raised.
    public var isExhausted: Bool { !self.withheld.isEmpty }

    /// Tokens that have to be allowed for what came so far to go on.
    public var neededTokens: Int64 {
        let output = (self.passedWithheld.value ?? self.passed).output
        // Of a document that has not ended only the bytes are known.
        return self.documentIsOpen ? output.tokens + output.guess(self.documentText) : output.tokens
    }

    /// Bytes of output in the document that is open.
    var documentText: Int {
        self.shape == .completions ? self.document.visibleBytes : self.document.deltaBytes
    }

    /// Mutating, so that most lines are answered where the tap stands: whoever only looks at it looks at a copy of a
    /// kilobyte and a half.
    mutating func isBeyondMax() -> Bool {
        guard let most = self.visibleTokensMax else { return false }
        return self.neededTokens > most
    }

    mutating func withhold(_ bytes: Slice<UnsafeRawBufferPointer>, endsLine: Bool) {
        self.withheld = self.carry + bytes
        self.withheldEndsLine = endsLine
        self.carry = []
        guard let before = self.passedBefore.take() else { return }
        self.passedWithheld = .some(self.passed)
        self.passed = before
    }

    /// Returns false when what is withheld must stay.
    mutating func releaseWithheld(into released: inout Released) -> Bool {
        guard self.isExhausted else { return true }
        guard !self.isBeyondMax() else { return false }
        if let passed = self.passedWithheld.take() { self.passed = passed }
        released.carried = self.withheld
        self.withheld = []
        self.isInsideReleasedLine = !self.withheldEndsLine
        return true
    }
}
