import Billing
import Logging
import Metering
import Synchronization
import Testing

@testable import PostgresLedger

/// A ledger that was set back does not know what was charged since.
@Suite(.serialized) struct RestoredRechargeTests {
    private let start = PostgresLedgerClock.now

    private func owner(_ database: TestDatabase, _ name: String = "owner") async throws -> AccountID {
        let account = try await database.account(name)
        try await database.turnOn(account, limit: 99_900)
        return account
    }

    private enum Notice: CaseIterable {
        case heartbeat, settlement, position, person, recharger
    }

    /// Whoever notices it first, in the transaction that says so.
    @Test(arguments: Notice.allCases)
    private func everyRechargeStopsWhenTheLedgerIsAnOlderOne(_ notice: Notice) async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        let other = try await self.owner(database, "other")
        let position = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "h").position
        if notice != .position, notice != .person {
            try await database.execute("UPDATE ledger_meta SET timeline = '000000AA'")
        }
        switch notice {
        case .heartbeat:
            _ = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "h")
        case .settlement: _ = try await database.ledger.settle([Outcomes().void(account)])
        case .position:
            var lost = position
            lost.flushed += 1 << 40
            #expect(try await database.decide(account, now: self.start, heard: lost) == nil)
        case .person: try await database.ledger.startNewGeneration()
        // Nobody else has asked it yet.
        case .recharger: #expect(try await database.decide(account, now: self.start) == nil)
        }
        for account in [account, other] {
            #expect(try await database.status(account).machine.state == .stopped(.restored))
        }
        #expect(try await database.ledger.rechargesDue(now: self.start, limit: 9).isEmpty)
        // Its owner says so.
        try await database.turnOn(account, limit: 99_900)
        #expect(try await database.decide(account, now: self.start) != nil)
        #expect(try await database.status(other).machine.state == .stopped(.restored))
    }

    /// A quiet ledger stops nobody, however often it is asked.
    @Test func whoeverLosesNothingGoesOn() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        let position = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "h").position
        let order = try #require(try await database.decide(account, now: self.start, heard: position))
        #expect(try await database.open(order, heard: position) != nil)
        #expect(try await database.ledger.checkGeneration() == position.generation)
    }

    /// A primary that was replaced and answers again: what it says of a balance is of the past. The very connection that
    /// decides is asked, and not used again.
    @Test func aReplacedPrimaryDecidesNothing() async throws {
        let database = try await TestDatabase.migrated(poolSize: 1)
        let account = try await self.owner(database)
        var newer = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "h").position
        newer.timeline += 1
        newer.generation += 1
        let heard = newer
        let backend = "SELECT pg_backend_pid()"
        let asked = try await database.integer(backend)
        let now = self.start
        await #expect(throws: ReplacedLedger.self) {
            try await database.decide(account, now: now, heard: heard)
        }
        #expect(try await database.status(account).machine.state == .idle)
        #expect(try await database.integer(backend) != asked)
        let order = try #require(try await database.decide(account, now: self.start))
        await #expect(throws: ReplacedLedger.self) { try await database.open(order, heard: heard) }
        #expect(try await database.integer("SELECT count(*) FROM purchase") == 0)
    }

    /// Heartbeats do not see it any more when a recharge was first.
    @Test func whoeverIsFirstToNoticeSaysWhatWasLost() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        var lost = try await database.ledger.heartbeat(PostgresLedger.freshID(), hostname: "h").position
        lost.flushed += 1 << 40
        let log = LogLines()
        let ledger = PostgresLedger(pool: database.pool, logger: Logger(label: "test") { _ in log })
        for _ in 0..<2 {
            let order = try await ledger.decideRecharge(
                of: account,
                RechargeContext(now: self.start, livemode: false, dailyMaxCents: 1000, heard: lost))
            #expect(order == nil)
        }
        #expect(log.errors.count == 1)
        #expect(log.errors.first?["knownGeneration"] == "\(lost.generation)")
        let bytes = Int64(log.errors.first?["lostBytes"]?.description ?? "") ?? 0
        #expect(bytes > 1 << 39 && bytes <= 1 << 40)
    }

    /// The purchase of this attempt may have been made, and charged, in the past that was lost: another would be a
    /// second charge.
    @Test func anAttemptOfBeforeOpensNothing() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        let order = try #require(try await database.decide(account, now: self.start))
        try await database.execute("UPDATE ledger_meta SET timeline = '000000AA'")
        #expect(try await database.open(order) == nil)
        #expect(try await database.integer("SELECT count(*) FROM purchase") == 0)
        #expect(try await database.status(account).machine.state == .stopped(.restored))
    }

    /// Turned off while it was asked for: no balance makes it begin anew, but it would be asked for again.
    @Test func whatIsUnderWayIsNotAskedForAgain() async throws {
        let database = try await TestDatabase.migrated()
        let (account, idle) = (try await self.owner(database), try await self.owner(database, "idle"))
        let order = try #require(try await database.decide(account, now: self.start))
        let purchase = try await database.opened(order).purchase
        for account in [account, idle] { try await database.ledger.setRecharge(nil, of: account) }
        try await database.ledger.startNewGeneration()
        #expect(try await database.status(account).machine.state == .stopped(.restored))
        #expect(try await database.status(idle).machine.state == .idle)
        #expect(try await database.decide(account, now: self.start + 60_000) == nil)
        // What Stripe made of it is granted all the same.
        let stripe = FakeStripe()
        stripe.put(.made(for: purchase, "pi_1"))
        try await database.settle(database.event("evt_1", purchase, payment: "pi_1"), stripe)
        #expect(try await database.balance(account) == 9_990_000)
        #expect(try await database.verifier.verify().isEmpty)
    }

    @Test func whyItStoppedBeforeStays() async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        try await database.execute("UPDATE recharge SET state = 'stopped', stop_reason = 'declined'")
        try await database.ledger.startNewGeneration()
        #expect(try await database.status(account).machine.state == .stopped(.declined))
    }

    /// Redis, Stripe's metadata and journals know numbers that the restored ledger does not.
    @Test func numbersOfTheLostPastAreGivenToNobody() async throws {
        let database = try await TestDatabase.migrated()
        let before = try await database.account("before")
        let key = try await database.integer("SELECT nextval(pg_get_serial_sequence('api_key', 'key_id'))")
        try await database.ledger.startNewGeneration()
        #expect(try await database.account("after") > before + 1_000_000)
        #expect(
            try await database.integer("SELECT nextval(pg_get_serial_sequence('api_key', 'key_id'))")
                > key + 1_000_000)
        #expect(try await database.account("before") == before)
    }

    /// A backup can be restored twice, and what was given out in between is known to Redis as well.
    @Test func aSecondRestoreOfTheSameBackupGivesOtherNumbers() async throws {
        let database = try await TestDatabase.migrated()
        let generation = try await database.ledger.checkGeneration()
        var accounts: Set<AccountID> = []
        var keys: Set<Int64> = []
        for user in ["first", "second", "third"] {
            try await database.ledger.startNewGeneration()
            accounts.insert(try await database.account(user))
            keys.insert(
                try await database.integer("SELECT nextval(pg_get_serial_sequence('api_key', 'key_id'))"))
            try await database.execute(
                """
                SELECT setval(pg_get_serial_sequence('account', 'account_id'), 7),
                    setval(pg_get_serial_sequence('api_key', 'key_id'), 7), pg_sleep(0.005);
                UPDATE ledger_meta SET generation = \(generation);
                """)
        }
        #expect(accounts.count == 3 && keys.count == 3)
        // Whatever counts in doubles can tell them apart.
        #expect((accounts.max() ?? 0) < 1 << 53 && (keys.max() ?? 0) < 1 << 53)
    }

    /// What was not bought counts against no day; what may have been, does.
    @Test(arguments: [false, true]) func anAttemptWithoutAPurchaseCountsAgainstNoDay(
        _ isOpened: Bool
    ) async throws {
        let database = try await TestDatabase.migrated()
        let account = try await self.owner(database)
        let order = try #require(try await database.decide(account, now: self.start))
        if isOpened { _ = try await database.opened(order) }
        try await database.ledger.startNewGeneration()
        let machine = try await database.status(account).machine
        #expect(machine.state == .stopped(.restored) && machine.spent.cents == (isOpened ? 999 : 0))
    }
}

/// Metadata of what was logged as an error.
private final class LogLines: LogHandler {
    private let lines = Mutex<[Logger.Metadata]>([])

    var errors: [Logger.Metadata] { self.lines.withLock { $0 } }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .error }
        set {}
    }

    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) { self.lines.withLock { $0.append(event.metadata ?? [:]) } }
}
