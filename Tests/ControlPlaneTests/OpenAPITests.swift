import Foundation
import HTTPTypes
import Testing

@testable import ControlPlane

/// `/api/openapi.json` says what the router does, no more and no less.
@Suite struct OpenAPITests {
    private struct Documented {
        var method: HTTPRequest.Method
        var path: String
        var operation: [String: Any]

        /// Where a request goes; no parameter of a path is of any particular kind.
        var target: String { self.path.replacing(/\{[^}]*\}/, with: "x") }
    }

    private func documented(_ rig: ControlRig) async throws -> [Documented] {
        let reply = try await rig.get("/api/openapi.json")
        #expect(reply.status == 200)
        let paths = try #require(reply.object()["paths"] as? [String: [String: [String: Any]]])
        return try paths.flatMap { path, operations in
            try operations.map { method, operation in
                Documented(
                    method: try #require(HTTPRequest.Method(method.uppercased())), path: path,
                    operation: operation)
            }
        }
    }

    @Test func everyDocumentedRouteIsServed() async throws {
        let rig = ControlRig()
        let routes = try await self.documented(rig)
        #expect(routes.count >= 15)
        for route in routes {
            let reply = try await rig.send(route.method, route.target, ControlRig.adminToken)
            #expect(reply.status != 405, "\(route.method) \(route.path)")
            #expect(!reply.text.contains(#""code":"not_found""#), "\(route.method) \(route.path)")
        }
    }

    @Test func everyServedRouteIsDocumented() async throws {
        let rig = ControlRig()
        let known = Set(
            try await self.documented(rig).map { "\($0.method) \($0.path)" })
        for route in rig.router.routes where route.path.description.hasPrefix("/api/") {
            let path = OpenAPIDocument.path(route.path.description)
            // The router makes it of GET.
            guard route.method != .head, !known.contains("\(route.method) \(path)") else { continue }
            let target = path.replacing(/\{[^}]*\}/, with: "x")
            let reply = try await rig.send(route.method, target, ControlRig.adminToken)
            #expect(reply.status == 405, "\(route.method) \(path) is served, but not documented")
        }
    }

    /// Generated clients name their functions by it.
    @Test func operationIdsAreUnique() async throws {
        let ids = try await self.documented(ControlRig()).map { $0.operation["operationId"] as? String }
        #expect(Set(ids).count == ids.count && !ids.contains(nil))
    }

    /// A name that is not defined is found by clients only.
    @Test func everyReferenceIsDefined() async throws {
        let reply = try await ControlRig().get("/api/openapi.json")
        let components = try #require(reply.object()["components"] as? [String: [String: Any]])
        let names = try #require(components["schemas"]).keys
        let references = reply.text.matches(of: /"#\/components\/schemas\/([A-Za-z]+)"/).map { String($0.1) }
        #expect(!references.isEmpty && references.allSatisfy(names.contains))
        let schemes = try #require(components["securitySchemes"]).keys
        for route in try await self.documented(ControlRig()) {
            let security = try #require(route.operation["security"] as? [[String: Any]])
            #expect(security.flatMap(\.keys).allSatisfy(schemes.contains))
        }
    }

    /// What is the operator's is nobody else's: a route without a role would be open to all.
    @Test func everyAdminRouteIsShutWithoutStaff() async throws {
        let rig = ControlRig()
        let staff = try await self.documented(rig).filter { $0.operation["x-least-role"] != nil }
        #expect(staff.count >= 3)
        for route in try await self.documented(rig) where route.path.hasPrefix("/api/admin/") {
            guard route.operation["x-least-role"] != nil else {
                #expect(
                    ["/api/admin/session", "/api/admin/enrolment", "/api/admin/enrolment/begin"].contains(
                        route.path))
                continue
            }
            let nobody = try await rig.send(route.method, route.target)
            #expect(nobody.status == 401, "\(route.method) \(route.path)")
            let unknown = try await rig.send(route.method, route.target, "tg_nobody")
            #expect(unknown.status == 401, "\(route.method) \(route.path)")
            let user = try await rig.send(route.method, route.target, FakeLedger.adaKey)
            #expect(user.status == 403, "\(route.method) \(route.path)")
            let token = try await rig.send(route.method, route.target, ControlRig.adminToken)
            #expect(token.status != 401 && token.status != 403, "\(route.method) \(route.path)")
        }
    }
}
