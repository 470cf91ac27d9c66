import Billing
import Metering
import Testing

@testable import PostgresLedger

/// People and sessions in the ledger.
@Suite struct StaffTests {
    private let note = ChangeNote(actor: "cli:test", reason: "it is a test")
    private let email = StaffEmail("ada@example.com")!

    private func digest(_ number: UInt64) -> KeyDigest { KeyDigest((number, 0, 0, 0)) }

    /// Somebody who can sign in.
    private func enrolled(
        _ database: TestDatabase, _ name: String = "ada", _ role: StaffRole = .owner, codes: [[UInt8]] = []
    ) async throws -> StaffMember {
        let email = try #require(StaffEmail("\(name)@example.com"))
        let token = try await StaffBook(pool: database.pool).create(
            email: email, name: name, role: role, note: self.note
        ).token
        let digest = StaffBook.Invitation.digest(of: token)
        let secrets = EnrolledSecrets(
            passwordHash: "hash", sealedTOTP: [1, 2], step: 10, recoveryDigests: codes)
        #expect(try await database.ledger.enrol(digest, secrets, request: "r"))
        #expect(try await !database.ledger.enrol(digest, secrets, request: "r"), "an invitation is used once")
        return try #require(try await database.ledger.proof(of: email)).member
    }

    @Test func aSecondFactorIsAcceptedOnce() async throws {
        let database = try await TestDatabase.migrated()
        let code = [UInt8](repeating: 7, count: 32)
        let ada = try await self.enrolled(database, codes: [code])
        func begin(_ number: UInt64, _ factor: SecondFactor) async throws -> StaffSession? {
            try await database.ledger.beginSession(
                of: ada.staffID, self.digest(number), by: factor)
        }
        #expect(try await begin(1, .step(10)) == nil, "the code of the enrolment was used there")
        #expect(try await begin(2, .step(11))?.member.name == "ada")
        #expect(try await begin(3, .step(11)) == nil)
        #expect(try await begin(4, .recovery(code)) != nil)
        #expect(try await begin(5, .recovery(code)) == nil)
    }

    @Test(arguments: [
        "UPDATE admin_session SET seen_at = now() - interval '31 minutes'",
        "UPDATE admin_session SET expires_at = now()",
        "UPDATE admin_session SET revoked_at = now()",
        "UPDATE admin_user SET state = 'disabled'",
    ])
    func aSessionEnds(_ change: String) async throws {
        let database = try await TestDatabase.migrated()
        let ada = try await self.enrolled(database)
        _ = try await database.ledger.beginSession(
            of: ada.staffID, self.digest(1), by: .step(11))
        let digests = [self.digest(2), self.digest(1)]
        #expect(try await database.ledger.staffSession(digests)?.member.role == .owner)
        try await database.execute(change)
        #expect(try await database.ledger.staffSession(digests) == nil)
    }

    /// Requests keep a session from idling, without a write for each.
    @Test func aSessionInUseGoesOn() async throws {
        let database = try await TestDatabase.migrated()
        let ada = try await self.enrolled(database)
        _ = try await database.ledger.beginSession(
            of: ada.staffID, self.digest(1), by: .step(11))
        try await database.execute("UPDATE admin_session SET seen_at = now() - interval '29 minutes'")
        #expect(try await database.ledger.staffSession([self.digest(1)]) != nil)
        let isFresh = try await database.text(
            "SELECT (seen_at > now() - interval '1 minute')::text FROM admin_session")
        #expect(isFresh == "true")
        try await database.ledger.endStaffSession([self.digest(1)])
        #expect(try await database.ledger.staffSession([self.digest(1)]) == nil)
    }

