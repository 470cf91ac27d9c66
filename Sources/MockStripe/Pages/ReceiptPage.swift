/// The page at a charge's `receipt_url`.
enum ReceiptPage {
    static func html(_ intent: PaymentIntent, _ charge: Charge, _ refunds: [Refund]) -> String {
        let rows = refunds.filter(\.counts).map { refund in
            let amount = CheckoutPage.money(refund.amount, refund.currency)
            return "<tr><td>Refund \(refund.id)</td><td>−\(amount)</td></tr>"
        }
        let left = CheckoutPage.money(charge.amount - charge.amountRefunded, charge.currency)
        return HTMLText.page(
            "Receipt",
            """
            <p class="badge">TEST MODE · mock of Stripe · no money moved</p>
            <h1>Receipt</h1>
            <table><tr><td>Payment \(intent.id)
            <small>\(HTMLText.escaped(intent.description ?? ""))</small></td>
            <td>\(CheckoutPage.money(charge.amount, charge.currency))</td></tr>\(rows.joined())
            <tr class="total"><td>Paid</td><td>\(left)</td></tr></table>
            """)
    }
}
