import Billing
import Foundation
import Logging
import Metering
import NIOPosix
import PostgresLedger
import RateCards
import RedisHolds

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
    var report: PreflightReport
    let logger = Logger(label: "tollgate.preflight", factory: { _ in SwiftLogNoOpLogHandler() })

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
                    "rate-card", "and \(problems.count - shown.count) more: `tollgate ratecard validate FILE`"
                ))
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
}
