import Foundation
import Logging
import Metering
import PostgresLedger

/// The ledger as the administrative commands use it: configuration from the environment, closed at the end.
struct StoreSession {
    let pool: PostgresPool
    let ledger: PostgresLedger
    let logger: Logger

    /// Opens the database of `DATABASE_URL` (`DATABASE_DIRECT_URL` when `direct`), runs `body`, and closes
    /// it.
    static func with<Value>(direct: Bool = false, _ body: (StoreSession) async throws -> Value) async throws
        -> Value
    {
        var reader = SettingsReader.environment()
        let url = reader.requiredSecret("DATABASE_URL", "the ledger, postgresql://…")
        let directURL = reader.secret("DATABASE_DIRECT_URL") ?? url
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        return try await self.with(url: direct ? directURL : url, body)
    }

    static func with<Value>(url: Secret, _ body: (StoreSession) async throws -> Value) async throws -> Value {
        var logger = Logger(label: "tollgate.cli")
        logger.logLevel = .warning
        let pool = PostgresPool(try PostgresConfiguration(url: url.value), size: 1, logger: logger)
        defer { pool.shutDownAndWait() }
        return try await body(
            StoreSession(pool: pool, ledger: PostgresLedger(pool: pool, logger: logger), logger: logger))
    }

    /// Accounts and keys; needs `KEY_PEPPER`, since keys are stored as a keyed hash.
    func book() throws -> AccountBook {
        var reader = SettingsReader.environment()
        let peppers = reader.requiredSecrets("KEY_PEPPER", "key of the hash of API keys", bytesMin: 32)
        guard reader.problems.isEmpty else { throw BadConfiguration(problems: reader.problems) }
        return AccountBook(pool: self.pool, hasher: KeyHasher(peppers: peppers.map { Array($0.value.utf8) }))
    }

    /// Accounts without keys: any pepper will do, since none is used.
    func accounts() -> AccountBook {
        AccountBook(pool: self.pool, hasher: KeyHasher(peppers: [[UInt8](repeating: 0, count: 32)]))
    }
}

extension SettingsReader {
    /// The process environment and the file system.
    static func environment() -> SettingsReader {
        SettingsReader(
            get: System.environment,
            readFile: { path in try String(contentsOfFile: path, encoding: .utf8) })
    }
}

/// What an operator typed that does not hold up, whatever the deployment is like: exit 64.
struct UsageError: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// What was typed makes sense, and cannot be done with what is there: exit 1.
struct CommandFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
