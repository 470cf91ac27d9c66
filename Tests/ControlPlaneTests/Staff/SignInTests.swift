import Billing
import Foundation
import HTTPTypes
import Testing

@testable import ControlPlane

/// Signing in as `/api/admin/session` does it.
@Suite struct SignInTests {
    private static let password = "correct horse battery"
    private static let secret = Array("12345678901234567890".utf8)
    /// Quick to compute: what is tested here is not its strength.
    private static let hash = Scrypt(logN: 4).hash(Self.password)

    private func rig(_ role: StaffRole = .finance, sealedUnder secret: Int = 0) -> ControlRig {
        let rig = ControlRig()
        let member = FakeStaff.member(role)
        let sealed = SessionSecrets([ControlRig.sessionSecrets[secret]]).seal(Self.secret, of: member.staffID)
        rig.staff.state.withLock {
            $0.proofs[member.email] = StaffProof(
                member: member, passwordHash: Self.hash, sealedTOTP: sealed, lastStep: 0)
        }
        return rig
    }

    /// The next one, which lasts longest: a test may wait for its turn between this and its request.
    static func code(_ secret: [UInt8]) -> String {
        TOTP.code(secret, step: TOTP.step(atMilliseconds: Int64(Date().timeIntervalSince1970 * 1000)) + 1)
    }

