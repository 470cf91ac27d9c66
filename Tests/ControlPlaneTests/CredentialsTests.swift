import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// Who may see which account (CONTRACT §5).
@Suite struct CredentialsTests {
    private static let readRoutes = ["/api/billing/summary", "/api/billing/packages"]

    @Test(arguments: Self.readRoutes)
    func everyKindOfCredentialOpensARoute(_ route: String) async throws {
        let rig = ControlRig()
        #expect(try await rig.get(route, FakeLedger.adaKey).status == 200)
        #expect(try await rig.get(route, FakeLedger.serviceKey, user: "bob").status == 200)
        #expect(try await rig.get(route, ControlRig.adminToken).status == 200)
        #expect(try await rig.get(route, ControlRig.oldAdminToken).status == 200, "while rotating")
    }

    @Test(arguments: [FakeLedger.adaKey, ControlRig.adminToken])
    func everyKindOfCredentialMayAskForAnEstimate(_ token: String) async throws {
        let body = #"{"model":"gpt-4o-mini","inputTokens":1,"outputTokens":1}"#
        let rig = ControlRig()
        #expect(try await rig.estimate(body, token).status == 200)
        let reply = try await rig.send(
            .post, "/api/billing/estimate", FakeLedger.serviceKey, user: "bob", body: body)
        #expect(reply.status == 200)
    }

    @Test(arguments: [nil, "tg_unknown", "", "admin-token", ControlRig.adminToken + "x"])
    func withoutACredentialEveryRouteIsClosed(_ token: String?) async throws {
        let rig = ControlRig()
        for route in Self.readRoutes {
            let reply = try await rig.get(route, token)
            #expect(reply.status == 401)
            #expect(reply.headers[.wwwAuthenticate] == "Bearer")
            #expect(try reply.string("code") == "invalid_api_key")
        }
        #expect(try await rig.estimate("{}", token).status == 401, "before the body is looked at")
    }

    @Test(arguments: ["Basic \(FakeLedger.adaKey)", FakeLedger.adaKey, "Bearer", "Bearer ", "Bearer\t"])
    func onlyBearerCredentialsCount(_ field: String) async throws {
        let reply = try await ControlRig().send(
            .get, "/api/billing/packages", fields: [.authorization: field])
        #expect(reply.status == 401)
    }

    @Test func theSchemeIsCaseInsensitive() async throws {
        let reply = try await ControlRig().send(
            .get, "/api/billing/packages", fields: [.authorization: "bEARER \(FakeLedger.adaKey)"])
        #expect(reply.status == 200)
    }

