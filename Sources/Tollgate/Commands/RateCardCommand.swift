import ArgumentParser
import Foundation
import Metering
import PostgresLedger
import RateCards

struct RateCardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ratecard", abstract: "Rate cards: validate, diff, apply, list, import.",
        subcommands: [Validate.self, Diff.self, Apply.self, List.self, Import.self])

    struct Validate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a file; every problem is reported at once.")
        @Argument(help: "The YAML file.") var file: String

        func run() async throws {
            try await reporting {
                let card = try RateCard(parsing: try RateCardFiles.read(file))
                let diff = RateCardDiff(from: nil, to: card, nowMilliseconds: 0)
                for problem in diff.problems { print(problem) }
                print("\(card.identity) is valid: \(card.models.count) models")
            }
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What a file would change of the active card, or of another file.")
        @Argument(help: "The YAML file.") var file: String
        @Option(help: "Compare with this file instead of the active card.") var against: String?

        func run() async throws {
            try await reporting {
                let card = try RateCard(parsing: try RateCardFiles.read(file))
                if let against {
                    try show(RateCard(parsing: try RateCardFiles.read(against)), card)
                } else {
                    try await StoreSession.with { store in
                        let active = try await store.ledger.activeRateCard()
                        try show(try active.map { try RateCard(parsing: $0.body) }, card)
                    }
                }
            }
        }

        private func show(_ old: RateCard?, _ new: RateCard) throws {
            let diff = RateCardDiff(from: old, to: new, nowMilliseconds: Clock.wallMilliseconds())
            print("from \(old?.identity ?? "nothing") to \(new.identity)")
            print(RateCardReport.renderDiff(diff))
            print(RateCardReport.renderMargins(diff))
            if diff.problems.contains(where: { $0.severity == .error }) { throw Exit.checkFailed }
        }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a card in force from its effective_from; immutable from then on.")
        @Argument(help: "The YAML file.") var file: String

        func run() async throws {
            try await reporting {
                let body = try RateCardFiles.read(file)
                let card = try RateCard(parsing: body)
                try await StoreSession.with { store in
                    let active = try await store.ledger.activeRateCard()
                    let old = try active.map { try RateCard(parsing: $0.body) }
                    let diff = RateCardDiff(from: old, to: card, nowMilliseconds: Clock.wallMilliseconds())
                    for problem in diff.problems { complain("\(problem)") }
                    if diff.problems.contains(where: { $0.severity == .error }) { throw Exit.checkFailed }
                    let result = try await store.ledger.applyRateCard(
                        card: card.card, version: card.version, effectiveFrom: card.effectiveFromMilliseconds,
                        body: body, by: "cli")
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
