import ArgumentParser
import Metering
import RateCards

struct RateCardDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "What a card would change, for a review.",
        discussion: """
            One file: what it changes of the active card of DATABASE_URL. Two files: what changes from the first to \
            the second. Prices are in credits per 1K tokens, characters or calls, or per second; costs in USD per 1M \
            tokens or characters, per second, or per 1K calls. Exit 1 when the card cannot be applied.
            """)

    @Argument(help: "The YAML file; the older one when two are given.") var file: String
    @Argument(help: "The newer YAML file.") var newer: String?
    @Option(help: "Compare FILE with this older file; the same as naming it first.") var against: String?
    @Flag(help: "One JSON object on standard output; amounts are strings.") var json = false

    func validate() throws {
        if newer != nil && against != nil {
            throw ValidationError("give --against or a second file, not both")
        }
    }

    func run() async throws {
        try await reporting {
            let body = try RateCardFiles.read(newer ?? file)
            let card = try RateCard(parsing: body)
            let publishing: RateCardPublishing
            if let older = newer == nil ? against : file {
                publishing = RateCardPublishing(against: try RateCard(parsing: try RateCardFiles.read(older)))
            } else {
                publishing = try await StoreSession.with { try await RateCardPublishing($0.ledger) }
            }
            let diff = publishing.diff(of: card, body: body)
            if json {
                print(try RateCardDiffJSON(diff).text())
            } else {
                print("from \(diff.from ?? "nothing") to \(diff.to)")
                print(RateCardReport.renderDiff(diff))
                print(RateCardReport.renderMargins(diff))
            }
            if diff.isRefused { throw Exit.checkFailed }
        }
    }
}

/// The output of `--json`.
private struct RateCardDiffJSON: Encodable {
    struct Change: Encodable {
        var model: String
        /// added, removed or changed
        var change: String
        var path: String?
        var from: String?
        var to: String?
        var percent: String?
        var marginFrom: String?
        var marginTo: String?
    }

    struct Problem: Encodable {
        var severity: String
        var path: String
        var message: String
        /// In the file, counted from 1.
        var line: Int?
    }

    struct Margin: Encodable {
        var model: String
        var path: String
        var price: String
        var cost: String
        var margin: String
    }

    var from: String?
    var to: String
    var changes: [Change]
    var problems: [Problem]
    var margins: [Margin]

    init(_ diff: RateCardDiff) {
        (self.from, self.to) = (diff.from, diff.to)
        self.changes = diff.review.map { row in
            switch row.change {
            case .added: Change(model: row.model, change: "added")
            case .removed: Change(model: row.model, change: "removed")
            case .changed(let path, let from, let to):
                Change(
                    model: row.model, change: "changed", path: path, from: from, to: to, percent: row.percent,
                    marginFrom: row.marginBefore, marginTo: row.marginAfter)
            }
        }
        self.problems = diff.problems.map {
            Problem(severity: $0.severity.rawValue, path: $0.path, message: $0.message, line: $0.line)
        }
        self.margins = diff.margins.map {
            Margin(model: $0.model, path: $0.path, price: "\($0.price)", cost: "\($0.cost)", margin: $0.text)
        }
    }

    func text() throws -> String { try CommandJSON.of(self) }
}
