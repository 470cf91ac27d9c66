import Billing
import HTTPTypes
import Hummingbird

/// Lets people of the operator's in, by role. The one place where that is decided: `RouteTable` asks it for every route
/// that was declared with a role.
struct StaffGate: Sendable {
    let credentials: Credentials
    let desk: StaffDesk
    /// The site is reached by https.
    let isSecure: Bool

    /// - Throws: 401 for whoever is nobody here, 403 for whoever may not.
    func admit(_ request: Request, _ leastRole: StaffRole) async throws -> Staff {
        let staff = try await self.staff(of: request)
        guard staff.role >= leastRole else { throw APIError.roleTooLow(leastRole) }
        return staff
    }

    /// A bearer token is meant when there is one: a browser's cookie comes along by itself.
    private func staff(of request: Request) async throws -> Staff {
        guard request.headers[.authorization] == nil,
            let token = SessionCookie.staff.token(in: request, isSecure: self.isSecure)
        else {
            return try await self.credentials.staff(of: request)
        }
        guard let staff = try await self.person(token) else { throw APIError.sessionOver }
        // A page of another site can make the browser send the cookie, but does not know this value.
        if request.method != .get, request.method != .head {
            guard let given = request.headers[.csrfToken], token.acceptsCSRF(given) else {
                throw APIError.csrfMissing
            }
        }
        return staff
    }

    /// Whoever looks at a page. Its forms carry the CSRF value themselves. nil: nobody is signed in.
    func visitor(_ request: Request) async throws -> Staff? {
        guard let token = SessionCookie.staff.token(in: request, isSecure: self.isSecure) else { return nil }
        return try await self.person(token)
    }

    private func person(_ token: SessionToken) async throws -> Staff? {
        do throws(StaffDesk.Refusal) {
            return try await self.desk.session(token).map { Staff($0, token) }
        } catch {
            throw SessionRoutes.error(error)
        }
    }
}
