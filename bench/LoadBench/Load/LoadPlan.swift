import Foundation
import NIOCore

/// What a run does, decided before it begins; the same for every loop, but for its share of the load.
struct LoadPlan: Sendable {
    let arrivals: Scenario.Arrivals
    let requests: RequestPlan
    /// By template; empty: nobody knows.
    let expected: [ExpectedReply]
    let target: LoadTarget
    let timeout: TimeAmount
    private let misbehaviour: Scenario.Misbehaviour
    private let keys: [[UInt8]]
    private let emptyKeys: [[UInt8]]
    private let heads: [(before: [UInt8], behind: [UInt8])]
    private let pricer: UsagePricer?
    private let asksForUsage: Bool
    /// Which loop it is of, and of how many.
    private let part: (index: Int, count: Int)

    /// - Parameters:
    ///   - part: which of `count` loops drives this part of the load.
    ///   - pricer: prices replies that nobody expected; nil: they are not priced.
    init(
        _ scenario: Scenario, requests: RequestPlan, expected: [ExpectedReply], target: LoadTarget,
        credentials: Credentials, pricer: UsagePricer?, part: Int, of count: Int
    ) {
        self.arrivals = scenario.arrivals.part(part, of: count)
        self.requests = requests
        self.expected = expected
        self.target = target
        self.timeout = .nanoseconds(Int64(scenario.timeoutSeconds * 1e9))
        self.misbehaviour = scenario.misbehaviour
        self.keys = credentials.keys.map { Array($0.utf8) }
        self.emptyKeys = credentials.emptyKeys.map { Array($0.utf8) }
        self.pricer = pricer
        self.asksForUsage = scenario.asksForUsage || !scenario.isStreamed
        self.part = (part, count)
        self.heads = requests.templates.map { template in
            let before =
                "POST \(requests.endpoint.path) HTTP/1.1\r\nHost: \(target.authority)\r\nAuthorization: Bearer "
            let behind =
                "\r\nContent-Type: application/json\r\nContent-Length: \(template.body.count)\r\n\r\n"
            return (Array(before.utf8), Array(behind.utf8))
        }
    }

    var connectionsMax: Int { self.arrivals.connectionsMax }

    /// From the begin of the schedule. Steady loops take turns.
    func firstPause(
        _ perSecond: Double, _ pattern: Scenario.Arrivals.Pattern, _ random: inout SeededRandom
    ) -> TimeAmount {
        guard pattern == .steady else { return self.pause(perSecond, pattern, &random) }
        return .nanoseconds(Int64(1e9 / perSecond * Double(self.part.index + 1) / Double(self.part.count)))
    }

    /// To the arrival after this one.
    func pause(
        _ perSecond: Double, _ pattern: Scenario.Arrivals.Pattern, _ random: inout SeededRandom
    ) -> TimeAmount {
        let mean = 1e9 / perSecond
        return .nanoseconds(Int64(pattern == .steady ? mean : -log(random.share()) * mean))
    }

    func kind(_ random: inout SeededRandom) -> ClientKind {
        let all = self.misbehaviour
        guard all != .init() else { return .patient }
        let place = random.share()
        if place <= all.shortOfMoney { return .shortOfMoney }
        if place <= all.shortOfMoney + all.disconnecting { return .disconnecting }
        return place <= all.shortOfMoney + all.disconnecting + all.slow ? .slow : .patient
    }

    func request(_ template: Int, _ kind: ClientKind, _ random: inout SeededRandom) -> ByteBuffer {
        let keys = kind == .shortOfMoney ? self.emptyKeys : self.keys
        let (head, body) = (self.heads[template], self.requests.templates[template].body)
        let key = keys[Int.random(in: 0..<keys.count, using: &random)]
        var buffer = ByteBuffer()
        buffer.reserveCapacity(head.before.count + key.count + head.behind.count + body.count)
        buffer.writeBytes(head.before)
        buffer.writeBytes(key)
        buffer.writeBytes(head.behind)
        buffer.writeBytes(body)
        return buffer
    }

    // MARK: What an exchange was

    struct Judgement: Equatable {
        /// nil: as the scenario wants it.
        var failure: String?
        var isCompared = false
        var isChargeable = false
        var due: Int64 = 0
        /// Nobody but the proxy knows what it costs.
        var isUnpriced = false
    }

    func judge(_ exchange: LoadConnection.Exchange, _ end: LoadLoop.End) -> Judgement {
        let reader = exchange.reader
        if case .failed(let why) = end { return Judgement(failure: why, isUnpriced: true) }
        if exchange.kind == .shortOfMoney {
            return Judgement(
                failure: reader.status == 402 ? nil : "status \(reader.status ?? 0) where a 402 was due")
        }
        guard reader.status == 200 else { return Judgement(failure: "status \(reader.status ?? 0)") }
        guard !self.expected.isEmpty else { return self.judgeByUsage(reader, end) }
        let expected = self.expected[exchange.template]
        // Of a stream that is cut off with its client nobody but the proxy knows the cost.
        if end == .left, !reader.drainsOnDisconnect { return Judgement(isUnpriced: true) }
        var judgement = Judgement(failure: nil, due: expected.dueMillicredits ?? 0)
        judgement.isChargeable = expected.dueMillicredits != nil
        judgement.isUnpriced = !judgement.isChargeable
        guard end == .complete else { return judgement }
        judgement.isCompared = true
        let isEqual = reader.digest == expected.digest && reader.bodyBytes == expected.bodyBytes
        if !isEqual { judgement.failure = "differs" }
        return judgement
    }

    private func judgeByUsage(_ reader: ReplyReader, _ end: LoadLoop.End) -> Judgement {
        guard end == .complete, self.asksForUsage, let pricer = self.pricer else {
            return Judgement(isUnpriced: true)
        }
        guard let due = pricer.price(of: reader.tail) else {
            return Judgement(failure: "no usage in the reply", isUnpriced: true)
        }
        return Judgement(isChargeable: true, due: due)
    }
}

extension Scenario.Arrivals {
    /// What one of `count` loops does of it; all parts together are the whole.
    func part(_ index: Int, of count: Int) -> Self {
        switch self {
        case .connections(let connections): .connections((connections + index) / count)
        case .rate(let perSecond, let pattern, let most):
            .rate(
                perSecond: perSecond / Double(count), pattern: pattern,
                connectionsMax: max(1, (most + index) / count))
        }
    }
}
