import ArgumentParser
import Billing
import PostgresLedger

struct StripeDismissCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dismiss",
        abstract: "Decide that a dead event leads to nothing: it needs nobody any more.",
        discussion: """
            For a payment that was given back at Stripe, or is none of ours. No credits are granted or taken; what differs \
            in money is still told by `reconcile`. Leaves one entry in the audit log. Exit 1 when there is no such event, \
            or when it is not dead. Reads DATABASE_URL.
            """)

    @Argument(help: "The event, evt_….")
    var event: String
    @OptionGroup var why: RequiredReason

    func validate() throws {
        guard StripeEventKind.isID(self.event, prefix: "evt_") else {
            throw ValidationError("the event must be given by its id: evt_…")
        }
    }

    func run() async throws {
        try await reporting {
            try await StoreSession.with { store in
                switch try await store.ledger.dismissEvent(self.event, note: self.why.note) {
                case .dismissed: print("event \(self.event) is dismissed")
                case .unknownEvent: throw CommandFailure("the ledger has no event \(self.event)")
                case .notDead: throw CommandFailure("event \(self.event) is not dead: it needs nobody")
                }
            }
        }
    }
}
