import Billing
import Foundation
import HTTPTypes
import Hummingbird

/// `/api/admin/session` and `/api/admin/enrolment`.
struct SessionRoutes: Sendable {
    let desk: StaffDesk
    /// The site is reached by https.
    let isSecure: Bool

    private static let path = "/api/admin/session"

    func add(to table: inout RouteTable) {
        table.post(Self.path, access: .open, Self.signInOperation) { try await self.signIn($0, $1) }
        table.get(Self.path, staff: .viewer, Self.showOperation) { _, _, staff in
            Self.json(staff).response()
        }
        table.delete(Self.path, staff: .viewer, Self.signOutOperation) { _, _, staff in
            try await self.signOut(staff)
        }
        table.post("/api/admin/enrolment/begin", access: .open, Self.beginOperation) {
            try await self.begin($0, $1)
        }
        table.post("/api/admin/enrolment", access: .open, Self.enrolOperation) {
            try await self.enrol($0, $1)
        }
    }

    // MARK: Session

    private func signIn(_ request: Request, _ context: ControlContext) async throws -> Response {
        try Self.requireJSON(request)
        let body = try await JSONBody(request, ["email", "password", "code"], bytesMax: 16 << 10)
        let (email, password) = (try body.text("email", 1...254), try body.text("password", 1...1024))
        let code = try body.text("code", 1...64)
        do throws(StaffDesk.Refusal) {
            let entered = try await self.desk.signIn(
                email: email, password: password, code: code, from: context.address,
                known: SessionCookie.known.value(in: request, isSecure: self.isSecure))
            context.logger.notice("signed in", metadata: ["actor": "\(entered.session.member.actor)"])
            var response = Self.json(Staff(entered.session, entered.token)).response()
            response.headers.append(contentsOf: entered.cookies(isSecure: self.isSecure))
            return response
        } catch {
            context.logger.warning(
                "not signed in", metadata: ["why": "\(error)", "from": "\(context.address)"])
            throw Self.error(error)
        }
    }

    /// A form of another site cannot say so.
    private static func requireJSON(_ request: Request) throws {
        let type = request.headers[.contentType]?.prefix { $0 != ";" }.lowercased()
        guard type?.trimmingCharacters(in: .whitespaces) == "application/json" else {
            throw APIError(
                status: .unsupportedMediaType, message: "The body must be application/json.",
                code: "unsupported_media_type")
        }
    }

    private func signOut(_ staff: Staff) async throws -> Response {
        var response = Response(status: .noContent)
        guard let session = staff.session else { return response }
        do throws(StaffDesk.Refusal) { try await self.desk.signOut(session.token) } catch {
            throw Self.error(error)
        }
        response.headers.append(SessionCookie.staff.clearing(isSecure: self.isSecure))
        return response
    }

    private static func json(_ staff: Staff) -> JSONValue {
        .object([
            ("name", .string(staff.actor)), ("role", .string(staff.role.rawValue)),
            ("csrfToken", .text(staff.session?.token.csrf)),
            ("expiresAtMs", staff.session.map { .integer($0.expiresAt) } ?? .null),
        ])
    }

    // MARK: Enrolment

    private static let tokenBytes = 1...128

    private func begin(_ request: Request, _ context: ControlContext) async throws -> Response {
        let body = try await JSONBody(request, ["token"], bytesMax: 16 << 10)
        let token = try body.text("token", Self.tokenBytes)
        do throws(StaffDesk.Refusal) {
            let (member, secret) = try await self.desk.beginEnrolment(token, from: context.address)
            return JSONValue.object([
                ("email", .string(member.email.text)), ("name", .string(member.name)),
                ("totpSecret", .string(Base32.text(secret))),
                ("otpauthUrl", .string(TOTP.url(secret, email: member.email.text))),
            ]).response()
        } catch {
            throw Self.error(error)
        }
    }

    private func enrol(_ request: Request, _ context: ControlContext) async throws -> Response {
        let body = try await JSONBody(request, ["token", "password", "code"], bytesMax: 16 << 10)
        let (token, password) = (try body.text("token", Self.tokenBytes), try body.text("password", 1...4096))
        let code = try body.text("code", 1...64)
        let (member, codes) = try await Self.enrol(self.desk, token, password: password, code: code, context)
        return JSONValue.object([
            ("name", .string(member.name)), ("role", .string(member.role.rawValue)),
            ("recoveryCodes", .array(codes.map { .string($0.text) })),
        ]).response()
    }

    /// - Throws: `APIError` that names the field.
    static func enrol(
        _ desk: StaffDesk, _ token: String, password: String, code: String, _ context: ControlContext
    ) async throws -> (member: StaffMember, codes: [RecoveryCode]) {
        do throws(StaffDesk.EnrolmentFailure) {
            return try await desk.enrol(
                token, password: password, code: code, from: context.address,
                request: ReplyFields.requestID(context))
        } catch {
            switch error {
            case .refused(let refusal): throw Self.error(refusal)
            case .password(let rule): throw APIError.badRequest("password", "'password' \(rule.rawValue).")
            case .code:
                throw APIError.badRequest(
                    "code", "'code' must be what the authenticator shows now, for the secret of 'begin'.")
            }
        }
    }

    static func error(_ refusal: StaffDesk.Refusal) -> APIError {
        switch refusal {
        case .wrong: .notSignedIn
        case .wait(let seconds):
            APIError(
                status: .tooManyRequests, message: "Too many attempts; try again in \(seconds) seconds.",
                code: "rate_limited", headers: [.retryAfter: String(seconds)])
        case .busy:
            APIError(
                status: .serviceUnavailable, message: "Too many sign-ins at once; try again.", code: "busy",
                headers: [.retryAfter: "2"])
        case .ledgerUnavailable: .unavailable
        }
    }
}
