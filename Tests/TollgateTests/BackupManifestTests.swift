import Foundation
import Testing

@testable import Tollgate

/// What is restored is what was backed up.
@Suite struct BackupManifestTests {
    private func manifest() throws -> BackupManifest {
        let text = """
            {"format":1,"tollgateVersion":"1","createdAt":"2026-11-12T00:00:00Z","schemaVersion":14,
             "ledgerGeneration":3,"counts":{"account":2,"purchase":1},"outstandingMillicredits":"9990000",
             "serverMajor":17,"dumpMajor":17,"dumpBytes":3,"dumpSha256":"x"}
            """
        return try JSONDecoder().decode(BackupManifest.self, from: Data(text.utf8))
    }

    @Test func whatIsMissingIsListed() throws {
        let manifest = try self.manifest()
        var other = manifest
        #expect(manifest.differences(to: other) == [])
        other.schemaVersion = 13
        other.counts["purchase"] = nil
        other.outstandingMillicredits = "1"
        #expect(
            manifest.differences(to: other) == [
                "schema 13 instead of 14", "purchase: 0 rows instead of 1",
                "outstanding: 1 instead of 9990000 millicredits",
            ])
    }

    /// (wanted at least, preferred, chosen)
    @Test(
        arguments: [(16, 16, 16), (15, 17, 17), (14, 14, 15), (17, 16, 17), (18, 16, nil)]
            as [(Int, Int, Int?)])
    func theProgramFitsTheServer(_ atLeast: Int, _ preferring: Int, _ chosen: Int?) {
        let found = [17, 15, 16].map { PostgresProgram(path: "/\($0)", major: $0) }
        #expect(PostgresProgram.choose(found, atLeast: atLeast, preferring: preferring)?.major == chosen)
    }

    @Test func whatIsMissingOrTooOldIsSaid() {
        let missing = PostgresProgram.Missing(program: "pg_dump", found: [], wanted: 17)
        #expect("\(missing)" == "pg_dump is not installed (Debian: postgresql-client)")
        let old = PostgresProgram.Missing(program: "pg_dump", found: [14, 15], wanted: 17)
        #expect("\(old)".hasPrefix("pg_dump 15 is too old: version 17 or newer is needed"))
    }

    @Test func theVersionIsReadOfWhatItSays() {
        #expect(PostgresProgram.major("pg_dump (PostgreSQL) 17.2 (Debian 17.2-1.pgdg120+1)") == 17)
        #expect(PostgresProgram.major("pg_dump (PostgreSQL) 18beta1") == 18)
        #expect(PostgresProgram.major("sh: not found") == nil)
    }
}