    @Test func onlyWhatNobodyCanUseIsForgotten() async throws {
        let database = try await TestDatabase.migrated()
        let ada = try await self.enrolled(database)
        let ends = ["expires_at = now()", "seen_at = now() - interval '30 minutes'", "revoked_at = now()"]
        for (number, end) in ends.enumerated() {
            let session = self.digest(UInt64(number))
            _ = try await database.ledger.beginSession(
                of: ada.staffID, session, by: .step(11 + Int64(number)))
            let row = " WHERE digest = '\\x\(Hexadecimal.text(session.bytes))'"
            try await database.execute("UPDATE admin_session SET " + end + row)
            try await database.ledger.forgetEnded()
            #expect(try await database.integer("SELECT count(*) FROM admin_session" + row) == 1, "not yet")
            try await database.execute(
                "UPDATE admin_session SET " + end + " - interval '25 hours'" + row)
        }
        _ = try await database.ledger.beginSession(of: ada.staffID, self.digest(9), by: .step(20))
        for number in [1, 2] as [UInt64] {
            let bucket = SignInBucket(digest: self.digest(number), burst: 3, secondsEach: 60)
            _ = try await database.ledger.admitSignIn([bucket])
        }
        try await database.execute(
            "UPDATE sign_in_limit SET until = until - interval '2 hours' WHERE get_byte(bucket, 7) = 1")
        try await database.ledger.forgetEnded()
        #expect(try await database.integer("SELECT count(*) FROM admin_session") == 1)
        #expect(try await database.ledger.staffSession([self.digest(9)]) != nil)
        #expect(try await database.integer("SELECT count(*) FROM sign_in_limit") == 1)
    }

    @Test func anAttemptThatIsTakenBackWasNone() async throws {
        let database = try await TestDatabase.migrated()
        let bucket = SignInBucket(digest: self.digest(1), burst: 1, secondsEach: 60)
        for _ in 0..<3 {
            #expect(try await database.ledger.admitSignIn([bucket]) == .admitted)
            try await database.ledger.takeBackSignIn([bucket])
        }
        #expect(try await database.ledger.admitSignIn([bucket]) == .admitted)
        #expect(try await database.ledger.admitSignIn([bucket]) != .admitted)
    }

