import Billing
import Metering

/// A line of the credit ledger, for people.
struct LedgerRow {
    let at: Moment
    let what: String
    let change: String
    let isNegative: Bool
    let balanceAfter: String
    let reference: String
    let receiptURL: String?

    init(_ line: LedgerLine, receiptURL: String? = nil) {
        self.at = Moment(line.createdAt)
        self.what = Self.name(line.type)
        self.change = Figures.change(line.amount)
        self.isNegative = line.amount < .zero
        self.balanceAfter = Figures.credits(line.balanceAfter)
        self.reference = "\(line.referenceType) \(line.referenceID)"
        self.receiptURL = receiptURL
    }

    static func name(_ type: String) -> String {
        switch LedgerLineType(rawValue: type) {
        case .purchase: "Purchase"
        case .deduction: "Usage"
        case .refund: "Refund"
        case .adjustment: "Adjustment"
        case .promotional: "Promotional credits"
        case .trial: "Trial credits"
        case nil: type
        }
    }
}

/// A choice of a select.
struct Choice {
    let value: String
    let name: String
    let isChosen: Bool
}

/// What a list is narrowed to by days: both are part of it.
struct DayRange {
    var from: UTCDay?
    var through: UTCDay?
    /// What is wrong with the days that were given, by their fields.
    var fromProblem: String?
    var throughProblem: String?

    init(_ parameters: [String: String]) {
        (self.from, self.fromProblem) = Self.day(parameters["from"])
        (self.through, self.throughProblem) = Self.day(parameters["to"])
        if let from, let through, from > through { self.throughProblem = "Must not be before the first day." }
    }

    private static func day(_ text: String?) -> (UTCDay?, String?) {
        guard let text else { return (nil, nil) }
        guard let day = UTCDay(text: text) else { return (nil, "Must be a day such as 2026-11-27.") }
        return (day, nil)
    }

    var isSound: Bool { self.fromProblem == nil && self.throughProblem == nil }
    /// Milliseconds since 1970, inclusive.
    var fromMilliseconds: Int64? { self.from.map { Int64($0.daysSinceEpoch) * 86_400_000 } }
    /// Exclusive.
    var toMilliseconds: Int64? { self.through.map { (Int64($0.daysSinceEpoch) + 1) * 86_400_000 } }
}

extension CreditsPages {
    static let pageRows: Int64 = 25

    struct LedgerContent {
        let action: String
        let types: [Choice]
        let from: String?
        let to: String?
        let fromProblem: String?
        let toProblem: String?
        let rows: [LedgerRow]
        let pager: Pager
        let hasPager: Bool
    }

    func ledgerTab(_ view: View) async throws -> Page {
        let range = DayRange(view.parameters)
        let type = LedgerLineType(rawValue: view.parameters["type"] ?? "")
        let before = view.parameters["cursor"].flatMap(LedgerCursor.version)
        var entries: [LedgerEntry] = []
        if range.isSound {
            let query = LedgerQuery(
                account: view.account.account, type: type, from: range.fromMilliseconds,
                to: range.toMilliseconds,
                before: before, limit: Self.pageRows + 1)
            entries = try await self.read(view) { try await self.dependencies.history.ledger(query) }
        }
        let page = entries.prefix(Int(Self.pageRows))
        let filter = [
            ("type", type?.rawValue), ("from", range.from?.description), ("to", range.through?.description),
        ]
        let next = entries.count > page.count ? page.last.map { LedgerCursor.text(after: $0.line) } : nil
        let pager = Pager(
            olderURL: next.map { self.url(.ledger, filter + [("cursor", $0)]) },
            newestURL: before == nil ? nil : self.url(.ledger, filter))
        return Page(
            frame: self.frame(.ledger, view), template: "ledger",
            content: LedgerContent(
                action: "\(self.site.base)/billing",
                types: LedgerLineType.allCases.map {
                    Choice(value: $0.rawValue, name: LedgerRow.name($0.rawValue), isChosen: $0 == type)
                },
                from: view.parameters["from"], to: view.parameters["to"], fromProblem: range.fromProblem,
                toProblem: range.throughProblem,
                rows: page.map { LedgerRow($0.line, receiptURL: $0.receiptURL) }, pager: pager,
                hasPager: pager.isNeeded))
    }
}
