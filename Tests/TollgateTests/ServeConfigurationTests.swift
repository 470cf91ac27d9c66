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

    func read(_ changes: [String: String], files: [String: String] = [:]) throws -> ServeConfiguration {
        let table = Self.good.merging(changes) { _, new in new }
        return try ServeConfiguration(
            reading: SettingsReader(
                get: { table[$0] },
                readFile: { path in
                    guard let text = files[path] else { throw UsageError("no file") }
                    return text
                }))
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

    @Test func secretsCanComeFromFilesAndRotate() throws {
        let pepper = String(repeating: "p", count: 32)
        let configuration = try self.read(
            ["KEY_PEPPER": "", "KEY_PEPPER_FILE": "/run/pepper"],
            files: ["/run/pepper": "\(pepper), \(pepper)2\n"])
        #expect(configuration.keyPeppers.map(\.value) == [pepper, pepper + "2"])
        #expect(self.problems(["KEY_PEPPER": "", "KEY_PEPPER_FILE": "/missing"]) == ["KEY_PEPPER_FILE"])
        #expect(self.problems(["ADMIN_TOKEN_FILE": "/also"]) == ["ADMIN_TOKEN"])
    }

    /// A kill switch that would be ignored must not be accepted.
    @Test(arguments: [
        ("BILLING_CHARGING_ENABLED", "false"), ("BILLING_AUTO_RECHARGE", "true"),
        ("BILLING_ROLLOUT_PERCENTAGE", "5"),
    ])
    func whatThisVersionCannotDoIsRefused(name: String, value: String) {
        #expect(self.problems([name: value]) == [name])
    }

    @Test func limitsAndTimeoutsAreRead() throws {
        let configuration = try self.read([
            "MAX_HEAD_BYTES": "4096", "MAX_CONNECTIONS_PER_ADDRESS": "0", "HEADER_TIMEOUT_SECONDS": "3",
            "SHUTDOWN_DELAY_SECONDS": "5", "TRUSTED_PROXIES": "10.0.0.0/8, ::1", "ACCESS_LOG": "off",
        ])
        #expect(configuration.limits.headBytesMax == 4096)
        #expect(configuration.limits.connectionsPerAddressMax == 0)
        #expect(configuration.limits.jsonBodyBytesMax == 20 << 20, "what is not set keeps its default")
        #expect(configuration.timeouts.clientHead == .seconds(3))
        #expect(configuration.timeouts.shutdownDelay == .seconds(5))
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
