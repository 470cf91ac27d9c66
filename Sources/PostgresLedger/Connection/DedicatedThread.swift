import Glibc

/// A detached POSIX thread for work that blocks.
enum DedicatedThread {
    private final class Work {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func start(_ body: @escaping @Sendable () -> Void) {
        let work = Unmanaged.passRetained(Work(body))
        var thread = pthread_t()
        let started = pthread_create(&thread, nil, threadMain, work.toOpaque())
        precondition(started == 0, "the process is out of threads at start-up")
        pthread_detach(thread)
    }

    private static let threadMain: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
        raw in
        guard let raw else { return nil }
        Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().body()
        return nil
    }
}

/// Sleeps on a thread of our own; never called on a task.
func sleepThread(_ duration: Duration) { usleep(UInt32(clamping: max(1, duration.wholeMilliseconds) * 1000)) }
