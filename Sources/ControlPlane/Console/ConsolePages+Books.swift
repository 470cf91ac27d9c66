import Billing
import Metering

/// Reconciliation and the dashboards.
extension ConsolePages {
    static let booksRoutes = [
        ConsoleRoute(
            path: "/admin/reconciliation", role: .viewer, kind: .page { try await $0.reconciliation($1) }),
        ConsoleRoute(
            path: "/admin/reconciliation/:run", role: .viewer, kind: .page { try await $0.findings($1) }),
        ConsoleRoute(path: "/admin/finance", role: .finance, kind: .page { try await $0.finance($1) }),
        ConsoleRoute(path: "/admin/operations", role: .viewer, kind: .page { try await $0.operations($1) }),
    ]

    static let dashboardDays: Int64 = 30

    // MARK: Reconciliation

    private func reconciliation(_ view: ConsoleView) async throws -> Page {
        let path = "/admin/reconciliation"
        let before = try self.cursor(view)
        let runs = try await self.read(view) {
            try await self.admin.books.reconciliationRuns(before: before, limit: Self.rows)
        }
        var list = ConsolePart("Runs")
        if runs.isEmpty {
            list.emptyText = "Nothing was compared yet."
        } else {
            list.table = ConsoleTable(
                "Runs, newest first",
                [
                    .text("Run"), .text("Day"), .text("Verdict"), .number("Differences"),
                    .number("Mismatch, credits"), .text("Finished"), .text("By"),
                ],
                runs.map { run in
                    [
                        .link(String(run.run), self.site.link("\(path)/\(run.run)")), .text(run.day),
                        Self.verdict(run), .count(run.results.reduce(0) { $0 + $1.findings }),
                        Self.mismatch(run.mismatch), .time(run.finishedAt), .text(run.source),
                    ]
                })
        }
        let next = runs.count == Int(Self.rows) ? runs.last.map { String($0.run) } : nil
        list.links = self.pages(path, [], next: next, view)
        return self.page("Reconciliation", view, in: path, [list])
    }

    private static func verdict(_ run: ReconciliationRun) -> ConsoleCell {
        guard run.isComplete else { return .badge("not complete", .warning) }
        return run.isClean ? .badge("clean", .good) : .badge("differences", .bad)
    }

    private static func outcome(_ word: String) -> ConsoleCell {
        let tone: PageNotice.Tone =
            switch word {
            case "clean": .good
            case "mismatch": .bad
            default: .warning
            }
        return .badge(word.split(separator: "_").joined(separator: " "), tone)
    }

    /// - Parameter millicredits: as the ledger has it, a whole number.
    private static func mismatch(_ millicredits: String) -> ConsoleCell {
        Int128(millicredits).map { Self.credits($0) } ?? .number(millicredits)
    }

    private func findings(_ view: ConsoleView) async throws -> Page {
        let id = try self.id(view, "run", .noSuchRun)
        let (run, found) = try await self.read(view) {
            // The page that ends with it: the one before the next.
            let page = try await self.admin.books.reconciliationRuns(before: id + 1, limit: 1)
            return (page.first { $0.run == id }, try await self.admin.books.findings(of: id))
        }
        guard let found else { throw APIError.noSuchRun }
        var parts: [ConsolePart] = []
        if let run {
            var checks = ConsolePart("Checks")
            checks.table = ConsoleTable(
                "Checks of the run",
                [
                    .text("Check"), .text("Outcome"), .number("Differences"),
                    .number("Mismatch, credits"),
                ],
                run.results.map {
                    [
                        .text($0.check), Self.outcome($0.outcome), .count($0.findings),
                        Self.mismatch($0.mismatch),
                    ]
                })
            parts.append(checks)
        }
        var list = ConsolePart("Differences", note: "The first thousand of each check.")
        if found.isEmpty {
            list.emptyText = "None."
        } else {
            list.table = ConsoleTable(
                "Differences",
                [
                    .text("Check"), .text("Subject"), .number("Expected"), .number("Found"), .text("Unit"),
                    .text("Detail"),
                ],
                found.map { stored in
                    let amounts = stored.finding.amounts
                    return [
                        .text(stored.check), .long(stored.finding.subject),
                        amounts.map { .count($0.expected) } ?? .noNumber,
                        amounts.map { .count($0.found) } ?? .noNumber, .text(amounts?.unit.rawValue ?? "–"),
                        .long(stored.finding.detail),
                    ]
                })
        }
        return self.page("Run \(id)", view, in: "/admin/reconciliation", parts + [list])
    }

    // MARK: Finance

