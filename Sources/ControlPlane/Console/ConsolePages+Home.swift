import Billing
import Metering

/// Who one is, and what waits.
extension ConsolePages {
    static let homeRoutes = [
        ConsoleRoute(path: "/admin", role: .viewer, kind: .page { try await $0.home($1) })
    ]

    private func home(_ view: ConsoleView) async throws -> Page {
        let flags = try await self.flagStates(view)
        let runs = try await self.read(view) {
            try await self.admin.books.reconciliationRuns(before: nil, limit: 1)
        }
        let reviews = try await self.reviews(view, .open)
        let dead = try await self.read(view) {
            try await self.dependencies.records.events(StoredEventQuery(outcomes: [.dead], limit: 100))
        }
        var waiting = ConsolePart("What waits for a person")
        waiting.facts = [
            ConsoleFact("Accounts to review", self.waiting(reviews.count, "/admin/reviews")),
            ConsoleFact("Dead webhook events", self.waiting(dead.count, "/admin/events?outcome=dead")),
            ConsoleFact("Last reconciliation", self.verdict(runs.first)),
        ]
        var switches = ConsolePart("Kill switches")
        switches.facts = flags.filter { Self.killSwitches.contains($0.name) }.map {
            ConsoleFact(Self.title($0.name), Self.onOff($0))
        }
        switches.links = [ConsoleLink(linkText: "All flags", linkURL: self.site.link("/admin/flags"))]
        var who = ConsolePart("Who you are")
        who.facts = [
            ConsoleFact("Name", .text(view.staff.actor)),
            ConsoleFact("Role", .text(view.staff.role.rawValue)),
            ConsoleFact("Session ends", .time(view.staff.session?.expiresAt)),
        ]
        return self.page("Overview", view, in: "/admin", [waiting, switches, who])
    }

    private func waiting(_ count: Int, _ path: String) -> ConsoleCell {
        count == 0
            ? .badge("none", .good) : .link(count >= 100 ? "100 or more" : "\(count)", self.site.base + path)
    }

    private func verdict(_ run: ReconciliationRun?) -> ConsoleCell {
        guard let run else { return .text("none yet") }
        return .link(
            "\(run.day): \(run.isClean ? "clean" : "differences")",
            self.site.link("/admin/reconciliation/\(run.run)"))
    }
}
