import Logging
import Metering
import MoneyPath
import NIOCore
import NIOPosix
import Testing

@testable import RedisHolds

/// A session on a real Redis, with a ledger in memory, and a relay in between when faults are wanted.
struct SessionRig {
    let server: TestRedis
    let relay: FaultRelay?
    let ledger = FakeLedger()
    let sink = RecordingSink()
    let holds: RedisHolds
    let session: RedisHoldSession
    /// Straight to Redis, past the relay.
    let client: ScriptClient
    let account = freshAccount()

    init(
        server: TestRedis = .shared, faults: Bool = false,
        _ adjust: (inout RedisHoldSettings) -> Void = { _ in }
    ) async throws {
        var settings = RedisHoldSettings()
        settings.upkeepEvery = .milliseconds(20)
        // Tests run beside compilers: a deadline must mean a fault, never a slow machine.
        settings.session.placeDeadline = .seconds(10)
        settings.session.ledgerDeadline = .seconds(20)
        adjust(&settings)
        self.server = server
        self.relay = faults ? try await FaultRelay(to: server.port) : nil
        self.holds = try RedisHolds(
            url: self.relay.map { server.url(port: $0.port) } ?? server.url, boot: bootA,
            accounts: self.ledger, sink: self.sink,
            group: ScriptClient.group, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            settings: settings)
        self.holds.live([bootA])
        self.session = try await self.holds.makeSession(on: ScriptClient.group.next())
        self.client = try await ScriptClient(server.url, tls: settings.tls)
        let session = self.session
        try await eventually("the session admits") {
            await session.onLoop { $0.link.isReady && $0.machine.isAdmitting }
        }
        let poster = self.holds.poster
        try await eventually("the poster connects") { (try? await poster.posted([])) != nil }
    }

    func request(
        _ want: Int64, least: Int64? = nil, hold: HoldID = freshHold(), account: AccountID? = nil,
        caps: SpendCaps = .none
    ) -> PlaceRequest {
        PlaceRequest(
            account: account ?? self.account, hold: hold, want: Millicredits(want),
            least: Millicredits(least ?? want), inputEstimate: Millicredits(3),
            priceID: "openai@1/gpt-4o|mini",
            endpoint: .chat, caps: caps)
    }

    func place(_ request: PlaceRequest) async -> PlaceAnswer { await self.start(request).answer() }

    /// Sends PLACE now; the answer can be waited for later.
    func start(_ request: PlaceRequest) async -> PendingAnswer {
        let (session, promise) = (self.session, self.session.loop.makePromise(of: PlaceAnswer.self))
        _ = try? await session.loop.submit { session.place(request) { promise.succeed($0) } }.get()
        return PendingAnswer(future: promise.futureResult)
    }

    func settlement(_ hold: HoldID, _ amount: Int64) -> Settlement {
        Settlement(
            account: self.account, hold: hold, owner: bootA, kind: .final, authority: .owner, endpoint: .chat,
            modelRequested: "gpt-4o|mini", priceID: "openai@1/gpt-4o|mini", usage: Usage(input: 1, output: 2),
            charge: Charge(amount: Millicredits(amount), cost: .zero), occurredAtMilliseconds: 1)
    }

    func capture(_ hold: HoldID, _ amount: Int64) async {
        let settlement = self.settlement(hold, amount)
        await self.session.onLoop { $0.capture(settlement) }
    }

    func release(_ hold: HoldID) async {
        let account = self.account
        await self.session.onLoop { $0.release(hold, of: account, isRecorded: true) }
    }

    /// Waits until the session has nothing left to do but what is held.
    func settled() async throws {
        let session = self.session
        try await eventually("every end is acknowledged") {
            await session.onLoop { session in
                session.link.isReady
                    && session.machine.live.values.allSatisfy { $0.track.phase == .held && !$0.mustRaise }
                    && session.link.unanswered == 0
            }
        }
    }

    /// After a loss of data: everything is back, and admission open again.
    func recovered() async throws {
        let session = self.session
        try await eventually("the epoch gate opens") {
            await session.onLoop { $0.link.isReady && $0.machine.isAdmitting }
        }
    }

    /// Changes times while the session runs: a test warms its account first, however slow the machine is.
    func adjust(_ change: @escaping @Sendable (inout HoldSessionSettings) -> Void) async {
        await self.session.onLoop { change(&$0.machine.settings) }
    }

    /// Loads the account.
    func placeAndRelease() async throws {
        let hold = freshHold()
        guard case .granted = await self.place(self.request(1, hold: hold)) else {
            throw NeverCame(what: "a grant")
        }
        await self.release(hold)
        try await self.settled()
    }

    /// Cuts the connections through the relay; returns when the session knows.
    func cut() async throws {
        let (relay, counters) = (try #require(self.relay), self.holds.counters)
        let lost = counters.connectionsLost.now
        try await relay.cut()
        try await eventually("the loss is noticed") { counters.connectionsLost.now > lost }
    }

    /// As the settler does: again until it is acknowledged.
    func post(_ hold: HoldID, _ amount: Int64, version: Int64, balance: Int64) async throws {
        let balance = LedgerBalance(
            account: self.account, generation: 1, version: version, balance: Millicredits(balance))
        let posting = PostedAccount(
            balance: balance, settled: [SettledHold(hold: hold, amount: Millicredits(amount))])
        try await eventually("POSTED is acknowledged") {
            do {
                try await self.holds.poster.posted([posting])
                return true
            } catch { return false }
        }
    }

    func liveCount() async -> Int { await self.session.onLoop { $0.machine.live.count } }

    /// H, U, p in Redis; R1, R2, R4 checked.
    func sums(_ account: AccountID? = nil) async throws -> [Int64?] {
        let audit = try await self.client.audit(account ?? self.account)
        #expect(audit.problems == [])
        return [audit.held, audit.captured, audit.balance?.balance.value]
    }

    func close() async {
        await self.holds.shutdown()
        await self.client.close()
        await self.relay?.stop()
    }
}

struct PendingAnswer: Sendable {
    let future: EventLoopFuture<PlaceAnswer>
    func answer() async -> PlaceAnswer { (try? await self.future.get()) ?? .unavailable(.storeRefused) }
}

extension RedisHoldSession {
    func onLoop<Value: Sendable>(_ body: @escaping @Sendable (RedisHoldSession) -> Value) async -> Value {
        // The session's loop lives as long as the test process.
        try! await self.loop.submit { body(self) }.get()
    }
}

struct NeverCame: Error { let what: String }

/// Waits for something that another thread brings about; fails after 20 s.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let clock = ContinuousClock()
    let end = clock.now + .seconds(20)
    while clock.now < end {
        if try await condition() { return }
        try await clock.sleep(for: .milliseconds(2))
    }
    throw NeverCame(what: what)
}
