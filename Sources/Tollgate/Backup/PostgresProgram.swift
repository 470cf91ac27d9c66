import Foundation

/// One of Postgres' client programs, of one version.
struct PostgresProgram: Sendable, Hashable {
    struct Missing: Error, Sendable, Hashable, CustomStringConvertible {
        var program: String
        var found: [Int]
        var wanted: Int

        var description: String {
            guard let newest = self.found.max() else {
                return "\(self.program) is not installed (Debian: postgresql-client)"
            }
            return "\(self.program) \(newest) is too old: version \(self.wanted) or newer is needed "
                + "(Debian: postgresql-client-\(self.wanted))"
        }
    }

    struct Failed: Error, Sendable, Hashable, CustomStringConvertible {
        var program: String
        var status: Int32
        var lastLines: [String]

        var description: String {
            "\(self.program) failed (\(self.status)):\n" + self.lastLines.joined(separator: "\n")
        }
    }

    var path: String
    /// Major version.
    var major: Int

    /// The one to use: of the version `preferring`, else the oldest that is at least `atLeast`. A program reads servers
    /// and archives that are older than itself, never newer ones; and what a newer one writes into an older server may
    /// use settings that it does not know.
    static func choose(_ found: [PostgresProgram], atLeast: Int, preferring: Int) -> PostgresProgram? {
        let able = found.filter { $0.major >= atLeast }
        return able.first { $0.major == preferring } ?? able.min { $0.major < $1.major }
    }

    static func find(_ name: String, atLeast: Int, preferring: Int) throws(Missing) -> PostgresProgram {
        let found = Self.installed(name)
        guard let chosen = Self.choose(found, atLeast: atLeast, preferring: preferring) else {
            throw Missing(program: name, found: found.map(\.major), wanted: atLeast)
        }
        return chosen
    }

    /// In PATH, and where Debian keeps further versions.
    private static func installed(_ name: String) -> [PostgresProgram] {
        let files = FileManager.default
        let versions = (try? files.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        let debian = versions.compactMap { Int($0) }.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
        let path = (System.environment("PATH") ?? "").split(separator: ":").map(String.init)
        return (path + debian).map { $0 + "/" + name }.filter { files.isExecutableFile(atPath: $0) }
            .compactMap { path in
                let program = PostgresProgram(path: path, major: 0)
                var said = ""
                try? program.run(["--version"], [:]) { said += $0 }
                return Self.major(said).map { PostgresProgram(path: path, major: $0) }
            }
    }

    /// Of `pg_dump (PostgreSQL) 17.2 (Debian 17.2-1)`.
    static func major(_ text: String) -> Int? {
        let words = text.split(separator: " ")
        guard let at = words.firstIndex(of: "(PostgreSQL)"), at + 1 < words.endIndex else { return nil }
        return Int(words[at + 1].prefix { $0.isASCII && $0.isNumber })
    }

    // MARK: Running

    private static let linesKept = 12

    /// Runs it to its end; blocks the thread.
    ///
    /// - Parameters:
    ///   - database: `PGHOST`, `PGPASSWORD` and so on; these go through the environment, where other users do not see
    ///     them.
    ///   - tell: gets each line that it writes.
    func run(
        _ arguments: [String], _ database: [String: String], tell: (String) -> Void
    ) throws {
        let name = self.path.split(separator: "/").last.map(String.init) ?? self.path
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.path)
        process.arguments = arguments
        process.environment = Self.environment(database)
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        var last: [String] = []
        self.lines(of: output.fileHandleForReading) { line in
            last = last.suffix(Self.linesKept - 1) + [line]
            tell(line)
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failed(program: name, status: process.terminationStatus, lastLines: last)
        }
    }

    private func lines(of handle: FileHandle, _ take: (String) -> Void) {
        var rest: [UInt8] = []
        while case let data = handle.availableData, !data.isEmpty {
            rest += data
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                take(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
        }
        if !rest.isEmpty { take(String(decoding: rest, as: UTF8.self)) }
    }

    /// Nothing of ours but what libpq looks at: other secrets stand in our environment.
    private static func environment(_ database: [String: String]) -> [String: String] {
        let ours = ProcessInfo.processInfo.environment.filter { name, _ in
            name.hasPrefix("PG") || ["PATH", "HOME", "TMPDIR"].contains(name)
        }
        return ours.merging(database) { $1 }.merging(["LC_ALL": "C.UTF-8"]) { $1 }
    }
}