    /// A service key without a payer is the app's mistake, never a default account.
    @Test(arguments: [nil, ""])
    func aServiceKeyMustNameTheUser(_ user: String?) async throws {
        let reply = try await ControlRig().get("/api/billing/summary", FakeLedger.serviceKey, user: user)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == "X-Tollgate-User")
    }

    /// Joined by a comma they would be a third user.
    @Test func twoUserFieldsAreRefused() async throws {
        var fields: HTTPFields = [.authorization: "Bearer \(FakeLedger.serviceKey)"]
        fields.append(HTTPField(name: .tollgateUser, value: "ada"))
        fields.append(HTTPField(name: .tollgateUser, value: "bob"))
        let rig = ControlRig()
        let reply = try await rig.send(.get, "/api/billing/summary", fields: fields)
        #expect(reply.status == 400)
        #expect(rig.ledger.state.withLock { $0.users.count } == 2)
    }

    @Test func aServiceKeyCannotNameTheUserInTheQuery() async throws {
        let reply = try await ControlRig().get("/api/billing/summary?userId=bob", FakeLedger.serviceKey)
        #expect(reply.status == 400)
    }

    @Test func aUserKeySeesItsOwnAccountOnly() async throws {
        let rig = ControlRig()
        let ada = try await rig.get("/api/billing/summary", FakeLedger.adaKey)
        let bob = try await rig.get("/api/billing/summary", FakeLedger.bobKey)
        #expect(try ada.string("balanceMillicredits") == "3720")
        #expect(try bob.string("balanceMillicredits") == "9990000")
        let named = try await rig.get("/api/billing/summary?userId=bob", FakeLedger.bobKey, user: "bob")
        #expect(named.status == 200)
    }

    @Test(arguments: [("/api/billing/summary", "bob"), ("/api/billing/summary?userId=bob", nil)])
    func aUserKeyThatNamesAnotherUserIsRefused(_ target: String, _ user: String?) async throws {
        let reply = try await ControlRig().get(target, FakeLedger.adaKey, user: user)
        #expect(reply.status == 403)
        #expect(try reply.string("code") == "not_your_account")
        #expect(!reply.text.contains("9990000"))
    }

    /// `é` in one scalar and in two are two users of the ledger, though Swift finds them equal.
    @Test func aUserKeyThatNamesALookAlikeIsRefused() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock { $0.users["jos\u{e9}"] = 3 }
        for (user, status) in [("jos\u{e9}", 200), ("jose\u{301}", 403)] {
            let field = try await rig.get("/api/billing/summary", FakeLedger.joseKey, user: user)
            #expect(field.status == status)
            let escaped = user.utf8.map { "%" + String($0, radix: 16) }.joined()
            let query = try await rig.get("/api/billing/summary?userId=\(escaped)", FakeLedger.joseKey)
            #expect(query.status == status)
        }
    }

    @Test func theAdminSeesTheInternalAccountOrTheOneNamed() async throws {
        let rig = ControlRig()
        let own = try await rig.get("/api/billing/summary", ControlRig.adminToken)
        #expect(try own.string("balanceMillicredits") == "0")
        #expect(rig.ledger.state.withLock { $0.users["admin"] } != nil)
        let queried = try await rig.get("/api/billing/summary?userId=bob", ControlRig.adminToken)
        #expect(try queried.string("balanceMillicredits") == "9990000")
        let escaped = try await rig.get("/api/billing/summary?userId=b%6Fb", ControlRig.adminToken)
        #expect(try escaped.string("balanceMillicredits") == "9990000")
    }

    @Test(arguments: ["", "a%0Ab", String(repeating: "x", count: 257)])
    func aBadUserIdIsNamedAsItWasGiven(_ user: String) async throws {
        let reply = try await ControlRig().get("/api/billing/summary?userId=\(user)", ControlRig.adminToken)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == "userId")
    }

    /// An admin's typing error makes nobody, and a bad name is blamed on the place it stood in.
    @Test func anAdminWhoMistypesMakesNobody() async throws {
        let rig = ControlRig()
        let typo = try await rig.get("/api/billing/summary?userId=bbo", ControlRig.adminToken)
        #expect(typo.status == 404)
        #expect(try typo.string("code") == "account_not_found")
        #expect(rig.ledger.state.withLock { $0.users["bbo"] } == nil)
        let long = String(repeating: "x", count: 257)
        let bad = try await rig.get("/api/billing/summary", ControlRig.adminToken, user: long)
        #expect(bad.status == 400)
        #expect(try bad.string("param") == "X-Tollgate-User")
    }

    /// What is not in the snapshot is asked of the database, and a database that is away is no 401.
    @Test func aColdDirectoryIsAskedAndAnUnreachableOneIsA503() async throws {
        let rig = ControlRig()
        rig.ledger.state.withLock { $0.isCold = true }
        #expect(try await rig.get("/api/billing/summary", FakeLedger.adaKey).status == 200)
        rig.ledger.state.withLock { $0.isDown = true }
        let reply = try await rig.get("/api/billing/summary", FakeLedger.adaKey)
        #expect(reply.status == 503)
        #expect(reply.headers[.retryAfter] != nil)
    }
}

/// The comparison that guards everything.
@Suite struct AdminTokensTests {
    private let hasher = KeyHasher(peppers: [[UInt8](repeating: 7, count: 32)])

    @Test func eachTokenOfARotationIsValidAndNothingNearIt() {
        let listed = [ControlRig.adminToken, ControlRig.oldAdminToken]
        let tokens = AdminTokens(listed, hasher: self.hasher)
        for token in listed.map({ Array($0.utf8) }) {
            #expect(tokens.contains(token))
            #expect(!tokens.contains(token + [0]))
            for length in 0..<token.count { #expect(!tokens.contains(Array(token[..<length]))) }
            for index in token.indices {
                for bit in 0..<8 {
                    var near = token
                    near[index] ^= 1 << UInt8(bit)
                    #expect(!tokens.contains(near))
                }
            }
        }
    }

    @Test func anEmptyTokenLetsNobodyIn() {
        #expect(!AdminTokens([""], hasher: self.hasher).contains([]))
        #expect(!AdminTokens([], hasher: self.hasher).contains([]))
    }

    /// Equality of digests looks at all 256 bits, so no prefix of a match can be told by its time; and what
    /// is compared is keyed, so nobody outside can steer it.
    @Test func whatIsKeptAndComparedIsAKeyedDigest() {
        let tokens = AdminTokens([ControlRig.adminToken], hasher: self.hasher)
        var text = ""
        dump(tokens, to: &text)
        #expect(!text.contains(ControlRig.adminToken))
        #expect(text.contains("KeyDigest"))
        let digest = KeyDigest((1, 2, 3, 4))
        for bit in 0..<64 {
            let flip = UInt64(1) << UInt64(bit)
            #expect(digest != KeyDigest((1 ^ flip, 2, 3, 4)))
            #expect(digest != KeyDigest((1, 2 ^ flip, 3, 4)))
            #expect(digest != KeyDigest((1, 2, 3 ^ flip, 4)))
            #expect(digest != KeyDigest((1, 2, 3, 4 ^ flip)))
        }
    }
}
