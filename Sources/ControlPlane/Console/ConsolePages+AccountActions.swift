import Billing
import Crypto
import Metering

/// What is changed of an account.
extension ConsolePages {
    static let accountActions = [
        Self.accountAction(
            "/admin/new-account", .support, "New account", "Create it",
            sheet: { _, _, entry in
                ConsoleSheet(inputs: [
                    .text("userId", "User id", entry["userId"], hint: "As the app names the user."),
                    ConsoleSheet.reason(entry),
                ])
            }, plan: { try await $0.createPlan($1, $2) }),
        Self.accountAction(
            "/admin/accounts/:account/status", .support, "Status of an account", "Set it", isDangerous: true,
            sheet: { try await $0.statusSheet($1, $2) }, plan: { try await $0.statusPlan($1, $2) }),
        Self.accountAction(
            "/admin/accounts/:account/adjust", .finance, "Adjust a balance", "Adjust it", isDangerous: true,
            sheet: { try await $0.adjustSheet($1, $2) }, plan: { try await $0.adjustPlan($1, $2) }),
        Self.accountAction(
            "/admin/accounts/:account/limits", .support, "Limits of an account", "Set them",
            sheet: { try await $0.limitsSheet($1, $2) }, plan: { try await $0.limitsPlan($1, $2) }),
        Self.accountAction(
            "/admin/accounts/:account/holds", .support, "Holds of an account", "Set it",
            sheet: { try await $0.policySheet($1, $2) }, plan: { try await $0.policyPlan($1, $2) }),
    ]

    private static func accountAction(
        _ path: String, _ role: StaffRole, _ title: String, _ verb: String, isDangerous: Bool = false,
        sheet: @escaping @Sendable (ConsolePages, ConsoleView, ConsoleEntry) async throws -> ConsoleSheet,
        plan: @escaping @Sendable (ConsolePages, ConsoleView, ConsoleEntry) async throws -> ConsolePlan
    ) -> ConsoleRoute {
        ConsoleRoute(
            path: path, role: role,
            kind: .action(
                ConsoleAction(title: title, verb: verb, isDangerous: isDangerous, sheet: sheet, plan: plan)))
    }

    /// By which a change counts once, however often its form is sent.
    static func freshKey() -> String { "console-" + SessionToken().text.prefix(32) }

    private func done(_ account: AdministeredAccount, _ word: String) -> ConsolePlan.Outcome {
        .go(self.site.link("/admin/accounts/\(account.account)", [("done", word)]))
    }

    private func facts(_ account: AdministeredAccount) -> [ConsoleFact] {
        [
            ConsoleFact("User", .text(account.userID)), ConsoleFact("Status", Self.badge(account.status)),
            ConsoleFact("Balance", .text(Figures.credits(account.balance), fine: "credits")),
        ]
    }

    // MARK: Create

