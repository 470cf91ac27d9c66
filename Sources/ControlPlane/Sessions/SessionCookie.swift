import HTTPTypes
import Hummingbird

/// A cookie that carries a session: unreadable for scripts, and not sent along by pages of others.
enum SessionCookie: String {
    /// The credits page of one account.
    case portal = "tollgate_portal"
    /// A person of the operator's.
    case staff = "tollgate_staff"

    /// The session that a request carries. A browser sends one of each name; of several, none counts.
    func token(in request: Request) -> SessionToken? {
        let pairs = request.headers[values: .cookie].flatMap { $0.split(separator: ";") }
        let values = pairs.compactMap { pair -> Substring? in
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == self.rawValue else { return nil }
            return parts[1]
        }
        return values.count == 1 ? SessionToken(values[0]) : nil
    }

    /// The field that makes a browser keep it.
    ///
    /// - Parameter isSecure: the site is reached by https.
    func setting(_ token: SessionToken, maxAgeSeconds: Int, isSecure: Bool) -> HTTPField {
        self.field(token.text, maxAgeSeconds, isSecure)
    }

    /// The field that makes a browser forget it.
    func clearing(isSecure: Bool) -> HTTPField { self.field("", 0, isSecure) }

    /// Lax and not strict: people come back from Stripe's page by a link of its site.
    private func field(_ value: String, _ maxAge: Int, _ isSecure: Bool) -> HTTPField {
        let secure = isSecure ? "; Secure" : ""
        return HTTPField(
            name: .setCookie,
            value: "\(self.rawValue)=\(value); Path=/; Max-Age=\(maxAge); HttpOnly; SameSite=Lax\(secure)")
    }
}
