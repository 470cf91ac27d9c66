import Billing
import Metering

/// Shadow billing: what was served and not charged, beside what charging would have brought.
extension ConsolePages {
    static let shadowRoutes = [
        ConsoleRoute(path: "/admin/shadow-report", role: .viewer, kind: .page { try await $0.shadow($1) })
    ]

    private static let shadowAccounts = 100

    private func shadow(_ view: ConsoleView) async throws -> Page {
        let path = "/admin/shadow-report"
        var range = DayRange(view.parameters)
        let today = CreditsPages.today()
        if view.parameters.isEmpty {
            range.through = today
            range.from = UTCDay(daysSinceEpoch: Int64(today.daysSinceEpoch) + 1 - Self.dashboardDays)
        }
        var search = ConsolePart("Days")
        search.form = .filter(self.site.link(path), ConsoleInput.days(range, view))
        guard range.isSound else { return self.page("Shadow billing", view, in: path, [search]) }
        let parts = try await self.part("Not charged", view) {
            self.shadowParts(
                try await self.admin.dashboards.shadowReport(
                    from: range.fromMilliseconds, to: range.toMilliseconds))
        }
        return self.page("Shadow billing", view, in: path, [search] + parts)
    }

    private func shadowParts(_ report: ShadowReport) -> [ConsolePart] {
        var total = ConsolePart(
            "Not charged",
            note:
                "What was served while charging was off, or to users outside of the rollout, beside what their "
                + "balances could have paid of it.")
        guard report.total.requests > 0 else {
            total.emptyText = "Every request of these days was charged: there is nothing to compare."
            return [total]
        }
        let sums = report.total
        total.facts = [
            ConsoleFact("Requests", .text(Figures.count(sums.requests))),
            ConsoleFact("Would have been charged", Self.amount(sums.shadow)),
            ConsoleFact("Balances could have paid", Self.amount(sums.payable)),
            ConsoleFact("Requests that no balance covered", .text(Figures.count(sums.refused))),
            ConsoleFact("Cost", .text(Figures.dollars(ExactDecimal(coefficient: sums.cost, scale: 12)))),
        ]
        let days = report.byDay.sorted { $1.key < $0.key }.map {
            (ConsoleCell.text(Moment.text($0.key)), $0.value)
        }
        let models = report.byModel.sorted { $0.key < $1.key }.map { (ConsoleCell.name($0.key), $0.value) }
        return [
            total, Self.shadowPart("By day", "Day", days), Self.shadowPart("By model", "Model", models),
            self.shadowAccounts(report),
        ]
    }

    private func shadowAccounts(_ report: ShadowReport) -> ConsolePart {
        let dearest = report.byAccount.sorted { ($1.value.shadow, $0.key) < ($0.value.shadow, $1.key) }
        let lines = dearest.prefix(Self.shadowAccounts).map { account, sums in
            var user = ConsoleCell.link(
                report.users[account] ?? String(account), self.site.link("/admin/accounts/\(account)"))
            user.cellClass = "long"
            return (user, sums)
        }
        var part = Self.shadowPart("By account", "User", lines)
        if dearest.count > lines.count {
            part.partNote =
                "The first \(Self.shadowAccounts) of \(Figures.count(Int64(dearest.count))), "
                + "by what they would have been charged."
        }
        return part
    }

    private static func shadowPart(
        _ title: String, _ name: String, _ lines: [(ConsoleCell, ShadowReport.Sums)]
    ) -> ConsolePart {
        var part = ConsolePart(title)
        part.table = ConsoleTable(
            "Not charged, \(title.lowercased())",
            [
                .text(name), .number("Requests"), .number("Would have been charged, credits"),
                .number("Could have paid, credits"), .number("Without cover"), .number("Cost, US dollars"),
            ],
            lines.map { cell, sums in
                [
                    cell, .count(sums.requests), Self.credits(sums.shadow), Self.credits(sums.payable),
                    .count(sums.refused),
                    .number(Figures.dollars(ExactDecimal(coefficient: sums.cost, scale: 12))),
                ]
            })
        return part
    }

    private static func amount(_ millicredits: Int128) -> ConsoleCell {
        .text(Figures.decimal(ExactDecimal(coefficient: millicredits, scale: 3)), fine: "credits")
    }
}

extension ConsoleInput {
    /// The first and the last day that a list is narrowed to.
    static func days(_ range: DayRange, _ view: ConsoleView) -> [ConsoleInput] {
        [
            Self.day(
                "from", "First day (UTC)", view.parameter("from") ?? range.from?.description,
                range.fromProblem),
            Self.day(
                "to", "Last day (UTC)", view.parameter("to") ?? range.through?.description,
                range.throughProblem),
        ]
    }

    private static func day(_ name: String, _ label: String, _ value: String?, _ problem: String?)
        -> ConsoleInput
    {
        var input = ConsoleInput.text(name, label, value, isRequired: false)
        input.inputType = "date"
        input.problem = problem
        return input
    }
}
