import Logging
import MoneyPath
import NIOCore
import NIOPosix
import NIOSSL

/// Whoever uses a connection. Replies come in the order of its commands, so it keeps a row of what each of them was, and
/// takes the first with each reply.
protocol RedisLinkOwner: AnyObject, Sendable {
    /// Connected, authenticated, scripts loaded. Commands may be sent.
    func linkIsReady(_ node: NodeIdentity)
    /// The reply to the first command without one.
    func linkReceived(_ reply: borrowing RedisReply)
    /// The answer to `readNode`, which was the first without one: `.node`, `.refused` or `.unreadable`.
    func linkRead(_ node: HoldReply)
    /// The connection died, and what was unanswered was executed, or not, or is still to be executed. No reply to it
    /// follows.
    func linkLost()
}

extension RedisLinkOwner {
    /// Of an owner that never reads its node.
    func linkRead(_ node: HoldReply) {}
}

/// One connection to Redis that is kept up: connects, greets, loads the scripts, connects again with a
/// back-off. Commands of one loop tick go out in one write.
// SAFETY: confined to `loop`; every entry point asserts it. Sendable only so that callbacks of that loop may
// hold it.
final class RedisLink: @unchecked Sendable {
    struct Configuration: Sendable {
        var address: RedisAddress
        var tls: TLSConfiguration?
        var connectTimeout: TimeAmount = .seconds(1)
        /// From the connection to the end of the greeting.
        var greetingTimeout: TimeAmount = .seconds(2)
        /// A connection with unanswered commands that says nothing for so long is given up.
        var stallTimeout: TimeAmount = .seconds(3)
    }

    private enum State {
        case waiting, connecting
        case greeting(any Channel)
        case ready(any Channel)
        case stopped
    }

    private enum Expected {
        case greeting(GreetingStep)
        case reload(Int)
        case question(GreetingStep)
        /// The last question about the node.
        case lastQuestion(GreetingStep)
        case command
    }

    let loop: any EventLoop
    private let configuration: Configuration
    private let logger: Logger
    /// Until `stop`.
    private var owner: (any RedisLinkOwner)?
    private var state: State = .waiting
    private var expected = CircularBuffer<Expected>(initialCapacity: 256)
    private var outgoing = ByteBuffer()
    private var flushIsScheduled = false
    private var isReading = false
    private var reader = RedisReplyReader()
    private var greeting = NodeReading()
    private var inquiry = NodeInquiry()
    /// Per script: `$7 EVALSHA $40 <digest> $1 1` as RESP.
    private var evaluations: [[UInt8]] = Array(repeating: [], count: HoldScript.all.count)
    private var reloadsExpected = 0
    private var backoff = ReconnectBackoff()
    /// Connections tried so far; tells callbacks of an old one from those of the present one.
    private(set) var attempt = 0
    private var lastProgress: NIODeadline = .now()

    init(loop: any EventLoop, configuration: Configuration, logger: Logger) {
        self.loop = loop
        self.configuration = configuration
        self.logger = logger
    }

    var isReady: Bool { if case .ready = self.state { true } else { false } }
    /// Commands whose replies have not come.
    var unanswered: Int { self.expected.count }

    // MARK: Life

    func start(owner: any RedisLinkOwner) {
        self.loop.assertInEventLoop()
        self.owner = owner
        self.connect()
    }

    /// Closes for good. The owner is told of what was unanswered.
    func stop() {
        self.loop.assertInEventLoop()
        let channel = self.channel
        let wasReady = self.isReady
        self.flush()
        self.state = .stopped
        channel?.close(promise: nil)
        self.dropExpected(tellOwner: wasReady)
        self.owner = nil
    }

    private var channel: (any Channel)? {
        switch self.state {
        case .greeting(let channel), .ready(let channel): channel
        case .waiting, .connecting, .stopped: nil
        }
    }

