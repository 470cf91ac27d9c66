import Metering
import Testing

@Suite("Controls")
struct ControlsTests {
    @Test(
        "every control is known by its environment name, and its text reads back as the same",
        arguments: [
            ("BILLING_CHARGING_ENABLED", "off", "false"), ("BILLING_CHARGING_ENABLED", "TRUE", "true"),
            ("BILLING_PURCHASE_ENABLED", "0", "false"), ("BILLING_AUTO_RECHARGE", "yes", "true"),
            ("BILLING_ROLLOUT_PERCENTAGE", "5", "5"), ("BILLING_ANOMALY_MULTIPLIER", "12", "12"),
            ("BILLING_ALLOWLIST", "zoe, anna ,,", "anna,zoe"), ("BILLING_ALLOWLIST", "", ""),
            ("BILLING_MODEL_ALLOWLIST", "gpt-4o-mini,gpt-4o", "gpt-4o,gpt-4o-mini"),
            ("BILLING_MODEL_ALLOWLIST", "all", "all"),
        ])
    func texts(_ name: String, _ text: String, _ canonical: String) throws {
        let name = try #require(ControlName(rawValue: name))
        #expect(try Controls.canonical(name, text) == canonical)
        #expect(try Controls.canonical(name, canonical) == canonical)
    }

    @Test(
        "a value that a control cannot have is refused by the control's name",
        arguments: [
            ("BILLING_CHARGING_ENABLED", "maybe"), ("BILLING_CHARGING_ENABLED", ""),
            ("BILLING_PURCHASE_ENABLED", "2"), ("BILLING_AUTO_RECHARGE", " true"),
            ("BILLING_ROLLOUT_PERCENTAGE", "101"), ("BILLING_ROLLOUT_PERCENTAGE", "-1"),
            ("BILLING_ROLLOUT_PERCENTAGE", "2.5"), ("BILLING_ANOMALY_MULTIPLIER", "0"),
            ("BILLING_ALLOWLIST", "anna\u{7},zoe"), ("BILLING_MODEL_ALLOWLIST", ""),
            ("BILLING_MODEL_ALLOWLIST", "all,gpt-4o"), ("BILLING_MODEL_ALLOWLIST", "gpt 4"),
        ])
    func badValues(_ name: String, _ text: String) throws {
        let known = try #require(ControlName(rawValue: name))
        var controls = Controls()
        #expect { try controls.set(known, to: text) } throws: { error in
            "\(error)".hasPrefix("\(name): must be ")
        }
        #expect(controls == Controls())
    }

    @Test("what a newer release wrote is left out, told, and everything else counts")
    func newerRelease() {
        var start = Controls()
        start.rolloutPercentage = 30
        let (controls, ignored) = start.overridden(by: [
            ("BILLING_CHARGING_ENABLED", "false"), ("BILLING_ROLLOUT_PERCENTAGE", "12.5"),
            ("BILLING_TELEPORT", "true"),
        ])
        #expect(!controls.charging)
        #expect(controls.rolloutPercentage == 30)
        #expect(ignored.map(\.name) == ["BILLING_ROLLOUT_PERCENTAGE", "BILLING_TELEPORT"])
    }

    @Test("a model that is not on the list is refused; a fine-tuned one goes by its base too")
    func modelAllowlist() throws {
        var controls = Controls()
        try controls.set(.modelAllowlist, to: "gpt-4o,ft:gpt-4o-mini")
        #expect(controls.decision(for: "anna", model: "gpt-4o") == .charged)
        #expect(controls.decision(for: "anna", model: "gpt-4o-mini") == .refused)
        #expect(
            controls.decision(for: "anna", model: "ft:gpt-4o-mini:us:7", row: "ft:gpt-4o-mini") == .charged)
        controls.charging = false
        #expect(controls.decision(for: "anna", model: "gpt-4o-mini") == .refused)
    }

    @Test("with charging off everybody is waived, the allow-listed too; outside the cohort only the others")
    func waived() throws {
        var controls = Controls()
        controls.charging = false
        try controls.set(.allowlist, to: "anna")
        #expect(controls.decision(for: "anna", model: "m") == .waived(.chargingOff))
        controls.charging = true
        controls.rolloutPercentage = 0
        #expect(controls.decision(for: "anna", model: "m") == .charged)
        #expect(controls.decision(for: "zoe", model: "m") == .waived(.outsideCohort))
    }

    /// Two user ids that look alike are two users.
    @Test("the allow-list compares bytes, as accounts do")
    func allowlistBytes() throws {
        var controls = Controls()
        controls.rolloutPercentage = 0
        try controls.set(.allowlist, to: "jos\u{e9}")
        #expect(controls.decision(for: "jos\u{e9}", model: "m") == .charged)
        #expect(controls.decision(for: "jose\u{301}", model: "m") == .waived(.outsideCohort))
    }
}

@Suite("Cohort")
struct CohortTests {
    private static let users = (0..<100_000).map { Cohort(user: "user-\($0)") }

    /// A user who was charged yesterday at 5 % is not let off at 25 %.
    @Test("whoever is inside at some percentage is inside at every larger one")
    func monotone() {
        for cohort in Self.users {
            let inside = (0...100).map { cohort.isInside(percentage: $0) }
            #expect(!inside[0] && inside[100])
            #expect(inside.drop { !$0 }.allSatisfy { $0 })
        }
    }

    /// Six standard deviations of a binomial distribution: a good hash fails once in 500 million runs, and this one is
    /// always the same.
    @Test("shares are those of the percentage", arguments: [1, 5, 25, 50, 75, 99] as [Int64])
    func shares(_ percentage: Int64) {
        let count = Double(Self.users.count { $0.isInside(percentage: percentage) })
        let (all, share) = (Double(Self.users.count), Double(percentage) / 100)
        #expect(abs(count - all * share) < 6 * (all * share * (1 - share)).squareRoot())
    }

    /// The place must never change: users would move in and out of a running rollout with an upgrade.
    @Test("places are pinned")
    func pinned() {
        #expect(
            ["anna", "zoe", "user-1", "jos\u{e9}"].map { Cohort(user: $0).place } == [708, 5088, 5387, 9612])
    }
}
