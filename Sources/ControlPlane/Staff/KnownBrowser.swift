import Billing
import Foundation
import Metering

/// A browser in which somebody signed in before. It is counted by itself: whoever tries many passwords for their email
/// from elsewhere cannot lock them out of it (OWASP calls it a device cookie).
struct KnownBrowser: Sendable, Hashable {
    /// Tells browsers apart, and nothing else.
    let number: SessionToken

    /// - Parameter value: of the cookie; it speaks for one email only, and only when we made it.
    init?(_ value: String, of email: String, _ secrets: SessionSecrets) {
        let parts = value.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = SessionToken(parts[0]),
            let given = Data(base64Encoded: String(parts[1]))
        else { return nil }
        let proofs = Array(Self.subject(email, number).utf8).withUnsafeBytes {
            secrets.hasher.candidates($0)
        }
        guard proofs.contains(where: { ConstantTime.areEqual(given, $0.bytes) }) else { return nil }
        self.number = number
    }

    /// The value of a cookie for somebody who just signed in.
    static func value(for email: String, _ secrets: SessionSecrets) -> String {
        let number = SessionToken()
        let proof = Data(secrets.digest(Self.subject(email, number)).bytes)
        return "\(number.text).\(proof.base64EncodedString())"
    }

    private static func subject(_ email: String, _ number: SessionToken) -> String {
        "known browser \(email.lowercased()) \(number.text)"
    }
}
