import ArgumentParser
import Billing
import PostgresLedger

struct BooksCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "books", abstract: "The books in US dollars: export, balance, run.",
        subcommands: [Export.self, Balance.self, Run.self])

    enum Format: String, ExpressibleByArgument, CaseIterable { case csv, hledger }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Every entry of the journal, by day; one snapshot, streamed.",
            discussion: """
                csv: one row per line of an entry. hledger: a journal that `hledger check --strict` accepts; its last \
                transaction asserts the balance of every account over the days that were exported. With --output the \
                file is there once it is whole.
                """)

        @Option(help: "csv or hledger.") var format: Format
        @Option(help: "First UTC day.") var from: String?
        @Option(help: "Last UTC day.") var to: String?
        @Option(help: "Instead of standard output.") var output: String?

        func run() async throws {
            try await reporting {
                let first = try self.from.map { try DayArgument.parse($0, "--from") }
                let last = try self.to.map { try DayArgument.parse($0, "--to") }
                let file = try OutputFile(self.output)
                let printer = JournalPrinter(self.format, file)
                do {
                    try printer.begin()
                    try await StoreSession.with {
                        try await $0.ledger.readJournal(from: first, to: last) { try printer.add($0) }
                    }
                    try printer.end()
                } catch {
                    file.discard()
                    throw error
                }
            }
        }
    }

    struct Balance: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trial balance, deferred revenue, liability; exit 1 unless it balances.")

        @Flag(help: "An object on standard output; amounts are decimal dollars as text.") var json = false

        func run() async throws {
            try await reporting {
                let figures = try await StoreSession.with { try await $0.ledger.financeFigures() }
                let balance = BooksBalance(figures)
                print(self.json ? try CommandJSON.of(balance) : balance.text)
                guard figures.trial.isBalanced, figures.liability.deferredDifference == 0 else {
                    throw Exit.checkFailed
                }
            }
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Recognise revenue and costs now, instead of in the next five minutes.")

        func run() async throws {
            try await reporting {
                let run = try await StoreSession.with { try await $0.ledger.keepBooks(waitsForCosts: true) }
                print(
                    "\(run.accounts) accounts, \(run.lines) ledger lines, \(run.entries) entries, "
                        + "\(run.failed) that cannot go on")
                guard run.failed == 0 else { throw Exit.checkFailed }
            }
        }
    }
}

/// `books balance`.
struct BooksBalance: Encodable {
    struct Row: Encodable {
        var account: String
        var accountClass: String
        var balanceUSD: String

        private enum CodingKeys: String, CodingKey {
            case account
            case accountClass = "class"
            case balanceUSD = "balance_usd"
        }
    }

    var accounts: [Row]
    var differenceUSD: String
    var deferredRevenueUSD: String
    /// Outstanding credits / 1000.
    var liabilityUSD: String
    /// Of the journal less that of payments and lots.
    var deferredDifferenceUSD: String
    var lagLines: Int64

    private enum CodingKeys: String, CodingKey {
        case accounts
        case differenceUSD = "difference_usd"
        case deferredRevenueUSD = "deferred_revenue_usd"
        case liabilityUSD = "liability_usd"
        case deferredDifferenceUSD = "deferred_difference_usd"
        case lagLines = "lag_lines"
    }

    init(_ figures: FinanceFigures) {
        func dollars(_ value: Int128) -> String { FixedDecimal.text(value, decimals: 6) }
        self.accounts = figures.trial.rows.map {
            Row(
                account: $0.account.rawValue, accountClass: $0.account.accountClass.rawValue,
                balanceUSD: dollars($0.microUSD))
        }
        self.differenceUSD = dollars(figures.trial.difference)
        self.deferredRevenueUSD = dollars(figures.liability.deferredRevenue)
        self.liabilityUSD = dollars(figures.liability.nominalLiability)
        self.deferredDifferenceUSD = dollars(figures.liability.deferredDifference)
        self.lagLines = figures.lagLines
    }

    var text: String {
        let rows =
            self.accounts.map { ($0.account, $0.balanceUSD) }
            + [
                ("difference", self.differenceUSD), ("", ""),
                ("deferred revenue", self.deferredRevenueUSD),
                ("liability (outstanding credits / 1000)", self.liabilityUSD),
                ("deferred revenue: journal less lots", self.deferredDifferenceUSD),
                ("ledger lines not in the books yet", "\(self.lagLines)"),
            ]
        let (left, right) = rows.reduce((0, 0)) { (max($0.0, $1.0.count), max($0.1, $1.1.count)) }
        return rows.map { name, amount in
            guard !name.isEmpty else { return "" }
            return name + String(repeating: " ", count: left - name.count + 2 + right - amount.count) + amount
        }.joined(separator: "\n")
    }
}
