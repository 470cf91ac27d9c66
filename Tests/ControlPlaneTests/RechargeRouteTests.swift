import Billing
import Metering
import Testing

@testable import ControlPlane

/// `/api/billing/auto-recharge`.
@Suite struct RechargeRouteTests {
    private static let path = "/api/billing/auto-recharge"
    private static let wish =
        #"{"thresholdMillicredits":"5000000","packageCode":"starter","dailyLimitUsdCents":5000,"priceUsdCents":1}"#

    private func put(_ body: String, desk: FakeRecharges = FakeRecharges()) async throws -> Reply {
        try await ControlRig(recharges: desk).send(.put, Self.path, FakeLedger.adaKey, body: body)
    }

    @Test func whoeverTurnsItOnSeesWhatWasAgreedTo() async throws {
        let reply = try await self.put(Self.wish)
        #expect(
            reply.text
                == #"{"enabled":true,"thresholdMillicredits":"5000000","packageCode":"starter","priceUsdCents":999,"#
                + #""dailyLimitUsdCents":5000,"state":"active","disabledReason":null,"lastAttempt":null}"#)
        #expect(reply.status == 200)
    }

    @Test func itIsTurnedOffByADeleteOrByAWord() async throws {
        let off = #""enabled":false,"thresholdMillicredits":null"#
        #expect(try await self.put(#"{"enabled":false}"#).text.contains(off))
        let rig = ControlRig(recharges: FakeRecharges())
        #expect(try await rig.send(.delete, Self.path, FakeLedger.adaKey).text.contains(off))
        #expect(try await rig.send(.delete, Self.path).status == 401)
    }

    @Test(arguments: [
        #"{"enabled":1,"packageCode":"starter","thresholdMillicredits":"1","dailyLimitUsdCents":999}"#: [
            "enabled"
        ],
        #"{"packageCode":"","thresholdMillicredits":"01","dailyLimitUsdCents":0}"#: [
            "thresholdMillicredits", "packageCode", "dailyLimitUsdCents",
        ],
        #"{"packageCode":"starter","thresholdMillicredits":"9223372036854775807","dailyLimitUsdCents":999}"#:
            [
                "thresholdMillicredits"
            ],
        "[]": ["body"],
    ])
    func everyBadMemberIsNamed(_ body: String, _ fields: [String]) async throws {
        let reply = try await self.put(body)
        #expect(reply.status == 400)
        #expect(try reply.string("param") == fields[0])
        if fields != ["body"] {
            for field in fields { #expect(reply.text.contains("'\(field)'")) }
        }
    }

    @Test(arguments: [
        (RechargeRefusal.notEnabled, 503, "auto_recharge_disabled"),
        (.unknownPackage, 400, "invalid_request"),
        (.settings(.limitBelowPrice), 400, "invalid_request"),
        (.settings(.limitAboveMaximum(cents: 5000)), 400, "invalid_request"),
        (.settings(.thresholdNotBelowCredits), 400, "invalid_request"),
        (.ledgerUnavailable, 503, "ledger_unavailable"),
    ])
    func everyRefusalHasItsStatus(_ refusal: RechargeRefusal, _ status: Int, _ code: String) async throws {
        let reply = try await self.put(Self.wish, desk: FakeRecharges(refusing: refusal))
        #expect(reply.status == status)
        #expect(try reply.string("code") == code)
    }

    /// (state, package changed, what the owner reads)
    @Test(
        arguments: [
            (Recharge.State.idle, false, "active", nil), (.idle, true, "disabled", "package_changed"),
            (.pausing(until: 9), false, "paused", nil),
            (.processing(RechargeAttempt(number: 1, cents: 9, startedAt: 9)), false, "charging", nil),
            (.stopped(.declined), false, "disabled", "declined"),
            (.stopped(.reversed), false, "disabled", "reversed"),
            (.stopped(.restored), false, "disabled", "restored"),
        ] as [(Recharge.State, Bool, String, String?)])
    func theStateIsTold(
        _ state: Recharge.State, _ isChanged: Bool, _ word: String, _ reason: String?
    ) async throws {
        let settings = try RechargeSettings(
            threshold: .zero, packageCode: "starter", priceUSDCents: 999, dailyLimitCents: 999)
        let machine = Recharge(
            account: 1, settings: settings, state: state, attempts: 1, declines: 0, failures: 0,
            spent: .init(day: 0, cents: 0), versionLeast: 0, restsUntil: 0)
        let text = RechargeRoutes.json(
            RechargeStatus(
                machine: machine, isPackageChanged: isChanged,
                lastAttempt: .init(
                    number: 1, cents: 9, startedAt: 9, outcome: .failed(.declined), purchase: nil))
        ).text
        #expect(text.contains("\"state\":\"\(word)\""))
        #expect(text.contains("\"disabledReason\":\(reason.map { "\"\($0)\"" } ?? "null")"))
        #expect(text.contains(#""status":"failed","failure":"declined","purchaseId":null"#))
    }
}
