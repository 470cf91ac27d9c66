import Metering

/// One account's holds and captures as the store listed them at one moment.
public struct StoredAccount: Sendable, Hashable {
    public var account: AccountID
    public var holds: [StoredHold]
    public var captures: [StoredCapture]
    /// nil: never loaded.
    public var balance: LedgerBalance?
    /// What is wrong with its sums and entries (R1, R2, R4), in words.
    public var problems: [String]
    /// A sum is not that of its entries: a cold load adds it up again.
    public var hasWrongSums: Bool

    public init(
        account: AccountID, holds: [StoredHold], captures: [StoredCapture], balance: LedgerBalance? = nil,
        problems: [String] = [], hasWrongSums: Bool = false
    ) {
        self.account = account
        self.holds = holds
        self.captures = captures
        self.balance = balance
        self.problems = problems
        self.hasWrongSums = hasWrongSums
    }
}

/// Who a hold belongs to. A reaper puts its own name in front and leaves the other: if it dies, or never hears that it
/// has the hold, the next one still knows in whose name to settle.
public struct HoldOwner: Sendable, Hashable, CustomStringConvertible {
    /// Who placed it.
    public var boot: BootID
    /// Who took it over.
    public var reaper: BootID?

    public init(_ boot: BootID, reaper: BootID? = nil) {
        self.boot = boot
        self.reaper = reaper
    }

    /// Reads `<boot>` or `<reaper>~<boot>`.
    public init?(text: some StringProtocol) {
        let names = text.split(separator: "~", omittingEmptySubsequences: false)
        guard names.count <= 2, let boot = names.last.flatMap({ BootID(text: $0) }) else { return nil }
        guard names.count == 2 else {
            self.init(boot)
            return
        }
        guard let reaper = BootID(text: names[0]) else { return nil }
        self.init(boot, reaper: reaper)
    }

    public var description: String { (self.reaper.map { "\($0)~" } ?? "") + "\(self.boot)" }
}

/// `h:<hold>`.
public struct StoredHold: Sendable, Hashable {
    public var hold: HoldID
    public var amount: Millicredits
    /// By the store's clock, since 1970.
    public var deadlineMilliseconds: Int64
    public var owner: HoldOwner
    public var placedMilliseconds: Int64
    /// Charge of the input alone.
    public var inputEstimate: Millicredits
    public var priceID: String
    public var endpoint: Endpoint
    /// Charge so far, as the last TOUCH said; nil: none said anything.
    public var progress: Millicredits?

    public init(
        hold: HoldID, amount: Millicredits, deadlineMilliseconds: Int64, owner: HoldOwner,
        placedMilliseconds: Int64, inputEstimate: Millicredits, priceID: String, endpoint: Endpoint,
        progress: Millicredits?
    ) {
        self.hold = hold
        self.amount = amount
        self.deadlineMilliseconds = deadlineMilliseconds
        self.owner = owner
        self.placedMilliseconds = placedMilliseconds
        self.inputEstimate = inputEstimate
        self.priceID = priceID
        self.endpoint = endpoint
        self.progress = progress
    }

    /// What its reaper settles: the charge so far, or of the input when nothing is known; never more than the hold. No
    /// rate card is looked at (rule J7), so tokens and cost stay unknown.
    public func orphan(of account: AccountID) -> Settlement {
        let amount = min(self.progress ?? self.inputEstimate, self.amount)
        return Settlement(
            account: account, hold: self.hold, owner: self.owner.boot, kind: .orphan, authority: .reaper,
            endpoint: self.endpoint, modelRequested: Settlement.model(ofPrice: self.priceID),
            priceID: self.priceID, usage: .zero, charge: Charge(amount: amount, cost: .zero),
            estimatedBecause: .proxyDied, occurredAtMilliseconds: self.placedMilliseconds)
    }
}

/// `u:<hold>`.
public struct StoredCapture: Sendable, Hashable {
    public var hold: HoldID
    public var amount: Millicredits
    /// nil: written by a newer release, or damaged; a person has to look.
    public var settlement: Settlement?

    public init(hold: HoldID, amount: Millicredits, settlement: Settlement?) {
        self.hold = hold
        self.amount = amount
        self.settlement = settlement
    }
}
