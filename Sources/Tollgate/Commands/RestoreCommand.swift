import ArgumentParser
import Foundation
import PostgresLedger

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "A backup into an empty database, then every invariant of the ledger.",
        discussion: """
            Checks the dump against its manifest, restores it in one transaction, brings an older schema up to date, and \
            starts a new generation of the ledger: every instance loads its accounts again and posts its journals again, \
            so what was used since the backup comes back, once. Purchases made since come back from their payments: run \
            `tollgate stripe replay --since` before the instances start, and look at what stays dead. Auto-recharge is \
            stopped for everybody until they turn it on again. When the instances have caught up, run \
            `tollgate verify`.
            Reads DATABASE_DIRECT_URL, or DATABASE_URL. The password goes through pg_restore's environment.
            """)

    @Argument(help: "What `tollgate backup` wrote; FILE.manifest.json must be beside it.")
    var file: String

    func run() async throws {
        try await reportingBackup {
            let manifest = try BackupManifest.read(of: self.file, programSchema: Migrator.programVersion)
            complain("restore: checking \(self.file)")
            try manifest.check(self.file)
            try await StoreSession.with(direct: true) { store in
                try await LedgerRestore(file: self.file, manifest: manifest, store: store).run()
                try await Self.verify(store)
            }
            print("restored \(self.file), taken \(manifest.createdAt)")
        }
    }

    /// Journals and hold store come later: their instances have to post first.
    private static func verify(_ store: StoreSession) async throws {
        var findings = VerifyFindings()
        progress("the ledger")
        for finding in try await LedgerVerifier(pool: store.pool).verify() {
            findings.add(VerifyFinding(finding))
        }
        try await ChargeCheck.run(store, &findings)
        for finding in findings.all { print(finding.text) }
        guard findings.isClean else { throw Exit.checkFailed }
        print("verify: clean")
    }
}

/// One restore.
struct LedgerRestore {
    let file: String
    let manifest: BackupManifest
    let store: StoreSession

    struct Incomplete: Error, CustomStringConvertible {
        var differences: [String]
        var description: String {
            "the restored ledger is not the one of the manifest:\n" + self.differences.joined(separator: "\n")
        }
    }

    func run() async throws {
        let backup = LedgerBackup(pool: self.store.pool)
        let relations = try await backup.foreignRelations()
        guard relations == 0 else {
            throw CommandFailure(
                "the database is not empty (\(relations) tables, views or sequences); restore into an empty one"
            )
        }
        let server = try await backup.serverMajor()
        let program = try PostgresProgram.find(
            "pg_restore", atLeast: self.manifest.dumpMajor, preferring: server)
        try self.restore(program)
        complain("restore: counting")
        let differences = self.manifest.differences(
            to: self.manifest.describing(try await backup.contents()))
        guard differences.isEmpty else { throw Incomplete(differences: differences) }
        let report = try await Migrator().migrate(self.store.pool)
        if !report.applied.isEmpty { complain("restore: applied migrations \(report.applied)") }
        let (old, new) = try await self.store.ledger.startNewGeneration()
        complain("restore: generation \(old) -> \(new)")
    }

    /// In one transaction: what fails leaves an empty database, and nobody posts to half a ledger. Roles of the old
    /// server are not needed here.
    private func restore(_ program: PostgresProgram) throws {
        let database = self.store.pool.configuration.programEnvironment
        let name = (database["PGDATABASE"] ?? "").replacing("\\", with: "\\\\").replacing("'", with: "\\'")
        try program.run(
            [
                "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--verbose",
                "--no-password", "--dbname=dbname='\(name)'", self.file,
            ], database
        ) { line in
            if line.contains("processing data for table") || line.contains("creating INDEX") {
                complain("restore: " + line)
            }
        }
    }
}