    private func signIn(
        _ rig: ControlRig, email: String = "finance@example.com", password: String = Self.password,
        code: String? = nil, cookie: String? = nil
    ) async throws -> Reply {
        let code = code ?? Self.code(Self.secret)
        var fields: HTTPFields = [.contentType: "application/json"]
        fields[.cookie] = cookie
        return try await rig.send(
            .post, "/api/admin/session", fields: fields,
            body: #"{"email":"\#(email)","password":"\#(password)","code":"\#(code)"}"#)
    }

    private func cookie(_ reply: Reply) throws -> String {
        String(try #require(reply.headers[.setCookie]).prefix { $0 != ";" })
    }

    @Test func passwordAndCodeBeginASession() async throws {
        let rig = self.rig()
        let reply = try await self.signIn(rig, email: "Finance@Example.com")
        #expect(reply.status == 200)
        #expect(try reply.string("role") == "finance")
        #expect(try reply.string("name") == "staff:finance")
        let field = try #require(reply.headers[.setCookie])
        #expect(
            field.hasPrefix("__Host-tollgate_staff=") && field.contains("; HttpOnly; SameSite=Lax; Secure"))
        let seen = try await rig.send(.get, "/api/admin/session", fields: [.cookie: try self.cookie(reply)])
        #expect(seen.status == 200)
        #expect(try seen.string("csrfToken") == reply.string("csrfToken"))
    }

    /// Whoever tries a person's email from many places does not keep that person out of their own browser.
    @Test func aBrowserThatSignedInBeforeIsCountedByItself() async throws {
        let rig = self.rig()
        func buckets() -> [SignInBucket] { rig.staff.state.withLock { $0.buckets } }
        let reply = try await self.signIn(rig)
        let elsewhere = buckets()
        #expect(elsewhere.count == 3)
        let known = try #require(
            reply.headers[values: .setCookie].first { $0.hasPrefix("__Host-tollgate_known=") }
        )
        #expect(known.contains("; HttpOnly; SameSite=Lax; Secure"))
        let cookie = String(known.prefix { $0 != ";" })
        _ = try await self.signIn(rig, password: "wrong", cookie: cookie)
        let own = buckets()
        #expect(own.count == 2 && Set(own).intersection(elsewhere).count == 1, "of the address alone")
        _ = try await self.signIn(rig, email: "Finance@example.com", password: "wrong", cookie: cookie)
        #expect(buckets() == own)
        for (email, value) in [
            ("owner@example.com", cookie), ("finance@example.com", String(cookie.dropLast(4)) + "AAA="),
            ("finance@example.com", String(cookie.prefix { $0 != "." })),
            ("finance@example.com", "__Host-tollgate_known=." + String(repeating: "A", count: 44)),
        ] {
            _ = try await self.signIn(rig, email: email, password: "wrong", cookie: value)
            #expect(buckets().count == 3, "\(value)")
        }
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80:0:0:0::/64"), ("::1", "0:0:0:0::/64"), ("unknown", "unknown"),
    ])
    func aHostIsCountedWhateverOfItsAddressesItTakes(address: String, network: String) {
        #expect(ClientNetwork.of(address) == network)
    }

    @Test func whoFindsNoPlaceHasNotTried() async throws {
        let staff = FakeStaff()
        let work = SlowWork(threads: 1, waitingMax: 0)
        var desk = StaffDesk(store: staff, secrets: SessionSecrets(ControlRig.sessionSecrets))
        desk.work = work
        let place = try work.enter()
        let full = desk
        await #expect(throws: StaffDesk.Refusal.busy) {
            try await full.signIn(email: "a@b.example", password: "p", code: "1", from: "::1", known: nil)
        }
        #expect(staff.state.withLock { $0.takenBack.count == 3 && $0.takenBack == $0.buckets })
        staff.state.withLock { ($0.admission, $0.takenBack) = (.wait(seconds: 7), []) }
        await #expect(
            throws: StaffDesk.Refusal.wait(seconds: 7), "whoever is over the limit asks for no place"
        ) {
            try await full.signIn(email: "a@b.example", password: "p", code: "1", from: "::1", known: nil)
        }
        staff.state.withLock { $0.admission = .admitted }
        place.leave()
        // A refusal gives its place back.
        for _ in 0..<2 {
            await #expect(throws: StaffDesk.Refusal.wrong) {
                try await full.signIn(email: "a@b.example", password: "p", code: "1", from: "::1", known: nil)
            }
        }
        #expect(staff.state.withLock { $0.takenBack.isEmpty })
    }

    /// Whoever guesses learns nothing of what was right.
    @Test func whateverIsWrongTheReplyIsTheSame() async throws {
        let replies = [
            try await self.signIn(self.rig(), email: "nobody@example.com"),
            try await self.signIn(self.rig(), email: "no address"),
            try await self.signIn(self.rig(), password: "correct horse batterx"),
            try await self.signIn(self.rig(), code: "000000x"),
            try await self.signIn(self.rig(), password: "wrong", code: "000000"),
        ]
        #expect(replies.allSatisfy { $0.status == 401 })
        #expect(Set(replies.map(\.text)).count == 1)
        #expect(replies.allSatisfy { $0.headers[.setCookie] == nil })
    }

    @Test func aCodeIsAcceptedOnce() async throws {
        let rig = self.rig()
        let code = Self.code(Self.secret)
        #expect(try await self.signIn(rig, code: code).status == 200)
        let again = try await self.signIn(rig, code: code)
        #expect(again.status == 401, "\(again.text)")
    }

    /// A form of another site cannot send JSON as such.
    @Test func onlyJSONSignsIn() async throws {
        let body = #"{"email":"finance@example.com","password":"x","code":"1"}"#
        let reply = try await self.rig().send(
            .post, "/api/admin/session", fields: [.contentType: "text/plain"], body: body)
        #expect(reply.status == 415)
    }

    @Test func whoeverTriesTooOftenWaits() async throws {
        let rig = self.rig()
        rig.staff.state.withLock { $0.admission = .wait(seconds: 17) }
        let reply = try await self.signIn(rig)
        #expect(reply.status == 429 && reply.headers[.retryAfter] == "17")
        let buckets = rig.staff.state.withLock { $0.buckets }
        #expect(Set(buckets.map(\.digest)).count == 3, "by address, by email, and by both")
    }

    @Test func aSecretUnderAnOlderKeyIsSealedAnew() async throws {
        let rig = self.rig(sealedUnder: 1)
        #expect(try await self.signIn(rig).status == 200)
        let proof = rig.staff.state.withLock { $0.proofs.values.first }
        let resealed = try #require(rig.staff.state.withLock { $0.resealed.first })
        let first = SessionSecrets([ControlRig.sessionSecrets[0]])
        #expect(resealed.staffID == 1 && resealed.old == proof?.sealedTOTP)
        #expect(first.open(resealed.new, of: 1)?.secret == Self.secret)
    }

    /// Whoever does not sign in while the secrets are rotated must be able to afterwards.
    @Test func everybodysSecretIsSealedAnewAtAReload() async throws {
        let staff = FakeStaff()
        let (new, old) = (ControlRig.sessionSecrets[0], ControlRig.sessionSecrets[1])
        let sealed = [
            SealedSecret(staffID: 1, sealed: SessionSecrets([old]).seal(Self.secret, of: 1)),
            SealedSecret(staffID: 2, sealed: SessionSecrets([new]).seal(Self.secret, of: 2)),
            SealedSecret(staffID: 3, sealed: SessionSecrets(["a secret that is gone"]).seal([1], of: 3)),
        ]
        staff.state.withLock { $0.sealed = sealed }
        let log = KeptLog()
        await StaffSeals(store: staff, sessionSecrets: [new, old], logger: log.logger).renew()
        let resealed = staff.state.withLock { $0.resealed }
        #expect(resealed.map(\.staffID) == [1] && resealed.map(\.old) == [sealed[0].sealed])
        #expect(SessionSecrets([new]).open(try #require(resealed.first).new, of: 1)?.secret == Self.secret)
        // What does not open is left as it is, and somebody is told.
        let errors = log.lines.withLock { $0.filter { $0.level == .error } }
        #expect(errors.count == 1 && errors.first?.metadata["staff"] == "3")
    }

    // MARK: Sessions

    @Test func aChangeBySessionNeedsItsToken() async throws {
        let rig = self.rig()
        let reply = try await self.signIn(rig)
        let cookie = try self.cookie(reply)
        let csrf = try #require(try reply.string("csrfToken"))
        for wrong in [nil, "", "x", String(csrf.dropLast())] {
            var fields: HTTPFields = [.cookie: cookie]
            fields[.csrfToken] = wrong
            let refused = try await rig.send(.delete, "/api/admin/session", fields: fields)
            #expect(refused.status == 403)
            #expect(try refused.string("code") == "csrf_missing")
        }
        let ended = try await rig.send(
            .delete, "/api/admin/session", fields: [.cookie: cookie, .csrfToken: csrf])
        #expect(ended.status == 204 && ended.headers[.setCookie]?.contains("Max-Age=0") == true)
        let after = try await rig.send(.get, "/api/admin/session", fields: [.cookie: cookie])
        #expect(after.status == 401)
    }

    @Test(arguments: StaffRole.allCases)
    func aRouteIsShutForRolesBelowItsOwn(_ role: StaffRole) async throws {
        let rig = self.rig(role)
        let fields = try await self.signedIn(rig, role)
        let refund = try await rig.send(.post, "/api/admin/refunds", fields: fields, body: "{}")
        #expect(refund.status == (role < .finance ? 403 : 400))
        let list = try await rig.send(.get, "/api/admin/purchases", fields: fields)
        #expect(list.status == 200)
    }

    /// What a browser sends along once somebody of that role is in.
    private func signedIn(_ rig: ControlRig, _ role: StaffRole) async throws -> HTTPFields {
        let reply = try await self.signIn(rig, email: "\(role.rawValue)@example.com")
        return [
            .cookie: try self.cookie(reply), .csrfToken: try #require(try reply.string("csrfToken")),
        ]
    }

    /// Whoever has a service key acts for every account; to take it away cuts the app off.
    @Test(arguments: [(StaffRole.support, 1, 200), (.support, 2, 403), (.support, 3, 404), (.owner, 2, 200)])
    func aServiceKeyIsRevokedByAnOwner(role: StaffRole, key: Int, status: Int) async throws {
        let rig = self.rig(role)
        let fields = try await self.signedIn(rig, role)
        let done = try await rig.send(
            .post, "/api/admin/keys/\(key)/revocation", fields: fields, body: #"{"reason":"leaked"}"#)
        #expect(done.status == status, "\(done.text)")
        #expect(rig.admin.notes.withLock { $0.count } == (status == 200 ? 1 : 0))
    }

    @Test(arguments: StaffRole.allCases) func aServiceKeyIsMadeByAnOwner(role: StaffRole) async throws {
        let rig = self.rig(role)
        let fields = try await self.signedIn(rig, role)
        for (body, least) in [
            (#"{"serviceName":"app","reason":"launch"}"#, StaffRole.owner),
            (#"{"accountId":1,"reason":"launch"}"#, .support),
        ] {
            let before = rig.admin.notes.withLock { $0.count }
            let done = try await rig.send(.post, "/api/admin/keys", fields: fields, body: body)
            #expect(done.status == (role < least ? 403 : 200), "\(body): \(done.text)")
            #expect(rig.admin.notes.withLock { $0.count } - before == (role < least ? 0 : 1), "\(body)")
        }
    }

    // MARK: Enrolment

    /// A secret that nobody can open any more must not keep the invited person out.
    @Test func anEnrolmentThatCannotBeOpenedBeginsAnew() async throws {
        let rig = ControlRig()
        var member = FakeStaff.member(.viewer)
        member.state = .invited
        let digest = StaffDesk.digest(ofInvitation: "TOKEN")
        let dead = SessionSecrets(["a secret that is gone"]).seal(Self.secret, of: member.staffID)
        rig.staff.state.withLock {
            $0.enrolments[digest] = StaffEnrolment(member: member, sealedTOTP: dead)
        }
        let begun = try await rig.send(.post, "/api/admin/enrolment/begin", body: #"{"token":"TOKEN"}"#)
        #expect(begun.status == 200, "\(begun.text)")
        let sealed = try #require(rig.staff.state.withLock { $0.enrolments[digest]?.sealedTOTP })
        let opened = SessionSecrets(ControlRig.sessionSecrets).open(sealed, of: member.staffID)
        #expect(try begun.string("totpSecret") == Base32.text(try #require(opened).secret))
    }

    @Test func whoeverIsInvitedChoosesAPasswordOnce() async throws {
        let rig = ControlRig()
        var member = FakeStaff.member(.viewer)
        member.state = .invited
        let digest = StaffDesk.digest(ofInvitation: "TOKEN")
        rig.staff.state.withLock { $0.enrolments[digest] = StaffEnrolment(member: member, sealedTOTP: nil) }
        let begun = try await rig.send(.post, "/api/admin/enrolment/begin", body: #"{"token":"TOKEN"}"#)
        #expect(begun.status == 200)
        let again = try await rig.send(.post, "/api/admin/enrolment/begin", body: #"{"token":"TOKEN"}"#)
        #expect(again.text == begun.text, "whoever loads the page again keeps their authenticator")
        let sealed = try #require(rig.staff.state.withLock { $0.enrolments[digest]?.sealedTOTP })
        let secret = try #require(
            SessionSecrets(ControlRig.sessionSecrets).open(sealed, of: member.staffID)?.secret)
        #expect(try begun.string("totpSecret") == Base32.text(secret))
        func enrol(_ password: String, _ code: String) async throws -> Reply {
            try await rig.send(
                .post, "/api/admin/enrolment",
                body: #"{"token":"TOKEN","password":"\#(password)","code":"\#(code)"}"#)
        }
        #expect(try await enrol("short", Self.code(secret)).string("param") == "password")
        #expect(try await enrol("correct horse battery", "x").string("param") == "code")
        let code = Self.code(secret)
        let done = try await enrol("correct horse battery", code)
        #expect(done.status == 200)
        #expect((try done.object()["recoveryCodes"] as? [String])?.count == 10)
        #expect(try await enrol("correct horse battery", code).status == 401)
        let chosen = try #require(rig.staff.state.withLock { $0.enrolled.first })
        #expect(Scrypt.verify("correct horse battery", chosen.passwordHash))
    }
}

@Suite struct ScryptTests {
    @Test func onlyThePasswordOpens() {
        let hash = Scrypt(logN: 4).hash("a password")
        #expect(hash.hasPrefix("$scrypt$ln=4,r=8,p=1$"))
        #expect(Scrypt.verify("a password", hash) && !Scrypt.verify("b password", hash))
        #expect(Scrypt(logN: 4).hash("a password") != hash, "each has its own salt")
    }

    /// RFC 7914, section 12, the second vector's first 32 bytes.
    @Test func itIsTheStandardsFunction() {
        let stored =
            "$scrypt$ln=10,r=8,p=16$4e61436c$fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        #expect(Scrypt.verify("password", stored))
    }

    @Test(arguments: [
        "", "x", "$scrypt$ln=64,r=8,p=1$00$00", "$scrypt$ln=4,r=8$00$00", "$scrypt$ln=4,r=8,p=1$0$zz",
    ])
    func whatIsNoHashOpensForNobody(_ stored: String) { #expect(!Scrypt.verify("", stored)) }

    /// A flood of sign-ins takes the memory of two.
    @Test func whoeverComesWhenTooManyWaitIsSentAway() async throws {
        let work = SlowWork(threads: 1, waitingMax: 0)
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let gate = DispatchSemaphore(value: 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                let place = try work.enter()
                await place.run {
                    start.finish()
                    gate.wait()
                }
                place.leave()
            }
            for await _ in started {}
            #expect(throws: SlowWork.Busy.self) { try work.enter() }
            gate.signal()
            try await group.waitForAll()
        }
        let place = try work.enter()
        #expect(await place.run { 7 } == 7)
        place.leave()
        _ = try work.enter()
    }
}
