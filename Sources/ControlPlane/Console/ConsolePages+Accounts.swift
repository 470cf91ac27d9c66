import Billing
import Metering

/// Accounts: the list, and one of them with all that belongs to it.
extension ConsolePages {
    static let rows: Int64 = 50

    static let accountRoutes = [
        ConsoleRoute(path: "/admin/accounts", role: .viewer, kind: .page { try await $0.accounts($1) }),
        ConsoleRoute(
            path: "/admin/accounts/:account", role: .viewer, kind: .page { try await $0.account($1) }),
    ]

    /// Where a list goes on, and where it began.
    func pages(_ path: String, _ filter: [(String, String?)], next: String?, _ view: ConsoleView)
        -> [ConsoleLink]
    {
        var links: [ConsoleLink] = []
        if view.parameter("cursor") != nil {
            links.append(ConsoleLink(linkText: "← From the beginning", linkURL: self.site.link(path, filter)))
        }
        if let next {
            links.append(
                ConsoleLink(
                    linkText: "Further →", linkURL: self.site.link(path, filter + [("cursor", next)])))
        }
        return links
    }

    /// A cursor that is a number.
    func cursor(_ view: ConsoleView) throws -> Int64? {
        guard let text = view.parameter("cursor") else { return nil }
        guard let number = Int64(text), number > 0 else { throw AdminReplies.badCursor }
        return number
    }

    // MARK: The list

    private func accounts(_ view: ConsoleView) async throws -> Page {
        let path = "/admin/accounts"
        let prefix = view.parameter("prefix") ?? ""
        guard prefix.utf8.count <= 256, !prefix.unicodeScalars.contains("\0") else {
            throw APIError.badRequest("prefix", "A user id has at most 256 bytes, none of them NUL.")
        }
        let query = AccountQuery(
            prefix: prefix, keyPrefix: try Self.keyPrefix(view), account: try Self.accountNumber(view),
            after: try self.cursor(view) ?? 0, limit: Self.rows)
        let found = try await self.read(view) { try await self.admin.accounts.accounts(query) }
        var search = ConsolePart("Search")
        search.form = .filter(
            self.site.link(path),
            [
                .text("prefix", "User id begins with", prefix, isRequired: false),
                .text("accountId", "Account number", view.parameter("accountId"), isRequired: false),
                .text(
                    "keyPrefix", "A key begins with", query.keyPrefix, isRequired: false,
                    bytesMax: AdministeredKey.prefixBytes),
            ])
        if view.staff.role >= .support {
            search.links = [
                ConsoleLink(linkText: "New account", linkURL: self.site.link("/admin/new-account"))
            ]
        }
        var list = ConsolePart("Accounts")
        if found.isEmpty {
            list.emptyText = "No account of this kind."
        } else {
            list.table = ConsoleTable(
                "Accounts by number",
                [
                    .text("User"), .text("Status"), .number("Balance, credits"), .number("Number"),
                    .text("Since"),
                ],
                found.map { account in
                    var user = ConsoleCell.link(account.userID, self.site.link("\(path)/\(account.account)"))
                    user.cellClass = "long"
                    return [
                        user, Self.badge(account.status), .credits(account.balance), .count(account.account),
                        .time(account.createdAt),
                    ]
                })
        }
        let next = found.count == Int(Self.rows) ? found.last.map { String($0.account) } : nil
        let filter = ["prefix", "accountId", "keyPrefix"].map { ($0, view.parameter($0)) }
        list.links = self.pages(path, filter, next: next, view)
        return self.page("Accounts", view, in: path, [search, list])
    }

    private static func keyPrefix(_ view: ConsoleView) throws -> String? {
        guard let text = view.parameter("keyPrefix") else { return nil }
        guard text.utf8.count <= AdministeredKey.prefixBytes, !text.unicodeScalars.contains("\0") else {
            throw APIError.badRequest(
                "keyPrefix",
                "Only the first \(AdministeredKey.prefixBytes) characters of a key are looked for.")
        }
        return text
    }

    private static func accountNumber(_ view: ConsoleView) throws -> AccountID? {
        guard let text = view.parameter("accountId") else { return nil }
        guard let number = Int64(text), number > 0 else {
            throw APIError.badRequest("accountId", "An account number is a whole number above 0.")
        }
        return number
    }

    static func badge(_ status: AccountStatus) -> ConsoleCell {
        .badge(status.rawValue, status == .active ? .good : .bad)
    }

    // MARK: One

    /// The one that the path names.
    func administered(_ view: ConsoleView) async throws -> AdministeredAccount {
        let id = try self.id(view, "account", .noSuchAccount)
        return try await self.read(view) {
            guard let account = try await self.admin.accounts.administered(id) else {
                throw APIError.noSuchAccount
            }
            return account
        }
    }

