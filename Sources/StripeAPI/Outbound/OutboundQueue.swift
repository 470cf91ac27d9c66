/// Requests that wait for a thread, oldest first, never more than its capacity. Pure: who holds the lock
/// acts.
struct OutboundQueue<Work> {
    private var waiting: [(id: UInt64, work: Work)] = []
    private var isShutDown = false
    private let capacity: Int

    enum AddAction: Equatable {
        case wakeWorker
        case refuse(OutboundFailure)
    }

    enum TakeAction {
        case run(Work)
        case sleep
        case end
    }

    init(capacity: Int) { self.capacity = capacity }

    mutating func add(_ work: Work, id: UInt64) -> AddAction {
        if self.isShutDown { return .refuse(.shutDown(sent: false)) }
        guard self.waiting.count < self.capacity else { return .refuse(.queueFull) }
        self.waiting.append((id, work))
        return .wakeWorker
    }

    /// For a worker that was woken. A worker may be woken for work that was cancelled since: then it sleeps
    /// again.
    mutating func take() -> TakeAction {
        if !self.waiting.isEmpty { return .run(self.waiting.removeFirst().work) }
        return self.isShutDown ? .end : .sleep
    }

    /// - Returns: the work, which nobody else will see; nil when it runs already or has ended.
    mutating func cancel(_ id: UInt64) -> Work? {
        guard let index = self.waiting.firstIndex(where: { $0.id == id }) else { return nil }
        return self.waiting.remove(at: index).work
    }

    /// - Returns: what will not run any more. A second call returns nothing.
    mutating func shutDown() -> [Work] {
        self.isShutDown = true
        defer { self.waiting = [] }
        return self.waiting.map(\.work)
    }
}
