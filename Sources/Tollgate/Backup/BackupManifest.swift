import Foundation
import PostgresLedger

/// What stands beside a dump, as `FILE.manifest.json`. It is written last: a dump without one was not finished.
struct BackupManifest: Codable, Sendable, Hashable {
    static let currentFormat = 1

    var format: Int
    var tollgateVersion: String
    /// ISO 8601, by the server's clock.
    var createdAt: String
    var schemaVersion: Int64
    var ledgerGeneration: Int64
    /// Rows by table, on the snapshot that was dumped.
    var counts: [String: Int64]
    /// Σ of all balances.
    var outstandingMillicredits: String
    /// Major versions of the server and of pg_dump.
    var serverMajor: Int
    var dumpMajor: Int
    var dumpBytes: Int64
    /// In hexadecimal.
    var dumpSha256: String

    init(_ contents: LedgerContents, serverMajor: Int, dumpMajor: Int, dumpBytes: Int64, dumpSha256: String) {
        self.format = Self.currentFormat
        self.tollgateVersion = Version.text
        self.createdAt = Date(timeIntervalSince1970: TimeInterval(contents.takenAt / 1000))
            .formatted(.iso8601)
        self.schemaVersion = contents.schemaVersion
        self.ledgerGeneration = contents.generation
        self.counts = contents.counts
        self.outstandingMillicredits = String(contents.outstanding)
        self.serverMajor = serverMajor
        self.dumpMajor = dumpMajor
        self.dumpBytes = dumpBytes
        self.dumpSha256 = dumpSha256
    }

    static func path(of dump: String) -> String { dump + ".manifest.json" }

    /// Why a dump is not restored.
    enum Refusal: Error, Sendable, Hashable, CustomStringConvertible {
        case noManifest(String)
        case unreadable(String)
        case unknownFormat(Int)
        case newerSchema(backup: Int64, program: Int64)
        case damaged(String)

        var description: String {
            switch self {
            case .noManifest(let path): "\(path) is missing: this backup was not finished, or is not one"
            case .unreadable(let path): "\(path) is not a manifest of a backup"
            case .unknownFormat(let format):
                "the backup has format \(format), which this program does not know"
            case .newerSchema(let backup, let program):
                "the backup has schema \(backup), and this program knows \(program): use a newer one"
            case .damaged(let path):
                "\(path) is not what was written: size or SHA-256 differ from the manifest"
            }
        }
    }

    /// Reads the manifest of `dump` and checks all that can be checked before a database is touched, but for the
    /// checksum.
    static func read(of dump: String, programSchema: Int64) throws(Refusal) -> BackupManifest {
        let path = Self.path(of: dump)
        guard let data = FileManager.default.contents(atPath: path) else { throw .noManifest(path) }
        struct Head: Decodable { var format: Int }
        guard let head = try? JSONDecoder().decode(Head.self, from: data) else { throw .unreadable(path) }
        guard head.format == Self.currentFormat else { throw .unknownFormat(head.format) }
        guard let manifest = try? JSONDecoder().decode(BackupManifest.self, from: data) else {
            throw .unreadable(path)
        }
        guard manifest.schemaVersion <= programSchema else {
            throw .newerSchema(backup: manifest.schemaVersion, program: programSchema)
        }
        return manifest
    }

    /// Reads the whole dump.
    func check(_ dump: String) throws(Refusal) {
        guard let digest = try? FileDigest.sha256(ofFile: dump), digest == self.dumpSha256 else {
            throw .damaged(dump)
        }
    }

    /// The same backup, with what a database holds now.
    func describing(_ contents: LedgerContents) -> BackupManifest {
        BackupManifest(
            contents, serverMajor: self.serverMajor, dumpMajor: self.dumpMajor, dumpBytes: self.dumpBytes,
            dumpSha256: self.dumpSha256)
    }

    /// What another database has otherwise; empty when it is all there.
    func differences(to other: BackupManifest) -> [String] {
        var found: [String] = []
        if other.schemaVersion != self.schemaVersion {
            found.append("schema \(other.schemaVersion) instead of \(self.schemaVersion)")
        }
        for (table, count) in self.counts.sorted(by: { $0.key < $1.key }) {
            let has = other.counts[table] ?? 0
            if has != count { found.append("\(table): \(has) rows instead of \(count)") }
        }
        if other.outstandingMillicredits != self.outstandingMillicredits {
            found.append(
                "outstanding: \(other.outstandingMillicredits) instead of \(self.outstandingMillicredits) "
                    + "millicredits")
        }
        return found
    }
}
