import NIOCore

/// Pauses between attempts to connect: doubling, with jitter, so that a fleet does not come back in step. A
/// value.
struct ReconnectBackoff: Sendable {
    static let first: TimeAmount = .milliseconds(20)
    static let longest: TimeAmount = .seconds(1)
    private var failures = 0

    /// - Parameter jitter: 0..<1, random.
    mutating func next(jitter: Double) -> TimeAmount {
        let doubled = min(Self.first * (1 << min(self.failures, 10)), Self.longest)
        self.failures += 1
        return .nanoseconds(doubled.nanoseconds / 2 + Int64(Double(doubled.nanoseconds / 2) * jitter))
    }

    mutating func reset() { self.failures = 0 }
}
