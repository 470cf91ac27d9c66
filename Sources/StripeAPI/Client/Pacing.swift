import Glibc

/// Time and chance of `StripeClient`, replaced in tests.
public struct Pacing: Sendable {
    /// Monotonic; where it starts does not matter.
    public var now: @Sendable () -> Duration
    /// A whole number from 0 to and including its argument.
    public var random: @Sendable (Int64) -> Int64
    /// Ends early when the task is cancelled.
    public var pause: @Sendable (Duration) async -> Void
    /// The same for a caller that owns its thread.
    public var pauseThread: @Sendable (Duration) -> Void

    public init(
        now: @escaping @Sendable () -> Duration, random: @escaping @Sendable (Int64) -> Int64,
        pause: @escaping @Sendable (Duration) async -> Void,
        pauseThread: @escaping @Sendable (Duration) -> Void
    ) {
        self.now = now
        self.random = random
        self.pause = pause
        self.pauseThread = pauseThread
    }

    public static let system: Pacing = {
        let start = ContinuousClock.now
        return Pacing(
            now: { start.duration(to: .now) },
            random: { Int64.random(in: 0...max(0, $0)) },
            pause: { try? await Task.sleep(for: $0) },
            pauseThread: { duration in
                let (seconds, attoseconds) = duration.components
                var left = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
                var rest = timespec()
                // A signal ends the sleep early and leaves the rest.
                while nanosleep(&left, &rest) == -1 && errno == EINTR { left = rest }
            })
    }()
}