    @Test func attemptsLeakAway() async throws {
        let database = try await TestDatabase.migrated()
        let bucket = SignInBucket(digest: self.digest(1), burst: 3, secondsEach: 60)
        let other = SignInBucket(digest: self.digest(2), burst: 100, secondsEach: 60)
        for _ in 0..<3 { #expect(try await database.ledger.admitSignIn([bucket, other]) == .admitted) }
        guard case .wait(let seconds) = try await database.ledger.admitSignIn([bucket, other]) else {
            Issue.record("three are the burst")
            return
        }
        #expect(1...60 ~= seconds)
        let counted = try await database.integer(
            "SELECT round(extract(epoch FROM until - now()) / 60)::bigint FROM sign_in_limit WHERE get_byte(bucket, 7) = 2"
        )
        #expect(counted == 3, "an attempt that is not admitted counts nowhere")
        // Nobody is locked out for good.
        try await database.execute("UPDATE sign_in_limit SET until = until - interval '61 seconds'")
        #expect(try await database.ledger.admitSignIn([bucket, other]) == .admitted)
        try await database.ledger.forgetAttempts(bucket)
        for _ in 0..<3 { #expect(try await database.ledger.admitSignIn([bucket]) == .admitted) }
    }

    @Test func theLastOwnerStays() async throws {
        let database = try await TestDatabase.migrated()
        let book = StaffBook(pool: database.pool)
        _ = try await self.enrolled(database)
        _ = try await book.create(
            email: try #require(StaffEmail("bob@example.com")), name: "bob", role: .owner, note: self.note)
        await #expect(throws: StaffBook.Failure.lastOwner) {
            try await book.disable(self.email, note: self.note)
        }
        await #expect(throws: StaffBook.Failure.lastOwner) {
            try await book.setRole(.finance, of: self.email, note: self.note)
        }
        _ = try await self.enrolled(database, "eve")
        try await book.disable(self.email, note: self.note)
        #expect(try await book.list().map(\.state) == [.disabled, .invited, .active])
    }

    @Test func whoeverIsResetIsOutAtOnce() async throws {
        let database = try await TestDatabase.migrated()
        let ada = try await self.enrolled(database)
        _ = try await database.ledger.beginSession(
            of: ada.staffID, self.digest(1), by: .step(11))
        let token = try await StaffBook(pool: database.pool).reset(self.email, note: self.note).token
        #expect(try await database.ledger.staffSession([self.digest(1)]) == nil)
        #expect(try await database.ledger.proof(of: self.email) == nil)
        let digest = StaffBook.Invitation.digest(of: token)
        #expect(try await database.ledger.enrolment(digest)?.sealedTOTP == nil)
        func begin(_ sealed: [UInt8], replacing: [UInt8]?) async throws -> [UInt8]? {
            try await database.ledger.beginEnrolment(digest, sealedTOTP: sealed, replacing: replacing)
        }
        #expect(try await begin([1], replacing: nil) == [1])
        #expect(try await begin([2], replacing: nil) == [1])
        // One that cannot be opened any more, by whoever is first.
        #expect(try await begin([3], replacing: [1]) == [3])
        #expect(try await begin([4], replacing: [1]) == [3])
        try await database.execute("UPDATE admin_user SET enrolment_until = now()")
        #expect(try await database.ledger.enrolment(digest) == nil, "an invitation ends")
    }

    /// A secret that was sealed anew from an old reading must not undo a reset of the meantime.
    @Test func aSecretIsSealedAnewOnlyWhereItStillIs() async throws {
        let database = try await TestDatabase.migrated()
        let ledger = database.ledger
        let ada = try await self.enrolled(database)
        let stored = try await ledger.sealedSecrets()
        #expect(stored == [SealedSecret(staffID: ada.staffID, sealed: [1, 2])])
        #expect(try await ledger.reseal(ResealedSecret(staffID: ada.staffID, old: [1, 2], new: [3])))
        #expect(try await ledger.proof(of: self.email)?.sealedTOTP == [3])
        #expect(try await !ledger.reseal(ResealedSecret(staffID: ada.staffID, old: [1, 2], new: [4])))
        #expect(try await ledger.proof(of: self.email)?.sealedTOTP == [3])
        _ = try await StaffBook(pool: database.pool).reset(self.email, note: self.note)
        #expect(try await !ledger.reseal(ResealedSecret(staffID: ada.staffID, old: [3], new: [5])))
        #expect(try await ledger.sealedSecrets().isEmpty)
    }

    @Test func everyChangeIsOneEntry() async throws {
        let database = try await TestDatabase.migrated()
        let book = StaffBook(pool: database.pool)
        _ = try await self.enrolled(database)
        _ = try await self.enrolled(database, "eve")
        try await book.setRole(.viewer, of: self.email, note: self.note)
        _ = try await book.reset(self.email, note: self.note)
        try await book.disable(self.email, note: self.note)
        let entries = try await database.pool.run { connection in
            try connection.run(
                "SELECT action || ' ' || subject || ' ' || actor FROM audit_log ORDER BY entry_id"
            )
            .rows.map { try $0.text(0) }
        }
        #expect(
            entries == [
                "staff.create staff:ada cli:test", "staff.enrol staff:ada staff:ada",
                "staff.create staff:eve cli:test", "staff.enrol staff:eve staff:eve",
                "staff.role staff:ada cli:test", "staff.reset staff:ada cli:test",
                "staff.disable staff:ada cli:test",
            ])
    }

    @Test func nobodyHasTwoAccounts() async throws {
        let database = try await TestDatabase.migrated()
        let book = StaffBook(pool: database.pool)
        _ = try await self.enrolled(database)
        await #expect(throws: StaffBook.Failure.taken) {
            try await book.create(email: self.email, name: "other", role: .viewer, note: self.note)
        }
        await #expect(throws: StaffBook.Failure.invalidName) {
            try await book.create(
                email: try #require(StaffEmail("x@example.com")), name: "A b", role: .viewer, note: self.note)
        }
        await #expect(throws: StaffBook.Failure.nobody) {
            try await book.disable(try #require(StaffEmail("x@example.com")), note: self.note)
        }
    }
}
