import Synchronization

@testable import PostgresLedger

/// A transaction that another session left open, until the test commits it. It lives on a thread of its own, since a
/// connection stays on the thread that opened it and a test does not.
final class OpenTransaction: Sendable {
    private enum Phase { case starting, open, committing, ended }

    private let phase = Mutex(Phase.starting)

    /// Returns when the statements were run.
    init(_ statements: [String], on database: TestDatabase) async throws {
        let configuration = try PostgresConfiguration(url: database.url)
        DedicatedThread.start { [self] in
            defer { self.phase.withLock { $0 = .ended } }
            guard let connection = try? PostgresConnection(configuration) else { return }
            // It stays open for as long as the test takes to come to its end.
            for statement in ["SET idle_in_transaction_session_timeout = 0", "BEGIN"] + statements {
                guard (try? connection.run(statement)) != nil else { return }
            }
            self.phase.withLock { $0 = .open }
            while !self.phase.withLock({ $0 == .committing }) { sleepThread(.milliseconds(2)) }
            _ = try? connection.run("COMMIT")
        }
        guard await eventually({ !self.phase.withLock { $0 == .starting } }) else {
            throw PostgresError.unreachable(.timedOut)
        }
    }

    /// Returns when it is committed.
    func commit() async -> Bool {
        self.phase.withLock { $0 = .committing }
        return await eventually { self.phase.withLock { $0 == .ended } }
    }
}

extension TestDatabase {
    /// Functions wait for a lock longer than the two seconds that they are given: a test that keeps it from them may be
    /// late with its end.
    func letsFunctionsWait() async throws {
        try await self.execute(
            """
            DO $$ DECLARE f regprocedure; BEGIN
                FOR f IN SELECT oid FROM pg_proc WHERE proconfig @> ARRAY['lock_timeout=2s'] LOOP
                    EXECUTE format('ALTER FUNCTION %s SET lock_timeout = ''60s''', f);
                END LOOP;
            END $$
            """)
    }
}
