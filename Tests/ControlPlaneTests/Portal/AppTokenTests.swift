import Crypto
import Foundation
import HTTPTypes
import JWTKit
import Logging
import Metering
import Synchronization
import Testing

@testable import ControlPlane

/// Tokens of the app: believed when everything about them is right.
@Suite struct AppTokenTests {
    private static let secret = "app secret of more than thirty-two bytes"
    private static let now = 1_790_000_000.0
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Instead of a claim.
    private struct Missing {}

    /// Claims as JSON, so that wrong types can be written.
    private static func claims(_ changes: [String: Any] = [:]) -> [String: Any] {
        var claims: [String: Any] = [
            "sub": "ada", "iss": "https://app.example", "aud": "tollgate", "exp": Self.now + 600,
            "iat": Self.now, "nbf": Self.now,
        ]
        for (name, value) in changes { claims[name] = value is Missing ? nil : value }
        return claims
    }

    private static func part(_ object: Any) throws -> String {
        try JSONSerialization.data(withJSONObject: object).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    private static func signed(
        _ claims: [String: Any], header: [String: Any] = ["alg": "HS256"], secret: String = Self.secret
    ) throws -> String {
        let text = try "\(self.part(header)).\(self.part(claims))"
        let code = HMAC<SHA256>.authenticationCode(
            for: Data(text.utf8), using: SymmetricKey(data: Array(secret.utf8)))
        let signature = Data(code).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        return "\(text).\(signature)"
    }

    private static func tokens(_ keys: AppTokenKeys? = nil) -> AppTokens {
        AppTokens(
            issuer: "https://app.example", audience: "tollgate",
            keys: keys
                ?? AppTokenKeys(
                    secrets: ["new secret of more than thirty-two bytes", self.secret], logger: self.logger),
            now: { self.now })
    }

    private func refusal(_ token: String, _ tokens: AppTokens = Self.tokens()) async -> AppTokenClaims
        .Refusal?
    {
        do throws(AppTokenClaims.Refusal) {
            _ = try await tokens.user(of: token)
            return nil
        } catch { return error }
    }

    @Test func aSoundTokenNamesItsUser() async throws {
        #expect(try await Self.tokens().user(of: Self.signed(Self.claims())) == "ada")
        let several = Self.claims(["aud": ["other", "tollgate"], "iat": Missing(), "nbf": Missing()])
        #expect(try await Self.tokens().user(of: Self.signed(several)) == "ada")
    }

    @Test func everyClaimIsChecked() async throws {
        let now = Self.now
        let wrong: [([String: Any], AppTokenClaims.Refusal)] = [
            (["iss": "https://evil.example"], .issuer), (["iss": Missing()], .issuer), (["iss": 1], .issuer),
            (["aud": "other"], .audience), (["aud": Missing()], .audience), (["aud": [String]()], .audience),
            (["exp": Missing()], .noExpiry), (["exp": "soon"], .noExpiry), (["exp": now], .expired),
            (["exp": now - 1], .expired), (["exp": now + 3661], .expiresTooLate),
            (["nbf": now + 61], .notYetValid), (["nbf": "later"], .notYetValid),
            (["iat": now + 61], .issuedLater), (["iat": [1]], .issuedLater),
            (["sub": Missing()], .subject), (["sub": ""], .subject), (["sub": 7], .subject),
            (["sub": "a\nb"], .subject), (["sub": String(repeating: "x", count: 257)], .subject),
        ]
        for (change, expected) in wrong {
            let token = try Self.signed(Self.claims(change))
            #expect(await self.refusal(token) == expected, "\(change)")
        }
        for change in [["exp": now + 3660], ["nbf": now + 60], ["iat": now + 60], ["exp": now + 0.5]] {
            #expect(await self.refusal(try Self.signed(Self.claims(change))) == nil, "\(change)")
        }
    }

    @Test func theKeyChoosesTheAlgorithm() async throws {
        let body = try Self.part(Self.claims())
        for alg in ["none", "None", "HS512", "RS256", "ES256", ""] {
            let header = try Self.part(["alg": alg])
            #expect(await self.refusal("\(header).\(body).") == .algorithm, "\(alg)")
        }
        #expect(await self.refusal(try Self.signed(Self.claims(), header: ["typ": "JWT"])) == .malformed)
        let critical: [String: Any] = ["alg": "HS256", "crit": ["exp"]]
        #expect(await self.refusal(try Self.signed(Self.claims(), header: critical)) == .malformed)
    }

    @Test func aForgedTokenIsRefused() async throws {
        let sound = try Self.signed(Self.claims())
        let other = try Self.signed(Self.claims(), secret: "another secret of thirty-two bytes or so")
        #expect(await self.refusal(other) == .signature)
        let parts = sound.split(separator: ".")
        let swapped = "\(parts[0]).\(try Self.part(Self.claims(["sub": "bob"]))).\(parts[2])"
        #expect(await self.refusal(swapped) == .signature)
        for text in ["", "a.b", "a.b.c", "..", sound + ".x", String(repeating: "a.", count: 5000)] {
            #expect(await self.refusal(text) == .malformed, "\(text.prefix(20))")
        }
    }

    // MARK: Key sets

    /// A set that can be exchanged, and that counts how often it is fetched.
    private final class Source: KeySetSource {
        struct Away: Error {}
        let state: Mutex<(set: String?, fetches: Int)>

        init(_ set: String?) { self.state = Mutex((set, 0)) }

        func keySet() async throws -> [UInt8] {
            let set = self.state.withLock { state -> String? in
                state.fetches += 1
                return state.set
            }
            guard let set else { throw Away() }
            return Array(set.utf8)
        }

        var fetches: Int { self.state.withLock { $0.fetches } }
    }

    private static func jwk(_ key: ES256PrivateKey, _ kid: String, more: String = "") throws -> String {
        let parameters = try #require(key.parameters)
        func url(_ text: String) -> String {
            text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        }
        return
            #"{"kty":"EC","crv":"P-256","kid":"\#(kid)","x":"\#(url(parameters.x))","y":"\#(url(parameters.y))"\#(more)}"#
    }

    private static func sign(_ key: ES256PrivateKey, kid: String) async throws -> String {
        let signer = JWTKeyCollection()
        await signer.add(ecdsa: key, kid: JWKIdentifier(string: kid))
        let claims = try JSONDecoder().decode(
            AppTokenClaims.self, from: JSONSerialization.data(withJSONObject: Self.claims()))
        return try await signer.sign(claims, kid: JWKIdentifier(string: kid))
    }

    @Test func aKeyOfTheSetIsBelieved() async throws {
        let (key, other) = (ES256PrivateKey(), ES256PrivateKey())
        // Keys of kinds that are not known here, or not for signing, do not hide the others.
        let set = try
            #"{"keys":[{"kty":"new","kid":"n"},\#(Self.jwk(other, "enc", more: #","use":"enc""#)),\#(Self.jwk(key, "k1"))]}"#
        let tokens = Self.tokens(AppTokenKeys(source: Source(set), logger: Self.logger, now: { 0 }))
        #expect(try await tokens.user(of: Self.sign(key, kid: "k1")) == "ada")
        #expect(await self.refusal(try await Self.sign(other, kid: "k1"), tokens) == .signature)
        #expect(await self.refusal(try await Self.sign(other, kid: "enc"), tokens) == .unknownKey)
    }

    /// The classic confusion: a token signed by HMAC with the public key as its secret.
    @Test func aPublicKeyIsNoSecret() async throws {
        let key = ES256PrivateKey()
        let set = try #"{"keys":[\#(Self.jwk(key, "k1"))]}"#
        let tokens = Self.tokens(AppTokenKeys(source: Source(set), logger: Self.logger, now: { 0 }))
        let header: [String: Any] = ["alg": "HS256", "kid": "k1"]
        for secret in [key.publicKey.pemRepresentation, set, try #require(key.parameters).x] {
            let token = try Self.signed(Self.claims(), header: header, secret: secret)
            #expect(await self.refusal(token, tokens) == .algorithm)
        }
    }

    /// A new key is believed at once, and names that are made up lead to one fetch a minute.
    @Test func anUnknownNameIsLookedUpOncePerMinute() async throws {
        let (old, new) = (ES256PrivateKey(), ES256PrivateKey())
        let source = Source(try #"{"keys":[\#(Self.jwk(old, "old"))]}"#)
        let clock = Mutex<Int64>(0)
        let keys = AppTokenKeys(source: source, logger: Self.logger, now: { clock.withLock { $0 } })
        let tokens = Self.tokens(keys)
        #expect(await self.refusal(try await Self.sign(old, kid: "old"), tokens) == nil)
        let rotated = try #"{"keys":[\#(Self.jwk(old, "old")),\#(Self.jwk(new, "new"))]}"#
        source.state.withLock { $0.set = rotated }
        clock.withLock { $0 = 60_000 }
        #expect(await self.refusal(try await Self.sign(new, kid: "new"), tokens) == nil)
        for kid in ["a", "b", "c"] {
            #expect(await self.refusal(try await Self.sign(new, kid: kid), tokens) == .unknownKey)
        }
        #expect(source.fetches == 2)
        clock.withLock { $0 = 60_000 + 900_000 }
        source.state.withLock { $0.set = nil }
        #expect(
            await self.refusal(try await Self.sign(old, kid: "old"), tokens) == nil,
            "known keys outlive a failure")
        #expect(source.fetches == 3)
    }

    @Test func withoutAnyKeyNobodyIsBelieved() async throws {
        for set in [nil, "", "{}", #"{"keys":[]}"#, "[]"] as [String?] {
            let tokens = Self.tokens(AppTokenKeys(source: Source(set), logger: Self.logger, now: { 0 }))
            let token = try await Self.sign(ES256PrivateKey(), kid: "k")
            #expect(await self.refusal(token, tokens) == .keysUnavailable)
        }
    }

    // MARK: Over HTTP

    @Test func aTokenOpensASession() async throws {
        let rig = PortalRig(tokens: Self.tokens())
        let token = try Self.signed(Self.claims())
        let form = try await rig.post("/billing/session", "token=\(token)")
        #expect(form.status == 303 && form.headers[.location] == "/billing?tab=credits")
        #expect(try await rig.get("/billing?tab=credits", cookie: form.cookie).text.contains("ada"))
        let json = try await rig.rig.send(
            .post, "/billing/session", fields: [.contentType: "application/json"],
            body: #"{"token":"\#(token)"}"#)
        #expect(try json.string("url") == "https://pay.example/billing?tab=credits")
        #expect(try await rig.get("/api/billing/summary", cookie: json.cookie).status == 200)
    }

    /// A page of another site would sign its visitors in to its owner's account, and they would pay for them.
    @Test(arguments: [
        ("https://evil.example", 403), ("null", 403), ("https://app.example.evil.example", 403), ("", 403),
        ("https://app.example", 303), ("https://pay.example", 303),
    ])
    func onlyPagesOfTheAppSignIn(origin: String, status: Int) async throws {
        let rig = PortalRig(tokens: Self.tokens())
        let token = try Self.signed(Self.claims())
        let form = try await rig.post("/billing/session", "token=\(token)", fields: [.origin: origin])
        #expect(form.status == status && (form.headers[.setCookie] == nil) == (status == 403))
        #expect(status != 403 || form.headers[.contentType] == "text/html; charset=utf-8")
        let json = try await rig.rig.send(
            .post, "/billing/session", fields: [.contentType: "application/json", .origin: origin],
            body: #"{"token":"\#(token)"}"#)
        #expect(json.status == (status == 403 ? 403 : 200))
        if status == 403 { #expect(try json.string("code") == "origin_not_allowed") }
    }

    @Test func aTokenIsACredentialOfTheBillingAPI() async throws {
        let rig = PortalRig(tokens: Self.tokens())
        let token = try Self.signed(Self.claims())
        #expect(try await rig.rig.get("/api/billing/summary", token).string("balanceMillicredits") == "3720")
        #expect(try await rig.rig.get("/api/billing/summary?userId=bob", token).status == 403)
        #expect(try await rig.rig.get("/api/billing/summary", token, user: "bob").status == 403)
        #expect(try await rig.rig.get("/api/admin/purchases", token).status == 401)
        let stale = try await rig.rig.get("/api/billing/summary", Self.signed(Self.claims(["exp": Self.now])))
        #expect(try stale.status == 401 && stale.string("code") == "invalid_jwt")
    }

    @Test func whereNoneIsSetUpNoTokenIsBelieved() async throws {
        let rig = PortalRig()
        let token = try Self.signed(Self.claims())
        #expect(try await rig.post("/billing/session", "token=\(token)").status == 404)
        #expect(try await rig.rig.get("/api/billing/summary", token).status == 401)
    }

    @Test func aRefusalIsAPageForAForm() async throws {
        let rig = PortalRig(tokens: Self.tokens())
        let reply = try await rig.post("/billing/session", "token=a.b.c")
        #expect(reply.status == 401 && reply.headers[.contentType] == "text/html; charset=utf-8")
        #expect(try await rig.post("/billing/session", "x=1").status == 400)
    }
}
