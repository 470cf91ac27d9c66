import Billing
import Metering

/// Rows of `dispute`; they change under the lock of their payment.
enum DisputeRow {
    /// Those that are open or lost.
    static func standing(
        of purchase: PurchaseID, on connection: PostgresConnection
    ) throws -> [String: DisputeHold] {
        let rows = try connection.run(
            "SELECT dispute_id, state FROM dispute WHERE purchase_id = $1::uuid AND state <> 'over'",
            [.uuid(purchase.uuid)]
        ).rows
        return try rows.reduce(into: [:]) { disputes, row in
            disputes[try row.text(0)] = try Self.hold(row.text(1))
        }
    }

    /// What a reading says: all of the payment that are open or lost, so that those it leaves out are over.
    static func write(
        _ disputes: [String: DisputeHold], of purchase: Purchase, on connection: PostgresConnection
    ) throws {
        let sorted = disputes.sorted { $0.key < $1.key }
        try connection.run(
            "SELECT name_disputes($1::uuid, $2, $3::text[], $4::text[])",
            [
                .uuid(purchase.id.uuid), .int(purchase.account), .array(PostgresArray(sorted.map(\.key))),
                .array(PostgresArray(sorted.map(\.value.rawValue))),
            ])
    }

    static func hold(_ state: String) throws -> DisputeHold {
        guard let hold = DisputeHold(rawValue: state) else {
            throw PostgresError.unexpectedResult("unknown state of a dispute")
        }
        return hold
    }
}
