import Billing
import Logging
import Metering
import PostgresLedger
import Synchronization

/// Flags accounts whose spend is out of the ordinary, every ten minutes on one instance, and tells on every instance how
/// many wait for a person.
final class AnomalyWatch: MetricSource, Sendable {
    /// The gauge is read at each pass, accounts are looked at in every tenth.
    private static let pause: Duration = .seconds(60)
    private static let passes = 10
    /// Longer than the time between two looks; a dead instance is replaced after it.
    private static let leaseSeconds: Int64 = 900

    private let ledger: PostgresLedger
    private let controls: any ControlSource
    private let holder: String
    private let logger: Logger
    private let open = Mutex<Int64?>(nil)

    /// - Parameter holder: name of this instance among those that run.
    init(ledger: PostgresLedger, controls: any ControlSource, holder: String, logger: Logger) {
        self.ledger = ledger
        self.controls = controls
        self.holder = holder
        self.logger = logger
    }

    /// Until it is cancelled.
    func run() async {
        for pass in 0... {
            guard !Task.isCancelled else { return }
            do {
                if pass % Self.passes == 0 { try await self.flag() }
                let count = try await self.ledger.openReviewCount()
                self.open.withLock { $0 = count }
            } catch  where !Task.isCancelled {
                self.logger.warning("accounts were not reviewed", metadata: ["error": "\(error)"])
            } catch {}
            try? await Task.sleep(for: Self.pause)
        }
    }

    private func flag() async throws {
        guard try await self.ledger.takeJob("anomalies", for: self.holder, seconds: Self.leaseSeconds) != nil
        else {
            return
        }
        let flagged = try await self.ledger.flagAnomalies(
            AnomalyRule(multiplier: self.controls.current.anomalyMultiplier))
        if flagged > 0 {
            self.logger.notice("accounts were flagged for review", metadata: ["count": "\(flagged)"])
        }
    }

    /// Empty until it was read: a gauge of zero would be an answer.
    func samples() -> [MetricSample] {
        guard let count = self.open.withLock({ $0 }) else { return [] }
        return [
            MetricSample(
                "billing_accounts_in_review",
                help: "Accounts flagged for their spend that nobody decided about.",
                kind: .gauge, count: Int(count))
        ]
    }
}
