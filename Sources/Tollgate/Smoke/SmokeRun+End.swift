import StripeAPI

/// The forced 402, the sum of the ledger, and the end of what was made.
extension SmokeRun {
    /// The runbook's: a balance of five credits, and a request of ten thousand tokens.
    private static let poorCredits: Int64 = 5
    private static let manyTokens = 10_000

    mutating func insufficient() async throws -> String? {
        var credits: Int64 = 0
        if let url = self.settings.databaseURL {
            try await SmokeLedger.give(Self.poorCredits * 1000, to: self.poorUser, url: url)
            credits = Self.poorCredits
        }
        self.made.append(self.poorUser)
        let text = String(repeating: "hello ", count: Self.manyTokens)
        let body = self.question(self.settings.costlyModel, text)
        for (path, isOpenAI) in [("/api/ai/chat", false), ("/v1/chat/completions", true)] {
            let reply = try await self.deployment.post(path, as: .user(self.poorUser), body)
            let json = try self.deployment.json(
                reply, "\(path) with \(credits) credits and \(Self.manyTokens) tokens", status: 402)
            if let problem = SmokeExpectations.insufficient(json, credits: credits, isOpenAI: isOpenAI) {
                throw SmokeStop.failed("\(path): \(problem)")
            }
            if isOpenAI, reply.header("x-should-retry") != "false" {
                throw SmokeStop.failed("\(path): x-should-retry must be false, or SDKs ask again")
            }
        }
        guard try await self.balance(of: self.poorUser) == credits * 1000 else {
            throw SmokeStop.failed("a refused request changed the balance")
        }
        return "\(credits) credits" + (credits == 0 ? ", as only DATABASE_URL gives five" : "")
    }

    func books() async throws -> String? {
        // Of an account on which nothing happened the sum proves nothing.
        _ = try self.answered()
        let lines = try await self.entries("/api/billing/ledger", of: self.user)
        var sum: Int64 = 0
        for line in lines {
            guard let amount = line["amountMillicredits"]?.integerText else {
                throw SmokeStop.failed("'amountMillicredits' of a line is not a whole number in a string")
            }
            sum += amount
        }
        let balance = try await self.balance(of: self.user)
        guard sum == balance else {
            throw SmokeStop.failed(
                "\(lines.count) lines add up to \(sum) millicredits, and the balance is \(balance); "
                    + "run `tollgate reconcile`")
        }
        return "\(lines.count) lines, \(sum) millicredits"
    }

    func cleanUp() async throws -> String? {
        var done: [String] = []
        if let purchase = self.purchase, let stripe = self.stripe {
            // Of a paid page this is refused, which is as good.
            if !self.isPaid || purchase.payment != nil {
                _ = try? await stripe.run(
                    ExpireCheckoutSession(purchase.session, idempotencyKey: "smoke-end-" + purchase.id))
                done.append("checkout closed")
            }
            if self.isPaid { done.append(try await self.refund(purchase)) }
        }
        guard let url = self.settings.databaseURL else {
            done.append("\(self.made.count) users stay, as only DATABASE_URL suspends them")
            return done.joined(separator: ", ")
        }
        for user in self.made { try await SmokeLedger.end(user, url: url) }
        return (done + ["\(self.made.count) users suspended"]).joined(separator: ", ")
    }

    private func refund(_ purchase: Purchase) async throws -> String {
        let order = """
            {"purchaseId":"\(purchase.id)","kind":"cash","reason":"smoke test",\
            "idempotencyKey":"smoke-\(purchase.id)"}
            """
        let reply = try await self.deployment.post("/api/admin/refunds", as: .admin, order)
        guard reply.status == 200 || reply.status == 202 else {
            throw SmokeStop.failed("the refund of the purchase \(SmokeDeployment.answered(reply))")
        }
        return "purchase refunded"
    }
}
