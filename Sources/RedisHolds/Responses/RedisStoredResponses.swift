import Logging
import Metering
import MoneyPath
import NIOCore

/// Whose the responses of the last hour are, for the instance that gets the next turn before the ledger has heard of
/// this one. On a connection of its own; what cannot be said is lost, since the ledger learns of it as well.
///
/// A response is a key in its account's slot, which Redis drops by itself. Nothing counts these keys, no script reads
/// them, and a store that lost them is merely asked in vain.
public final class RedisStoredResponses: Sendable {
    private let session: StoredResponseSession

    /// Connects in the background.
    /// - Throws: `RedisAddressProblem`.
    public init(
        url: String, group: any EventLoopGroup, logger: Logger,
        settings: RedisHoldSettings = RedisHoldSettings()
    ) throws(RedisAddressProblem) {
        let loop = group.next()
        let configuration = RedisLink.Configuration(
            address: try RedisAddress(url: url), tls: settings.tls, stallTimeout: settings.stallTimeout)
        let session = StoredResponseSession(
            RedisLink(loop: loop, configuration: configuration, logger: logger))
        self.session = session
        loop.execute { session.start() }
    }

    /// Not waited for. What one loop says arrives in the order in which it says it.
    public func remember(_ response: StoredResponse) {
        let session = self.session
        session.loop.execute { session.remember(response) }
    }

    /// nil: nobody told of it within the hour, or another account did. `reply` is called exactly once, on any thread.
    public func find(
        _ id: ResponseID, of account: AccountID,
        reply: @escaping @Sendable (Result<StoredResponse?, DirectoryFailure>) -> Void
    ) {
        let session = self.session
        session.loop.execute { session.find(id, of: account, reply) }
    }

    /// Runs `body` on the loop of the connection.
    public func after(_ pause: Duration, _ body: @escaping @Sendable () -> Void) {
        self.session.loop.scheduleTask(in: TimeAmount(pause), body)
    }

    public func shutdown() async {
        let session = self.session
        try? await session.loop.submit { session.stop() }.get()
    }
}

// SAFETY: confined to the loop of its link.
final class StoredResponseSession: RedisLinkOwner, @unchecked Sendable {
    typealias Reply = @Sendable (Result<StoredResponse?, DirectoryFailure>) -> Void

    enum Slot {
        case remember
        case find(Question)
    }

    final class Question {
        let id: ResponseID
        let account: AccountID
        private var reply: Reply?
        var timer: Scheduled<Void>?

        init(_ id: ResponseID, _ account: AccountID, _ reply: @escaping Reply) {
            self.id = id
            self.account = account
            self.reply = reply
        }

        /// The deadline and the answer may both come; the first counts.
        func answer(_ answer: Result<StoredResponse?, DirectoryFailure>) {
            self.timer?.cancel()
            self.reply?(answer)
            self.reply = nil
        }
    }

    private static let answerWithin: TimeAmount = .milliseconds(500)
    /// Commands without an answer; what comes on top of so many is not said.
    private static let unansweredMax = 20_000
    private let link: RedisLink
    private var upkeep: RepeatedTask?
    /// What the commands without a reply were.
    private var unanswered = CircularBuffer<Slot>()

    init(_ link: RedisLink) { self.link = link }

    var loop: any EventLoop { self.link.loop }

    func start() {
        self.link.start(owner: self)
        self.upkeep = self.loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            self.link.checkStall(now: .now())
        }
    }

    func stop() {
        self.upkeep?.cancel()
        self.link.stop()
    }

    func remember(_ response: StoredResponse) {
        guard self.link.isReady, self.link.unanswered < Self.unansweredMax else { return }
        self.send(.remember, StoredResponseKey.remember(response))
    }

    func find(_ id: ResponseID, of account: AccountID, _ reply: @escaping Reply) {
        guard self.link.isReady, self.link.unanswered < Self.unansweredMax else {
            return reply(.failure(.unreachable))
        }
        let question = Question(id, account, reply)
        question.timer = self.loop.assumeIsolated().scheduleTask(in: Self.answerWithin) {
            question.answer(.failure(.unreachable))
        }
        self.send(.find(question), ["GET", StoredResponseKey.key(id, of: account)])
    }

    private func send(_ slot: Slot, _ command: [String]) {
        self.unanswered.append(slot)
        self.link.send(command: command)
    }

    // MARK: RedisLinkOwner

    func linkIsReady(_ node: NodeIdentity) {}

    func linkReceived(_ reply: borrowing RedisReply) {
        let refusal = reply.refusal
        if case .find(let question) = self.unanswered.removeFirst() {
            question.answer(Self.answer(reply, to: question))
        }
        // A node that is the wrong one to talk to stays so.
        if let refusal, refusal.mustReconnect { self.link.reconnect() }
    }

    private static func answer(
        _ reply: borrowing RedisReply, to question: Question
    ) -> Result<StoredResponse?, DirectoryFailure> {
        guard reply.refusal == nil else { return .failure(.unreachable) }
        guard reply.kind != .null else { return .success(nil) }
        guard let text = reply.text,
            let response = StoredResponseKey.read(text, question.id, of: question.account)
        else { return .failure(.unreachable) }
        return .success(response)
    }

    func linkLost() {
        let unanswered = self.unanswered
        self.unanswered.removeAll()
        for case .find(let question) in unanswered { question.answer(.failure(.unreachable)) }
    }
}

/// How a response stands in Redis: `r:{<account>}:<id>` is `<input>;<output>;<model>`; without tokens `~;~;<model>`, and
/// `=;=;<model>` when it was charged as a whole.
enum StoredResponseKey {
    /// A stream that is under way; the ledger knows nothing of it yet.
    static let secondsWhileOpen = 3600
    /// The ledger has it within seconds. These keys must not fill the store of the holds.
    static let secondsWhenCharged = 600

    static func key(_ id: ResponseID, of account: AccountID) -> String { "r:{\(account)}:\(id.text)" }

    static func remember(_ response: StoredResponse) -> [String] {
        let tokens =
            response.context.map { "\($0.input);\($0.output)" } ?? (response.isCharged ? "=;=" : "~;~")
        let seconds = response.isCharged ? self.secondsWhenCharged : self.secondsWhileOpen
        return [
            "SET", self.key(response.id, of: response.account), "\(tokens);\(response.model)", "EX",
            "\(seconds)",
        ]
    }

    /// nil: it was not written like that.
    static func read(_ text: String, _ id: ResponseID, of account: AccountID) -> StoredResponse? {
        let parts = text.split(separator: ";", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var response = StoredResponse(id: id, account: account, model: String(parts[2]))
        if parts[0] == "~", parts[1] == "~" { return response }
        response.isCharged = true
        if parts[0] == "=", parts[1] == "=" { return response }
        guard let input = Int64(parts[0]), let output = Int64(parts[1]),
            let context = ContextTokens(input: input, output: output)
        else { return nil }
        response.context = context
        return response
    }
}
