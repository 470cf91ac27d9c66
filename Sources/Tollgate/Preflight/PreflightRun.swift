import Billing
import Foundation
import Logging
import Metering
import NIOPosix
import NIOSSL
import PostgresLedger
import RateCards
import RedisHolds
import StripeAPI

/// Goes through the T-1 list: asks everybody, and leaves the judging to pure functions.
struct PreflightRun {
    /// More of the same kind say nothing new.
    private static let problemsShown = 5

    /// Fingerprints of another environment; nil: not compared.
    var staging: Set<String>?
    /// The newest dump.
    var backup: String?
    /// Nobody but the stores, Stripe and the own URL is asked.
    var isOffline: Bool
    private(set) var report: PreflightReport
    private let logger = Logger(label: "tollgate.preflight", factory: { _ in SwiftLogNoOpLogHandler() })

    init(staging: Set<String>?, backup: String?, accepting: Set<AcceptableGap>, isOffline: Bool) {
        self.staging = staging
        self.backup = backup
        self.isOffline = isOffline
        self.report = PreflightReport(accepting: accepting)
    }

    mutating func run() async {
        let reader = SettingsReader.environment()
        var problems: [SettingProblem] = []
        var configuration: ServeConfiguration?
        let descriptors = System.raiseDescriptorLimit()
        do {
            configuration = try ServeConfiguration(reading: reader, descriptors: descriptors)
        } catch let bad as BadConfiguration {
            problems = bad.problems
        } catch {
            problems = [SettingProblem(name: "configuration", message: "\(error)")]
        }
        self.report.add(
            "settings", problems.map { .failed("settings", $0.description) },
            fine: "`serve` would start with them")
        var environment = PreflightEnvironment(reader)
        let secrets = environment.secrets()
        self.report.add(
            "secrets", SecretJudgement.findings(secrets),
            fine: "\(secrets.count) secrets, none known, repeated or readable by everybody")
        if let staging {
            self.report.add(
                "staging", SecretJudgement.shared(secrets, with: staging), fine: "no secret of staging's")
        } else {
            self.report.missing(.staging, "not compared with staging's secrets: see --staging-fingerprints")
        }
        await self.ledger(reader, secrets)
        await self.redis(reader)
        self.machine(configuration, descriptors)
        if let configuration {
            await self.edge(configuration)
            await self.openAI(configuration, reader)
            await self.stripe(configuration, reader)
        }
    }

    // MARK: Stores

    private mutating func ledger(_ reader: SettingsReader, _ secrets: [NamedSecret]) async {
        var reader = reader
        guard let url = reader.secret("DATABASE_URL") else {
            return self.report.add(
                .failed("postgres", "DATABASE_URL is not set: nothing of the ledger was looked at"))
        }
        do {
            let begin = Clock.wallMilliseconds()
            var report = self.report
            try await StoreSession.with(url: url) { store in
                let facts = try await PostgresServerFacts.read(store.pool)
                // Its clock was read somewhere between the two looks at ours.
                let skew = (begin + Clock.wallMilliseconds()) / 2 - facts.milliseconds
                report.add(
                    "postgres", StoreJudgement.findings(facts, programVersion: Migrator.programVersion),
                    fine: "version \(facts.majorVersion), durable")
                report.add(StoreJudgement.clock(skew))
                let schema = StoreJudgement.schema(
                    facts.schemaVersion, programVersion: Migrator.programVersion)
                report.add(schema)
                guard schema.state == .ok else { return }
                try await Self.contents(store, secrets, &report)
                try await Self.people(store, &report)
            }
            self.report = report
        } catch {
            self.report.add(.failed("postgres", "the ledger cannot be asked: \(error)"))
        }
        self.addBackup()
    }

    private mutating func addBackup() {
        guard let backup else {
            return self.report.missing(
                .backup, "none was named: make one with `tollgate backup FILE`, and name it with --backup")
        }
        guard let hours = Self.hours(since: backup) else {
            return self.report.add(
                .failed("backup", "\(backup) is no dump of `tollgate backup` with its manifest"))
        }
        self.report.add(StoreJudgement.backup(hours: hours))
    }

