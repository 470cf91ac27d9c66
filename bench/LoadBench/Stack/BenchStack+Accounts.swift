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

    /// Posted balances in millicredits, in the order of `accounts`, when nothing is held nor waits to be settled: they are
    /// read behind the hold store, which was seen empty for each. Nobody may spend meanwhile.
    ///
    /// - Throws: `notSettled` when something is left `seconds` after all were looked at once. Looking itself has no limit:
    ///   ten thousand accounts take their minute.
    public func settledBalances(
        of accounts: [BenchAccount], seconds: Double = 60, progress: (Int) -> Void = { _ in }
    ) throws(StackError) -> [Int64] {
        var open = accounts.compactMap(\.keys.first)
        var end: ContinuousClock.Instant?
        while !open.isEmpty {
            let found = try self.summaries(open, progress)
            open = zip(open, found).filter { !$0.1.isSettled }.map(\.0)
            if open.isEmpty { break }
            let latest = end ?? ContinuousClock.now + .seconds(seconds)
            end = latest
            guard ContinuousClock.now < latest else {
                throw .notSettled(accounts: open.count, seconds: seconds)
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
        return try self.postedBalances(of: accounts)
    }

    /// Balances as they are posted by now, page by page.
    public func postedBalances(of accounts: [BenchAccount]) throws(StackError) -> [Int64] {
        let wanted = Set(accounts.map(\.account))
        var balances: [Int64: Int64] = [:]
        let admin = AdminCalls(
            call: ControlCall(port: self.stores.port), token: self.stores.facts.adminToken)
        // The page begins behind its cursor.
        var cursor = wanted.min().map { String($0 - 1) }
        while let next = cursor, balances.count < wanted.count {
            let page = try admin.accounts(behind: next)
            for (account, balance) in page.balances where wanted.contains(account) {
                balances[account] = balance
            }
            cursor = page.nextCursor
        }
        guard balances.count == wanted.count else {
            throw .call(what: "GET /api/admin/accounts", reason: "it does not list accounts that were made")
        }
        return accounts.compactMap { balances[$0.account] }
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
