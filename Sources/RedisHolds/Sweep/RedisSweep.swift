import Logging
import Metering
import MoneyPath
import NIOCore

/// The sweep's view of Redis, over a connection of its own, so that a long pass holds nobody up.
public struct RedisSweep: HoldSweeping {
    let run: RedisSweepConnection
    let sessions: @Sendable ([HoldID]) async -> Set<HoldID>
    let boot: BootID
    let leaseMilliseconds: Int64
    /// Keys per SCAN; each is then listed in one command.
    private static let pageKeys = 200

    public func accounts(from cursor: String?) async throws -> (accounts: [StoredAccount], next: String?) {
        let page = try await self.run.ask(
            .command(["SCAN", cursor ?? "0", "MATCH", "a:{*}", "COUNT", "\(Self.pageKeys)"])
        ) { reply in
            reply.text(at: 0).flatMap { next in reply.texts(at: 1).map { (next, $0) } }
        }
        guard let (next, keys) = page else { throw RedisAuditFailure.interrupted }
        // SCAN may name a key twice.
        let ids = Set(keys.compactMap { AccountID($0.dropFirst(3).dropLast()) }).sorted()
        var accounts: [StoredAccount] = []
        for id in ids {
            let fields = try await self.run.ask(.command(["HGETALL", "a:{\(id)}"])) { reply in
                (0..<reply.count).map { reply.text(at: $0) ?? "" }
            }
            // One that was evicted meanwhile has no fields.
            if !fields.isEmpty { accounts.append(StoredAccount(account: id, fields: fields)) }
        }
        return (accounts, next == "0" ? nil : next)
    }

    public func reap(_ hold: HoldID, of account: AccountID, from dead: HoldOwner) async throws -> StoredHold?
    {
        let taken = HoldOwner(dead.boot, reaper: self.boot)
        let reply = try await self.run.ask(
            .script(.reap, account, ["\(hold)", "\(dead)", "\(taken)", "\(self.leaseMilliseconds)"])
        ) { reply in
            (0..<reply.count).compactMap { reply.text(at: $0) }
        }
        guard reply.count == 3 else { return nil }
        return StoredHold(hold, value: "\(reply[0])|0|\(taken)|\(reply[1])|\(reply[2])")
    }

    public func release(_ hold: HoldID, of account: AccountID, owner: BootID) async throws -> Bool {
        let arguments = ["\(self.boot).s", "1", "0", "\(hold)", "\(owner)"]
        return try await self.run.ask(.script(.release, account, arguments)) { $0.integer } == 3
    }

    public func evict(_ account: AccountID, idleSeconds: Int64) async throws -> Bool {
        try await self.run.ask(.script(.evict, account, ["\(idleSeconds)"])) { $0.integer } == 1
    }

    public func known(among holds: [HoldID]) async -> Set<HoldID> { await self.sessions(holds) }
}

/// One connection on which whole answers are awaited, with a deadline.
// SAFETY: confined to the loop of its link.
final class RedisSweepConnection: RedisLinkOwner, @unchecked Sendable {
    enum Question: Sendable {
        case command([String])
        case script(HoldScript, AccountID, [String])
    }

    struct Slot {
        let answered: (borrowing RedisReply) -> Void
        let lost: () -> Void
    }

    private static let deadline: TimeAmount = .seconds(5)
    private let link: RedisLink<RedisSweepConnection>

    init(link: RedisLink<RedisSweepConnection>) { self.link = link }

    func start() { self.link.start(owner: self) }
    func stop() { self.link.stop() }
    var loop: any EventLoop { self.link.loop }

    /// Throws `RedisAuditFailure`; the question may have been executed.
    func ask<Value: Sendable>(
        _ question: Question, _ read: @escaping @Sendable (borrowing RedisReply) -> Value
    ) async throws -> Value {
        try await self.loop.flatSubmit {
            guard self.link.isReady else { return self.loop.makeFailedFuture(RedisAuditFailure.unreachable) }
            let answer = self.loop.makePromise(of: Value.self)
            let once = AnswerOnce(answer)
            let timer = self.loop.scheduleTask(in: Self.deadline) {
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
        switch question {
        case .command(let words): self.link.send(slot, command: words)
        case .script(let script, let account, let arguments):
            let bytes = arguments.reduce(0) { $0 + $1.utf8.count }
            self.link.send(
                slot, script, of: account, arguments: arguments.count, argumentBytes: bytes
            ) { cursor in
                for argument in arguments { cursor.argument(argument) }
            }
        }
    }

    func linkIsReady(_ node: NodeIdentity) {}
    func linkReceived(_ reply: borrowing RedisReply, for slot: Slot) { slot.answered(reply) }
    func linkLost(_ unanswered: [Slot]) { for slot in unanswered { slot.lost() } }
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
