import CLibpq

/// Where the database is and how long to wait for it. The URL holds a password: it is never printed.
public struct PostgresConfiguration: Sendable {
    public enum Invalid: Error, Sendable, Hashable {
        /// Not a connection URI or keyword string that libpq understands. The text itself stays secret.
        case notAConnectionURL
    }

    let url: String
    public var applicationName: String
    public var connectTimeout: Duration = .seconds(3)
    /// Longest wait for the answer to one statement, by the client's clock; the server gives up 500 ms
    /// earlier.
    public var statementTimeout: Duration = .seconds(8)
    public var lockTimeout: Duration = .seconds(2)
    public var idleInTransactionTimeout: Duration = .seconds(5)
    /// How long sent bytes may stay unacknowledged by a peer that vanished; on both sides, so that the server too
    /// ends the session (and frees the locks) of a host that is gone.
    public var tcpUserTimeout: Duration = .seconds(5)
    /// false behind PgBouncer in transaction mode, which knows no session settings; transactions and
    /// functions set their own limits in either case.
    public var sessionSettings = true

    /// The `options` of the URL itself, kept in front of ours.
    private let urlOptions: String

    public init(url: String, applicationName: String = "tollgate") throws(Invalid) {
        guard !url.isEmpty, let parsed = PQconninfoParse(url, nil) else { throw .notAConnectionURL }
        defer { PQconninfoFree(parsed) }
        var options = ""
        var entry = parsed
        while let keyword = entry.pointee.keyword {
            if String(cString: keyword) == "options", let value = entry.pointee.val {
                options = String(cString: value)
            }
            entry += 1
        }
        self.url = url
        self.urlOptions = options
        self.applicationName = applicationName
    }

    /// Keyword, value pairs for `PQconnectStartParams` with `expand_dbname`; later ones override the URL's.
    var keywords: [(String, String)] {
        var pairs = [
            ("dbname", self.url),
            ("application_name", self.applicationName),
            ("connect_timeout", "\(max(2, self.connectTimeout.components.seconds))"),
            ("tcp_user_timeout", "\(self.tcpUserTimeout.wholeMilliseconds)"),
            ("keepalives", "1"),
            ("keepalives_idle", "5"),
            ("keepalives_interval", "2"),
            ("keepalives_count", "3"),
            // Balances are never read from a replica.
            ("target_session_attrs", "read-write"),
            ("client_encoding", "UTF8"),
        ]
        if self.sessionSettings {
            let server = max(.milliseconds(100), self.statementTimeout - .milliseconds(500))
            let settings = [
                ("statement_timeout", server), ("lock_timeout", self.lockTimeout),
                ("idle_in_transaction_session_timeout", self.idleInTransactionTimeout),
                ("tcp_user_timeout", self.tcpUserTimeout),
            ].map { "-c \($0.0)=\($0.1.wholeMilliseconds)" }
            // Seconds; the same as on our side.
            let keepalives = [
                "-c tcp_keepalives_idle=5", "-c tcp_keepalives_interval=2", "-c tcp_keepalives_count=3",
            ]
            let ours = (settings + keepalives).joined(separator: " ")
            pairs.append(("options", self.urlOptions.isEmpty ? ours : self.urlOptions + " " + ours))
        }
        return pairs
    }
}

extension PostgresConfiguration: CustomStringConvertible {
    public var description: String { "PostgresConfiguration(url: ***, \(self.applicationName))" }
}

extension Duration {
    /// Rounded towards zero.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }
}