    private func account(_ view: ConsoleView) async throws -> Page {
        let account = try await self.administered(view)
        let id = account.account
        let standing = try await self.read(view) { try await self.admin.accounts.accountStanding(id) }
        let held = await self.dependencies.held.held(of: id)
        let live = await self.admin.holds.liveHolds(of: id)
        var parts = [self.balancePart(account, held, view), self.standingPart(account, standing, view)]
        parts.append(self.holdsPart(live))
        parts.append(self.limitsPart(account, view))
        parts.append(self.capsPart(await self.admin.holds.capSpend(of: id)))
        parts.append(try await self.keysPart(account, view))
        parts.append(try await self.ledgerPart(account, view))
        parts.append(try await self.usagePart(account, view))
        return self.page("Account", view, in: "/admin/accounts", lead: account.userID, parts)
    }

    private func path(_ account: AdministeredAccount, _ rest: String) -> String {
        self.site.link("/admin/accounts/\(account.account)\(rest)")
    }

    /// Links to what one's role may do.
    private func actions(
        _ account: AdministeredAccount, _ view: ConsoleView,
        _ known: [(role: StaffRole, text: String, rest: String)]
    ) -> [ConsoleLink] {
        known.filter { view.staff.role >= $0.role }.map {
            ConsoleLink(linkText: $0.text, linkURL: self.path(account, $0.rest))
        }
    }

    private func balancePart(
        _ account: AdministeredAccount, _ held: Millicredits?, _ view: ConsoleView
    ) -> ConsolePart {
        var part = ConsolePart("Credits")
        let available = held.map { Int64(account.balance.value) - $0.value - account.floor.value }
        part.facts = [
            ConsoleFact("Balance", Self.credits(account.balance.value)),
            ConsoleFact("Held", Self.credits(held?.value)),
            ConsoleFact("Available", Self.credits(available)),
            ConsoleFact("May go down to", Self.credits(account.floor.value)),
        ]
        part.links = self.actions(account, view, [(.finance, "Adjust the balance", "/adjust")])
        part.links.append(
            ConsoleLink(
                linkText: "Purchases",
                linkURL: self.site.link("/admin/purchases", [("userId", account.userID)])))
        return part
    }

    private static func credits(_ millicredits: Int64?) -> ConsoleCell {
        millicredits.map { .text(Figures.credits($0), fine: "credits") } ?? .text("not known")
    }

    private func standingPart(
        _ account: AdministeredAccount, _ standing: AccountStanding, _ view: ConsoleView
    ) -> ConsolePart {
        var part = ConsolePart("Status")
        part.facts = [
            ConsoleFact("Status", Self.badge(account.status)),
            ConsoleFact(
                "Requests",
                account.isBlocked ? .badge("refused", .bad) : .badge("served", .good)),
            ConsoleFact("Account number", .text(String(account.account))),
            ConsoleFact("Since", .time(account.createdAt)),
        ]
        if let actor = standing.actor {
            part.facts += [
                ConsoleFact("Status set by", .text(actor)), ConsoleFact("Why", .text(standing.reason ?? "–")),
                ConsoleFact("When", .time(standing.changedAt)),
            ]
        }
        if !standing.disputes.isEmpty {
            part.table = ConsoleTable(
                "Disputes", [.text("Dispute"), .text("State"), .text("Since"), .text("Purchase")],
                standing.disputes.map {
                    [
                        .long($0.dispute),
                        .badge($0.isLifted ? "\($0.state), lifted" : $0.state, $0.isLifted ? .info : .bad),
                        .time($0.since), .long($0.purchase.description),
                    ]
                })
        }
        part.links = self.actions(
            account, view,
            [(.support, account.status == .active ? "Suspend" : "Make active", "/status")])
        return part
    }

    private func holdsPart(_ live: [OpenHold]?) -> ConsolePart {
        var part = ConsolePart("Held at this moment")
        guard let live, !live.isEmpty else {
            part.emptyText = live == nil ? "The hold store cannot be read right now." : "Nothing is held."
            return part
        }
        part.table = ConsoleTable(
            "Holds", [.text("Hold"), .number("Credits"), .text("State")],
            live.map {
                [
                    .long($0.hold.description), .credits($0.amount),
                    $0.isCaptured ? .badge("captured, being posted", .warning) : .badge("held", .info),
                ]
            })
        return part
    }