    private static func people(_ store: StoreSession, _ report: inout PreflightReport) async throws {
        let staff = try await StaffBook(pool: store.pool).list()
        if let gap = OperatorJudgement.staffGap(staff) {
            report.missing(.adminMFA, gap)
        } else {
            let active = staff.count { $0.state == .active }
            report.add(.ok("admin-mfa", "\(active) people, each with a second factor"))
        }
        let verdict = try await store.ledger.verifyAudit()
        report.add(
            "audit-log", OperatorJudgement.audit(verdict), fine: "\(verdict.entries) entries, none changed")
        var reader = SettingsReader.environment()
        let flags = try await FlagBook(pool: store.pool, start: Controls(&reader)).flags()
        report.add(
            "switches", OperatorJudgement.switches(flags),
            fine: "purchases and charging are on, for everybody")
    }

    private static func contents(
        _ store: StoreSession, _ secrets: [NamedSecret], _ report: inout PreflightReport
    ) async throws {
        let ages = SecretAges(pool: store.pool)
        let hasher = try await ages.hasher()
        let current = secrets.compactMap { secret in
            secret.values.first.map {
                SecretAges.Secret(name: secret.name, fingerprint: SecretFingerprint.digest($0, hasher))
            }
        }
        let days = try await ages.note(current)
        report.add(
            "rotation", SecretJudgement.ages(zip(current, days).map { ($0.name, $1) }),
            fine: "no secret is older than \(SecretJudgement.ageDaysMax) days")
        report.add(
            "packages", StoreJudgement.packages(try await store.ledger.packages()),
            fine: "the three packages have their prices and credits")
        guard let active = try await store.ledger.activeRateCard() else {
            return report.add(.failed("rate-card", "none is in force; run `tollgate seed`"))
        }
        let name = "\(active.card)@\(active.version)"
        guard let card = try? RateCard(parsing: active.body) else {
            return report.add(.failed("rate-card", "\(name), in force, is not valid for this release"))
        }
        let diff = RateCardDiff(from: nil, to: card, nowMilliseconds: Clock.wallMilliseconds())
        let problems = diff.problems.filter { $0.severity != .notice }.map {
            PreflightLine.warning("rate-card", "\(name): \($0)")
        }
        var shown = Array(problems.prefix(Self.problemsShown))
        if problems.count > shown.count {
            shown.append(
                .warning(
                    "rate-card", "and \(problems.count - shown.count) more: `tollgate ratecard validate`"))
        }
        report.add("rate-card", shown, fine: "\(name), \(card.models.count) models, none below cost")
    }

    private mutating func redis(_ reader: SettingsReader) async {
        var reader = reader
        guard let url = reader.secret("REDIS_URL") else {
            return self.report.add(.failed("redis", "REDIS_URL is not set: the hold store was not looked at"))
        }
        do {
            let facts = try await RedisServerFacts.read(
                url: url.value, group: MultiThreadedEventLoopGroup.singleton, logger: self.logger)
            self.report.add(
                "redis", StoreJudgement.findings(facts),
                fine: "version \(facts.version.prefix(16)), noeviction, appendonly")
        } catch {
            self.report.add(.failed("redis", "the hold store cannot be asked: \(error)"))
        }
    }

    private static func hours(since backup: String) -> Int64? {
        guard let data = FileManager.default.contents(atPath: BackupManifest.path(of: backup)),
            let manifest = try? JSONDecoder().decode(BackupManifest.self, from: data),
            let made = try? Date(manifest.createdAt, strategy: .iso8601)
        else { return nil }
        return (Clock.wallMilliseconds() / 1000 - Int64(made.timeIntervalSince1970)) / 3600
    }

    // MARK: The machine and the world

    private mutating func machine(_ configuration: ServeConfiguration?, _ descriptors: Int) {
        if let directory = configuration?.moneyPath.journalDirectory {
            self.report.add(
                EdgeJudgement.journalDisk(directory, bytes: PreflightEnvironment.freeBytes(directory)))
        }
        self.report.add(EdgeJudgement.descriptors(descriptors))
    }

