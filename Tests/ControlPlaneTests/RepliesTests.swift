import HTTPTypes
import Hummingbird
import Metering
import Testing

@testable import ControlPlane

/// What holds for every route.
@Suite struct RepliesTests {
    @Test func healthIsLivenessOnly() async throws {
        let rig = ControlRig(readiness: [Readiness("ledger", isReady: false)])
        rig.ledger.state.withLock { $0.isDown = true }
        let reply = try await rig.get("/api/health")
        #expect(reply.status == 200)
        #expect(reply.text == #"{"status":"ok","version":"1.2.3"}"#)
    }

    @Test func readinessNamesEachDependency() async throws {
        let ready = [Readiness("hold_store", isReady: true), Readiness("ledger", isReady: true)]
        let yes = try await ControlRig(readiness: ready).get("/api/ready")
        #expect(yes.status == 200)
        #expect(yes.text == #"{"status":"ready","checks":{"hold_store":"ok","ledger":"ok"}}"#)
        let half = [Readiness("hold_store", isReady: false), Readiness("ledger", isReady: true)]
        let no = try await ControlRig(readiness: half).get("/api/ready")
        #expect(no.status == 503)
        #expect(
            no.text == #"{"status":"not_ready","checks":{"hold_store":"unavailable","ledger":"ok"}}"#)
    }

    @Test(arguments: ["/", "/api", "/api/nothing", "/api/billing", "/api/billing/summary/x", "/metrics"])
    func anythingElseIsA404InJSON(_ target: String) async throws {
        let reply = try await ControlRig().get(target, FakeLedger.adaKey)
        #expect(reply.status == 404)
        #expect(reply.headers[.contentType] == "application/json")
        #expect(try reply.string("code") == "not_found")
    }

    @Test(arguments: [
        ("/api/health", "GET, HEAD"), ("/api/ready", "GET, HEAD"), ("/api/billing/summary", "GET, HEAD"),
        ("/api/billing/packages", "GET, HEAD"), ("/api/billing/estimate", "POST"),
        ("/api/billing/auto-recharge", "GET, HEAD, PUT, DELETE"),
    ])
    func aWrongMethodIsA405WithAllow(_ target: String, _ allowed: String) async throws {
        let rig = ControlRig()
        for method in [HTTPRequest.Method.get, .post, .put, .patch, .delete, .options, .trace]
        where !allowed.contains(method.rawValue) {
            let reply = try await rig.send(method, target, FakeLedger.adaKey)
            #expect(reply.status == 405)
            #expect(reply.headers[.allow] == allowed)
            #expect(try reply.string("code") == "method_not_allowed")
        }
    }

    @Test(arguments: [
        "/api/health", "/api/ready", "/api/billing/summary", "/api/billing/packages", "/api/nothing",
        "/api/billing/estimate",
    ])
    func headIsGetWithoutTheBody(_ target: String) async throws {
        let rig = ControlRig()
        let get = try await rig.get(target, FakeLedger.adaKey)
        let head = try await rig.send(.head, target, FakeLedger.adaKey)
        #expect(head.status == get.status)
        #expect(head.text.isEmpty)
        #expect(head.headers[.contentLength] == String(get.text.utf8.count))
        #expect(head.headers[.contentType] == get.headers[.contentType])
    }

    @Test(arguments: ["/api/health", "/api/billing/summary", "/api/nothing"])
    func everyReplyCarriesItsSafetyFieldsAndAnId(_ target: String) async throws {
        let rig = ControlRig()
        let replies = [try await rig.get(target, FakeLedger.adaKey), try await rig.get(target)]
        for reply in replies {
            #expect(reply.headers[.contentTypeOptions] == "nosniff")
            #expect(reply.headers[.strictTransportSecurity] == "max-age=31536000")
            #expect(reply.headers[.cacheControl] == "no-store")
            #expect(reply.headers[.contentSecurityPolicy]?.contains("default-src 'none'") == true)
        }
        let ids = Set(replies.compactMap { $0.headers[.tollgateRequestID] })
        #expect(ids.count == 2, "each request has its own")
    }

    @Test func anUnexpectedErrorTellsNothing() async throws {
        var table = RouteTable()
        table.get("/api/broken", access: .page) { _, _ in throw FakeLedger.Down() }
        let reply = try await Reply.of(
            table.router([ReplyFields(isSecure: true), ErrorReplies()]), .get, "/api/broken")
        #expect(reply.status == 500)
        #expect(try reply.string("code") == "internal_error")
        #expect(!reply.text.contains("hunter2") && !reply.text.contains("Down"))
    }
}

/// CORS of `/api/*`.
@Suite struct CrossOriginTests {
    private func send(
        _ method: HTTPRequest.Method, _ target: String, _ origin: String?, preflight: Bool = false
    ) async throws -> Reply {
        var fields: HTTPFields = [:]
        if let origin { fields[.origin] = origin }
        if preflight { fields[.accessControlRequestMethod] = "GET" }
        return try await ControlRig().send(method, target, fields: fields)
    }

    @Test func aListedOriginIsNamedExactly() async throws {
        let reply = try await self.send(.get, "/api/health", ControlRig.origin)
        #expect(reply.headers[.accessControlAllowOrigin] == ControlRig.origin)
        #expect(reply.headers[.vary] == "origin")
    }

    /// A browser shows a script only replies that name its origin, errors included.
    @Test(arguments: ["/api/billing/summary", "/api/nothing"])
    func errorsCanBeReadByAListedOrigin(_ target: String) async throws {
        let reply = try await self.send(.get, target, ControlRig.origin)
        #expect(reply.status >= 400)
        #expect(reply.headers[.accessControlAllowOrigin] == ControlRig.origin)
    }

    @Test(arguments: [
        nil, "null", "http://app.example", "https://app.example:443", "https://app.example.evil",
        "https://evil-app.example", "https://APP.example", "*",
    ])
    func noOtherOriginIsNamed(_ origin: String?) async throws {
        for (method, preflight) in [(HTTPRequest.Method.get, false), (.options, true)] {
            let reply = try await self.send(method, "/api/health", origin, preflight: preflight)
            #expect(reply.headers[.accessControlAllowOrigin] == nil)
            #expect(reply.headers[.vary] == "origin")
        }
    }

    @Test func aPreflightIsAnsweredWithoutCredentials() async throws {
        let reply = try await self.send(.options, "/api/billing/summary", ControlRig.origin, preflight: true)
        #expect(reply.status == 204)
        #expect(reply.headers[.accessControlAllowMethods] == "GET, POST, PUT, DELETE")
        #expect(reply.headers[.accessControlAllowHeaders]?.contains("authorization") == true)
        #expect(reply.headers[.accessControlAllowCredentials] == nil)
        let plain = try await self.send(.options, "/api/billing/summary", ControlRig.origin)
        #expect(plain.status == 405, "OPTIONS that asks for nothing is no preflight")
    }

    @Test func outsideTheApiThereIsNoCORS() async throws {
        let reply = try await self.send(.get, "/apix", ControlRig.origin)
        #expect(reply.headers[.accessControlAllowOrigin] == nil)
    }
}
