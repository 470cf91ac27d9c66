import Testing

@testable import StripeAPI

@Suite struct ObjectTests {
    private static let open = """
        {"id":"cs_test_1","object":"checkout.session","livemode":false,"status":"open",\
        "payment_status":"unpaid","url":"https://checkout.stripe.com/c/pay/cs_test_1",\
        "payment_intent":null,"customer":null,\
        "currency":"usd","client_reference_id":"p1","metadata":{"tollgate_purchase":"p1"},"amount_total":999,\
        "expires_at":1790003600}
        """

    @Test func anOpenSessionHasItsPage() throws {
        let session = try #require(
            try RetrieveCheckoutSession("cs_test_1").rehearse([Replies.reply(Self.open)]))
        #expect(session.status == .open)
        #expect(session.paymentStatus == .unpaid)
        #expect(session.url == "https://checkout.stripe.com/c/pay/cs_test_1")
        #expect(session.paymentIntent == nil)
        #expect(session.clientReferenceID == "p1")
        #expect(session.metadata == ["tollgate_purchase": "p1"])
        #expect(session.amountTotalCents == 999)
        #expect(session.expiresAt == 1_790_003_600)
    }

    /// `complete` is not `paid`: crediting a bank debit here would give credits for money that never comes.
    @Test func aCompleteSessionMayBeUnpaid() throws {
        let text = Self.open.replacing(#""open""#, with: #""complete""#)
            .replacing(#""payment_intent":null"#, with: #""payment_intent":{"id":"pi_1"}"#)
        let session = try #require(try RetrieveCheckoutSession("cs_test_1").rehearse([Replies.reply(text)]))
        #expect(session.status == .complete)
        #expect(session.paymentStatus == .unpaid)
        #expect(session.paymentIntent == "pi_1")
    }

    @Test func aStatusOfALaterVersionIsNoStatus() throws {
        let text = Self.open.replacing(#""open""#, with: #""ajar""#).replacing(
            #""unpaid""#, with: #""partly""#)
        let session = try #require(try RetrieveCheckoutSession("cs_test_1").rehearse([Replies.reply(text)]))
        #expect(session.status == nil)
        #expect(session.paymentStatus == nil)
    }

    @Test func aSavedCardShowsWhichItIs() throws {
        let methods = try ListPaymentMethods(ofCustomer: "cus_1").rehearse([
            Replies.page([
                #"{"id":"pm_1","type":"card","livemode":false,"card":{"brand":"visa","last4":"4242","#
                    + #""exp_month":12,"exp_year":2030,"funding":"credit"}}"#,
                #"{"id":"pm_2","type":"link","livemode":false}"#,
            ])
        ])
        #expect(methods?.map(\.card?.last4) == ["4242", nil])
        #expect(methods?.first?.card?.expiryYear == 2030)
    }

    @Test func anEndpointSaysWhatItIsSent() throws {
        let endpoints = try ListWebhookEndpoints().rehearse([
            Replies.page([
                #"{"id":"we_1","livemode":false,"url":"https://t/api/stripe/webhook","status":"enabled","#
                    + #""enabled_events":["charge.refunded"],"api_version":null}"#
            ])
        ])
        #expect(endpoints?.first?.enabledEvents == ["charge.refunded"])
        #expect(endpoints?.first?.apiVersion == nil)
    }

    @Test func anAccountHasNoMode() throws {
        let account = try RetrieveAccount().rehearse([
            Replies.reply(#"{"id":"acct_1","country":"US","default_currency":"usd","charges_enabled":true}"#)
        ])
        #expect(account?.defaultCurrency == "usd")
        #expect(account?.chargesEnabled == true)
    }
}
