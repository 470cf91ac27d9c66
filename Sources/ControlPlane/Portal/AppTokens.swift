import Foundation
import JWTKit

/// Believes tokens that the app signed (JWT).
public struct AppTokens: Sendable {
    let issuer: String
    let audience: String
    let keys: AppTokenKeys
    /// Seconds since 1970.
    let now: @Sendable () -> Double

    private static let bytesMax = 8 << 10

    public init(
        issuer: String, audience: String, keys: AppTokenKeys,
        now: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
    ) {
        self.issuer = issuer
        self.audience = audience
        self.keys = keys
        self.now = now
    }

    /// Whether it can be one at all; an API key has no dots.
    static func looksLikeOne(_ token: some StringProtocol) -> Bool {
        token.utf8.count { $0 == UInt8(ascii: ".") } == 2
    }

    /// The user id of a token that is believed.
    func user(of token: String) async throws(AppTokenClaims.Refusal) -> String {
        guard token.utf8.count <= Self.bytesMax, Self.looksLikeOne(token) else { throw .malformed }
        let parsed: (header: JWTHeader, payload: AppTokenClaims, signature: Data)
        do {
            parsed = try DefaultJWTParser().parse(Array(token.utf8), as: AppTokenClaims.self)
        } catch {
            throw .malformed
        }
        // What is critical and not understood must not be passed over (RFC 7515 §4.1.11).
        guard let algorithm = parsed.header.alg, parsed.header.fields["crit"] == nil else { throw .malformed }
        let key = try await self.keys.key(named: parsed.header.kid, algorithm: algorithm)
        let claims = try await key.verify(token)
        return try claims.user(issuer: self.issuer, audience: self.audience, now: self.now())
    }
}

/// A key with the algorithms that are its own: what a token says of its algorithm chooses nothing.
struct AppTokenKey: Sendable {
    let name: String?
    let algorithms: Set<String>
    /// Of one key, or of several secrets while rotating.
    private let verifiers: [JWTKeyCollection]

    /// HS256.
    init(secrets: [String]) async {
        self.name = nil
        self.algorithms = ["HS256"]
        var verifiers: [JWTKeyCollection] = []
        for secret in secrets {
            let verifier = JWTKeyCollection()
            await verifier.add(hmac: HMACKey(from: Array(secret.utf8)), digestAlgorithm: .sha256)
            verifiers.append(verifier)
        }
        self.verifiers = verifiers
    }

    /// nil: a key that signs nothing that is believed here.
    init?(_ jwk: JWK) async {
        self.name = jwk.keyIdentifier?.string
        let kind: String
        switch jwk.keyType {
        case .rsa: kind = "RS256"
        case .ecdsa where jwk.curve == .ecdsa(.p256): kind = "ES256"
        case .octetKeyPair: kind = "EdDSA"
        default: return nil
        }
        guard jwk.algorithm == nil || jwk.algorithm?.rawValue == kind else { return nil }
        self.algorithms = [kind]
        var named = jwk
        named.keyIdentifier = JWKIdentifier(string: self.name ?? "only")
        named.algorithm = JWK.Algorithm(rawValue: kind)
        let verifier = JWTKeyCollection()
        guard (try? await verifier.add(jwk: named)) != nil else { return nil }
        self.verifiers = [verifier]
    }

    func verify(_ token: String) async throws(AppTokenClaims.Refusal) -> AppTokenClaims {
        for verifier in self.verifiers {
            if let claims = try? await verifier.verify(token, as: AppTokenClaims.self) { return claims }
        }
        throw .signature
    }
}
