import ArgumentParser
import Billing
import PostgresLedger

struct StripeDismissCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dismiss",
        abstract: "Decide that dead events lead to nothing: they need nobody any more.",
        discussion: """
            For a payment that was given back at Stripe, or is none of ours. No credits are granted or taken; what differs \
            in money is still told by `reconcile`. Leaves one entry in the audit log for each. Exit 1 when one of them is \
            not in the ledger or not dead; the others are dismissed. Reads DATABASE_URL.
            """)

    @Argument(help: "The events, evt_….")
    var events: [String]
    @OptionGroup var why: RequiredReason

    func validate() throws {
        guard self.events.allSatisfy({ StripeEventKind.isID($0, prefix: "evt_") }) else {
            throw ValidationError("events must be given by their ids: evt_…")
        }
    }

    func run() async throws {
        try await reporting {
            try await StoreSession.with { store in
                var isWhole = true
                for event in self.events {
                    switch try await store.ledger.dismissEvent(event, note: self.why.note) {
                    case .dismissed:
                        print("event \(event) is dismissed")
                        continue
                    case .unknownEvent: complain("the ledger has no event \(event)")
                    case .notDead: complain("event \(event) is not dead: it needs nobody")
                    }
                    isWhole = false
                }
                guard isWhole else { throw Exit.checkFailed }
            }
        }
    }
}
