import Billing
import Foundation
import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// How people get into the console, and out of it.
@Suite struct ConsoleEntranceTests {
    private static let password = "correct horse battery"
    private static let secret = Array("12345678901234567890".utf8)
    private static let hash = Scrypt(logN: 4).hash(Self.password)

    private func rig() -> ConsoleRig {
        let rig = ConsoleRig(nil)
        let member = FakeStaff.member(.finance)
        let sealed = SessionSecrets(ControlRig.sessionSecrets).seal(Self.secret, of: member.staffID)
        rig.rig.staff.state.withLock {
            $0.proofs[member.email] = StaffProof(
                member: member, passwordHash: Self.hash, sealedTOTP: sealed, lastStep: 0)
        }
        return rig
    }

    private func form(_ changes: [String: String] = [:]) -> [String: String] {
        ["email": "finance@example.com", "password": Self.password, "code": SignInTests.code(Self.secret)]
            .merging(changes) { $1 }
    }

    @Test func passwordAndCodeLeadToThePageThatWasAskedFor() async throws {
        let reply = try await self.rig().post("/admin/sign-in", self.form(["next": "/admin/flags"]))
        #expect(reply.status == 303 && reply.headers[.location] == "/admin/flags")
        let cookie = try #require(reply.headers[.setCookie])
        #expect(
            cookie.hasPrefix("__Host-tollgate_staff=") && cookie.contains("; HttpOnly; SameSite=Lax; Secure"))
    }

    @Test func whoeverIsWrongIsToldNothingOfWhatWasRight() async throws {
        for changes in [["password": "wrong"], ["code": "000000x"], ["email": "nobody@example.com"]] {
            let reply = try await self.rig().post("/admin/sign-in", self.form(changes))
            #expect(reply.status == 401 && reply.headers[.setCookie] == nil)
            #expect(reply.text.contains("Email, password or code are not right"))
            #expect(!reply.text.contains(Self.password))
        }
    }

    @Test func whoeverMustWaitIsToldHowLong() async throws {
        let rig = self.rig()
        rig.rig.staff.state.withLock { $0.admission = .wait(seconds: 17) }
        let reply = try await rig.post("/admin/sign-in", self.form())
        #expect(reply.status == 429 && reply.headers[.retryAfter] == "17")
        #expect(reply.text.contains("17 seconds"))
    }

    /// Another site must not sign anybody in as somebody else.
    @Test func aFormOfAnotherSiteSignsNobodyIn() async throws {
        let rig = self.rig()
        let body = self.form().map { "\($0.key)=\(WebSite.escaped($0.value))" }.joined(separator: "&")
        for path in ["/admin/sign-in", "/admin/enrol", "/admin/enrol/password"] {
            let reply = try await rig.rig.send(
                .post, path,
                fields: [
                    .contentType: "application/x-www-form-urlencoded", .origin: "https://evil.example",
                ], body: body)
            #expect(reply.status == 403 && reply.headers[.setCookie] == nil, "\(path)")
        }
    }

    @Test func signingOutEndsTheSession() async throws {
        let rig = ConsoleRig(.viewer)
        #expect(try await rig.post("/admin/sign-out", [:], csrf: "0").status == 403)
        #expect(try await rig.get("/admin").status == 200)
        let reply = try await rig.post("/admin/sign-out", [:])
        #expect(reply.status == 303 && reply.headers[.setCookie]?.contains("Max-Age=0") == true)
        #expect(try await rig.get("/admin").status == 303)
    }

    @Test func anInvitationLeadsToAPasswordAndRecoveryCodes() async throws {
        let rig = ConsoleRig(nil)
        rig.rig.staff.state.withLock {
            $0.enrolments[StaffDesk.digest(ofInvitation: "TOKEN")] = StaffEnrolment(
                member: FakeStaff.member(.support), sealedTOTP: nil)
        }
        #expect(try await rig.get("/admin/enrol").text.contains("data-from-fragment"))
        #expect(try await rig.post("/admin/enrol", ["token": "other"]).status == 401)
        let page = try await rig.post("/admin/enrol", ["token": "TOKEN"])
        #expect(page.status == 200 && page.text.contains("otpauth://totp/"))
        let found = try #require(page.text.firstMatch(of: /secret=([A-Z2-7]+)&/)?.output.1)
        #expect(page.text.contains(ConsolePages.grouped(String(found))))
        // The password is too short: the same secret is shown again.
        let short = try await rig.post(
            "/admin/enrol/password", ["token": "TOKEN", "password": "short", "code": "1"])
        #expect(short.status == 400 && short.text.contains("secret=\(found)&"))
        #expect(short.text.contains("at least 12 characters"))
        let secret = try #require(rig.rig.staff.state.withLock { $0.enrolments.values.first?.sealedTOTP })
        let opened = try #require(SessionSecrets(ControlRig.sessionSecrets).open(secret, of: 1)?.secret)
        let code = SignInTests.code(opened)
        let done = try await rig.post(
            "/admin/enrol/password", ["token": "TOKEN", "password": "a sentence is the best", "code": code])
        #expect(done.status == 200 && done.text.contains("I have kept them"))
        #expect(done.text.matches(of: /<li><code>[A-Z2-7-]{19}<\/code>/).count == RecoveryCode.count)
        #expect(try await rig.post("/admin/enrol", ["token": "TOKEN"]).status == 401)
    }

    @Test func differencesOfTheAuditLogAreShort() {
        #expect(
            AuditDifference.text(#"{"a":1,"b":"x","c":[1]}"#, #"{"a":2,"b":"x","c":[1],"d":null}"#)
                == "a: 1 → 2; d: – → null")
        #expect(AuditDifference.text("null", #"{"a":9007199254740993}"#) == "a: – → 9007199254740993")
        #expect(AuditDifference.text("not json", "{}") == "not json → {}")
    }
}
