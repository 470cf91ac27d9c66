import Billing
import Metering
import StripeAPI

extension PaymentDesk: CheckoutDesk {
    /// The purchase is stored before Stripe hears of it, so a payment always finds what it is for. When the answer is
    /// lost, `PaymentWatch` asks again under the same key.
    public func checkOut(
        _ packageCode: String, for account: AccountID, successURL: String, cancelURL: String
    ) async throws(CheckoutRefusal) -> StartedCheckout {
        guard self.settings.controls.current.purchases else { throw .purchasesDisabled }
        guard let stripe = self.stripe else { throw .notConfigured }
        let urls: ReturnURLs
        do throws(ReturnURLs.Refusal) {
            urls = try ReturnURLs(
                success: successURL, cancel: cancelURL, allowed: self.settings.returnOrigins)
        } catch {
            throw .returnURL(error)
        }
        let purchase = try await self.open(packageCode, account, urls, isLive: stripe.isLive)
        switch try await self.makePage(of: purchase, urls, stripe) {
        case .made(let page): return page
        case .customerIsGone:
            // Somebody deleted it at Stripe; the next one is made with the next page.
            let another = try await self.open(packageCode, account, urls, isLive: stripe.isLive)
            guard case .made(let page) = try await self.makePage(of: another, urls, stripe) else {
                throw .refusedByStripe
            }
            return page
        }
    }

    enum Page {
        case made(StartedCheckout)
        /// Stripe does not know the customer by which the account was known; it is forgotten here as well.
        case customerIsGone
    }

    private func open(
        _ packageCode: String, _ account: AccountID, _ urls: ReturnURLs, isLive: Bool
    ) async throws(CheckoutRefusal) -> Purchase {
        let purchase: Purchase
        do {
            guard let package = try await self.offers.packages().first(where: { $0.code == packageCode })
            else {
                throw CheckoutRefusal.unknownPackage
            }
            let customer = try await self.ledger.customer(of: account, livemode: isLive)
            purchase = try Purchase(
                id: PurchaseID(Self.freshID(at: self.now())), account: account, kind: .checkout, of: package,
                customer: customer, livemode: isLive, createdAt: self.now())
            guard try await self.ledger.open(purchase, urls: urls, paymentMethod: nil) else {
                throw CheckoutRefusal.tooMany
            }
        } catch let refusal as CheckoutRefusal {
            throw refusal
        } catch {
            self.logger.warning("a purchase was not stored", metadata: ["error": "\(error)"])
            throw .ledgerUnavailable
        }
        return purchase
    }

    func makePage(
        of purchase: Purchase, _ urls: ReturnURLs, _ stripe: StripeClient
    ) async throws(CheckoutRefusal) -> Page {
        let label: PurchaseLabel
        do {
            label = try await self.ledger.label(of: purchase.id)
        } catch {
            throw .ledgerUnavailable
        }
        let offer = CheckoutOffer(
            purchase, label: label, urls: urls,
            savesPaymentMethod: self.settings.controls.current.autoRecharge)
        let session: CheckoutSession
        do throws(StripeFailure) {
            session = try await stripe.run(CreateCheckoutSession(offer))
        } catch {
            self.logger.warning(
                "Stripe made no checkout session",
                metadata: [
                    "purchase": "\(purchase.id)", "reason": "\(error.label)",
                    "stripe-request": "\(error.requestID ?? "none")",
                ])
            guard !error.mayRetry, !error.mayHaveBeenApplied else { throw .stripeUnavailable }
            try? await self.ledger.sessionAnswered(nil, for: purchase.id)
            guard let customer = purchase.customer, error.isAboutTheCustomer else { throw .refusedByStripe }
            do {
                try await self.ledger.forgetCustomer(customer, of: purchase.account)
            } catch {
                throw .ledgerUnavailable
            }
            return .customerIsGone
        }
        do {
            try await self.ledger.sessionAnswered(session.id, for: purchase.id)
        } catch {
            // Its metadata names the purchase, so a payment is found without this.
            self.logger.warning("a session was not noted", metadata: ["purchase": "\(purchase.id)"])
        }
        guard let url = session.url else { throw .stripeUnavailable }
        self.counters.checkedOut(purchase.packageCode)
        return .made(StartedCheckout(session: session.id, url: url, purchase: purchase.id))
    }

    static func freshID(at milliseconds: Int64) -> HoldID {
        var random = SystemRandomNumberGenerator()
        return HoldID(
            millisecondsSinceEpoch: UInt64(clamping: milliseconds), randomA: random.next(),
            randomB: random.next())
    }
}

extension StripeFailure {
    fileprivate var isAboutTheCustomer: Bool {
        switch self.kind {
        case .invalidRequest(_, let parameter), .notFound(let parameter): parameter == "customer"
        default: false
        }
    }
}

extension CreateCheckoutSession {
    init(_ offer: CheckoutOffer) {
        self.init(
            lineItem: LineItem(
                name: offer.lineItem.name, currency: offer.lineItem.currency,
                unitAmountCents: offer.lineItem.unitAmountCents, quantity: offer.lineItem.quantity),
            successURL: offer.urls.success, cancelURL: offer.urls.cancel,
            clientReferenceID: offer.clientReferenceID, metadata: offer.metadata, customer: offer.customer,
            savesPaymentMethod: offer.savesPaymentMethod, expiresAt: offer.expiresAt,
            idempotencyKey: offer.idempotencyKey)
    }
}
