import CLibpq
import Glibc
import Metering

/// One connection to PostgreSQL. Owns its `PGconn`; belongs to the thread that opened it.
///
/// Statements block that thread, but never longer than their deadline: the socket is non-blocking and every
/// wait is a `poll`. After a time-out or a broken connection the object is closed for good and answers
/// `unreachable`. Only unnamed statements with parameters are sent, so PgBouncer in transaction mode may
/// stand between.
public final class PostgresConnection {
    private var connection: OpaquePointer?
    private let owner = pthread_self()
    private let configuration: PostgresConfiguration
    private let clock = ContinuousClock()
    /// No statement of the current job waits beyond this instant, whatever its own limit.
    var jobDeadline: ContinuousClock.Instant?

    /// Opens a connection; throws `unreachable` after `connectTimeout` at the latest. The look-up of a host
    /// name is the resolver's and has its own limits.
    public init(_ configuration: PostgresConfiguration) throws(PostgresError) {
        self.configuration = configuration
        let pairs = configuration.keywords
        let keys = pairs.map { strdup($0.0) } + [nil]
        let values = pairs.map { strdup($0.1) } + [nil]
        defer { for pointer in keys + values { free(pointer) } }
        let keyPointers = keys.map { UnsafePointer<CChar>($0) }
        let valuePointers = values.map { UnsafePointer<CChar>($0) }
        guard let connection = PQconnectStartParams(keyPointers, valuePointers, 1) else {
            throw .unreachable(.connectFailed)
        }
        self.connection = connection
        clibpq_drop_notices(connection)
        do throws(PostgresError) {
            try self.finishConnecting(connection)
        } catch {
            self.close()
            throw error
        }
    }

    deinit { self.close() }

    /// Ends the connection; every later statement throws `unreachable`.
    public func close() {
        guard let connection = self.connection else { return }
        PQfinish(connection)
        self.connection = nil
    }

    public var isOpen: Bool { self.connection != nil }

    // MARK: Statements

    /// Runs one statement.
    ///
    /// - Parameter timeout: replaces the configuration's `statementTimeout` on this side.
    @discardableResult
    public func run(
        _ sql: String, _ parameters: PostgresParameters = [], timeout: Duration? = nil
    ) throws(PostgresError) -> PostgresResult {
        guard !parameters.containsNul else { throw .nulInText }
        let connection = try self.live()
        let sent = parameters.bytes.withUnsafeBufferPointer { bytes in
            let pointers = parameters.offsets.map { offset in
                offset.map { UnsafeRawPointer(bytes.baseAddress! + $0).assumingMemoryBound(to: CChar.self) }
            }
            return PQsendQueryParams(connection, sql, Int32(pointers.count), nil, pointers, nil, nil, 0)
        }
        guard sent == 1 else { throw self.lost() }
        return try self.collect(connection, until: self.deadline(timeout))
    }

    /// Runs several statements without parameters (a migration); the last result is returned.
    @discardableResult
    public func runScript(_ sql: String, timeout: Duration? = nil) throws(PostgresError) -> PostgresResult {
        let connection = try self.live()
        guard PQsendQuery(connection, sql) == 1 else { throw self.lost() }
        return try self.collect(connection, until: self.deadline(timeout))
    }

    public enum TransactionMode: String, Sendable {
        case readWrite = "BEGIN"
        /// Every statement sees the same moment.
        case readSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    }

    /// Runs `body` between BEGIN and COMMIT; any error rolls back and is passed on. The limits of the
    /// configuration are set for this transaction, so they hold behind PgBouncer too.
    public func transaction<Value>(
        _ mode: TransactionMode = .readWrite, _ body: (PostgresConnection) throws -> Value
    ) throws -> Value {
        try self.run(mode.rawValue)
        do {
            try self.run(
                """
                SELECT set_config('lock_timeout', $1, true),
                       set_config('idle_in_transaction_session_timeout', $2, true),
                       set_config('statement_timeout', $3, true)
                """,
                [
                    .text("\(self.configuration.lockTimeout.wholeMilliseconds)"),
                    .text("\(self.configuration.idleInTransactionTimeout.wholeMilliseconds)"),
                    .text("\(self.configuration.statementTimeout.wholeMilliseconds)"),
                ])
            let value = try body(self)
            try self.run("COMMIT")
            return value
        } catch {
            if self.isOpen, !self.isIdle { _ = try? self.run("ROLLBACK") }
            throw error
        }
    }

    // MARK: State

    /// Connected, and in no transaction.
    public var isIdle: Bool {
        guard let connection = self.connection else { return false }
        return PQtransactionStatus(connection) == PQTRANS_IDLE
    }

