import Metering

/// One hold in a session's table: the exchange's side of the truth, from before PLACE is sent until its end is
/// acknowledged.
public struct LiveHold {
    public let request: PlaceRequest
    public internal(set) var track: HoldTrack
    /// Somebody waits for the answer; no more when it is given, so it is given once.
    var isAwaited: Bool
    /// When PLACE was sent first.
    var placedAt: Moment = .distantPast
    /// When `placing` ends without a grant.
    var deadline: Moment
    /// The refusal that stands unless the ledger knows better.
    var pendingRefusal: PlaceAnswer?
    /// PLACE needs the ledger, so the longer deadline holds.
    var isWithLedger = false
    var coldRounds = 0
    /// NOSCRIPT answers to this PLACE.
    var reloads = 0
    /// Next TOUCH while held; next repeat of CAPTURE or RELEASE.
    var due: Moment = .distantFuture
    /// CAPTURE or RELEASE is unanswered on this connection.
    var endIsOut = false
    /// TOUCH is unanswered on this connection.
    var touchIsOut = false
    /// Present state has to be sent with a raised fence (K3), and has not been acknowledged.
    public internal(set) var mustRaise = false
    public internal(set) var failures = 0
    /// REASSERT was sent and has not been acknowledged.
    var mustReassert = false
    /// Epoch of the node when it last said that it has this hold; nil: it never did.
    var knownUnder: String?
    /// A CAPTURE found no hold though the node was the one that had it, as far as was known.
    var wasMissed = false
    /// CAPTURE is sent with force: the store lost the hold.
    var isForced = false
    var settlement: KeptSettlement = .none
    /// Full epoch of the last PLACE: while it is this one, the store has the account's balance of now. nil: EXTEND was
    /// answered that there is none.
    var loadedUnder: String?
    /// A larger amount was asked for, and is not answered.
    var extending: HoldExtension?
    /// Charge of what was consumed so far; nil: nothing was said yet.
    var progress: Millicredits?

    init(request: PlaceRequest, track: HoldTrack = HoldTrack(), deadline: Moment, isAwaited: Bool) {
        self.request = request
        self.track = track
        self.deadline = deadline
        self.isAwaited = isAwaited
    }

    /// Something about it has waited long enough.
    func isDue(now: Moment) -> Bool {
        switch self.track.phase {
        case .placing: self.deadline <= now
        case .held: self.due <= now || self.extending.map { $0.isDue(now: now) } ?? false
        case .abandoned, .captured, .givingBack, .over: self.due <= now
        }
    }

    /// Says that the exchange never went upstream: corrects whatever a reaper may have charged (K4).
    func voidSettlement(owner: BootID) -> Settlement {
        .void(
            of: self.request.hold, account: self.request.account, owner: owner,
            endpoint: self.request.endpoint, priceID: self.request.priceID)
    }
}
