import Billing
import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// A control plane with the console, and a browser of one person.
struct ConsoleRig: Sendable {
    let rig: ControlRig
    let cookie: String
    let csrf: String

    /// - Parameter role: nil: nobody is signed in.
    init(_ role: StaffRole?, back: FakeMoneyBack = FakeMoneyBack(lines: [AdminListTests.line(1)])) {
        self.rig = ControlRig(back: back, portal: FakePortal().parts(nil))
        let token = SessionToken()
        (self.cookie, self.csrf) = ("__Host-tollgate_staff=\(token.text)", token.csrf)
        guard let role else { return }
        let digest = token.digest(SessionSecrets(ControlRig.sessionSecrets).hasher)
        self.rig.staff.state.withLock {
            $0.sessions[digest] = StaffSession(member: FakeStaff.member(role), expiresAt: 1)
        }
    }

    func get(_ target: String) async throws -> Reply {
        try await self.rig.send(.get, target, fields: [.cookie: self.cookie])
    }

    /// - Parameter csrf: nil: that of the session.
    func post(_ target: String, _ form: [String: String], csrf: String? = nil) async throws -> Reply {
        let all = form.merging(["csrf": csrf ?? self.csrf]) { first, _ in first }
        let body = all.map { "\($0.key)=\(WebSite.escaped($0.value))" }.joined(separator: "&")
        return try await self.rig.send(
            .post, target,
            fields: [.cookie: self.cookie, .contentType: "application/x-www-form-urlencoded"], body: body)
    }

    var notes: [ChangeNote] { self.rig.admin.notes.withLock { $0 } }

    /// Of a hidden field.
    static func hidden(_ name: String, _ page: Reply) -> String? {
        let mark = "name=\"\(name)\" value=\""
        guard let start = page.text.range(of: mark) else { return nil }
        return String(page.text[start.upperBound...].prefix { $0 != "\"" })
    }
}
