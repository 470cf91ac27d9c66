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
    private let histogram = Mutex(BatchHistogram())
    private let byReason = Mutex<[EstimateReason: Int]>([:])
    private let byModel = Mutex<[String: Int64]>([:])

    func count(_ settlement: Settlement) {
        if let reason = settlement.estimatedBecause {
            self.byReason.withLock { $0[reason, default: 0] += 1 }
        }
        if settlement.charge.amount > .zero {
            self.byModel.withLock {
                $0[settlement.modelRequested, default: 0] += settlement.charge.amount.value
            }
        }
    }

    func batchSettled(rows: Int, took: Span, _ receipt: SettlementReceipt) {
        self.rows.wrappingAdd(rows, ordering: .relaxed)
        self.quarantined.wrappingAdd(receipt.quarantined.count, ordering: .relaxed)
        self.conflicts.wrappingAdd(receipt.conflicts, ordering: .relaxed)
        self.histogram.withLock { $0.add(took) }
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
        for (model, millicredits) in self.byModel.withLock({ $0 }) {
            samples.append(
                MetricSample(
                    "billing_credits_deducted_total", help: "Credits charged, by requested model.",
                    kind: .counter,
                    labels: [.init("model", model)],
                    value: ExactDecimal(coefficient: Int128(millicredits), scale: 3)))
        }
        return samples + self.histogram.withLock { $0.samples() }
    }
}

/// `settlement_batch_seconds`.
private struct BatchHistogram {
    private static let boundsMilliseconds: [Int64] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    private var counts = [Int](repeating: 0, count: BatchHistogram.boundsMilliseconds.count)
    private var count = 0
    private var sum: Span = .zero

    mutating func add(_ took: Span) {
        self.count += 1
        self.sum = self.sum + took
        for (index, bound) in Self.boundsMilliseconds.enumerated() where took <= .milliseconds(bound) {
            self.counts[index] += 1
        }
    }

    func samples() -> [MetricSample] {
        let help = "Time from sending a settlement batch to its acknowledgement."
        func sample(_ suffix: String, _ labels: [MetricSample.Label], _ value: ExactDecimal) -> MetricSample {
            MetricSample(
                "settlement_batch_seconds", help: help, kind: .histogram, suffix: suffix, labels: labels,
                value: value)
        }
        func whole(_ count: Int) -> ExactDecimal { ExactDecimal(coefficient: Int128(count), scale: 0) }
        let buckets = zip(Self.boundsMilliseconds, self.counts).map { bound, count in
            let seconds = ExactDecimal(coefficient: Int128(bound), scale: 3).description
            return sample("_bucket", [.init("le", seconds)], whole(count))
        }
        return buckets + [
            sample("_bucket", [.init("le", "+Inf")], whole(self.count)),
            sample("_sum", [], ExactDecimal(coefficient: Int128(self.sum.nanoseconds), scale: 9)),
            sample("_count", [], whole(self.count)),
        ]
    }
}

extension Settler: MetricSource {
    public func samples() -> [MetricSample] {
        let (backlog, spilled) = self.queueLengths
        return self.counters.samples(backlog: backlog, spilled: spilled)
    }
}
