import Billing
import Foundation
import Metering

extension CreditsPages {
    private static let usageDaysShown: Int32 = 30

    struct UsageContent {
        let action: String
        let models: [Choice]
        let from: String
        let to: String
        let fromProblem: String?
        let toProblem: String?
        let firstDay: String
        let lastDay: String
        let period: String
        let total: String
        let totalUSD: String
        let days: [UsageDayRow]
        /// Chart.js; nil: the table says it all.
        let chartURL: String?
        let rows: [UsageRow]
        let pager: Pager
        let hasPager: Bool
    }

    struct UsageDayRow {
        let day: String
        let dayText: String
        let model: String
        let exchanges: String
        let inputTokens: String
        let outputTokens: String
        let credits: String
        let millicredits: String
    }

    struct UsageRow {
        let at: Moment
        let model: String
        let endpoint: String
        let input: String
        let cached: String?
        let output: String
        let credits: String
        let isEstimated: Bool
        let isWaived: Bool
    }

    func usageTab(_ view: View) async throws -> Page {
        let today = Self.today()
        var range = DayRange(view.parameters)
        let through = range.through ?? today
        let first = Self.day(through, plus: 1 - Self.usageDaysShown)
        let from = range.from ?? first
        if range.isSound, from > through { range.throughProblem = "Must not be before the first day." }
        if range.isSound, through.daysSinceEpoch - from.daysSinceEpoch >= usageDaysMax {
            range.fromProblem = "At most \(usageDaysMax) days are shown at once."
        }
        let model = view.parameters["model"]
        let account = view.account.account
        var days: [UsageDay] = []
        var lines: [UsageLine] = []
        let before = view.parameters["cursor"].flatMap { HoldID(text: $0) }
        if range.isSound {
            (range.from, range.through) = (from, through)
            let query = UsageQuery(
                account: account, model: model, from: range.fromMilliseconds, to: range.toMilliseconds,
                before: before, limit: Self.pageRows + 1)
            days = try await self.read(view) {
                try await self.parts.reading.usageByDay(of: account, from: from, through: through)
            }
            lines = try await self.read(view) { try await self.dependencies.billing.usage(query) }
        }
        let known = Set(days.map(\.model)).union(self.dependencies.prices.current.models.map(\.model))
        days = days.filter { model == nil || $0.model == model }
        let page = lines.prefix(Int(Self.pageRows))
        let filter = [("model", model), ("from", from.description), ("to", through.description)]
        let next = lines.count > page.count ? page.last?.hold.description : nil
        let pager = Pager(
            olderURL: next.map { self.url(.usage, filter + [("cursor", $0)]) },
            newestURL: before == nil ? nil : self.url(.usage, filter))
        let total = days.reduce(0) { $0 + $1.charged.value }
        var frame = self.frame(.usage, view)
        let chartURL = days.isEmpty ? nil : self.site.assets.url("chart.js")
        if let chartURL { frame.scripts.insert(chartURL, at: 0) }
        return Page(
            frame: frame, template: "usage",
            content: UsageContent(
                action: "\(self.site.base)/billing",
                models: known.sorted().map { Choice(value: $0, name: $0, isChosen: $0 == model) },
                from: view.parameters["from"] ?? from.description,
                to: view.parameters["to"] ?? through.description,
                fromProblem: range.fromProblem, toProblem: range.throughProblem,
                firstDay: from.description, lastDay: through.description,
                period: "\(Moment.text(from)) to \(Moment.text(through))", total: Figures.credits(total),
                totalUSD: Figures.dollars(total), days: days.map(UsageDayRow.init), chartURL: chartURL,
                rows: page.map(UsageRow.init), pager: pager, hasPager: pager.isNeeded))
    }

    static func today() -> UTCDay {
        guard let day = UTCDay(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000)) else {
            preconditionFailure("the clock is within the years 1 to 9999")
        }
        return day
    }

    private static func day(_ day: UTCDay, plus days: Int32) -> UTCDay {
        UTCDay(daysSinceEpoch: Int64(day.daysSinceEpoch) + Int64(days)) ?? day
    }
}

extension CreditsPages.UsageDayRow {
    init(_ day: UsageDay) {
        self.day = day.day.description
        self.dayText = Moment.text(day.day)
        self.model = day.model
        self.exchanges = Figures.count(day.exchanges)
        self.inputTokens = Figures.count(day.inputTokens)
        self.outputTokens = Figures.count(day.outputTokens)
        self.credits = Figures.credits(day.charged)
        self.millicredits = String(day.charged.value)
    }
}

extension CreditsPages.UsageRow {
    init(_ line: UsageLine) {
        self.at = Moment(line.occurredAt)
        self.model = line.model
        self.endpoint = line.endpoint
        self.input = Figures.count(line.inputTokens)
        self.cached = line.cachedInputTokens > 0 ? Figures.count(line.cachedInputTokens) : nil
        self.output = Figures.count(line.outputTokens)
        self.credits = Figures.credits(line.charged)
        self.isEstimated = line.estimated
        self.isWaived = line.kind == Settlement.Kind.waived.name
    }
}
