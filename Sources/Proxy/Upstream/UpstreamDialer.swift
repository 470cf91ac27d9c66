import Glibc
import NIOCore
import NIOPosix
import NIOTLS

/// Makes connections to the upstream: name, address, a proxy in between, TLS, protocol. Used only on its loop.
final class UpstreamDialer {
    /// What came of a dial.
    enum Dialled {
        /// - Parameter bytesBefore: that were read of the socket, but for those of TLS.
        case http1(any Channel, bytesBefore: UInt64)
        case http2(any Channel)
    }

    typealias Completion = (Result<Dialled, UpstreamFailure>) -> Void

    private let eventLoop: any EventLoop
    private let origin: UpstreamOrigin
    private let proxy: UpstreamProxy?
    private let resolver: NameResolver
    private let connectTimeout: TimeAmount
    /// Connections that are made from now on use this context; nil: plain.
    var tls: TLSClientContext? {
        // What the old roots vouched for is not resumed.
        didSet { self.sessions = TLSSessionCache() }
    }
    private var sessions = TLSSessionCache()
    private let counters: UpstreamCounters
    private let buffers: SpareBuffers
    private var book: AddressBook
    private var isAsking = false
    /// Dials that wait for the first answer of the resolver.
    private var waitingForAddresses: [() -> Void] = []

    /// The next address is tried when the one before is silent for so long (RFC 8305 §5).
    private static let attemptDelay: TimeAmount = .milliseconds(250)
    private static let unansweredMillisecondsMax: SocketOptionValue = 60_000
    private static let receiveBufferBytes: SocketOptionValue = 256 << 10

    init(
        eventLoop: any EventLoop, origin: UpstreamOrigin, tls: TLSClientContext?, proxy: UpstreamProxy?,
        resolver: NameResolver, connectTimeout: TimeAmount, addresses: AddressBook.Settings,
        counters: UpstreamCounters, buffers: SpareBuffers
    ) {
        self.eventLoop = eventLoop
        self.origin = origin
        self.tls = tls
        self.proxy = proxy
        self.resolver = resolver
        self.connectTimeout = connectTimeout
        self.counters = counters
        self.buffers = buffers
        self.book = AddressBook(settings: addresses)
    }

    private var host: String { self.proxy?.host ?? self.origin.host }
    private var port: Int { self.proxy?.port ?? self.origin.port }

    /// Whether the name still has this address; connections to others are let go of when they are idle.
    func lists(_ address: SocketAddress?) -> Bool { self.book.lists(address) }

    /// Asks the resolver when it is time to, so that changes are seen while connections are only reused.
    func refresh() { if self.book.shouldAsk(.now()) { self.ask() } }

    /// Completes once, on the loop, within the connect time-out.
    func dial(_ completion: @escaping Completion) {
        let deadline = NIODeadline.now() + self.connectTimeout
        let begin = {
            let attempt = DialAttempt(dialer: self, deadline: deadline, completion: completion)
            attempt.start(self.book.order(.now()))
        }
        self.refresh()
        guard self.book.isEmpty else {
            begin()
            return
        }
        // A resolver that hangs must not hold the dial for longer than a server that does.
        let once = DialOnce(begin)
        let onceOnLoop = NIOLoopBound(once, eventLoop: self.eventLoop)
        self.waitingForAddresses.append { once.run() }
        self.eventLoop.scheduleTask(deadline: deadline) { onceOnLoop.value.run() }
        if !self.isAsking { self.ask() }
    }

