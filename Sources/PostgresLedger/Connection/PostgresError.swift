/// Five characters that say what went wrong on the server (PostgreSQL, appendix A).
public struct SQLState: Sendable, Hashable, CustomStringConvertible {
    public let code: String

    public init(_ code: String) { self.code = code }

    /// The first two characters.
    public var kind: Kind {
        switch self.code.prefix(2) {
        case "08", "57", "53": .unavailable
        case "22": .badData
        case "23": .constraint
        case "40": .concurrency
        case "55" where self.code == "55P03": .concurrency
        case "42", "3D", "3F", "0A": .schema
        case "TG": .ledgerRule
        default: .other
        }
    }

    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// Connection lost, shutting down, out of resources, cancelled by a time-out.
        case unavailable
        /// A value that the column's type refuses.
        case badData = "bad_data"
        /// A constraint that the row would break.
        case constraint
        /// Deadlock, serialisation failure, lock time-out: the same statement may succeed.
        case concurrency
        /// A table, column or function that is not as this program expects.
        case schema
        /// Raised by our own functions: `TG404` no such account, `TG409` idempotency conflict, `TG410` account closed, `TG412` changed meanwhile, `TG001`
        /// append-only.
        case ledgerRule = "ledger_rule"
        case other
    }

    public static let uniqueViolation = SQLState("23505")
    public static let checkViolation = SQLState("23514")
    public static let noSuchAccount = SQLState("TG404")
    public static let idempotencyConflict = SQLState("TG409")
    public static let accountClosed = SQLState("TG410")
    public static let changedMeanwhile = SQLState("TG412")
    /// By a statement's time-out, among others.
    public static let cancelled = SQLState("57014")
    public static let appendOnly = SQLState("TG001")

    public var description: String { self.code }
}

/// What a statement can end with, other than a result.
public enum PostgresError: Error, Sendable, Hashable {
    /// No answer, or none in time. It is not known whether the statement took effect.
    case unreachable(Unreachable)
    /// The server refused the statement; it had no effect.
    ///
    /// `message` is the server's primary message. It is left out for data errors, which quote the value.
    case refused(SQLState, constraint: String?, message: String)
    /// The answer has another shape than the statement promises: our mistake, or another schema.
    case unexpectedResult(String)
    /// A text parameter contains NUL, which PostgreSQL cannot store.
    case nulInText

    /// Bounded: used as a metric label.
    public enum Unreachable: String, Sendable, Hashable, CaseIterable {
        case connectFailed = "connect_failed"
        case connectTimedOut = "connect_timed_out"
        case connectionLost = "connection_lost"
        /// The server did not answer within the statement's time; the connection is closed.
        case timedOut = "timed_out"
        /// A connection failed a moment ago and the next attempt is not due yet.
        case backingOff = "backing_off"
        /// Waited too long for a free connection, or too many are waiting.
        case overloaded
        case shutDown = "shut_down"
    }

    public var sqlState: SQLState? {
        guard case .refused(let state, _, _) = self else { return nil }
        return state
    }

    /// The same statement may succeed when sent again at once.
    public var isConcurrency: Bool { self.sqlState?.kind == .concurrency }

    /// The rows themselves are the cause: sending them again cannot help.
    public var isPoison: Bool {
        let kind = self.sqlState?.kind
        return kind == .badData || kind == .constraint
    }

    public var isUnreachable: Bool {
        if case .unreachable = self { return true }
        return self.sqlState?.kind == .unavailable
    }

    /// The server itself says so, a statement's time-out among it: others may succeed.
    public var isAnswer: Bool {
        if case .unreachable = self { false } else { true }
    }
}

extension PostgresError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let why): "database unreachable: \(why.rawValue)"
        case .refused(let state, let constraint, let message):
            "database refused (\(state)\(constraint.map { ", " + $0 } ?? "")): \(message)"
        case .unexpectedResult(let what): "unexpected result: \(what)"
        case .nulInText: "a text parameter contains NUL"
        }
    }
}
