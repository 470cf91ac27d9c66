import Metering
import NIOCore

/// One hold in a session's table: the exchange's side of the truth, from before PLACE is sent until its end
/// is acknowledged.
// SAFETY: confined to the loop of its session; Sendable only so that callbacks which return to that loop may
// hold it.
final class LiveHold: @unchecked Sendable {
    let request: PlaceRequest
    var track: HoldTrack
    /// Taken when it is called, so it is called once.
    var completion: ((PlaceAnswer) -> Void)?
    /// When `placing` ends without a grant.
    var deadline: NIODeadline
    /// The refusal that stands unless the ledger knows better.
    var pendingRefusal: PlaceAnswer?
    /// PLACE needs the ledger, so the longer deadline holds.
    var isWithLedger = false
    var coldRounds = 0
    /// NOSCRIPT answers to this PLACE.
    var reloads = 0
    /// Next TOUCH while held; next repeat of CAPTURE or RELEASE.
    var due: NIODeadline
    /// CAPTURE or RELEASE is unanswered on this connection.
    var endIsOut = false
    /// TOUCH is unanswered on this connection.
    var touchIsOut = false
    /// Present state has to be sent with a raised fence (K3), and has not been acknowledged.
    var mustRaise = false
    var failures = 0
    var settlement: Settlement?

    init(
        request: PlaceRequest, track: HoldTrack = HoldTrack(), deadline: NIODeadline,
        completion: ((PlaceAnswer) -> Void)?
    ) {
        self.request = request
        self.track = track
        self.deadline = deadline
        self.due = .distantFuture
        self.completion = completion
    }

    /// Says that the exchange never went upstream: corrects whatever a reaper may have charged (K4).
    func voidSettlement(owner: BootID) -> Settlement {
        // `card@version/model`: the model is all that follows the first slash.
        let slash = self.request.priceID.firstIndex(of: "/")
        let model = slash.map { self.request.priceID[self.request.priceID.index(after: $0)...] }
        return Settlement(
            account: self.request.account, hold: self.request.hold, owner: owner, kind: .void,
            authority: .owner, endpoint: self.request.endpoint,
            modelRequested: model.map(String.init) ?? self.request.priceID, priceID: self.request.priceID,
            usage: .zero, charge: .zero,
            occurredAtMilliseconds: Int64(self.request.hold.millisecondsSinceEpoch))
    }
}

/// One cold load of one account, shared by all that wait for it.
// SAFETY: as LiveHold.
final class ColdLoad: @unchecked Sendable {
    let account: AccountID
    var waiters: [LiveHold] = []
    var rounds = 0
    var incarnation = ""

    init(account: AccountID) { self.account = account }
}

/// What a reply belongs to.
enum SessionSlot {
    case place(LiveHold)
    case capture(LiveHold)
    case release(LiveHold)
    case reassert(LiveHold)
    case touch(LiveHold)
    case epochKey
    case load(ColdLoad)
    case initialize(ColdLoad)
    /// The reply says nothing that matters.
    case ignored
}
