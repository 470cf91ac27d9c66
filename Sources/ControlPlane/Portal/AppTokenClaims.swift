import JWTKit
import Metering

/// What a token of the app says. Read leniently, checked strictly: a claim of a wrong type is one that is missing.
struct AppTokenClaims: JWTPayload, Hashable {
    var subject: String?
    var issuer: String?
    var audience: [String]
    /// Seconds since 1970.
    var expiresAt: Double?
    var notBefore: Double?
    var issuedAt: Double?
    /// Claims that are there, and no number.
    var wrongTimes: Set<String>

    /// Why a token is not believed; safe to be shown, since it tells of the token only.
    enum Refusal: String, Error, Sendable, Hashable, CaseIterable {
        case malformed = "it cannot be read"
        case algorithm = "its 'alg' is not that of the key"
        case unknownKey = "no key of its 'kid' is known"
        case signature = "its signature is wrong"
        case issuer = "its 'iss' is another one"
        case audience = "its 'aud' does not name this service"
        case noExpiry = "it has no 'exp'"
        case expired = "it has expired"
        case expiresTooLate = "its 'exp' is more than an hour ahead"
        case notYetValid = "its 'nbf' is in the future"
        case issuedLater = "its 'iat' is in the future"
        case subject = "its 'sub' is no user id"
        case keysUnavailable = "the app's keys cannot be fetched right now"
    }

    static let leewaySeconds: Double = 60
    static let lifetimeSecondsMax: Double = 3600

    private enum CodingKeys: String, CodingKey {
        case sub, iss, aud, exp, nbf, iat
    }

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.subject = try? values.decode(String.self, forKey: .sub)
        self.issuer = try? values.decode(String.self, forKey: .iss)
        self.audience =
            (try? values.decode([String].self, forKey: .aud))
            ?? (try? values.decode(String.self, forKey: .aud)).map { [$0] } ?? []
        var wrong: Set<String> = []
        func time(_ key: CodingKeys) -> Double? {
            guard values.contains(key) else { return nil }
            guard let time = try? values.decode(Double.self, forKey: key), time.isFinite else {
                wrong.insert(key.rawValue)
                return nil
            }
            return time
        }
        self.expiresAt = time(.exp)
        self.notBefore = time(.nbf)
        self.issuedAt = time(.iat)
        self.wrongTimes = wrong
    }

    /// Nobody signs here; the protocol wants it.
    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encodeIfPresent(self.subject, forKey: .sub)
        try values.encodeIfPresent(self.issuer, forKey: .iss)
        try values.encode(self.audience, forKey: .aud)
        try values.encodeIfPresent(self.expiresAt, forKey: .exp)
        try values.encodeIfPresent(self.notBefore, forKey: .nbf)
        try values.encodeIfPresent(self.issuedAt, forKey: .iat)
    }

    /// Claims are checked with a clock, by `user(issuer:audience:now:)`.
    func verify(using algorithm: some JWTAlgorithm) async throws {}

    /// Whom the token speaks of.
    ///
    /// - Parameter now: seconds since 1970.
    func user(issuer: String, audience: String, now: Double) throws(Refusal) -> String {
        guard self.issuer.map({ $0.utf8.elementsEqual(issuer.utf8) }) == true else { throw .issuer }
        guard self.audience.contains(where: { $0.utf8.elementsEqual(audience.utf8) }) else { throw .audience }
        guard let expiresAt else { throw .noExpiry }
        guard now < expiresAt else { throw .expired }
        guard expiresAt <= now + Self.lifetimeSecondsMax + Self.leewaySeconds else { throw .expiresTooLate }
        guard !self.wrongTimes.contains("nbf"), (self.notBefore ?? now) <= now + Self.leewaySeconds else {
            throw .notYetValid
        }
        guard !self.wrongTimes.contains("iat"), (self.issuedAt ?? now) <= now + Self.leewaySeconds else {
            throw .issuedLater
        }
        guard let subject, UserID.isValid(subject) else { throw .subject }
        return subject
    }
}
