extension RechargeFailure {
    /// What a payment that was read says of its attempt; nil: it does not say that the attempt failed. Without anybody
    /// there, what needs an action is over; without an error, what needs a card has not been tried yet.
    public init?(_ snapshot: PaymentSnapshot) {
        switch snapshot.status {
        case .requiresAction: self = .authenticationRequired
        case .canceled: self = snapshot.failureCode.map(Self.init(code:)) ?? .declined
        case .requiresPaymentMethod, .requiresConfirmation:
            guard let code = snapshot.failureCode else { return nil }
            self.init(code: code)
        case .processing, .requiresCapture, .succeeded: return nil
        }
    }

    /// Of a card error: its decline code, else its code.
    public init(code: String) {
        self = code == Self.authenticationRequired.rawValue ? .authenticationRequired : .declined
    }
}
