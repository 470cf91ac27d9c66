import Billing
import StripeAPI
import Testing

@testable import Payments

/// What is not known to have failed is asked for again under its key; anything else could charge twice.
@Suite struct RechargeAnswerTests {
    @Test(arguments: [
        StripeFailure.Kind.cardDeclined(code: "card_declined", declineCode: nil, paymentIntent: "pi_1"),
        .authenticationRequired(paymentIntent: "pi_1"),
    ])
    func aPaymentThatExistsIsRead(_ kind: StripeFailure.Kind) {
        #expect(RechargeAnswer(StripeFailure(kind)) == .read("pi_1"))
    }

    @Test(arguments: [
        (
            StripeFailure.Kind.cardDeclined(code: "expired_card", declineCode: nil, paymentIntent: nil),
            RechargeFailure.declined
        ),
        (.authenticationRequired(paymentIntent: nil), .authenticationRequired),
        (.invalidRequest(code: "resource_missing", parameter: "payment_method"), .noPaymentMethod),
        (.notFound(parameter: "customer"), .noPaymentMethod),
        (.invalidRequest(code: nil, parameter: "amount"), .refused),
        (.invalidRequest(code: nil, parameter: nil), .refused),
    ])
    func aRefusalIsAnAnswer(_ kind: StripeFailure.Kind, _ failure: RechargeFailure) {
        #expect(RechargeAnswer(StripeFailure(kind)) == .failed(failure))
    }

    @Test(arguments: [
        StripeFailure.Kind.outOfTime, .unreachable(.timedOut(sent: true)), .unreachable(.connect),
        .apiError(status: 500),
        .locked, .rateLimited, .unreadableReply, .idempotencyMismatch, .unauthorised(status: 401),
        .wrongLivemode, .unknownStatus(object: .paymentIntent, status: "new"),
        .foreignCurrency(object: .charge),
    ])
    func whatSaysNothingOfTheChargeLeavesItOpen(_ kind: StripeFailure.Kind) {
        #expect(RechargeAnswer(StripeFailure(kind)) == .failed(.outcomeUnknown))
    }
}
