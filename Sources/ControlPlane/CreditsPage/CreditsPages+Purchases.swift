import Billing
import Metering

extension CreditsPages {
    struct PurchasesContent {
        let action: String
        let statuses: [Choice]
        let from: String?
        let to: String?
        let fromProblem: String?
        let toProblem: String?
        let isNarrowed: Bool
        let rows: [PurchaseRow]
        let pager: Pager
        let hasPager: Bool
    }

    struct PurchaseRow {
        let at: Moment
        let package: String
        let kind: String
        let price: String
        let credits: String
        let status: String
        let tone: String
        let refunded: String?
        let receiptURL: String?
    }

    /// What the list can be narrowed to, in the words of its rows.
    enum PurchaseFilter: String, CaseIterable {
        case paid, pending, unpaid, expired, failed, review

        var name: String {
            switch self {
            case .paid: "Paid or refunded"
            case .pending: "Pending"
            case .unpaid: "Not paid yet"
            case .expired: "Expired"
            case .failed: "Failed"
            case .review: "Under review"
            }
        }

        var statuses: Set<Purchase.Status> {
            switch self {
            case .paid: [.paid]
            case .pending: [.processing]
            case .unpaid: [.created, .open]
            case .expired: [.expired]
            case .failed: [.failed]
            case .review: [.quarantined]
            }
        }
    }

    func purchasesTab(_ view: View) async throws -> Page {
        let before = view.parameters["cursor"].flatMap { PurchaseID(text: $0) }
        let range = DayRange(view.parameters)
        let status = PurchaseFilter(rawValue: view.parameters["status"] ?? "")
        var lines: [PurchaseLine] = []
        if range.isSound {
            let query = PurchaseQuery(
                userID: view.account.userID, statuses: status?.statuses ?? [], from: range.fromMilliseconds,
                to: range.toMilliseconds, before: before, limit: Self.pageRows + 1)
            lines = try await self.read(view) { try await self.dependencies.records.purchases(query) }
        }
        let page = lines.prefix(Int(Self.pageRows))
        let next = lines.count > page.count ? page.last?.purchase.id.description : nil
        let filter = [
            ("status", status?.rawValue), ("from", range.from?.description),
            ("to", range.through?.description),
        ]
        let pager = Pager(
            olderURL: next.map { self.url(.purchases, filter + [("cursor", $0)]) },
            newestURL: before == nil ? nil : self.url(.purchases, filter))
        return Page(
            frame: self.frame(.purchases, view), template: "purchases",
            content: PurchasesContent(
                action: "\(self.site.base)/billing",
                statuses: PurchaseFilter.allCases.map {
                    Choice(value: $0.rawValue, name: $0.name, isChosen: $0 == status)
                },
                from: view.parameters["from"], to: view.parameters["to"], fromProblem: range.fromProblem,
                toProblem: range.throughProblem, isNarrowed: filter.contains { $0.1 != nil },
                rows: page.map(PurchaseRow.init), pager: pager, hasPager: pager.isNeeded))
    }
}

extension CreditsPages.PurchaseRow {
    init(_ line: PurchaseLine) {
        let purchase = line.purchase
        self.at = Moment(line.paidAt ?? purchase.createdAt)
        self.package = purchase.packageName
        self.kind = purchase.kind == .recharge ? "Auto-recharge" : "Checkout"
        self.price = Figures.dollars(cents: purchase.priceUSDCents)
        self.credits = Figures.credits(purchase.credits)
        (self.status, self.tone) = Self.status(line)
        let back = line.posted.reversedCents
        self.refunded = back > 0 ? Figures.dollars(cents: back) : nil
        self.receiptURL = line.receiptURL
    }

    private static func status(_ line: PurchaseLine) -> (String, String) {
        if line.posted.isDisputed { return ("Disputed", "bad") }
        if line.posted.reversedCents > 0 {
            let isWhole = line.posted.reversedCents >= line.posted.paidCents
            return (isWhole ? "Refunded" : "Partly refunded", "info")
        }
        switch line.purchase.status {
        case .created, .open: return ("Not paid yet", "info")
        case .processing: return ("Pending", "warning")
        case .paid: return ("Paid", "good")
        case .expired: return ("Expired", "info")
        case .failed: return ("Failed", "bad")
        case .quarantined: return ("Under review", "warning")
        }
    }
}