    private func finance(_ view: ConsoleView) async throws -> Page {
        let figures = try await self.read(view) { try await self.admin.books.figures() }
        var now = ConsolePart("Now")
        now.facts = [
            ConsoleFact("Outstanding credits are worth", Self.amount(figures?.liability)),
            ConsoleFact("Deferred revenue", Self.amount(figures?.deferredRevenue)),
            ConsoleFact("Margin of yesterday", Self.amount(figures?.marginYesterday)),
            ConsoleFact("Read", .time(figures.map { $0.readAt * 1000 })),
        ]
        let days = try await self.part("Day by day", view) {
            self.flow(try await self.admin.dashboards.financeDays(Self.dashboardDays))
        }
        let models = try await self.part("Models of the last seven days", view) {
            [self.modelsPart(try await self.admin.dashboards.topModels(limit: 20))]
        }
        return self.page("Finance", view, in: "/admin/finance", [now] + days + models)
    }

    /// Parts of a dashboard. Where a ledger is too large for them, that is said, and the page shows the others.
    func part(
        _ title: String, _ view: ConsoleView, _ body: () async throws -> [ConsolePart]
    ) async throws -> [ConsolePart] {
        do {
            return try await self.read(view) {
                do { return try await body() } catch let slow as DashboardTooSlow {
                    throw APIError.tooSlow(slow)
                }
            }
        } catch let error as APIError where error.code == "too_slow" {
            var part = ConsolePart(title)
            part.emptyText = error.message
            return [part]
        }
    }

    private func flow(_ days: [FinanceDay]) -> [ConsolePart] {
        let newest = Array(days.reversed())
        let flow = self.chart(
            "Purchases and deductions", "US dollars a day; a credit is a thousandth of a dollar.",
            ["Purchases", "Deductions"],
            newest.map { ($0.day, [.dollars($0.purchases), .dollars($0.deductions)]) })
        let margin = self.chart(
            "Revenue, cost and margin", "US dollars a day, as the books have them.",
            ["Revenue", "Cost", "Margin"],
            newest.map { ($0.day, [.dollars($0.revenue), .dollars($0.cost), .dollars($0.margin)]) })
        return [flow, margin, self.owed(newest)]
    }

    private func owed(_ newest: [FinanceDay]) -> ConsolePart {
        self.chart(
            "Liability", "US dollars at the end of each day.", ["Outstanding credits", "Deferred revenue"],
            kind: "line", newest.map { ($0.day, [.dollars($0.liability), .dollars($0.deferredRevenue)]) })
    }

    private static func amount(_ microUSD: Int128?) -> ConsoleCell {
        microUSD.map { .text(Figures.dollars(ExactDecimal(coefficient: $0, scale: 6))) }
            ?? .text("not known yet")
    }

    /// Days with what is drawn of them; the newest first, as tables are read.
    private func chart(
        _ title: String, _ note: String, _ series: [String], kind: String = "bar",
        unit: String = "US dollars",
        _ rows: [(UTCDay, [ConsoleCell])]
    ) -> ConsolePart {
        var part = ConsolePart(title, note: note)
        var table = ConsoleTable(
            title, [.text("Day")] + series.map { .series($0) },
            rows.map { [.text(Moment.text($0.0))] + $0.1 })
        (table.chartURL, table.chartKind, table.chartUnit) = (self.chartURL, kind, unit)
        part.table = table
        return part
    }

    private func modelsPart(_ models: [ModelTotals]) -> ConsolePart {
        var part = ConsolePart(
            "Models of the last seven days",
            note: "US dollars; those that cost most at OpenAI come first.")
        guard !models.isEmpty else {
            part.emptyText = "Nothing was used."
            return part
        }
        part.table = ConsoleTable(
            "Models by cost",
            [
                .text("Model"), .number("Requests"), .number("Input tokens"), .number("Output tokens"),
                .number("Charged, US dollars"), .number("Cost, US dollars"),
            ],
            models.map {
                [
                    .name($0.model), .count($0.exchanges), .count($0.inputTokens), .count($0.outputTokens),
                    .dollars($0.charged), .dollars($0.cost),
                ]
            })
        return part
    }

    // MARK: Operations

