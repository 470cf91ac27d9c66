import NIOCore
import NIOPosix
import NIOSSL

/// The part of a run that one event loop drives; all of it happens there.
final class LoadLoop {
    /// How an exchange ended.
    enum End: Equatable {
        case complete
        /// Its client hung up, as it was to.
        case left
        case failed(String)
    }

    let loop: any EventLoop
    let plan: LoadPlan
    private(set) var tally = Tally()
    private var random: SeededRandom
    private let gate: Gate

    private var idle: [LoadConnection] = []
    /// Open loop: when the next request is due.
    private var nextDue = NIODeadline.distantFuture
    /// When requests were due that found no connection, oldest first.
    private var waiting = CircularBuffer<NIODeadline>()
    private var connectionCount = 0
    private var runningCount = 0
    private var isOver = false
    private let finished: EventLoopPromise<Void>

    /// Begin and end of the measured part.
    struct Gate {
        var opens: NIODeadline
        var closes: NIODeadline

        func holds(_ time: NIODeadline) -> Bool { self.opens <= time && time < self.closes }
    }

    /// New connections of a closed loop, and the pause after so many: a backlog has its bounds.
    private static let dialsAtOnce = 64
    private static let dialPause = TimeAmount.milliseconds(2)
    /// After a failure: whoever refuses is not asked a hundred thousand times a second.
    private static let pauseAfterFailure = TimeAmount.milliseconds(10)

    init(_ loop: any EventLoop, plan: LoadPlan, gate: Gate, seed: UInt64) {
        self.loop = loop
        self.plan = plan
        self.gate = gate
        self.random = SeededRandom(seed: seed)
        self.finished = loop.makePromise()
    }

    // MARK: Life

    /// - Returns: done when the measured part is over and what ran has ended.
    func start() -> EventLoopFuture<Void> {
        switch self.plan.arrivals {
        case .connections(let count): self.dial(count)
        case .rate(let perSecond, let pattern, _):
            self.nextDue = .now() + self.plan.pause(perSecond, pattern, &self.random)
            self.arrive()
        }
        self.schedule(at: self.gate.closes) { self.finish() }
        return self.finished.futureResult
    }

    private func finish() {
        // A loop that is late has not heard of all that was due.
        self.catchUp(to: self.gate.closes)
        self.isOver = true
        // What is due and did not begin was not served in time.
        for due in self.waiting where self.gate.holds(due) { self.fail(due, "not begun") }
        self.waiting.removeAll()
        for connection in self.idle { connection.close() }
        self.idle.removeAll()
        self.finishIfQuiet()
    }

    private func finishIfQuiet() {
        if self.isOver, self.runningCount == 0 { self.finished.succeed() }
    }

    private func fail(_ began: NIODeadline, _ kind: String) {
        guard self.gate.holds(began) else { return }
        self.tally.started += 1
        self.tally.failed(kind)
    }

    // MARK: Time

    func schedule(in amount: TimeAmount, _ work: @escaping () -> Void) {
        let bound = NIOLoopBound(work, eventLoop: self.loop)
        self.loop.scheduleTask(in: amount) { bound.value() }
    }

    private func schedule(at time: NIODeadline, _ work: @escaping () -> Void) {
        let bound = NIOLoopBound(work, eventLoop: self.loop)
        self.loop.scheduleTask(deadline: time) { bound.value() }
    }

    func scheduleTimeout(_ work: @escaping () -> Void) -> Scheduled<Void> {
        let bound = NIOLoopBound(work, eventLoop: self.loop)
        return self.loop.scheduleTask(in: self.plan.timeout) { bound.value() }
    }

    // MARK: Arrivals

    /// Begins all that is due, each from its own time, and comes back for the next one.
    private func arrive() {
        self.catchUp(to: .now())
        guard self.nextDue < self.gate.closes else { return }
        self.schedule(at: self.nextDue) { self.arrive() }
    }

    private func catchUp(to now: NIODeadline) {
        guard case .rate(let perSecond, let pattern, _) = self.plan.arrivals else { return }
        while self.nextDue <= now, self.nextDue < self.gate.closes {
            self.due(self.nextDue)
            self.nextDue = self.nextDue + self.plan.pause(perSecond, pattern, &self.random)
        }
    }

    private func due(_ time: NIODeadline) {
        if let connection = self.idle.popLast() { return self.begin(on: connection, due: time) }
        self.waiting.append(time)
        if self.connectionCount < self.plan.connectionsMax { self.dial(1) }
    }

    // MARK: Connections

    private func dial(_ count: Int) {
        let now = min(count, Self.dialsAtOnce)
        for _ in 0..<now { self.dial() }
        if count > now { self.schedule(in: Self.dialPause) { self.dial(count - now) } }
    }

