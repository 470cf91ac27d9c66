import ArgumentParser
import Foundation
import Metering
import PostgresLedger
import RateCards

struct RateCardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ratecard", abstract: "Rate cards: validate, diff, simulate, apply, list, import.",
        subcommands: [
            Validate.self, RateCardDiffCommand.self, RateCardSimulateCommand.self, Apply.self, List.self,
            Import.self,
        ])

    struct Validate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a file as publishing would; every problem is reported at once.",
            discussion: """
                Compares with the active card of DATABASE_URL, or with --against. Without either the file alone is \
                checked, which is said. Exit 1 when the card cannot be applied.
                """)
        @Argument(help: "The YAML file.") var file: String
        @Option(help: "Compare with this file instead of the active card.") var against: String?

        func run() async throws {
            try await reporting {
                let body = try RateCardFiles.read(file)
                let card = try RateCard(parsing: body)
                let diff = try await publishing().diff(of: card, body: body)
                if !diff.problems.isEmpty { print(RateCardReport.describe(problems: diff.problems)) }
                guard !diff.isRefused else { throw Exit.checkFailed }
                print("\(card.identity) is valid: \(card.models.count) models")
            }
        }

        private func publishing() async throws -> RateCardPublishing {
            if let against {
                return RateCardPublishing(against: try RateCard(parsing: try RateCardFiles.read(against)))
            }
            guard
                ["DATABASE_URL", "DATABASE_URL_FILE"].contains(where: {
                    !(System.environment($0) ?? "").isEmpty
                })
            else {
                complain("not compared with any card: neither DATABASE_URL nor --against is given")
                return RateCardPublishing(against: nil)
            }
            return try await StoreSession.with { try await RateCardPublishing($0.ledger) }
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a card in force from its effective_from; immutable from then on.")
        @Argument(help: "The YAML file.") var file: String
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                let body = try RateCardFiles.read(file)
                let card = try RateCard(parsing: body)
                try await StoreSession.with { store in
                    let diff = try await RateCardPublishing(store.ledger).diff(of: card, body: body)
                    for problem in diff.problems { complain("\(problem)") }
                    guard !diff.isRefused else { throw Exit.checkFailed }
                    let result = try await store.ledger.applyRateCard(
                        card: card.card, version: card.version, effectiveFrom: card.effectiveFromMilliseconds,
                        body: body, by: Operator.name, note: why.note("ratecard apply"))
                    print(
                        "\(card.identity): "
                            + (result == .applied ? "applied" : "was applied before, unchanged"))
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "All applied cards; * marks the active one.")

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let active = try await store.ledger.activeRateCard()
                    let listed = try await store.ledger.rateCards().map { card in
                        RateCardReport.Listed(
                            identity: "\(card.card)@\(card.version)",
                            effectiveFromMilliseconds: card.effectiveFrom, sha256: card.sha256,
                            isActive: card.card == active?.card && card.version == active?.version)
                    }
                    print(RateCardReport.renderList(listed))
                }
            }
        }
    }

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Draft a card from a price list (CSV); the YAML goes to standard output, doubts to standard error."
        )
        @Argument(help: "The price list, with columns as ratecards/import/*.csv.") var csv: String
        @Option(help: "Name of the card.") var card = "openai"
        @Option(help: "Version and date of the card, YYYY-MM-DD.") var version: String
        @Option(help: "price = cost × markup.") var markup = "2.0"

        func run() async throws {
            try await reporting {
                let draft = try RateCardImport(
                    csv: try RateCardFiles.read(csv),
                    settings: .init(
                        card: card, version: version, effectiveFrom: version + "T00:00:00Z", markup: markup))
                print(draft.yaml, terminator: "")
                complain(RateCardReport.describe(draft))
            }
        }
    }
}

/// The wall clock.
enum Clock {
    static func wallMilliseconds() -> Int64 { Int64(Date().timeIntervalSince1970 * 1000) }
}
