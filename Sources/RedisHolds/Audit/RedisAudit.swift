import Logging
import Metering
import MoneyPath
import NIOCore

/// Reads every account in Redis, for `tollgate verify`. Each account is read atomically; the set of accounts
/// is not a snapshot.
public final class RedisAudit: Sendable {
    private let address: RedisAddress
    private let settings: RedisHoldSettings
    private let group: any EventLoopGroup
    private let logger: Logger

    /// - Throws: `RedisAddressProblem`.
    public init(
        url: String, group: any EventLoopGroup, logger: Logger,
        settings: RedisHoldSettings = RedisHoldSettings()
    ) throws(RedisAddressProblem) {
        self.address = try RedisAddress(url: url)
        self.group = group
        self.logger = logger
        self.settings = settings
    }

    /// All accounts, by number.
    /// - Throws: `RedisAuditFailure`.
    public func run() async throws -> [AccountAudit] {
        let loop = self.group.next()
        let configuration = RedisLink<RedisAuditRun>.Configuration(
            address: self.address, tls: self.settings.tls, stallTimeout: self.settings.stallTimeout)
        let link = RedisLink<RedisAuditRun>(loop: loop, configuration: configuration, logger: self.logger)
        let run = RedisAuditRun(link: link, promise: loop.makePromise())
        return try await loop.flatSubmit { run.start() }.get()
    }
}

public enum RedisAuditFailure: Error, Sendable, Hashable {
    case unreachable
    /// The connection was lost, or Redis answered with an error, before everything was read.
    case interrupted
}

/// One pass over the key space.
// SAFETY: confined to the loop of its link.
final class RedisAuditRun: RedisLinkOwner, @unchecked Sendable {
    enum Slot { case scan, account(AccountID) }

    private let link: RedisLink<RedisAuditRun>
    private let promise: EventLoopPromise<[AccountAudit]>
    private var found: [AccountID: AccountAudit] = [:]
    private var asked: Set<AccountID> = []
    private var outstanding = 0
    private var scanIsDone = false

    init(link: RedisLink<RedisAuditRun>, promise: EventLoopPromise<[AccountAudit]>) {
        self.link = link
        self.promise = promise
    }

    func start() -> EventLoopFuture<[AccountAudit]> {
        self.link.start(owner: self)
        // Keeps the run alive, and bounds the wait for a connection.
        let timer = self.link.loop.scheduleTask(in: .seconds(10)) {
            if !self.link.isReady { self.finish(.failure(.unreachable)) }
        }
        self.promise.futureResult.whenComplete { _ in
            timer.cancel()
            self.link.stop()
        }
        return self.promise.futureResult
    }

    func linkIsReady(_ node: NodeIdentity) { self.scan(from: "0") }

    func linkLost(_ unanswered: [Slot]) { self.finish(.failure(.interrupted)) }

    func linkReceived(_ reply: borrowing RedisReply, for slot: Slot) {
        switch slot {
        case .scan: self.scanned(reply)
        case .account(let account): self.read(account, reply)
        }
    }

    private func scan(from cursor: String) {
        self.link.send(.scan, command: ["SCAN", cursor, "MATCH", "a:{*}", "COUNT", "1000"])
    }

    private func scanned(_ reply: borrowing RedisReply) {
        guard let cursor = reply.text(at: 0), let keys = reply.texts(at: 1) else {
            return self.finish(.failure(.interrupted))
        }
        for key in keys {
            // SCAN may name a key twice.
            guard let account = Int64(key.dropFirst(3).dropLast()), self.asked.insert(account).inserted else {
                continue
            }
            self.outstanding += 1
            self.link.send(.account(account), command: ["HGETALL", key])
        }
        if cursor == "0" { self.scanIsDone = true } else { self.scan(from: cursor) }
        self.finishIfComplete()
    }

    private func read(_ account: AccountID, _ reply: borrowing RedisReply) {
        guard reply.refusal == nil else { return self.finish(.failure(.interrupted)) }
        self.outstanding -= 1
        // An empty hash was evicted since SCAN named it.
        if reply.count > 0 {
            let fields = (0..<reply.count).map { reply.text(at: $0) ?? "" }
            self.found[account] = AccountAudit(account: account, fields: fields)
        }
        self.finishIfComplete()
    }

    private func finishIfComplete() {
        guard self.scanIsDone, self.outstanding == 0 else { return }
        self.finish(.success(self.found.values.sorted { $0.account < $1.account }))
    }

    private func finish(_ result: Result<[AccountAudit], RedisAuditFailure>) {
        let promise = self.promise
        // Not in the middle of a reply: the connection is closed by this.
        self.link.loop.execute { promise.completeWith(result.mapError { $0 as any Error }) }
    }
}
