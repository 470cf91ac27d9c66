import StripeAPI

/// Metered calls: what is answered, recorded and deducted.
extension SmokeRun {
    /// For a run that buys nothing; the rest is taken back at the end.
    private static let gift: Int64 = 100_000

    mutating func call() async throws -> String? {
        let balance = try await self.fundedBalance()
        let key = "smoke-" + Self.randomText()
        let body = self.question(self.settings.model)
        let reply = try await self.deployment.post(
            "/api/ai/chat", as: .user(self.user), body, [.init("Idempotency-Key", key)])
        let answer = try self.deployment.json(reply, "POST /api/ai/chat")
        self.exchange = try await self.exchange(
            reply, usage: answer["usage"], key: key, body: body, balance: balance)
        guard reply.header("x-tollgate-price-id")?.hasSuffix("/" + self.settings.model) == true else {
            throw SmokeStop.failed("x-tollgate-price-id does not name a price of \(self.settings.model)")
        }
        return self.exchange.map { "\($0.inputTokens) + \($0.outputTokens) tokens" }
    }

    func usageOfCall() async throws -> String? {
        let exchange = try self.answered()
        try await self.demandUsage(of: exchange)
        return "\(exchange.charge) millicredits"
    }

    func ledgerOfCall() async throws -> String? {
        let exchange = try self.answered()
        let deductions = try await self.deductions()
        guard deductions.count == 1 else {
            throw SmokeStop.failed("the ledger has \(deductions.count) deductions instead of one")
        }
        let amount = deductions[0]["amountMillicredits"]?.integerText
        guard amount == -exchange.charge else {
            throw SmokeStop.failed(
                "the ledger deducts \(amount ?? 0) millicredits instead of -\(exchange.charge)")
        }
        let balance = try await self.balance(of: self.user)
        guard balance == exchange.balance - exchange.charge else {
            throw SmokeStop.failed(
                "the balance went from \(exchange.balance) to \(balance) millicredits, which is not "
                    + "\(exchange.charge) less")
        }
        return nil
    }

    func retry() async throws -> String? {
        let exchange = try self.answered()
        let balance = try await self.balance(of: self.user)
        let deductions = try await self.deductions().count
        // The reply is on its way to the ledger for a moment; until then the retry is told to wait.
        let reply = try await self.eventually("the first reply is not there for its retry") {
            let reply = try await self.deployment.post(
                "/api/ai/chat", as: .user(self.user), exchange.body,
                [.init("Idempotency-Key", exchange.key)])
            return reply.status == 409 ? nil : reply
        }
        guard reply.status == 200 else {
            throw SmokeStop.failed("the retry \(SmokeDeployment.answered(reply))")
        }
        guard reply.header("x-tollgate-idempotent-replay") == "true",
            reply.header("x-tollgate-request-id") == exchange.hold
        else {
            // Its charge is not to be taken for one of what comes next.
            if let second = reply.header("x-tollgate-request-id"), second != exchange.hold {
                _ = try await self.usage(of: second)
            }
            throw SmokeStop.failed(
                "the retry ran again; a proxy in front must pass the header Idempotency-Key")
        }
        let after = try await self.balance(of: self.user)
        guard after == balance, try await self.deductions().count == deductions else {
            throw SmokeStop.failed("the retry cost \(balance - after) millicredits")
        }
        return nil
    }

    func stream() async throws -> String? {
        _ = try self.answered()
        let balance = try await self.balance(of: self.user)
        let body = self.question(
            self.settings.model, more: ",\"stream\":true,\"stream_options\":{\"include_usage\":true}")
        let reply = try await self.deployment.post("/v1/chat/completions", as: .user(self.user), body)
        guard reply.status == 200 else {
            throw SmokeStop.failed("POST /v1/chat/completions \(SmokeDeployment.answered(reply))")
        }
        let events = SmokeStream(reply.body)
        guard events.isWhole else {
            throw SmokeStop.failed(
                "the stream does not end with [DONE]; a proxy in front may cut or buffer it")
        }
        let exchange = try await self.exchange(
            reply, usage: events.usage, key: "", body: body, balance: balance)
        try await self.demandUsage(of: exchange)
        let after = try await self.balance(of: self.user)
        guard after == balance - exchange.charge else {
            throw SmokeStop.failed(
                "the stream cost \(balance - after) millicredits instead of \(exchange.charge)")
        }
        return "\(events.frames) frames, \(exchange.charge) millicredits"
    }