    private func createPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let user = try entry.text("userId", "The user id", 1...256)
        guard UserID.isValid(user) else {
            throw APIError.badRequest("userId", "The user id must not have control characters.")
        }
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [.init(name: "Account", before: "none", after: user)],
            consequence: "The account begins with no credits. One that exists is left as it is."
        ) {
            let made = try await self.read(view) {
                try await self.admin.accounts.create(userID: user, note: note)
            }
            return .go(self.site.link("/admin/accounts/\(made.account)"))
        }
    }

    // MARK: Status

    private func statusSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        let account = try await self.administered(view)
        let other = account.status == .active ? AccountStatus.suspended : .active
        return ConsoleSheet(
            facts: self.facts(account),
            inputs: [
                .choice(
                    "status", "New status", [("suspended", "Suspended"), ("active", "Active")],
                    entry["status"] ?? other.rawValue), ConsoleSheet.reason(entry),
            ])
    }

    private func statusPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let account = try await self.administered(view)
        let status = try entry.word("status", "The status", AccountStatus.self)
        guard status != .closed else {
            throw APIError.badRequest("status", "An account is not closed here.")
        }
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [.init(name: account.userID, before: account.status.rawValue, after: status.rawValue)],
            consequence: status == .suspended
                ? "Every request of this user is refused with 403 within a second. What runs is finished and charged."
                : "The user is served again, and disputes that stopped the account are lifted."
        ) {
            try await self.read(view) {
                try await self.admin.accounts.set(status, of: account.account, note: note)
            }
            return self.done(account, "status")
        }
    }

    // MARK: Balance

    private func adjustSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        let account = try await self.administered(view)
        return ConsoleSheet(
            facts: self.facts(account),
            inputs: [
                .text("amount", "Credits to add", entry["amount"], hint: "With a minus, they are taken."),
                ConsoleSheet.reason(entry),
            ], hidden: [("idempotencyKey", entry["idempotencyKey"] ?? Self.freshKey())])
    }

    private func adjustPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let account = try await self.administered(view)
        let amount = try Self.signedCredits(entry, "amount")
        let key = try entry.text("idempotencyKey", "The form", 1...200)
        let after = Int128(account.balance.value) + Int128(amount.value)
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [
                .init(
                    name: "Balance of \(account.userID), credits", before: Figures.credits(account.balance),
                    after: Figures.decimal(ExactDecimal(coefficient: after, scale: 3)))
            ], consequence: "The ledger gets one line of \(Figures.change(amount)) credits, for good.",
            warning: after < 0 ? "The balance would be below zero." : nil
        ) {
            let done = try await self.read(view) {
                try await self.admin.accounts.adjust(account.account, by: amount, key: key, note: note)
            }
            return self.done(account, done.isRepeated ? "repeated" : "adjusted")
        }
    }

    /// `-12.5`
    static func signedCredits(_ entry: ConsoleEntry, _ name: String) throws -> Millicredits {
        var text = try entry.text(name, "The amount", 1...40)
        let isNegative = text.hasPrefix("-") || text.hasPrefix("−")
        if isNegative || text.hasPrefix("+") { text.removeFirst() }
        guard let value = Figures.parse(text, digits: 3), value > 0,
            let amount = Millicredits(exactly: isNegative ? -value : value)
        else {
            throw APIError.badRequest(
                name, "Must be a number of credits other than 0, with at most three decimals.")
        }
        return amount
    }

    // MARK: Limits

    private static let limitNames = [
        ("requestsPerMinute", "Requests per minute"), ("tokensPerMinute", "Tokens per minute"),
        ("streams", "Streams at once"),
    ]

    private static func values(_ limits: RequestLimitOverrides) -> [Int64?] {
        [limits.requestsPerMinute, limits.tokensPerMinute, limits.streams]
    }

    private func limitsSheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        let account = try await self.administered(view)
        let isTyped = entry.values["reason"] != nil
        let inputs = zip(Self.limitNames, Self.values(account.limits)).map { known, value in
            ConsoleInput.text(
                known.0, known.1, isTyped ? entry[known.0] : value.map { String($0) },
                hint: "Empty: as configured. 0: no limit.", isRequired: false)
        }
        return ConsoleSheet(facts: self.facts(account), inputs: inputs + [ConsoleSheet.reason(entry)])
    }

    private func limitsPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let account = try await self.administered(view)
        let limits = try Self.limitNames.map { name, _ -> Int64? in
            guard let text = entry[name] else { return nil }
            guard let value = Int64(text), RequestLimitOverrides.range.contains(value) else {
                throw APIError.badRequest(
                    name,
                    "Must be a whole number from 0 to \(RequestLimitOverrides.range.upperBound), or empty.")
            }
            return value
        }
        let note = view.note(try entry.reason())
        func text(_ value: Int64?) -> String {
            value.map { $0 == 0 ? "no limit" : Figures.count($0) } ?? "as configured"
        }
        let changes = zip(Self.limitNames, zip(Self.values(account.limits), limits)).map { known, pair in
            ConsolePlan.Change(name: known.1, before: text(pair.0), after: text(pair.1))
        }
        return ConsolePlan(changes: changes, consequence: "Requests above a limit are refused with 429.") {
            try await self.read(view) {
                try await self.admin.accounts.set(
                    RequestLimitOverrides(
                        requestsPerMinute: limits[0], tokensPerMinute: limits[1], streams: limits[2]),
                    of: account.account, note: note)
            }
            return self.done(account, "limits")
        }
    }

    private func policySheet(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsoleSheet {
        let account = try await self.administered(view)
        return ConsoleSheet(
            facts: self.facts(account),
            inputs: [
                .choice(
                    "policy", "What is held for a stream",
                    [
                        ("configured", "As configured"), ("full", "All that it may cost"),
                        ("rolling", "Little by little"),
                    ], entry["policy"] ?? account.holds?.rawValue ?? "configured"),
                ConsoleSheet.reason(entry),
            ])
    }

    private func policyPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let account = try await self.administered(view)
        let policy =
            entry["policy"] == "configured" ? nil : try entry.word("policy", "The policy", HoldPolicy.self)
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [
                .init(
                    name: "Holds of streams", before: account.holds?.rawValue ?? "as configured",
                    after: policy?.rawValue ?? "as configured")
            ], consequence: "It counts for streams that begin from then on."
        ) {
            try await self.read(view) {
                try await self.admin.accounts.set(policy, of: account.account, note: note)
            }
            return self.done(account, "policy")
        }
    }
}
