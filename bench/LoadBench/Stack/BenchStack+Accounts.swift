import Foundation

/// An account that a load spends from.
public struct BenchAccount: Sendable, Equatable {
    public let user: String
    public let account: Int64
    /// The secrets of its keys.
    public let keys: [String]
}

extension BenchStack {
    /// Connections to the control plane; more wait for the audit log, which is one chain.
    private static let connections = 8

    /// New accounts with so many credits, and `keysEach` keys; by the admin API of the stack's own instance.
    ///
    /// - Parameter progress: how many there are, a few times a second.
    public func makeAccounts(
        count: Int, credits: Int64, keysEach: Int = 1, progress: (Int) -> Void = { _ in }
    ) throws(StackError) -> [BenchAccount] {
        let first = self.accountsMade + 1
        self.accountsMade += count
        let token = self.stores.facts.adminToken
        return try SideBySide.map(
            Array(first..<(first + count)), port: self.stores.port, threads: Self.connections,
            progress: progress
        ) { (call: ControlCall, number: Int) throws(StackError) -> BenchAccount in
            try AdminCalls(call: call, token: token).makeAccount(
                user: "bench-\(number)", credits: credits, keys: keysEach)
        }
    }

    /// Posted balances in millicredits, in the order of `keys`, when nothing is held nor waits to be settled. The
    /// instance reads the ledger and the hold store side by side, so a balance counts that was read after the hold
    /// store was seen empty.
    ///
    /// - Throws: `notSettled` when something is left `seconds` after all were looked at once. Looking itself has no limit:
    ///   ten thousand accounts take their minute.
    public func balances(
        of keys: [String], seconds: Double = 60, progress: (Int) -> Void = { _ in }
    ) throws(StackError) -> [Int64] {
        var calm: Set<String> = []
        var balances: [String: Int64] = [:]
        var end: ContinuousClock.Instant?
        while true {
            let open = Array(Set(keys).subtracting(balances.keys))
            let before = balances.count
            let found = try self.summaries(open) { progress(before + (calm.isEmpty ? 0 : $0)) }
            for (key, summary) in zip(open, found) {
                if !summary.isSettled {
                    calm.remove(key)
                } else if !calm.insert(key).inserted {
                    balances[key] = summary.balance
                }
            }
            let waiting = open.count - (balances.count - before)
            if waiting == 0 { return keys.compactMap { balances[$0] } }
            // Nothing to wait for when all that is missing is the second look.
            let unsettled = found.count { !$0.isSettled }
            guard unsettled > 0 else { continue }
            let latest = end ?? ContinuousClock.now + .seconds(seconds)
            end = latest
            guard ContinuousClock.now < latest else {
                throw .notSettled(accounts: unsettled, seconds: seconds)
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }

    private func summaries(
        _ keys: [String], _ progress: (Int) -> Void
    ) throws(StackError) -> [BillingSummary] {
        try SideBySide.map(
            keys, port: self.stores.port, threads: Self.connections, progress: progress
        ) { (call: ControlCall, key: String) throws(StackError) -> BillingSummary in
            let reply = try call.get("/api/billing/summary", bearer: key)
            if reply.status == 503 { return .unknown }
            let summary: BillingSummary = try reply.decoded("GET /api/billing/summary")
            guard summary.balance != nil else {
                throw .call(what: "GET /api/billing/summary", reason: "balanceMillicredits is no number")
            }
            return summary
        }
    }
}

/// The part of `GET /api/billing/summary` that says what was posted.
struct BillingSummary: Decodable, Sendable, Equatable {
    private var balanceMillicredits: String
    private var heldMillicredits: String
    private var heldKnown: Bool

    /// Of somebody who is too busy to say.
    static let unknown = BillingSummary(balanceMillicredits: "0", heldMillicredits: "0", heldKnown: false)

    /// nil when it is no number.
    var balance: Int64? { Int64(self.balanceMillicredits) }

    /// Nothing is held, nor captured and not posted yet; false when the hold store could not be asked.
    var isSettled: Bool { self.heldKnown && Int64(self.heldMillicredits) == 0 }
}