    // MARK: Private

    /// - Throws: `.skipped` when there is none.
    func answered() throws -> Exchange {
        guard let exchange = self.exchange else { throw SmokeStop.skipped("no call was answered") }
        return exchange
    }

    /// - Throws: `.skipped` when nobody can give the user credits.
    private func fundedBalance() async throws -> Int64 {
        let balance = try await self.balance(of: self.user)
        guard balance == 0 else { return balance }
        guard let url = self.settings.databaseURL else {
            throw SmokeStop.skipped("the user has no credits: give STRIPE_SECRET_KEY (test) or DATABASE_URL")
        }
        try await SmokeLedger.give(Self.gift, to: self.user, url: url)
        return try await self.balance(of: self.user)
    }

    private func exchange(
        _ reply: OutboundReply, usage: JSONReading?, key: String, body: String, balance: Int64
    ) async throws -> Exchange {
        guard let hold = reply.header("x-tollgate-request-id") else {
            throw SmokeStop.failed("the reply has no x-tollgate-request-id")
        }
        guard let input = usage?["prompt_tokens"]?.integer, let output = usage?["completion_tokens"]?.integer
        else { throw SmokeStop.failed("the reply tells no usage") }
        let cached = usage?["prompt_tokens_details"]?["cached_tokens"]?.integer ?? 0
        let question = """
            {"model":"\(self.settings.model)","inputTokens":\(input),"cachedInputTokens":\(cached),\
            "outputTokens":\(output)}
            """
        let estimate = try self.deployment.json(
            try await self.deployment.post("/api/billing/estimate", as: .user(self.user), question),
            "POST /api/billing/estimate")
        guard let charge = estimate["millicredits"]?.integerText else {
            throw SmokeStop.failed("'millicredits' of an estimate is not a whole number in a string")
        }
        return Exchange(
            hold: hold, key: key, body: body, inputTokens: input, cachedTokens: cached, outputTokens: output,
            charge: charge, balance: balance)
    }

    private func demandUsage(of exchange: Exchange) async throws {
        let found = try await self.usage(of: exchange.hold)
        guard found.count == 1 else {
            throw SmokeStop.failed("the call has \(found.count) usage entries instead of one")
        }
        for (name, tokens) in [
            ("inputTokens", exchange.inputTokens), ("cachedInputTokens", exchange.cachedTokens),
            ("outputTokens", exchange.outputTokens),
        ] where found[0][name]?.integer != tokens {
            throw SmokeStop.failed(
                "'\(name)' is \(SmokeExpectations.shown(found[0][name])) instead of \(tokens)")
        }
        guard found[0]["chargedMillicredits"]?.integerText == exchange.charge else {
            throw SmokeStop.failed(
                "charged are \(SmokeExpectations.shown(found[0]["chargedMillicredits"])) millicredits instead of "
                    + "\(exchange.charge), which `estimate` asks for; is charging off, or another rate card in force?"
            )
        }
    }

    /// What is recorded of an exchange, once something is.
    private func usage(of hold: String) async throws -> [JSONReading] {
        try await self.eventually(
            "the call was answered and no usage was recorded; look at settlement_backlog and /api/ready; no entry"
        ) {
            let all = try await self.entries("/api/billing/usage", of: self.user)
            let entries = all.filter { $0["holdId"]?.text == hold }
            return entries.isEmpty ? nil : entries
        }
    }

    private func deductions() async throws -> [JSONReading] {
        try await self.entries("/api/billing/ledger", of: self.user).filter {
            $0["type"]?.text == "deduction"
        }
    }
}

/// A stream of server-sent events as a client of OpenAI reads it.
struct SmokeStream: Sendable, Hashable {
    private(set) var frames = 0
    private(set) var isWhole = false
    private(set) var usage: JSONReading?

    init(_ bytes: [UInt8]) {
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let prefix = Array("data: ".utf8)
            guard line.starts(with: prefix) else { continue }
            var payload = Array(line.dropFirst(prefix.count))
            if payload.last == UInt8(ascii: "\r") { payload.removeLast() }
            // What follows the end does not count as one.
            self.isWhole = payload == Array("[DONE]".utf8)
            guard !self.isWhole else { continue }
            self.frames += 1
            if let usage = JSONReading(parsing: payload)?["usage"], usage != .null { self.usage = usage }
        }
    }
}
