extension Purchase {
    /// Stripe made the session. Repeated after a crash, it names the same one: creation is keyed.
    public mutating func sessionOpened(_ session: String) {
        if self.session == nil { self.session = session }
        if self.status == .created { self.status = .open }
    }

    /// Nobody paid in time.
    public mutating func sessionExpired() {
        switch self.status {
        case .created, .open: self.status = .expired
        // Money may be on its way, or has come: only the payment itself decides then.
        case .processing, .paid, .expired, .failed, .quarantined: break
        }
    }

    /// Its page is over, and the payment made on it has failed, as a bank debit does days later: nobody can try again.
    public mutating func failedBehindItsPage() {
        switch self.status {
        case .created, .open: self.status = .failed
        case .processing, .paid, .expired, .failed, .quarantined: break
        }
    }

    /// Stripe refused to make the payment at all: there is no payment intent to read.
    public mutating func refused() {
        switch self.status {
        case .created, .open: self.status = .failed
        case .processing, .paid, .expired, .failed, .quarantined: break
        }
    }

    /// After the payment was read and its difference decided, in the transaction that posts it.
    public mutating func observed(_ snapshot: PaymentSnapshot, _ decision: PaymentDecision) {
        guard self.status != .paid else { return }
        switch decision {
        case .doubt:
            self.status = .quarantined
        case .post(let change) where change.after.isGranted:
            self.paymentIntent = snapshot.paymentIntent
            self.status = .paid
        case .grantStands:
            self.paymentIntent = snapshot.paymentIntent
            self.status = .paid
        case .post, .upToDate:
            self.paymentIntent = snapshot.paymentIntent
            self.follow(snapshot.status)
        }
    }

    /// Nothing was to be posted.
    private mutating func follow(_ payment: PaymentSnapshot.Status) {
        switch payment {
        case .processing:
            self.status = .processing
        case .canceled:
            self.status = .failed
        case .requiresPaymentMethod, .requiresAction, .requiresConfirmation, .requiresCapture:
            // On the page the customer can try another card; a bank that said no at last, or a charge without
            // anybody there, is over.
            let isOver = self.status == .processing || self.kind == .recharge
            if isOver { self.status = .failed } else if self.status == .created { self.status = .open }
        case .succeeded:
            self.status = .paid  // It was granted before.
        }
    }
}
