/// What the data plane needs of the hold store. One session per event loop; every call and every completion
/// is on that loop, so a session needs no lock and the exchange no hop (MONEY_PATH K1). Sendable so that the
/// maker can hand it to its loop; a session asserts where it is used.
public protocol HoldSession: AnyObject, Sendable {
    /// Places a hold, loading the account first when the store does not know it, and reading the balance
    /// again from the ledger before it answers `.short`. Answers within the session's deadline.
    func place(_ request: PlaceRequest, completion: @escaping (PlaceAnswer) -> Void)

    /// Raises an open hold to `total`, for an exchange that will need more than was set aside. One at a time for each
    /// hold. Answers within the session's deadline for the ledger; not at all when the hold ends first.
    ///
    /// - Parameter total: what is to be set aside altogether.
    func extend(_ hold: HoldID, to total: Millicredits, completion: @escaping (ExtendAnswer) -> Void)

    /// Moves a hold to captured: the amount is spent, the rest is available again. Never fails towards the
    /// caller: the session repeats it from the present state until the store has it or the ledger has posted
    /// it.
    func capture(_ settlement: Settlement)

    /// What the exchange has consumed so far: a reaper charges it if this process dies with its journal. Goes out with
    /// the next renewal of the lease. `.zero`: nothing was sent upstream yet.
    func progressed(_ hold: HoldID, charge: Millicredits)

    /// Gives the whole hold back: the exchange was free.
    ///
    /// - Parameter isRecorded: its VOID is with the settler. If not (nobody waited for the grant any more), the session
    ///   records one if a reaper had the hold meanwhile.
    func release(_ hold: HoldID, of account: AccountID, isRecorded: Bool)
}

/// Everything that PLACE carries.
public struct PlaceRequest: Sendable, Hashable {
    public var account: AccountID
    public var hold: HoldID
    /// Granted when it fits.
    public var want: Millicredits
    /// The smallest grant that is of use; equal to `want` when the client set its own output cap.
    public var least: Millicredits
    /// Charge of the input alone: what a reaper settles when nothing else is known.
    public var inputEstimate: Millicredits
    public var priceID: String
    public var endpoint: Endpoint
    public var caps: SpendCaps
    public var limits: PlaceLimits
    /// It will not be charged: granted whatever the balance, and none of the balance is set aside. Caps and limits hold as
    /// for any other, and its amount counts against them.
    public var isWaived: Bool

    public init(
        account: AccountID, hold: HoldID, want: Millicredits, least: Millicredits,
        inputEstimate: Millicredits,
        priceID: String, endpoint: Endpoint, caps: SpendCaps = .none, limits: PlaceLimits = .none,
        isWaived: Bool = false
    ) {
        precondition(least <= want, "the exchange computes least from the same bounds as want")
        precondition(
            !isWaived || inputEstimate == .zero, "the exchange leaves nothing that a reaper could charge")
        self.account = account
        self.hold = hold
        self.want = want
        self.least = least
        self.inputEstimate = inputEstimate
        self.priceID = priceID
        self.endpoint = endpoint
        self.caps = caps
        self.limits = limits
        self.isWaived = isWaived
    }
}

/// Spend caps in force for one exchange; nil = no cap (CONTRACT §3, `BILLING_*_CAP`).
public struct SpendCaps: Sendable, Hashable {
    public var request: Millicredits?
    /// Per rolling 60 minutes.
    public var session: Millicredits?
    /// Per UTC day.
    public var day: Millicredits?

    public static let none = SpendCaps()

    public init(request: Millicredits? = nil, session: Millicredits? = nil, day: Millicredits? = nil) {
        self.request = request
        self.session = session
        self.day = day
    }
}

public enum SpendCap: String, Sendable, Hashable, CaseIterable { case request, session, day }

/// The answer to PLACE.
public enum PlaceAnswer: Sendable, Equatable {
    /// `amount` is set aside; `balance` is posted − captured at that moment, this hold not subtracted.
    case granted(amount: Millicredits, balance: Millicredits, notes: GrantNotes = .none)
    /// Not enough, and the ledger confirmed it.
    case short(available: Millicredits)
    case capReached(SpendCap, limit: Millicredits, resetsAtMilliseconds: Int64)
    /// Too many requests, tokens or streams for now; nothing was counted.
    case limited(LimitRefusal)
    /// The account is blocked in the ledger (dispute, review).
    case blocked
    /// Fail closed: nothing is known to be held for the caller.
    case unavailable(HoldsUnavailable)
}

/// The answer to EXTEND. Whatever it is, the hold stays, and its exchange may use what was granted before.
public enum ExtendAnswer: Sendable, Hashable {
    /// So much is set aside now: the total that was asked for, or more.
    case granted(total: Millicredits)
    /// Not enough, and the ledger confirmed it.
    case short(available: Millicredits)
    case capReached(SpendCap, limit: Millicredits, resetsAtMilliseconds: Int64)
    /// The account is blocked in the ledger.
    case blocked
    /// A reaper has the hold: this process was paused for too long. Its outcome still counts.
    case takenOver
    /// It may have been raised, and must not be used: the end of the hold frees whatever there is. May be asked again.
    case unknown
}

/// Why no answer could be had. Bounded: used as a metric label.
public enum HoldsUnavailable: String, Sendable, Hashable, CaseIterable {
    case deadline = "deadline"
    case disconnected = "disconnected"
    case breakerOpen = "breaker_open"
    case ledgerUnreachable = "ledger_unreachable"
    case storeRefused = "store_refused"
    /// The store may have lost data, and not every instance has put its holds back yet (rule E2): seconds at most.
    case recovering = "recovering"
}

/// What the settler tells the hold store after a commit (rule R7). May be called from any thread.
public protocol HoldPosting: Sendable {
    /// Drops the holds and captures of a committed batch and hands over the new balance. Returns when the
    /// store acknowledged, throws when it is not known to have done so (the caller repeats: it is harmless).
    /// `PostingRefused`: all but these accounts were acknowledged.
    func posted(_ postings: [PostedAccount]) async throws

    /// Floor or block of an account changed in the ledger (rule G2). Throws as `posted` does.
    func gateChanged(_ gates: [AccountGate]) async throws
}

/// The store answered, and refused some accounts; it acknowledged the others.
public struct PostingRefused: Error, Sendable, Hashable {
    public var accounts: Set<AccountID>
    /// The code word of the last refusal; safe for logs.
    public var code: String

    public init(accounts: Set<AccountID>, code: String) {
        self.accounts = accounts
        self.code = code
    }
}

/// The new balance of one account and the holds that ended in it.
public struct PostedAccount: Sendable, Hashable {
    public var balance: LedgerBalance
    public var settled: [SettledHold]

    public init(balance: LedgerBalance, settled: [SettledHold]) {
        self.balance = balance
        self.settled = settled
    }
}

/// How a hold ended in the ledger.
public struct SettledHold: Sendable, Hashable {
    public var hold: HoldID
    /// What was posted.
    public var amount: Millicredits
    /// What caps count of it.
    public var counted: Millicredits
    /// Of the outcome: one of lower authority leaves its owner's capture where it is.
    public var authority: Settlement.Authority

    /// - Parameter counted: nil: the amount.
    public init(
        hold: HoldID, amount: Millicredits, counted: Millicredits? = nil,
        authority: Settlement.Authority = .owner
    ) {
        self.hold = hold
        self.amount = amount
        self.counted = counted ?? amount
        self.authority = authority
    }

    public init(_ settlement: Settlement) {
        self.init(
            hold: settlement.hold, amount: settlement.charge.amount, counted: settlement.counted,
            authority: settlement.authority)
    }
}
