import Metering
import Testing

@testable import Tollgate

/// Every bad setting is reported at once, before a port is bound (CONTRACT §3).
@Suite struct ServeConfigurationTests {
    static let good: [String: String] = [
        "DATABASE_URL": "postgresql://u:p@127.0.0.1/tollgate", "REDIS_URL": "redis://127.0.0.1/0",
        "OPENAI_API_KEY": "sk-x", "ADMIN_TOKEN": String(repeating: "a", count: 32),
        "KEY_PEPPER": String(repeating: "b", count: 32), "SESSION_SECRET": String(repeating: "c", count: 32),
    ]

    func read(
        _ changes: [String: String], files: [String: String] = [:], descriptors: Int = 1 << 20
    ) throws -> ServeConfiguration {
        try ServeConfiguration(reading: self.reader(changes, files: files), descriptors: descriptors)
    }

    func reader(_ changes: [String: String], files: [String: String] = [:]) -> SettingsReader {
        let table = Self.good.merging(changes) { _, new in new }
        return SettingsReader(
            get: { table[$0] },
            readFile: { path in
                guard let text = files[path] else { throw UsageError("no file") }
                return text
            })
    }

    func problems(_ changes: [String: String]) -> [String] {
        do {
            _ = try self.read(changes)
            return []
        } catch let error as BadConfiguration {
            return error.problems.map(\.name)
        } catch {
            return ["\(error)"]
        }
    }

    @Test func defaultsAreTheContracts() throws {
        let configuration = try self.read([:])
        #expect(configuration.listen.description == "127.0.0.1:8080")
        #expect(configuration.opsListen.description == "127.0.0.1:9090")
        #expect(configuration.upstream.host == "api.openai.com" && configuration.upstream.isTLS)
        #expect(configuration.roundingMode == .exact && configuration.onDisconnect == .cancel)
        #expect(configuration.publicURL == "http://127.0.0.1:8080")
        #expect(configuration.tokenizerDirectory == "var/tokenizer")
        #expect(configuration.databaseDirectURL.value == configuration.databaseURL.value)
    }

