import Glibc

/// A detached POSIX thread for transfers.
enum OutboundThread {
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
        // With CURLOPT_NOSIGNAL libcurl leaves SIGPIPE alone; writing to a closed TLS connection must not end
        // us.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        Unmanaged<Work>.fromOpaque(raw).takeRetainedValue().body()
        return nil
    }
}
