import ArgumentParser
import ControlPlane
import Foundation
import Metering
import PostgresLedger
import RateCards

struct SeedCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seed",
        abstract:
            "Put the active rate card, the packages and the internal admin account in place; safe to repeat.")

    @Option(help: "Rate card to apply; default: the newest ratecards/openai-*.yaml.")
    var card: String?

    func run() async throws {
        try await reporting {
            let path = try self.card ?? RateCardFiles.newestOpenAI()
            try await StoreSession.with { store in
                for line in try await Seeding.seed(store, cardPath: path) { print(line) }
            }
        }
    }
}

/// What a new installation needs in its ledger. The packages come with the schema.
enum Seeding {
    /// Returns what was done, a line each.
    static func seed(_ store: StoreSession, cardPath: String) async throws -> [String] {
        var lines: [String] = []
        let body = try RateCardFiles.read(cardPath)
        let card = try RateCard(parsing: body)
        do {
            let applied = try await store.ledger.applyRateCard(
                card: card.card, version: card.version, effectiveFrom: card.effectiveFromMilliseconds,
                body: body, by: "seed")
            lines.append(
                "rate card \(card.identity): " + (applied == .applied ? "applied" : "already applied"))
        } catch RateCardFailure.versionTaken {
            // A ledger of an earlier release: what it was told stays in force, and it starts.
            lines.append(
                "rate card \(card.identity): kept as it was applied before, \(cardPath) has other content; "
                    + "to publish that, give it a new version and use 'tollgate ratecard apply'")
        }
        let admin = try await store.accounts().findOrCreate(userID: ControlPlane.adminUserID)
        lines.append(
            "internal account '\(ControlPlane.adminUserID)': " + (admin.created ? "created" : "exists"))
        let packages = try await store.ledger.packages()
        lines.append("packages: " + packages.map(\.code).joined(separator: ", "))
        return lines
    }
}

/// Rate cards as files.
enum RateCardFiles {
    static func read(_ path: String) throws -> String {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw UsageError("cannot read the file '\(path)'")
        }
    }

    /// The newest by name, in `ratecards/` below the working directory or beside the executable's checkout.
    static func newestOpenAI() throws -> String {
        for directory in self.directories {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            let cards = names.filter { $0.hasPrefix("openai-") && $0.hasSuffix(".yaml") }.sorted()
            if let newest = cards.last { return directory + "/" + newest }
        }
        throw UsageError("no ratecards/openai-*.yaml below the working directory; name one with --card")
    }

    private static var directories: [String] {
        var directories = ["ratecards"]
        // .build/release/tollgate and .build/debug/tollgate of a checkout.
        var url = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        for _ in 0..<5 {
            url.deleteLastPathComponent()
            directories.append(url.appendingPathComponent("ratecards").path)
        }
        // Of the Debian package.
        return directories + ["/usr/share/tollgate/ratecards"]
    }
}
