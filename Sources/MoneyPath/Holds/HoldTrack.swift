import Metering

/// What a session knows of one hold, and what is to be done about it (rules K2–K4). A value; no time, no I/O.
public struct HoldTrack: Sendable, Equatable {
    public enum Phase: Sendable, Hashable {
        /// Somebody waits for the answer. Can become `held`, `abandoned`, `givingBack`, `over`.
        case placing
        /// Answered without a grant, but PLACE is still under way. Can become `givingBack`, `over`.
        case abandoned
        /// Set aside. Can become `captured`, `givingBack`.
        case held
        /// The outcome is recorded; the store has not acknowledged CAPTURE. Can become `over`.
        case captured
        /// The store has not acknowledged RELEASE. Can become `over`.
        case givingBack
        /// Nothing is left to do.
        case over
    }

    public private(set) var phase: Phase = .placing
    public private(set) var amount: Millicredits = .zero
    /// PLACE was sent and neither answered nor known not to have been executed.
    public private(set) var placeIsOut = false
    /// REASSERTs sent and not acknowledged.
    public private(set) var reassertsOut = 0
    /// Nobody has recorded an outcome, so if the hold is gone a reaper may have: then a VOID must correct it
    /// (K4).
    public private(set) var oweVoid = false
    /// POSTED may have come between a REASSERT and its CAPTURE: u: would stay for ever (K6).
    public private(set) var mustVerifyCapture = false

    public init() {}

    public static func adopted(_ amount: Millicredits) -> HoldTrack {
        var track = HoldTrack()
        (track.phase, track.amount) = (.captured, amount)
        return track
    }

    public mutating func placeSent() {
        precondition(self.phase == .placing && !self.placeIsOut, "the session sends one PLACE at a time")
        self.placeIsOut = true
    }

    public enum GrantAction: Sendable, Hashable { case answer, giveBack, ignore }

    public mutating func granted(_ amount: Millicredits) -> GrantAction {
        self.placeIsOut = false
        switch self.phase {
        case .placing:
            self.amount = amount
            self.phase = .held
            return .answer
        case .abandoned:
            self.amount = amount
            self.phase = .givingBack
            self.oweVoid = true
            return .giveBack
        case .held, .captured, .givingBack, .over:
            return .ignore
        }
    }

    public enum RefusalAction: Sendable, Hashable {
        /// Somebody waits; the session may still try again, or answer and call `ended`.
        case decide
        case forget
        case ignore
    }

    /// PLACE is known not to hold anything: refused, cold, or not executed.
    public mutating func notGranted() -> RefusalAction {
        self.placeIsOut = false
        switch self.phase {
        case .placing: return .decide
        case .abandoned:
            self.phase = .over
            return .forget
        case .held, .captured, .givingBack, .over: return .ignore
        }
    }

    public enum GiveUpAction: Sendable, Hashable {
        /// Answer; a late grant is given back when it comes.
        case answerAndWait
        case answerAndForget
        case ignore
    }

    /// Nobody waits for PLACE any longer: its deadline passed.
    public mutating func gaveUp() -> GiveUpAction {
        guard self.phase == .placing else { return .ignore }
        self.phase = self.placeIsOut ? .abandoned : .over
        return self.placeIsOut ? .answerAndWait : .answerAndForget
    }

    /// PLACE got an answer that says nothing about what was done: take it back.
    public mutating func becameUnknown() -> Bool {
        guard self.phase == .placing || self.phase == .abandoned else { return false }
        let waited = self.phase == .placing
        self.placeIsOut = false
        self.phase = .givingBack
        self.oweVoid = true
        return waited
    }

    /// true: send CAPTURE. false: the hold ended before; the first end stands.
    public mutating func capture() -> Bool {
        guard self.phase == .held else { return false }
        self.phase = .captured
        self.mustVerifyCapture = self.mustVerifyCapture || self.reassertsOut > 0
        return true
    }

    public enum ReleaseAction: Sendable, Hashable { case send, waitForGrant, forget, ignore }

    /// The exchange was free.
    ///
    /// - Parameter isRecorded: its owner recorded that. If not, and a reaper took the hold over while we were paused, what
    ///   it charged must be corrected (K4).
    public mutating func release(isRecorded: Bool) -> ReleaseAction {
        switch self.phase {
        case .held:
            self.phase = .givingBack
            self.oweVoid = !isRecorded
            return .send
        case .placing:
            self.phase = self.placeIsOut ? .abandoned : .over
            return self.placeIsOut ? .waitForGrant : .forget
        case .abandoned, .captured, .givingBack, .over:
            return .ignore
        }
    }

    /// The store said how much is set aside: an EXTEND raised it, heard of or not. Never less: what was granted is used.
    public mutating func raised(to amount: Millicredits) {
        guard self.phase == .held else { return }
        self.amount = max(self.amount, amount)
    }

    public mutating func reassertSent() { self.reassertsOut += 1 }

    public mutating func reassertAnswered() { self.reassertsOut = max(0, self.reassertsOut - 1) }

    /// CAPTURE is sent again with force: it may come after POSTED, and write what nobody drops.
    public mutating func forced() { self.mustVerifyCapture = true }

    public enum CapturedAction: Sendable, Hashable { case forget, verifyThenForget, ignore }

    /// - Parameter wrote: u: is there now.
    public mutating func captureAnswered(wrote: Bool) -> CapturedAction {
        guard self.phase == .captured else { return .ignore }
        self.phase = .over
        return wrote && self.mustVerifyCapture ? .verifyThenForget : .forget
    }

    public enum ReleasedAction: Sendable, Hashable { case forget, recordVoid, ignore }

    /// - Parameter gone: nothing was there, or a reaper has it: somebody else may have settled this hold.
    public mutating func releaseAnswered(gone: Bool) -> ReleasedAction {
        guard self.phase == .givingBack else { return .ignore }
        self.phase = .over
        return gone && self.oweVoid ? .recordVoid : .forget
    }

    public enum LostAction: Sendable, Hashable {
        /// Whether or not somebody waits, a RELEASE with a raised fence will follow.
        case answerAndRelease
        case answerAndForget
        /// Present state goes out again on the next connection, with a raised fence.
        case keep
        case forget
    }

    /// The connection died (K3).
    public mutating func connectionLost() -> LostAction {
        switch self.phase {
        case .placing where self.placeIsOut:
            _ = self.becameUnknown()
            return .answerAndRelease
        case .placing:
            self.phase = .over
            return .answerAndForget
        case .abandoned:
            _ = self.becameUnknown()
            return .keep
        case .held, .captured, .givingBack:
            // An old REASSERT may still be executed between now and the command that fences it.
            self.mustVerifyCapture = self.mustVerifyCapture || self.reassertsOut > 0
            self.reassertsOut = 0
            return .keep
        case .over:
            return .forget
        }
    }

    /// Ends a PLACE that was answered and holds nothing.
    public mutating func ended() { self.phase = .over }
}
