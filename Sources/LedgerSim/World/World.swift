import Metering
import MoneyPath

/// One deterministic world: its time, its stores, its instances, and what is true in it.
///
/// Everything that decides is the product's own code (MoneyPath, Metering); what surrounds it, the network, Redis,
/// Postgres, disks, OpenAI and clients, is simulated here, driven by one seed.
final class World {
    let settings: SimSettings
    var random: SimRandom
    /// Nanoseconds; also the clocks of the stores.
    private(set) var time: Int64 = 1_000_000_000_000
    private var queue = EventQueue()
    private(set) var report: SimReport
    private(set) var failure: SimFailure?
    /// Faults happen; afterwards the network is kind.
    private(set) var isFaulty = true
    var store: SimStore
    let ledger: SimLedger
    var instances: [SimInstance] = []
    /// All that ever ran: they and their connections hold each other until the end.
    var processes: [SimProcess] = []
    var truth = Truth()
    private var bootsMade: UInt64 = 0
    /// Accounts that run dry all the time: whatever is admitted too much ends below zero.
    private(set) var isPoor = false
    /// Accounts that are not charged, as the flags say now; a process learns it within a second.
    private(set) var waived: Set<AccountID> = []
    private var hasFlags = false
    /// Spend caps of each account (A12).
    private(set) var caps: [AccountID: SpendCaps] = [:]
    /// Milliseconds since 1970 at time zero.
    private var epochMilliseconds: Int64 = 1_767_225_600_000
    private(set) var leaptAt: Int64 = 0

    init(_ settings: SimSettings) {
        self.settings = settings
        self.random = SimRandom(seed: settings.seed)
        self.report = SimReport(seed: settings.seed)
        self.store = SimStore(guards: Set(StoreGuard.allCases).subtracting(settings.without.store))
        self.ledger = SimLedger(without: settings.without.ledger)
        self.ledger.world = self
        self.store.world = self
    }

    // MARK: Time

    var nowMilliseconds: Int64 { self.epochMilliseconds + self.time / 1_000_000 }
    var steadyMilliseconds: Int64 { self.time / 1_000_000 }

    /// The clocks of store and ledger, and of all hosts, go on by minutes while nothing happens: spend windows move, and
    /// leases are over. Less than fences are kept for, and not often, so none is forgotten that is still needed.
    func leap() {
        guard self.time - self.leaptAt > Self.leapsApart.nanoseconds else { return }
        self.count(.clockLeapt)
        self.leaptAt = self.time
        self.epochMilliseconds += self.random.between(120_000, 840_000)
    }

    /// Somebody changes whom the flags charge; false: in this world nobody does.
    func changeFlags() -> Bool {
        guard self.hasFlags else { return false }
        self.count(.flagChanged)
        self.waived = self.someAccounts()
        for instance in self.instances {
            guard let process = instance.process else { continue }
            process.after(.milliseconds(self.random.between(0, 1_000))) { process.waived = self.waived }
        }
        return true
    }

    /// Nobody, everybody, or some.
    private func someAccounts() -> Set<AccountID> {
        let all = (1...SimSettings.accounts).map { AccountID($0) }
        switch self.random.below(4) {
        case 0: return []
        case 1: return Set(all)
        default: return Set(all.filter { _ in self.random.oneIn(2) })
        }
    }

    private static let leapsApart = Span.seconds(8)

    func after(_ span: Span, _ run: @escaping () -> Void) {
        self.queue.add(at: self.time + max(0, span.nanoseconds), run)
    }

    func makeID() -> HoldID {
        HoldID(
            millisecondsSinceEpoch: UInt64(self.nowMilliseconds),
            randomA: UInt16(truncatingIfNeeded: self.random.next()), randomB: self.random.next())
    }

    func has(_ guarded: SimGuard) -> Bool { !self.settings.without.world.contains(guarded) }

    // MARK: Telling

    func count(_ fault: Fault, of instance: SimInstance? = nil) {
        self.report.faults[fault, default: 0] += 1
        guard self.settings.traced != nil, fault.isOfTheWorld else { return }
        self.tell(nil, "*** \(fault.rawValue)" + (instance.map { " (instance \($0.number))" } ?? ""))
    }

    func fail(_ rule: String, hold: HoldID? = nil, account: AccountID? = nil) {
        guard self.failure == nil else { return }
        self.failure = SimFailure(
            rule: rule, hold: hold, account: account,
            atMilliseconds: (self.time - 1_000_000_000_000) / 1_000_000)
    }

    /// A line of the story, when it is about the hold that is traced.
    @inline(__always)
    func tell(_ hold: HoldID?, _ line: @autoclosure () -> String) {
        guard let traced = self.settings.traced, hold == nil || hold == traced else { return }
        let milliseconds = (self.time - 1_000_000_000_000) / 1_000_000
        self.report.story.append("\(milliseconds) ms  \(line())")
    }

    // MARK: Running

