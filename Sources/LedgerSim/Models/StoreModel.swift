import Metering
import MoneyPath

/// One node of the hold store, as its scripts make it behave: what Redis is to the simulator.
///
/// A value, so a copy is a snapshot: an RDB file, or a replica. `Tests/RedisHoldsTests/Store` runs the same
/// commands here and through the Lua on a real Redis, and compares every reply and every field. Amounts are
/// integers; the Lua computes in doubles, so the two agree as long as no sum leaves ±2^53
/// (`Millicredits.magnitudeMax` is below it).
public struct StoreNode: Sendable {
    /// Part of every identity that this node ever has.
    public let name: String
    public private(set) var runID: String
    public private(set) var replicationID: String
    /// The key `tollgate:epoch`; nil until somebody reads it, and after a flush.
    public private(set) var epochKey: String?
    /// The sets `tollgate:joined:<epoch>`.
    public private(set) var joined: [String: Set<BootID>] = [:]
    /// A hash without a field does not exist.
    public var accounts: [AccountID: AccountHash] = [:]
    private(set) var takenOut: Set<StoreGuard> = []
    // Never go back, so no identity comes twice whatever is restored.
    private var runs = 1
    private var keysMade = 0
    private var replicationIDsMade = 1

    public init(name: String) {
        self.name = name
        (self.runID, self.replicationID) = ("\(name).run1", "\(name).rep1")
    }

    /// The guards in force: without one, scripts behave as if its line had been taken out of the Lua.
    public var guards: Set<StoreGuard> {
        get { Set(StoreGuard.allCases).subtracting(self.takenOut) }
        set { self.takenOut = Set(StoreGuard.allCases).subtracting(newValue) }
    }

    /// As a greeting tells it, which makes the epoch key if there is none.
    public mutating func nodeIdentity() -> NodeIdentity {
        NodeIdentity(
            runID: self.runID, replicationID: self.replicationID, epochKey: self.readEpochKey())
    }

    // MARK: Commands

    /// Runs one command, whole.
    ///
    /// - Parameters:
    ///   - fence: `raise` counts where the session sends it: CAPTURE, RELEASE, REASSERT.
    ///   - epoch: what PLACE carries: the sender's epoch when it sent the command.
    ///   - owner: the sender's boot.
    ///   - nowMilliseconds: the node's clock.
    public mutating func execute(
        _ command: HoldCommand, fence: HoldFence, epoch: String, owner: BootID, lease: Span,
        nowMilliseconds: Int64
    ) -> HoldReply {
        let call = StoreCall(
            fence: fence, epoch: epoch, owner: owner, leaseMilliseconds: lease.milliseconds,
            now: nowMilliseconds, takenOut: self.takenOut)
        guard let account = command.account else { return .node(self.nodeIdentity()) }
        return self.run(account) { hash throws(ScriptAborted) in try hash.answer(command, call) }
    }

    /// EXTEND with everything that the script takes; no command of a session carries caps yet.
    public mutating func extend(
        _ hold: HoldID, of account: AccountID, total: Millicredits, progress: Millicredits?, caps: SpendCaps,
        fence: HoldFence, owner: BootID, lease: Span, nowMilliseconds: Int64
    ) -> HoldReply {
        let call = StoreCall(
            fence: fence, epoch: "", owner: owner, leaseMilliseconds: lease.milliseconds,
            now: nowMilliseconds, takenOut: self.takenOut)
        return self.run(account) { hash throws(ScriptAborted) in
            try hash.extend(hold, total: total, progress: progress, caps: caps, raise: fence.raise, call)
        }
    }

    private mutating func run(
        _ account: AccountID, _ script: (inout AccountHash) throws(ScriptAborted) -> HoldReply
    ) -> HoldReply {
        self.withAccount(account) { hash in
            do throws(ScriptAborted) { return try script(&hash) } catch { return .refused(.unknown) }
        }
    }

    /// Makes the hash as the first write does, and forgets it with its last field.
    mutating func withAccount<Answer>(_ account: AccountID, _ body: (inout AccountHash) -> Answer) -> Answer {
        var isGone = false
        func step(_ hash: inout AccountHash) -> Answer {
            defer { isGone = hash.isEmpty }
            return body(&hash)
        }
        let answer = step(&self.accounts[account, default: AccountHash()])
        if isGone { self.accounts[account] = nil }
        return answer
    }

    // MARK: Epochs

    private mutating func readEpochKey() -> String {
        if let key = self.epochKey { return key }
        self.keysMade += 1
        let key = "\(self.runID).key\(self.keysMade)"
        self.epochKey = key
        return key
    }

    public mutating func join(_ epoch: String, _ boot: BootID) {
        self.joined[epoch, default: []].insert(boot)
    }

    public func members(_ epoch: String) -> Set<BootID> { self.joined[epoch] ?? [] }

    // MARK: Faults

    /// FLUSHALL: everything goes, run id and replication id stay.
    public mutating func flush() {
        self.accounts = [:]
        self.joined = [:]
        self.epochKey = nil
    }

    /// A first replica attaches (or somebody asks for an RDB file): nothing is lost, and only the replication id is
    /// another one.
    public mutating func changeReplicationID() {
        self.replicationIDsMade += 1
        self.replicationID = "\(self.name).rep\(self.replicationIDsMade)"
    }

    /// Another run of the server with the data of `snapshot`; nil: with none.
    public mutating func restart(from snapshot: StoreNode?) {
        self.runs += 1
        self.runID = "\(self.name).run\(self.runs)"
        self.changeReplicationID()
        self.accounts = snapshot?.accounts ?? [:]
        self.joined = snapshot?.joined ?? [:]
        self.epochKey = snapshot?.epochKey
    }
}

/// What comes with every command, and the clock.
struct StoreCall {
    let fence: HoldFence
    let epoch: String
    let owner: BootID
    let leaseMilliseconds: Int64
    /// Milliseconds since 1970.
    let now: Int64
    let takenOut: Set<StoreGuard>

    var deadline: Int64 { self.now + self.leaseMilliseconds }
    var second: Int64 { self.now / 1000 }

    @inline(__always)
    func has(_ rule: StoreGuard) -> Bool { self.takenOut.isEmpty || !self.takenOut.contains(rule) }
}

/// A script met an error after some of its writes: Redis keeps those, and answers ERR. Only without a guard.
struct ScriptAborted: Error {}
