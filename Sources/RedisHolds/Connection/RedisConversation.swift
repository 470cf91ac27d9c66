import Logging
import Metering
import MoneyPath
import NIOCore

/// One connection on which whole answers are awaited, with a deadline.
// SAFETY: confined to the loop of its link.
final class RedisConversation: RedisLinkOwner, @unchecked Sendable {
    enum Question: Sendable {
        case command([String])
        case script(HoldScript, AccountID, [String])
    }

    struct Slot {
        let answered: (borrowing RedisReply) -> Void
        let lost: () -> Void
    }

    private let link: RedisLink
    private var waiting: [EventLoopPromise<Void>] = []
    /// Who asked what has no reply yet.
    private var unanswered = CircularBuffer<Slot>()

    init(link: RedisLink) { self.link = link }

    convenience init(
        to address: RedisAddress, settings: RedisHoldSettings, loop: any EventLoop, logger: Logger
    ) {
        let configuration = RedisLink.Configuration(
            address: address, tls: settings.tls, stallTimeout: settings.stallTimeout)
        self.init(link: RedisLink(loop: loop, configuration: configuration, logger: logger))
    }

    func start() { self.link.start(owner: self) }
    func stop() { self.link.stop() }
    var loop: any EventLoop { self.link.loop }

    /// Returns when questions may be asked. Throws `RedisAuditFailure.unreachable` when that takes too long.
    func ready(within limit: TimeAmount) async throws {
        try await self.loop.flatSubmit {
            let ready = self.loop.makePromise(of: Void.self)
            guard !self.link.isReady else {
                ready.succeed()
                return ready.futureResult
            }
            self.waiting.append(ready)
            let timer = self.loop.scheduleTask(in: limit) { ready.fail(RedisAuditFailure.unreachable) }
            return ready.futureResult.always { _ in timer.cancel() }
        }.get()
    }

    /// Throws `RedisAuditFailure`; the question may have been executed.
    func ask<Value: Sendable>(
        _ question: Question, within deadline: TimeAmount = .seconds(5),
        _ read: @escaping @Sendable (borrowing RedisReply) -> Value
    ) async throws -> Value {
        try await self.loop.flatSubmit {
            guard self.link.isReady else { return self.loop.makeFailedFuture(RedisAuditFailure.unreachable) }
            let answer = self.loop.makePromise(of: Value.self)
            let once = AnswerOnce(answer)
            let timer = self.loop.scheduleTask(in: deadline) {
                once.complete(.failure(RedisAuditFailure.interrupted))
                self.link.reconnect()
            }
            let slot = Slot { reply in
                timer.cancel()
                guard reply.refusal == nil else {
                    if reply.refusal == .noScript { self.link.reloadScripts() }
                    return once.complete(.failure(RedisAuditFailure.interrupted))
                }
                once.complete(.success(read(reply)))
            } lost: {
                timer.cancel()
                once.complete(.failure(RedisAuditFailure.interrupted))
            }
            self.send(question, slot)
            return answer.futureResult
        }.get()
    }

    private func send(_ question: Question, _ slot: Slot) {
        self.unanswered.append(slot)
        switch question {
        case .command(let words): self.link.send(command: words)
        case .script(let script, let account, let arguments):
            let bytes = arguments.reduce(0) { $0 + $1.utf8.count }
            self.link.send(
                script, of: account, arguments: arguments.count, argumentBytes: bytes
            ) { cursor in
                for argument in arguments { cursor.argument(argument) }
            }
        }
    }

    func linkIsReady(_ node: NodeIdentity) {
        for promise in self.waiting { promise.succeed() }
        self.waiting = []
    }

    func linkReceived(_ reply: borrowing RedisReply) { self.unanswered.removeFirst().answered(reply) }

    func linkLost() {
        let lost = self.unanswered
        self.unanswered.removeAll()
        for slot in lost { slot.lost() }
    }
}

// What the sweep, `tollgate verify` and the billing pages ask.
extension RedisConversation {
    /// Some accounts of the key space, from a cursor of before; `next` is nil at the end. An account may come twice.
    func accounts(from cursor: String, count: Int) async throws -> (accounts: Set<AccountID>, next: String?) {
        let page = try await self.ask(.command(["SCAN", cursor, "MATCH", "a:{*}", "COUNT", "\(count)"])) {
            reply in
            reply.text(at: 0).flatMap { next in reply.texts(at: 1).map { (next, $0) } }
        }
        guard let (next, keys) = page else { throw RedisAuditFailure.interrupted }
        return (Set(keys.compactMap { AccountID($0.dropFirst(3).dropLast()) }), next == "0" ? nil : next)
    }

    /// Names and values in turn; empty when Redis does not know the account.
    func fields(of account: AccountID, within deadline: TimeAmount = .seconds(5)) async throws -> [String] {
        try await self.ask(.command(["HGETALL", "a:{\(account)}"]), within: deadline) { reply in
            (0..<reply.count).map { reply.text(at: $0) ?? "" }
        }
    }
}

/// The deadline and the reply may both come; the first counts.
// SAFETY: confined to the loop of its connection.
private final class AnswerOnce<Value: Sendable>: @unchecked Sendable {
    private var promise: EventLoopPromise<Value>?

    init(_ promise: EventLoopPromise<Value>) { self.promise = promise }

    func complete(_ result: Result<Value, any Error>) {
        self.promise?.completeWith(result)
        self.promise = nil
    }
}