    /// Looks for the end of the connection without waiting: a restarted server is noticed before a statement
    /// is lost on it. An idle connection that listens to nothing is sent bytes only to be told that it ends,
    /// so any byte, or the end itself, closes it.
    func checkStillOpen() -> Bool {
        guard let connection = self.connection else { return false }
        var descriptor = pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0)
        if poll(&descriptor, 1, 0) > 0 { self.close() }
        return self.isOpen
    }

    // MARK: Notifications

    /// A NOTIFY that arrived on a channel this connection listens to.
    public struct Notification: Sendable, Hashable {
        public var channel: String
        public var payload: String
    }

    /// Waits up to `timeout` for notifications and returns all that arrived; empty when none did.
    public func notifications(within timeout: Duration) throws(PostgresError) -> [Notification] {
        let connection = try self.live()
        var arrived = self.takeNotifications(connection)
        if arrived.isEmpty {
            let until = self.clock.now.advanced(by: timeout)
            guard self.wait(connection, for: POLLIN, until: until) else { return [] }
            guard PQconsumeInput(connection) == 1, PQstatus(connection) == CONNECTION_OK else {
                throw self.lost()
            }
            arrived = self.takeNotifications(connection)
        }
        return arrived
    }

    private func takeNotifications(_ connection: OpaquePointer) -> [Notification] {
        var arrived: [Notification] = []
        while let pointer = PQnotifies(connection) {
            arrived.append(
                Notification(
                    channel: String(cString: pointer.pointee.relname),
                    payload: String(cString: pointer.pointee.extra)))
            PQfreemem(pointer)
        }
        return arrived
    }

    // MARK: Private

    private func finishConnecting(_ connection: OpaquePointer) throws(PostgresError) {
        guard PQstatus(connection) != CONNECTION_BAD else { throw .unreachable(.connectFailed) }
        let until = self.clock.now.advanced(by: self.configuration.connectTimeout)
        var awaited = POLLOUT
        while true {
            guard self.wait(connection, for: awaited, until: until) else {
                throw .unreachable(.connectTimedOut)
            }
            switch PQconnectPoll(connection) {
            case PGRES_POLLING_READING: awaited = POLLIN
            case PGRES_POLLING_WRITING: awaited = POLLOUT
            case PGRES_POLLING_OK:
                guard PQsetnonblocking(connection, 1) == 0 else { throw .unreachable(.connectFailed) }
                return
            default: throw .unreachable(.connectFailed)
            }
        }
    }

    private func live() throws(PostgresError) -> OpaquePointer {
        precondition(
            pthread_equal(self.owner, pthread_self()) != 0, "a connection stays on the thread that opened it")
        guard let connection = self.connection else { throw .unreachable(.connectionLost) }
        return connection
    }

    private func deadline(_ timeout: Duration?) -> ContinuousClock.Instant {
        let own = self.clock.now.advanced(by: timeout ?? self.configuration.statementTimeout)
        return self.jobDeadline.map { min($0, own) } ?? own
    }

    /// Sends what is left of the statement, reads all of its results, and returns the last one.
    private func collect(
        _ connection: OpaquePointer, until deadline: ContinuousClock.Instant
    ) throws(PostgresError) -> PostgresResult {
        try self.flush(connection, until: deadline)
        var last: PostgresResult?
        var refusal: PostgresError?
        while true {
            while PQisBusy(connection) == 1 {
                guard self.wait(connection, for: POLLIN, until: deadline) else { throw self.timedOut() }
                guard PQconsumeInput(connection) == 1 else { throw self.lost() }
            }
            guard let raw = PQgetResult(connection) else { break }
            let result = PostgresResult(owning: raw)
            switch PQresultStatus(raw) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK: last = result
            default: refusal = refusal ?? Self.refusal(raw)
            }
        }
        guard PQstatus(connection) == CONNECTION_OK else { throw self.lost() }
        if let refusal { throw refusal }
        guard let last else { throw .unexpectedResult("no result") }
        return last
    }

    /// A large statement is written while the server may already be answering, so both directions are served.
    private func flush(_ connection: OpaquePointer, until deadline: ContinuousClock.Instant)
        throws(PostgresError)
    {
        while true {
            switch PQflush(connection) {
            case 0: return
            case 1:
                guard self.wait(connection, for: POLLIN | POLLOUT, until: deadline) else {
                    throw self.timedOut()
                }
                guard PQconsumeInput(connection) == 1 else { throw self.lost() }
            default: throw self.lost()
            }
        }
    }

    /// false when the deadline passed first.
    private func wait(
        _ connection: OpaquePointer, for events: Int32, until deadline: ContinuousClock.Instant
    ) -> Bool {
        while true {
            let left = self.clock.now.duration(to: deadline)
            guard left > .zero else { return false }
            var descriptor = pollfd(fd: PQsocket(connection), events: Int16(events), revents: 0)
            let milliseconds = Int32(clamping: left.wholeMilliseconds + 1)
            let ready = poll(&descriptor, 1, milliseconds)
            if ready > 0 { return true }
            if ready < 0 && errno != EINTR { return true }  // the next libpq call reports what is wrong
        }
    }

    private func lost() -> PostgresError {
        self.close()
        return .unreachable(.connectionLost)
    }

    private func timedOut() -> PostgresError {
        self.close()
        return .unreachable(.timedOut)
    }

    private static func refusal(_ result: OpaquePointer) -> PostgresError {
        let code = clibpq_sqlstate(result).map { String(cString: $0) } ?? "XX000"
        let state = SQLState(code)
        let message = clibpq_primary_message(result).map { String(cString: $0) } ?? ""
        let quotesValues = state.kind == .badData
        return .refused(
            state, constraint: clibpq_constraint_name(result).map { String(cString: $0) },
            message: quotesValues ? "data error" : message)
    }
}