    func run() -> SimReport {
        self.begin()
        self.runFaulty()
        if self.failure == nil { self.heal() }
        if self.failure == nil { self.probe() }
        if self.failure == nil { self.judge() }
        self.report.failure = self.failure
        self.report.exchanges = self.truth.exchanges.count
        self.report.granted = self.truth.exchanges.values.count { $0.granted != nil }
        self.report.settled = self.ledger.model.settledCount
        // What is still to happen holds the world, and the world holds it.
        self.queue = EventQueue()
        self.instances = []
        for process in self.processes { process.dismantle() }
        self.processes = []
        return self.report
    }

    private func begin() {
        self.isPoor = self.random.oneIn(3)
        let most: Int64 = self.isPoor ? 600 : 5_000
        for account in 1...SimSettings.accounts {
            self.ledger.open(AccountID(account), balance: self.random.between(most / 10, most))
        }
        if self.random.oneIn(2) { self.caps = SimSettings.caps }
        self.hasFlags = self.random.oneIn(2)
        if self.hasFlags { self.waived = self.someAccounts() }
        // It begins 2026-01-01, so that ids look like ids; or the day ends soon.
        if self.random.oneIn(4) { self.epochMilliseconds += 86_400_000 - self.time / 1_000_000 - 20_000 }
        let profile = self.settings.profile
        let count = self.random.between(Int64(profile.instancesLeast), Int64(profile.instancesMost))
        for number in 0..<Int(count) {
            let instance = SimInstance(number: number, world: self)
            self.instances.append(instance)
            instance.start()
        }
        self.scheduleFault()
        self.store.keepSnapshots()
        self.ledger.keepSnapshots()
    }

    private func runFaulty() {
        while self.report.steps < self.settings.steps, self.failure == nil {
            guard self.step() else { return }
        }
    }

    /// Runs the next event; false: there is none.
    private func step() -> Bool {
        guard let (at, run) = self.queue.popFirst() else { return false }
        self.time = at
        self.report.steps += 1
        run()
        return true
    }

    private func scheduleFault() {
        self.after(.milliseconds(self.random.between(50, 1_500))) {
            guard self.isFaulty else { return }
            self.causeFault()
            self.scheduleFault()
        }
    }

    // MARK: Rest

    /// Safety was watched; now liveness: everything is healed, and all that was begun has to end within a bound.
    private func heal() {
        self.isFaulty = false
        self.store.heal()
        self.ledger.heal()
        for instance in self.instances { instance.heal() }
        // What is noticed only by heartbeats and sweeps has to be noticed.
        let least = self.time + Self.restAfter.nanoseconds
        let end = self.time + Self.restWithin.nanoseconds
        while self.failure == nil, self.time < end {
            guard self.step() else { break }
            if self.time > least, self.report.steps % 64 == 0, self.isAtRest { break }
        }
        if self.failure == nil, !self.isAtRest {
            var node = self.store.node
            let left = node.accountIDs.map { node.listed($0) }
            let (open, captured) = (left.flatMap(\.holds), left.flatMap(\.captures))
            self.fail(
                "not at rest \(Self.restWithin.seconds) s after everything was healed: \(open.count) holds, "
                    + "\(captured.count) captures in the store",
                hold: open.first?.hold ?? captured.first?.hold)
        }
    }

    /// Whoever has money is served again, by every instance: nothing is left that keeps it, and no refresh that was lost
    /// turns a payer away (G4).
    private func probe() {
        var asked: [(instance: SimInstance, account: AccountID, hold: HoldID)] = []
        for instance in self.instances {
            for account in self.ledger.model.accounts.keys.sorted() {
                guard let hold = instance.process.startProbe(of: account) else {
                    return self.fail("the journal has no room after everything was healed", account: account)
                }
                asked.append((instance, account, hold))
            }
        }
        let end = self.time + Span.seconds(20).nanoseconds
        while self.time < end, !asked.allSatisfy({ self.truth.answered[$0.hold] != nil }), self.step() {}
        for (_, account, hold) in asked {
            let balance = self.ledger.model.accounts[account]?.balance ?? 0
            switch self.truth.answered[hold] {
            case .granted: break
            case .short where balance < Int64(asked.count) * 2 && !self.truth.isWaived(hold): break
            case .capReached(let cap, _, _) where self.mayBeReached(cap, of: account): break
            case let answer?:
                self.fail("an account with \(balance) got \(answer)", hold: hold, account: account)
            case nil: self.fail("a PLACE was never answered", hold: hold, account: account)
            }
        }
        let rest = self.time + Span.seconds(20).nanoseconds
        while self.failure == nil, self.time < rest, !self.isAtRest, self.step() {}
        if self.failure == nil, !self.isAtRest { self.fail("not at rest after the last exchanges") }
    }

    private static let restAfter = Span.seconds(30)
    private static let restWithin = Span.seconds(180)

    private var isAtRest: Bool {
        self.instances.allSatisfy(\.isAtRest) && self.store.isEmpty
    }
}
