import Metering
import MoneyPath

@testable import RedisHolds

let bootB = HoldID(high: 0x0193_0000_0000_7000, low: 0x8000_0000_0000_000b)

/// Short words for the steps of one account; holds are numbered.
struct StepMaker: Sendable {
    var account = freshAccount()
    var priceID = "openai@1/gpt|4o|mini"

    func hold(_ number: UInt64) -> HoldID {
        HoldID(millisecondsSinceEpoch: 1_763_900_000_000, randomA: 9, randomB: number)
    }

    private func step(_ command: HoldCommand) -> StoreStep { StoreStep(act: .command(command)) }

    // MARK: Holds

    func request(
        _ number: UInt64, _ want: Int64, least: Int64? = nil, caps: SpendCaps = .none,
        limits: PlaceLimits = .none, isWaived: Bool = false
    ) -> PlaceRequest {
        PlaceRequest(
            account: self.account, hold: self.hold(number), want: Millicredits(want),
            least: Millicredits(least ?? want), inputEstimate: Millicredits(isWaived ? 0 : 5),
            priceID: self.priceID,
            endpoint: .chat, caps: caps, limits: limits, isWaived: isWaived)
    }

    func place(
        _ number: UInt64, _ want: Int64, least: Int64? = nil, caps: SpendCaps = .none,
        limits: PlaceLimits = .none, isWaived: Bool = false
    ) -> StoreStep {
        self.step(
            .place(
                self.request(number, want, least: least, caps: caps, limits: limits, isWaived: isWaived)))
    }

    /// PLACE of 10 by a key, under limits of requests and tokens per minute and streams.
    func place(
        _ number: UInt64, key: Int64 = 7, tokens: Int64 = 0, of limits: RequestLimits = .none,
        account: RequestLimits = .none
    ) -> StoreStep {
        self.place(
            number, 10,
            limits: PlaceLimits(keyID: key, key: limits, account: account, tokens: tokens))
    }

    func reassert(
        _ number: UInt64, _ amount: Int64, progress: Int64? = nil, limits: PlaceLimits = .none,
        isWaived: Bool = false
    ) -> StoreStep {
        self.step(
            .reassert(
                self.request(number, amount, limits: limits, isWaived: isWaived),
                amount: Millicredits(amount),
                progress: progress.map { Millicredits($0) }))
    }

    func touch(_ number: UInt64, _ total: Int64, progress: Int64? = nil) -> StoreStep {
        self.step(
            .touch(
                self.hold(number), of: self.account, held: Millicredits(total),
                progress: progress.map { Millicredits($0) }))
    }

    func extend(_ number: UInt64, _ total: Int64, progress: Int64? = nil, caps: SpendCaps) -> StoreStep {
        StoreStep(
            act: .extend(
                self.hold(number), of: self.account, total: Millicredits(total),
                progress: progress.map { Millicredits($0) }, caps))
    }

    func capture(
        _ number: UInt64, _ amount: Int64, force: Bool = false, authority: Settlement.Authority = .owner
    ) -> StoreStep {
        let settlement = Settlement(
            account: self.account, hold: self.hold(number), owner: bootA, kind: .final, authority: authority,
            endpoint: .chat, modelRequested: "gpt|4o|mini", priceID: self.priceID,
            usage: Usage(input: 1, output: 2), charge: Charge(amount: Millicredits(amount), cost: .zero),
            occurredAtMilliseconds: 1)
        return self.step(.capture(settlement, force: force))
    }

    func captureWaived(
        _ number: UInt64, shadow: Int64, force: Bool = false, authority: Settlement.Authority = .owner
    ) -> StoreStep {
        // With a rare part and a kept response the shadow stands at another place of the payload.
        var usage = Usage(input: 1, output: 2)
        if number % 2 == 1 { usage.inputMilliseconds = 7 }
        let settlement = Settlement(
            account: self.account, hold: self.hold(number), owner: bootA, kind: .waived, authority: authority,
            endpoint: .chat, modelRequested: "gpt|4o|mini", priceID: self.priceID,
            usage: usage, charge: .zero, shadow: Millicredits(shadow),
            occurredAtMilliseconds: 1)
        return self.step(.capture(settlement, force: force))
    }

