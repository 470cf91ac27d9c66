import Metering
import NIOCore

/// The upstream connections of one event loop. Hands out idle ones first, newest first, then streams of HTTP/2
/// connections, dials up to a limit, and lets the rest wait in order. Used only on its loop.
final class UpstreamPool {
    struct Limits: Sendable {
        /// Asks the kernel about a connection before it is used again; off only in tests of what happens then.
        var checksLiveness = true
        /// A connection this old is not used again, so that changes of the name's addresses are followed. Varied by
        /// a tenth, lest all end at once.
        var ageMax: TimeAmount = .minutes(10)
        var connectionsMax = 8192
        var waitingMax = 8192
        /// An idle connection older than this is closed rather than used: upstream may be about to close it.
        var idleMax: TimeAmount = .seconds(30)
        /// How often idle, old and silent ones are looked for.
        var sweepInterval: TimeAmount = .seconds(5)
        /// Name, TCP, proxy, TLS and HTTP/2's first word together.
        var connectTimeout: TimeAmount = .seconds(10)
        /// An HTTP/2 connection is asked for a sign of life so often, and given up after so long a silence.
        var pingInterval: TimeAmount = .seconds(15)
        var pingPatience: TimeAmount = .seconds(10)
        /// When names are asked for again, and how long addresses that fail are left alone.
        var addresses = AddressBook.Settings()
        /// After so many dials in a row that failed, nobody waits for another one for a moment.
        var failuresMax = 5
    }

    private let eventLoop: any EventLoop
    let limits: Limits
    private let dialer: UpstreamDialer
    let counters: UpstreamCounters
    /// All that reads and writes on the loop shares them.
    let buffers = SpareBuffers()
    /// Oldest first. One that died stays until it is met or the dead are half of the list, so that many
    /// deaths cost no search each; its `isIdle` is false.
    private var idle: [UpstreamConnection] = []
    private var deadInIdle = 0
    private var sessions: [UpstreamHTTP2] = []
    private var waiting = WaitingLine()
    /// These must not get a connection that was used before.
    private var waitingForFresh = WaitingLine()
    /// Connections in any state, those being dialled included; streams are not counted.
    private(set) var count = 0
    /// Not ready to be used yet; an HTTP/2 connection is when it has said how many streams it takes.
    private var dialling = 0
    private var openingStreams = 0
    private var failuresInARow = 0
    private var failFastUntil: NIODeadline = .uptimeNanoseconds(0)
    private var lastFailure: UpstreamFailure = .connectFailed
    private var isShutDown = false
    private var sweep: RepeatedTask?

    /// - Parameter tls: required when the origin is `https`.
    init(
        eventLoop: any EventLoop, origin: UpstreamOrigin, tls: TLSClientContext?, limits: Limits = Limits(),
        proxy: UpstreamProxy? = nil, resolver: NameResolver = .system,
        counters: UpstreamCounters = UpstreamCounters()
    ) {
        precondition(!origin.isTLS || tls != nil, "ProxyServer makes the context for an https origin")
        self.eventLoop = eventLoop
        self.limits = limits
        self.counters = counters
        self.dialer = UpstreamDialer(
            eventLoop: eventLoop, origin: origin, tls: tls, proxy: proxy, resolver: resolver,
            connectTimeout: limits.connectTimeout, addresses: limits.addresses, counters: counters,
            buffers: self.buffers)
        let selfOnLoop = NIOLoopBound(self, eventLoop: eventLoop)
        self.sweep = eventLoop.scheduleRepeatedTask(
            initialDelay: limits.sweepInterval, delay: limits.sweepInterval
        ) { _ in selfOnLoop.value.evictIdle() }
    }

    /// Ends in exactly one `upstreamReady` or `upstreamFailed`, unless cancelled.
    ///
    /// - Parameter fresh: only a connection that nobody used before will do.
    func lease(_ borrower: any UpstreamBorrower, fresh: Bool = false) {
        guard !self.isShutDown else {
            borrower.upstreamFailed(.shuttingDown)
            return
        }
        if !fresh, let connection = self.popUsable() {
            self.hand(connection, to: borrower, reused: true)
            return
        }
        guard self.waitingCount < self.limits.waitingMax else {
            self.fail(borrower, .poolExhausted)
            return
        }
        // An upstream that is down must not make everyone wait for the time-out.
        if self.failuresInARow >= self.limits.failuresMax, .now() < self.failFastUntil, !self.hasUsable {
            self.fail(borrower, self.lastFailure)
            return
        }
        if fresh { self.waitingForFresh.append(borrower) } else { self.waiting.append(borrower) }
        self.dialWhereNeeded()
    }

    /// The borrower does not want a connection any more. No call follows.
    func cancel(_ borrower: any UpstreamBorrower) {
        self.waiting.remove(borrower)
        self.waitingForFresh.remove(borrower)
    }

