import Logging
import Metering
import MoneyPath
import NIOCore

/// Hands committed balances to Redis over a connection of its own (rules R7, G2), and performs what the epoch gate
/// asks for (E2): on this connection a capture that is written again always comes before its POSTED.
// SAFETY: mutable state is confined to `loop`; async callers hop onto it.
public final class RedisHoldPoster: HoldPosting, RedisLinkOwner, @unchecked Sendable {
    enum Slot {
        case news(News, PendingPost, wasSentAgain: Bool)
        case recapture(Recapture.Slot)
        case members(epoch: String)
        case node
        case epochKey
        case ignored
    }

    enum News {
        case balance(LedgerBalance, ArraySlice<SettledHold>)
        case gate(AccountGate)

        var account: AccountID {
            switch self {
            case .balance(let balance, _): balance.account
            case .gate(let gate): gate.account
            }
        }
    }

    let loop: any EventLoop
    let link: RedisLink
    /// What the commands without a reply were.
    private var unanswered = CircularBuffer<Slot>()
    let epochs: EpochWatch
    let boot: BootID
    private let settings: RedisHoldSettings
    let logger: Logger
    private var upkeep: RepeatedTask?
    private var ticks = 0
    /// The node is looked at every so many ticks of the gate.
    private static let ticksPerPoll = 5
    /// Tells the sessions; set before `start`.
    var sessions: (any EpochFollowers)?
    /// Outcomes that the ledger is not known to have; set before `start`.
    var unposted: () -> Recapture.Unposted = { .init([], isWhole: true) }
    // For RedisHoldPoster+Epoch.
    var node = NodeIdentity()
    var polls = 0
    var pollIsOut = false
    var generation: Int64 = 1
    var recapture = Recapture()
    var told = ToldBalances()
    /// More ids than this per account go in several commands, so that no script runs for long.
    private static let holdsPerCommand = 500

    init(
        loop: any EventLoop, link: RedisLink, boot: BootID, epochs: EpochWatch,
        settings: RedisHoldSettings, logger: Logger
    ) {
        self.loop = loop
        self.link = link
        self.boot = boot
        self.epochs = epochs
        self.settings = settings
        self.logger = logger
    }

    func start() {
        self.loop.assertInEventLoop()
        self.link.start(owner: self)
        let every = TimeAmount.nanoseconds(EpochGate.askEvery.nanoseconds)
        self.upkeep = self.loop.scheduleRepeatedTask(initialDelay: every, delay: every) { _ in self.keepUp() }
        self.epochs.whenActionsCome { self.loop.execute { self.performGate() } }
    }

    private func keepUp() {
        self.ticks += 1
        self.epochs.tick()
        self.keepRecapturing()
        self.tellAgain()
        guard self.ticks % Self.ticksPerPoll == 0 else { return }
        self.link.checkStall(now: .now())
        self.pollNode()
    }

    func stop() {
        self.loop.assertInEventLoop()
        self.upkeep?.cancel()
        self.link.stop()
    }

    /// Recaptures speak under a loop name of their own.
    var fencePrefix: [UInt8] {
        preparedArgument("\(self.boot).p") + preparedArgument("\(self.generation)") + preparedArgument("1")
    }

    // MARK: HoldPosting

    /// Throws `PostingRefused`, or `RedisPostFailure`; everything may be sent again, whole or in part.
    public func posted(_ postings: [PostedAccount]) async throws {
        for posting in postings { self.epochs.saw(generation: posting.balance.generation) }
        try await self.deliver { poster, pending in
            for posting in postings { poster.send(posting, pending) }
        }
    }

    /// Throws as `posted` does.
    public func gateChanged(_ gates: [AccountGate]) async throws {
        try await self.deliver { poster, pending in
            for gate in gates {
                pending.expectOne()
                poster.send(.gate(gate), pending, again: false)
            }
        }
    }

    private func deliver(_ send: @escaping @Sendable (RedisHoldPoster, PendingPost) -> Void) async throws {
        try await self.loop.flatSubmit { self.delivered { send(self, $0) } }.get()
    }

    /// On the loop: succeeds when everything that `send` sends is acknowledged.
    private func delivered(_ send: (PendingPost) -> Void) -> EventLoopFuture<Void> {
        let promise = self.loop.makePromise(of: Void.self)
        guard self.link.isReady else {
            promise.fail(RedisPostFailure.disconnected)
            return promise.futureResult
        }
        let pending = PendingPost(promise)
        let timer = self.loop.scheduleTask(in: self.settings.postDeadline) {
            pending.fail(.deadline)
            // What waits on this connection would be executed in front of its own repetition.
            self.link.reconnect()
        }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        send(pending)
        pending.allSent()
        return promise.futureResult
    }

