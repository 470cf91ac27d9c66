import LedgerSim
import Metering
import MoneyPath

@testable import RedisHolds

/// What may come next to an account.
extension StepSource {
    mutating func next(_ player: inout Player) -> [StoreStep] {
        if self.hash(player).epoch != "E\(self.epoch)", self.random.oneIn(3) {
            return [self.load(&player), self.initialize(&player)]
        }
        switch self.random.below(100) {
        case 0..<30: return [self.place(&player)]
        case 30..<46: return [self.capture(&player)]
        case 46..<54: return [player.maker.release(self.old(&player))]
        case 54..<66: return [self.extend(&player)]
        case 66..<72: return [self.reassert(&player)]
        case 72..<84: return [self.posted(&player, isEverything: false)]
        case 84..<87: return [self.gate(&player)]
        case 87..<89: return [self.load(&player)]
        case 89..<93: return [self.initialize(&player)]
        case 93..<98:
            return [
                player.maker.reap(
                    self.old(&player), of: self.random.oneIn(3) ? bootB : bootA,
                    after: self.random.oneIn(3) ? bootB : nil)
            ]
        case 98: return [player.maker.evict(idleSeconds: self.pick([0, 10, 4000]))]
        default: return self.forgetting(&player)
        }
    }

    /// Everything ends, the account goes, and a hold of a process that did not notice comes back.
    private mutating func forgetting(_ player: inout Player) -> [StoreStep] {
        let everything = self.posted(&player, isEverything: true)
        let evict = player.maker.evict(idleSeconds: self.pick([0, 10, 4000]))
        let number = self.fresh(&player)
        return [everything, evict, player.maker.reassert(number, 50), player.maker.touch(number, 90)]
    }

    private func fresh(_ player: inout Player) -> UInt64 {
        player.last += 1
        return player.last
    }

    /// A number that was used before, one of an open hold more often than not.
    private mutating func old(_ player: inout Player) -> UInt64 {
        guard player.last > 0 else { return self.fresh(&player) }
        let open = self.hash(player).holds
        if !open.isEmpty, self.random.oneIn(2) { return Self.number(self.pick(open.keys.sorted())) }
        return player.last - UInt64(self.random.below(Int(min(30, player.last))))
    }

    private static func number(_ hold: HoldID) -> UInt64 { hold.low & 0x3fff_ffff_ffff_ffff }

    // MARK: Holds

    private mutating func caps() -> SpendCaps {
        var caps = SpendCaps()
        if self.random.oneIn(6) { caps.request = Millicredits(self.random.between(0, 900)) }
        if self.random.oneIn(4) { caps.session = Millicredits(self.random.between(0, 20_000)) }
        if self.random.oneIn(4) { caps.day = Millicredits(self.random.between(0, 60_000)) }
        return caps
    }

    /// Small enough to be reached, and now and then larger than any use of them.
    private mutating func limits() -> PlaceLimits {
        guard self.random.oneIn(2) else { return .none }
        func one(_ most: Int64) -> Int64? { self.random.oneIn(2) ? nil : self.random.between(1, most) }
        if self.clock == .real {
            // How much drains between two commands is nobody's to say.
            return PlaceLimits(
                keyID: self.random.between(1, 3), key: RequestLimits(streams: one(60)),
                account: RequestLimits(streams: one(60)), tokens: 0)
        }
        func some() -> RequestLimits {
            RequestLimits(
                requestsPerMinute: one(12), tokensPerMinute: one(self.random.oneIn(4) ? 1_000_000_000 : 900),
                streams: one(60))
        }
        return PlaceLimits(
            keyID: self.random.between(1, 3), key: some(), account: some(),
            tokens: self.random.oneIn(8) ? self.random.between(0, 4_000_000) : self.random.between(0, 300))
    }

    private mutating func place(_ player: inout Player) -> StoreStep {
        let number = self.random.oneIn(6) ? self.old(&player) : self.fresh(&player)
        let want = self.random.oneIn(10) ? self.random.between(0, 20_000) : self.amount()
        let least = self.random.oneIn(2) ? want : self.random.between(0, want)
        let isWaived = self.random.oneIn(4)
        return player.maker.place(
            number, want, least: least, caps: self.caps(), limits: self.limits(), isWaived: isWaived)
    }

    private mutating func capture(_ player: inout Player) -> StoreStep {
        let number = self.random.oneIn(10) ? self.fresh(&player) : self.old(&player)
        if self.random.oneIn(4) {
            return player.maker.captureWaived(
                number, shadow: self.amount(), force: self.random.oneIn(6), authority: self.authority())
        }
        return player.maker.capture(
            number, self.amount(), force: self.random.oneIn(6), authority: self.authority())
    }