    private func dial() {
        guard !self.isOver else { return }
        self.connectionCount += 1
        let bound = NIOLoopBound(self, eventLoop: self.loop)
        let target = self.plan.target
        ClientBootstrap(group: self.loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let tls = target.tls {
                        try pipeline.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: target.tlsName))
                    }
                    try pipeline.addHandler(LoadConnection(bound.value))
                }
            }
            .connect(host: target.host, port: target.port)
            .whenFailure { _ in bound.value.couldNotConnect() }
    }

    private func couldNotConnect() {
        self.connectionCount -= 1
        guard !self.isOver else { return }
        if let due = self.waiting.popFirst() {
            self.fail(due, "connect")
        } else if case .connections = self.plan.arrivals {
            self.fail(.now(), "connect")
        }
        self.replace()
    }

    func isReady(_ connection: LoadConnection) {
        guard !self.isOver else { return connection.close() }
        self.next(on: connection)
    }

    func isGone(_ connection: LoadConnection) {
        self.connectionCount -= 1
        self.idle.removeAll { $0 === connection }
        self.replace()
    }

    private func replace() {
        guard !self.isOver else { return }
        switch self.plan.arrivals {
        case .connections(let count):
            self.schedule(in: Self.pauseAfterFailure) { if self.connectionCount < count { self.dial() } }
        case .rate:
            if !self.waiting.isEmpty, self.connectionCount < self.plan.connectionsMax { self.dial() }
        }
    }

    private func next(on connection: LoadConnection) {
        switch self.plan.arrivals {
        case .connections: self.begin(on: connection, due: .now())
        case .rate:
            if let due = self.waiting.popFirst() {
                self.begin(on: connection, due: due)
            } else {
                self.idle.append(connection)
            }
        }
    }

    // MARK: Exchanges

    private func begin(on connection: LoadConnection, due: NIODeadline) {
        let kind = self.plan.kind(&self.random)
        let template = Int.random(in: 0..<self.plan.requests.templates.count, using: &self.random)
        let isMeasured = self.gate.holds(due)
        if isMeasured { self.tally.started += 1 }
        self.runningCount += 1
        let reader = ReplyReader(keepsTail: self.plan.expected.isEmpty)
        connection.send(
            self.plan.request(template, kind, &self.random),
            for: .init(template: template, kind: kind, began: due, isMeasured: isMeasured, reader: reader))
    }

    func received(_ bytes: Int, at time: NIODeadline) {
        if self.gate.holds(time) { self.tally.receivedBytes += bytes }
    }

    /// Part of a body has come.
    func arrived(
        _ exchange: LoadConnection.Exchange, first: Bool, events: Int, last: NIODeadline?, at now: NIODeadline
    ) {
        if self.gate.holds(now) { self.tally.chunks += events }
        if first, exchange.isMeasured {
            self.tally.firstByte.record((now - exchange.began).wholeMicroseconds)
        }
        if let last, events > 0, self.gate.holds(now) {
            self.tally.gap.record((now - last).wholeMicroseconds)
        }
    }

    /// In the middle of what the upstream has to say.
    func isTimeToLeave(_ exchange: LoadConnection.Exchange) -> Bool {
        exchange.reader.events >= max(1, self.plan.requests.templates[exchange.template].replyTokens / 2)
    }

    func ended(
        _ exchange: LoadConnection.Exchange, _ end: End, on connection: LoadConnection, mayGoOn: Bool
    ) {
        self.runningCount -= 1
        let judged = self.plan.judge(exchange, end)
        self.tally.due += judged.due
        self.tally.chargeable += judged.isChargeable ? 1 : 0
        self.tally.compared += judged.isCompared ? 1 : 0
        self.tally.differing += judged.isCompared && judged.failure == "differs" ? 1 : 0
        if exchange.isMeasured { self.count(exchange, judged) }
        self.finishIfQuiet()
        guard mayGoOn else { return }
        if self.isOver { connection.close() } else { self.next(on: connection) }
    }

    private func count(_ exchange: LoadConnection.Exchange, _ judged: LoadPlan.Judgement) {
        if let status = exchange.reader.status { self.tally.statuses[status, default: 0] += 1 }
        if let failure = judged.failure { return self.tally.failed(failure) }
        self.tally.succeeded += 1
        if exchange.kind == .patient { self.tally.total.record((.now() - exchange.began).wholeMicroseconds) }
    }
}

extension TimeAmount {
    fileprivate var wholeMicroseconds: UInt64 { UInt64(max(0, self.nanoseconds) / 1000) }
}