    /// What another node was told of, to the node that answers now.
    private func tellAgain() {
        guard self.link.isReady else { return }
        let balances = self.told.next(now: .now)
        guard !balances.isEmpty else { return }
        self.delivered { pending in
            for balance in balances { self.send(PostedAccount(balance: balance, settled: []), pending) }
        }.whenComplete { result in
            self.told.ended(isDelivered: (try? result.get()) != nil, now: .now)
        }
    }

    private func send(_ posting: PostedAccount, _ pending: PendingPost) {
        var rest = posting.settled[...]
        repeat {
            let part = rest.prefix(Self.holdsPerCommand)
            rest = rest.dropFirst(part.count)
            pending.expectOne()
            self.send(.balance(posting.balance, part), pending, again: false)
        } while !rest.isEmpty
    }

    private func send(_ news: News, _ pending: PendingPost, again: Bool) {
        self.expect(.news(news, pending, wasSentAgain: again))
        switch news {
        case .balance(let balance, let settled):
            self.recapture.told(PostedAccount(balance: balance, settled: Array(settled)))
            self.link.send(balance, settled)
        case .gate(let gate): self.link.send(gate)
        }
    }

    // MARK: RedisLinkOwner

    func linkIsReady(_ node: NodeIdentity) {
        let isNews = self.node != NodeIdentity() && self.node != node
        self.node = node
        self.perform(self.recapture.resume(self.unposted(), now: .now))
        // The sessions' connections may have survived what changed it.
        if isNews { self.nodeChanged() }
        self.performGate()
    }

    /// The command that is sent next.
    func expect(_ slot: Slot) { self.unanswered.append(slot) }

    func nextAnswered() -> Slot { self.unanswered.removeFirst() }

    func linkReceived(_ reply: borrowing RedisReply) {
        switch self.nextAnswered() {
        case .news(let news, let pending, let wasSentAgain):
            self.answered(reply.refusal, news, pending, wasSentAgain)
        case .recapture(let slot):
            if let refusal = reply.refusal, refusal.mustReconnect { self.link.reconnect() }
            self.perform(self.recapture.answered(slot, HoldReply(reply, of: .ignored), now: .now))
        case .members(let epoch): self.membersRead(epoch, reply)
        case .epochKey: self.epochKeyRead(reply.text)
        // linkRead has it.
        case .node, .ignored: break
        }
    }

    private func answered(
        _ refusal: StoreRefusal?, _ news: News, _ pending: PendingPost, _ wasSentAgain: Bool
    ) {
        guard let refusal else {
            if case .balance(let balance, _) = news { self.told.told(balance, now: .now) }
            return pending.acknowledgeOne()
        }
        guard refusal == .noScript, !wasSentAgain, self.link.isReady else {
            self.logger.warning("redis refused a posting", metadata: ["code": "\(refusal.label)"])
            if refusal.mustReconnect { self.link.reconnect() }
            return pending.refuseOne(of: news.account, code: refusal.label)
        }
        self.link.reloadScripts()
        self.send(news, pending, again: true)
    }

    func linkLost() {
        let unanswered = self.unanswered
        self.unanswered.removeAll()
        self.generation += 1
        self.pollIsOut = false
        for case .news(_, let pending, _) in unanswered { pending.fail(.disconnected) }
    }
}

/// Why a posting is not known to have arrived.
public enum RedisPostFailure: Error, Sendable, Hashable {
    case disconnected
    case deadline
}

/// One call of the poster: done when each of its commands is answered.
// SAFETY: confined to the poster's loop.
final class PendingPost: @unchecked Sendable {
    private let promise: EventLoopPromise<Void>
    private var outstanding = 1
    private var isOver = false
    private var refused: PostingRefused?

    init(_ promise: EventLoopPromise<Void>) { self.promise = promise }

    func expectOne() { self.outstanding += 1 }
    func acknowledgeOne() { self.finishOne() }
    func allSent() { self.finishOne() }

    /// The others go on.
    func refuseOne(of account: AccountID, code: String) {
        var refused = self.refused ?? PostingRefused(accounts: [], code: code)
        refused.accounts.insert(account)
        refused.code = code
        self.refused = refused
        self.finishOne()
    }

    func fail(_ failure: RedisPostFailure) {
        guard !self.isOver else { return }
        self.isOver = true
        self.promise.fail(failure)
    }

    private func finishOne() {
        self.outstanding -= 1
        guard self.outstanding == 0, !self.isOver else { return }
        self.isOver = true
        if let refused = self.refused { self.promise.fail(refused) } else { self.promise.succeed() }
    }
}