    private mutating func extend(_ player: inout Player) -> StoreStep {
        let number = self.old(&player)
        let held = self.hash(player).holds[player.maker.hold(number)]?.amount.value ?? 10
        let total = self.pick([
            held, held, self.amount(), held + self.amount(), self.random.between(0, 20_000),
        ])
        let progress: Int64? = self.random.oneIn(2) ? nil : self.amount()
        if self.random.oneIn(2) { return player.maker.touch(number, total, progress: progress) }
        return player.maker.extend(number, total, progress: progress, caps: self.caps())
    }

    private mutating func reassert(_ player: inout Player) -> StoreStep {
        let number = self.random.oneIn(4) ? self.fresh(&player) : self.old(&player)
        return player.maker.reassert(
            number, self.amount(), progress: self.random.oneIn(2) ? nil : self.amount(),
            limits: self.limits(),
            isWaived: self.random.oneIn(4))
    }

    // MARK: Ledger

    /// Mostly the owner's.
    private mutating func authority() -> Settlement.Authority {
        self.pick([.owner, .owner, .recovery, .reaper])
    }

    /// Some of what is there with the right amount, or another; and what is not there.
    private mutating func settled(_ player: inout Player, isEverything: Bool) -> [StepMaker.Settled] {
        let hash = self.hash(player)
        if isEverything {
            return hash.captures.values.sorted { $0.hold < $1.hold }
                .map { (Self.number($0.hold), $0.charge.amount.value) }
                + hash.holds.keys.sorted().map { (Self.number($0), 7) }
        }
        var holds: [StepMaker.Settled] = []
        for _ in 0..<self.random.below(4) {
            let captured = hash.captures.keys.sorted()
            let number =
                !captured.isEmpty && self.random.oneIn(2)
                ? Self.number(self.pick(captured)) : self.old(&player)
            let stored = hash.captures[player.maker.hold(number)]?.charge.amount.value
            holds.append((number, self.random.oneIn(6) ? self.amount() : stored ?? self.amount()))
        }
        return holds
    }

    private mutating func posted(_ player: inout Player, isEverything: Bool) -> StoreStep {
        player.version += 1
        // Postings overtake each other.
        let version = self.random.oneIn(8) ? max(1, player.version - 3) : player.version
        let generation = self.random.oneIn(20) ? self.ledgerGeneration - 1 : self.ledgerGeneration
        return player.maker.posted(
            version, self.random.between(-200, 20_000), generation: generation,
            holds: self.settled(&player, isEverything: isEverything),
            counted: self.random.oneIn(4) ? self.amount() : nil,
            authority: isEverything ? .owner : self.authority())
    }

    private mutating func gate(_ player: inout Player) -> StoreStep {
        player.gateVersion += 1
        let version = self.random.oneIn(4) ? max(1, player.gateVersion - 3) : player.gateVersion
        return player.maker.gate(version, floor: self.pick([0, 0, -500, 700]), blocked: self.random.oneIn(8))
    }

    // MARK: Loading

    private mutating func load(_ player: inout Player) -> StoreStep {
        guard !self.random.oneIn(4) else { return player.maker.load("") }
        player.loads += 1
        return player.maker.load("n\(player.loads)")
    }

    private mutating func initialize(_ player: inout Player) -> StoreStep {
        var loaded = StepMaker.Loaded()
        loaded.incarnation =
            self.random.oneIn(10)
            ? "n\(player.loads + 1)" : self.hash(player).incarnation ?? "n\(player.loads)"
        loaded.epoch = "E\(self.random.oneIn(20) ? self.epoch - 1 : self.epoch)"
        loaded.generation = self.random.oneIn(20) ? self.ledgerGeneration - 1 : self.ledgerGeneration
        loaded.version = self.random.oneIn(4) ? max(1, player.version - 2) : player.version
        loaded.balance = self.random.between(-200, 20_000)
        loaded.gate = self.random.oneIn(4) ? max(1, player.gateVersion - 2) : player.gateVersion
        loaded.floor = self.pick([0, 0, -500, 700])
        loaded.isBlocked = self.random.oneIn(12)
        loaded.hour = self.random.between(0, 300)
        loaded.day = self.random.between(0, 900)
        loaded.settled = self.settled(&player, isEverything: false)
        loaded.authority = self.authority()
        return player.maker.initialize { $0 = loaded }
    }
}
