import Foundation

/// One installed version of Postgres.
struct PostgresPrograms {
    let directory: String

    /// In PATH, or where Debian keeps the server's programs outside PATH, newest first.
    ///
    /// - Parameter version: the major version that an existing cluster needs, from its PG_VERSION.
    static func find(version: String?) throws -> PostgresPrograms {
        let files = FileManager.default
        let installed = (try? files.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        var places = installed.compactMap { Int($0) }.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
        if let version {
            places = places.filter { $0 == "/usr/lib/postgresql/\(version)/bin" }
        }
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        let complete = (path + places).filter { place in
            ["initdb", "postgres", "psql"].allSatisfy { files.isExecutableFile(atPath: place + "/" + $0) }
        }
        // What stands in PATH may be of any version: it is asked only when that matters.
        for place in complete {
            guard let version, !places.contains(place) else { return PostgresPrograms(directory: place) }
            let said = try Spawn.run("postgres", [place + "/postgres", "--version"])
            if said.split(whereSeparator: { " .\n".contains($0) }).contains(Substring(version)) {
                return PostgresPrograms(directory: place)
            }
        }
        let wanted = version.map { "version \($0), which made this cluster, is" } ?? "is"
        throw LocalStoresError(
            program: "postgres", step: "\(wanted) not installed (scripts/bootstrap.sh installs postgresql)",
            tail: "")
    }

    var server: String { self.directory + "/postgres" }

    /// Makes a cluster in the empty directory `data`, owned by `user`, whose superuser `tollgate` has `secret` as
    /// its password.
    func initialise(_ data: String, secret: String, user: UnprivilegedUser?, durable: Bool) throws {
        // The password goes through a file that only that user can read, never through arguments.
        let passwordFile = "/tmp/tollgate-initdb-\(Secret.random(length: 20))"
        try writePrivately(secret, to: passwordFile)
        defer { unlink(passwordFile) }
        if let user { chown(passwordFile, user.uid, user.gid) }
        let command = [
            self.directory + "/initdb", "-D", data, "-U", "tollgate", "--pwfile", passwordFile, "-A",
            "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8",
        ]
        try Spawn.run("initdb", (user?.prefix ?? []) + command + (durable ? [] : ["--no-sync"]))
    }

    /// One statement through psql as the superuser; the password goes through the environment.
    func query(_ sql: String, port: Int, secret: String) throws -> String {
        let arguments = [
            self.directory + "/psql", "-h", "127.0.0.1", "-p", String(port), "-U", "tollgate", "-d",
            "postgres",
            "-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", sql,
        ]
        var environment = Spawn.environment
        environment["PGPASSWORD"] = secret
        environment["PGCONNECT_TIMEOUT"] = "10"
        return try Spawn.run("psql", arguments, environment: environment)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
