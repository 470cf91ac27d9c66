import ArgumentParser
import Billing
import Metering
import Payments

struct RefundCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "refund",
        abstract: "Give money or credits of a purchase back; the same key does it once.",
        discussion: """
            --cash sends money back to the card, and takes its share of the credits back, spent or not. --credits gives \
            credits back for usage that failed its user; no money moves. Without an amount: all that is left.
            Reads DATABASE_URL, and for --cash STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET, STRIPE_API_BASE.
            """)

    @Option(help: "Id of the purchase.")
    var purchase: String
    @Flag(help: "Money back to the card.")
    var cash = false
    @Option(help: "US cents, for --cash.")
    var cents: Int64?
    @Flag(help: "Credits back to the account.")
    var credits = false
    @Option(help: "Millicredits, for --credits; 1,000 of them are a credit.")
    var millicredits: Int64?
    @Option(help: "Kept with the refund.")
    var reason: String
    @Option(help: "1 to 200 visible characters; repeated, it answers with the refund that was made.")
    var idempotencyKey: String

    func validate() throws {
        guard self.cash != self.credits else { throw ValidationError("give either --cash or --credits") }
        guard PurchaseID(text: self.purchase) != nil else {
            throw ValidationError("--purchase must be the id of a purchase")
        }
        if self.cents != nil, !self.cash { throw ValidationError("--cents goes with --cash") }
        if self.millicredits != nil, !self.credits {
            throw ValidationError("--millicredits goes with --credits")
        }
    }

    func run() async throws {
        guard let purchase = PurchaseID(text: self.purchase) else { throw Exit.usage }
        try await reporting {
            try await PaymentSession.with { parts in
                do throws(RefundFailure) {
                    print(try await self.refund(purchase, parts.refunds))
                } catch {
                    complain(
                        (error.field.map { Self.option($0, isCash: self.cash) + ": " } ?? "") + error.sentence
                    )
                    throw Self.exit(error)
                }
            }
        }
    }

    /// What was done, in one line.
    private func refund(
        _ purchase: PurchaseID, _ refunds: any Refunding
    ) async throws(RefundFailure) -> String {
        let note = ChangeNote(actor: Operator.name, reason: self.reason)
        if self.cash {
            let made = try await refunds.refundCash(
                self.idempotencyKey, of: purchase, amount: self.cents.map { .cents($0) } ?? .rest, note: note)
            return "refund \(made.refund): \(made.cents) cents of purchase \(purchase)"
        }
        let credits = try await refunds.refundCredits(
            self.idempotencyKey, of: purchase,
            amount: self.millicredits.map { .millicredits(Millicredits($0)) } ?? .rest, note: note)
        return "credited \(credits.value) millicredits for purchase \(purchase)"
    }

    private static func option(_ field: RefundFailure.Field, isCash: Bool) -> String {
        switch field {
        case .purchase: "--purchase"
        case .reason: "--reason"
        case .idempotencyKey: "--idempotency-key"
        case .amount: isCash ? "--cents" : "--millicredits"
        }
    }

    private static func exit(_ failure: RefundFailure) -> ExitCode {
        switch failure {
        case .notConfigured: Exit.badConfiguration
        case .unknown, .ledgerUnavailable: Exit.unavailable
        case .unknownPurchase, .cash, .credit, .idempotencyConflict, .refusedByStripe, .failedLater:
            Exit.checkFailed
        }
    }
}
