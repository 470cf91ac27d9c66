import Crypto
import Metering

/// What `SESSION_SECRET` is used for; a list while it is rotated: the first makes, all are accepted.
struct SessionSecrets: Sendable {
    /// Of the tokens of sessions.
    let hasher: KeyHasher
    private let sealing: [SymmetricKey]

    /// - Precondition: at least one secret.
    init(_ secrets: [String]) {
        self.hasher = KeyHasher(peppers: secrets.map { Array($0.utf8) })
        // A key of its own: nothing that is hashed tells anything of what is sealed.
        self.sealing = secrets.map { secret in
            HKDF<SHA256>.deriveKey(
                inputKeyMaterial: SymmetricKey(data: Array(secret.utf8)), info: Array("tollgate totp".utf8),
                outputByteCount: 32)
        }
    }

    /// A keyed digest of what must not be stored, such as who tried to sign in.
    func digest(_ text: String) -> KeyDigest {
        Array(text.utf8).withUnsafeBytes { self.hasher.digest($0) }
    }

    // MARK: Sealing

    struct Opened: Sendable, Hashable {
        var secret: [UInt8]
        /// It was sealed under an older secret: to be sealed again.
        var isOld: Bool
    }

    /// - Parameter owner: whose it is; it opens for nobody else.
    func seal(_ secret: [UInt8], of owner: Int64) -> [UInt8] {
        guard
            let box = try? AES.GCM.seal(
                secret, using: self.sealing[0], authenticating: Self.label(owner)),
            let sealed = box.combined
        else { preconditionFailure("a nonce of the usual size always gives a combined box") }
        return Array(sealed)
    }

    /// nil: sealed under a secret that is not in the list any more, or for somebody else.
    func open(_ sealed: [UInt8], of owner: Int64) -> Opened? {
        guard let box = try? AES.GCM.SealedBox(combined: sealed) else { return nil }
        for (index, key) in self.sealing.enumerated() {
            if let secret = try? AES.GCM.open(box, using: key, authenticating: Self.label(owner)) {
                return Opened(secret: Array(secret), isOld: index > 0)
            }
        }
        return nil
    }

    private static func label(_ owner: Int64) -> [UInt8] { Array("staff \(owner)".utf8) }
}
