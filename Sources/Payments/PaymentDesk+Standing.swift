import Billing

extension PaymentDesk: CheckoutStanding {
    public var refusalOfAll: CheckoutRefusal? {
        if self.stripe == nil { return .notConfigured }
        return self.settings.controls.current.purchases ? nil : .purchasesDisabled
    }
}
