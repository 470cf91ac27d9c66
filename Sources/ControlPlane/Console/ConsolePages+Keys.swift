import Billing
import Metering

/// Keys of accounts.
extension ConsolePages {
    static let keyRoutes = [
        ConsoleRoute(
            path: "/admin/accounts/:account/new-key", role: .support,
            kind: .action(
                ConsoleAction(
                    title: "New key", verb: "Create it",
                    sheet: { console, view, entry in
                        let account = try await console.administered(view)
                        return ConsoleSheet(
                            facts: [ConsoleFact("User", .text(account.userID))],
                            inputs: [ConsoleSheet.reason(entry)])
                    }, plan: { try await $0.newKeyPlan($1, $2) }))),
        ConsoleRoute(
            path: "/admin/keys/:key/revoke", role: .support,
            kind: .action(
                ConsoleAction(
                    title: "Revoke a key", verb: "Revoke it", isDangerous: true,
                    sheet: { console, view, entry in
                        ConsoleSheet(
                            facts: try await console.facts(of: try await console.key(view), view),
                            inputs: [ConsoleSheet.reason(entry)])
                    },
                    plan: { try await $0.revokePlan($1, $2) }))),
    ]

    private func newKeyPlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let account = try await self.administered(view)
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [.init(name: "Keys of \(account.userID)", before: "as they are", after: "one more")],
            consequence: "Whoever has the key spends the credits of this user."
        ) {
            let made = try await self.read(view) {
                try await self.admin.accounts.createKey(for: account.account, label: "", note: note)
            }
            return .show(
                ConsoleOnce(
                    title: "The new key", note: "It is shown this once, and kept nowhere.",
                    words: [made.secret],
                    next: ("Back to the account", self.site.link("/admin/accounts/\(account.account)"))))
        }
    }

    /// The one that the path names.
    private func key(_ view: ConsoleView) async throws -> AdministeredKey {
        let id = try self.id(view, "key", .noSuchKey)
        guard let key = try await self.read(view, { try await self.admin.accounts.key(id) }) else {
            throw APIError.noSuchKey
        }
        return key
    }

    private func facts(of key: AdministeredKey, _ view: ConsoleView) async throws -> [ConsoleFact] {
        var user = "any: it is a service key"
        if let account = key.account {
            user = try await self.read(view) {
                try await self.admin.accounts.administered(account)?.userID ?? "–"
            }
        }
        return [
            ConsoleFact("Begins with", .text(key.prefix)), ConsoleFact("User", .text(user)),
            ConsoleFact("Since", .time(key.createdAt)),
        ]
    }

    private func revokePlan(_ view: ConsoleView, _ entry: ConsoleEntry) async throws -> ConsolePlan {
        let known = try await self.key(view)
        try view.staff.mayRevoke(known)
        let key = known.keyID
        let home = known.account.map { "/admin/accounts/\($0)" } ?? "/admin/accounts"
        let note = view.note(try entry.reason())
        return ConsolePlan(
            changes: [
                .init(
                    name: "Key \(known.prefix)…", before: known.revokedAt == nil ? "valid" : "revoked",
                    after: "revoked")
            ],
            consequence: "Every instance refuses the key within a second. It cannot be made valid again."
        ) {
            try await self.read(view) { try await self.admin.accounts.revoke(key, note: note) }
            return .go(self.site.link(home, [("done", "revoked")]))
        }
    }
}
