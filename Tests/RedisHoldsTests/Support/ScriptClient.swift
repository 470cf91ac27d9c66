import Logging
import Metering
import MoneyPath
import NIOCore
import NIOPosix
import NIOSSL

@testable import RedisHolds

/// A reply as a value.
enum Answer: Equatable, Sendable {
    case integer(Int64)
    case integers([Int64])
    case text(String)
    case texts([String])
    case null
    case error(String)

    init(_ reply: borrowing RedisReply) {
        if let refusal = reply.refusal {
            self = .error(refusal.label)
        } else if let number = reply.integer {
            self = .integer(number)
        } else if reply.kind == .array {
            if reply.integer(at: 0) != nil {
                self = .integers((0..<reply.count).map { reply.integer(at: $0) ?? .min })
            } else {
                self = .texts((0..<reply.count).map { reply.text(at: $0) ?? "?" })
            }
        } else if let text = reply.text {
            self = .text(text)
        } else {
            self = .null
        }
    }
}

/// Runs scripts and commands one after the other, or many in one write, on a connection of its own.
final class ScriptClient: RedisLinkOwner, @unchecked Sendable {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    let loop: any EventLoop
    private let link: RedisLink
    private let ready: EventLoopPromise<Void>
    private var unanswered = CircularBuffer<EventLoopPromise<Answer>>()

    init(_ url: String = TestRedis.shared.url, tls: TLSConfiguration? = nil) async throws {
        self.loop = Self.group.next()
        self.ready = self.loop.makePromise()
        self.link = RedisLink(
            loop: self.loop, configuration: .init(address: try RedisAddress(url: url), tls: tls),
            logger: Logger(label: "test"))
        self.loop.execute { self.link.start(owner: self) }
        try await self.ready.futureResult.get()
    }

    func linkIsReady(_ node: NodeIdentity) { self.ready.succeed() }
    func linkReceived(_ reply: borrowing RedisReply) { self.unanswered.removeFirst().succeed(Answer(reply)) }

    func linkLost() {
        let lost = self.unanswered
        self.unanswered.removeAll()
        for promise in lost { promise.succeed(.error("LOST")) }
    }

    func close() async { try? await self.loop.submit { self.link.stop() }.get() }

    /// All in one write; answers in order.
    func run(_ commands: [(HoldScript, AccountID, [String])]) async throws -> [Answer] {
        try await self.loop.flatSubmit {
            EventLoopFuture.whenAllSucceed(
                commands.map { script, account, arguments in
                    let promise = self.loop.makePromise(of: Answer.self)
                    let bytes = arguments.reduce(0) { $0 + $1.utf8.count }
                    self.unanswered.append(promise)
                    self.link.send(
                        script, of: account, arguments: arguments.count, argumentBytes: bytes
                    ) { cursor in
                        for argument in arguments { cursor.argument(argument) }
                    }
                    return promise.futureResult
                }, on: self.loop)
        }.get()
    }

    func run(_ script: HoldScript, _ account: AccountID, _ arguments: String...) async throws -> Answer {
        try await self.run([(script, account, arguments)])[0]
    }

    func command(_ words: String...) async throws -> Answer { try await self.commands([words])[0] }

    /// All in one write; answers in order.
    func commands(_ commands: [[String]]) async throws -> [Answer] {
        try await self.loop.flatSubmit {
            EventLoopFuture.whenAllSucceed(
                commands.map { words in
                    let promise = self.loop.makePromise(of: Answer.self)
                    self.unanswered.append(promise)
                    self.link.send(command: words)
                    return promise.futureResult
                }, on: self.loop)
        }.get()
    }

    /// All fields of an account's hash.
    func hash(_ account: AccountID) async throws -> [String: String] {
        guard case .texts(let fields) = try await self.command("HGETALL", "a:{\(account)}") else {
            return [:]
        }
        var hash: [String: String] = [:]
        for index in stride(from: 0, to: fields.count - 1, by: 2) { hash[fields[index]] = fields[index + 1] }
        return hash
    }

    /// The hash as `tollgate verify` sees it.
    func audit(_ account: AccountID) async throws -> AccountAudit {
        let fields = try await self.hash(account)
        return AccountAudit(account: account, fields: fields.flatMap { [$0.key, $0.value] })
    }
}
