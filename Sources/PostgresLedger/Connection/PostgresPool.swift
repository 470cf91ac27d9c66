import Logging
import Metering

/// A few threads with one connection each, because libpq blocks. Jobs wait in one bounded queue.
///
/// Bound: a job is answered within `waitMax` + its own time limit (10 s + 10 s by default), also when the
/// server hangs; while a connection attempt has just failed, jobs fail at once with `.backingOff`.
public final class PostgresPool: Sendable {
    public struct Limits: Sendable {
        /// Longest time that a job may use a connection.
        public var jobTimeout: Duration = .seconds(10)
        /// Longest time that a job waits for a free connection.
        public var waitMax: Duration = .seconds(10)
        public var waitingMax = 4096
        public var backOffMin: Duration = .milliseconds(50)
        public var backOffMax: Duration = .seconds(1)

        public init() {}
    }

    private let queue: PoolQueue
    public let configuration: PostgresConfiguration
    /// Threads, and so statements that can run at once.
    public let size: Int

    /// Starts `size` threads; connections are opened when the first jobs come.
    public init(
        _ configuration: PostgresConfiguration, size: Int, limits: Limits = Limits(), logger: Logger
    ) {
        precondition(size > 0, "PostgresPool.init: a pool without threads answers nobody")
        let queue = PoolQueue(limits: limits, workers: size)
        self.queue = queue
        self.configuration = configuration
        self.size = size
        for _ in 0..<size {
            DedicatedThread.start {
                PoolWorker(configuration: configuration, limits: limits, logger: logger).run(queue)
                queue.workerEnded()
            }
        }
    }

    deinit { self.queue.close() }

    /// Closes every connection before its next job: what is connected may not be the primary any more. Jobs that run
    /// end as they are.
    public func reconnect() { self.queue.distrustConnections() }

    /// Waiting jobs fail with `.shutDown`; running ones end; connections are closed. Idempotent.
    public func shutDown() { self.queue.close() }

    /// The same, and waits until the threads have closed their connections, at most 2 s. For a process that exits
    /// next: exit handlers of libraries must not run while a thread is still inside libpq. Never call it on a pool
    /// thread.
    public func shutDownAndWait() {
        self.queue.close()
        self.queue.waitForWorkers(seconds: 2)
    }

    /// Runs `body` on a pool thread with a connection of its own. `body` may run several statements; a
    /// transaction that it leaves open is lost with the connection.
    public func run<Value: Sendable>(
        timeout: Duration? = nil,
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            self.submit(timeout: timeout, body) { continuation.resume(with: $0) }
        }
    }

    /// The same with a completion, which is called exactly once on a pool thread (or on the caller's, when
    /// the job is refused at once).
    public func submit<Value: Sendable>(
        timeout: Duration? = nil,
        _ body: @escaping @Sendable (PostgresConnection) throws -> Value,
        completion: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        let job = PoolJob(timeout: timeout) { connection in
            switch connection {
            case .success(let connection): completion(Result { try body(connection) })
            case .failure(let error): completion(.failure(error))
            }
        }
        if let refusal = self.queue.add(job) { completion(.failure(PostgresError.unreachable(refusal))) }
    }
}

/// What one pool thread does: takes jobs, keeps its connection, backs off when there is none.
final class PoolWorker {
    private let configuration: PostgresConfiguration
    private let limits: PostgresPool.Limits
    private let logger: Logger
    private let clock = ContinuousClock()
    private var connection: PostgresConnection?
    /// The queue's `timesDistrusted` that it was opened after.
    private var openedAt = 0
    private var backOff: BackOff

    init(configuration: PostgresConfiguration, limits: PostgresPool.Limits, logger: Logger) {
        self.configuration = configuration
        self.limits = limits
        self.logger = logger
        self.backOff = BackOff(from: limits.backOffMin, to: limits.backOffMax)
    }

    func run(_ queue: PoolQueue) {
        while let job = queue.next() {
            if queue.isClosed {
                job.run(.failure(.unreachable(.shutDown)))
            } else if job.queuedAt.duration(to: self.clock.now) > self.limits.waitMax {
                job.run(.failure(.unreachable(.overloaded)))
            } else {
                self.closeDistrusted(queue.timesDistrusted)
                self.serve(job)
            }
        }
        self.connection?.close()
    }

    private func closeDistrusted(_ times: Int) {
        guard self.openedAt != times else { return }
        self.connection?.close()
        self.connection = nil
        self.openedAt = times
    }

    private func serve(_ job: PoolJob) {
        do throws(PostgresError) {
            let connection = try self.borrow()
            connection.jobDeadline = self.clock.now.advanced(by: job.timeout ?? self.limits.jobTimeout)
            job.run(.success(connection))
            // A body that leaves a transaction open made a mistake; nobody else may inherit it.
            if !connection.isIdle {
                connection.close()
                self.connection = nil
            }
        } catch {
            job.run(.failure(error))
        }
    }

    private func borrow() throws(PostgresError) -> PostgresConnection {
        if let connection = self.connection, connection.checkStillOpen() { return connection }
        self.connection = nil
        guard self.backOff.isDue(self.clock.now) else { throw .unreachable(.backingOff) }
        do throws(PostgresError) {
            let connection = try PostgresConnection(self.configuration)
            self.connection = connection
            self.backOff.succeeded()
            return connection
        } catch {
            self.backOff.failed(self.clock.now)
            self.logger.warning("database connection failed", metadata: ["error": "\(error)"])
            throw error
        }
    }
}

/// Doubling pauses between attempts to connect.
struct BackOff {
    private let least: Duration
    private let most: Duration
    private var pause: Duration
    private var notBefore: ContinuousClock.Instant?

    init(from least: Duration, to most: Duration) {
        self.least = least
        self.most = most
        self.pause = least
    }

    func isDue(_ now: ContinuousClock.Instant) -> Bool { self.notBefore.map { now >= $0 } ?? true }

    mutating func failed(_ now: ContinuousClock.Instant) {
        self.notBefore = now.advanced(by: self.pause)
        self.pause = min(self.most, self.pause * 2)
    }

    mutating func succeeded() {
        self.pause = self.least
        self.notBefore = nil
    }

    /// How long to sleep before the next attempt is due.
    func wait(_ now: ContinuousClock.Instant) -> Duration {
        self.notBefore.map { max(.zero, now.duration(to: $0)) } ?? .zero
    }
}