    @Test func allProblemsComeAtOnce() {
        let found = self.problems([
            "DATABASE_URL": "", "REDIS_URL": "http://x", "ADMIN_TOKEN": "short", "LISTEN": "nowhere",
            "BILLING_ROUNDING_MODE": "floor", "BILLING_DAILY_CAP": "-1", "OPENAI_BASE_URL": "ftp://x",
            "CORS_ORIGINS": "*",
        ])
        #expect(
            Set(found) == [
                "DATABASE_URL", "REDIS_URL", "ADMIN_TOKEN", "LISTEN", "BILLING_ROUNDING_MODE",
                "BILLING_DAILY_CAP",
                "OPENAI_BASE_URL", "CORS_ORIGINS",
            ])
    }

    @Test func theTokenizersFilesCanLieElsewhere() throws {
        #expect(try self.read(["TOKENIZER_DIR": "/srv/tok"]).tokenizerDirectory == "/srv/tok")
    }

    @Test func secretsCanComeFromFilesAndRotate() throws {
        let pepper = String(repeating: "p", count: 32)
        let configuration = try self.read(
            ["KEY_PEPPER": "", "KEY_PEPPER_FILE": "/run/pepper"],
            files: ["/run/pepper": "\(pepper), \(pepper)2\n"])
        #expect(configuration.secrets.keyPeppers.map(\.value) == [pepper, pepper + "2"])
        #expect(self.problems(["KEY_PEPPER": "", "KEY_PEPPER_FILE": "/missing"]) == ["KEY_PEPPER_FILE"])
        #expect(self.problems(["ADMIN_TOKEN_FILE": "/also"]) == ["ADMIN_TOKEN"])
    }

    /// The key becomes part of a field of every request upstream, where anything else would be another field, or a
    /// request that is refused.
    @Test(arguments: ["sk-a b", "sk-a\tb", "sk-a\r\nX-Evil: 1", "sk-a\u{7f}", " sk-a", "sk-a ", "sk-\u{e9}"])
    func anUpstreamKeyIsVisibleASCII(_ key: String) {
        #expect(self.problems(["OPENAI_API_KEY": key]) == ["OPENAI_API_KEY"])
        let file = ["OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": "/run/key"]
        #expect(throws: BadConfiguration.self) {
            try self.read(file, files: ["/run/key": key + "\n"])
        }
        #expect(throws: Never.self) { try self.read(file, files: ["/run/key": "sk-!~\n"]) }
    }

    /// A hash without a pepper would stop the process that SIGHUP tells to take it over.
    @Test(arguments: ["ADMIN_TOKEN", "KEY_PEPPER", "SESSION_SECRET"], [",", " , ,", ",,,"])
    func commasAreNoSecrets(name: String, value: String) {
        #expect(self.problems([name: value]) == [name])
    }

    /// SIGHUP must take over a rotated key though a certificate beside it is half-written, or another setting's file
    /// is gone: those are judged where they are used.
    @Test func theSecretsThatRotateAreReadByThemselves() throws {
        let changes = [
            "OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": "/run/key", "TLS_CERT": "/nonexistent.pem",
            "TLS_KEY": "/nonexistent.pem", "DATABASE_URL": "", "DATABASE_URL_FILE": "/missing",
        ]
        let fresh = try RotatingSecrets(reading: self.reader(changes, files: ["/run/key": "sk-2\n"]))
        #expect(fresh.upstreamKey.value == "sk-2")
        #expect(fresh.adminTokens.count == 1 && fresh.keyPeppers.count == 1)
        #expect(throws: BadConfiguration.self, "all or none") {
            try RotatingSecrets(reading: self.reader(["ADMIN_TOKEN": "short"]))
        }
    }

    @Test func autoRechargeNeedsStripesKey() throws {
        let stripe = ["STRIPE_SECRET_KEY": "sk_test_x", "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef"]
        #expect(try self.read(stripe).controls.autoRecharge == false)
        let on = ["BILLING_AUTO_RECHARGE": "true"]
        #expect(try self.read(stripe.merging(on) { $1 }).controls.autoRecharge)
        #expect(self.problems(on) == ["BILLING_AUTO_RECHARGE"])
    }

    @Test func noAccountIsChargedMoreADayThanTheOperatorAllows() throws {
        let name = "BILLING_AUTO_RECHARGE_MAX_USD_PER_DAY"
        #expect(try self.read([:]).stripe.rechargeDailyMaxCents == 20_000)
        #expect(try self.read([name: "7"]).stripe.rechargeDailyMaxCents == 700)
        for bad in ["0", "-1", "7.5", "1000001"] { #expect(self.problems([name: bad]) == [name]) }
    }

    /// Start values of what can be changed at run time.
    @Test func controlsComeFromTheEnvironment() throws {
        #expect(try self.read([:]).controls == Controls())
        var controls = Controls()
        (controls.charging, controls.purchases, controls.rolloutPercentage) = (false, false, 5)
        controls.allowlist = [Array("anna".utf8)]
        (controls.modelAllowlist, controls.anomalyMultiplier) = (["gpt-4o"], 9)
        let given = Dictionary(
            uniqueKeysWithValues: ControlName.allCases.map { ($0.rawValue, controls.text($0)) })
        #expect(try self.read(given).controls == controls)
    }

    @Test func everyBadControlIsReportedAtOnce() {
        let bad = [
            "BILLING_CHARGING_ENABLED": "perhaps", "BILLING_ROLLOUT_PERCENTAGE": "101",
            "BILLING_ANOMALY_MULTIPLIER": "x",
        ]
        #expect(self.problems(bad).sorted() == bad.keys.sorted())
    }

    struct Setting: Sendable, CustomTestStringConvertible {
        var name: String
        /// As `serve --help` says it.
        var fallback: String
        /// No other setting of the tables gets this number.
        var given: Int
        var value: @Sendable (ServeConfiguration) -> Int?
        var testDescription: String { self.name }

        init(
            _ name: String, _ fallback: String, given: Int,
            _ value: @escaping @Sendable (ServeConfiguration) -> Int?
        ) {
            self.name = name
            self.fallback = fallback
            self.given = given
            self.value = value
        }

        static func seconds(
            _ name: String, _ fallback: Int, given: Int,
            _ nanoseconds: @escaping @Sendable (ServeConfiguration) -> Int64
        ) -> Setting {
            Setting(name + "_SECONDS", "\(fallback)", given: given) { Int(nanoseconds($0) / 1_000_000_000) }
        }

        /// Times are listed without their unit.
        var inHelp: String { "\(self.name.replacing("_SECONDS", with: "")) (\(self.fallback)" }
    }

    static let limits = [
        Setting("MAX_HEAD_BYTES", "32768", given: 4_097) { $0.limits.headBytesMax },
        Setting("MAX_HEAD_FIELDS", "128", given: 129) { $0.limits.headFieldsMax },
        Setting("MAX_JSON_BODY_BYTES", "20971520", given: 3_000_001) { $0.limits.jsonBodyBytesMax },
        Setting("MAX_FORM_BODY_BYTES", "26279936", given: 3_000_004) { $0.limits.formBodyBytesMax },
        Setting("MAX_CONTROL_BODY_BYTES", "1048576", given: 3_000_002) { $0.limits.controlBodyBytesMax },
        Setting("MAX_RATE_CARD_BODY_BYTES", "4194304", given: 3_000_003) { $0.limits.rateCardBodyBytesMax },
        Setting("MAX_BUFFERED_BODY_BYTES", "536870912", given: 3_000_003) { $0.limits.bufferedBodyBytesMax },
        Setting("MAX_CONNECTIONS", "from the descriptor limit", given: 3_001) { $0.limits.connectionsMax },
        Setting("MAX_CONNECTIONS_PER_ADDRESS", "three quarters of it", given: 3_002) {
            $0.limits.connectionsPerAddressMax
        },
        Setting("MAX_OPEN_STREAMS", "16384", given: 3_003) { $0.limits.exchangesMax },
        Setting("MAX_UPSTREAM_CONNECTIONS", "8192", given: 3_004) { $0.limits.upstreamConnectionsMax },
    ]

    static let times: [Setting] = [
        .seconds("HEADER_TIMEOUT", 10, given: 201) { $0.timeouts.clientHead.nanoseconds },
        .seconds("BODY_TIMEOUT", 30, given: 202) { $0.timeouts.clientBody.nanoseconds },
        .seconds("BODY_TOTAL_TIMEOUT", 300, given: 203) { $0.timeouts.clientBodyTotal.nanoseconds },
        .seconds("KEEPALIVE_TIMEOUT", 75, given: 204) { $0.timeouts.keepAlive.nanoseconds },
        .seconds("CLIENT_WRITE_TIMEOUT", 120, given: 205) { $0.timeouts.clientWrite.nanoseconds },
        .seconds("TLS_HANDSHAKE_TIMEOUT", 10, given: 206) { $0.timeouts.tlsHandshake.nanoseconds },
        .seconds("UPSTREAM_CONNECT_TIMEOUT", 10, given: 207) { $0.timeouts.upstreamConnect.nanoseconds },
        .seconds("UPSTREAM_HEAD_TIMEOUT", 600, given: 208) { $0.timeouts.upstreamHead.nanoseconds },
        .seconds("UPSTREAM_IDLE_TIMEOUT", 120, given: 209) { $0.timeouts.upstreamIdle.nanoseconds },
        .seconds("UPSTREAM_KEEPALIVE", 30, given: 210) { $0.timeouts.upstreamKeepAlive.nanoseconds },
        .seconds("EXCHANGE_TIMEOUT", 3600, given: 211) { $0.timeouts.exchange.nanoseconds },
        .seconds("DRAIN_TIMEOUT", 300, given: 212) { $0.timeouts.drain.nanoseconds },
        .seconds("SHUTDOWN_DELAY", 0, given: 213) { $0.timeouts.shutdownDelay.nanoseconds },
        .seconds("SHUTDOWN_TIMEOUT", 30, given: 214) { $0.timeouts.shutdown.nanoseconds },
    ]

    /// All at once, each with a number of its own, so that no setting can stand in for another.
    @Test func everyLimitAndTimeIsRead() throws {
        let all = Self.limits + Self.times
        let configuration = try self.read(
            Dictionary(uniqueKeysWithValues: all.map { ($0.name, "\($0.given)") }))
        for setting in all { #expect(setting.value(configuration) == setting.given, "\(setting.name)") }
    }

    @Test(arguments: limits + times) func whatIsNotSetHasTheDefaultThatHelpNames(_ setting: Setting) throws {
        #expect(ServeCommand.configuration.discussion.contains(setting.inHelp))
        guard let fallback = Int(setting.fallback) else { return }
        #expect(try setting.value(self.read([:])) == fallback)
    }

    /// Each stream takes two descriptors: the limits that are not set leave room for both, and for the stores.
    @Test(arguments: [
        (descriptors: 1 << 20, connections: 524_160, upstream: 8192),
        (descriptors: 4096, connections: 1920, upstream: 1920),
        (descriptors: 256, connections: 64, upstream: 64),
        (descriptors: Int.max, connections: 10_000_000, upstream: 8192),
    ])
    func limitsFollowTheDescriptors(descriptors: Int, connections: Int, upstream: Int) throws {
        let free = try self.read([:], descriptors: descriptors).limits
        #expect(free.connectionsMax == connections && free.upstreamConnectionsMax == upstream)
        let zero = try self.read(["MAX_CONNECTIONS": "0"], descriptors: descriptors).limits
        #expect(zero.connectionsMax == connections)
        let set = ["MAX_CONNECTIONS": "5000", "MAX_UPSTREAM_CONNECTIONS": "6000"]
        let given = try self.read(set, descriptors: descriptors).limits
        #expect(given.connectionsMax == 5000 && given.upstreamConnectionsMax == 6000, "what is set, is kept")
    }

    @Test func theRestOfTheWireIsRead() throws {
        let configuration = try self.read([
            "MAX_CONNECTIONS_PER_ADDRESS": "0", "TRUSTED_PROXIES": "10.0.0.0/8, ::1", "ACCESS_LOG": "off",
        ])
        #expect(configuration.limits.connectionsPerAddressMax == 0, "no limit, and not the default")
        #expect(try self.read([:]).limits.connectionsPerAddressMax == nil)
        #expect(configuration.accessLog == .off)
    }

    /// Nobody should find out about the second bad limit after mending the first.
    @Test func badLimitsNameThemselves() {
        let bad = [
            "MAX_HEAD_BYTES": "1", "MAX_OPEN_STREAMS": "0", "HEADER_TIMEOUT_SECONDS": "0",
            "KEEPALIVE_TIMEOUT_SECONDS": "1.5", "TRUSTED_PROXIES": "10.0.0.0/33", "UPSTREAM_HTTP2": "maybe",
        ]
        #expect(Set(self.problems(bad)) == Set(bad.keys))
    }

    @Test func certificatesNeedTheirKeys() {
        #expect(self.problems(["TLS_CERT": "/nonexistent.pem"]) == ["TLS_KEY"])
        #expect(self.problems(["TLS_KEY": "/nonexistent.pem"]) == ["TLS_CERT"])
        #expect(
            self.problems(["TLS_CERT": "/nonexistent.pem", "TLS_KEY": "/nonexistent.pem"]) == ["TLS_CERT"])
    }

    @Test func secretsNeverPrintThemselves() {
        let secret = Secret(value: "sk-very-secret")
        #expect("\(secret)" == "***" && String(reflecting: secret) == "***")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!dumped.contains("very"))
    }

    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:8080", "[::1]:8080"), ("localhost:0", "localhost:0"),
    ])
    func listenAddressesAreRead(text: String, expected: String) {
        #expect(ListenAddress(parsing: text)?.description == expected)
    }

    @Test(arguments: ["", "host", ":80", "host:", "host:65536", "host:-1"])
    func badListenAddressesAreRefused(text: String) {
        #expect(ListenAddress(parsing: text) == nil)
    }
}
