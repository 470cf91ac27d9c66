import NIOCore
import NIOPosix

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
    /// Of its own: when connections come depends on the clock, and what is asked should not.
    private var dialRandom: SeededRandom
    private let start: NIODeadline
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

    /// New connections of a closed loop; of more, the least pause between two on average, in ns: a backlog has its bounds.
    private static let dialsAtOnce = 64
    private static let dialPauseMin: Int64 = 30_000
    /// After a failure: whoever refuses is not asked a hundred thousand times a second.
    private static let pauseAfterFailure = TimeAmount.milliseconds(10)

    /// - Parameter start: of all loops' schedules, whenever each of them gets to run.
    init(_ loop: any EventLoop, plan: LoadPlan, start: NIODeadline, gate: Gate, seed: UInt64) {
        self.loop = loop
        self.start = start
        self.plan = plan
        self.gate = gate
        self.random = SeededRandom(seed: seed)
        self.dialRandom = SeededRandom(seed: ~seed)
        self.finished = loop.makePromise()
    }

    // MARK: Life

    /// - Returns: done when the measured part is over and what ran has ended.
    func run() -> EventLoopFuture<Void> {
        switch self.plan.arrivals {
        case .connections(let count): self.dial(count)
        case .rate(let perSecond, let pattern, _):
            self.nextDue = self.start + self.plan.firstPause(perSecond, pattern, &self.random)
            self.arrive()
        }
        self.schedule(at: self.gate.closes) { self.finish() }
        return self.finished.futureResult
    }

    private func finish() {
        // A loop that is late has not heard of all that was due.
        self.catchUp(to: self.gate.closes)
        self.isOver = true
        for connection in self.idle { connection.close() }
        self.idle.removeAll()
        // What waits for a connection begins when there is one; its time runs since it was due.
        self.schedule(in: self.plan.timeout) { self.giveUpWaiting() }
        self.finishIfQuiet()
    }

    /// Nobody asks any more what comes of it; what runs ends with its loop.
    func abandon() {
        self.isOver = true
        self.finished.fail(CancellationError())
    }

    private func giveUpWaiting() {
        while let due = self.waiting.popFirst() { self.fail(due, "not begun") }
        self.finishIfQuiet()
    }

    private func finishIfQuiet() {
        if self.isOver, self.runningCount == 0, self.waiting.isEmpty { self.finished.succeed() }
    }

    private func fail(_ began: NIODeadline, _ kind: String) {
        let isMeasured = self.gate.holds(began)
        if isMeasured { self.tally.started += 1 }
        self.tally.failed(kind, isMeasured: isMeasured)
    }

    // MARK: Time

    @discardableResult
    func schedule(in amount: TimeAmount, _ work: @escaping () -> Void) -> Scheduled<Void> {
        let bound = NIOLoopBound(work, eventLoop: self.loop)
        return self.loop.scheduleTask(in: amount) { bound.value() }
    }

    private func schedule(at time: NIODeadline, _ work: @escaping () -> Void) {
        let bound = NIOLoopBound(work, eventLoop: self.loop)
        self.loop.scheduleTask(deadline: time) { bound.value() }
    }

    func scheduleTimeout(_ work: @escaping () -> Void) -> Scheduled<Void> {
        self.schedule(in: self.plan.timeout, work)
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
        if self.connectionCount < self.plan.connectionsMax { self.dial() }
    }

    // MARK: Connections

    /// A crowd comes one by one, at moments that are random: did it come at once, its tokens would do so ever after.
    private func dial(_ count: Int) {
        guard count > Self.dialsAtOnce else { return (0..<count).forEach { _ in self.dial() } }
        let span = (self.gate.opens - self.start).nanoseconds / 2
        self.dialCrowd(count, meanPause: max(Self.dialPauseMin, span / Int64(count)))
    }

    private func dialCrowd(_ count: Int, meanPause: Int64) {
        self.dial()
        guard count > 1 else { return }
        let pause = Int64(2 * self.dialRandom.share() * Double(meanPause))
        self.schedule(in: .nanoseconds(pause)) { self.dialCrowd(count - 1, meanPause: meanPause) }
    }

    private func dial() {
        guard !self.isOver || !self.waiting.isEmpty else { return }
        self.connectionCount += 1
        let bound = NIOLoopBound(self, eventLoop: self.loop)
        let target = self.plan.target
        ClientBootstrap(group: self.loop)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(10))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try target.add(LoadConnection(bound.value), to: channel)
                }
            }
            .connect(host: target.host, port: target.port)
            .whenFailure { bound.value.couldNotConnect($0) }
    }

    private func couldNotConnect(_ error: any Error) {
        let fault = FaultName.connecting(error)
        self.connectionCount -= 1
        if let due = self.waiting.popFirst() {
            self.fail(due, fault)
        } else if !self.isOver, case .connections = self.plan.arrivals {
            self.fail(.now(), fault)
        }
        self.replace()
        self.finishIfQuiet()
    }

    func isReady(_ connection: LoadConnection) { self.next(on: connection) }

    func isGone(_ connection: LoadConnection) {
        self.connectionCount -= 1
        self.idle.removeAll { $0 === connection }
        self.replace()
    }

    private func replace() {
        switch self.plan.arrivals {
        case .connections(let count):
            guard !self.isOver else { return }
            self.schedule(in: Self.pauseAfterFailure) { if self.connectionCount < count { self.dial() } }
        case .rate:
            if !self.waiting.isEmpty, self.connectionCount < self.plan.connectionsMax { self.dial() }
        }
    }

    private func next(on connection: LoadConnection) {
        if let due = self.waiting.popFirst() { return self.begin(on: connection, due: due) }
        guard !self.isOver else { return connection.close() }
        switch self.plan.arrivals {
        case .connections: self.begin(on: connection, due: .now())
        case .rate: self.idle.append(connection)
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
        // Who reads slowly waits for itself, and a refusal is quick.
        guard exchange.kind == .patient, exchange.reader.status == 200 else { return }
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
        self.tally.unpriced += judged.isUnpriced ? 1 : 0
        self.tally.compared += judged.isCompared ? 1 : 0
        self.tally.differing += judged.isCompared && judged.failure == "differs" ? 1 : 0
        self.count(exchange, judged)
        if mayGoOn { self.goOn(connection, isRefused: judged.failure != nil) }
        self.finishIfQuiet()
    }

    private func goOn(_ connection: LoadConnection, isRefused: Bool) {
        guard isRefused else { return self.next(on: connection) }
        self.schedule(in: Self.pauseAfterFailure) { if connection.isOpen { self.next(on: connection) } }
    }

    private func count(_ exchange: LoadConnection.Exchange, _ judged: LoadPlan.Judgement) {
        if let failure = judged.failure { self.tally.failed(failure, isMeasured: exchange.isMeasured) }
        if judged.failure == nil, self.gate.holds(.now()) { self.tally.completed += 1 }
        guard exchange.isMeasured else { return }
        if let status = exchange.reader.status { self.tally.statuses[status, default: 0] += 1 }
        guard judged.failure == nil else { return }
        self.tally.succeeded += 1
        if exchange.kind == .patient { self.tally.total.record((.now() - exchange.began).wholeMicroseconds) }
    }
}

extension TimeAmount {
    fileprivate var wholeMicroseconds: UInt64 { UInt64(max(0, self.nanoseconds) / 1000) }
}
