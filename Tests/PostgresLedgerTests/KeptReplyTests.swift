import Metering
import Testing

@testable import PostgresLedger

/// Runs under an `Idempotency-Key` on a real Postgres.
@Suite struct KeptReplyTests {
    static let pepper = Array("a pepper of thirty-two bytes or more".utf8)
    static let older = Array("the pepper that was before that one".utf8)
    static let reply = KeptReply(
        status: 200, fields: Array("content-type: text/plain\r\n".utf8), body: Array("confidential".utf8))

    let database: TestDatabase
    let replies: KeptReplies

    init() async throws {
        self.database = try await TestDatabase.migrated(poolSize: 4)
        self.replies = Self.replies(self.database)
    }

    static func replies(
        _ database: TestDatabase, lease: Duration = .seconds(600), accountBytesMax: Int64 = 16 << 20
    ) -> KeptReplies {
        var settings = KeptReplies.Settings()
        settings.lease = lease
        settings.accountBytesMax = accountBytesMax
        return KeptReplies(pool: database.pool, settings: settings, logger: TestDatabase.logger)
    }

    static func claim(
        _ key: String = "k", account: AccountID = 7, body: String = "{}", peppers: [[UInt8]] = [pepper],
        hold: HoldID = Outcomes.hold()
    ) -> KeyClaim {
        let secrets = Array(key.utf8).withUnsafeBytes { key in
            Array(body.utf8).withUnsafeBytes { body in
                KeyHasher(peppers: peppers).secrets(
                    of: KeyedRequest(
                        account: account, key: key, method: "POST", path: "/v1/x", contentType: nil,
                        body: body))
            }
        }
        return KeyClaim(account: account, hold: hold, secrets: secrets)
    }

    func ask(_ claim: KeyClaim, _ replies: KeptReplies? = nil) async throws -> ClaimAnswer {
        try await withCheckedContinuation { reply in
            (replies ?? self.replies).claim(claim) { reply.resume(returning: $0) }
        }.get()
    }

    func end(_ claim: KeyClaim, _ end: RunEnd, _ replies: KeptReplies? = nil) async {
        let isDone = await withCheckedContinuation { reply in
            (replies ?? self.replies).end(claim, end) { reply.resume(returning: $0) }
        }
        #expect(isDone)
    }

    /// Of a key that was claimed once.
    func expire(_ column: String) async throws {
        try await self.database.execute(
            "UPDATE idempotent_replies SET \(column) = now() - interval '1 second'")
    }

    // MARK: One run

    @Test func aRunIsClaimedOnceAndItsReplyIsForItsRetries() async throws {
        let first = Self.claim()
        #expect(try await self.ask(first) == .claimed)
        #expect(try await self.ask(Self.claim()) == .running)
        #expect(try await self.ask(Self.claim(body: "{ }")) == .otherRequest)
        await self.end(first, .keep(Self.reply))
        await self.end(first, .keep(Self.reply))
        for _ in 0..<2 { #expect(try await self.ask(Self.claim()) == .finished(Self.reply)) }
        #expect(try await self.ask(Self.claim(body: "{ }")) == .otherRequest)
        #expect(
            try await self.ask(Self.claim(account: 8)) == .claimed, "another account's key is another key")
        #expect(try await self.ask(Self.claim("other")) == .claimed)
    }

    @Test func aKeyThatWasFreedRunsAgain() async throws {
        let first = Self.claim()
        #expect(try await self.ask(first) == .claimed)
        await self.end(first, .free)
        #expect(try await self.database.integer("SELECT count(*) FROM idempotent_replies") == 0)
        #expect(try await self.ask(Self.claim(body: "{ }")) == .claimed, "whatever the request")
    }

    @Test func aReplyThatIsNotKeptIsToldAsSuch() async throws {
        let first = Self.claim()
        #expect(try await self.ask(first) == .claimed)
        await self.end(first, .withoutReply)
        #expect(try await self.ask(Self.claim()) == .notKept)
        await self.end(first, .free)
        #expect(try await self.ask(Self.claim()) == .notKept, "the first end counts")
    }

