import Billing
import ControlPlane
import Foundation
import LocalStores
import Logging
import Metering
import PostgresLedger

/// `tollgate dev`: starts the stores and the mock, seeds them, runs the proxy, and stops everything again in
/// reverse.
struct DevStack {
    let directory: String
    let port: Int
    let logger: Logger
    private let clock = ContinuousClock()
    private let started = ContinuousClock.now

    init(directory: String, port: Int, logger: Logger) {
        self.directory = URL(fileURLWithPath: directory).path
        self.port = port
        self.logger = logger
    }

    func run() async throws {
        try FileManager.default.createDirectory(
            atPath: self.directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        let factsPath = self.directory + "/dev.json"
        try? FileManager.default.removeItem(atPath: factsPath)
        let secrets = try DevSecrets.load(self.directory + "/secrets.json")
        let postgres = try LocalPostgres.start(directory: self.directory, log: self.step)
        defer { self.stopping("Postgres") { try postgres.stop() } }
        let redis = try LocalRedis.start(directory: self.directory, log: self.step)
        defer { self.stopping("Redis") { try redis.stop() } }
        let peers = try await DevPeers.start(self.step)
        do {
            try await self.prepare(postgres.url, secrets)
            try await self.serve(postgres.url, redis.url, peers, secrets, factsPath)
        } catch {
            try? FileManager.default.removeItem(atPath: factsPath)
            await peers.shutdown()
            throw error
        }
        try? FileManager.default.removeItem(atPath: factsPath)
        await peers.shutdown()
        self.step("stopped")
    }

    // MARK: Steps

    @Sendable private func step(_ text: String) {
        let elapsed = self.started.duration(to: self.clock.now)
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
        print("[\(String(format: "%6.1f s", seconds))] \(text)")
        fflush(nil)
    }

    private func stopping(_ name: String, _ body: () throws -> Void) {
        do { try body() } catch { complain("stopping \(name): \(error)") }
    }

    private func prepare(_ databaseURL: String, _ secrets: DevSecrets) async throws {
        try await StoreSession.with(url: Secret(value: databaseURL)) { store in
            let report = try await Migrator().migrate(store.pool)
            self.step("schema at version \(report.version)")
            for line in try await Seeding.seed(store, cardPath: try RateCardFiles.newestOpenAI()) {
                self.step(line)
            }
            let book = AccountBook(
                pool: store.pool, hasher: KeyHasher(peppers: [Array(secrets.keyPepper.utf8)]))
            let demo = try await book.findOrCreate(userID: "demo").account
            try await book.ensureKey(secret: secrets.apiKey, userID: "demo", label: "demo")
            try await book.ensureKey(secret: secrets.serviceKey, userID: nil, label: "dev service key")
            // Keyed, so that a second start does not grant again.
            _ = try await store.ledger.grant(
                Grant(
                    account: demo, amount: Millicredits(10_000_000), kind: .promotional,
                    sourceRef: "dev:demo",
                    reason: "dev"))
            self.step("user demo is there, with a key and a first 10,000 credits")
        }
    }

    private func serve(
        _ databaseURL: String, _ redisURL: String, _ peers: DevPeers, _ secrets: DevSecrets,
        _ factsPath: String
    ) async throws {
        let opsPort = try Loopback.freePort()
        // Known beforehand: a checkout sends people back to it.
        let port = self.port == 0 ? try Loopback.freePort() : self.port
        var settings: [String: String] = [
            "DATABASE_URL": databaseURL, "REDIS_URL": redisURL, "ADMIN_TOKEN": secrets.adminToken,
            "KEY_PEPPER": secrets.keyPepper, "SESSION_SECRET": secrets.sessionSecret,
            "LISTEN": "127.0.0.1:\(port)", "OPS_LISTEN": "127.0.0.1:\(opsPort)",
            "JOURNAL_DIR": System.environment("JOURNAL_DIR") ?? self.directory + "/journal",
            "ACCESS_LOG": System.environment("ACCESS_LOG") ?? self.directory + "/access.log",
        ]
        settings.merge(peers.settings) { $1 }
        if System.environment("STRIPE_WEBHOOK_SECRET") == nil {
            settings["STRIPE_WEBHOOK_SECRET"] = secrets.stripeWebhookSecret
        }
        let given = settings
        let reader: @Sendable () -> SettingsReader = {
            SettingsReader(
                get: { given[$0] ?? System.environment($0) },
                readFile: { try String(contentsOfFile: $0, encoding: .utf8) })
        }
        let hangUps = await HangUps()
        let configuration = try ServeConfiguration(
            reading: reader(), descriptors: System.raiseDescriptorLimit())
        let deployment = try await Deployment(
            configuration, logger: self.logger, rereadSecrets: { try RotatingSecrets(reading: reader()) })
        let upstreamURL =
            peers.openAI?.baseURL ?? System.environment("OPENAI_BASE_URL")
            ?? ServeConfiguration.defaultOpenAIBaseURL
        try await deployment.run(following: hangUps) { port in
            let root = "http://127.0.0.1:\(port)"
            peers.stripe?.addWebhook(
                .init(url: root + "/api/stripe/webhook", secret: secrets.stripeWebhookSecret))
            let facts = DevFacts(
                baseURL: root + "/v1", apiKey: secrets.apiKey, serviceKey: secrets.serviceKey,
                adminToken: secrets.adminToken, keyPepper: secrets.keyPepper,
                stripeWebhookSecret: secrets.stripeWebhookSecret, databaseURL: databaseURL,
                redisURL: redisURL, upstreamURL: upstreamURL, stripeURL: peers.stripeURL,
                opsURL: "http://127.0.0.1:\(opsPort)",
                portalURL: root + "/billing?tab=credits", adminURL: root + "/admin")
            try facts.write(to: factsPath)
            self.step("ready: \(facts.baseURL)  (facts for scripts: \(factsPath))")
            print("\nThe credits page of user demo (once, within five minutes; then `tollgate portal-link`):")
            print(try await Self.portalLink(configuration, root))
            if let link = try await Self.invitation(configuration, root) {
                print("\nThe admin console: choose a password for dev@example.com (once, within three days):")
                print(link)
            }
            print(Self.examples(facts))
            fflush(nil)
        }
    }

    private static func portalLink(_ configuration: ServeConfiguration, _ root: String) async throws -> String
    {
        try await StoreSession.with(url: configuration.databaseURL) { store in
            let demo = try await store.accounts().existing("demo").account
            return try await PortalSessions(store: store.ledger, hasher: configuration.secrets.sessionHasher)
                .link(to: demo, on: root).url
        }
    }

    /// nil: somebody can sign in to the console already.
    private static func invitation(_ configuration: ServeConfiguration, _ root: String) async throws
        -> String?
    {
        try await StoreSession.with(url: configuration.databaseURL) { store in
            let book = StaffBook(pool: store.pool)
            let people = try await book.list()
            guard !people.contains(where: { $0.state == .active && $0.role == .owner }),
                let email = StaffEmail("dev@example.com")
            else { return nil }
            let note = ChangeNote(
                actor: Operator.name, reason: "a development stack that nobody can sign in to")
            let known = people.first { $0.email == email }
            guard known == nil || known?.state == .invited else { return nil }
            let invitation =
                known == nil
                ? try await book.create(email: email, name: "dev", role: .owner, note: note)
                : try await book.reset(email, note: note)
            return "\(root)/admin/enrol#\(invitation.token)"
        }
    }

    private static func examples(_ facts: DevFacts) -> String {
        """

        curl -sS \(facts.baseURL)/chat/completions \\
          -H 'Authorization: Bearer \(facts.apiKey)' -H 'Content-Type: application/json' \\
          -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}'

        curl -sS \(facts.baseURL.dropLast(3))/api/billing/summary -H 'Authorization: Bearer \(facts.apiKey)'

        python3 - <<'EOF'
        import openai  # pip install openai
        client = openai.OpenAI(base_url="\(facts.baseURL)", api_key="\(facts.apiKey)")
        for chunk in client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], stream=True):
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        EOF

        Ctrl-C stops everything; the data stays.
        """
    }
}
