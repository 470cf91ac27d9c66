/// One exchange's claim to run under an `Idempotency-Key`.
public struct KeyClaim: Sendable {
    public var account: AccountID
    /// Of the exchange: tells this run from a later one under the same key.
    public var hold: HoldID
    /// Under each valid pepper, newest first. The claim stands under all of them, so that instances whose peppers are
    /// being changed one after the other still meet.
    public var secrets: [ClaimSecrets]

    public init(account: AccountID, hold: HoldID, secrets: [ClaimSecrets]) {
        precondition(!secrets.isEmpty, "KeyHasher has at least one pepper")
        self.account = account
        self.hold = hold
        self.secrets = secrets
    }
}

public enum ClaimAnswer: Sendable, Equatable {
    /// The key belongs to this exchange until its lease ends, which `renew` puts off.
    case claimed
    /// Another exchange runs under this key.
    case running
    /// The key was used with another request.
    case otherRequest
    /// An exchange came to its end under this key.
    case finished(KeptReply)
    /// The same, and was charged; its reply was too large to be kept, or cannot be read any more.
    case notKept
}

public enum ClaimFailure: Error, Sendable, Hashable, CaseIterable {
    /// The ledger was not asked, or refused.
    case notClaimed
    /// It was asked, and may have noted the claim.
    case unknown
}

/// What becomes of a key when its run has ended.
public enum RunEnd: Sendable, Equatable {
    /// Retries get this reply.
    case keep(KeptReply)
    /// Retries are told that there was one.
    case withoutReply
    /// A retry is a new exchange.
    case free
}

/// Runs under `Idempotency-Key`s and their replies, in the ledger. Replies come once, on any thread.
public protocol ReplyKeeping: Sendable {
    func claim(_ claim: KeyClaim, reply: @escaping @Sendable (Result<ClaimAnswer, ClaimFailure>) -> Void)

    /// Puts off the end of the lease. Nobody is told whether it worked: the next one may.
    func renew(_ claim: KeyClaim)

    /// Nothing happens when the run was taken over meanwhile. Harmless to repeat.
    ///
    /// - Parameter reply: whether it is done; if not, it may have been.
    func end(_ claim: KeyClaim, _ end: RunEnd, reply: @escaping @Sendable (Bool) -> Void)
}

/// Where there is no ledger: no request with a key runs.
public struct NoReplyKeeping: ReplyKeeping {
    public init() {}

    public func claim(
        _ claim: KeyClaim, reply: @escaping @Sendable (Result<ClaimAnswer, ClaimFailure>) -> Void
    ) { reply(.failure(.notClaimed)) }

    public func renew(_ claim: KeyClaim) {}

    public func end(_ claim: KeyClaim, _ end: RunEnd, reply: @escaping @Sendable (Bool) -> Void) {
        reply(true)
    }
}
