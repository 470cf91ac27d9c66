/// How callers show who they are.
enum SecurityScheme: String, CaseIterable {
    case userKey, serviceKey, tollgateUser, adminToken, portalSession, staffSession, csrfToken,
        stripeSignature

    private var json: JSONValue {
        switch self {
        case .userKey: Self.bearer("A key of one account, `tg_…`.")
        case .serviceKey: Self.bearer("A service key, `tg_…`; with `X-Tollgate-User`.")
        case .tollgateUser: Self.key("header", "X-Tollgate-User", "Whose account a service key means.")
        case .adminToken: Self.bearer("`ADMIN_TOKEN` of the operator; acts as owner.")
        case .portalSession:
            Self.key("cookie", SessionCookie.portal.rawValue, "A session of the credits page.")
        case .staffSession:
            Self.key("cookie", SessionCookie.staff.rawValue, "A session of `POST /api/admin/session`.")
        case .csrfToken:
            Self.key("header", "x-csrf-token", "`csrfToken` of the session; with every change by a session.")
        case .stripeSignature: Self.key("header", "stripe-signature", "Stripe's signature of the raw body.")
        }
    }

    static let all = JSONValue.object(Self.allCases.map { ($0.rawValue, $0.json) })

    /// Any one of a route's combinations is enough.
    static func required(_ access: Access) -> JSONValue {
        let combinations: [[SecurityScheme]] =
            switch access {
            case .public(.open): []
            case .public(.account):
                [[.userKey], [.serviceKey, .tollgateUser], [.portalSession, .csrfToken], [.adminToken]]
            case .public(.service): [[.serviceKey, .tollgateUser]]
            case .public(.signature): [[.stripeSignature]]
            case .staff: [[.adminToken], [.staffSession, .csrfToken]]
            }
        return .array(combinations.map { .object($0.map { ($0.rawValue, .array([])) }) })
    }

    private static func bearer(_ text: String) -> JSONValue {
        .object([("type", .string("http")), ("scheme", .string("bearer")), ("description", .string(text))])
    }

    private static func key(_ place: String, _ name: String, _ text: String) -> JSONValue {
        .object([
            ("type", .string("apiKey")), ("in", .string(place)), ("name", .string(name)),
            ("description", .string(text)),
        ])
    }
}
