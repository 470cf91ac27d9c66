import ArgumentParser
import Billing
import Metering
import PostgresLedger

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Who pays: create, list, show, suspend, limit, adjust.",
        subcommands: [
            Create.self, List.self, Show.self, SetStatus.self, Limits.self, Holds.self, Adjust.self,
        ])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create an account; a user that exists already is left as it is.")

        @Option(help: "External user id, 1 to 256 bytes.")
        var user: String
        @Option(help: "Whole credits to grant once (promotional); 1,000 credits = 1 USD.")
        var credits: Int64 = 0
        @OptionGroup var why: OptionalReason

        func validate() throws {
            guard credits >= 0, Millicredits(credits: credits) != nil else {
                throw ValidationError("--credits must be a whole number from 0 to 9000000000000")
            }
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let (account, created, receipt) = try await store.accounts().create(
                        userID: user, credits: Millicredits(credits: credits) ?? .zero,
                        note: why.note("account create"))
                    if let receipt {
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
        static let configuration = CommandConfiguration(abstract: "One account, with its newest exchanges.")

        @Option(help: "External user id.")
        var user: String

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let account = try await store.accounts().existing(user)
                    print(account.line)
                    print(
                        "balance  \(account.balance.balance) millicredits, version \(account.balance.version)"
                    )
                    print("floor    \(account.gate.floor) millicredits")
                    print("blocked  \(account.gate.blocked ? "yes" : "no")")
                    let standing = try await store.accounts().standing(of: account.account)
                    for line in standing.lines { print(line) }
                    for line in try await store.ledger.usage(.init(account: account.account, limit: 10)) {
                        print("usage    \(line.text)")
                    }
                }
            }
        }
    }

    struct Limits: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show or change the limits of an account; every instance knows them within a second.")

        @Option(help: "External user id.")
        var user: String
        @OptionGroup var limits: LimitOptions
        @OptionGroup var why: OptionalReason

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let book = store.accounts()
                    let account = try await book.existing(user)
                    let now = try await book.changeLimits(
                        of: account.account, limits.changes, note: why.note("account limits"))
                    print("user\t\(RequestLimitOverrides.heading)\n\(user)\t\(now.line)")
                }
            }
        }
    }

    struct Holds: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show or change what is set aside for the streams of an account.",
            discussion: """
                full: the worst case at once. rolling: a step at a time while the stream goes on, so that a small
                balance serves several; the stream ends when the credits have. Rolling is used where every billed
                token is visible: models without hidden reasoning, no hosted tools, no audio. A row of the rate card
                that says `holds` comes first. Every instance knows a change within a second.
                """)

        @Option(help: "External user id.")
        var user: String
        @Argument(help: "full, rolling, or default for what is configured (BILLING_HOLDS).")
        var policy: String?
        @OptionGroup var why: OptionalReason

        func validate() throws {
            guard let policy, policy != "default", HoldPolicy(rawValue: policy) == nil else { return }
            throw ValidationError("the policy must be full, rolling or default")
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let book = store.accounts()
                    let account = try await book.existing(user)
                    if let policy {
                        try await book.setHolds(
                            HoldPolicy(rawValue: policy), of: account.account,
                            note: why.note("account holds"))
                    }
                    let now = try await book.holds(of: account.account)
                    print("user\tholds\n\(user)\t\(now?.rawValue ?? "default")")
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
        @OptionGroup var why: RequiredReason
        @Option(help: "The same key again changes nothing and answers as the first time.")
        var idempotencyKey: String

        func validate() throws {
            guard millicredits != 0, Millicredits(exactly: millicredits) != nil else {
                throw ValidationError("--millicredits must not be 0, nor beyond 9000000000000000")
            }
            if idempotencyKey.isEmpty { throw ValidationError("--idempotency-key must not be empty") }
        }

        func run() async throws {
            try await reporting {
                try await StoreSession.with { store in
                    let account = try await store.accounts().existing(user)
                    guard let amount = Millicredits(exactly: millicredits) else {
                        preconditionFailure("validate() looked at it")
                    }
                    let receipt = try await store.ledger.grant(
                        Grant(
                            account: account.account, amount: amount, kind: .adjustment,
                            sourceRef: "adjust:" + idempotencyKey, reason: why.reason),
                        note: why.note)
                    print(
                        "balance \(receipt.balance.balance) millicredits"
                            + (receipt.repeated ? " (this key was applied before)" : ""))
                }
            }
        }
    }
}

extension AccountBook {
    /// - Throws: `CommandFailure` that names the user.
    func existing(_ user: String) async throws -> Account {
        guard let account = try await self.account(userID: user) else {
            throw CommandFailure("no account of user '\(user)'")
        }
        return account
    }
}

extension AccountBook.Account {
    fileprivate var line: String {
        "\(self.account)\t\(self.userID)\t\(self.status.rawValue)\t\(self.balance.balance.creditsText)"
    }
}

extension UsageLine {
    fileprivate var text: String {
        let parts = self.parts.map { " \($0.name) \($0.count)" }.joined()
        return
            "\(self.hold) \(self.kind) \(self.model) input \(self.inputTokens) cached \(self.cachedInputTokens) "
            + "output \(self.outputTokens)\(parts): \(self.charged) millicredits"
            + (self.estimated ? " (estimated)" : "")
    }
}
