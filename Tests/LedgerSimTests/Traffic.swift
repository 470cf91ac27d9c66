import Foundation
import LedgerSim
import Metering

/// Random outcomes that meet each other: few accounts, few open holds, every authority, and some poison.
struct Traffic {
    static let accounts = 6
    let seed: UInt64
    var known: [AccountID] = []
    private var random: SimRandom
    private var holds: [(account: AccountID, hold: HoldID)] = []
    private var sent: [Settlement] = []
    private var grants: [LedgerModel.Grant] = []
    private let owner: BootID

    init(seed: UInt64) {
        self.seed = seed
        self.random = SimRandom(seed: seed)
        self.owner = HoldID(
            millisecondsSinceEpoch: Self.now(), randomA: 1, randomB: self.random.next())
    }

    static func now() -> UInt64 { UInt64(Date().timeIntervalSince1970 * 1000) }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.random) < percent }

    mutating func batch() -> [Settlement] {
        let size = [1, 1, 2, 3, 5, 8, 13, 30].randomElement(using: &self.random) ?? 1
        var batch: [Settlement] = []
        for _ in 0..<size { batch.append(self.outcome()) }
        self.sent = (self.sent + batch).suffix(200)
        return batch
    }

    private mutating func outcome() -> Settlement {
        if self.chance(20), let again = self.sent.randomElement(using: &self.random) { return again }
        if self.chance(2) { return self.poison() }
        let (account, hold) = self.someHold()
        let authority =
            [Settlement.Authority.reaper, .recovery, .owner, .owner]
            .randomElement(using: &self.random) ?? .owner
        let amount = self.chance(25) ? 0 : Int64.random(in: 0...3, using: &self.random)
        let characters = self.chance(30) ? Int64.random(in: 1...3, using: &self.random) : 0
        return self.settlement(account, hold, authority, amount, characters: characters)
    }

    private mutating func someHold() -> (AccountID, HoldID) {
        if self.chance(55) || self.holds.isEmpty {
            let account = self.known.randomElement(using: &self.random) ?? 0
            self.holds.append((account, self.freshHold(at: Self.now())))
            if self.holds.count > 40 { self.holds.removeFirst() }
            return self.holds[self.holds.count - 1]
        }
        return self.holds.randomElement(using: &self.random) ?? self.holds[0]
    }

    private mutating func freshHold(at milliseconds: UInt64) -> HoldID {
        HoldID(millisecondsSinceEpoch: milliseconds, randomA: 0, randomB: self.random.next())
    }

    private mutating func poison() -> Settlement {
        let day: UInt64 = 86_400_000
        let (account, hold) = self.someHold()
        let fresh = self.freshHold(at: Self.now())
        switch Int.random(in: 0..<7, using: &self.random) {
        case 0: return self.settlement(999_999, fresh, .owner, 5)
        case 1: return self.settlement(account, self.freshHold(at: Self.now() - 36 * day), .owner, 5)
        case 2: return self.settlement(account, self.freshHold(at: Self.now() + 2 * day), .owner, 5)
        case 3: return self.settlement(account, hold, .recovery, 2_000_000_000_000)
        case 4: return self.settlement(account, hold, .owner, 5, output: -50)
        case 5: return self.settlement(account, hold, .owner, 5, characters: -5)
        default: return self.settlement(account, fresh, .owner, 5, output: -50)
        }
    }

    private func settlement(
        _ account: AccountID, _ hold: HoldID, _ authority: Settlement.Authority, _ amount: Int64,
        output: Int64 = 3, characters: Int64 = 0
    ) -> Settlement {
        var usage = Usage(input: 2, output: output)
        usage.characters = characters
        return Settlement(
            account: account, hold: hold, owner: self.owner, kind: authority == .owner ? .final : .orphan,
            authority: authority, endpoint: .chat, modelRequested: "gpt-4o-mini",
            priceID: "openai@2026-11-12/gpt-4o-mini", usage: usage,
            charge: Charge(amount: Millicredits(amount), cost: .zero),
            estimatedBecause: authority == .owner ? nil : .proxyDied,
            occurredAtMilliseconds: Int64(hold.millisecondsSinceEpoch))
    }

    mutating func grant() -> LedgerModel.Grant {
        if self.chance(40), var again = self.grants.randomElement(using: &self.random) {
            if self.chance(30) {
                again.amount = Millicredits(again.amount.value == 1 ? 2 : again.amount.value - 1)
            }
            return again
        }
        let nobody = self.chance(5)
        let grant = LedgerModel.Grant(
            account: nobody ? 999_999 : self.known.randomElement(using: &self.random) ?? 0,
            amount: self.chance(3)
                ? Millicredits(Millicredits.magnitudeMax)
                : Millicredits(Int64.random(in: 1...100, using: &self.random)),
            sourceRef: "g\(self.random.next())")
        self.grants.append(grant)
        return grant
    }
}
