import Billing
import Crypto
import Metering

/// The secret of one browser session. It is kept by the browser only, in a cookie that scripts cannot read; the ledger
/// keeps a keyed digest of it.
struct SessionToken: Sendable, Hashable {
    /// 64 hexadecimal digits.
    let text: String

    /// A new one, of 256 random bits.
    init() {
        let bits = SymmetricKey(size: .bits256)
        self.text = bits.withUnsafeBytes { Hexadecimal.text($0) }
    }

    /// nil: nothing that `init()` made.
    init?(_ text: some StringProtocol) {
        let isHexadecimal = text.utf8.allSatisfy { 0x30...0x39 ~= $0 || 0x61...0x66 ~= $0 }
        guard text.utf8.count == 64, isHexadecimal else { return nil }
        self.text = String(text)
    }

    /// What is stored of it.
    ///
    /// - Parameter hasher: made of `SESSION_SECRET`.
    func digest(_ hasher: KeyHasher) -> KeyDigest {
        Array(self.text.utf8).withUnsafeBytes { hasher.digest($0) }
    }

    /// What may be stored of it while `SESSION_SECRET` is rotated, newest first.
    func candidates(_ hasher: KeyHasher) -> [KeyDigest] {
        Array(self.text.utf8).withUnsafeBytes { hasher.candidates($0) }
    }

    /// What forms of the session carry, to prove that a page of ours made them. Tells nothing of the token.
    var csrf: String {
        Hexadecimal.text(SHA256.hash(data: Array("tollgate csrf \(self.text)".utf8)))
    }

    /// Compares to the end, whatever the first difference.
    func acceptsCSRF(_ given: String) -> Bool {
        ConstantTime.areEqual(Array(given.utf8), Array(self.csrf.utf8))
    }
}
