import Billing
import Metering

extension PostgresLedger: AuditReading {
    private static let columns = """
        entry_id, (extract(epoch FROM at) * 1000000)::bigint, actor, action, subject, before_json, after_json, reason,
        request_id, previous_hash, hash
        """
    private static let portion: Int64 = 1000

    public func auditEntries(_ query: AuditQuery) async throws -> [AuditEntry] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT \(Self.columns) FROM audit_log
                WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2)
                  AND ($3::text IS NULL OR subject = $3) AND ($4::bigint IS NULL OR entry_id < $4)
                ORDER BY entry_id DESC LIMIT $5
                """,
                [
                    .text(query.actor), .text(query.action), .text(query.subject), .int(query.before),
                    .int(query.limit),
                ]
            ).rows.map(Self.entry)
        }
    }

    /// That somebody had events applied again; each is then applied in a transaction of its own.
    public func noteReplay(_ subject: String, note: ChangeNote) async throws {
        _ = try await self.pool.run { connection in
            try connection.retryingConcurrency {
                try connection.transaction {
                    try $0.audit(note, "webhook.replay", subject, before: nil, after: nil)
                }
            }
        }
    }

    /// The newest entry: what is to be noted elsewhere.
    public func auditHead() async throws -> (number: Int64, hash: String) {
        try await self.pool.run { connection in
            let row = try connection.run("SELECT entry_id, encode(hash, 'hex') FROM audit_head").one()
            return (try row.int(0), try row.text(1))
        }
    }

    public func verifyAudit(
        heads: [[UInt8]] = [], progress: @escaping @Sendable (Int64) -> Void = { _ in }
    ) async throws -> AuditVerdict {
        // The head first: entries that are written meanwhile come behind it.
        let head = try await self.pool.run { connection in
            let row = try connection.run("SELECT entry_id, hash FROM audit_head").one()
            return (number: try row.int(0), hash: try row.bytes(1))
        }
        var chain = AuditChain(heads: heads)
        var problems: [AuditVerdict.Problem] = []
        var isHead = head.number == 0 && head.hash == chain.hash
        do {
            // Numbers below 1 as well: nobody wrote them through the function.
            var after = Int64.min
            while true {
                let entries = try await self.portion(after: after)
                for entry in entries {
                    try chain.add(entry)
                    if entry.number == head.number { isHead = entry.hash == head.hash }
                }
                guard let last = entries.last, entries.count == Self.portion else { break }
                after = last.number
                progress(after)
            }
            if !isHead { problems.append(.wrongHead(number: head.number)) }
            // Whoever writes through the function moves the head as well.
            let end = try await self.auditHead().number
            if isHead, chain.number > end { problems.append(.wrongHead(number: end)) }
        } catch let broken as AuditChain.Broken {
            problems.append(.broken(number: broken.number, broken.fault))
        }
        problems += chain.missing.map { .unknownHead(Hexadecimal.text($0)) }
        return AuditVerdict(entries: chain.number, head: Hexadecimal.text(chain.hash), problems: problems)
    }

    private func portion(after: Int64) async throws -> [AuditEntry] {
        try await self.pool.run { connection in
            try connection.run(
                "SELECT \(Self.columns) FROM audit_log WHERE entry_id > $1 ORDER BY entry_id LIMIT $2",
                [.int(after), .int(Self.portion)]
            ).rows.map(Self.entry)
        }
    }

    private static func entry(_ row: PostgresRow) throws -> AuditEntry {
        try AuditEntry(
            number: row.int(0), at: row.int(1), actor: row.text(2), action: row.text(3), subject: row.text(4),
            before: row.text(5), after: row.text(6), reason: row.text(7), request: row.optionalText(8),
            previousHash: row.bytes(9), hash: row.bytes(10))
    }
}
