import Glibc

struct PoolJob: Sendable {
    /// nil: the pool's `jobTimeout`.
    var timeout: Duration?
    var run: @Sendable (Result<PostgresConnection, PostgresError>) -> Void
    var queuedAt = ContinuousClock.now

    init(timeout: Duration?, run: @escaping @Sendable (Result<PostgresConnection, PostgresError>) -> Void) {
        self.timeout = timeout
        self.run = run
    }
}

/// Jobs waiting for a thread: a ring under a mutex, with a condition to sleep on.
// SAFETY: every stored property is touched only while `mutex` is locked.
final class PoolQueue: @unchecked Sendable {
    private let limits: PostgresPool.Limits
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var jobs: [PoolJob] = []
    private var head = 0
    private var closed = false
    /// Connections that were opened at an earlier count are not used any more.
    private var distrusted = 0
    /// Threads that have not ended.
    private var workers: Int

    init(limits: PostgresPool.Limits, workers: Int) {
        self.limits = limits
        self.workers = workers
        self.mutex = .allocate(capacity: 1)
        self.condition = .allocate(capacity: 1)
        pthread_mutex_init(self.mutex, nil)
        pthread_cond_init(self.condition, nil)
    }

    deinit {
        pthread_mutex_destroy(self.mutex)
        pthread_cond_destroy(self.condition)
        self.mutex.deallocate()
        self.condition.deallocate()
    }

    /// Why the job was not taken; nil when it was.
    func add(_ job: PoolJob) -> PostgresError.Unreachable? {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        if self.closed { return .shutDown }
        guard self.jobs.count - self.head < self.limits.waitingMax else { return .overloaded }
        self.jobs.append(job)
        pthread_cond_signal(self.condition)
        return nil
    }

    /// Sleeps until there is a job; nil when the pool is closed and none waits.
    func next() -> PoolJob? {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        while self.head == self.jobs.count {
            if self.closed { return nil }
            pthread_cond_wait(self.condition, self.mutex)
        }
        let job = self.jobs[self.head]
        self.head += 1
        if self.head == self.jobs.count || self.head >= 1024 {
            self.jobs.removeFirst(self.head)
            self.head = 0
        }
        return job
    }

    var isClosed: Bool {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        return self.closed
    }

    func distrustConnections() {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        self.distrusted += 1
    }

    var timesDistrusted: Int {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        return self.distrusted
    }

    func workerEnded() {
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        self.workers -= 1
        pthread_cond_broadcast(self.condition)
    }

    func waitForWorkers(seconds: Int) {
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += seconds
        pthread_mutex_lock(self.mutex)
        defer { pthread_mutex_unlock(self.mutex) }
        while self.workers > 0 {
            if pthread_cond_timedwait(self.condition, self.mutex, &deadline) != 0 { return }
        }
    }

    func close() {
        pthread_mutex_lock(self.mutex)
        self.closed = true
        pthread_cond_broadcast(self.condition)
        pthread_mutex_unlock(self.mutex)
    }
}
