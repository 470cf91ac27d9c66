import ArgumentParser
import PostgresLedger

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Bring the schema up to date: forward only, safe to repeat, refuses a newer schema.")

    func run() async throws {
        try await reporting {
            try await StoreSession.with(direct: true) { store in
                let report = try await Migrator().migrate(store.pool)
                if report.applied.isEmpty {
                    print("schema is at version \(report.version), nothing to do")
                } else {
                    print("schema is at version \(report.version), applied \(report.applied)")
                }
                if !report.partitions.blockedDays.isEmpty {
                    complain("partitions could not be made for \(report.partitions.blockedDays)")
                    throw Exit.checkFailed
                }
            }
        }
    }
}
