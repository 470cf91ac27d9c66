import Logging
import Metering
import MoneyPath
import Synchronization

/// The periodic pass over all accounts of the hold store (rules F2–F8): takes over what dead instances left, ends what
/// is ours and nobody knows, forgets idle accounts, and looks whether the sums are right.
public final class Sweeper: Sendable {
    public struct Settings: Sendable {
        /// From the end of one pass to the beginning of the next.
        public var every: Span = .seconds(20)
        /// Accounts that nobody used for so long are forgotten by the store.
        public var evictAfterSeconds: Int64 = 3600

        public init() {}
    }

    /// Everything around it.
    public struct Dependencies: Sendable {
        public var holds: any HoldSweeping
        public var posting: any HoldPosting
        public var accounts: any AccountReading
        public var ledger: any LedgerSweeping
        public var settler: Settler
        public var life: InstanceLife
        public var journals: JournalKeeper

        public init(
            holds: any HoldSweeping, posting: any HoldPosting, accounts: any AccountReading,
            ledger: any LedgerSweeping, settler: Settler, life: InstanceLife, journals: JournalKeeper
        ) {
            self.holds = holds
            self.posting = posting
            self.accounts = accounts
            self.ledger = ledger
            self.settler = settler
            self.life = life
            self.journals = journals
        }
    }

    private let me: BootID
    private let decide: Sweep
    private let parts: Dependencies
    private let settings: Settings
    private let logger: Logger
    private let said = Mutex<[HoldID: Moment]>([:])
    private let cooled = Mutex<[AccountID: Moment]>([:])
    let counters = SweepCounters()

    public init(me: BootID, _ parts: Dependencies, settings: Settings = Settings(), logger: Logger) {
        self.me = me
        self.decide = Sweep(me: me)
        self.parts = parts
        self.settings = settings
        self.logger = logger
    }

