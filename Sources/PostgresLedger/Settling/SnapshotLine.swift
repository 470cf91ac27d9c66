/// Requests in front of a few lanes: one that finds a free lane goes at once and alone, and those that came while
/// all lanes were taken go together. A value; the runner sends what it is handed and reports each end.
struct SnapshotLine<Request> {
    struct Limits {
        /// Statements that run at once.
        var lanes = 1
        var requestsPerStatement = 64
        /// Holds of all requests of one statement; a single request may have more.
        var holdsPerStatement = 8192
        /// Beyond, requests are refused.
        var waitingMax = 4096
    }

    enum AddAction {
        case send([Request])
        /// It goes with a later statement.
        case wait
        case refuse
    }

    private let limits: Limits
    private var waiting: [(request: Request, holds: Int)] = []
    private var running = 0

    init(limits: Limits = Limits()) {
        precondition(
            limits.lanes > 0 && limits.requestsPerStatement > 0,
            "SnapshotReader.init passes the size of its pool")
        self.limits = limits
    }

    mutating func add(_ request: Request, holds: Int) -> AddAction {
        guard self.running >= self.limits.lanes else {
            self.running += 1
            return .send([request])
        }
        guard self.waiting.count < self.limits.waitingMax else { return .refuse }
        self.waiting.append((request, holds))
        return .wait
    }

    /// A statement was answered: the requests of the next one, if any waits.
    mutating func answered() -> [Request]? {
        precondition(self.running > 0, "answered() follows .send")
        guard !self.waiting.isEmpty else {
            self.running -= 1
            return nil
        }
        var holds = 0
        var count = 0
        for (_, more) in self.waiting.prefix(self.limits.requestsPerStatement) {
            holds += more
            if count > 0 && holds > self.limits.holdsPerStatement { break }
            count += 1
        }
        let batch = self.waiting.prefix(count).map(\.request)
        self.waiting.removeFirst(count)
        return batch
    }

    /// A statement failed: whoever waits fails with it, so that nobody waits through a row of time-outs.
    mutating func failed() -> [Request] {
        precondition(self.running > 0, "failed() follows .send")
        self.running -= 1
        defer { self.waiting = [] }
        return self.waiting.map(\.request)
    }
}