    /// A connection is open that may be given back, or take one more stream.
    private var hasUsable: Bool {
        self.count - self.dialling > self.sessions.count { $0.isReady && $0.isLeaving }
    }

    func shutdown() {
        self.isShutDown = true
        self.sweep?.cancel()
        while let connection = self.popIdle() { connection.abort() }
        for session in self.sessions { session.leave() }
        while let borrower = self.popWaiting() { borrower.upstreamFailed(.shuttingDown) }
    }

    /// Connections that are dialled from now on use this context.
    func setTLS(_ tls: TLSClientContext?) { self.dialer.tls = tls }

    // MARK: For connections

    /// One that waits for its next borrower is not asked about now, but when that one comes.
    func takeBack(_ connection: UpstreamConnection) {
        let isWaitedFor = self.waiting.count > 0
        guard !self.isShutDown, isWaitedFor ? self.isUsable(connection) : self.isYoung(connection) else {
            return connection.abort()
        }
        if let next = self.waiting.popFirst() {
            self.hand(connection, to: next, reused: true)
        } else {
            self.pushIdle(connection)
        }
    }

    /// The channel is gone. Each connection calls this once.
    func forget(_ connection: UpstreamConnection) {
        self.connectionGone()
        self.idleDied(connection)
        self.dialWhereNeeded()
    }

    func forget(_ session: UpstreamHTTP2) {
        self.sessions.removeAll { $0 === session }
        guard session.isReady else {
            if let address = session.address { self.dialer.failed(address) }
            self.dialling -= 1
            self.dialFailed(session.failure)
            return
        }
        self.connectionGone()
        self.dialWhereNeeded()
    }

    /// Upstream has said how many streams a connection takes.
    ///
    /// - Parameters:
    ///   - isFirst: as the first thing that it said; a lower limit later on is that connection's own affair.
    ///   - wasReady: the connection was in use already.
    func settled(_ session: UpstreamHTTP2, isFirst: Bool, wasReady: Bool) {
        if session.streamsMax > 0, isFirst || session.streamsMax > self.streamsMaxHeard ?? 0 {
            self.streamsMaxHeard = session.streamsMax
        }
        if wasReady { self.dialWhereNeeded() } else { self.sessionReady() }
    }

    /// A stream of HTTP/2 made room for another.
    func streamEnded() { self.dialWhereNeeded() }

    private func connectionGone() {
        self.count -= 1
        self.counters.open.wrappingSubtract(1, ordering: .relaxed)
    }

    /// The connection closes; if it is idle it is not handed out again.
    func idleDied(_ connection: UpstreamConnection) {
        guard connection.isIdle else { return }
        connection.isIdle = false
        self.deadInIdle += 1
        guard self.deadInIdle * 2 > self.idle.count else { return }
        self.idle.removeAll { !$0.isIdle }
        self.deadInIdle = 0
    }

    /// A life of `ageMax`, more or less a tenth.
    func retirement() -> NIODeadline {
        let tenth = self.limits.ageMax.nanoseconds / 10
        return .now() + self.limits.ageMax + .nanoseconds(Int64.random(in: -tenth...tenth))
    }

    // MARK: Idle ones

    private func pushIdle(_ connection: UpstreamConnection) {
        connection.isIdle = true
        self.idle.append(connection)
    }

    private func popIdle() -> UpstreamConnection? {
        while let connection = self.idle.popLast() {
            guard connection.isIdle else {
                self.deadInIdle -= 1
                continue
            }
            connection.isIdle = false
            return connection
        }
        return nil
    }

    private func popUsable() -> UpstreamConnection? {
        while let connection = self.popIdle() {
            if self.isUsable(connection) { return connection }
            connection.abort()
        }
        return nil
    }

    private func isUsable(_ connection: UpstreamConnection) -> Bool {
        guard self.isYoung(connection) else { return false }
        // Asked in any case: what upstream had acknowledged by now is remembered.
        let isAlive = connection.isAlive()
        return isAlive || !self.limits.checksLiveness
    }

    private func isYoung(_ connection: UpstreamConnection) -> Bool {
        let now = NIODeadline.now()
        return connection.idleSince + self.limits.idleMax > now && connection.retireAt > now
    }

    var idleCount: Int { self.idle.count - self.deadInIdle }
    var waitingCount: Int { self.waiting.count + self.waitingForFresh.count }

    private func evictIdle() {
        let now = NIODeadline.now()
        self.dialer.refresh()
        for connection in self.idle where connection.isIdle {
            let isOld = connection.idleSince + self.limits.idleMax < now || connection.retireAt < now
            if isOld || !self.dialer.lists(connection.address) { connection.abort() }
        }
        for session in self.sessions {
            guard session.isReady else { continue }
            let isIdle = session.streams == 0 && session.idleSince + self.limits.idleMax < now
            if isIdle || session.bornAt + self.limits.ageMax < now || !self.dialer.lists(session.address) {
                session.leave()
            }
            session.checkHealth(now)
        }
    }

