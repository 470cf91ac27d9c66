import Metering
import MoneyPath

/// What one world is like.
public struct SimSettings: Sendable {
    public var seed: UInt64
    /// Events in which faults happen; then everything is healed and has to come to rest.
    public var steps: Int
    public var profile = SimProfile.everything
    /// Guards to take out, by name.
    public var without = Guards()
    /// Tell the story of this hold while running.
    public var traced: HoldID?

    public init(seed: UInt64, steps: Int) {
        self.seed = seed
        self.steps = steps
    }

    /// false: that is no id of a hold.
    public mutating func trace(_ hold: String) -> Bool {
        self.traced = HoldID(text: hold)
        return self.traced != nil
    }

    public struct Guards: Sendable {
        public var session: Set<HoldSessionSettings.Guard> = []
        public var sweep: Set<Sweep.Guard> = []
        public var store: Set<StoreGuard> = []
        public var ledger: Set<LedgerGuard> = []
        public var world: Set<SimGuard> = []
        public var livenessWaits = true
        public var livenessResets = true

        public init() {}

        /// Takes out a guard by its name, such as `session.reissue`; false: there is none of this name.
        public mutating func remove(_ name: String) -> Bool {
            let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { return false }
            switch parts[0] {
            case "session": return Self.insert(parts[1], into: &self.session)
            case "sweep": return Self.insert(parts[1], into: &self.sweep)
            case "store": return Self.insert(parts[1], into: &self.store)
            case "ledger": return Self.insert(parts[1], into: &self.ledger)
            case "world": return Self.insert(parts[1], into: &self.world)
            case "liveness":
                if parts[1] == "waitsForGrace" { self.livenessWaits = false }
                if parts[1] == "resetsAfterGap" { self.livenessResets = false }
                return ["waitsForGrace", "resetsAfterGap"].contains(parts[1])
            default: return false
            }
        }

        private static func insert<Guard: RawRepresentable & Hashable>(
            _ name: String, into set: inout Set<Guard>
        ) -> Bool where Guard.RawValue == String {
            guard let known = Guard(rawValue: name) else { return false }
            set.insert(known)
            return true
        }

        /// Every name that `remove` takes.
        public static var allNames: [String] {
            HoldSessionSettings.Guard.allCases.map { "session.\($0.rawValue)" }
                + Sweep.Guard.allCases.map { "sweep.\($0.rawValue)" }
                + StoreGuard.allCases.map { "store.\($0.rawValue)" }
                + LedgerGuard.allCases.map { "ledger.\($0.rawValue)" }
                + SimGuard.allCases.map { "world.\($0.rawValue)" }
                + ["liveness.waitsForGrace", "liveness.resetsAfterGap"]
        }
    }

    // Times of the simulated deployment: shorter than DESIGN's, in the same proportions, so that a world of a few
    // thousand events lives through leases and graces.
    static let lease = Span.seconds(6)
    static let touchEvery = Span.seconds(2)
    static let heartbeatEvery = Span.seconds(2)
    static let grace = Span.seconds(8)
    static let heartbeatGapMax = Span.seconds(6)
    static let sweepEvery = Span.seconds(5)
    static let keepUpEvery = Span.milliseconds(500)
    static let accounts = 4
    static let caps: [AccountID: SpendCaps] = [
        2: SpendCaps(request: Millicredits(140)), 3: SpendCaps(session: Millicredits(800)),
        4: SpendCaps(request: Millicredits(200), session: Millicredits(1_200), day: Millicredits(1_500)),
    ]
    static let evictIdleSeconds: Int64 = 10
}

/// A rule that does not hold.
public struct SimFailure: Error, Sendable, Hashable {
    public var rule: String
    public var hold: HoldID?
    public var account: AccountID?
    public var atMilliseconds: Int64

    public var description: String {
        "\(self.rule)" + (self.hold.map { " (hold \($0))" } ?? "")
            + (self.account.map { " (account \($0))" } ?? "") + " at \(self.atMilliseconds) ms"
    }
}

/// What one seed came to.
public struct SimReport: Sendable {
    public var seed: UInt64
    public var steps = 0
    public var exchanges = 0
    public var granted = 0
    public var settled = 0
    public var faults: [Fault: Int] = [:]
    public var failure: SimFailure?
    /// Lines about the traced hold.
    public var story: [String] = []
}
