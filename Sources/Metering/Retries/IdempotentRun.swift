/// An exchange's side of its `Idempotency-Key`: from the claim, through the copy of its reply, to what becomes of the
/// key. Times are milliseconds of one clock.
///
/// A late answer is an action: the client can leave while the ledger is asked.
public struct IdempotentRun: Sendable {
    public enum State: Sendable, Hashable {
        /// The ledger is asked. Can become any other.
        case claiming
        /// Nobody waits for its answer any more. Can become `over`.
        case abandoned
        /// The key is ours. Can become `over`.
        case running(renewsAt: Int64)
        case over
    }

    public enum Refusal: Sendable, Hashable {
        case inProgress, otherRequest, notKept, unavailable
    }

    public private(set) var state: State = .claiming
    /// Of the reply so far; nil: no copy is made any more.
    private var copied: Int? = 0
    private let replyBytesMax: Int
    private let renewsEvery: Int64

    /// - Parameters:
    ///   - replyBytesMax: of the body; a larger one is not kept.
    ///   - renewsEvery: milliseconds; well below the lease.
    public init(replyBytesMax: Int, renewsEvery: Int64) {
        self.replyBytesMax = replyBytesMax
        self.renewsEvery = renewsEvery
    }

    // MARK: Claim

    public enum ClaimedAction: Sendable, Equatable {
        /// Go on with the exchange.
        case run
        /// Nothing runs and nothing is charged: the reply is there.
        case replay(KeptReply)
        case refuse(Refusal)
        /// The same, and the claim may have been noted: it is to be freed.
        case refuseAndFree(Refusal)
        /// Nobody waits: the claim is to be freed.
        case free
        case ignore
    }

    public mutating func answered(
        _ answer: Result<ClaimAnswer, ClaimFailure>, now: Int64
    ) -> ClaimedAction {
        switch self.state {
        case .claiming: return self.answeredInTime(answer, now: now)
        case .abandoned:
            self.state = .over
            return answer == .success(.claimed) || answer == .failure(.unknown) ? .free : .ignore
        case .running, .over: return .ignore
        }
    }

    private mutating func answeredInTime(
        _ answer: Result<ClaimAnswer, ClaimFailure>, now: Int64
    ) -> ClaimedAction {
        self.state = .over
        switch answer {
        case .success(.claimed):
            self.state = .running(renewsAt: now + self.renewsEvery)
            return .run
        case .success(.running): return .refuse(.inProgress)
        case .success(.otherRequest): return .refuse(.otherRequest)
        case .success(.finished(let reply)): return .replay(reply)
        case .success(.notKept): return .refuse(.notKept)
        case .failure(.notClaimed): return .refuse(.unavailable)
        case .failure(.unknown): return .refuseAndFree(.unavailable)
        }
    }

    // MARK: While it runs

    /// The key is ours: what upstream does for it is wanted even when the client leaves.
    public var isRunning: Bool {
        if case .running = self.state { return true }
        return false
    }

    /// Whether the lease is to be renewed now.
    public mutating func mustRenew(now: Int64) -> Bool {
        guard case .running(let renewsAt) = self.state, now >= renewsAt else { return false }
        self.state = .running(renewsAt: now + self.renewsEvery)
        return true
    }

    public enum CopyAction: Sendable, Hashable {
        case copy
        /// The reply is too large: what was copied is worth nothing.
        case drop
        /// No copy is made.
        case ignore
    }

    /// Bytes of the body go to the client.
    public mutating func passed(bytes: Int) -> CopyAction {
        guard self.isRunning, let copied = self.copied else { return .ignore }
        guard bytes <= self.replyBytesMax - copied else {
            self.copied = nil
            return .drop
        }
        self.copied = copied + bytes
        return .copy
    }

    /// There is no memory for the copy.
    public mutating func hasNoRoom() { self.copied = nil }

    // MARK: End

    public enum EndAction: Sendable, Hashable {
        case keep
        case withoutReply
        case free
        case nothing
    }

    /// The exchange is over. The first end counts.
    ///
    /// - Parameter isWhole: its reply was a success and came to its end.
    public mutating func ended(isWhole: Bool) -> EndAction {
        switch self.state {
        case .claiming:
            self.state = .abandoned
            return .nothing
        case .running:
            self.state = .over
            return isWhole ? (self.copied == nil ? .withoutReply : .keep) : .free
        case .abandoned, .over: return .nothing
        }
    }
}