    // MARK: Dialling

    /// A dial, or a stream that opens, is under way for each one who waits, as far as the limits allow.
    private func dialWhereNeeded() {
        while !self.isShutDown, self.waitingCount > self.dialling + self.openingStreams {
            if let session = self.sessions.first(where: { $0.room > 0 }) {
                self.openStream(session)
            } else if self.count < self.limits.connectionsMax, !self.isHTTP2Coming {
                self.dial()
            } else {
                return
            }
        }
    }

    /// Upstream speaks HTTP/2, and the connections that are being dialled will carry all who wait.
    private var isHTTP2Coming: Bool {
        let streamsMax = self.streamsMaxHeard ?? UpstreamHTTP2.streamsMaxOfOurs
        return self.speaksHTTP2 && self.dialling > 0
            && self.waitingCount - self.openingStreams <= self.dialling * streamsMax
    }
    /// As the last connection that was dialled.
    private var speaksHTTP2 = false
    /// Streams that upstream takes on one connection, as it said of the last one; at least one.
    private var streamsMaxHeard: Int?

    private func openStream(_ session: UpstreamHTTP2) {
        self.openingStreams += 1
        session.open { connection in
            self.openingStreams -= 1
            guard let connection else {
                self.dialWhereNeeded()
                return
            }
            self.counters.streams.wrappingAdd(1, ordering: .relaxed)
            self.ready(connection)
        }
    }

    private func dial() {
        self.count += 1
        self.dialling += 1
        self.counters.open.wrappingAdd(1, ordering: .relaxed)
        self.counters.dials.wrappingAdd(1, ordering: .relaxed)
        let deadline = NIODeadline.now() + self.limits.connectTimeout
        self.dialer.dial { result in
            switch result {
            case .success(.http1(let channel, let bytesBefore)):
                self.dialling -= 1
                self.dialled(channel, bytesBefore: bytesBefore)
            case .success(.http2(let channel)):
                self.dialledHTTP2(channel, deadline)
            case .failure(let failure):
                self.dialling -= 1
                self.dialFailed(failure)
            }
        }
    }

    private func dialled(_ channel: any Channel, bytesBefore: UInt64) {
        let connection = UpstreamConnection(pool: self, bytesBefore: bytesBefore)
        guard channel.isActive, (try? channel.pipeline.syncOperations.addHandler(connection)) != nil else {
            channel.close(promise: nil)
            self.dialFailed(.connectFailed)
            return
        }
        self.failuresInARow = 0
        // Whoever waited for a connection that would carry all of them needs one of his own.
        self.speaksHTTP2 = false
        self.ready(connection)
        self.dialWhereNeeded()
    }

    private func dialledHTTP2(_ channel: any Channel, _ deadline: NIODeadline) {
        let session =
            channel.isActive
            ? try? UpstreamHTTP2.install(
                on: channel, pool: self, streamsMax: self.streamsMaxHeard, deadline: deadline) : nil
        guard let session else {
            channel.close(promise: nil)
            self.dialling -= 1
            self.dialFailed(.connectFailed)
            return
        }
        self.speaksHTTP2 = true
        self.sessions.append(session)
        if self.isShutDown { session.leave() }
        if session.isReady { self.sessionReady() }
    }

    private func sessionReady() {
        self.dialling -= 1
        self.failuresInARow = 0
        self.dialWhereNeeded()
    }

    /// A connection that nobody used before.
    private func ready(_ connection: UpstreamConnection) {
        if self.isShutDown {
            connection.abort()
        } else if let borrower = self.popWaiting() {
            self.hand(connection, to: borrower, reused: false)
        } else if connection.isStream {
            connection.abort()
        } else {
            self.pushIdle(connection)
        }
    }

    private func popWaiting() -> (any UpstreamBorrower)? {
        self.waitingForFresh.popFirst() ?? self.waiting.popFirst()
    }

    private func hand(_ connection: UpstreamConnection, to borrower: any UpstreamBorrower, reused: Bool) {
        if reused { self.counters.reused.wrappingAdd(1, ordering: .relaxed) }
        connection.assign(borrower)
        borrower.upstreamReady(connection, reused: reused)
    }

    private func fail(_ borrower: any UpstreamBorrower, _ failure: UpstreamFailure) {
        self.counters.count(failure)
        borrower.upstreamFailed(failure)
    }

    private func dialFailed(_ failure: UpstreamFailure) {
        self.connectionGone()
        self.failuresInARow += 1
        self.failFastUntil = .now() + .seconds(1)
        self.lastFailure = failure
        // Where a dial is left for each one who waits nobody hears of it, else the one who waits longest.
        if self.waitingCount > self.dialling + self.openingStreams, let borrower = self.popWaiting() {
            self.fail(borrower, failure)
        }
        self.dialWhereNeeded()
    }
}
