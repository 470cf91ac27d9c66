import Billing

/// Who may call a documented route.
enum Access: Sendable, Hashable {
    case `public`(PublicAccess)
    /// People of the operator's with at least this role, and `ADMIN_TOKEN`. `RouteTable` enforces it.
    case staff(StaffRole)
}

/// Who may call a route that is not only the operator's. The handler asks `Credentials`.
enum PublicAccess: Sendable, Hashable {
    /// Everybody.
    case open
    /// The billing API's credentials: a user key, a service key that names a user, a session of the credits page, or
    /// the admin token.
    case account
    /// A service key, for any of its users.
    case service
    /// Stripe, by the signature of what it sends.
    case signature
}

/// Routes that are no part of the API.
enum UndocumentedAccess: Sendable, Hashable {
    /// For browsers; its handler finds the session.
    case page
    /// On the operator's own port.
    case ops
}
