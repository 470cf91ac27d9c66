import Billing

extension PostgresConnection {
    /// Adds an entry to the audit log, in the transaction of the change it tells of. To be called last in it: the head
    /// of the log is locked until the commit.
    ///
    /// - Parameters:
    ///   - action: such as `flag.set`; at most 64 bytes.
    ///   - subject: such as `flag:charging`; at most 320 bytes.
    ///   - before: JSON; nil for what was not there.
    ///   - after: JSON; nil for what is not there any more. Never a secret.
    /// - Returns: the number of the entry.
    @discardableResult
    func audit(
        _ note: ChangeNote, _ action: String, _ subject: String, before: String?, after: String?
    ) throws -> Int64 {
        try self.run(
            "SELECT audit($1, $2, $3, $4::jsonb, $5::jsonb, $6, $7)",
            [
                .text(note.actor), .text(action), .text(subject), .text(before), .text(after),
                .text(note.reason), .text(note.request),
            ]
        ).one().int(0)
    }
}