    private func limitsPart(_ account: AdministeredAccount, _ view: ConsoleView) -> ConsolePart {
        var part = ConsolePart("Limits")
        func text(_ limit: Int64?) -> ConsoleCell {
            .text(limit.map { $0 == 0 ? "no limit" : Figures.count($0) } ?? "as configured")
        }
        part.facts = [
            ConsoleFact("Requests per minute", text(account.limits.requestsPerMinute)),
            ConsoleFact("Tokens per minute", text(account.limits.tokensPerMinute)),
            ConsoleFact("Streams at once", text(account.limits.streams)),
            ConsoleFact("Holds of streams", .text(account.holds?.rawValue ?? "as configured")),
        ]
        part.links = self.actions(
            account, view,
            [(.support, "Change the limits", "/limits"), (.support, "Change the holds", "/holds")])
        return part
    }

    private func keysPart(_ account: AdministeredAccount, _ view: ConsoleView) async throws -> ConsolePart {
        let keys = try await self.read(view) {
            try await self.admin.accounts.keys(of: account.account, before: nil, limit: 100)
        }
        var part = ConsolePart("Keys")
        if keys.isEmpty {
            part.emptyText = "No keys."
        } else {
            let mayRevoke = view.staff.role >= .support
            part.table = ConsoleTable(
                "Keys, newest first",
                [.text("Begins with"), .text("Since"), .text("State")] + (mayRevoke ? [.text("Action")] : []),
                keys.map { key in
                    let state = key.revokedAt.map { "revoked \(Moment($0).text)" }
                    let cells: [ConsoleCell] = [
                        .name(key.prefix), .time(key.createdAt),
                        state.map { .badge($0, .info) } ?? .badge("valid", .good),
                    ]
                    guard mayRevoke else { return cells }
                    return cells + [
                        key.revokedAt != nil
                            ? .none
                            : .action(
                                "Revoke", of: key.prefix, self.site.link("/admin/keys/\(key.keyID)/revoke"))
                    ]
                })
        }
        part.links = self.actions(account, view, [(.support, "New key", "/new-key")])
        return part
    }

    private func ledgerPart(_ account: AdministeredAccount, _ view: ConsoleView) async throws -> ConsolePart {
        let path = "/admin/accounts/\(account.account)"
        let before = view.parameter("ledger").flatMap { LedgerCursor.version($0) }
        let lines = try await self.read(view) {
            try await self.dependencies.history.ledger(
                LedgerQuery(account: account.account, before: before, limit: Self.rows))
        }
        var part = ConsolePart("Ledger")
        guard !lines.isEmpty else {
            part.emptyText = "No lines."
            return part
        }
        part.table = ConsoleTable(
            "Ledger, newest first",
            [
                .text("Time"), .text("Type"), .number("Change, credits"), .number("Balance after, credits"),
                .text("Belongs to"),
            ],
            lines.map { entry in
                [
                    .time(entry.line.createdAt), .text(entry.line.type),
                    .number(Figures.change(entry.line.amount)), .credits(entry.line.balanceAfter),
                    .long("\(entry.line.referenceType) \(entry.line.referenceID)"),
                ]
            })
        if lines.count == Int(Self.rows), let last = lines.last {
            part.links = [
                ConsoleLink(
                    linkText: "Older lines →",
                    linkURL: self.site.link(path, [("ledger", LedgerCursor.text(after: last.line))]))
            ]
        }
        return part
    }

    private func usagePart(_ account: AdministeredAccount, _ view: ConsoleView) async throws -> ConsolePart {
        let before = view.parameter("usage").flatMap { HoldID(text: $0) }
        let lines = try await self.read(view) {
            try await self.dependencies.billing.usage(
                UsageQuery(
                    account: account.account, model: nil, from: nil, to: nil, before: before,
                    limit: Self.rows))
        }
        var part = ConsolePart("Usage")
        guard !lines.isEmpty else {
            part.emptyText = "No usage."
            return part
        }
        part.table = ConsoleTable(
            "Exchanges, newest first",
            [
                .text("Time"), .text("Model"), .number("Credits"), .number("Input tokens"),
                .number("Output tokens"),
                .text("Kind"),
            ],
            lines.map {
                [
                    .time($0.occurredAt), .name($0.model, fine: $0.estimated ? "estimated" : nil),
                    .credits($0.charged), .count($0.inputTokens), .count($0.outputTokens), .text($0.kind),
                ]
            })
        if lines.count == Int(Self.rows), let last = lines.last {
            part.links = [
                ConsoleLink(
                    linkText: "Older exchanges →",
                    linkURL: self.site.link(
                        "/admin/accounts/\(account.account)", [("usage", last.hold.description)]))
            ]
        }
        return part
    }
}
