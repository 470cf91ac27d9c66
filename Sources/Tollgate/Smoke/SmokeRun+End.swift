import StripeAPI

/// The forced 402, the sum of the ledger, and the end of what was made.
extension SmokeRun {
    /// The runbook's: a balance of five credits, and a request of ten thousand tokens.
    private static let poorCredits: Int64 = 5
    private static let manyTokens = 10_000

    mutating func insufficient() async throws -> String? {
        self.made.append(self.poorUser)
        var credits: Int64 = 0
        if let url = self.settings.databaseURL {
            try await SmokeLedger.give(Self.poorCredits * 1000, to: self.poorUser, url: url)
            credits = Self.poorCredits
        }
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

    /// Everything is tried, whatever fails before it.
    func cleanUp() async throws -> String? {
        guard !self.made.isEmpty else { throw SmokeStop.skipped("nothing was made") }
        var (done, problems): ([String], [String]) = ([], [])
        func trying(_ body: () async throws -> String?) async {
            do {
                if let sentence = try await body() { done.append(sentence) }
            } catch SmokeStop.failed(let problem) {
                problems.append(problem)
            } catch SmokeStop.unreachable(let problem) {
                problems.append(problem)
            } catch {
                problems.append("\(error)")
            }
        }
        if let purchase = self.purchase, let stripe = self.stripe {
            var isPaid = self.isPaid
            await trying {
                let page = try await self.close(purchase, stripe)
                // The payment had no reply, and was made.
                if page == .complete { isPaid = true }
                return page == .expired ? "checkout closed" : nil
            }
            if isPaid { await trying { try await self.refund(purchase) } }
        }
        if let url = self.settings.databaseURL {
            for user in self.made {
                await trying {
                    try await SmokeLedger.end(user, url: url)
                    return nil
                }
            }
            if problems.isEmpty { done.append("\(self.made.count) users suspended") }
        } else {
            done.append("\(self.made.count) users stay, as only DATABASE_URL suspends them")
        }
        guard problems.isEmpty else { throw SmokeStop.failed(problems.joined(separator: "; ")) }
        return done.joined(separator: ", ")
    }

    /// A page that stays open can be paid tomorrow, by whoever has its address.
    private func close(_ purchase: Purchase, _ stripe: StripeClient) async throws -> CheckoutSession.Status {
        // Paid by a payment of its own, the page is as open as before.
        guard !self.isPaid || purchase.payment != nil else { return .complete }
        let problem: StripeFailure
        do throws(StripeFailure) {
            _ = try await stripe.run(
                ExpireCheckoutSession(purchase.session, idempotencyKey: "smoke-end-" + purchase.id),
                within: .seconds(30))
            return .expired
        } catch {
            problem = error
        }
        // It is refused of a page that is closed already.
        let page = try? await stripe.run(RetrieveCheckoutSession(purchase.session), within: .seconds(30))
        if let status = page?.status, status != .open { return status }
        throw SmokeStop.failed(
            "the checkout page \(purchase.session) could not be closed at Stripe (\(problem.label)); it can be paid "
                + "until it ends by itself")
    }

    private func refund(_ purchase: Purchase) async throws -> String {
        let order = """
            {"purchaseId":"\(purchase.id)","kind":"cash","reason":"smoke test",\
            "idempotencyKey":"smoke-\(purchase.id)"}
            """
        // 202: nobody knows yet. Asking again with the same key tells what became of it, and refunds nothing twice.
        return try await self.eventually("the refund of the purchase is pending (202), and was not confirmed")
        {
            let reply = try await self.deployment.post("/api/admin/refunds", as: .admin, order)
            switch reply.status {
            case 200: return "purchase refunded"
            case 202: return nil
            default:
                throw SmokeStop.failed("the refund of the purchase \(SmokeDeployment.answered(reply))")
            }
        }
    }
}
