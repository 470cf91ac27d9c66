import Billing
import Metering
import Testing

@testable import PostgresLedger

@Suite(.serialized) struct FlagTests {
    private let note = ChangeNote(actor: "cli:test", reason: "it is a test", request: "r1")

    private static func controls(
        _ database: TestDatabase, start: Controls = Controls(), interval: Duration = .milliseconds(50)
    ) -> LedgerControls {
        LedgerControls(pool: database.pool, start: start, logger: TestDatabase.logger, interval: interval)
    }

    @Test func aFlagOverridesTheEnvironmentUntilItIsTakenBack() async throws {
        let database = try await TestDatabase.migrated()
        var start = Controls()
        start.rolloutPercentage = 20
        let desk = FlagBook(pool: database.pool, start: start)
        let controls = Self.controls(database, start: start)
        let set = try await desk.setFlag(.rolloutPercentage, to: "75", expecting: 0, self.note)
        #expect((set.before.value, set.before.source, set.before.version) == ("20", .environment, 0))
        #expect((set.after.value, set.after.source, set.after.version) == ("75", .flag, 1))
        #expect(set.after.change?.actor == "cli:test" && set.after.change?.reason == "it is a test")
        try await controls.load()
        #expect(controls.current.rolloutPercentage == 75)
        let cleared = try await desk.clearFlag(.rolloutPercentage, expecting: 1, self.note)
        #expect((cleared.after.value, cleared.after.source, cleared.after.version) == ("20", .environment, 2))
        try await controls.load()
        #expect(controls.current == start)
        let flags = try await desk.flags()
        #expect(flags.map(\.name) == ControlName.allCases)
        #expect(flags.first { $0.name == .rolloutPercentage }?.version == 2)
    }

    /// Whoever did not hear the answer asks again.
    @Test func aChangeThatIsRepeatedIsOneChange() async throws {
        let database = try await TestDatabase.migrated()
        let desk = FlagBook(pool: database.pool, start: Controls())
        for spelling in ["false", "off", "FALSE"] {
            let receipt = try await desk.setFlag(.charging, to: spelling, expecting: 0, self.note)
            #expect(receipt.after.version == 1 && receipt.after.value == "false")
        }
        for _ in 0..<2 { _ = try await desk.clearFlag(.charging, expecting: 1, self.note) }
        let entries = try await database.text(
            """
            SELECT string_agg(concat_ws(' ', action, subject, before_json, after_json, actor, reason, request_id), '; '
                ORDER BY entry_id) FROM audit_log
            """)
        // What the environment of whoever changes it says is no part of the change: each instance has its own.
        let (unset, off) = (#"{"source": "environment"}"#, #"{"value": "false", "source": "flag"}"#)
        #expect(
            entries == "flag.set flag:BILLING_CHARGING_ENABLED \(unset) \(off) cli:test it is a test r1; "
                + "flag.clear flag:BILLING_CHARGING_ENABLED \(off) \(unset) cli:test it is a test r1")
    }

    @Test func nobodyOverwritesUnseenWhatAnotherOneSet() async throws {
        let database = try await TestDatabase.migrated()
        let desk = FlagBook(pool: database.pool, start: Controls())
        _ = try await desk.setFlag(.anomalyMultiplier, to: "7", expecting: 0, self.note)
        await #expect(throws: FlagRefusal.changedMeanwhile(version: 1)) {
            try await desk.setFlag(.anomalyMultiplier, to: "8", expecting: 0, self.note)
        }
        await #expect(throws: FlagRefusal.changedMeanwhile(version: 1)) {
            try await desk.clearFlag(.anomalyMultiplier, expecting: 0, self.note)
        }
        #expect(try await database.integer("SELECT count(*) FROM audit_log") == 1)
    }

    @Test func whatIsRefusedChangesNothing() async throws {
        let database = try await TestDatabase.migrated()
        let desk = FlagBook(pool: database.pool, start: Controls())
        await #expect(
            throws: FlagRefusal.badValue(
                ControlProblem("BILLING_CHARGING_ENABLED", "must be true or false"))
        ) {
            try await desk.setFlag(.charging, to: "perhaps", expecting: nil, self.note)
        }
        await #expect(throws: FlagRefusal.invalidReason) {
            try await desk.setFlag(
                .charging, to: "false", expecting: nil, ChangeNote(actor: "cli:test", reason: " "))
        }
        #expect(try await database.integer("SELECT count(*) FROM feature_flag") == 0)
    }

    /// A newer release may have written it: it is ignored, never fatal, and the others count.
    @Test func whatThisReleaseCannotReadIsIgnored() async throws {
        let database = try await TestDatabase.migrated()
        try await database.execute(
            """
            INSERT INTO feature_flag (name, value, reason, actor, changed_at, version) VALUES
                ('BILLING_TELEPORT', 'yes', 'r', 'a', now(), 1), ('BILLING_ROLLOUT_PERCENTAGE', '12.5', 'r', 'a', now(), 1),
                ('BILLING_PURCHASE_ENABLED', 'false', 'r', 'a', now(), 1)
            """)
        let controls = Self.controls(database)
        try await controls.load()
        var expected = Controls()
        expected.purchases = false
        #expect(controls.current == expected)
        let rollout = try await FlagBook(pool: database.pool, start: Controls()).flags()
            .first { $0.name == .rolloutPercentage }
        #expect(rollout?.value == "100" && rollout?.source == .environment)
    }

    /// NOTIFY is what makes it soon: this poll would take an hour.
    @Test func aNotificationBringsIt() async throws {
        let database = try await TestDatabase.migrated(poolSize: 3)
        let controls = Self.controls(database, interval: .seconds(3600))
        let feed = ChangeFeed(
            try PostgresConfiguration(url: database.url, applicationName: "flag test"),
            logger: TestDatabase.logger, directoryChanged: {}, flagsChanged: { controls.nudge() })
        try await withThrowingTaskGroup { group in
            group.addTask { await feed.run() }
            group.addTask { await controls.run() }
            #expect(await eventually { feed.connectionCount == 1 })
            let desk = FlagBook(pool: database.pool, start: Controls())
            _ = try await desk.setFlag(.charging, to: "false", expecting: nil, self.note)
            #expect(await eventually { !controls.current.charging })
            group.cancelAll()
        }
    }

    /// Nobody listens here, and the ledger goes away in between.
    @Test func aPollBringsItAndTheLastFlagsStayMeanwhile() async throws {
        let database = try await TestDatabase.migrated(poolSize: 3)
        let controls = Self.controls(database)
        try await withThrowingTaskGroup { group in
            group.addTask { await controls.run() }
            let desk = FlagBook(pool: database.pool, start: Controls())
            _ = try await desk.setFlag(.purchases, to: "false", expecting: nil, self.note)
            #expect(await eventually { !controls.current.purchases })
            try await database.execute("ALTER TABLE feature_flag RENAME TO gone")
            try await Task.sleep(for: .milliseconds(300))
            #expect(!controls.current.purchases)
            try await database.execute("ALTER TABLE gone RENAME TO feature_flag")
            _ = try await desk.clearFlag(.purchases, expecting: nil, self.note)
            #expect(await eventually { controls.current.purchases })
            group.cancelAll()
        }
    }
}
