import Billing
import StripeAPI

/// What an off-session charge that did not succeed means.
enum RechargeAnswer: Equatable {
    /// There is a payment intent, and it tells why.
    case read(String)
    case failed(RechargeFailure)

    init(_ error: StripeFailure) {
        switch error.kind {
        case .cardDeclined(_, _, let payment?), .authenticationRequired(let payment?):
            self = .read(payment)
        case .cardDeclined: self = .failed(.declined)
        case .authenticationRequired: self = .failed(.authenticationRequired)
        // Stripe's refusal of these parameters is the outcome of whatever was asked under this key.
        case .invalidRequest(_, let parameter?), .notFound(let parameter?):
            let isCard = parameter == "payment_method" || parameter == "customer"
            self = .failed(isCard ? .noPaymentMethod : .refused)
        case .invalidRequest, .notFound, .malformedRequest: self = .failed(.refused)
        // An earlier request under this key may have been carried out though this one was turned away: another attempt
        // could charge a second time, so it stays the same one.
        case .idempotencyMismatch, .locked, .unauthorised, .rateLimited, .apiError, .unreachable, .outOfTime,
            .wrongLivemode, .unreadableReply, .unknownStatus, .foreignCurrency:
            self = .failed(.outcomeUnknown)
        }
    }
}
