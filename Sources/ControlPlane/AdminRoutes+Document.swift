import Billing

extension AdminRoutes {
    static let purchasesOperation = Operation(
        .admin, "adminPurchases",
        "Purchases, newest first; `from` and `to` are of the payment, or of the order where none came.",
        [
            .query("userId", .string(1...256), "Of this user only."),
            .query("status", .word(Purchase.Status.self), "Of this status only."),
        ] + .span + .page,
        reply: .page(
            .object([
                .init("purchaseId", .string), .init("userId", .string), .init("kind", .string),
                .init("packageCode", .string), .init("packageVersion", .integer),
                .init("priceUsdCents", .integer), .init("creditsMillicredits", .named(.millicredits)),
                .init("status", .word(Purchase.Status.self)), .init("livemode", .boolean),
                .init("sessionId", .string.orNull), .init("paymentIntentId", .string.orNull),
                .init("customerId", .string.orNull), .init("receiptUrl", .string.orNull),
                .init("createdAtMs", .integer), .init("paidAtMs", .integer.orNull),
                .init("paidCents", .integer), .init("refundedCents", .integer),
                .init("lostCents", .integer), .init("clawedMillicredits", .named(.millicredits)),
                .init("frozenMillicredits", .named(.millicredits)), .init("disputed", .boolean),
                .init("doubt", .string.orNull),
            ])))

    static let eventsOperation = Operation(
        .admin, "adminWebhookEvents", "Events of Stripe, latest arrival first.",
        [
            .query("outcome", .word(EventOutcome.self), "Of this outcome only."),
            .query("type", .string(1...255), "Of this type only, such as charge.refunded."),
        ] + .span + .page,
        reply: .page(
            .object([
                .init("eventId", .string), .init("type", .string), .init("livemode", .boolean),
                .init("outcome", .word(EventOutcome.self)), .init("reason", .string.orNull),
                .init("source", .string), .init("attempts", .integer), .init("sessionId", .string.orNull),
                .init("paymentIntentId", .string.orNull), .init("purchaseId", .string.orNull),
                .init("happenedAtMs", .integer), .init("receivedAtMs", .integer),
            ])))

    static let refundOperation = Operation(
        .admin, "adminRefund", "Give money or credits of a purchase back.",
        body: Operation.Body(
            schema: .object(
                [
                    .init("purchaseId", .string), .init("kind", .words("cash", "credit")),
                    .optional("amountCents", .integer),
                    .optional("amountMillicredits", .named(.millicredits)),
                    .init("reason", .string(1...1000)), .init("idempotencyKey", .string(1...200)),
                ], isClosed: true)),
        replies: [
            .json(
                .object([
                    .init("status", .words("done")), .init("purchaseId", .string),
                    .init("idempotencyKey", .string), .init("kind", .words("cash", "credit")),
                    .optional("refundId", .string), .optional("amountCents", .integer),
                    .optional("amountMillicredits", .named(.millicredits)),
                ])),
            .json(
                .object([
                    .init("status", .words("pending")), .init("purchaseId", .string),
                    .init("idempotencyKey", .string), .init("message", .string),
                ]), .accepted, "Stripe's answer is not known yet; send the same again."),
        ], errors: [.notFound, .conflict, .unprocessableContent, .badGateway], audits: true)
}
