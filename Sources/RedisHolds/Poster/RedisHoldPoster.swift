import Logging
import Metering
import NIOCore

/// Hands committed balances to Redis over a connection of its own (rules R7, G2).
// SAFETY: mutable state is confined to `loop`; async callers hop onto it.
public final class RedisHoldPoster: HoldPosting, RedisLinkOwner, @unchecked Sendable {
    struct Slot {
        let pending: PendingPost
        let news: News
        var wasSentAgain = false
    }

    enum News {
        case balance(LedgerBalance, ArraySlice<SettledHold>)
        case gate(AccountGate)
    }

    let loop: any EventLoop
    private let link: RedisLink<RedisHoldPoster>
    private let epochs: EpochWatch
    private let settings: RedisHoldSettings
    private let logger: Logger
    private var upkeep: RepeatedTask?
    /// More ids than this per account go in several commands, so that no script runs for long.
    private static let holdsPerCommand = 500

    init(
        loop: any EventLoop, link: RedisLink<RedisHoldPoster>, epochs: EpochWatch,
        settings: RedisHoldSettings,
        logger: Logger
    ) {
        self.loop = loop
        self.link = link
        self.epochs = epochs
        self.settings = settings
        self.logger = logger
    }

    func start() {
        self.loop.assertInEventLoop()
        self.link.start(owner: self)
        self.upkeep = self.loop.scheduleRepeatedTask(
            initialDelay: self.settings.upkeepEvery, delay: self.settings.upkeepEvery
        ) { _ in self.link.checkStall(now: .now()) }
    }

    func stop() {
        self.loop.assertInEventLoop()
        self.upkeep?.cancel()
        self.link.stop()
    }

    // MARK: HoldPosting

    /// Throws `RedisPostFailure`; everything may be sent again, whole or in part.
    public func posted(_ postings: [PostedAccount]) async throws {
        for posting in postings { self.epochs.saw(generation: posting.balance.generation) }
        try await self.deliver { poster, pending in
            for posting in postings { poster.send(posting, pending) }
        }
    }

    /// Throws `RedisPostFailure`; everything may be sent again.
    public func gateChanged(_ gates: [AccountGate]) async throws {
        try await self.deliver { poster, pending in
            for gate in gates {
                pending.expectOne()
                poster.send(Slot(pending: pending, news: .gate(gate)))
            }
        }
    }

    private func deliver(_ send: @escaping @Sendable (RedisHoldPoster, PendingPost) -> Void) async throws {
        let promise = self.loop.makePromise(of: Void.self)
        self.loop.execute {
            guard self.link.isReady else { return promise.fail(RedisPostFailure.disconnected) }
            let pending = PendingPost(promise)
            let timer = self.loop.scheduleTask(in: self.settings.postDeadline) {
                pending.fail(.deadline)
            }
            promise.futureResult.whenComplete { _ in timer.cancel() }
            send(self, pending)
            pending.allSent()
        }
        try await promise.futureResult.get()
    }

    private func send(_ posting: PostedAccount, _ pending: PendingPost) {
        var rest = posting.settled[...]
        repeat {
            let part = rest.prefix(Self.holdsPerCommand)
            rest = rest.dropFirst(part.count)
            pending.expectOne()
            self.send(Slot(pending: pending, news: .balance(posting.balance, part)))
        } while !rest.isEmpty
    }

    private func send(_ slot: Slot) {
        switch slot.news {
        case .balance(let balance, let settled): self.send(balance, settled, slot)
        case .gate(let gate): self.send(gate, slot)
        }
    }

    private func send(_ balance: LedgerBalance, _ settled: ArraySlice<SettledHold>, _ slot: Slot) {
        self.link.send(
            slot, .posted, of: balance.account, arguments: 3 + 2 * settled.count,
            argumentBytes: 60 + settled.count * 56
        ) { cursor in
            cursor.argument(balance.generation)
            cursor.argument(balance.version)
            cursor.argument(balance.balance.value)
            for hold in settled {
                cursor.argument(hold.hold)
                cursor.argument(hold.amount.value)
            }
        }
    }

    private func send(_ gate: AccountGate, _ slot: Slot) {
        self.link.send(slot, .gate, of: gate.account, arguments: 3, argumentBytes: 60) { cursor in
            cursor.argument(gate.version)
            cursor.argument(gate.floor.value)
            cursor.argument(gate.blocked ? 1 : 0)
        }
    }

    // MARK: RedisLinkOwner

    func linkIsReady(_ greeting: Greeting) {}

    func linkReceived(_ reply: borrowing RedisReply, for slot: Slot) {
        guard let refusal = reply.refusal else { return slot.pending.acknowledgeOne() }
        guard refusal == .noScript, !slot.wasSentAgain, self.link.isReady else {
            self.logger.warning("redis refused a posting", metadata: ["code": "\(refusal.label)"])
            if refusal.mustReconnect { self.link.reconnect() }
            return slot.pending.fail(.refused(code: refusal.label))
        }
        self.link.reloadScripts()
        var again = slot
        again.wasSentAgain = true
        self.send(again)
    }

    func linkLost(_ unanswered: [Slot]) {
        for slot in unanswered { slot.pending.fail(.disconnected) }
    }
}

/// Why a posting is not known to have arrived.
public enum RedisPostFailure: Error, Sendable, Hashable {
    case disconnected
    case deadline
    /// The code word of Redis' error.
    case refused(code: String)
}

/// One call of the poster: done when each of its commands is acknowledged.
// SAFETY: confined to the poster's loop.
final class PendingPost: @unchecked Sendable {
    private let promise: EventLoopPromise<Void>
    private var outstanding = 1
    private var isOver = false

    init(_ promise: EventLoopPromise<Void>) { self.promise = promise }

    func expectOne() { self.outstanding += 1 }
    func acknowledgeOne() { self.finishOne() }
    func allSent() { self.finishOne() }

    func fail(_ failure: RedisPostFailure) {
        guard !self.isOver else { return }
        self.isOver = true
        self.promise.fail(failure)
    }

    private func finishOne() {
        self.outstanding -= 1
        guard self.outstanding == 0, !self.isOver else { return }
        self.isOver = true
        self.promise.succeed()
    }
}
