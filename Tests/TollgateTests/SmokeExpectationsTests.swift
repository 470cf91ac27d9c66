import StripeAPI
import Testing

@testable import Tollgate

/// What a smoke test demands of replies, each member by itself: a check that a wrong reply passes is no check.
@Suite struct SmokeExpectationsTests {
    private static let summary = """
        {"balanceMillicredits":"0","balanceCredits":0,"balanceUsd":0.00,"heldMillicredits":"0",\
        "availableMillicredits":"0","recentLedger":[],"recentUsage":[],\
        "packages":[{"code":"starter","priceUsdCents":999,"credits":9990,"bonusCredits":0},\
        {"code":"professional","priceUsdCents":4999,"credits":52490,"bonusCredits":2500},\
        {"code":"enterprise","priceUsdCents":9999,"credits":109990,"bonusCredits":10000}],\
        "activeRates":[{"model":"gpt-4o-mini","priceId":"c@1/gpt-4o-mini","inputCreditsPer1k":"2.4",\
        "outputCreditsPer1k":"9.6"}]}
        """

    private func read(_ text: String) throws -> JSONReading {
        try #require(JSONReading(parsing: Array(text.utf8)))
    }

    private func changed(_ from: String, _ to: String) throws -> JSONReading {
        let text = Self.summary.replacing(from, with: to)
        #expect(text != Self.summary)
        return try self.read(text)
    }

    @Test func aWholeSummaryIsGood() throws {
        let summary = try self.read(Self.summary)
        #expect(SmokeExpectations.summary(summary, isNew: true) == nil)
        #expect(SmokeExpectations.packages(summary) == nil)
        #expect(SmokeExpectations.rates(summary, models: ["gpt-4o-mini"]) == nil)
    }

    @Test(arguments: [
        ("\"balanceMillicredits\":\"0\",", "", "balanceMillicredits"),
        ("\"balanceMillicredits\":\"0\"", "\"balanceMillicredits\":0", "balanceMillicredits"),
        ("\"heldMillicredits\":\"0\"", "\"heldMillicredits\":\"0.5\"", "heldMillicredits"),
        ("\"balanceCredits\":0", "\"balanceCredits\":\"0\"", "balanceCredits"),
        ("\"balanceUsd\":0.00", "\"balanceUsd\":null", "balanceUsd"),
        ("\"recentLedger\":[]", "\"recentLedger\":{}", "recentLedger"),
    ])
    func aWrongSummaryIsRefusedByName(_ from: String, _ to: String, _ field: String) throws {
        let problem = SmokeExpectations.summary(try self.changed(from, to))
        #expect(problem?.contains("'\(field)'") == true)
    }

    @Test func aNewUserHasNothing() throws {
        let rich = try self.changed("\"balanceMillicredits\":\"0\"", "\"balanceMillicredits\":\"1\"")
        #expect(SmokeExpectations.summary(rich) == nil)
        #expect(SmokeExpectations.summary(rich, isNew: true)?.contains("new user") == true)
        let used = try self.changed("\"recentUsage\":[]", "\"recentUsage\":[{}]")
        #expect(SmokeExpectations.summary(used, isNew: true)?.contains("recentUsage") == true)
    }

    @Test(arguments: [
        ("\"priceUsdCents\":999,", "\"priceUsdCents\":998,"), ("\"credits\":52490", "\"credits\":52491"),
        ("\"bonusCredits\":10000", "\"bonusCredits\":0"), ("\"code\":\"enterprise\"", "\"code\":\"gold\""),
    ])
    func packagesAreFixedIntegers(_ from: String, _ to: String) throws {
        #expect(SmokeExpectations.packages(try self.changed(from, to)) != nil)
    }

    @Test func aModelWithoutAPriceIsNamed() throws {
        let summary = try self.read(Self.summary)
        #expect(SmokeExpectations.rates(summary, models: ["gpt-4o"])?.contains("'gpt-4o'") == true)
        let free = try self.changed("\"2.4\"", "\"0\"")
        #expect(SmokeExpectations.rates(free, models: ["gpt-4o-mini"])?.contains("inputCreditsPer1k") == true)
    }

    @Test(arguments: [
        ("\"currentCredits\":5", "\"currentCredits\":6"),
        ("\"requiredCredits\":49.95", "\"requiredCredits\":5"),
        ("\"redirectTo\":\"/billing?tab=credits\"", "\"redirectTo\":\"/\""),
        ("\"error\":\"Insufficient credits\"", "\"error\":\"no\""), ("", ""),
    ])
    func the402SaysAllFourFacts(_ from: String, _ to: String) throws {
        let good = """
            {"error":"Insufficient credits","requiredCredits":49.95,"currentCredits":5,\
            "redirectTo":"/billing?tab=credits"}
            """
        let problem = SmokeExpectations.insufficient(
            try self.read(from.isEmpty ? good : good.replacing(from, with: to)), credits: 5, isOpenAI: false)
        #expect((problem == nil) == from.isEmpty)
    }

    @Test func headersThatProtectMustBeThere() {
        let good = [
            "x-content-type-options": "nosniff", "content-security-policy": "frame-ancestors 'none'",
            "cache-control": "no-store", "referrer-policy": "no-referrer",
        ]
        #expect(SmokeExpectations.securityHeaders { good[$0] } == nil)
        for name in good.keys {
            #expect(
                SmokeExpectations.securityHeaders { $0 == name ? nil : good[$0] } != nil, "without \(name)")
        }
    }

    @Test func onlyAnExactAnswerToAStrangerIsAFailure() {
        #expect(SmokeExpectations.foreignOrigin(nil, "https://x") == nil)
        #expect(SmokeExpectations.foreignOrigin("https://ours", "https://x") == nil)
        #expect(SmokeExpectations.foreignOrigin("*", "https://x") != nil)
        #expect(SmokeExpectations.foreignOrigin("https://x", "https://x") != nil)
    }

    @Test func aStreamIsWholeWhenItsLastLineSaysSo() {
        let frames = "data: {\"usage\":null}\n\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n"
        let whole = SmokeStream(Array((frames + ": tollgate charged=1\n\ndata: [DONE]\r\n\r\n").utf8))
        #expect(whole.isWhole && whole.frames == 2 && whole.usage?["prompt_tokens"]?.integer == 3)
        #expect(!SmokeStream(Array(frames.utf8)).isWhole)
        #expect(!SmokeStream(Array(("data: [DONE]\n\n" + frames).utf8)).isWhole)
    }

    /// No page is pressed at Stripe itself: the payment names the purchase, and nothing else decides whose it is.
    @Test func aTestCardPaymentNamesItsPurchase() {
        let request = TestCardPayment(purchase: "abc").request
        #expect(request.method == .post(idempotencyKey: "smoke-abc"))
        let form = request.form.encoded
        for part in [
            "amount=999", "currency=usd", "payment_method=pm_card_visa", "confirm=true",
            "metadata[tollgate_purchase]=abc",
        ] { #expect(form.contains(part), "\(form)") }
    }
}
