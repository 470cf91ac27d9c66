extension Comments {
    static let moneyIn = statements(
        """
        purchase: One row per offer that was accepted; price and credits are those of the package at that time.
        purchase.purchase_id: Made before Stripe is asked; UUIDv7.
        purchase.account_id: Who gets the credits.
        purchase.kind: checkout (a person pays on Stripe's page) or recharge (the saved card is charged).
        purchase.package_code: The package.
        purchase.package_version: Its version.
        purchase.package_name: Its name then.
        purchase.price_usd_cents: Its price then, in US cents.
        purchase.credits_millicredits: Its credits then, bonus included.
        purchase.livemode: Made with a live key of Stripe.
        purchase.status: created, open, processing, paid, expired, failed or quarantined (for a person).
        purchase.session_id: Checkout session at Stripe.
        purchase.payment_intent_id: Payment intent at Stripe; never another one later.
        purchase.customer_id: Customer at Stripe when it was made.
        purchase.success_url: Where the page sends whoever paid.
        purchase.cancel_url: Where the page sends whoever did not.
        purchase.payment_method_id: What a recharge is charged to.
        purchase.receipt_url: Receipt at Stripe.
        purchase.created_at: When it was made.
        purchase.updated_at: When status or ids last changed.
        purchase.paid_at: When its credits were granted.
        payment_state: What was posted for a purchase so far; the target state of its payment minus this is what \
        is posted next.
        payment_state.purchase_id: The purchase.
        payment_state.account_id: Its account.
        payment_state.revision: Number of the last posting.
        payment_state.granted: Credits granted, millicredits.
        payment_state.paid_cents: What was received, US cents.
        payment_state.refunded_cents: Given back, US cents.
        payment_state.lost_cents: Lost to disputes, US cents.
        payment_state.clawed_by_refunds: Credits taken back for refunds, millicredits.
        payment_state.clawed_by_disputes: Credits taken back for lost disputes, millicredits.
        payment_state.frozen: Credits that open disputes keep from being spent, millicredits.
        payment_state.is_disputed: A bank is deciding.
        payment_state.fee_cents: Stripe's fee; NULL until it is told.
        payment_state.withdrawn_cents: With the banks of disputes.
        payment_state.lost_beyond_paid_cents: Taken by banks beyond what was left of the payment.
        payment_state.dispute_fee_cents: Stripe's fees for disputes.
        payment_state.doubt: Why the last reading was not posted, if it was not.
        payment_state.read_at: When the payment was last read from Stripe.
        stripe_customer: Customer at Stripe of each account.
        stripe_customer.account_id: The account.
        stripe_customer.livemode: Made with a live key.
        stripe_customer.customer_id: The customer.
        stripe_customer.created_at: When it was first seen.
        stripe_event: Events of Stripe that arrived, each once; kept 90 days. Bodies are not kept: events are only \
        hints to read a payment again.
        stripe_event.event_id: Id of the event.
        stripe_event.type: Its type.
        stripe_event.livemode: Of live mode.
        stripe_event.happened_at: When Stripe made it.
        stripe_event.received_at: When it was stored.
        stripe_event.source: webhook, poll (fetched because its delivery failed) or replay (by a person).
        stripe_event.session_id: Checkout session that it names.
        stripe_event.payment_intent_id: Payment intent that it names.
        stripe_event.purchase_id: The purchase it led to.
        stripe_event.outcome: applied, ignored (of no interest, or not ours), or dead (for a person).
        stripe_event.reason: Why it is dead.
        stripe_event.attempts: How often it was applied.
        lot_reversal: Ledger transactions that took credits of a paid lot back, or returned them.
        lot_reversal.transaction_id: The transaction.
        lot_reversal.lot: The lot.
        lot_reversal.cause: refund or dispute.
        lot_reversal.clawed: Millicredits of the lot that are taken back after it, in total.
        lot_reversal.reversed_cents: US cents of the lot that are given back after it, in total.
        cash_movement: Money that moved at Stripe because of a purchase; what the books are made of.
        cash_movement.movement_key: Unique over all payments.
        cash_movement.purchase_id: The purchase.
        cash_movement.kind: received, fee, refunded, dispute_withdrawn and so on.
        cash_movement.cents: US cents, always positive; the kind says which way.
        cash_movement.created_at: When it was posted.
        refund_request: Refunds that people asked for; stored before Stripe is asked.
        refund_request.request: Idempotency key of whoever asked.
        refund_request.purchase_id: The purchase.
        refund_request.kind: cash (money back) or credit (credits again, for usage that failed).
        refund_request.cents: Money to give back, US cents.
        refund_request.millicredits: Credits given.
        refund_request.reason: Why, for people.
        refund_request.actor: Who asked.
        refund_request.wanted: What was asked for: an amount, or the rest.
        refund_request.status: asked (Stripe may or may not have heard), done, failed (it came back later), or \
        refused by Stripe.
        refund_request.is_seen: A reading of the payment has shown it, so that its cents count in payment_state.
        refund_request.stripe_refund_id: The refund at Stripe.
        refund_request.refusal: What Stripe said.
        refund_request.created_at: When it was asked.
        refund_request.updated_at: When its status last changed.
        job_lease: Which instance does a periodic job, until when.
        job_lease.job: The job.
        job_lease.holder: Who does it.
        job_lease.until: When another may.
        job_lease.progress: Where the next run begins.
        credit_balance.frozen_millicredits: Part of the floor that open disputes raise.
        account.suspended_by_dispute: It is suspended because of an open dispute, and active again when it is won.
        """)
}