    @Test func ofManyAtOnceOneRuns() async throws {
        let answers = try await withThrowingTaskGroup(of: ClaimAnswer.self) { group in
            for _ in 0..<100 { group.addTask { try await self.ask(Self.claim()) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.count { $0 == .claimed } == 1 && answers.count { $0 == .running } == 99)
    }

    // MARK: Leases

    @Test func aRunWhoseInstanceDiedIsTakenOverOnce() async throws {
        let dead = Self.claim()
        #expect(try await self.ask(dead) == .claimed)
        try await self.expire("lease_until")
        let next = Self.claim()
        #expect(try await self.ask(Self.claim(body: "{ }")) == .otherRequest)
        #expect(try await self.ask(next) == .claimed)
        #expect(try await self.ask(Self.claim()) == .running)
        // It was only paused: what it has to say is of a run that is not its own any more.
        self.replies.renew(dead)
        for end in [RunEnd.keep(Self.reply), .withoutReply, .free] { await self.end(dead, end) }
        #expect(try await self.ask(Self.claim()) == .running)
        await self.end(next, .keep(Self.reply))
        await self.end(dead, .free)
        #expect(try await self.ask(Self.claim()) == .finished(Self.reply))
    }

    @Test func aRenewedLeaseIsNotTakenOver() async throws {
        let first = Self.claim()
        #expect(try await self.ask(first) == .claimed)
        try await self.expire("lease_until")
        self.replies.renew(first)
        let renewed = try await eventually {
            try await self.database.integer(
                "SELECT count(*) FROM idempotent_replies WHERE lease_until > now()") == 1
        }
        #expect(renewed)
        #expect(try await self.ask(Self.claim()) == .running)
    }

    /// Between the charge of a whole reply and the keeping of it, its instance died: a retry must not be charged again.
    @Test(arguments: [Settlement.Kind.final, .orphan])
    func aRunThatWasChargedAsAWholeIsNotTakenOver(_ kind: Settlement.Kind) async throws {
        let account = try await self.database.account("user", balance: 1000)
        let dead = Self.claim(account: account)
        #expect(try await self.ask(dead) == .claimed)
        try await self.expire("lease_until")
        let outcomes = Outcomes()
        _ = try await self.database.ledger.settle([
            kind == .final
                ? outcomes.final(account, 5, hold: dead.hold)
                : outcomes.orphan(account, 5, hold: dead.hold)
        ])
        // What is charged for a run that broke off is no reply.
        #expect(try await self.ask(Self.claim(account: account)) == (kind == .final ? .notKept : .claimed))
    }

    // MARK: Bounds

    @Test func theOldestRepliesOfAnAccountMakeRoom() async throws {
        let replies = Self.replies(self.database, accountBytesMax: 5000)
        let large = KeptReply(status: 200, fields: [], body: Array(repeating: 1, count: 1500))
        let stranger = Self.claim("s", account: 8)
        #expect(try await self.ask(stranger) == .claimed)
        await self.end(stranger, .keep(large), replies)
        for number in 0..<4 {
            let claim = Self.claim("k\(number)")
            #expect(try await self.ask(claim) == .claimed)
            await self.end(claim, .keep(large), replies)
        }
        var answers: [ClaimAnswer] = []
        for number in 0..<4 { answers.append(try await self.ask(Self.claim("k\(number)"))) }
        #expect(answers == [.notKept, .finished(large), .finished(large), .finished(large)])
        #expect(try await self.ask(Self.claim("s", account: 8)) == .finished(large))
        let held = try await self.database.integer(
            "SELECT sum(octet_length(reply)) FROM idempotent_replies WHERE account_id = 7")
        #expect(3 * 1500...5000 ~= held)
    }

    @Test func aReplyLargerThanItsAccountMayHoldIsNotKept() async throws {
        let replies = Self.replies(self.database, accountBytesMax: 0)
        let first = Self.claim()
        #expect(try await self.ask(first) == .claimed)
        await self.end(first, .keep(Self.reply), replies)
        #expect(try await self.ask(Self.claim()) == .notKept)
    }

    @Test func afterADayAKeyIsNewAndItsRowGoes() async throws {
        let kept = Self.claim()
        #expect(try await self.ask(kept) == .claimed)
        await self.end(kept, .keep(Self.reply))
        let hours = try await self.database.integer(
            "SELECT round(extract(epoch FROM expires_at - now()) / 3600)::bigint FROM idempotent_replies")
        #expect(hours == 24)
        try await self.expire("expires_at")
        #expect(try await self.ask(Self.claim(body: "{ }")) == .claimed)
        #expect(
            try await self.database.integer("SELECT coalesce(max(reply_bytes), 0) FROM idempotent_replies")
                == 0)
        for number in 0..<7 { #expect(try await self.ask(Self.claim("old-\(number)")) == .claimed) }
        try await self.expire("expires_at")
        #expect(try await self.ask(Self.claim("young")) == .claimed)
        #expect(try await self.replies.deleteExpired(batch: 3) == 8)
        #expect(try await self.database.integer("SELECT count(*) FROM idempotent_replies") == 1)
        #expect(try await self.ask(Self.claim("young")) == .running)
    }

    // MARK: Peppers

    /// Instances learn of a new pepper one after the other, and of the end of the old one as well.
    @Test func aKeyIsTheSameWhileThePepperChanges() async throws {
        let (before, between, after) = ([Self.older], [Self.pepper, Self.older], [Self.pepper])
        for (number, (first, second)) in [
            (before, between), (between, before), (between, after), (after, between),
        ]
        .enumerated() {
            let key = "k\(number)"
            let run = Self.claim(key, peppers: first)
            #expect(try await self.ask(run) == .claimed)
            #expect(try await self.ask(Self.claim(key, peppers: second)) == .running)
            await self.end(run, .keep(Self.reply))
            #expect(try await self.ask(Self.claim(key, peppers: second)) == .finished(Self.reply))
        }
        #expect(try await self.ask(Self.claim("k0", peppers: after)) == .claimed, "the day's last resort")
    }

    /// Of a row that somebody changed, or that was restored from elsewhere.
    @Test func aReplyThatCannotBeOpenedIsNotKept() async throws {
        let first = Self.claim()
        #expect(try await self.ask(first) == .claimed)
        await self.end(first, .keep(Self.reply))
        try await self.database.execute(
            "UPDATE idempotent_replies SET reply = set_byte(reply, 20, get_byte(reply, 20) # 1)")
        #expect(try await self.ask(Self.claim()) == .notKept)
    }

    @Test func nothingIsStoredInClear() async throws {
        let first = Self.claim("a-key-that-is-told-to-nobody", body: "a prompt")
        #expect(try await self.ask(first) == .claimed)
        await self.end(first, .keep(Self.reply))
        let row = try await self.database.pool.run { connection in
            try connection.run("SELECT encode(r::text::bytea, 'escape') FROM idempotent_replies r").one()
                .text(0)
        }
        for clear in ["told-to-nobody", "prompt", "confidential", "text/plain"] {
            #expect(!row.contains(clear))
            #expect(!row.contains(Hexadecimal.text(Array(clear.utf8))))
        }
    }

    // MARK: Without a ledger

    @Test func withoutALedgerNothingIsClaimed() async throws {
        let pool = PostgresPool(
            try PostgresConfiguration(url: "postgresql://nobody@127.0.0.1:1/none"), size: 1,
            logger: TestDatabase.logger)
        let away = KeptReplies(pool: pool, logger: TestDatabase.logger)
        await #expect(throws: ClaimFailure.notClaimed) { try await self.ask(Self.claim(), away) }
        let isDone = await withCheckedContinuation { reply in
            away.end(Self.claim(), .free) { reply.resume(returning: $0) }
        }
        #expect(!isDone)
    }
}
