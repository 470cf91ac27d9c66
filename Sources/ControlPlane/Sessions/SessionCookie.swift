import HTTPTypes
import Hummingbird

/// A cookie that carries a session, or what a browser is known by: unreadable for scripts, and not sent along by pages of
/// others.
enum SessionCookie: String {
    /// The credits page of one account.
    case portal = "tollgate_portal"
    /// A person of the operator's.
    case staff = "tollgate_staff"
    /// A browser in which one of them signed in before: no session.
    case known = "tollgate_known"

    /// Where the site is reached by https, no browser takes this name from a sibling domain or from plain http (RFC 6265bis
    /// §4.1.3.2): nobody can plant a session of their own.
    private func name(_ isSecure: Bool) -> String { (isSecure ? "__Host-" : "") + self.rawValue }

    /// The session that a request carries. A browser sends one of each name; of several, none counts.
    ///
    /// - Parameter isSecure: the site is reached by https.
    func token(in request: Request, isSecure: Bool) -> SessionToken? {
        self.value(in: request, isSecure: isSecure).flatMap { SessionToken($0) }
    }

    func value(in request: Request, isSecure: Bool) -> String? {
        let name = self.name(isSecure)
        let pairs = request.headers[values: .cookie].flatMap { $0.split(separator: ";") }
        let values = pairs.compactMap { pair -> Substring? in
            let parts = pair.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, parts[0].drop(while: { $0 == " " }) == name else { return nil }
            return parts[1]
        }
        return values.count == 1 ? String(values[0]) : nil
    }

    /// The field that makes a browser keep it.
    ///
    /// - Parameter isSecure: the site is reached by https.
    func setting(_ value: String, maxAgeSeconds: Int, isSecure: Bool) -> HTTPField {
        self.field(value, maxAgeSeconds, isSecure)
    }

    /// The field that makes a browser forget it.
    func clearing(isSecure: Bool) -> HTTPField { self.field("", 0, isSecure) }

    /// Lax and not strict: people come back from Stripe's page by a link of its site.
    private func field(_ value: String, _ maxAge: Int, _ isSecure: Bool) -> HTTPField {
        let secure = isSecure ? "; Secure" : ""
        return HTTPField(
            name: .setCookie,
            value:
                "\(self.name(isSecure))=\(value); Path=/; Max-Age=\(maxAge); HttpOnly; SameSite=Lax\(secure)")
    }
}
