import Testing

@testable import Billing

/// A payment that was read says why its attempt failed, or nothing.
@Suite struct RechargeFailureTests {
    @Test(
        arguments: [
            (PaymentSnapshot.Status.requiresPaymentMethod, "generic_decline", RechargeFailure.declined),
            (.requiresPaymentMethod, "authentication_required", .authenticationRequired),
            (.requiresPaymentMethod, nil, nil), (.requiresConfirmation, nil, nil),
            (.requiresAction, nil, .authenticationRequired), (.canceled, nil, .declined),
            (.processing, "generic_decline", nil), (.succeeded, "generic_decline", nil),
        ] as [(PaymentSnapshot.Status, String?, RechargeFailure?)])
    func onlyAnEndIsOne(
        _ status: PaymentSnapshot.Status, _ code: String?, _ expected: RechargeFailure?
    ) {
        var snapshot = PaymentSnapshot.unpaid(status)
        snapshot.failureCode = code
        #expect(RechargeFailure(snapshot) == expected)
    }
}
