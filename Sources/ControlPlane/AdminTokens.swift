import Metering

/// The tokens of `ADMIN_TOKEN`, all valid while rotating. Only keyed digests of them are kept, so neither a
/// comparison's time nor a dump of this value tells anything of a token, its length included.
struct AdminTokens: Sendable {
    private let hasher: KeyHasher
    private let digests: [KeyDigest]

    /// An empty token is no token: it would let everybody in.
    init(_ tokens: [String], hasher: KeyHasher) {
        self.hasher = hasher
        self.digests = tokens.filter { !$0.isEmpty }.map { token in
            Array(token.utf8).withUnsafeBytes { hasher.digest($0) }
        }
    }

    /// Compares with every token to its end (`KeyDigest.==`), whichever matches.
    func contains(_ token: [UInt8]) -> Bool {
        let digest = token.withUnsafeBytes { self.hasher.digest($0) }
        return self.digests.reduce(false) { found, admin in admin == digest || found }
    }
}