    private mutating func edge(_ configuration: ServeConfiguration) async {
        self.report.add(
            "public-url",
            EdgeJudgement.addresses(publicURL: configuration.publicURL, origins: configuration.corsOrigins),
            fine: "\(configuration.publicURL), \(configuration.corsOrigins.count) exact origins")
        let days = configuration.certificates.map { ($0.certificateFile, Self.daysLeft($0.certificateFile)) }
        if !days.isEmpty {
            self.report.add("tls", EdgeJudgement.certificates(days), fine: "\(days.count) certificates")
        }
        await self.headers(configuration.publicURL)
    }

    private mutating func openAI(_ configuration: ServeConfiguration, _ reader: SettingsReader) async {
        guard !self.isOffline else { return self.report.add(OpenAIJudgement.offline) }
        var reader = reader
        guard let key = reader.secret("OPENAI_API_KEY") else { return }
        guard configuration.upstreamProxy == nil else {
            return self.report.add(OpenAIJudgement.behindProxy)
        }
        let base = reader.text("OPENAI_BASE_URL") ?? ServeConfiguration.defaultOpenAIBaseURL
        self.report.add(
            await OpenAIKeyTrial.run(
                base: base, key: key, authoritiesFile: configuration.upstreamCAFile))
    }

    private mutating func headers(_ publicURL: String) async {
        guard let base = try? OutboundBase(parsing: publicURL) else { return }
        let http = OutboundHTTP()
        defer { http.shutDown() }
        let origin = "https://preflight.invalid"
        let request = OutboundRequest(
            .get, base, target: "/api/health", headers: [.init("Origin", origin)], timeout: .seconds(10))
        do throws(OutboundFailure) {
            let reply = try await http.send(request)
            let problems = [
                SmokeExpectations.securityHeaders(reply.header),
                SmokeExpectations.foreignOrigin(reply.header("access-control-allow-origin"), origin),
            ].compactMap { $0 }
            self.report.add(
                "headers", problems.map { .failed("headers", $0) }, fine: "CSP and CORS are as they must be")
        } catch {
            self.report.add(.warning("headers", "PUBLIC_URL does not answer yet: \(error.label)"))
        }
    }

    private static func daysLeft(_ path: String) -> Int64? {
        guard let certificate = try? NIOSSLCertificate.fromPEMFile(path).first else { return nil }
        return (Int64(certificate.notValidAfter) - Clock.wallMilliseconds() / 1000) / 86_400
    }

    private mutating func stripe(_ configuration: ServeConfiguration, _ reader: SettingsReader) async {
        let settings = configuration.stripe
        guard let key = settings.key else {
            return self.report.add(
                .warning("stripe-mode", "STRIPE_SECRET_KEY is not set: purchases answer 503"))
        }
        self.report.add(
            "stripe-mode",
            StripeJudgement.mode(
                isLive: key.isLive, publicKey: reader.text("VITE_STRIPE_PUBLIC_KEY"), base: settings.base),
            fine: "live keys that fit together")
        var outbound = OutboundHTTP.Configuration()
        outbound.authoritiesFile = settings.authoritiesFile
        let http = OutboundHTTP(outbound)
        defer { http.shutDown() }
        let stripe = StripeClient(
            http: http, base: settings.base, key: key, userAgent: "Tollgate/\(Version.text)",
            logger: self.logger)
        do throws(StripeFailure) {
            let account = try await stripe.run(RetrieveAccount(), within: .seconds(20))
            let endpoints = try await stripe.run(ListWebhookEndpoints(), within: .seconds(20))
            self.report.add(
                "stripe-account", StripeJudgement.account(account), fine: "\(account.id) takes payments")
            self.report.add(
                "webhook",
                StripeJudgement.endpoints(endpoints, publicURL: configuration.publicURL, isLive: key.isLive),
                fine: "enabled at Stripe, with every event that payments need")
        } catch {
            self.report.add(.failed("webhook", "Stripe cannot be asked: \(error.label)"))
        }
    }
}
