import Logging
import Metering
import MoneyPath
import Synchronization

/// The heartbeat of this instance, and who else lives (rule F1). Each beat also brings the ledger's generation and its
/// clock.
public final class InstanceLife: Sendable {
    public struct Settings: Sendable {
        public var beatEvery: Span = .seconds(5)
        public var liveness = PeerLiveness.Limits()

        public init() {}
    }

    private let ledger: any LedgerSweeping
    private let settings: Settings
    private let logger: Logger
    private let liveness: Mutex<PeerLiveness>
    private let onReading: @Sendable (InstanceReading, Set<BootID>) -> Void

    /// - Parameter onReading: gets each reading, and the instances whose heart beats.
    public init(
        ledger: any LedgerSweeping, settings: Settings = Settings(), logger: Logger,
        onReading: @escaping @Sendable (InstanceReading, Set<BootID>) -> Void
    ) {
        self.ledger = ledger
        self.settings = settings
        self.logger = logger
        self.liveness = Mutex(PeerLiveness(limits: settings.liveness))
        self.onReading = onReading
    }

    /// One beat. Throws when it is not known to have counted: then nothing was learned.
    public func beat() async throws { self.heard(try await self.ledger.beat()) }

    /// A beat that was sent before this was made.
    public func heard(_ reading: InstanceReading) {
        let living = self.liveness.withLock { liveness in
            liveness.heard(reading.counters, now: .now)
            return liveness.living(now: .now)
        }
        self.onReading(reading, living)
    }

    /// Beats until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(nanoseconds: UInt64(self.settings.beatEvery.nanoseconds))
            guard !Task.isCancelled else { return }
            do {
                try await self.beat()
            } catch {
                self.logger.warning("heartbeat failed", metadata: ["error": "\(error)"])
            }
        }
    }

    public func isDead(_ boot: BootID) -> Bool { self.liveness.withLock { $0.isDead(boot, now: .now) } }
}