    private func connect() {
        guard case .waiting = self.state else { return }
        self.state = .connecting
        self.attempt += 1
        let attempt = self.attempt
        let address = self.configuration.address
        ClientBootstrap(group: self.loop)
            .connectTimeout(self.configuration.connectTimeout)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.socketOption(.so_keepalive), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try self.addTLS(to: channel)
                    try channel.pipeline.syncOperations.addHandler(
                        RedisLinkHandler(link: self, attempt: attempt))
                }
            }
            .connect(host: address.host, port: address.port)
            .whenComplete { result in
                switch result {
                case .success(let channel): self.connected(channel, attempt)
                case .failure(let error): self.connectFailed(error, attempt)
                }
            }
    }

    private func addTLS(to channel: any Channel) throws {
        guard self.configuration.address.usesTLS else { return }
        let tls = self.configuration.tls ?? .makeClientConfiguration()
        let host = self.configuration.address.host
        let isName = (try? SocketAddress(ipAddress: host, port: 0)) == nil
        let handler = try NIOSSLClientHandler(
            context: NIOSSLContext(configuration: tls), serverHostname: isName ? host : nil)
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    private func connectFailed(_ error: any Error, _ attempt: Int) {
        guard attempt == self.attempt, case .connecting = self.state else { return }
        self.logger.debug("redis cannot be reached", metadata: ["error": "\(error)"])
        self.state = .waiting
        self.connectLater()
    }

    private func connectLater() {
        guard case .waiting = self.state else { return }
        let pause = self.backoff.next(jitter: Double.random(in: 0..<1))
        self.loop.scheduleTask(in: pause) { self.connect() }
    }

    private func connected(_ channel: any Channel, _ attempt: Int) {
        guard attempt == self.attempt, case .connecting = self.state else {
            channel.close(promise: nil)
            return
        }
        self.state = .greeting(channel)
        self.greeting = NodeReading()
        self.inquiry = NodeInquiry()
        self.reader = RedisReplyReader()
        self.outgoing = channel.allocator.buffer(capacity: 32 << 10)
        self.lastProgress = .now()
        self.sendGreeting()
        // A peer may have closed between the handshake and this callback, before the handler had a state to
        // end.
        if !channel.isActive { self.closed(attempt) }
        self.loop.scheduleTask(in: self.configuration.greetingTimeout) {
            guard attempt == self.attempt, case .greeting(let channel) = self.state else { return }
            self.logger.warning("redis was too slow to greet")
            channel.close(promise: nil)
        }
    }

    // MARK: Greeting

    private func sendGreeting() {
        let address = self.configuration.address
        if let password = address.password?.text {
            self.put(.greeting(.authenticate), ["AUTH"] + (address.user.map { [$0] } ?? []) + [password])
        }
        if address.database != 0 { self.put(.greeting(.select), ["SELECT", "\(address.database)"]) }
        for step in NodeReading.steps { self.put(.greeting(step), NodeReading.command(of: step)) }
        for script in HoldScript.all {
            self.put(.greeting(.loadScript(script.index)), ["SCRIPT", "LOAD", script.source])
        }
        self.flush()
    }

    private func greeted(_ reply: borrowing RedisReply, _ step: GreetingStep) throws(GreetingFailure) {
        if let refusal = reply.refusal { throw .refused(step: step, code: refusal.label) }
        switch step {
        case .authenticate, .select: break
        case .server, .replication, .makeEpochKey, .readEpochKey: try self.greeting.take(reply, of: step)
        case .loadScript(let index):
            guard let digest = reply.text, digest.utf8.count == 40 else { throw .unreadable(step: step) }
            self.evaluations[index] = Array("$7\r\nEVALSHA\r\n$40\r\n\(digest)\r\n$1\r\n1\r\n".utf8)
            if index == HoldScript.all.count - 1 { self.becomeReady() }
        }
    }

    private func becomeReady() {
        guard case .greeting(let channel) = self.state else { return }
        self.state = .ready(channel)
        self.backoff.reset()
        self.owner?.linkIsReady(self.greeting.node)
    }

    /// After NOSCRIPT: loads all scripts again, in front of whatever is sent from now on.
    func reloadScripts() {
        guard self.isReady, self.reloadsExpected == 0 else { return }
        for script in HoldScript.all { self.put(.reload(script.index), ["SCRIPT", "LOAD", script.source]) }
        self.reloadsExpected = HoldScript.all.count
        self.scheduleFlush()
    }

    // MARK: Sending

    /// Sends a script's command.
    /// - Parameters:
    ///   - argumentBytes: upper bound of the arguments' own bytes.
    ///   - write: writes exactly `arguments` arguments.
    @inline(__always)
    func send(
        _ script: HoldScript, of account: Int64, arguments: Int, argumentBytes: Int,
        _ write: (inout CommandCursor) -> Void
    ) {
        self.loop.assertInEventLoop()
        precondition(self.isReady, "the owner sends only between linkIsReady and linkLost")
        let bound = CommandCursor.headBytesMax + argumentBytes + arguments * CommandCursor.argumentOverhead
        _ = self.outgoing.writeWithUnsafeMutableBytes(minimumWritableBytes: bound) { memory in
            var cursor = CommandCursor(memory)
            cursor.evaluate(self.evaluations[script.index], account: account, arguments: arguments)
            write(&cursor)
            return cursor.written
        }
        self.expect(.command)
    }

    /// Sends a plain command.
    func send(command: [String]) {
        precondition(self.isReady, "the owner sends only between linkIsReady and linkLost")
        self.put(.command, command)
    }

    /// Asks for everything that makes an epoch (rule E1); a key is made if there is none.
    func readNode() {
        precondition(self.isReady, "the owner sends only between linkIsReady and linkLost")
        for step in NodeReading.steps.dropLast() { self.put(.question(step), NodeReading.command(of: step)) }
        self.put(.lastQuestion(.readEpochKey), NodeReading.command(of: .readEpochKey))
    }

    private func put(_ expected: Expected, _ words: [String]) {
        self.outgoing.writeString("*\(words.count)\r\n")
        for word in words {
            self.outgoing.writeString("$\(word.utf8.count)\r\n")
            self.outgoing.writeString(word)
            self.outgoing.writeString("\r\n")
        }
        self.expect(expected)
    }

    @inline(__always)
    private func expect(_ expected: Expected) {
        if self.expected.isEmpty { self.lastProgress = .now() }
        self.expected.append(expected)
        self.scheduleFlush()
    }

    @inline(__always)
    private func scheduleFlush() {
        guard !self.flushIsScheduled, !self.isReading else { return }
        self.flushIsScheduled = true
        self.loop.execute {
            self.flushIsScheduled = false
            self.flush()
        }
    }

    private func flush() {
        guard let channel = self.channel, self.outgoing.readableBytes > 0 else { return }
        let bytes = self.outgoing
        self.outgoing = channel.allocator.buffer(capacity: 4096)
        channel.writeAndFlush(bytes, promise: nil)
    }

    // MARK: Events of the channel

    fileprivate func received(_ bytes: ByteBuffer, _ attempt: Int) {
        guard attempt == self.attempt, self.channel != nil else { return }
        self.isReading = true
        defer {
            self.isReading = false
            self.flush()
        }
        self.lastProgress = .now()
        do {
            try bytes.withUnsafeReadableBytes { (raw) throws(RedisReplyReader.ProtocolBroken) in
                try self.reader.feed(raw)
            }
            while attempt == self.attempt, self.channel != nil, let reply = try self.reader.next() {
                try self.dispatch(reply)
            }
        } catch let failure as GreetingFailure {
            self.logger.warning("redis refused the greeting", metadata: ["failure": "\(failure)"])
            self.channel?.close(promise: nil)
        } catch {
            self.logger.error("redis broke its protocol")
            self.channel?.close(promise: nil)
        }
    }

    private func dispatch(_ reply: borrowing RedisReply) throws {
        guard let expected = self.expected.popFirst() else { throw RedisReplyReader.ProtocolBroken() }
        switch expected {
        case .command: self.owner?.linkReceived(reply)
        case .question(let step): self.inquiry.take(reply, of: step)
        case .lastQuestion(let step):
            var inquiry = self.inquiry
            self.inquiry = NodeInquiry()
            inquiry.take(reply, of: step)
            self.owner?.linkRead(inquiry.reply)
        case .greeting(let step): try self.greeted(reply, step)
        case .reload(let index):
            self.reloadsExpected -= 1
            if reply.refusal != nil { throw GreetingFailure.unreadable(step: .loadScript(index)) }
        }
    }

    fileprivate func closed(_ attempt: Int) {
        guard attempt == self.attempt else { return }
        switch self.state {
        case .waiting, .connecting, .stopped: return
        case .greeting: self.end(tellOwner: false)
        case .ready: self.end(tellOwner: true)
        }
    }

    private func end(tellOwner: Bool) {
        self.state = .waiting
        self.dropExpected(tellOwner: tellOwner)
        self.connectLater()
    }

    private func dropExpected(tellOwner: Bool) {
        self.expected.removeAll(keepingCapacity: true)
        self.outgoing.clear()
        self.reloadsExpected = 0
        if tellOwner { self.owner?.linkLost() }
    }

    /// Gives the connection up; it is made again. For nodes that are the wrong ones to talk to.
    func reconnect() {
        self.loop.assertInEventLoop()
        guard let channel = self.channel else { return }
        channel.close(promise: nil)
    }

    /// To be called now and then: gives up a connection that has gone silent.
    func checkStall(now: NIODeadline) {
        guard self.isReady, !self.expected.isEmpty, now - self.lastProgress > self.configuration.stallTimeout
        else { return }
        self.logger.warning("redis connection is silent, giving it up")
        self.reconnect()
    }
}

/// Hands the bytes of one channel to its link.
private final class RedisLinkHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let link: RedisLink
    /// Which connection this is: events of one that was given up mean nothing.
    private let attempt: Int

    init(link: RedisLink, attempt: Int) {
        self.link = link
        self.attempt = attempt
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.link.received(self.unwrapInboundIn(data), self.attempt)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.link.closed(self.attempt)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
