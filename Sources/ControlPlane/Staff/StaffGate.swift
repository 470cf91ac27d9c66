import Billing
import HTTPTypes
import Hummingbird

/// Lets people of the operator's in, by role. The one place where that is decided: `RouteTable` asks it for every route
/// that was declared with a role.
struct StaffGate: Sendable {
    let credentials: Credentials

    /// - Throws: 401 for whoever is nobody here, 403 for whoever may not.
    func admit(_ request: Request, _ leastRole: StaffRole) async throws -> Staff {
        let staff = try await self.credentials.staff(of: request)
        guard staff.role >= leastRole else { throw APIError.roleTooLow(leastRole) }
        return staff
    }
}
