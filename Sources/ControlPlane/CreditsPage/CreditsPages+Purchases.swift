import Billing
import Metering

extension CreditsPages {
    struct PurchasesContent {
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

    func purchasesTab(_ view: View) async throws -> Page {
        let before = view.parameters["cursor"].flatMap { PurchaseID(text: $0) }
        let lines = try await self.read(view) {
            try await self.dependencies.records.purchases(
                PurchaseQuery(userID: view.account.userID, before: before, limit: Self.pageRows + 1))
        }
        let page = lines.prefix(Int(Self.pageRows))
        let next = lines.count > page.count ? page.last?.purchase.id.description : nil
        let pager = Pager(
            olderURL: next.map { self.url(.purchases, [("cursor", $0)]) },
            newestURL: before == nil ? nil : self.url(.purchases))
        return Page(
            frame: self.frame(.purchases, view), template: "purchases",
            content: PurchasesContent(
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
