/// Calls of the admin API (CONTRACT §6) over one connection.
struct AdminCalls {
    let call: ControlCall
    let token: String

    private struct NewAccount: Encodable {
        var userId: String
        var reason = AdminCalls.reason
    }

    private struct Adjustment: Encodable {
        var amountMillicredits: String
        var idempotencyKey: String
        var reason = AdminCalls.reason
    }

    private struct NewKey: Encodable {
        var accountId: Int64
        var reason = AdminCalls.reason
    }

    private struct MadeAccount: Decodable { var accountId: Int64 }
    private struct Adjusted: Decodable { var balanceMillicredits: String }
    private struct MadeKey: Decodable { var secret: String }

    private static let reason = "tollgate-bench"

    /// An account of `user`, who has none yet, with so many credits and keys.
    func makeAccount(user: String, credits: Int64, keys: Int) throws(StackError) -> BenchAccount {
        let (amount, isTooLarge) = credits.multipliedReportingOverflow(by: 1000)
        guard !isTooLarge else { throw .call(what: "credits of \(user)", reason: "\(credits) are too many") }
        let accounts = "/api/admin/accounts"
        let made: MadeAccount = try self.post(accounts, NewAccount(userId: user))
        if amount != 0 {
            let _: Adjusted = try self.post(
                "\(accounts)/\(made.accountId)/adjustments",
                Adjustment(amountMillicredits: String(amount), idempotencyKey: "bench:\(user)"))
        }
        var secrets: [String] = []
        for _ in 0..<keys {
            let key: MadeKey = try self.post("/api/admin/keys", NewKey(accountId: made.accountId))
            secrets.append(key.secret)
        }
        return BenchAccount(user: user, account: made.accountId, keys: secrets)
    }

    /// A page of accounts in the order of their numbers.
    struct AccountPage: Decodable {
        private struct Entry: Decodable {
            var accountId: Int64
            var balanceMillicredits: String
        }

        private var entries: [Entry]
        var nextCursor: String?

        /// Account and balance in millicredits.
        var balances: [(Int64, Int64)] {
            self.entries.compactMap { entry in
                Int64(entry.balanceMillicredits).map { (entry.accountId, $0) }
            }
        }
    }

    func accounts(behind cursor: String) throws(StackError) -> AccountPage {
        // A cursor of 0 is none.
        let query = cursor == "0" ? "" : "&cursor=\(cursor)"
        return try self.call.get("/api/admin/accounts?limit=500\(query)", bearer: self.token).decoded(
            "GET /api/admin/accounts")
    }

    private func post<Answer: Decodable>(
        _ path: String, _ body: some Encodable
    ) throws(StackError) -> Answer {
        try self.call.post(path, bearer: self.token, json: try ControlCall.document(body)).decoded(
            "POST \(path)")
    }
}