    func release(_ number: UInt64) -> StoreStep { self.step(.release(self.hold(number), of: self.account)) }

    func reap(_ number: UInt64, of dead: BootID = bootA, after reaper: BootID? = nil) -> StoreStep {
        StoreStep(act: .reap(self.hold(number), of: self.account, dead: HoldOwner(dead, reaper: reaper))).by(
            bootB)
    }

    // MARK: Ledger

    typealias Settled = (number: UInt64, amount: Int64)

    private func reading(_ version: Int64, _ balance: Int64, generation: Int64) -> LedgerBalance {
        LedgerBalance(
            account: self.account, generation: generation, version: version, balance: Millicredits(balance))
    }

    private func settled(
        _ holds: [Settled], counted: Int64? = nil, authority: Settlement.Authority
    ) -> [SettledHold] {
        holds.map {
            SettledHold(
                hold: self.hold($0.number), amount: Millicredits($0.amount),
                counted: counted.map { Millicredits($0) }, authority: authority)
        }
    }

    func posted(
        _ version: Int64, _ balance: Int64, generation: Int64 = 1, _ holds: Settled..., counted: Int64? = nil,
        authority: Settlement.Authority = .owner
    ) -> StoreStep {
        self.posted(
            version, balance, generation: generation, holds: holds, counted: counted, authority: authority)
    }

    /// - Parameter counted: what caps count of each; nil: its amount.
    func posted(
        _ version: Int64, _ balance: Int64, generation: Int64 = 1, holds: [Settled], counted: Int64?,
        authority: Settlement.Authority
    ) -> StoreStep {
        self.step(
            .posted(
                PostedAccount(
                    balance: self.reading(version, balance, generation: generation),
                    settled: self.settled(holds, counted: counted, authority: authority))))
    }

    private func gateReading(_ version: Int64, floor: Int64, blocked: Bool) -> AccountGate {
        AccountGate(
            account: self.account, version: version, floor: Millicredits(floor), blocked: blocked)
    }

    func gate(_ version: Int64, floor: Int64 = 0, blocked: Bool = false) -> StoreStep {
        self.step(.gate(self.gateReading(version, floor: floor, blocked: blocked)))
    }

    // MARK: Loading

    func load(_ nonce: String) -> StoreStep { self.step(.load(self.account, nonce: nonce)) }

    /// What the ledger reads for a cold load.
    struct Loaded {
        var incarnation = "n1"
        var epoch = "E"
        var generation: Int64 = 1
        var version: Int64 = 1
        var balance: Int64 = 1000
        var gate: Int64 = 1
        var floor: Int64 = 0
        var isBlocked = false
        var hour: Int64 = 0
        var day: Int64 = 0
        var settled: [Settled] = []
        var authority = Settlement.Authority.owner
    }

    func initialize(_ change: (inout Loaded) -> Void = { _ in }) -> StoreStep {
        var loaded = Loaded()
        change(&loaded)
        let snapshot = AccountSnapshot(
            balance: self.reading(loaded.version, loaded.balance, generation: loaded.generation),
            gate: self.gateReading(loaded.gate, floor: loaded.floor, blocked: loaded.isBlocked),
            spentLastHour: Millicredits(loaded.hour), spentToday: Millicredits(loaded.day),
            settled: self.settled(loaded.settled, authority: loaded.authority))
        return self.step(
            .initialize(self.account, incarnation: loaded.incarnation, epoch: loaded.epoch, snapshot))
    }

    /// Loaded, with a balance.
    func warm(_ change: (inout Loaded) -> Void = { _ in }) -> [StoreStep] {
        [self.load("n1"), self.initialize(change)]
    }

    func evict(idleSeconds: Int64 = 0) -> StoreStep {
        StoreStep(act: .evict(self.account, idleSeconds: idleSeconds))
    }
}
