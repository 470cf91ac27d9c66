import Glibc
import Synchronization

/// Wakes the journal's thread. Ringing costs a system call only when the thread has seen the last ring, so event
/// loops may ring at every record.
// SAFETY: the semaphore is made for any number of threads, and lives as long as this object.
final class SyncAlarm: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>
    private let rung = Atomic(false)

    init() {
        self.semaphore = .allocate(capacity: 1)
        sem_init(self.semaphore, 0, 0)
    }

    deinit {
        sem_destroy(self.semaphore)
        self.semaphore.deallocate()
    }

    /// Never blocks.
    func ring() {
        if !self.rung.exchange(true, ordering: .sequentiallyConsistent) { sem_post(self.semaphore) }
    }

    /// Sleeps until the next ring, or so long (longer when the wall clock is set back, which only delays what
    /// has no hurry). What was done before a ring is seen after it.
    func wait(milliseconds: Int) {
        var until = timespec()
        clock_gettime(CLOCK_REALTIME, &until)
        let nanoseconds = until.tv_nsec + milliseconds * 1_000_000
        until.tv_sec += nanoseconds / 1_000_000_000
        until.tv_nsec = nanoseconds % 1_000_000_000
        _ = sem_timedwait(self.semaphore, &until)
        self.rung.store(false, ordering: .sequentiallyConsistent)
    }
}

/// A detached POSIX thread for work that blocks.
enum JournalThread {
    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        precondition(self.mayStart(body), "the process is out of threads at start-up")
    }

    /// Waits for work that blocks without blocking the threads that all tasks share.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            let work: @Sendable () -> Void = { continuation.resume(returning: body()) }
            // Out of threads: late is better than never.
            if !self.mayStart(work) { work() }
        }
    }

    /// false: the process is out of threads, and `body` does not run.
    private static func mayStart(_ body: @escaping @Sendable () -> Void) -> Bool {
        let work = Unmanaged.passRetained(Work(body))
        var thread = pthread_t()
        guard pthread_create(&thread, nil, threadMain, work.toOpaque()) == 0 else {
            work.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    private static let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
        raw in
        guard let raw else { return nil }
        Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().body()
        return nil
    }
}