    private func operations(_ view: ConsoleView) async throws -> Page {
        let days = try await self.part("Checkouts and webhook events", view) {
            self.funnel(try await self.admin.dashboards.checkoutDays(Self.dashboardDays))
        }
        let owed = try await self.part("Liability", view) {
            [self.owed(try await self.admin.dashboards.financeDays(Self.dashboardDays).reversed())]
        }
        let meters = ConsoleMeters(self.admin.samples())
        var process = ConsolePart("This instance", note: "Since it was started, by its own meters.")
        process.facts = meters.facts.map { ConsoleFact($0.0, .text($0.1)) }
        var latency = ConsolePart("Answers of the billing API")
        let routes = meters.routes
        if routes.isEmpty {
            latency.emptyText = "Nothing was asked yet."
        } else {
            latency.table = ConsoleTable(
                "Answers by route", [.text("Route"), .number("Answers"), .number("Mean, milliseconds")],
                routes.map { [.text($0.route), .count($0.count), .number($0.milliseconds)] })
        }
        return self.page("Operations", view, in: "/admin/operations", [process] + days + owed + [latency])
    }

    private func funnel(_ days: [CheckoutDay]) -> [ConsolePart] {
        let newest = Array(days.reversed())
        let funnel = self.chart(
            "Checkouts", "Orders, those for which Stripe's page was opened, and those that were paid.",
            ["Started", "Opened", "Paid"], unit: "Orders",
            newest.map { ($0.day, [.count($0.started), .count($0.opened), .count($0.paid)]) })
        let webhooks = self.chart(
            "Webhook events", "Those that were taken care of, and those that need a person.",
            ["Done", "Dead"], unit: "Events",
            newest.map { ($0.day, [.count($0.events - $0.deadEvents), .count($0.deadEvents)]) })
        return [self.rates(days), funnel, webhooks]
    }

    private func rates(_ days: [CheckoutDay]) -> ConsolePart {
        func sum(_ figure: (CheckoutDay) -> Int64) -> Int64 { days.reduce(0) { $0 + figure($1) } }
        var part = ConsolePart("Rates of the last \(Self.dashboardDays) days")
        let (started, events) = (sum { $0.started }, sum { $0.events })
        part.facts = [
            ConsoleFact(
                "Orders that got to Stripe's page", .text(Figures.share(sum { $0.opened }, of: started))),
            ConsoleFact("Orders that were paid", .text(Figures.share(sum { $0.paid }, of: started))),
            ConsoleFact(
                "Webhook events that were taken care of",
                .text(Figures.share(sum { $0.events - $0.deadEvents }, of: events))),
        ]
        return part
    }
}

/// What the dashboards read off the meters of this process.
struct ConsoleMeters {
    private let samples: [MetricSample]

    init(_ samples: [MetricSample]) { self.samples = samples }

    private func values(_ name: String, _ suffix: String = "") -> [MetricSample] {
        self.samples.filter { $0.name == name && $0.suffix == suffix }
    }

    private func sum(_ samples: [MetricSample]) -> Int128 {
        samples.reduce(0) { $0 + ($1.value.scaledToInteger(powerOfTen: 0) ?? 0) }
    }

    private func text(_ samples: [MetricSample]) -> String {
        samples.isEmpty
            ? "not known" : Figures.decimal(ExactDecimal(coefficient: self.sum(samples), scale: 0))
    }

    var facts: [(String, String)] {
        let requests = self.values("proxy_requests_total")
        let refused = requests.filter { $0.labels.contains { $0.name == "status" && $0.value == "402" } }
        return [
            ("Holds open", self.text(self.values("holds_open"))),
            ("Holds in the store", self.text(self.values("holds_stored"))),
            ("Settlements waiting", self.text(self.values("settlement_backlog"))),
            ("Requests answered", self.text(requests)),
            ("Refused with 402", Figures.decimal(ExactDecimal(coefficient: self.sum(refused), scale: 0))),
            (
                "Overhead of the proxy, mean",
                self.mean("proxy_overhead_seconds", of: { _ in true }).map { "\($0) ms" } ?? "not known"
            ),
        ]
    }

    /// Milliseconds with three decimals; nil: nothing was measured.
    private func mean(_ name: String, of isMeant: (MetricSample) -> Bool) -> String? {
        let count = self.sum(self.values(name, "_count").filter(isMeant))
        let nanoseconds = self.values(name, "_sum").filter(isMeant).reduce(Int128(0)) {
            $0 + ($1.value.scaledToInteger(powerOfTen: 9) ?? 0)
        }
        guard count > 0 else { return nil }
        return Figures.decimal(ExactDecimal(coefficient: nanoseconds / count / 1000, scale: 3))
    }

    /// The routes that were asked most, first.
    var routes: [(route: String, count: Int64, milliseconds: String)] {
        let name = "billing_request_seconds"
        return self.values(name, "_count").compactMap { sample -> (String, Int64, String)? in
            guard let route = sample.labels.first(where: { $0.name == "route" }),
                let count = Int64(exactly: self.sum([sample])),
                let mean = self.mean(name, of: { $0.labels.contains(route) })
            else { return nil }
            return (route.value, count, mean)
        }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }
    }
}
