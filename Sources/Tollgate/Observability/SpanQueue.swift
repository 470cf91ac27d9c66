import Metering

/// Spans that wait to be exported: bounded, the newest are turned away. Pure.
struct SpanQueue {
    private var waiting: [ExchangeSpan] = []
    private(set) var turnedAway = 0

    static let capacity = 8192
    static let batchMax = 512

    var count: Int { self.waiting.count }

    mutating func add(_ span: ExchangeSpan) {
        guard self.waiting.count < Self.capacity else {
            self.turnedAway += 1
            return
        }
        self.waiting.append(span)
    }

    /// The oldest; empty: nothing waits.
    mutating func take() -> [ExchangeSpan] {
        let batch = Array(self.waiting.prefix(Self.batchMax))
        self.waiting.removeFirst(batch.count)
        return batch
    }
}

/// What becomes of a batch after an attempt to send it.
enum ExportVerdict: Equatable {
    case delivered
    case retry(after: Duration)
    /// A metric label.
    case drop(String)

    static let attemptsMax = 6

    /// Source: OTLP/HTTP, "Failures": 429, 502, 503 and 504 may be tried again, others not; `Retry-After` counts.
    ///
    /// - Parameters:
    ///   - status: nil when no reply came.
    ///   - attempt: 1 for the first.
    ///   - retryAfter: seconds, as the collector says.
    static func of(status: Int?, attempt: Int, retryAfter: Int64?) -> ExportVerdict {
        switch status {
        case .some(200..<300): return .delivered
        case nil, 429, 502, 503, 504:
            guard attempt < Self.attemptsMax else { return .drop("unavailable") }
            let pause = retryAfter.map { max(1, $0) } ?? (Int64(1) << Int64(attempt - 1))
            return .retry(after: .seconds(min(30, pause)))
        default: return .drop("refused")
        }
    }
}