    private func ask() {
        guard !self.isAsking else { return }
        self.isAsking = true
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.eventLoop)
        let eventLoop = self.eventLoop
        self.resolver.resolve(self.host, self.port) { addresses in
            eventLoop.execute { selfOnLoop.value.answered(addresses) }
        }
    }

    private func answered(_ addresses: [SocketAddress]) {
        self.isAsking = false
        self.book.answer(addresses, .now())
        let waiting = self.waitingForAddresses
        self.waitingForAddresses = []
        for begin in waiting { begin() }
    }

    // MARK: For attempts

    func connect(_ address: SocketAddress, deadline: NIODeadline) -> EventLoopFuture<any Channel> {
        ClientBootstrap(group: self.eventLoop)
            .connectTimeout(max(.milliseconds(1), deadline - .now()))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: ReadBuffers(self.buffers, on: self.eventLoop))
            .channelOption(.maxMessagesPerRead, value: 1)
            // A peer that vanished without a word: what we send, or our probes of its closed window, go unanswered.
            .channelOption(
                .tcpOption(.init(rawValue: TCP_USER_TIMEOUT)), value: Self.unansweredMillisecondsMax
            )
            // Behind a FIN the channel reads to the end, paused or not: so much can be in memory for each. It must be
            // set before the handshake, which agrees on the window.
            .channelOption(.socketOption(.so_rcvbuf), value: Self.receiveBufferBytes)
            // Upstream's FIN is looked at before the socket goes (`UpstreamConnection.inputClosed`).
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: true)
            .connect(to: address)
    }

    /// Its connection was refused, or was not to be used.
    func failed(_ address: SocketAddress) { self.book.failed(address, .now()) }

    /// A socket is open: the rest of the way.
    func proceed(
        _ channel: any Channel, to address: SocketAddress, deadline: NIODeadline,
        _ completion: @escaping Completion
    ) {
        let handshake = UpstreamHandshake(
            channel: channel, origin: self.origin, proxy: self.proxy,
            tls: self.tls.map { .init(context: $0, sessions: self.sessions, buffers: self.buffers) },
            deadline: deadline,
            counters: self.counters)
        handshake.run { result in
            // Who accepts connections and cannot serve them is no better than who does not accept them.
            switch result {
            case .success: self.book.succeeded(address)
            case .failure: self.failed(address)
            }
            completion(result)
        }
    }

    var attemptDelay: TimeAmount { Self.attemptDelay }
    var loop: any EventLoop { self.eventLoop }
}

/// Runs a closure the first time only.
private final class DialOnce {
    private var body: (() -> Void)?
    init(_ body: @escaping () -> Void) { self.body = body }

    func run() {
        let body = self.body
        self.body = nil
        body?()
    }
}

/// One dial over the addresses of a name: the next is tried when one fails, or is silent for a moment. The first that
/// connects wins.
private final class DialAttempt {
    private let dialer: UpstreamDialer
    private let deadline: NIODeadline
    private let completion: UpstreamDialer.Completion
    private var left: ArraySlice<SocketAddress> = []
    private var running = 0
    private var isOver = false
    private var failure: UpstreamFailure = .connectFailed

    init(dialer: UpstreamDialer, deadline: NIODeadline, completion: @escaping UpstreamDialer.Completion) {
        self.dialer = dialer
        self.deadline = deadline
        self.completion = completion
    }

    func start(_ addresses: [SocketAddress]) {
        self.left = addresses[...]
        guard !addresses.isEmpty else {
            self.finish(.failure(.nameNotResolved))
            return
        }
        self.tryNext()
    }

    private func tryNext() {
        guard !self.isOver, let address = self.left.popFirst() else { return }
        self.running += 1
        let selfOnLoop = NIOLoopBound(self, eventLoop: self.dialer.loop)
        self.dialer.connect(address, deadline: self.deadline).whenComplete { result in
            selfOnLoop.value.ended(address, result)
        }
        guard !self.left.isEmpty else { return }
        let leftNow = self.left.count
        self.dialer.loop.scheduleTask(in: self.dialer.attemptDelay) {
            // Unless it was tried already, because one failed.
            if selfOnLoop.value.left.count == leftNow { selfOnLoop.value.tryNext() }
        }
    }

    private func ended(_ address: SocketAddress, _ result: Result<any Channel, any Error>) {
        self.running -= 1
        switch result {
        case .success(let channel):
            guard !self.isOver else {
                channel.close(promise: nil)
                return
            }
            self.isOver = true
            self.dialer.proceed(channel, to: address, deadline: self.deadline, self.completion)
        case .failure(let error):
            self.dialer.failed(address)
            if case .connectTimeout = error as? ChannelError { self.failure = .connectTimeout }
            if !self.left.isEmpty {
                self.tryNext()
            } else if self.running == 0 {
                self.finish(.failure(self.failure))
            }
        }
    }

    private func finish(_ result: Result<UpstreamDialer.Dialled, UpstreamFailure>) {
        guard !self.isOver else { return }
        self.isOver = true
        self.completion(result)
    }
}
