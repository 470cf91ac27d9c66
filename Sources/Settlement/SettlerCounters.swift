import Metering
import MoneyPath
import Synchronization

/// What the settler counts; read at scrape time.
final class SettlerCounters: Sendable {
    let batchesFailed = Atomic(0)
    let outcomesLost = Atomic(0)
    private let rows = Atomic(0)
    private let quarantined = Atomic(0)
    private let conflicts = Atomic(0)
    private let histogram = Mutex(
        TimeHistogram(
            boundsMicroseconds: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].map { $0 * 1000 }))
    private let byReason = Mutex<[EstimateReason: Int]>([:])
    private let models = Mutex(ModelSums())

    func count(_ settlement: Settlement) {
        if let reason = settlement.estimatedBecause {
            self.byReason.withLock { $0[reason, default: 0] += 1 }
        }
    }

    /// - Parameter batch: acknowledged for the first time, however often it was sent.
    func batchSettled(_ batch: [Settlement], took: Span, _ receipt: SettlementReceipt) {
        self.rows.wrappingAdd(batch.count, ordering: .relaxed)
        let refused = Set(receipt.quarantined)
        self.models.withLock { models in
            for settlement in batch where settlement.kind != .void && !refused.contains(settlement.hold) {
                models.add(settlement)
            }
        }
        self.quarantined.wrappingAdd(receipt.quarantined.count, ordering: .relaxed)
        self.conflicts.wrappingAdd(receipt.conflicts, ordering: .relaxed)
        self.histogram.withLock { $0.add(nanoseconds: took.nanoseconds) }
    }

    func samples(backlog: Int, spilled: Int) -> [MetricSample] {
        var samples: [MetricSample] = [
            MetricSample(
                "settlement_backlog", help: "Outcomes that the ledger has not acknowledged.", kind: .gauge,
                count: backlog),
            MetricSample(
                "settlement_backlog_spilled", help: "Those of them that are in the journal only.",
                kind: .gauge, count: spilled),
            MetricSample(
                "settlement_rows_total", help: "Outcomes acknowledged by the ledger.", kind: .counter,
                count: self.rows.load(ordering: .relaxed)),
            MetricSample(
                "settlement_batches_failed_total", help: "Attempts whose commit is not known.",
                kind: .counter,
                count: self.batchesFailed.load(ordering: .relaxed)),
            MetricSample(
                "settlement_quarantined_total", help: "Rows that the ledger refused for good.",
                kind: .counter,
                count: self.quarantined.load(ordering: .relaxed)),
            MetricSample(
                "settlement_conflicts_total", help: "Different final outcomes of one hold.", kind: .counter,
                count: self.conflicts.load(ordering: .relaxed)),
            MetricSample(
                "settlement_outcomes_lost_total",
                help: "Outcomes that the journal could not give back; it is kept from the first of them on.",
                kind: .counter, count: self.outcomesLost.load(ordering: .relaxed)),
        ]
        let reasons = self.byReason.withLock { $0 }
        for reason in EstimateReason.allCases {
            samples.append(
                MetricSample(
                    "usage_estimated_total", help: "Exchanges whose usage was estimated.", kind: .counter,
                    labels: [.init("reason", reason.rawValue)], count: reasons[reason] ?? 0))
        }
        return samples + self.models.withLock { $0.samples() }
            + self.histogram.withLock {
                $0.samples(
                    "settlement_batch_seconds",
                    help: "Time from sending a settlement batch to its acknowledgement.")
            }
    }
}

extension Settler: MetricSource {
    public func samples() -> [MetricSample] {
        let (backlog, spilled) = self.queueLengths
        return self.counters.samples(backlog: backlog, spilled: spilled)
    }
}
