import HTTPTypes
import Hummingbird
import Metering
import Testing

@testable import ControlPlane

/// A control plane with pages, and a browser that keeps one cookie.
struct PortalRig: Sendable {
    let rig: ControlRig
    let portal: FakePortal

    init(
        desk: FakeDesk = FakeDesk(), recharges: FakeRecharges = FakeRecharges(),
        back: FakeMoneyBack = FakeMoneyBack(), history: FakeHistory = FakeHistory(), tokens: AppTokens? = nil,
        publicURL: String = FakePortal.publicURL, hasChart: Bool = true
    ) {
        let portal = FakePortal()
        self.portal = portal
        self.rig = ControlRig(
            desk: desk, history: history, recharges: recharges, back: back,
            portal: portal.parts(tokens, publicURL: publicURL, hasChart: hasChart))
    }

    func get(_ target: String, cookie: String? = nil) async throws -> Reply {
        try await self.rig.send(.get, target, fields: cookie.map { [.cookie: $0] } ?? [:])
    }

    func post(
        _ target: String, _ form: String, cookie: String? = nil, fields more: HTTPFields = [:]
    ) async throws -> Reply {
        var fields = more
        fields[.contentType] = "application/x-www-form-urlencoded"
        if let cookie { fields[.cookie] = cookie }
        return try await self.rig.send(.post, target, fields: fields, body: form)
    }

    /// The link of a user, as an app's server gets it; only its path.
    func link(_ user: String, _ body: String = "") async throws -> String {
        let reply = try await self.rig.send(
            .post, "/api/billing/portal-session", FakeLedger.serviceKey, user: user, body: body)
        let url = try #require(try reply.string("url"))
        return String(url.dropFirst(FakePortal.publicURL.count))
    }
}

extension Reply {
    /// `name=value` of the cookie that it sets.
    var cookie: String? {
        self.headers[.setCookie].flatMap { $0.split(separator: ";").first }.map(String.init)
    }
}
