import CLibpq

extension PostgresConfiguration {
    /// What `pg_dump`, `pg_restore` and `psql` need to reach the same database: `PGHOST`, `PGPASSWORD` and so on. For
    /// the environment of a child only, where other users cannot read it; never for an argument or a log.
    ///
    /// Settings of the URL that have no variable, such as keep-alives, are left out.
    public var programEnvironment: [String: String] {
        guard let parsed = PQconninfoParse(self.url, nil) else { return [:] }
        defer { PQconninfoFree(parsed) }
        var environment: [String: String] = [:]
        var entry = parsed
        while entry.pointee.keyword != nil {
            if let value = entry.pointee.val, let variable = entry.pointee.envvar {
                environment[String(cString: variable)] = String(cString: value)
            }
            entry += 1
        }
        return environment
    }
}
