import Billing
import Metering
import PostgresLedger
import RedisHolds
import StripeAPI
import Testing

@testable import Tollgate

/// What makes a T-1 line red or a warning, each fact by itself. A fact that is fine makes no line.
@Suite struct PreflightTests {
    private static let random = "9f3c5a7e1b2d4806c8ea17f3b5d9024e"

    private func secret(
        _ name: String, _ values: [String] = [Self.random], mode: UInt32? = 0o640, isFile: Bool = false
    ) -> NamedSecret {
        NamedSecret(
            name: name, values: values.map { Secret(value: $0) },
            file: isFile ? .init(path: "/etc/tollgate/x", mode: mode) : nil)
    }

    private func states(_ lines: [PreflightLine]) -> [PreflightLine.State] { lines.map(\.state) }

    // MARK: Secrets

    @Test func aRandomSecretInAPrivateFileIsFine() {
        #expect(SecretJudgement.findings([self.secret("KEY_PEPPER", isFile: true)]).isEmpty)
    }

    @Test(arguments: [
        "changeme-changeme-changeme-changeme", "sk_test_mock", "sk-mock", "Password1234567890abcdefghijklmno",
        "abababababababababababababababab",
    ])
    func whatEverybodyKnowsIsRefusedWithoutBeingSaid(_ value: String) {
        let lines = SecretJudgement.findings([self.secret("ADMIN_TOKEN", [value])])
        #expect(self.states(lines) == [.failed])
        #expect(lines[0].text.contains("ADMIN_TOKEN") && !lines[0].text.contains(value))
    }

    /// Words that stand where a secret belongs, with whatever was written around them.
    @Test(arguments: [
        "sk-test-0f3c5a7e1b2d4806c8ea17f3", "sk-proj-CHANGE-ME-0f3c5a7e1b2d48",
        "change-me-9f3c5a7e1b2d4806c8ea",
        "Change_Me_9f3c5a7e1b2d4806c8ea17", "<your-api-key-goes-here>", "sk_live_replace-with-yours-0123",
        "whsec_test_0f3c5a7e1b2d4806", "[REPLACE ME 0123456789]", "tollgate-0123456789-abcdef",
        "Postgres-123456789",
    ])
    func variationsOfWhatEverybodyKnowsAreRefused(_ value: String) {
        let lines = SecretJudgement.findings([self.secret("OPENAI_API_KEY", [value])])
        #expect(lines == [.failed("secrets", "OPENAI_API_KEY is a value that everybody knows")])
    }

    @Test(arguments: [
        "sk-proj-9f3c5a7e1b2d4806c8ea17f3b5d9024e", "sk_live_51Nxq9f3c5a7e1b2d4806c8",
        "whsec_9f3c5a7e1b2d4806c8ea17f3",
        "whsec_of_another_endpoint_000000",
    ])
    func aSecretOfAVendorIsFine(_ value: String) {
        #expect(SecretJudgement.findings([self.secret("OPENAI_API_KEY", [value])]).isEmpty)
    }

