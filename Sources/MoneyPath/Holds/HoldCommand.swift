import Metering

/// Rule R2: who sends a command. A command whose generation is lower than the account's fence has no effect.
public struct HoldFence: Sendable, Hashable {
    /// One connection of one process at a time speaks under this name.
    public var loop: String
    /// Raised with every lost connection.
    public var generation: Int64
    /// Lift the account's fence to this generation: everything older that is still under way is shut out.
    public var raise: Bool

    public init(loop: String, generation: Int64, raise: Bool) {
        self.loop = loop
        self.generation = generation
        self.raise = raise
    }
}

/// What a session of the hold store says to it (MONEY_PATH R3–R8).
public enum HoldCommand: Sendable, Hashable {
    indirect case place(PlaceRequest)
    /// - Parameter force: write the capture even without its hold; only the epoch protocol does (R4).
    indirect case capture(Settlement, force: Bool)
    case release(HoldID, of: AccountID)
    /// Renews the lease and carries the charge so far (`nil`: as it was).
    case touch(HoldID, of: AccountID, held: Millicredits, progress: Millicredits?)
    /// Raises a hold to `total`, if balance, gate and caps allow; renews the lease as TOUCH does. May be repeated.
    case extend(HoldID, of: AccountID, total: Millicredits, progress: Millicredits?, caps: SpendCaps)
    /// Puts back a hold that the store lost.
    indirect case reassert(PlaceRequest, amount: Millicredits, progress: Millicredits?)
    /// Reads everything that makes an epoch, making an epoch key if there is none.
    case readNode
    case load(AccountID, nonce: String)
    indirect case initialize(AccountID, incarnation: String, epoch: String, AccountSnapshot)
    indirect case posted(PostedAccount)
    indirect case gate(AccountGate)
}

/// What a reply belongs to.
public enum HoldSlot: Sendable, Hashable {
    case place(HoldID)
    case capture(HoldID)
    case release(HoldID)
    case reassert(HoldID)
    case touch(HoldID)
    case extend(HoldID, total: Millicredits)
    case node(NodeReadingPurpose)
    /// POSTED after a capture was compared with the ledger.
    case verified(HoldID)
    case load(AccountID, number: Int64)
    case initialize(AccountID, number: Int64)
    /// The reply says nothing that matters.
    case ignored
}

/// What a reading of the node is for.
public enum NodeReadingPurpose: Sendable, Hashable {
    /// What a command that found nothing says is judged by what the node is now.
    case judge
    /// LOAD in front of it found the account of this node: INIT may stamp its epoch (E3).
    case load(AccountID, number: Int64)
    /// Another session, or the process, saw another epoch.
    case check
    /// The process admits under an epoch that is not this node's: it is the same node, or it is left.
    case match
}

/// The answer to a command, read from the wire.
public enum HoldReply: Sendable, Hashable {
    /// An integer, or an array of integers.
    case numbers(HoldNumbers)
    case node(NodeIdentity)
    /// Of LOAD: the incarnation, and every hold and capture of the account.
    case listing(incarnation: String, [HoldID])
    case refused(StoreRefusal)
    /// Something else, or nothing: what was done is not known.
    case unreadable

    @inlinable public var refusal: StoreRefusal? {
        if case .refused(let refusal) = self { refusal } else { nil }
    }

    /// The answer of a script that answers one integer.
    @inlinable public var code: Int64? {
        if case .numbers(let numbers) = self, numbers.count > 0 { numbers[0] } else { nil }
    }

    @inlinable public func number(at index: Int) -> Int64? {
        guard case .numbers(let numbers) = self, index < numbers.count else { return nil }
        return numbers[index]
    }
}

/// Up to six integers, without an allocation.
public struct HoldNumbers: Sendable, Hashable {
    @usableFromInline var values: (Int64, Int64, Int64, Int64, Int64, Int64)
    public let count: Int

    /// - Parameter numbers: at most six; more are cut off.
    public init(_ numbers: Int64...) { self.init(count: numbers.count) { numbers[$0] } }

    public init(count: Int, _ number: (Int) -> Int64) {
        self.count = min(count, 6)
        func at(_ index: Int) -> Int64 { index < count ? number(index) : 0 }
        self.values = (at(0), at(1), at(2), at(3), at(4), at(5))
    }

    @inlinable public subscript(index: Int) -> Int64 {
        switch index {
        case 0: self.values.0
        case 1: self.values.1
        case 2: self.values.2
        case 3: self.values.3
        case 4: self.values.4
        default: self.values.5
        }
    }

    public static func == (left: HoldNumbers, right: HoldNumbers) -> Bool {
        left.count == right.count && left.values == right.values
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(self.count)
        hasher.combine(self.values.0)
        hasher.combine(self.values.1)
    }
}
