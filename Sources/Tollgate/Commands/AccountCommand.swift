import ArgumentParser
import Metering
import PostgresLedger

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Who pays: create, list, show, adjust.",
        subcommands: [Create.self, List.self, Show.self, Adjust.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an account; a user that exists already is left as it is.")

        @Option(help: "External user id, 1 to 256 bytes.")
        var user: String
        @Option(help: "Whole credits to grant once (promotional); 1,000 credits = 1 USD.")
        var credits: Int64 = 0

        func validate() throws {
            guard credits >= 0, Millicredits(credits: credits) != nil else {
                throw ValidationError("--credits must be a whole number from 0 to 9000000000000")
            }
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let (account, created) = try await store.accounts().findOrCreate(userID: user)
                    if let amount = Millicredits(credits: credits), amount > .zero {
                        // Keyed by account: creating the same user twice grants once.
                        let receipt = try await store.ledger.grant(
                            Grant(
                                account: account, amount: amount, kind: .promotional,
                                sourceRef: "account-create:\(account)", reason: "account create"))
                        print(
                            "account \(account) of user \(user): \(receipt.balance.balance.creditsText) credits"
                                + (receipt.repeated ? " (granted before)" : ""))
                    } else {
                        print("account \(account) of user \(user)" + (created ? "" : " (exists)"))
                    }
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "All accounts, with balances in credits.")

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    print("account\tuser\tstatus\tcredits")
                    var after: AccountID = 0
                    while true {
                        let page = try await store.accounts().list(after: after, limit: 500)
                        for account in page { print(account.line) }
                        guard let last = page.last, page.count == 500 else { return }
                        after = last.account
                    }
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "One account.")

        @Option(help: "External user id.")
        var user: String

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    guard let account = try await store.accounts().account(userID: user) else {
                        throw UsageError("no account of user '\(user)'")
                    }
                    print(account.line)
                    print(
                        "balance  \(account.balance.balance) millicredits, version \(account.balance.version)"
                    )
                    print("floor    \(account.gate.floor) millicredits")
                    print("blocked  \(account.gate.blocked ? "yes" : "no")")
                }
            }
        }
    }

    struct Adjust: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add or take millicredits, once per idempotency key.")

        @Option(help: "External user id.")
        var user: String
        @Option(help: "Signed amount; 1,000 millicredits = 1 credit.")
        var millicredits: Int64
        @Option(help: "Kept in the ledger with the entry.")
        var reason: String
        @Option(help: "The same key again changes nothing and answers as the first time.")
        var idempotencyKey: String

        func validate() throws {
            guard millicredits != 0, Millicredits(exactly: millicredits) != nil else {
                throw ValidationError("--millicredits must not be 0, nor beyond 9000000000000000")
            }
            if reason.isEmpty { throw ValidationError("--reason must not be empty") }
            if idempotencyKey.isEmpty { throw ValidationError("--idempotency-key must not be empty") }
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    guard let account = try await store.accounts().account(userID: user),
                        let amount = Millicredits(exactly: millicredits)
                    else { throw UsageError("no account of user '\(user)'") }
                    let receipt = try await store.ledger.grant(
                        Grant(
                            account: account.account, amount: amount, kind: .adjustment,
                            sourceRef: "adjust:" + idempotencyKey, reason: reason))
                    print(
                        "balance \(receipt.balance.balance) millicredits"
                            + (receipt.repeated ? " (this key was applied before)" : ""))
                }
            }
        }
    }
}

extension AccountBook.Account {
    fileprivate var line: String {
        "\(self.account)\t\(self.userID)\t\(self.status.rawValue)\t\(self.balance.balance.creditsText)"
    }
}