    @Test func aShortPasswordIsRefused() {
        var short = self.secret("DATABASE_URL", ["k7!pQ2zR9w"])
        short.part = "password"
        #expect(
            SecretJudgement.findings([short]) == [
                .failed("secrets", "password of DATABASE_URL is shorter than 16 bytes")
            ])
    }

    @Test(
        arguments: [
            ("postgresql://ada:p%40ss%2Fword@h:5432/db?sslmode=verify-full", "p@ss/word"),
            ("postgresql://ada@h/db?sslmode=require&password=in%20query", "in query"),
            ("postgresql://ada@h/db", nil), ("postgresql://h/db?x=a:b@c", nil),
            ("redis://:only@h:6379/0", "only"),
            ("rediss://user:a:b@h", "a:b"), ("redis://h:6379", nil), ("redis://:@h", nil), ("nonsense", nil),
        ] as [(String, String?)])
    func thePasswordOfAURLIsFound(_ url: String, _ password: String?) {
        #expect(SettingSecrets.password(in: Secret(value: url))?.value == password)
    }

    @Test func headersThatProveWhoAsksAreSecretsAndOthersAreNot() {
        let text = Secret(value: "Authorization=Bearer%20abc, x-team=billing,api-key=k1,broken")
        let found = SettingSecrets.headers(in: text)
        #expect(
            found.map(\.name) == ["authorization", "api-key"] && found.map(\.value.value) == ["abc", "k1"])
    }

    @Test(arguments: [
        (0o644 as UInt32?, true), (0o660, true), (nil, true), (0o600, false), (0o440, false),
    ])
    func aFileThatOthersCanReadOrChangeIsRefused(_ mode: UInt32?, _ isRefused: Bool) {
        let lines = SecretJudgement.findings([self.secret("KEY_PEPPER", mode: mode, isFile: true)])
        #expect(lines.isEmpty != isRefused)
    }

    @Test func oneSecretForTwoPurposesIsRefused() {
        let lines = SecretJudgement.findings([self.secret("ADMIN_TOKEN"), self.secret("SESSION_SECRET")])
        #expect(lines == [.failed("secrets", "SESSION_SECRET and ADMIN_TOKEN are the same")])
    }

    @Test func aRotationThatWasNotEndedIsAWarning() {
        let lines = SecretJudgement.findings([
            self.secret("KEY_PEPPER", [Self.random, String(Self.random.reversed())])
        ])
        #expect(self.states(lines) == [.warning])
    }

    @Test func secretsGetOldAfterNinetyDays() {
        #expect(SecretJudgement.ages([("A", 90)]).isEmpty)
        #expect(self.states(SecretJudgement.ages([("A", 91)])) == [.warning])
    }

    @Test func aSecretOfStagingIsFoundByItsFingerprintAlone() throws {
        let secrets = [self.secret("ADMIN_TOKEN"), self.secret("KEY_PEPPER", ["another " + Self.random])]
        let printed = "STAGING_TOKEN \(SecretFingerprint.text(Secret(value: Self.random)))\n"
        #expect(!printed.contains(Self.random))
        let staging = try #require(SecretFingerprint.parse(printed))
        let lines = SecretJudgement.shared(secrets, with: staging)
        #expect(lines == [.failed("staging", "ADMIN_TOKEN is a secret of staging as well; make a new one")])
        #expect(SecretFingerprint.parse("not a fingerprint") == nil && SecretFingerprint.parse("") == nil)
    }

    // MARK: Stores

    private static let postgres = PostgresServerFacts(
        majorVersion: 15,
        settings: [
            "fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_checksums": "on",
        ],
        isStandby: false, isLocal: false, isTLS: true, milliseconds: 0, schemaVersion: 28)

    @Test func aDurableServerIsFine() {
        #expect(StoreJudgement.findings(Self.postgres, programVersion: 28).isEmpty)
    }

    @Test(arguments: ["fsync", "full_page_writes", "synchronous_commit"])
    func aServerThatForgetsIsRefused(_ name: String) {
        var facts = Self.postgres
        facts.settings[name] = "off"
        let lines = StoreJudgement.findings(facts, programVersion: 28)
        #expect(self.states(lines) == [.failed] && lines[0].text.hasPrefix("\(name) is off"))
    }

    @Test func oldStandbyPlainAndUncheckedAreSaid() {
        var facts = Self.postgres
        (facts.majorVersion, facts.isStandby, facts.isTLS) = (14, true, false)
        facts.settings["data_checksums"] = "off"
        #expect(
            self.states(StoreJudgement.findings(facts, programVersion: 28)) == [
                .failed, .failed, .warning, .warning,
            ])
        facts = Self.postgres
        (facts.isLocal, facts.isTLS) = (true, false)
        #expect(
            StoreJudgement.findings(facts, programVersion: 28).isEmpty,
            "nobody listens on a socket of one machine")
    }

    @Test(arguments: [(nil, false), (27, false), (29, false), (28, true)] as [(Int64?, Bool)])
    func theSchemaIsThisPrograms(_ version: Int64?, _ isFine: Bool) {
        #expect((StoreJudgement.schema(version, programVersion: 28).state == .ok) == isFine)
    }

    @Test func aHoldStoreThatEvictsOrFollowsIsRefused() throws {
        let info =
            "redis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\n"
        #expect(StoreJudgement.findings(try #require(RedisServerFacts(parsing: info))).isEmpty)
        for (from, to, state) in [
            ("noeviction", "allkeys-lru", PreflightLine.State.failed), ("role:master", "role:slave", .failed),
            ("aof_enabled:1", "aof_enabled:0", .warning),
        ] {
            let facts = try #require(RedisServerFacts(parsing: info.replacing(from, with: to)))
            #expect(self.states(StoreJudgement.findings(facts)) == [state])
        }
        #expect(RedisServerFacts(parsing: "redis_version:7") == nil)
    }

    @Test func clocksAndBackupsHaveTheirBounds() {
        #expect(StoreJudgement.clock(-500).state == .ok && StoreJudgement.clock(501).state == .failed)
        #expect(StoreJudgement.clock(-501).state == .failed)
        #expect(
            StoreJudgement.backup(hours: 23).state == .ok && StoreJudgement.backup(hours: 24).state == .failed
        )
    }

    @Test func packagesAreTheFixedOnes() {
        var packages = SmokeExpectations.packages.map {
            CreditPackage(
                code: $0.code, version: 1, name: $0.code, priceUSDCents: $0.cents, credits: $0.credits,
                bonusCredits: $0.bonus)
        }
        #expect(StoreJudgement.packages(packages).isEmpty)
        packages[1].credits += 1
        packages.removeLast()
        #expect(self.states(StoreJudgement.packages(packages)) == [.failed, .failed])
    }

    // MARK: The world

    @Test func modesOfStripeFitTogether() throws {
        let stripe = try OutboundBase(parsing: StripeClient.defaultBase)
        #expect(StripeJudgement.mode(isLive: true, publicKey: "pk_live_x", base: stripe).isEmpty)
        #expect(
            self.states(StripeJudgement.mode(isLive: true, publicKey: "pk_test_x", base: stripe)) == [.failed]
        )
        #expect(
            self.states(StripeJudgement.mode(isLive: false, publicKey: "pk_test_x", base: stripe)) == [
                .warning
            ])
        let mock = try OutboundBase(parsing: "http://127.0.0.1:1")
        #expect(
            self.states(StripeJudgement.mode(isLive: true, publicKey: nil, base: mock)) == [
                .warning, .warning,
            ])
    }

    @Test func addressesAreEncrypted() {
        #expect(EdgeJudgement.addresses(publicURL: "https://a", origins: ["https://b"]).isEmpty)
        #expect(
            self.states(EdgeJudgement.addresses(publicURL: "http://a", origins: ["http://b", "https://c"]))
                == [.failed, .failed])
    }

    @Test func whatRunsOutIsSaidInTime() {
        let lines = EdgeJudgement.certificates([("a", 14), ("b", 13), ("c", -1), ("d", nil)])
        #expect(self.states(lines) == [.warning, .failed, .failed])
        #expect(EdgeJudgement.journalDisk("j", bytes: 6 << 30).state == .ok)
        #expect(EdgeJudgement.journalDisk("j", bytes: 2 << 30).state == .warning)
        #expect(EdgeJudgement.journalDisk("j", bytes: 1 << 29).state == .failed)
        #expect(EdgeJudgement.journalDisk("j", bytes: nil).state == .failed)
        #expect(
            EdgeJudgement.descriptors(8_192).state == .ok
                && EdgeJudgement.descriptors(1_024).state == .warning)
    }

    private static func flag(_ name: ControlName, _ value: String) -> FlagState {
        FlagState(
            name: name, value: value, environmentValue: value, source: .environment, change: nil, version: 0)
    }

    @Test func everySwitchThatIsNotOnIsAWarning() {
        let on = [
            Self.flag(.purchases, "true"), Self.flag(.charging, "true"), Self.flag(.rolloutPercentage, "100"),
        ]
        let off = [
            Self.flag(.purchases, "false"), Self.flag(.charging, "false"), Self.flag(.rolloutPercentage, "5"),
        ]
        #expect(OperatorJudgement.switches(on + [Self.flag(.allowlist, "ada")]).isEmpty)
        #expect(OperatorJudgement.switches(off).map(\.state) == [.warning, .warning, .warning])
    }

    private static func member(_ role: StaffRole, _ state: StaffMember.State) throws -> StaffMember {
        StaffMember(
            staffID: 1, email: try #require(StaffEmail("ada@example.com")), name: "ada", role: role,
            state: state, createdAt: 0, signedInAt: nil)
    }

    @Test func somebodyMustBeAbleToSignInAsOwner() throws {
        let owner = try Self.member(.owner, .active)
        #expect(OperatorJudgement.staffGap([owner]) == nil)
        #expect(OperatorJudgement.staffGap([]) != nil)
        #expect(OperatorJudgement.staffGap([try Self.member(.owner, .invited)]) != nil)
        #expect(OperatorJudgement.staffGap([try Self.member(.viewer, .active)])?.contains("owner") == true)
    }

    /// What was forgotten and what was decided look the same from outside.
    @Test(arguments: AcceptableGap.allCases)
    func whatIsMissingIsAGapUntilItIsAccepted(_ gap: AcceptableGap) {
        var report = PreflightReport()
        report.missing(gap, "there is none")
        #expect(!report.isReady(isStrict: false))
        #expect(report.lines[0].text == "there is none, or accept it: --accept \(gap.rawValue)")
        var told = PreflightReport(accepting: [gap])
        told.missing(gap, "there is none")
        #expect(told.isReady(isStrict: false) && !told.isReady(isStrict: true))
        #expect(told.lines == [.warning(gap.rawValue, "there is none; accepted")])
        for other in AcceptableGap.allCases where other != gap {
            var report = PreflightReport(accepting: [other])
            report.missing(gap, "there is none")
            #expect(report.failures == 1)
        }
    }

    @Test func aKeyThatOpenAIRefusesIsAGap() {
        #expect(OpenAIJudgement.key("https://api", status: 200).state == .ok)
        for status in [401, 403, 404, 500, nil] {
            #expect(OpenAIJudgement.key("https://api", status: status).state == .failed)
        }
        #expect(OpenAIJudgement.offline.state == .warning)
    }

    @Test func aChangedLogIsAGap() {
        let problems: [AuditVerdict.Problem] = [.wrongHead(number: 7)]
        #expect(
            OperatorJudgement.audit(AuditVerdict(entries: 6, head: "", problems: problems)).map(\.state) == [
                .failed
            ])
        #expect(OperatorJudgement.audit(AuditVerdict(entries: 7, head: "", problems: [])).isEmpty)
    }

    @Test func aGapIsNotReadyAndAWarningOnlyStrictly() {
        var report = PreflightReport()
        report.add("a", [], fine: "fine")
        #expect(report.isReady(isStrict: true) && report.lines[0].line == "✓ a              fine")
        report.add(.warning("b", "hm"))
        #expect(report.isReady(isStrict: false) && !report.isReady(isStrict: true))
        report.add("c", [.failed("c", "no")], fine: "fine")
        #expect(!report.isReady(isStrict: false) && report.failures == 1 && report.warnings == 1)
    }
}
