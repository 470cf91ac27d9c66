import Metering

/// Σ of all entries per account; debit positive.
public struct TrialBalance: Sendable, Hashable {
    private var sums: [BookAccount: Int128] = [:]
    public private(set) var entryCount = 0

    public init() {}

    public init(_ entries: some Sequence<JournalEntry>) {
        for entry in entries { self.add(entry) }
    }

    public mutating func add(_ entry: JournalEntry) {
        for line in entry.lines { self.sums[line.account, default: 0] += Int128(line.amount.value) }
        self.entryCount += 1
    }

    /// A sum that a database computed.
    public mutating func add(_ account: BookAccount, _ microUSD: Int128) {
        self.sums[account, default: 0] += microUSD
    }

    /// In micro-USD; 128 bits because it is a sum of amounts that fit 64.
    public subscript(account: BookAccount) -> Int128 { self.sums[account] ?? 0 }

    /// Σ over all accounts, micro-USD; anything but zero is an error of the books.
    public var difference: Int128 { self.sums.values.reduce(0, +) }

    public var isBalanced: Bool { self.difference == 0 }

    /// Accounts with their sums, as a trial balance is read; unused ones are there with zero.
    public var rows: [(account: BookAccount, microUSD: Int128)] {
        BookAccount.allCases.sorted().map { ($0, self[$0]) }
    }
}

/// Σ over lots, of one account or of all.
public struct LotTotals: Sendable, Hashable {
    public private(set) var paidCents: Int128 = 0
    public private(set) var reversedCents: Int128 = 0
    public private(set) var recognisedCents: Int128 = 0
    public private(set) var deferredCents: Int128 = 0
    /// Millicredits that may still be used.
    public private(set) var outstanding: Int128 = 0

    public init() {}

    /// Sums that a database computed.
    public init(
        paidCents: Int128, reversedCents: Int128, recognisedCents: Int128, outstanding: Int128
    ) {
        self.paidCents = paidCents
        self.reversedCents = reversedCents
        self.recognisedCents = recognisedCents
        self.deferredCents = paidCents - reversedCents - recognisedCents
        self.outstanding = outstanding
    }

    public mutating func add(_ lot: CreditLot) {
        self.paidCents += Int128(lot.paidCents)
        self.reversedCents += Int128(lot.reversedCents)
        self.recognisedCents += Int128(lot.recognisedCents)
        self.deferredCents += Int128(lot.deferredCents)
        self.outstanding += Int128(lot.remaining.value)
    }
}

/// What is owed to customers, told in both ways.
public struct LiabilityReport: Sendable, Hashable {
    /// Money received for service that is not yet rendered, micro-USD: the figure of the balance sheet.
    public let deferredRevenue: Int128
    /// Outstanding credits / 1000, as the runbook has it, micro-USD: what it would be worth to use all
    /// credits at their nominal value, gifts and bonuses included.
    public let nominalLiability: Int128
    /// Deferred revenue of the journal − Σ of the lots, micro-USD; anything but zero is an error of the books
    /// (I8).
    public let deferredDifference: Int128

    public init(_ trial: TrialBalance, _ lots: LotTotals) {
        self.deferredRevenue = -trial[.deferredRevenue]
        self.nominalLiability = lots.outstanding
        self.deferredDifference = self.deferredRevenue - lots.deferredCents * Int128(MicroUSD.perCent)
    }
}
