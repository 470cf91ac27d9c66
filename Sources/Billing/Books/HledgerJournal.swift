/// The journal in the format of hledger (and ledger): what a program other than ours checks our books with.
///
/// `hledger check --strict` accepts it, and so do its checks `ordereddates` and `payees`. The last
/// transaction asserts the balance of every account.
public struct HledgerJournal: Sendable {
    public enum Failure: Error, Sendable, Hashable {
        /// Entries come by day.
        case dayBefore(UTCDay)
    }

    private var trial = TrialBalance()
    private var lastDay: UTCDay?

    public init() {}

    /// Commodity, accounts, payees and tags.
    public var head: String {
        var text = """
            ; Books of Tollgate. Amounts are US dollars with six decimals; days are UTC.

            commodity USD 1,000.000000

            tag key
            tag kind


            """
        for account in BookAccount.allCases.sorted() {
            text += "account \(account.rawValue)  ; type: \(Self.letter(account))\n"
        }
        text += "\n"
        let kinds: [JournalEntry.Kind] =
            [.consumption, .withdrawal, .clawBack, .debtRepaid, .cost]
            + CashMovement.allCases.map { .cash($0) }
        for kind in kinds { text += "payee \(kind.name)\n" }
        return text + "payee \(Self.closingPayee)\n\n"
    }

    /// One transaction.
    public mutating func text(_ entry: JournalEntry) throws(Failure) -> String {
        if let last = self.lastDay, entry.day < last { throw .dayBefore(last) }
        self.lastDay = entry.day
        self.trial.add(entry)
        var text =
            "\(entry.day) \(entry.kind.name)  ; key:\(Self.tagValue(entry.key)), kind:\(entry.kind.name)\n"
        for line in entry.lines { text += "    \(line.account.rawValue)  USD \(line.amount)\n" }
        return text + "\n"
    }

    /// The balances that hledger has to come to; empty when there was no entry.
    public var foot: String {
        guard let day = self.lastDay else { return "" }
        var text = "\(day) \(Self.closingPayee)\n"
        for (account, sum) in self.trial.rows {
            text += "    \(account.rawValue)  USD 0 = USD \(FixedDecimal.text(sum, decimals: 6))\n"
        }
        return text
    }

    private static let closingPayee = "balances"

    /// hledger's account types: cash, asset, liability, revenue, expense.
    private static func letter(_ account: BookAccount) -> String {
        switch account.accountClass {
        case .asset: account == .stripe ? "C" : "A"
        case .liability: "L"
        case .revenue: "R"
        case .expense: "X"
        }
    }

    /// A tag's value ends at a comma or at the end of the line.
    private static func tagValue(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0 == "," ? "_" : $0 }))
    }
}
