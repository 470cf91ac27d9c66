import Logging
import Metering
import PostgresLedger
import Settlement

/// The settler of the product with its journal and a ledger, and no proxy: outcomes are recorded as fast as the journal
/// takes them, and then posted.
struct BacklogRun: Sendable {
    var databaseURL: String
    /// For a journal of its own.
    var journalDirectory: String
    /// Take turns.
    var accounts: [AccountID]
    var exchanges: Int

    struct Times: Sendable {
        var recorded: Duration
        var drained: Duration
    }

    /// What each exchange used and cost, by the card that is in force: two dollars for each that OpenAI takes.
    private static let usage = Usage(input: 1000, output: 500)
    static let chargeMillicredits: Int64 = 900
    private static let charge = Charge(
        amount: Millicredits(Self.chargeMillicredits), cost: PicoUSD(450_000_000))

    /// - Parameter tell: how many are recorded, and how many of them posted.
    func play(priceID: String, tell: @escaping @Sendable (Int, Int) -> Void) async throws -> Times {
        let logger = Logger(label: "tollgate-bench")
        let owner = Self.id()
        let pool = PostgresPool(try PostgresConfiguration(url: self.databaseURL), size: 1, logger: logger)
        defer { pool.shutDownAndWait() }
        let journal = try JournalStore(root: self.journalDirectory, boot: owner, logger: logger)
        let settler = Settler(
            ledger: PostgresLedger(pool: pool, logger: logger), journal: journal, logger: logger)
        let clock = ContinuousClock()
        let recorded = try await clock.measure {
            for number in 0..<self.exchanges {
                try await self.record(self.settlement(number, owner, priceID), settler)
                if number % 10_000 == 0 { tell(number, 0) }
            }
        }
        let drained = await clock.measure { await self.drain(settler, tell) }
        await withCheckedContinuation { continuation in journal.stop { continuation.resume() } }
        return Times(recorded: recorded, drained: drained)
    }

    private func drain(_ settler: Settler, _ tell: @escaping @Sendable (Int, Int) -> Void) async {
        settler.drain()
        await withTaskGroup { group in
            group.addTask { await settler.run(telling: NoHoldStore()) }
            group.addTask {
                while !Task.isCancelled {
                    tell(self.exchanges, self.exchanges - settler.backlog)
                    try? await Task.sleep(for: .milliseconds(200))
                }
            }
            // The teller never ends by itself.
            await group.next()
            group.cancelAll()
        }
    }

    /// - Throws: `NoRoom` when the journal takes no more.
    private func record(_ settlement: Settlement, _ settler: Settler) async throws {
        let end = ContinuousClock.now + Self.patience
        // The journal prepares its segments beside this.
        while !settler.reserve() {
            guard ContinuousClock.now < end else { throw NoRoom() }
            try await Task.sleep(for: .milliseconds(1))
        }
        // What a recovery would settle, if this program died now.
        var opening = settlement
        (opening.kind, opening.authority, opening.estimatedBecause) = (.orphan, .recovery, .proxyDied)
        guard settler.opened(opening) else {
            settler.giveBackReservation()
            throw NoRoom()
        }
        _ = settler.record(settlement) {}
    }

    private struct NoRoom: Error, CustomStringConvertible {
        var description: String { "the journal has no room for more outcomes: is its disk full?" }
    }

    private static let patience = Duration.seconds(30)

    private func settlement(_ number: Int, _ owner: BootID, _ priceID: String) -> Settlement {
        let hold = Self.id()
        return Settlement(
            account: self.accounts[number % self.accounts.count], hold: hold, owner: owner, kind: .final,
            authority: .owner, endpoint: .chat, modelRequested: "gpt-4o-mini",
            modelServed: "gpt-4o-mini-2024-07-18", servedTier: "default", priceID: priceID, usage: Self.usage,
            charge: Self.charge, upstreamRequestID: "req_\(hold)",
            occurredAtMilliseconds: Int64(hold.millisecondsSinceEpoch))
    }

    private static func id() -> HoldID {
        HoldID(
            millisecondsSinceEpoch: UInt64(JournalStore.wallClock()), randomA: .random(in: 0...UInt16.max),
            randomB: .random(in: 0...UInt64.max))
    }
}

/// Nothing was held, so there is nobody to tell.
private struct NoHoldStore: HoldPosting {
    func posted(_ postings: [PostedAccount]) async throws {}
    func gateChanged(_ gates: [AccountGate]) async throws {}
}
