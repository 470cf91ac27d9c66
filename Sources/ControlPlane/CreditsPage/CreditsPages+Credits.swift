import Billing
import Foundation
import Hummingbird
import Metering

/// Balance, packages, and what became of a purchase.
extension CreditsPages {
    /// 1 US dollar: below that a page says so.
    private static let lowBalance: Int64 = 1_000_000
    private static let refreshSeconds = 4
    /// A page that is left open does not ask for ever. Milliseconds.
    private static let watchedFor: Int64 = 3_600_000

    struct CreditsContent {
        let available: String
        let availableUSD: String
        let isNegative: Bool
        let balance: String
        let balanceUSD: String
        let held: String?
        let packages: [PackageCard]
        let buyURL: String
        let csrf: String
        /// nil: packages can be bought.
        let whyNoSale: String?
        let purchase: PurchaseNews?
        let recent: [LedgerRow]
        let ledgerURL: String
        let estimateURL: String
    }

    struct PackageCard {
        let code: String
        let name: String
        let price: String
        let credits: String
        let bonus: String?
        let isSold: Bool
    }

    /// What is known of the purchase that a person comes back from.
    struct PurchaseNews {
        let title: String
        let text: String
        /// The page looks again by itself.
        let isPending: Bool
        let isGood: Bool
        let receiptURL: String?
    }

    func creditsTab(_ view: View, problem: PageNotice? = nil) async throws -> Page {
        let account = view.account.account
        async let known = self.dependencies.held.held(of: account)
        let packages = try await self.read(view) { try await self.dependencies.billing.packages() }
        guard
            let summary = try await self.read(
                view, { try await self.dependencies.billing.summary(of: account) })
        else { throw APIError.noSuchAccount }
        let news = view.parameters["success"] == "true" ? try await self.purchaseNews(view) : nil
        let held = await known
        let balance = summary.balance.balance.value
        // Each is below 2^53.
        let available = balance - (held?.value ?? 0) - summary.gate.floor.value
        let whyNoSale = self.whyNoSale(view)
        var frame = self.frame(.credits, view)
        if let problem { frame.notices.append(problem) }
        let isFree = self.parts.controls.current.waiver(for: view.account.userID) != nil
        frame.notices += Self.notices(
            available: available, whyNoSale: whyNoSale, held: held, isFree: isFree && !view.account.suspended)
        if news?.isPending == true { frame.refreshSeconds = Self.refreshSeconds }
        return Page(
            frame: frame, template: "credits",
            content: CreditsContent(
                available: Figures.credits(available), availableUSD: Figures.dollars(available),
                isNegative: available < 0,
                balance: Figures.credits(balance), balanceUSD: Figures.dollars(balance),
                held: held.map(Figures.credits),
                packages: packages.map { Self.card($0, isSold: whyNoSale == nil) },
                buyURL: "\(self.site.base)/billing/buy", csrf: view.visit.token.csrf, whyNoSale: whyNoSale,
                purchase: news, recent: summary.recentLedger.prefix(5).map { LedgerRow($0) },
                ledgerURL: self.url(.ledger), estimateURL: self.url(.estimate)))
    }

    private func whyNoSale(_ view: View) -> String? {
        if view.account.suspended { return "This account is suspended." }
        switch self.parts.standing.refusalOfAll {
        case nil: return nil
        case .notConfigured: return "Purchases are not set up here."
        default: return "Purchases are paused at the moment."
        }
    }

    private static func notices(
        available: Int64, whyNoSale: String?, held: Millicredits?, isFree: Bool
    ) -> [PageNotice] {
        var notices: [PageNotice] = []
        if let whyNoSale { notices.append(PageNotice(.warning, "\(whyNoSale) Your balance stays as it is.")) }
        if held == nil {
            notices.append(PageNotice(.warning, "What is held for running requests is not known right now."))
        }
        if isFree {
            // A balance that is low stops nobody meanwhile.
            notices.append(
                PageNotice(
                    .info,
                    "Charging is paused: what you use now costs no credits. Your balance stays as it is.")
            )
        } else if available <= 0 {
            notices.append(
                PageNotice(.bad, "You are out of credits. Requests are refused until you buy more."))
        } else if available < Self.lowBalance {
            notices.append(
                PageNotice(.warning, "Your balance is low: less than 1,000 credits are available."))
        }
        return notices
    }

    private static func card(_ package: CreditPackage, isSold: Bool) -> PackageCard {
        PackageCard(
            code: package.code, name: package.name, price: Figures.dollars(cents: package.priceUSDCents),
            credits: Figures.count(package.credits),
            bonus: package.bonusCredits > 0 ? Figures.count(package.bonusCredits) : nil, isSold: isSold)
    }

    // MARK: Coming back from Stripe

    /// The purchase of the session that Stripe names, or the last one of the last hour.
    private func purchaseNews(_ view: View) async throws -> PurchaseNews {
        let recent = try await self.read(view) {
            try await self.dependencies.records.purchases(
                PurchaseQuery(userID: view.account.userID, limit: 20))
        }
        let session = view.parameters["session_id"]
        let line = recent.first {
            session == nil ? $0.purchase.kind == .checkout : $0.purchase.session == session
        }
        guard let line else {
            return PurchaseNews(
                title: "Thank you", text: "Stripe will confirm your payment in a moment.", isPending: false,
                isGood: false, receiptURL: nil)
        }
        let credits = Figures.credits(line.purchase.credits)
        switch line.purchase.status {
        case .paid:
            return PurchaseNews(
                title: "Purchase complete", text: "\(credits) credits were added to your balance.",
                isPending: false, isGood: true, receiptURL: line.receiptURL)
        case .created, .open:
            let age = Int64(Date().timeIntervalSince1970 * 1000) - line.purchase.createdAt
            return PurchaseNews(
                title: "Purchase pending",
                text:
                    "\(credits) credits are added as soon as Stripe confirms your payment, usually within seconds.",
                isPending: age < Self.watchedFor, isGood: false, receiptURL: nil)
        case .processing:
            return PurchaseNews(
                title: "Purchase pending",
                text:
                    "Your bank is confirming the payment, which can take days. \(credits) credits are added then.",
                isPending: false, isGood: false, receiptURL: nil)
        case .expired, .failed:
            return PurchaseNews(
                title: "Purchase not completed", text: "The payment did not go through; nothing was added.",
                isPending: false, isGood: false, receiptURL: nil)
        case .quarantined:
            return PurchaseNews(
                title: "Purchase under review",
                text: "We are looking at your payment, and will add what is yours.",
                isPending: false, isGood: false, receiptURL: nil)
        }
    }

    // MARK: Buying

    func buy(_ view: View, _ form: PageForm) async throws -> Response {
        guard !view.account.suspended else { throw APIError.accountSuspended }
        guard let code = form["package"] else {
            throw APIError.badRequest("package", "'package' is missing.")
        }
        do throws(CheckoutRefusal) {
            let started = try await self.dependencies.checkouts.checkOut(
                code, for: view.account.account,
                successURL: self.site.url("/billing?tab=credits&success=true"),
                cancelURL: self.site.url("/billing?tab=credits&notice=canceled"))
            return .seeOther(started.url)
        } catch {
            let refusal = StripeRoutes.error(error, code)
            view.context.cause.note(refusal)
            var response = try await self.creditsTab(view, problem: PageNotice(.bad, refusal.message))
                .response(self.site, refusal.status)
            response.headers.append(contentsOf: refusal.headers)
            return response
        }
    }
}
