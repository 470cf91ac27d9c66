import Foundation
import LocalStores
import Logging
import Metering
import Synchronization
import Testing

@testable import PostgresLedger

/// A fresh, migrated database on a private server, dropped with the server.
struct TestDatabase: Sendable {
    let url: String
    let pool: PostgresPool
    let ledger: PostgresLedger
    let book: AccountBook
    static let hasher = KeyHasher(peppers: [Array("a pepper of thirty-two bytes or more".utf8)])
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A loaded machine is not a dead server.
    static let patient: PostgresPool.Limits = {
        var limits = PostgresPool.Limits()
        limits.waitMax = .seconds(120)
        limits.jobTimeout = .seconds(60)
        return limits
    }()

    static func empty() async throws -> String { try await TestServer.freshDatabase() }

    static func migrated(poolSize: Int = 2) async throws -> TestDatabase {
        let url = try await TestServer.freshDatabase(template: self.template.value)
        return try TestDatabase(url: url, poolSize: poolSize)
    }

    /// A migrated database that the others are copied from; nobody stays connected to it.
    private static let template = Task {
        let url = try await TestServer.freshDatabase()
        let database = try TestDatabase(url: url, poolSize: 1)
        _ = try await Migrator().migrate(database.pool)
        return try await database.pool.run { connection in
            let name = try connection.run("SELECT current_database()").one().text(0)
            connection.close()
            return name
        }
    }

    init(url: String, poolSize: Int = 2) throws {
        self.url = url
        let configuration = try PostgresConfiguration(url: url)
        self.pool = PostgresPool(configuration, size: poolSize, limits: Self.patient, logger: Self.logger)
        self.ledger = PostgresLedger(pool: self.pool, logger: Self.logger)
        self.book = AccountBook(pool: self.pool, hasher: Self.hasher)
    }

    /// An account with a starting balance in millicredits.
    func account(_ userID: String, balance: Int64 = 0) async throws -> AccountID {
        let account = try await self.book.findOrCreate(userID: userID).account
        if balance != 0 {
            _ = try await self.ledger.grant(
                Grant(
                    account: account, amount: Millicredits(balance), kind: .trial,
                    sourceRef: "start:\(userID)",
                    reason: "test"))
        }
        return account
    }

    func balance(_ account: AccountID) async throws -> Int64 {
        try await self.integer(
            "SELECT balance_millicredits FROM credit_balance WHERE account_id = \(account)")
    }

    func integer(_ sql: String) async throws -> Int64 {
        try await self.pool.run { try $0.run(sql).one().int(0) }
    }

    func text(_ sql: String) async throws -> String {
        try await self.pool.run { try $0.run(sql).one().text(0) }
    }

    func execute(_ sql: String) async throws {
        _ = try await self.pool.run(timeout: .seconds(30)) { try $0.runScript(sql).affected }
    }

    var verifier: LedgerVerifier { LedgerVerifier(pool: self.pool) }
}

/// The private server of this test process.
enum TestServer {
    /// Creating a database takes a while and must not block the tasks of other tests.
    private static let administrator = Task {
        let url = try TemporaryStores.shared.freshDatabase()
        let configuration = try PostgresConfiguration(url: url)
        return (
            url,
            PostgresPool(configuration, size: 2, limits: TestDatabase.patient, logger: TestDatabase.logger)
        )
    }

    /// A database for tests that create nothing.
    static func anyDatabase() async throws -> String { try await self.administrator.value.0 }

    /// - Parameter template: a database that nobody is connected to; nil makes an empty one.
    static func freshDatabase(template: String? = nil) async throws -> String {
        let (url, pool) = try await self.administrator.value
        let name = "t\(UInt64.random(in: 0...UInt64.max))"
        let copied = template.map { " TEMPLATE \($0)" } ?? ""
        _ = try await pool.run(timeout: .seconds(60)) {
            try $0.run("CREATE DATABASE \(name)\(copied)", timeout: .seconds(60)).affected
        }
        var parts = try #require(URLComponents(string: url))
        parts.path = "/" + name
        return try #require(parts.string)
    }
}

/// Outcomes of holds with increasing ids.
struct Outcomes {
    let owner = PostgresLedger.freshID()

    static var now: UInt64 { UInt64(Date().timeIntervalSince1970 * 1000) }

    static func hold(at milliseconds: UInt64 = now) -> HoldID {
        HoldID(
            millisecondsSinceEpoch: milliseconds, randomA: .random(in: 0...UInt16.max),
            randomB: .random(in: 0...UInt64.max))
    }

    func final(
        _ account: AccountID, _ amount: Int64, hold: HoldID = Self.hold(),
        authority: Settlement.Authority = .owner,
        kind: Settlement.Kind = .final, model: String = "gpt-4o-mini",
        served: String? = "gpt-4o-mini-2024-07-18",
        output: Int64 = 7
    ) -> Settlement {
        Settlement(
            account: account, hold: hold, owner: self.owner, kind: kind, authority: authority,
            endpoint: .chat,
            modelRequested: model, modelServed: served, servedTier: "default",
            priceID: "openai@2026-11-12/gpt-4o-mini",
            usage: Usage(input: 10, cachedInput: 3, cacheWrite: 2, output: output, reasoning: 1),
            charge: kind == .void
                ? .zero : Charge(amount: Millicredits(amount), cost: PicoUSD(amount * 500_000)),
            estimatedBecause: kind == .orphan ? .proxyDied : nil, upstreamRequestID: "req_\(hold)",
            occurredAtMilliseconds: Int64(hold.millisecondsSinceEpoch))
    }

    func void(_ account: AccountID, hold: HoldID = Self.hold()) -> Settlement {
        self.final(account, 0, hold: hold, kind: .void)
    }

    func orphan(
        _ account: AccountID, _ amount: Int64, hold: HoldID, authority: Settlement.Authority = .reaper
    ) -> Settlement {
        self.final(account, amount, hold: hold, authority: authority, kind: .orphan)
    }
}

/// Collects values from other threads.
final class Collected<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    func add(_ value: Value) { self.values.withLock { $0.append(value) } }
    var all: [Value] { self.values.withLock { $0 } }
}

/// Asks again every few milliseconds until `condition` holds; false after `seconds`.
func eventually(within seconds: Double = 15, _ condition: () async throws -> Bool) async rethrows -> Bool {
    let clock = ContinuousClock()
    let until = clock.now.advanced(by: .milliseconds(Int(seconds * 1000)))
    repeat {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    } while clock.now < until
    return try await condition()
}
