import ArgumentParser
import Billing
import Metering
import PostgresLedger

struct ShadowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shadow", abstract: "What was served and not charged.", subcommands: [Report.self])

    struct Report: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compare what was waived with what charging would have brought.",
            discussion: """
                By day, by model and by account: requests, what they would have been charged, what the users' balances \
                could have paid, how many no balance covered (those would have got a 402), and their cost in USD. A \
                balance counts as it was when an exchange began, less what it paid here before. Exact integers; \
                admission holds more than is charged in the end, so it would have refused at least as many. What a \
                reaper settled (its process and disk were lost) is not known, and not in it.
                """)

        @Option(help: "First UTC day.") var from: String?
        @Option(help: "Last UTC day.") var to: String?
        @Flag(help: "One JSON object on standard output; amounts are strings.") var json = false

        func run() async throws {
            try await reporting {
                let first = try from.map { try DayArgument.parse($0, "--from") }
                let last = try to.map { try DayArgument.parse($0, "--to") }
                let day: Int64 = 86_400_000
                let report = try await StoreSession.with { store in
                    try await store.ledger.foldWaived(
                        from: first.map { Int64($0.daysSinceEpoch) * day },
                        to: last.map { (Int64($0.daysSinceEpoch) + 1) * day }, into: ShadowReport()
                    ) { $0.add($1) }
                }
                print(json ? try CommandJSON.of(ShadowJSON(report)) : ShadowText.of(report))
            }
        }
    }
}

private enum ShadowText {
    static func of(_ report: ShadowReport) -> String {
        let accounts = report.byAccount.sorted { $0.key < $1.key }
            .map { ("\($0.key) \(report.users[$0.key] ?? "")", $0.value) }
        let sections = [
            ("total", [("all", report.total)]),
            ("by day", report.byDay.sorted { $0.key < $1.key }.map { ("\($0.key)", $0.value) }),
            ("by model", report.byModel.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }),
            ("by account", accounts),
        ]
        return sections.map { title, lines in
            ([title] + lines.map { "  \($0): \(Self.line($1))" }).joined(separator: "\n")
        }.joined(separator: "\n")
    }

    private static func line(_ sums: ShadowReport.Sums) -> String {
        "\(sums.requests) requests, \(Self.credits(sums.shadow)) credits waived, "
            + "\(Self.credits(sums.payable)) payable, \(sums.refused) without cover, "
            + "cost \(ExactDecimal(coefficient: sums.cost, scale: 12)) USD"
    }

    private static func credits(_ millicredits: Int128) -> String {
        "\(ExactDecimal(coefficient: millicredits, scale: 3))"
    }
}

/// Millicredits and pico-USD are exact integers, as strings.
private struct ShadowJSON: Encodable {
    struct Sums: Encodable {
        var requests, withoutCover: Int64
        var shadowMillicredits, payableMillicredits, costPicousd: String

        init(_ sums: ShadowReport.Sums) {
            (self.requests, self.withoutCover) = (sums.requests, sums.refused)
            self.shadowMillicredits = "\(sums.shadow)"
            self.payableMillicredits = "\(sums.payable)"
            self.costPicousd = "\(sums.cost)"
        }
    }

    struct Account: Encodable {
        var account: AccountID
        var user: String
        var sums: Sums
    }

    var total: Sums
    var days, models: [String: Sums]
    var accounts: [Account]

    init(_ report: ShadowReport) {
        self.total = Sums(report.total)
        self.days = Dictionary(uniqueKeysWithValues: report.byDay.map { ("\($0.key)", Sums($0.value)) })
        self.models = report.byModel.mapValues(Sums.init)
        self.accounts = report.byAccount.sorted { $0.key < $1.key }.map {
            Account(account: $0.key, user: report.users[$0.key] ?? "", sums: Sums($0.value))
        }
    }
}
