import Foundation
import NIOCore

/// The balances of a deployment that is there, as its users see them.
public struct RemoteBooks: Sendable {
    private let target: LoadTarget
    private let keys: [String]

    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    private static let lookPause = Duration.milliseconds(200)

    /// - Parameter keys: one of each account.
    public init(_ target: LoadTarget, keys: [String]) {
        self.target = target
        self.keys = keys
    }

    /// Sum of the posted balances, when none of these accounts has anything held.
    ///
    /// - Throws: `Failure` when the deployment does not tell, or is not quiet within `seconds`.
    public func settled(within seconds: Double, on group: any EventLoopGroup) async throws -> Int64 {
        let end = ContinuousClock.now + .seconds(seconds)
        var previous: Int64?
        while ContinuousClock.now < end {
            let summaries = try await self.look(on: group)
            let sum = summaries.reduce(0) { $0 + ($1.balance ?? 0) }
            guard summaries.allSatisfy(\.isSettled) else {
                previous = nil
                try await Task.sleep(for: Self.lookPause)
                continue
            }
            // Ledger and hold store are read side by side: what was settled in between is in the next look.
            if previous == sum { return sum }
            previous = sum
        }
        throw Failure(
            description: "the accounts have something held after \(Int(seconds)) s: somebody else uses them")
    }

    /// So many connections at a time.
    private static let sideBySide = 64

    private func look(on group: any EventLoopGroup) async throws -> [BillingSummary] {
        var summaries: [BillingSummary] = []
        for first in stride(from: 0, to: self.keys.count, by: Self.sideBySide) {
            let running = self.keys[first..<min(self.keys.count, first + Self.sideBySide)].map { key in
                let request = """
                    GET /api/billing/summary HTTP/1.1\r
                    Host: \(self.target.authority)\r
                    Authorization: Bearer \(key)\r
                    Connection: close\r
                    \r

                    """
                return OneExchange.send(Array(request.utf8), to: self.target, on: group.next())
            }
            for reply in running { summaries.append(try self.read(try await reply.get())) }
        }
        return summaries
    }

    private func read(_ reply: ReplyReader) throws(Failure) -> BillingSummary {
        let path = "GET /api/billing/summary"
        // It is busy: nothing is known, which is not settled either.
        if reply.status == 503 { return .unknown }
        guard reply.status == 200 else { throw Failure(description: "\(path) answers \(reply.status ?? 0)") }
        guard let summary = try? JSONDecoder().decode(BillingSummary.self, from: Data(reply.tail)),
            summary.balance != nil
        else { throw Failure(description: "\(path) tells no balance") }
        return summary
    }
}
