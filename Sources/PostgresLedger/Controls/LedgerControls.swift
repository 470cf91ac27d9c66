import Logging
import Metering
import Synchronization

/// The controls in force: what the environment says, and over it what was set at run time. `run()` reads the flags
/// every 400 ms, and `nudge()` (from NOTIFY) makes it sooner; so a change is here within a second even when its
/// notification is lost. One reader, whose readings are whole, so an older one never replaces a newer one.
public final class LedgerControls: ControlSource, Sendable {
    private let pool: PostgresPool
    private let start: Controls
    private let logger: Logger
    private let interval: Duration
    private let state: Mutex<State>
    private let nudges: AsyncStream<Void>
    private let nudger: AsyncStream<Void>.Continuation

    private struct State {
        var controls: Controls
        var reading: FlagReading?
        var readAt: ContinuousClock.Instant?
    }

    /// - Parameters:
    ///   - pool: a connection that nobody else keeps busy: a kill switch must not queue.
    ///   - start: what the environment says.
    public init(
        pool: PostgresPool, start: Controls, logger: Logger, interval: Duration = .milliseconds(400)
    ) {
        self.pool = pool
        self.start = start
        self.logger = logger
        self.interval = interval
        self.state = Mutex(State(controls: start, reading: nil))
        (self.nudges, self.nudger) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    public var current: Controls { self.state.withLock { $0.controls } }

    /// Read soon.
    public func nudge() { self.nudger.yield() }

    /// Reads the flags once, before the first request is admitted. Throws when the ledger cannot be read.
    public func load() async throws { try await self.load(within: .seconds(10)) }

    private func load(within timeout: Duration) async throws {
        let reading = try await self.pool.run(timeout: timeout) { try FlagReading.now($0) }
        self.take(reading)
    }

    /// Until the task is cancelled. While the ledger is away the last known flags stay in force.
    public func run() async {
        var isAway = false
        let timer = AsyncTimer(interval: self.interval, nudges: self.nudges)
        await timer.run {
            do {
                // A connection that says nothing is given up: the next one may reach the ledger.
                try await self.load(within: .seconds(1))
                isAway = false
            } catch  where !Task.isCancelled {
                if !isAway {
                    self.logger.warning("flags not read: the last ones stay", metadata: ["error": "\(error)"])
                }
                isAway = true
                self.pool.reconnect()
            } catch {}
        }
    }

    private func take(_ reading: FlagReading) {
        let isNew = self.state.withLock { state in
            state.readAt = .now
            return state.reading != reading
        }
        guard isNew else { return }
        let (controls, ignored) = self.start.overridden(by: reading.flags.map { ($0.name, $0.value) })
        self.state.withLock { $0 = State(controls: controls, reading: reading, readAt: .now) }
        for problem in ignored {
            self.logger.warning(
                "a flag is ignored; the environment's value holds",
                metadata: ["flag": "\(problem.name)", "problem": "\(problem.message)"])
        }
        self.logger.notice(
            "flags in force",
            metadata: ["flags": "\(reading.flags.map { "\($0.name) version \($0.version)" })"])
    }
}

extension LedgerControls: MetricSource {
    /// Empty until they were read.
    public func samples() -> [MetricSample] {
        guard let readAt = self.state.withLock({ $0.readAt }) else { return [] }
        let age = (ContinuousClock.now - readAt).components.seconds
        return [
            MetricSample(
                "flags_age_seconds", help: "Since the flags were read last; they stay as they were then.",
                kind: .gauge, count: Int(age))
        ]
    }
}
