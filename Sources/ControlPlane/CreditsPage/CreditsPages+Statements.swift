import Billing

extension CreditsPages {
    private static let monthsMax = 60

    struct StatementsContent {
        let rows: [StatementRow]
    }

    struct StatementRow {
        let name: String
        let isRunning: Bool
        let pdfURL: String
        let csvURL: String
        let jsonURL: String
    }

    /// From this month back to the account's first.
    func statementsTab(_ view: View) async throws -> Page {
        let first = try await self.read(view) {
            try await self.parts.reading.firstMonth(of: view.account.account)
        }
        let running = Self.today().month
        var rows: [StatementRow] = []
        var month = running
        while let first, month >= first, rows.count < Self.monthsMax {
            let url = "\(self.site.base)/api/billing/statements/\(month)"
            rows.append(
                StatementRow(
                    name: month.name, isRunning: month == running, pdfURL: url + ".pdf", csvURL: url + ".csv",
                    jsonURL: url + ".json"))
            guard
                let before = UTCMonth(
                    year: month.month == 1 ? month.year - 1 : month.year,
                    month: month.month == 1 ? 12 : month.month - 1)
            else { break }
            month = before
        }
        return Page(
            frame: self.frame(.statements, view), template: "statements",
            content: StatementsContent(rows: rows))
    }
}
