import ArgumentParser
import Foundation
import LocalStores
import PostgresLedger

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "A snapshot of the ledger by pg_dump, with a manifest beside it.",
        discussion: """
            May run beside everything else. Writes FILE (pg_dump's custom format) and FILE.manifest.json; a dump without \
            its manifest was not finished. Keep JOURNAL_DIR of every instance for as long as a backup is old: what was \
            used since is in the journals, and comes back from them.
            Reads DATABASE_DIRECT_URL, or DATABASE_URL. The password goes through pg_dump's environment.
            """)

    @Argument(help: "Where to write it; nothing is overwritten.")
    var file: String

    func validate() throws {
        if self.file.isEmpty { throw ValidationError("FILE must not be empty") }
    }

    func run() async throws {
        try await reportingBackup {
            try await StoreSession.with(direct: true) { store in
                let manifest = try await LedgerDump(file: self.file, store: store).make()
                let rows = manifest.counts.values.reduce(0, +)
                print(
                    "\(self.file): schema \(manifest.schemaVersion), \(rows) rows, \(manifest.dumpBytes) bytes"
                )
            }
        }
    }
}

/// `reporting`, for commands that need Postgres' own programs.
func reportingBackup(_ body: () async throws -> Void) async throws {
    try await reporting {
        do {
            try await body()
        } catch let error as PostgresProgram.Missing {
            complain("\(error)")
            throw Exit.unavailable
        }
    }
}

/// One dump and its manifest.
struct LedgerDump {
    let file: String
    let store: StoreSession

    func make() async throws -> BackupManifest {
        for path in [self.file, BackupManifest.path(of: self.file)]
        where FileManager.default.fileExists(atPath: path) {
            throw CommandFailure("\(path) exists; nothing is overwritten")
        }
        try await Migrator.refuseNewer(self.store)
        let backup = LedgerBackup(pool: self.store.pool)
        let server = try await backup.serverMajor()
        let program = try PostgresProgram.find("pg_dump", atLeast: server, preferring: server)
        let partial = self.file + ".partial"
        try Self.makePrivate(partial)
        do {
            let contents = try await self.dump(backup, program, partial)
            complain("backup: computing the checksum")
            let manifest = BackupManifest(
                contents, serverMajor: server, dumpMajor: program.major, dumpBytes: try Self.synced(partial),
                dumpSha256: try FileDigest.sha256(ofFile: partial))
            guard rename(partial, self.file) == 0 else { throw CommandFailure("cannot write \(self.file)") }
            try writePrivately(try CommandJSON.of(manifest) + "\n", to: BackupManifest.path(of: self.file))
            return manifest
        } catch {
            unlink(partial)
            throw error
        }
    }

    private func dump(
        _ backup: LedgerBackup, _ program: PostgresProgram, _ partial: String
    ) async throws -> LedgerContents {
        let database = self.store.pool.configuration.programEnvironment
        complain("backup: counting the ledger")
        return try await backup.onSnapshot { snapshot in
            try program.run(
                [
                    "--format=custom", "--verbose", "--no-password", "--snapshot=\(snapshot)",
                    "--file=\(partial)",
                ], database
            ) { line in
                if line.contains("dumping contents of table") { complain("backup: " + line) }
            }
        }
    }

    /// Keys' digests and everybody's usage are in it: for its owner only, from the first byte on.
    private static func makePrivate(_ path: String) throws {
        unlink(path)
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw CommandFailure("cannot write \(path)") }
        close(file)
    }

    /// On the disk before its manifest says so. Returns its size.
    private static func synced(_ path: String) throws -> Int64 {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0, fsync(file) == 0 else { throw CommandFailure("cannot sync \(path)") }
        defer { close(file) }
        return Int64(lseek(file, 0, SEEK_END))
    }
}

extension Migrator {
    /// A backup of a schema that this program does not know could not be restored by it.
    static func refuseNewer(_ store: StoreSession) async throws {
        guard let version = try await LedgerBackup(pool: store.pool).schemaVersion() else {
            throw CommandFailure("the database has no ledger; run `tollgate migrate`")
        }
        guard version <= Migrator.programVersion else {
            throw Failure.newerSchema(database: version, program: Migrator.programVersion)
        }
    }
}
