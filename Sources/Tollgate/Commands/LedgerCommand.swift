import ArgumentParser
import Billing
import PostgresLedger

struct LedgerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ledger", abstract: "The ledger as a whole.", subcommands: [NewGeneration.self])

    struct NewGeneration: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "new-generation",
            abstract: "Say that the ledger was set back: every instance posts its journals again.",
            discussion: """
                For a restore that nobody could notice. Accounts are loaded again everywhere, and what the journals \
                keep is posted once more; nothing is charged twice. Asks for nothing, and needs no restart.
                """)

        @OptionGroup var why: RequiredReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let (old, new) = try await store.ledger.startNewGeneration(
                        note: why.note)
                    store.logger.warning(
                        "the ledger has a new generation",
                        metadata: ["old": "\(old)", "new": "\(new)", "reason": "\(why.reason)"])
                    print("generation \(old) -> \(new)")
                }
            }
        }
    }
}
