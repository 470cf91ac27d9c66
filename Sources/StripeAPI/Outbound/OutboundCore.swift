import Dispatch
import Synchronization

typealias OutboundResult = Result<OutboundReply, OutboundFailure>

/// One request on its way, with what its caller may still change.
final class OutboundJob: Sendable {
    let id: UInt64
    let request: OutboundRequest
    let deadline: ContinuousClock.Instant
    let isCancelled = Atomic(false)

    init(id: UInt64, request: OutboundRequest, deadline: ContinuousClock.Instant) {
        self.id = id
        self.request = request
        self.deadline = deadline
    }
}

/// What the callers and the workers of one `OutboundHTTP` share.
final class OutboundCore: Sendable {
    struct Work: Sendable {
        var job: OutboundJob
        /// Called once, by whoever has taken the work out of the queue, or has not let it in.
        var end: @Sendable (OutboundResult) -> Void
    }

    let configuration: OutboundHTTP.Configuration
    private let isShutDown = Atomic(false)
    private let lastID = Atomic<UInt64>(0)
    private let queue: Mutex<OutboundQueue<Work>>
    /// One signal for each work that was queued, and one for each worker at the end.
    private let wakes = DispatchSemaphore(value: 0)

    init(_ configuration: OutboundHTTP.Configuration) {
        self.configuration = configuration
        self.queue = Mutex(OutboundQueue(capacity: configuration.queueMax))
    }

    func makeJob(_ request: OutboundRequest) -> OutboundJob {
        let timeout = min(request.timeout ?? self.configuration.totalTimeout, self.configuration.totalTimeout)
        let id = self.lastID.add(1, ordering: .relaxed).newValue
        return OutboundJob(id: id, request: request, deadline: .now.advanced(by: timeout))
    }

    func submit(_ job: OutboundJob, end: @escaping @Sendable (OutboundResult) -> Void) {
        guard job.request.isWellFormed else { return end(.failure(.malformedRequest)) }
        let work = Work(job: job, end: end)
        switch self.queue.withLock({ $0.add(work, id: job.id) }) {
        case .wakeWorker: self.wakes.signal()
        case .refuse(let failure): end(.failure(failure))
        }
    }

    func cancel(_ job: OutboundJob) {
        job.isCancelled.store(true, ordering: .relaxed)
        self.queue.withLock { $0.cancel(job.id) }?.end(.failure(.cancelled(sent: false)))
    }

    func shutDown() {
        self.isShutDown.store(true, ordering: .relaxed)
        for work in self.queue.withLock({ $0.shutDown() }) { work.end(.failure(.shutDown(sent: false))) }
        for _ in 0..<self.configuration.threads { self.wakes.signal() }
    }

    func startWorker() {
        OutboundThread.start {
            // One handle per thread, made and freed on it.
            let handle = CurlHandle(self.configuration)
            while let work = self.nextWork() { work.end(self.perform(work.job, on: handle)) }
        }
    }

    /// Waits. nil: the worker's life is over.
    private func nextWork() -> Work? {
        while true {
            self.wakes.wait()
            switch self.queue.withLock({ $0.take() }) {
            case .run(let work): return work
            case .sleep: continue
            case .end: return nil
            }
        }
    }

    private func perform(_ job: OutboundJob, on handle: CurlHandle) -> OutboundResult {
        let left = job.deadline - .now
        guard left > .zero else { return .failure(.timedOut(sent: false)) }
        return handle.perform(job.request, within: left) {
            if job.isCancelled.load(ordering: .relaxed) { return .cancelled }
            return self.isShutDown.load(ordering: .relaxed) ? .shutDown : nil
        }
    }
}

/// Where a blocked caller finds its result.
final class OutboundAnswer: Sendable {
    private let result = Mutex<OutboundResult?>(nil)
    private let isThere = DispatchSemaphore(value: 0)

    func set(_ result: OutboundResult) {
        self.result.withLock { $0 = result }
        self.isThere.signal()
    }

    func wait() -> OutboundResult {
        self.isThere.wait()
        // `set` has been called: it is the only one that signals.
        return self.result.withLock { $0 } ?? .failure(.shutDown(sent: true))
    }
}
