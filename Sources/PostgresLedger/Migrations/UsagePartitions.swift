/// Day partitions of `usage_events`.
public struct PartitionReport: Sendable, Hashable {
    /// Partitions that were created now.
    public var created: Int
    /// Days (`YYYY-MM-DD`) that could not get one because the default partition has rows of that day: an
    /// alarm.
    public var blockedDays: [String]
}

enum UsagePartitions {
    static let daysBack = 3
    static let daysAhead = 35

    /// Creates what is missing around the database's (or the given) day. Safe to repeat and to run twice at
    /// once.
    ///
    /// - Parameter milliseconds: since 1970; nil is the database's clock.
    static func ensure(_ connection: PostgresConnection, at milliseconds: Int64? = nil) throws
        -> PartitionReport
    {
        let days = try connection.run(
            """
            SELECT day::date FROM generate_series(
                ((coalesce(to_timestamp($1::bigint / 1000.0), now()) AT TIME ZONE 'UTC')::date -
                    $2::int)::timestamp,
                ((coalesce(to_timestamp($1::bigint / 1000.0), now()) AT TIME ZONE 'UTC')::date +
                    $3::int)::timestamp,
                '1 day') day
            WHERE to_regclass('usage_events_' || to_char(day, 'YYYYMMDD')) IS NULL
            """,
            [.int(milliseconds), .int(Int64(self.daysBack)), .int(Int64(self.daysAhead))]
        ).rows.map { try $0.text(0) }
        var report = PartitionReport(created: 0, blockedDays: [])
        guard !days.isEmpty else { return report }
        // All in one transaction when nothing is in the way; otherwise day by day, to learn which day is
        // blocked.
        do throws(PostgresError) {
            let all = try connection.run(
                "SELECT count(*) FILTER (WHERE ensure_usage_partition(day)) FROM unnest($1::date[]) day",
                [.text("{" + days.joined(separator: ",") + "}")], timeout: .seconds(30)
            ).one()
            report.created = Int(try all.int(0))
            return report
        } catch {
            guard error.sqlState == .checkViolation || error.isConcurrency else { throw error }
        }
        for day in days {
            do throws(PostgresError) {
                let created = try connection.run("SELECT ensure_usage_partition($1::date)", [.text(day)])
                    .one()
                if try created.bool(0) { report.created += 1 }
            } catch {
                guard error.sqlState == .checkViolation else { throw error }
                report.blockedDays.append(day)
            }
        }
        return report
    }
}
