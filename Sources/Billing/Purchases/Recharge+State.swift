extension Recharge {
    public struct DailySpend: Sendable, Hashable {
        /// Since 1970.
        public var day: Int64
        public var cents: Int64

        public init(day: Int64, cents: Int64) {
            self.day = day
            self.cents = cents
        }
    }

    public enum State: Sendable, Hashable {
        /// Can become `asking`, `stopped`.
        case idle
        /// Stripe is asked, or was before a crash; asked again at `retryAt`. Can become `processing`, `idle`,
        /// `pausing`, `stopped`.
        case asking(RechargeAttempt, retryAt: Int64)
        /// There is a payment intent, and its events tell the end. Can become `idle`, `pausing`, `stopped`.
        case processing(RechargeAttempt)
        /// The last attempt failed. Can become `asking`, `stopped`.
        case pausing(until: Int64)
        /// Can become `idle` by `turnOn`.
        case stopped(RechargeStop)
    }

    public enum Action: Sendable, Hashable {
        /// Ask Stripe for this attempt; its key never changes.
        case start(RechargeAttempt)
        case wait(until: Int64)
        /// Tell the user.
        case disable(RechargeStop)
        case nothing
    }
}
