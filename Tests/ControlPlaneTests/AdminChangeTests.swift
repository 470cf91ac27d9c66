import HTTPTypes
import Metering
import Testing

@testable import ControlPlane

/// What the routes that change something say of bodies; the ledger's own rules are tested on it.
@Suite struct AdminChangeTests {
    private static let account = "/api/admin/accounts/1"

    @Test(arguments: [("evt_unknown", 404, "event_not_found"), ("evt_applied", 409, "event_not_dead")])
    func onlyWhatNeedsAPersonIsDismissed(_ event: String, _ status: Int, _ code: String) async throws {
        let rig = ControlRig()
        let reply = try await rig.send(
            .post, "/api/admin/webhook-events/dismiss", ControlRig.adminToken,
            body: #"{"eventId":"\#(event)","reason":"r"}"#)
        #expect(reply.status == status)
        #expect(try reply.string("code") == code)
        #expect(rig.admin.notes.withLock { $0.isEmpty })
    }

    @Test(
        arguments: [
            (HTTPRequest.Method.post, "/api/admin/accounts", #"{"userId":"ada"}"#, "reason"),
            (.post, "/api/admin/accounts", #"{"reason":"r"}"#, "userId"),
            (.post, "/api/admin/accounts", #"{"userId":"ada","reason":" "}"#, "reason"),
            (.post, "/api/admin/accounts", #"{"userId":"ada","reson":"r"}"#, "reson"),
            (.post, "/api/admin/accounts", #"[]"#, "body"),
            (.post, "/api/admin/accounts", #"{"userId":"ada","userId":"bob","reason":"r: s"}"#, "body"),
            (.post, "/api/admin/accounts", #"{"userId":{"a":1},"reason":"r"}"#, "userId"),
            (.put, account + "/status", #"{"status":"closed","reason":"r"}"#, "status"),
            (
                .put, account + "/limits", #"{"requestsPerMinute":1,"streams":1,"reason":"r"}"#,
                "tokensPerMinute"
            ),
            (
                .put, account + "/limits",
                #"{"requestsPerMinute":-1,"streams":1,"tokensPerMinute":null,"reason":"r"}"#,
                "requestsPerMinute"
            ),
            (.put, account + "/hold-policy", #"{"reason":"r"}"#, "policy"),
            (.put, account + "/hold-policy", #"{"policy":"some","reason":"r"}"#, "policy"),
            (
                .post, account + "/adjustments",
                #"{"amountMillicredits":"0","idempotencyKey":"k","reason":"r"}"#, "amountMillicredits"
            ),
            (
                .post, account + "/adjustments",
                #"{"amountMillicredits":5,"idempotencyKey":"k","reason":"r"}"#, "amountMillicredits"
            ),
            (
                .post, account + "/adjustments",
                #"{"amountMillicredits":"+5","idempotencyKey":"k","reason":"r"}"#, "amountMillicredits"
            ),
            (.post, account + "/adjustments", #"{"amountMillicredits":"5","reason":"r"}"#, "idempotencyKey"),
            (.post, "/api/admin/keys", #"{"reason":"r"}"#, "accountId"),
            (.post, "/api/admin/keys", #"{"accountId":1,"serviceName":"s","reason":"r"}"#, "accountId"),
            (.post, "/api/admin/keys/1/revocation", "{}", "reason"),
            (.post, "/api/admin/rate-cards", #"{"reason":"r"}"#, "yaml"),
            (.post, "/api/admin/rate-cards/simulation", #"{"yaml":"x","days":0}"#, "days"),
            (.put, "/api/admin/flags/BILLING_CHARGING_ENABLED", #"{"value":"maybe","reason":"r"}"#, "value"),
            (.post, "/api/admin/webhook-events/replay", #"{"reason":"r"}"#, "eventId"),
            (.post, "/api/admin/webhook-events/replay", #"{"eventId":"x","reason":"r"}"#, "eventId"),
            (.post, "/api/admin/webhook-events/dismiss", #"{"reason":"r"}"#, "eventId"),
            (.post, "/api/admin/webhook-events/dismiss", #"{"eventId":"x","reason":"r"}"#, "eventId"),
            (.post, "/api/admin/webhook-events/dismiss", #"{"eventId":"evt_1"}"#, "reason"),
        ] as [(HTTPRequest.Method, String, String, String)])
    func aBadBodyIsToldByItsMember(
        _ method: HTTPRequest.Method, _ target: String, _ body: String, _ param: String
    ) async throws {
        let rig = ControlRig()
        let reply = try await rig.send(method, target, ControlRig.adminToken, body: body)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == param)
        #expect(rig.admin.notes.withLock { $0.isEmpty })
    }

    @Test(
        arguments: [
            (HTTPRequest.Method.post, "/api/admin/accounts", #"{"userId":"ada","reason":"why"}"#),
            (.put, account + "/status", #"{"status":"suspended","reason":"why"}"#),
            (
                .put, account + "/limits",
                #"{"requestsPerMinute":1,"streams":0,"tokensPerMinute":null,"reason":"why"}"#
            ),
            (.put, account + "/hold-policy", #"{"policy":null,"reason":"why"}"#),
            (
                .post, account + "/adjustments",
                #"{"amountMillicredits":"-5","idempotencyKey":"k","reason":"why"}"#
            ),
            (.post, "/api/admin/keys", #"{"accountId":1,"reason":"why"}"#),
            (.post, "/api/admin/keys", #"{"serviceName":"shop","reason":"why"}"#),
            (.post, "/api/admin/keys/1/revocation", #"{"reason":"why"}"#),
            (.post, "/api/admin/rate-cards", #"{"yaml":"x","reason":"why"}"#),
            (
                .put, "/api/admin/flags/BILLING_CHARGING_ENABLED",
                #"{"value":"false","expectedVersion":3,"reason":"why"}"#
            ),
            (.post, "/api/admin/flags/BILLING_CHARGING_ENABLED/reset", #"{"reason":"why"}"#),
            (.post, "/api/admin/webhook-events/replay", #"{"dead":true,"reason":"why"}"#),
            (.post, "/api/admin/webhook-events/dismiss", #"{"eventId":"evt_1","reason":"why"}"#),
        ] as [(HTTPRequest.Method, String, String)])
    func aChangeCarriesWhoWhyAndWhich(_ method: HTTPRequest.Method, _ target: String, _ body: String)
        async throws
    {
        let rig = ControlRig()
        let reply = try await rig.send(method, target, ControlRig.adminToken, body: body)
        #expect(reply.status == 200, "\(reply.text)")
        let notes = rig.admin.notes.withLock { $0 }
        #expect(notes.count == 1)
        #expect(notes.first?.actor == "admin-token" && notes.first?.reason == "why")
        #expect(notes.first?.request == reply.headers[.tollgateRequestID])
    }

    @Test(arguments: [
        "/api/admin/accounts/2", "/api/admin/accounts/x", "/api/admin/accounts/-1",
        "/api/admin/accounts/2/holds",
        "/api/admin/accounts/2/ledger", "/api/admin/accounts/2/usage", "/api/admin/rate-cards/c/1",
        "/api/admin/reconciliation/2/findings",
    ])
    func whatIsNotThereIsNotFound(_ target: String) async throws {
        #expect(try await ControlRig().get(target, ControlRig.adminToken).status == 404)
    }

    @Test(arguments: [
        (#"{"userId":"ada","decision":"clear","reason":"r"}"#, 200, "ok"),
        (#"{"userId":"ada","decision":"suspend","reason":"r"}"#, 200, "ok"),
        (#"{"userId":"ada","reviewId":1,"decision":"clear","reason":"r"}"#, 200, "ok"),
        (#"{"userId":"ada","reviewId":2,"decision":"clear","reason":"r"}"#, 409, "another_review_open"),
        (#"{"userId":"ada","reviewId":0,"decision":"clear","reason":"r"}"#, 400, "invalid_request"),
        (#"{"userId":"bob","decision":"clear","reason":"r"}"#, 409, "no_open_review"),
        (#"{"userId":"ada","decision":"forget","reason":"r"}"#, 400, "invalid_request"),
        (#"{"userId":"ada","decision":"clear"}"#, 400, "invalid_request"),
    ])
    func aReviewIsDecidedOnce(body: String, status: Int, code: String) async throws {
        let rig = ControlRig()
        let reply = try await rig.send(
            .post, "/api/admin/reviews/decision", ControlRig.adminToken, body: body)
        #expect(reply.status == status, "\(reply.text)")
        if status != 200 { #expect(try reply.string("code") == code) }
        #expect(rig.admin.notes.withLock { $0.count } == (status == 200 ? 1 : 0))
    }

    @Test func reviewsAreListedByState() async throws {
        let open = try await ControlRig().get("/api/admin/reviews?state=open", ControlRig.adminToken)
        #expect(open.status == 200 && open.text.contains(#""userId":"ada""#))
        let cleared = try await ControlRig().get("/api/admin/reviews?state=cleared", ControlRig.adminToken)
        #expect(cleared.status == 200 && !cleared.text.contains("ada"))
        #expect(try await ControlRig().get("/api/admin/reviews?state=x", ControlRig.adminToken).status == 400)
    }

    /// A list of users is long.
    @Test(arguments: [(Controls.textBytesMax, 200), (Controls.textBytesMax + 1, 400)])
    func aFlagIsAsLongAsControlsAllow(bytes: Int, status: Int) async throws {
        let list = String(repeating: "user-0000000001,", count: bytes / 16 + 1).prefix(bytes)
        let reply = try await ControlRig().send(
            .put, "/api/admin/flags/BILLING_ALLOWLIST", ControlRig.adminToken,
            body: #"{"value":"\#(list)","reason":"why"}"#)
        #expect(reply.status == status, "\(reply.text)")
        if status == 400 { #expect(try reply.string("param") == "value") }
    }

    @Test func aFlagThatSomebodyChangedMeanwhileStays() async throws {
        let reply = try await ControlRig().send(
            .put, "/api/admin/flags/BILLING_CHARGING_ENABLED", ControlRig.adminToken,
            body: #"{"value":"false","expectedVersion":2,"reason":"r"}"#)
        #expect(reply.status == 409)
    }
}
