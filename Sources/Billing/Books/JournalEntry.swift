/// One double entry of the books. Its lines sum to zero.
public struct JournalEntry: Sendable, Hashable {
    /// Unique over all entries; posting it a second time is refused by this key.
    public let key: String
    public let day: UTCDay
    public let kind: Kind
    /// In the order of `BookAccount`, each account once, no line of zero.
    public let lines: [Line]

    public struct Line: Sendable, Hashable {
        public let account: BookAccount
        /// Debit is positive, credit negative.
        public let amount: MicroUSD

        public init(_ account: BookAccount, _ amount: MicroUSD) {
            self.account = account
            self.amount = amount
        }
    }

    public enum Kind: Sendable, Hashable {
        /// Usage, or its correction, of what lots hold.
        case consumption
        /// Credits that an administrator took back.
        case withdrawal
        /// A refund or a lost dispute changed what a lot is worth, or its return did.
        case clawBack
        /// Usage that had been a debt and was paid by a new grant.
        case debtRepaid
        case cash(CashMovement)
        /// What OpenAI charges for a day.
        case cost

        /// As `journal_entry.kind` and the exports spell it.
        public var name: String {
            switch self {
            case .consumption: "consumption"
            case .withdrawal: "withdrawal"
            case .clawBack: "claw_back"
            case .debtRepaid: "debt_repaid"
            case .cash(let movement): movement.rawValue
            case .cost: "cost"
            }
        }

        /// nil for a name that this release does not know.
        public init?(name: String) {
            let plain: [Kind] = [.consumption, .withdrawal, .clawBack, .debtRepaid, .cost]
            if let kind = plain.first(where: { $0.name == name }) {
                self = kind
            } else if let movement = CashMovement(rawValue: name) {
                self = .cash(movement)
            } else {
                return nil
            }
        }
    }

    public enum Failure: Error, Sendable, Hashable {
        case noLines
        case lineOfZero(BookAccount)
        case accountTwice(BookAccount)
        /// The lines sum to this instead of zero.
        case unbalanced(Int128)
        /// Not positive, or beyond `MicroUSD.centsMax`.
        case impossibleAmount(Int64)
    }

    /// An entry that was stored somewhere and is checked as if it were new.
    public init(reading key: String, day: UTCDay, kind: Kind, lines: [Line]) throws(Failure) {
        if let failure = Self.failure(lines) { throw failure }
        self.key = key
        self.day = day
        self.kind = kind
        self.lines = lines.sorted { $0.account < $1.account }
    }

    /// An entry of our own making; lines of zero are left out. nil when nothing is left.
    /// - Precondition: the caller guarantees that the lines sum to zero and name each account once.
    init?(key: String, day: UTCDay, kind: Kind, moving lines: [Line]) {
        let lines = lines.filter { $0.amount != .zero }
        guard !lines.isEmpty else { return nil }
        precondition(Self.failure(lines) == nil, "a journal entry that does not sum to zero")
        self.key = key
        self.day = day
        self.kind = kind
        self.lines = lines.sorted { $0.account < $1.account }
    }

    private static func failure(_ lines: [Line]) -> Failure? {
        guard !lines.isEmpty else { return .noLines }
        var seen: Set<BookAccount> = []
        var sum: Int128 = 0
        for line in lines {
            guard line.amount != .zero else { return .lineOfZero(line.account) }
            guard seen.insert(line.account).inserted else { return .accountTwice(line.account) }
            sum += Int128(line.amount.value)
        }
        return sum == 0 ? nil : .unbalanced(sum)
    }
}
