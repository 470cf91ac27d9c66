import Metering

/// What one run over an account's new lines changed; stored in one transaction together with the book's
/// version, balance and debt.
public struct LotChanges: Sendable, Hashable {
    /// New or changed lots, in the order of their grants.
    public var lots: [CreditLot]
    /// One for each day and kind that moved money; zero-sum each.
    public var entries: [JournalEntry]
}

/// What one line did.
struct LotStep {
    var changed: Set<Int> = []
    var moved = RecognisedDifference()
}

/// What moved between deferred revenue, contra revenue and revenue.
struct RecognisedDifference: Sendable, Hashable {
    var usageCents: Int64 = 0
    var breakageCents: Int64 = 0
    /// Micro-USD.
    var promotional: Int64 = 0

    mutating func add(from before: CreditLot, to after: CreditLot) {
        self.usageCents += after.usageCents - before.usageCents
        self.breakageCents += after.breakageCents - before.breakageCents
        self.promotional += after.promotionalUsage.value - before.promotionalUsage.value
    }

    /// false when a sum leaves the range of the books.
    mutating func add(_ other: RecognisedDifference) -> Bool {
        let usage = self.usageCents + other.usageCents
        let breakage = self.breakageCents + other.breakageCents
        let (free, overflow) = self.promotional.addingReportingOverflow(other.promotional)
        guard usage.magnitude <= UInt64(MicroUSD.centsMax), breakage.magnitude <= UInt64(MicroUSD.centsMax),
            !overflow, free.magnitude <= UInt64(Millicredits.magnitudeMax)
        else { return false }
        self = RecognisedDifference(usageCents: usage, breakageCents: breakage, promotional: free)
        return true
    }

    /// nil when nothing moved.
    func entry(key: String, day: UTCDay, kind: JournalEntry.Kind) -> JournalEntry? {
        let usage = MicroUSD(cents: self.usageCents).value
        let breakage = MicroUSD(cents: self.breakageCents).value
        return JournalEntry(
            key: key, day: day, kind: kind,
            moving: [
                .init(.deferredRevenue, MicroUSD(usage + breakage)),
                .init(.promotional, MicroUSD(self.promotional)),
                .init(.usageRevenue, MicroUSD(-usage - self.promotional)),
                .init(.breakage, MicroUSD(-breakage)),
            ])
    }
}

extension LotBook {
    /// Takes the lines after `version`, in order; lines that were taken before are passed over. Where the
    /// lines are cut into runs does not matter for any total.
    /// - Throws: and has changed nothing, when one of the lines cannot follow.
    public mutating func run(_ lines: some Sequence<LotLine>) throws(LotBookFailure) -> LotChanges {
        var book = self
        var changed: Set<Int> = []
        var groups = LotGroups(account: self.account)
        for line in lines {
            guard let step = try book.take(line) else { continue }
            changed.formUnion(step.changed)
            guard groups.add(step.moved, line) else { throw .tooLarge }
        }
        self = book
        return LotChanges(lots: changed.sorted().map { book.lots[$0] }, entries: groups.entries)
    }
}

/// Differences of a run by day and kind: an account that is settled thousands of times a day has a few
/// entries.
private struct LotGroups {
    private struct Group: Hashable {
        var day: UTCDay
        var kind: JournalEntry.Kind
    }

    private struct Sum {
        var moved = RecognisedDifference()
        var lastVersion: Int64 = 0
    }

    private let account: AccountID
    private var order: [Group] = []
    private var sums: [Group: Sum] = [:]

    init(account: AccountID) { self.account = account }

    mutating func add(_ moved: RecognisedDifference, _ line: LotLine) -> Bool {
        guard moved != RecognisedDifference() else { return true }
        let group = Group(day: line.day, kind: line.kind)
        if self.sums[group] == nil { self.order.append(group) }
        var sum = self.sums[group] ?? Sum()
        guard sum.moved.add(moved) else { return false }
        sum.lastVersion = line.version
        self.sums[group] = sum
        return true
    }

    /// A line belongs to one group, so the last version of a group is a key that no other entry has.
    var entries: [JournalEntry] {
        self.order.compactMap { group in
            self.sums[group].flatMap { sum in
                sum.moved.entry(
                    key: "lots:\(self.account):\(sum.lastVersion)", day: group.day, kind: group.kind)
            }
        }
    }
}
