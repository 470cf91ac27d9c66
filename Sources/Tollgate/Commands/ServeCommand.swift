import ArgumentParser
import Logging
import PostgresLedger
import RedisHolds

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the proxy.",
        discussion: """
            All configuration comes from the environment; every bad setting is reported at once, before a port is \
            bound. Required: DATABASE_URL, REDIS_URL, OPENAI_API_KEY, ADMIN_TOKEN, KEY_PEPPER, SESSION_SECRET. \
            Optional, with defaults: OPENAI_BASE_URL (https://api.openai.com/v1), LISTEN (127.0.0.1:8080), \
            OPS_LISTEN (127.0.0.1:9090), PUBLIC_URL, CORS_ORIGINS, DATABASE_DIRECT_URL, OPENAI_CA_FILE, \
            BILLING_ROUNDING_MODE (exact), BILLING_SINGLE_REQUEST_CAP, BILLING_SESSION_CAP, BILLING_DAILY_CAP, \
            BILLING_ON_DISCONNECT (cancel), UPSTREAM_HEAD_TIMEOUT_SECONDS (600), UPSTREAM_IDLE_TIMEOUT_SECONDS \
            (120), DRAIN_TIMEOUT_SECONDS (300), SHUTDOWN_TIMEOUT_SECONDS (30), TOLLGATE_THREADS (cores). \
            Secrets can be given as NAME_FILE. SIGTERM drains and exits 0.
            """)

    func run() async throws {
        try await reporting {
            let reread: @Sendable () throws -> ServeConfiguration = {
                try ServeConfiguration(reading: .environment())
            }
            let configuration = try reread()
            var logger = Logger(label: "tollgate")
            logger.logLevel = .info
            do {
                let deployment = try await Deployment(configuration, logger: logger, reread: reread)
                try await deployment.run { _ in }
            } catch let error as RedisAddressProblem {
                throw BadConfiguration(problems: [SettingProblem(name: "REDIS_URL", message: "\(error)")])
            } catch let error as PostgresConfiguration.Invalid {
                throw BadConfiguration(problems: [SettingProblem(name: "DATABASE_URL", message: "\(error)")])
            }
        }
    }
}
