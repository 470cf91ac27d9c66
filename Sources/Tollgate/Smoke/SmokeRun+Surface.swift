import StripeAPI

/// What everybody sees: health, headers, doors that stay shut, shapes.
extension SmokeRun {
    private static let foreignOrigin = "https://smoke-test.invalid"

    func health() async throws -> String? {
        let health = try self.deployment.json(
            try await self.deployment.get("/api/health", as: .nobody), "/api/health")
        guard health["status"]?.text == "ok" else {
            throw SmokeStop.failed(
                "'status' must be \"ok\", not \(SmokeExpectations.shown(health["status"]))")
        }
        guard let version = health["version"]?.text, !version.isEmpty else {
            throw SmokeStop.failed("'version' is missing")
        }
        return
            "version \(version.prefix(32)), \(self.settings.base.isTLS ? "TLS" : "plain HTTP on this machine")"
    }

    func ready() async throws -> String? {
        let reply = try await self.deployment.get("/api/ready", as: .nobody)
        guard let ready = JSONReading(parsing: reply.body), case .object(let checks)? = ready["checks"] else {
            throw SmokeStop.failed("/api/ready answered \(reply.status) without 'checks'")
        }
        let missing = checks.filter { $0.value.text != "ok" }.keys.sorted()
        guard missing.isEmpty, reply.status == 200 else {
            throw SmokeStop.failed("answered \(reply.status); not there: \(missing.joined(separator: ", "))")
        }
        return checks.keys.sorted().joined(separator: ", ")
    }

    func headers() async throws -> String? {
        let reply = try await self.deployment.get("/api/billing/summary", as: .admin)
        return try self.demand(SmokeExpectations.securityHeaders(reply.header))
    }

    func crossOrigin() async throws -> String? {
        let origin = OutboundRequest.Header("Origin", Self.foreignOrigin)
        for path in ["/api/health", "/api/billing/summary"] {
            let reply = try await self.deployment.get(path, as: .nobody, [origin])
            _ = try self.demand(
                SmokeExpectations.foreignOrigin(
                    reply.header("access-control-allow-origin"), Self.foreignOrigin))
        }
        return nil
    }

    func unauthorized() async throws -> String? {
        let billing = try await self.deployment.get("/api/billing/summary", as: .nobody)
        guard billing.status == 401 else {
            throw SmokeStop.failed("/api/billing/summary without a key \(SmokeDeployment.answered(billing))")
        }
        let body = self.question(self.settings.model)
        for path in ["/v1/chat/completions", "/api/ai/chat"] {
            let reply = try await self.deployment.post(path, as: .nobody, body)
            guard reply.status == 401 else {
                throw SmokeStop.failed("\(path) without a key \(SmokeDeployment.answered(reply))")
            }
        }
        return nil
    }

    mutating func adminSummary() async throws -> String? {
        let reply = try await self.deployment.get("/api/billing/summary", as: .admin)
        guard reply.status != 401 else { throw SmokeStop.failed("ADMIN_TOKEN is not this deployment's") }
        let summary = try self.deployment.json(reply, "/api/billing/summary")
        _ = try self.demand(SmokeExpectations.summary(summary))
        self.summary = summary
        return nil
    }

    mutating func newUser() async throws -> String? {
        // Before the first request that may make it, and may have no reply.
        self.made.append(self.user)
        let reply = try await self.deployment.get("/api/billing/summary", as: .user(self.user))
        guard reply.status != 401 else {
            throw SmokeStop.failed(
                "the service key is unknown there; make one with `tollgate key create --service`")
        }
        let summary = try self.deployment.json(reply, "the summary of a new user")
        _ = try self.demand(SmokeExpectations.summary(summary, isNew: true))
        return "user \(self.user)"
    }

    /// A short request in the shape of chat completions.
    func question(_ model: String, _ text: String = "Hello", more: String = "") -> String {
        "{\"model\":\"\(model)\",\"max_tokens\":16,\"messages\":[{\"role\":\"user\",\"content\":\"\(text)\"}]\(more)}"
    }
}
