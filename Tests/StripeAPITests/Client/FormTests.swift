import Testing

@testable import StripeAPI

@Suite struct FormTests {
    @Test func nestedFieldsBecomeBrackets() {
        let form: FormTable = [
            "mode": "payment",
            "line_items": [["price_data": ["unit_amount": 999], "quantity": 1], ["quantity": 2]],
            "confirm": true, "expand": ["a.b", "c"],
        ]
        #expect(
            form.encoded
                == "mode=payment&line_items[0][price_data][unit_amount]=999&line_items[0][quantity]=1"
                + "&line_items[1][quantity]=2&confirm=true&expand[0]=a.b&expand[1]=c")
    }

    /// An empty value would mean "delete this" to Stripe.
    @Test func whatIsAbsentIsLeftOut() {
        let form: FormTable = [
            "a": .absent, "b": .optional(nil as String?), "c": ["d": .absent, "e": .optional(Int64(1))],
            "f": [],
        ]
        #expect(form.encoded == "c[e]=1")
    }

    /// What a user writes stays a value: it never becomes a field of its own.
    @Test func everyByteThatMeansSomethingIsEscaped() {
        let form: FormTable = ["na me": "a&b=c d+e%f[g]\n\u{0}ä€😀", "metadata": .map(["k[x]&y": "~-._"])]
        #expect(
            form.encoded == "na%20me=a%26b%3Dc%20d%2Be%25f%5Bg%5D%0A%00%C3%A4%E2%82%AC%F0%9F%98%80"
                + "&metadata[k%5Bx%5D%26y]=~-._")
    }

    @Test func wholeNumbersAreExact() {
        let form: FormTable = ["a": .integer(.max), "b": .integer(.min), "c": 0]
        #expect(form.encoded == "a=9223372036854775807&b=-9223372036854775808&c=0")
    }

    /// The same request must be the same bytes when it is tried again with its idempotency key.
    @Test func metadataHasOneOrder() {
        let form: FormTable = ["metadata": .map(["c": "3", "a": "1", "b": "2"])]
        #expect(form.encoded == "metadata[a]=1&metadata[b]=2&metadata[c]=3")
    }

    @Test func aFieldSetTwiceHasItsLastValue() {
        var form: FormTable = ["a": 1, "b": 2]
        form["a"] = 3
        #expect(form.encoded == "a=3&b=2")
        #expect(form["a"] == 3)
        #expect(form["z"] == .absent)
    }

    /// An empty id would list everything, a slash would lead elsewhere.
    @Test(arguments: ["", "a/b", "..", "a?b", "a b", "a%2Fb", "ä", String(repeating: "a", count: 256)])
    func anIDThatCouldLeadElsewhereIsNotSent(_ id: String) {
        #expect(!RetrievePaymentIntent(id).request.isWellFormed)
        #expect(RetrievePaymentIntent("pi_3Px_9").request.isWellFormed)
    }

    @Test(arguments: ["", "a b", "a\r\nb", "ä", String(repeating: "a", count: 256)])
    func aKeyThatIsNoHeaderIsNotSent(_ key: String) {
        var refund = CreateRefund.example
        #expect(refund.request.isWellFormed)
        refund.idempotencyKey = key
        #expect(!refund.request.isWellFormed)
    }

    @Test func secretsAreNotPrinted() throws {
        let key = try StripeKey.test()
        #expect(
            "\(key) \(String(reflecting: key)) \(Array(Mirror(reflecting: key).children))" == "*** *** []")
        var text = ""
        dump(key, to: &text)
        #expect(!text.contains("Secret"))
    }

    @Test(
        arguments: [
            ("sk_test_x", false), ("rk_test_x", false), ("sk_live_x", true), ("rk_live_x", true),
            ("pk_test_x", nil),
            ("whsec_x", nil), ("sk_test_", nil), ("", nil), ("sk_live_a b", nil), ("sk_live_a\n", nil),
        ] as [(String, Bool?)])
    func theKeySaysWhichModeItIsOf(_ text: String, _ isLive: Bool?) {
        #expect(StripeKey(text)?.isLive == isLive)
    }
}
