import Billing

/// A statement's sections as tables. The widths of a table's columns sum to the width of the page's text, 499
/// points.
enum StatementTables {
    static func all(_ statement: Statement) -> [PageTable] {
        var tables: [PageTable] = []
        if !statement.purchases.isEmpty { tables.append(self.purchases(statement)) }
        if !statement.usage.isEmpty { tables += [self.usageByModel(statement), self.usageByDay(statement)] }
        for section in Statement.MovementSection.allCases {
            guard let rows = statement.movements[section] else { continue }
            tables.append(self.movements(section, rows))
        }
        return tables
    }

    /// What the summary calls a total of the statement.
    static func title(ofTotal name: String) -> String {
        switch name {
        case "purchases": "Purchases"
        case "usage": "Usage"
        default: Statement.MovementSection(rawValue: name).map(self.title) ?? name
        }
    }

    private static func title(_ section: Statement.MovementSection) -> String {
        switch section {
        case .refunds: "Refunds"
        case .disputes: "Disputes"
        case .adjustments: "Promotions and adjustments"
        case .corrections: "Corrections of usage"
        }
    }

    private static func purchases(_ statement: Statement) -> PageTable {
        PageTable(
            title: "Purchases",
            columns: [
                .init(title: "Date", width: 58, kind: .text), .init(title: "Package", width: 92, kind: .text),
                .init(title: "Reference", width: 166, kind: .name),
                .init(title: "Receipt", width: 41, kind: .text),
                .init(title: "Paid (USD)", width: 62, kind: .number),
                .init(title: "Credits", width: 80, kind: .number),
            ],
            rows: statement.purchases.map { row in
                [
                    .init(row.day.description), .init(row.package), .init(row.reference),
                    row.receiptURL.map { .init("View", link: $0) } ?? .empty,
                    .init(Figures.cents(Int128(row.paidCents))),
                    .init(Figures.credits(Int128(row.credits.value))),
                ]
            },
            total: [
                .init("Total"), .empty, .empty, .empty, .init(Figures.cents(statement.paidCents)),
                .init(Figures.credits(statement.purchases.reduce(0) { $0 + Int128($1.credits.value) })),
            ])
    }

    private static func usageColumns(first: [PageTable.Column]) -> [PageTable.Column] {
        first + [
            .init(title: "Calls", width: 46, kind: .number),
            .init(title: "Input tokens", width: 66, kind: .number),
            .init(title: "of it cached", width: 66, kind: .number),
            .init(title: "Output tokens", width: 66, kind: .number),
            .init(title: "Credits used", width: 72, kind: .number),
        ]
    }

    private static func cells(_ total: Statement.UsageTotal) -> [PageTable.Cell] {
        [total.calls, total.inputTokens, total.cachedInputTokens, total.outputTokens]
            .map { .init(Figures.count($0)) } + [.init(Figures.credits(total.charged))]
    }

    private static func usageByModel(_ statement: Statement) -> PageTable {
        PageTable(
            title: "Usage by model",
            columns: self.usageColumns(first: [.init(title: "Model", width: 183, kind: .name)]),
            rows: statement.usageByModel.map { [.init($0.model)] + self.cells($0) },
            total: [.init("Total")] + self.cells(statement.usageTotal))
    }

    private static func usageByDay(_ statement: Statement) -> PageTable {
        PageTable(
            title: "Usage by day",
            columns: self.usageColumns(first: [
                .init(title: "Date", width: 58, kind: .text), .init(title: "Model", width: 125, kind: .name),
            ]),
            rows: statement.usage.map { row in
                [
                    .init(row.day.description), .init(row.model), .init(Figures.count(Int128(row.calls))),
                    .init(Figures.count(Int128(row.inputTokens))),
                    .init(Figures.count(Int128(row.cachedInputTokens))),
                    .init(Figures.count(Int128(row.outputTokens))),
                    .init(Figures.credits(Int128(row.charged.value))),
                ]
            },
            total: [.init("Total"), .empty] + self.cells(statement.usageTotal))
    }

    private static func movements(
        _ section: Statement.MovementSection, _ rows: [Statement.Movement]
    ) -> PageTable {
        let cash = rows.reduce(Int128(0)) { $0 + Int128($1.cashCents ?? 0) }
        let hasCash = rows.contains { $0.cashCents != nil }
        return PageTable(
            title: self.title(section),
            columns: [
                .init(title: "Date", width: 58, kind: .text),
                .init(title: "Description", width: 143, kind: .text),
                .init(title: "Reference", width: 150, kind: .name),
                .init(title: hasCash ? "Returned (USD)" : "", width: 72, kind: .number),
                .init(title: "Credits", width: 76, kind: .number),
            ],
            rows: rows.map { row in
                [
                    .init(row.day.description), .init(row.text), .init(row.reference),
                    row.cashCents.map { .init(Figures.cents(Int128($0))) } ?? .empty,
                    .init(Figures.credits(Int128(row.amount.value))),
                ]
            },
            total: [
                .init("Total"), .empty, .empty, hasCash ? .init(Figures.cents(cash)) : .empty,
                .init(Figures.credits(Statement.sum(rows))),
            ])
    }
}

/// Numbers as people read them; a true minus sign, groups of three.
enum Figures {
    static func count(_ value: Int128) -> String { self.text(value, 0) }
    static func cents(_ value: Int128) -> String { self.text(value, 2) }
    /// Of millicredits.
    static func credits(_ value: Int128) -> String { self.text(value, 3) }
    /// Of millicredits, at 1,000 credits to the dollar; exact.
    static func dollars(_ value: Int128) -> String { self.text(value, 6) }

    private static func text(_ value: Int128, _ decimals: Int) -> String {
        let text = FixedDecimal.text(value, decimals: decimals, grouping: ",")
        return value < 0 ? "\u{2212}" + text.dropFirst() : text
    }
}
