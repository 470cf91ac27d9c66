import Logging
import Metering

/// Runs under `Idempotency-Key`s and their replies, in `idempotent_replies`. Seals and opens on the pool's threads.
public struct KeptReplies: ReplyKeeping {
    public struct Settings: Sendable {
        /// A run that nobody renewed for so long is taken over by the next retry.
        ///
        /// Longer than it takes others to settle what a dead instance charged (grace, sweep, and the age of a renewal): a
        /// retry that takes over before that could not see that its reply was paid for.
        public var lease: Duration = .seconds(180)
        /// `IDEMPOTENCY_ACCOUNT_BYTES_MAX`: of the kept replies of one account.
        public var accountBytesMax: Int64 = 16 << 20

        public init() {}
    }

    private let pool: PostgresPool
    private let settings: Settings
    private let logger: Logger

    public init(pool: PostgresPool, settings: Settings = Settings(), logger: Logger) {
        self.pool = pool
        self.settings = settings
        self.logger = logger
    }

    // MARK: Claim

    public func claim(
        _ claim: KeyClaim, reply: @escaping @Sendable (Result<ClaimAnswer, ClaimFailure>) -> Void
    ) {
        let lease = self.settings.lease.wholeMilliseconds
        // Longer than the function waits for its lock: an answer that is given up must not be noted later.
        self.pool.submit(timeout: .seconds(3)) { [logger] connection in
            let row = try connection.run(
                """
                SELECT o_answer, o_place, o_hold, o_reply
                FROM claim_idempotency_key($1, $2::bytea[], $3::bytea[], $4::uuid, $5)
                """,
                [
                    .int(claim.account), .array(Self.array(claim.secrets.map(\.digest))),
                    .array(Self.array(claim.secrets.map(\.fingerprint))), .uuid(claim.hold), .int(lease),
                ]
            ).one()
            return try Self.answer(row, to: claim, logger)
        } completion: { result in
            reply(result.mapError { self.failure($0) })
        }
    }

    private static func answer(
        _ row: PostgresRow, to claim: KeyClaim, _ logger: Logger
    ) throws -> ClaimAnswer {
        switch try row.text(0) {
        case "claimed": return .claimed
        case "running": return .running
        case "other": return .otherRequest
        case "unkept": return .notKept
        case "finished":
            // Names are counted from 1, as arrays are there.
            let place = Int(try row.int(1)) - 1
            guard claim.secrets.indices.contains(place) else {
                throw PostgresError.unexpectedResult("a name that was not asked for")
            }
            let hold = try row.uuid(2)
            if let reply = claim.secrets[place].open(try row.bytes(3), of: hold) { return .finished(reply) }
            logger.warning("a kept reply cannot be opened", metadata: ["request_id": "\(hold)"])
            return .notKept
        default: throw PostgresError.unexpectedResult("a state that this program does not know")
        }
    }

    private func failure(_ error: any Error) -> ClaimFailure {
        guard let error = error as? PostgresError, case .unreachable(let why) = error else {
            self.logger.warning("an idempotency key was not claimed", metadata: ["error": "\(error)"])
            return .notClaimed
        }
        switch why {
        case .connectionLost, .timedOut: return .unknown
        case .connectFailed, .connectTimedOut, .backingOff, .overloaded, .shutDown: return .notClaimed
        }
    }

    // MARK: The run

    public func renew(_ claim: KeyClaim) {
        let lease = self.settings.lease.wholeMilliseconds
        self.pool.submit(timeout: .seconds(2)) { connection in
            try connection.run(
                """
                UPDATE idempotent_replies
                SET lease_until = clock_timestamp() + $4::bigint * interval '1 millisecond',
                    expires_at = clock_timestamp() + interval '24 hours'
                WHERE account_id = $1 AND key_digest = ANY ($2::bytea[]) AND hold_id = $3::uuid
                  AND state = 'running'
                """, PostgresParameters(Self.names(claim) + [.int(lease)])
            ).affected
        } completion: { result in
            guard case .failure(let error) = result else { return }
            self.logger.warning(
                "the lease of an idempotency key was not renewed",
                metadata: ["request_id": "\(claim.hold)", "error": "\(error)"])
        }
    }

    public func end(_ claim: KeyClaim, _ end: RunEnd, reply: @escaping @Sendable (Bool) -> Void) {
        self.pool.submit(timeout: .seconds(5)) { [settings] connection in
            switch end {
            case .keep(let reply): try Self.keep(reply, of: claim, settings, connection)
            case .withoutReply: try Self.leaveUnkept(claim, connection)
            case .free:
                try connection.run(
                    """
                    DELETE FROM idempotent_replies WHERE account_id = $1 AND key_digest = ANY ($2::bytea[])
                        AND hold_id = $3::uuid AND state = 'running'
                    """, PostgresParameters(Self.names(claim)))
            }
        } completion: { result in
            if case .failure(let error) = result {
                self.logger.warning(
                    "the end of a run under an idempotency key was not noted",
                    metadata: ["request_id": "\(claim.hold)", "error": "\(error)"])
            }
            reply((try? result.get()) != nil)
        }
    }

    private static func keep(
        _ reply: KeptReply, of claim: KeyClaim, _ settings: Settings, _ connection: PostgresConnection
    ) throws {
        for secrets in claim.secrets {
            guard let sealed = secrets.seal(reply, of: claim.hold) else {
                try self.leaveUnkept(claim, connection)
                return
            }
            try connection.run(
                "SELECT keep_idempotent_reply($1, $2::bytea, $3::uuid, $4::bytea, $5)",
                [
                    .int(claim.account), .bytes(secrets.digest), .uuid(claim.hold), .bytes(sealed),
                    .int(settings.accountBytesMax),
                ])
        }
    }

    private static func leaveUnkept(_ claim: KeyClaim, _ connection: PostgresConnection) throws {
        try connection.run(
            """
            UPDATE idempotent_replies SET state = 'unkept', expires_at = clock_timestamp() + interval '24 hours'
            WHERE account_id = $1 AND key_digest = ANY ($2::bytea[]) AND hold_id = $3::uuid
              AND state = 'running'
            """, PostgresParameters(self.names(claim)))
    }

    private static func names(_ claim: KeyClaim) -> [PostgresValue] {
        [.int(claim.account), .array(self.array(claim.secrets.map(\.digest))), .uuid(claim.hold)]
    }

    private static func array(_ values: [[UInt8]]) -> PostgresArray {
        var array = PostgresArray()
        for value in values { array.append("\\x" + Hexadecimal.text(value)) }
        return array
    }

    // MARK: Old rows

    /// Deletes what has expired, in batches, so that no statement takes long. Several instances may do it at once.
    ///
    /// - Returns: rows.
    @discardableResult
    public func deleteExpired(batch: Int64 = 1000) async throws -> Int {
        var deleted = 0
        while true {
            let count = try await self.pool.run { connection in
                try connection.run(
                    """
                    DELETE FROM idempotent_replies WHERE (account_id, key_digest) IN (
                        SELECT account_id, key_digest FROM idempotent_replies
                        WHERE expires_at <= clock_timestamp()
                        ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
                    """, [.int(batch)]
                ).affected
            }
            deleted += count
            if count < Int(batch) { return deleted }
        }
    }
}

extension PostgresParameters {
    fileprivate init(_ values: [PostgresValue]) {
        self.init()
        for value in values { self.append(value) }
    }
}
