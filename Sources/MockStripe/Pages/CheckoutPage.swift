/// The page at a session's `url`. Every button is a plain form, so that tests can press it.
enum CheckoutPage {
    static func html(_ session: CheckoutSession, remark: String?) -> String {
        let rows = session.items.map { item in
            let price = money(item.unitAmount * item.quantity, item.currency)
            let about = item.description.map { "<small>\(HTMLText.escaped($0))</small>" } ?? ""
            let count = item.quantity > 1 ? " × \(item.quantity)" : ""
            return "<tr><td>\(HTMLText.escaped(item.name))\(count)\(about)</td><td>\(price)</td></tr>"
        }
        let total = money(session.amount, session.currency)
        return HTMLText.page(
            "Checkout",
            """
            <p class="badge">TEST MODE · mock of Stripe · no money moves</p>
            <h1>\(total)</h1>
            <table>\(rows.joined())<tr class="total"><td>Total</td><td>\(total)</td></tr></table>
            \(remark.map { "<p class=\"remark\" role=\"alert\">\(HTMLText.escaped($0))</p>" } ?? "")
            \(session.status == .open ? buttons(session) : ended(session))
            """)
    }

    private static func buttons(_ session: CheckoutSession) -> String {
        var parts = [
            "<h2>Card</h2>",
            form(session, .card, "Pay \(money(session.amount, session.currency))", "primary"),
            form(session, .declined, "Pay with a card that is declined"),
            form(session, .insufficientFunds, "Pay with a card without funds"),
        ]
        if session.setupFutureUsage != nil {
            parts += [
                form(session, .cardThenDeclined, "Pay; the saved card is declined later"),
                form(session, .cardThenAuthentication, "Pay; the saved card asks for its owner later"),
            ]
        }
        if session.methodTypes.contains("us_bank_account") {
            parts += [
                "<h2>Bank debit</h2>", form(session, .bankSucceeds, "Pay; clears after a moment"),
                form(session, .bankFails, "Pay; bounces after a moment"),
                form(session, .bank, "Pay; stays pending until /_mock/payment"),
            ]
        }
        if session.cancelURL != nil { parts.append(form(session, .cancel, "← Back to the shop", "link")) }
        return parts.joined(separator: "\n")
    }

    private static func ended(_ session: CheckoutSession) -> String {
        let text =
            switch (session.status, session.paymentStatus) {
            case (.expired, _): "This session has expired. Please begin again in the shop."
            case (_, .paid): "This session is paid."
            default: "This session is complete; the bank has not confirmed its payment yet."
            }
        let target = HTMLText.escaped(
            session.status == .expired ? session.cancelURL ?? "" : session.successTarget)
        return "<p>\(text)</p><p><a href=\"\(target)\">Back to the shop</a></p>"
    }

    private static func form(
        _ session: CheckoutSession, _ press: StripeWorld.Press, _ label: String, _ style: String = ""
    ) -> String {
        """
        <form method="post" action="/c/pay/\(session.id)"><input type="hidden" name="outcome" \
        value="\(press.rawValue)"><button class="\(style)">\(HTMLText.escaped(label))</button></form>
        """
    }

    static func money(_ cents: Int, _ currency: String) -> String {
        StripeWorld.dollars(cents) + (currency == "usd" ? "" : " " + HTMLText.escaped(currency.uppercased()))
    }
}