    /// Sweeps until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(nanoseconds: UInt64(self.settings.every.nanoseconds))
            guard !Task.isCancelled else { return }
            do {
                try await self.pass()
            } catch {
                // The next pass judges anew.
                self.logger.warning("sweep not finished", metadata: ["error": "\(error)"])
            }
        }
    }

    /// One pass. Throws when a store could not be asked; what was done stays done.
    public func pass() async throws {
        try await self.voidUnopened()
        var figures = SweepFigures()
        var cursor: String?
        repeat {
            let page = try await self.parts.holds.accounts(from: cursor)
            try await self.compare(page.accounts, &figures)
            let known = await self.known(in: page.accounts)
            for account in page.accounts {
                guard !Task.isCancelled else { return }
                await self.sweepAlone(account, known, &figures)
            }
            cursor = page.next
        } while cursor != nil
        self.forgetOld()
        self.counters.finished(figures)
    }

    /// What is wrong with one account must not keep the others from being swept.
    private func sweepAlone(
        _ account: StoredAccount, _ known: Set<HoldID>, _ figures: inout SweepFigures
    ) async {
        do {
            try await self.sweep(account, known, &figures)
        } catch {
            figures.failed += 1
            self.logger.warning(
                "an account could not be swept",
                metadata: ["account": "\(account.account)", "error": "\(error)"])
        }
    }

    /// Holds of these accounts that something here will end.
    private func known(in accounts: [StoredAccount]) async -> Set<HoldID> {
        await self.known(among: accounts.flatMap { $0.holds.map(\.hold) + $0.captures.map(\.hold) })
    }

    private func known(among ids: [HoldID]) async -> Set<HoldID> {
        guard !ids.isEmpty else { return [] }
        // Read after the accounts were listed: an exchange is in its table before its PLACE is sent (F7). And in the
        // order in which an outcome goes, from its table to the settler.
        let running = await self.parts.holds.known(among: ids)
        return running.union(self.parts.settler.unfinished(among: Set(ids)))
    }

    private func sweep(
        _ account: StoredAccount, _ known: Set<HoldID>, _ figures: inout SweepFigures
    ) async throws {
        figures.add(account)
        // Not at every pass: beside an instance of a release that counts otherwise, they would be wrong again at once.
        if account.hasWrongSums, self.isDue(account.account), try await self.parts.holds.cool(account.account)
        {
            self.logger.warning(
                "sums of the hold store are wrong: the account is loaded again",
                metadata: ["account": "\(account.account)", "problems": "\(account.problems)"])
        }
        if account.holds.isEmpty, account.captures.isEmpty {
            let idle = self.settings.evictAfterSeconds
            if try await self.parts.holds.evict(account.account, idleSeconds: idle) { figures.evicted += 1 }
            return
        }
        let steps = self.decide.steps(
            for: account, known: known.contains, owner: self.owner, opened: self.parts.journals.isOpened)
        for step in steps { try await self.perform(step, account, &figures) }
    }

    // MARK: What was said already

    /// Whether an account may be made cold: once in ten minutes.
    private func isDue(_ account: AccountID) -> Bool {
        self.cooled.withLock { cooled in
            if let at = cooled[account], Moment.now - at < Self.sayAgainAfter { return false }
            cooled[account] = .now
            return true
        }
    }

    /// An outcome that the ledger keeps for a person (quarantine, conflict) leaves its entry in the store: it is not said
    /// again at every pass.
    private func record(_ settlement: Settlement, _ figures: inout SweepFigures) {
        let isNews = self.said.withLock { said in
            if let at = said[settlement.hold], Moment.now - at < Self.sayAgainAfter { return false }
            guard said.count < Self.saidMax else { return true }
            said[settlement.hold] = .now
            return true
        }
        guard isNews else { return }
        figures.recorded += 1
        self.log("sweep settles what its owner left", settlement.hold, settlement.account)
        self.parts.settler.adopt(settlement)
    }

    private func forgetOld() {
        self.said.withLock { said in said = said.filter { Moment.now - $0.value < Self.sayAgainAfter } }
        self.cooled.withLock { cooled in
            cooled = cooled.filter { Moment.now - $0.value < Self.sayAgainAfter }
        }
    }

    private static let sayAgainAfter = Span.seconds(600)
    private static let saidMax = 100_000

    private func owner(_ boot: BootID) -> Sweep.Owner {
        if boot == self.me { return .me }
        if self.parts.journals.isRecovered(boot) { return .recovered }
        return self.parts.life.isDead(boot) ? .dead : .live
    }

    private func perform(
        _ step: Sweep.Step, _ account: StoredAccount, _ figures: inout SweepFigures
    ) async throws {
        switch step {
        case .record(let settlement):
            self.record(settlement, &figures)
        case .reap(let hold, let dead):
            let reaped = try await self.parts.holds.reap(hold, of: account.account, from: dead)
            if reaped != nil { figures.reaped += 1 }
            for step in self.decide.reaped(reaped, of: account.account) {
                try await self.perform(step, account, &figures)
            }
        case .lookUp(let holds): try await self.lookUp(holds, account, &figures)
        case .release(let hold, let owner):
            guard let stored = account.holds.first(where: { $0.hold == hold }) else { return }
            figures.released += 1
            self.log("sweep gives back a hold that nobody knows", hold, account.account)
            let takenOver = try await self.parts.holds.release(hold, of: account.account, owner: owner)
            for step in self.decide.released(stored, of: account.account, takenOver: takenOver) {
                try await self.perform(step, account, &figures)
            }
        case .posted: preconditionFailure("lookUp() handles what it brings about")
        case .unreadable(let hold):
            figures.unreadable += 1
            self.logger.error(
                "a capture in the hold store cannot be read",
                metadata: ["hold": "\(hold)", "account": "\(account.account)"])
        }
    }

    private func lookUp(
        _ holds: [HoldID], _ account: StoredAccount, _ figures: inout SweepFigures
    ) async throws {
        let snapshot = try await self.snapshot(of: account.account, among: holds)
        let steps = self.decide.read(
            holds, settled: snapshot.settled, in: account, opened: self.parts.journals.isOpened)
        for step in steps {
            guard case .posted(let settled) = step else {
                try await self.perform(step, account, &figures)
                continue
            }
            try await self.parts.posting.posted([PostedAccount(balance: snapshot.balance, settled: settled)])
        }
    }

    private func snapshot(of account: AccountID, among holds: [HoldID]) async throws -> AccountSnapshot {
        try await withCheckedThrowingContinuation { continuation in
            self.parts.accounts.snapshot(of: account, among: holds) { continuation.resume(with: $0) }
        }
    }

    /// Rule F8: whoever has the journal of a dead boot knows which of its requests were never sent.
    private func voidUnopened() async throws {
        try await self.voidOwnUnopened()
        let boots = self.parts.journals.reviewable
        guard !boots.isEmpty else { return }
        // There are few estimates and many OPENs: the journals are asked last, and only for those.
        let estimates = try await self.parts.ledger.voids(of: boots, notIn: [])
        for void in await self.parts.journals.unopened(estimates) {
            self.log("a reaper's estimate is taken back: the request was never sent", void.hold, void.account)
            self.parts.settler.adopt(void)
        }
    }

    /// A reaper may have charged a hold of ours that had ended free, while this process was stopped: the store had lost
    /// that it was given back. Whatever went upstream has its outcome here, or in the ledger.
    private func voidOwnUnopened() async throws {
        guard !self.parts.settler.hasLostOutcomes else { return }
        let standing = Set(try await self.parts.ledger.voids(of: [self.me], notIn: []).map(\.hold))
        guard !standing.isEmpty else { return }
        let known = await self.known(among: Array(standing))
        let unknown = standing.subtracting(known)
        guard !unknown.isEmpty else { return }
        // Read again behind that look: an outcome that was posted before it has corrected its estimate.
        for void in try await self.parts.ledger.voids(of: [self.me], notIn: known)
        where unknown.contains(void.hold) {
            self.log(
                "a reaper's estimate for a hold that had ended free is taken back", void.hold, void.account)
            self.parts.settler.adopt(void)
        }
    }

    /// R3: the store's balance is the ledger's at that version, or an older one.
    private func compare(_ accounts: [StoredAccount], _ figures: inout SweepFigures) async throws {
        let known = try await self.parts.ledger.balances(of: accounts.map(\.account))
        let ledger = Dictionary(known.map { ($0.account, $0) }, uniquingKeysWith: { first, _ in first })
        for account in accounts {
            guard let stored = account.balance, let truth = ledger[account.account],
                stored.generation == truth.generation, stored.version == truth.version
            else { continue }
            let mismatch = stored.balance.value - truth.balance.value
            guard mismatch != 0 else { continue }
            figures.mismatch += abs(mismatch)
            self.logger.error(
                "hold store and ledger disagree about a balance",
                metadata: ["account": "\(account.account)", "millicredits": "\(mismatch)"])
        }
    }

    private func log(_ message: Logger.Message, _ hold: HoldID, _ account: AccountID) {
        self.logger.notice(message, metadata: ["hold": "\(hold)", "account": "\(account)"])
    }
}
