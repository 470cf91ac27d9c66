import Metering

/// What the ledger says of all flags at one moment: sets those that were set, leaves out those that were taken back.
struct FlagReading: Sendable, Equatable {
    struct Flag: Sendable, Equatable {
        var name: String
        var value: String
        var version: Int64
    }

    var flags: [Flag]

    static func now(_ connection: PostgresConnection) throws -> FlagReading {
        FlagReading(
            flags: try connection.run(
                "SELECT name, value, version FROM feature_flag WHERE value IS NOT NULL ORDER BY name"
            ).rows.map { Flag(name: try $0.text(0), value: try $0.text(1), version: try $0.int(2)) })
    }
}
