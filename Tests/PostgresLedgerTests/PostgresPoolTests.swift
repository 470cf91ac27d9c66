import Glibc
import Metering
import Testing

@testable import PostgresLedger

/// A dead or hung server gives a typed error in bounded time.
@Suite(.serialized) struct PostgresPoolTests {
    @Test func nobodyThereIsConnectFailedAndThenBackingOff() async throws {
        let configuration = try PostgresConfiguration(url: "postgresql://x@/x?host=/nonexistent")
        var limits = PostgresPool.Limits()
        limits.backOffMin = .seconds(86_400)
        limits.backOffMax = .seconds(86_400)
        let pool = PostgresPool(configuration, size: 1, limits: limits, logger: TestDatabase.logger)
        await #expect(throws: PostgresError.unreachable(.connectFailed)) { try await pool.run { $0.isOpen } }
        await #expect(throws: PostgresError.unreachable(.backingOff)) { try await pool.run { $0.isOpen } }
    }

    /// A server that accepts and says nothing (stopped process, full disk).
    @Test func aSilentServerIsConnectTimedOut() async throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                _ = bind(listener, generic, length)
                _ = listen(listener, 5)
                _ = getsockname(listener, generic, &length)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
        var configuration = try PostgresConfiguration(url: "postgresql://x@127.0.0.1:\(port)/x")
        configuration.connectTimeout = .milliseconds(200)
        let pool = PostgresPool(configuration, size: 1, logger: TestDatabase.logger)
        let started = ContinuousClock.now
        await #expect(throws: PostgresError.unreachable(.connectTimedOut)) {
            try await pool.run { $0.isOpen }
        }
        #expect(started.duration(to: .now) < .seconds(5))
    }

    /// A primary that was replaced still answers on the connections of before.
    @Test func afterReconnectNoJobGetsAConnectionOfBefore() async throws {
        let configuration = try PostgresConfiguration(url: await TestServer.anyDatabase())
        let pool = PostgresPool(
            configuration, size: 1, limits: TestDatabase.patient, logger: TestDatabase.logger)
        let session = { @Sendable in
            try await pool.run { try $0.run("SELECT pg_backend_pid()").one().int(0) }
        }
        let before = try await session()
        #expect(try await session() == before)
        pool.reconnect()
        let after = try await session()
        #expect(after != before)
        #expect(try await session() == after)
    }

    @Test func aStatementThatHangsIsTimedOutAndTheNextOneWorks() async throws {
        var configuration = try PostgresConfiguration(url: await TestServer.anyDatabase())
        configuration.statementTimeout = .milliseconds(200)
        configuration.sessionSettings = false
        let pool = PostgresPool(
            configuration, size: 1, limits: TestDatabase.patient, logger: TestDatabase.logger)
        await #expect(throws: PostgresError.unreachable(.timedOut)) {
            try await pool.run { try $0.run("SELECT pg_sleep(60)").count }
        }
        let next = try await pool.run { try $0.run("SELECT 42", timeout: .seconds(60)).one().int(0) }
        #expect(next == 42)
    }

    /// The server gives up on its own side as well, so nothing keeps running there.
    @Test func theServerEndsAStatementThatIsTooSlow() async throws {
        var configuration = try PostgresConfiguration(url: await TestServer.anyDatabase())
        configuration.statementTimeout = .milliseconds(800)
        let pool = PostgresPool(
            configuration, size: 1, limits: TestDatabase.patient, logger: TestDatabase.logger)
        // Its limit is the configuration's; the client waits for longer here, and hears of it on the slowest machine.
        let error = await #expect(throws: PostgresError.self) {
            try await pool.run { try $0.run("SELECT pg_sleep(60)", timeout: .seconds(60)).count }
        }
        #expect(error?.sqlState?.code == "57014")
        #expect(error?.isUnreachable == true)
    }

    /// A host that vanishes must not keep its locks until somebody wonders (P8).
    @Test func everySessionHasItsLimits() async throws {
        var configuration = try PostgresConfiguration(url: await TestServer.anyDatabase())
        let connection = try PostgresConnection(configuration)
        for (name, value) in [
            ("statement_timeout", "7500ms"), ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "5s"), ("tcp_user_timeout", "5000"),
            ("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "2"), ("tcp_keepalives_count", "3"),
        ] {
            #expect(try connection.run("SHOW \(name)").one().text(0) == value, "\(name)")
        }
        #expect(configuration.keywords.contains { $0 == ("tcp_user_timeout", "5000") })

        // PgBouncer takes no session settings: the transaction brings its own, and nothing of it stays behind.
        configuration.sessionSettings = false
        #expect(!configuration.keywords.contains { $0.0 == "options" })
        let pooled = try PostgresConnection(configuration)
        let inside = try pooled.transaction { connection in
            try ["lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout"].map {
                try connection.run("SHOW \($0)").one().text(0)
            }
        }
        #expect(inside == ["2s", "5s", "8s"])
        #expect(try pooled.run("SHOW lock_timeout").one().text(0) == "0")
    }

    /// Without a session to set them in, a function that waits for rows brings its own limit.
    @Test func everyFunctionThatLocksHasALockTimeout() async throws {
        let database = try await TestDatabase.migrated()
        let unlimited = try await database.pool.run { connection in
            try connection.run(
                """
                SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                WHERE n.nspname = 'public' AND p.prokind = 'f'
                  AND p.prosrc ~* 'FOR (NO KEY )?UPDATE|\\mUPDATE [a-z]+|INSERT INTO'
                  AND NOT coalesce(p.proconfig, '{}') @> ARRAY['lock_timeout=2s']
                """
            ).rows.map { try $0.text(0) }
        }
        #expect(unlimited.isEmpty)
    }

    @Test func aKilledBackendIsNoticedBeforeTheNextJob() async throws {
        let url = try await TestServer.anyDatabase()
        let pool = PostgresPool(try PostgresConfiguration(url: url), size: 1, logger: TestDatabase.logger)
        let pid = try await pool.run { try $0.run("SELECT pg_backend_pid()").one().int(0) }
        let other = try PostgresConnection(PostgresConfiguration(url: url))
        try other.run("SELECT pg_terminate_backend($1::int)", [.int(pid)])
        while try other.run("SELECT count(*) FROM pg_stat_activity WHERE pid = $1::int", [.int(pid)]).one()
            .int(0) > 0
        {
            sleepThread(.milliseconds(5))
        }
        #expect(try await pool.run { try $0.run("SELECT 42").one().int(0) } == 42)
    }

    @Test func aTransactionLeftOpenIsNotInherited() async throws {
        let pool = PostgresPool(
            try PostgresConfiguration(url: await TestServer.anyDatabase()), size: 1,
            logger: TestDatabase.logger)
        _ = try await pool.run { try $0.run("BEGIN").count }
        #expect(try await pool.run { $0.isIdle })
    }

    @Test func manyJobsShareFewConnections() async throws {
        let pool = PostgresPool(
            try PostgresConfiguration(url: await TestServer.anyDatabase()), size: 3,
            logger: TestDatabase.logger)
        let pids = try await withThrowingTaskGroup { group in
            for _ in 0..<300 {
                group.addTask { try await pool.run { try $0.run("SELECT pg_backend_pid()").one().int(0) } }
            }
            return try await group.reduce(into: Set<Int64>()) { $0.insert($1) }
        }
        #expect((1...3).contains(pids.count))
    }

    @Test func aFullQueueRefusesAndAShutPoolAnswers() async throws {
        var limits = PostgresPool.Limits()
        limits.waitingMax = 1
        let pool = PostgresPool(
            try PostgresConfiguration(url: await TestServer.anyDatabase()), size: 1, limits: limits,
            logger: TestDatabase.logger)
        let answers = Collected<Bool>()
        for _ in 0..<40 {
            pool.submit {
                try $0.run("SELECT pg_sleep(0.02)").count
            } completion: { result in
                if case .failure(PostgresError.unreachable(.overloaded)) = result {
                    answers.add(false)
                } else {
                    answers.add(true)
                }
            }
        }
        #expect(await eventually { answers.all.count == 40 })
        #expect(answers.all.contains(true) && answers.all.contains(false))
        pool.shutDown()
        await #expect(throws: PostgresError.unreachable(.shutDown)) { try await pool.run { $0.isOpen } }
    }

    @Test func aURLThatIsNoneIsRefusedWithoutRepeatingIt() {
        #expect(throws: PostgresConfiguration.Invalid.notAConnectionURL) {
            try PostgresConfiguration(url: "postgresql://user:secret@[::1/x")
        }
        #expect(throws: PostgresConfiguration.Invalid.notAConnectionURL) {
            try PostgresConfiguration(url: "")
        }
        let configuration = try? PostgresConfiguration(url: "postgresql://user:secret@host/x")
        #expect(configuration.map { "\($0)".contains("secret") } == false)
    }

    /// What PostgreSQL reads back is what was written, whatever is in it.
    @Test(arguments: ["", "plain", "a\"b\\c{d},e", "NULL", " spaced ", "naïve 🙂", "line\nbreak\ttab"])
    func textSurvivesParametersAndArrays(_ text: String) async throws {
        let connection = try PostgresConnection(
            PostgresConfiguration(url: try await TestServer.anyDatabase()))
        var array = PostgresArray()
        array.append(text)
        array.append(nil as String?)
        let row = try connection.run(
            "SELECT $1::text, ($2::text[])[1], ($2::text[])[2] IS NULL, array_length($2::text[], 1)",
            [.text(text), .array(array)]
        ).one()
        #expect(try row.text(0) == text)
        #expect(try row.text(1) == text)
        #expect(try row.bool(2))
        #expect(try row.int(3) == 2)
        #expect(throws: PostgresError.nulInText) { try connection.run("SELECT $1::text", [.text("a\u{0}b")]) }
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 10, 9_007_199_254_740_993, .max])
    func integersSurvive(_ value: Int64) async throws {
        let connection = try PostgresConnection(
            PostgresConfiguration(url: try await TestServer.anyDatabase()))
        let row = try connection.run(
            "SELECT $1::bigint, ($2::bigint[])[1]", [.int(value), .array(PostgresArray([value]))]
        ).one()
        #expect(try row.int(0) == value)
        #expect(try row.int(1) == value)
        #expect(throws: PostgresError.self) { try row.text(7) }
        #expect(throws: PostgresError.self) { try row.bool(0) }
    }
}
