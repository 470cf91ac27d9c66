import LedgerSim
import Metering
import MoneyPath

@testable import RedisHolds

/// Random steps on some accounts. It runs them on the model as it makes them, and looks there for what could still
/// be asked.
struct StepSource {
    let accounts: [AccountID]
    private(set) var node = StoreNode(name: "m")
    var random: SimRandom
    private var now = StoreStep.noon
    let clock: Clock
    private var players: [Player]
    /// What most senders believe.
    private(set) var epoch = 1
    private(set) var ledgerGeneration: Int64 = 1
    /// Laws that a step broke on the model.
    private(set) var broken: [(StoreStep, laws: [String])] = []

    enum Clock {
        /// Passes from step to step, by leaps.
        case simulated
        /// Redis' own, as far as `set` tells: leases are long, or long over.
        case real
    }

    struct Player {
        let maker: StepMaker
        /// Without a fence an account can be evicted.
        let raisesFences: Bool
        /// Holds are numbered from 1.
        var last: UInt64 = 0
        var version: Int64 = 1
        var gateVersion: Int64 = 1
        var loads = 0
    }

    init(accounts: [AccountID], seed: UInt64, clock: Clock = .simulated) {
        self.accounts = accounts
        self.clock = clock
        self.random = SimRandom(seed: seed)
        self.players = accounts.enumerated().map { index, account in
            Player(maker: StepMaker(account: account), raisesFences: index % 4 != 0)
        }
    }

    mutating func set(now milliseconds: Int64) { self.now = milliseconds }

    mutating func batch(of count: Int) -> (steps: [StoreStep], answers: [StoreAnswer]) {
        var steps: [StoreStep] = []
        var answers: [StoreAnswer] = []
        while steps.count < count {
            let index = self.random.below(self.players.count)
            var player = self.players[index]
            for step in self.next(&player) {
                steps.append(self.addressed(step, player))
                answers.append(steps[steps.count - 1].run(on: &self.node))
                self.check(steps[steps.count - 1], answers[answers.count - 1])
            }
            self.players[index] = player
        }
        return (steps, answers)
    }

    private mutating func check(_ step: StoreStep, _ answer: StoreAnswer) {
        guard let hash = self.node.accounts[step.account] else { return }
        var laws = hash.brokenLaws
        if case .command(.place(let request)) = step.act, answer.code == 0 {
            laws += hash.brokenLaws(ofGrant: request)
        }
        if !laws.isEmpty { self.broken.append((step, laws)) }
    }

    /// With the time at which it arrives and the fence that it carries.
    private mutating func addressed(_ step: StoreStep, _ player: Player) -> StoreStep {
        self.passTime()
        var step = step
        step.now = self.now
        let loop = ["A.0", "A.1", "B.0"][self.random.below(3)]
        let known = self.node.accounts[step.account]?.fences[loop]?.generation ?? 1
        // Now and then a command of an older connection, or the first of a newer one.
        let generation = max(0, known + self.pick([0, 0, 0, 0, 0, 0, -1, 1]))
        let raise = player.raisesFences && self.random.oneIn(30)
        step.fence = HoldFence(loop: loop, generation: generation, raise: raise)
        step.epoch = "E\(self.random.oneIn(16) ? self.epoch - 1 : self.epoch)"
        let leases: [Int64] = self.clock == .real ? [-100_000, 100_000] : [-5, 0, 1, 500, 30_000]
        step.lease = .milliseconds(self.pick(leases))
        if self.random.oneIn(6) { step.owner = step.owner == bootA ? bootB : bootA }
        return step
    }

    /// Mostly little; now and then a minute, an hour, a day; sometimes a step back.
    private mutating func passTime() {
        if self.random.oneIn(3000) { self.epoch += 1 }
        if self.random.oneIn(8000) { self.ledgerGeneration += 1 }
        guard self.clock == .simulated else { return }
        switch self.random.below(2000) {
        case 0: self.now += 90_000_000
        case 1...4: self.now += 3_700_000
        case 5...30: self.now += 61_000
        case 31...60: self.now -= 5
        case 61...64: self.now -= 120_000
        case 65...1000: self.now += self.random.between(0, 40)
        default: break
        }
    }

    func hash(_ player: Player) -> AccountHash { self.node.accounts[player.maker.account] ?? AccountHash() }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[self.random.below(values.count)] }

    mutating func amount() -> Int64 { self.random.oneIn(8) ? 0 : self.random.between(0, 500) }
}
