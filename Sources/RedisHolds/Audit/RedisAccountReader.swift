import Logging
import Metering
import MoneyPath
import NIOCore

/// Reads single accounts on a connection of its own, for people who look at their balance.
public final class RedisAccountReader: Sendable {
    private let run: RedisAccountReading

    /// Connects in the background.
    /// - Throws: `RedisAddressProblem`.
    public init(
        url: String, group: any EventLoopGroup, logger: Logger,
        settings: RedisHoldSettings = RedisHoldSettings()
    ) throws(RedisAddressProblem) {
        let address = try RedisAddress(url: url)
        let loop = group.next()
        let configuration = RedisLink<RedisAccountReading>.Configuration(
            address: address, tls: settings.tls, stallTimeout: settings.stallTimeout)
        let run = RedisAccountReading(
            link: RedisLink<RedisAccountReading>(loop: loop, configuration: configuration, logger: logger))
        self.run = run
        loop.execute { run.start() }
    }

    /// The account as Redis has it now; empty sums when Redis does not know it.
    /// - Throws: `RedisAuditFailure`.
    public func read(_ account: AccountID) async throws -> AccountAudit {
        let run = self.run
        return try await run.loop.flatSubmit { run.read(account) }.get()
    }

    public func shutdown() async {
        let run = self.run
        try? await run.loop.submit { run.stop() }.get()
    }
}

// SAFETY: confined to the loop of its link.
private final class RedisAccountReading: RedisLinkOwner, @unchecked Sendable {
    struct Slot {
        var account: AccountID
        var promise: EventLoopPromise<AccountAudit>
    }

    private static let deadline: TimeAmount = .milliseconds(500)
    private let link: RedisLink<RedisAccountReading>

    init(link: RedisLink<RedisAccountReading>) { self.link = link }

    var loop: any EventLoop { self.link.loop }

    func start() { self.link.start(owner: self) }
    func stop() { self.link.stop() }

    func read(_ account: AccountID) -> EventLoopFuture<AccountAudit> {
        guard self.link.isReady else { return self.loop.makeFailedFuture(RedisAuditFailure.unreachable) }
        let answer = self.loop.makePromise(of: AccountAudit.self)
        let reply = self.loop.makePromise(of: AccountAudit.self)
        // The reply slot outlives the deadline; whichever comes first answers.
        let timer = self.loop.scheduleTask(in: Self.deadline) { answer.fail(RedisAuditFailure.unreachable) }
        reply.futureResult.whenComplete { result in
            timer.cancel()
            answer.completeWith(result)
        }
        self.link.send(Slot(account: account, promise: reply), command: ["HGETALL", "a:{\(account)}"])
        return answer.futureResult
    }

    func linkIsReady(_ node: NodeIdentity) {}

    func linkLost(_ unanswered: [Slot]) {
        for slot in unanswered { slot.promise.fail(RedisAuditFailure.interrupted) }
    }

    func linkReceived(_ reply: borrowing RedisReply, for slot: Slot) {
        guard reply.refusal == nil else { return slot.promise.fail(RedisAuditFailure.interrupted) }
        let fields = (0..<reply.count).map { reply.text(at: $0) ?? "" }
        slot.promise.succeed(AccountAudit(account: slot.account, fields: fields))
    }
}
