/// HTTP/1.1 to other services on libcurl: a few threads of its own with one easy handle (and so its own kept
/// connections) each, fed from a bounded queue. Nothing here runs on an event loop or on the threads of
/// tasks.
///
/// TLS is always verified, redirects are not followed, the environment's proxy settings are not looked at.
/// libcurl sends a request once more by itself when a *kept* connection turns out dead before any byte of a
/// reply came; so requests that change something need an idempotency key.
public final class OutboundHTTP: Sendable {
    public struct Configuration: Sendable {
        public var threads = 4
        /// Requests that may wait for a thread; more are refused at once.
        public var queueMax = 256
        public var connectTimeout = Duration.seconds(10)
        /// From the call to the last byte; a request may ask for less.
        public var totalTimeout = Duration.seconds(40)
        /// No byte in either direction for so long ends the transfer.
        public var silenceTimeout = Duration.seconds(30)
        public var bodyBytesMax = 8 << 20
        public var headerBytesMax = 64 << 10
        /// `http://host:port`; nil connects directly.
        public var proxy: String?
        /// PEM file of trusted authorities; nil uses the system's.
        public var authoritiesFile: String?

        public init() {}
    }

    private let core: OutboundCore

    /// - Precondition: the caller's configuration has at least one thread.
    public init(_ configuration: Configuration = Configuration()) {
        precondition(CurlLibrary.isReady, "libcurl cannot be initialised")
        precondition(configuration.threads > 0, "without a thread every request would wait for ever")
        self.core = OutboundCore(configuration)
        for _ in 0..<configuration.threads { self.core.startWorker() }
    }

    deinit { self.core.shutDown() }

    /// Returns with the reply, or with the reason why there is none, within the time-out. A cancelled task
    /// gets its failure within about a second.
    public func send(_ request: OutboundRequest) async throws(OutboundFailure) -> OutboundReply {
        let job = self.core.makeJob(request)
        let core = self.core
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                core.submit(job) { continuation.resume(returning: $0) }
                // A task that was cancelled before the job waited has called `cancel` in vain.
                if Task.isCancelled { core.cancel(job) }
            }
        } onCancel: {
            core.cancel(job)
        }
        return try result.get()
    }

    /// The same for a caller that owns the thread it blocks: never on an event loop, never in a task.
    public func sendAndWait(_ request: OutboundRequest) throws(OutboundFailure) -> OutboundReply {
        let answer = OutboundAnswer()
        self.core.submit(self.core.makeJob(request)) { answer.set($0) }
        return try answer.wait().get()
    }

    /// Refuses what comes, fails what waits, and breaks off what runs (within about a second). May be called
    /// twice.
    public func shutDown() { self.core.shutDown() }
}
