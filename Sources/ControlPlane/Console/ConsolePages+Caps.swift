import Billing
import Metering

/// Spend caps on the page of an account.
extension ConsolePages {
    /// - Parameter spend: nil: it is not known just now.
    func capsPart(_ spend: CapSpend?) -> ConsolePart {
        var part = ConsolePart(
            "Spend caps",
            note: "The same for every account. They are set in the environment of the instances: "
                + "BILLING_SINGLE_REQUEST_CAP, BILLING_SESSION_CAP and BILLING_DAILY_CAP.")
        part.table = ConsoleTable(
            "Spend caps",
            [.text("Of"), .number("Spent and held, credits"), .number("At most, credits"), .text("State")],
            [
                [.text("One request"), .noNumber, Self.most(self.caps.request), .none],
                Self.row("The last 60 minutes", spend?.session, self.caps.session),
                Self.row("This day (UTC)", spend?.day, self.caps.day),
            ])
        part.table?.isWide = true
        return part
    }

    private static func most(_ cap: Millicredits?) -> ConsoleCell {
        cap.map { .credits($0) } ?? .number("no cap")
    }

    private static func row(_ window: String, _ spent: Millicredits?, _ cap: Millicredits?) -> [ConsoleCell] {
        [
            .text(window), spent.map { .credits($0) } ?? .number("not known"), Self.most(cap),
            spent.flatMap { spent in cap.map { Self.state(spent, $0) } } ?? .none,
        ]
    }

    /// Clients are warned from 80 % on (CONTRACT §3).
    private static func state(_ spent: Millicredits, _ cap: Millicredits) -> ConsoleCell {
        if spent >= cap { return .badge("reached", .bad) }
        let isNear = spent.value >= cap.value - cap.value / 5
        return isNear ? .badge("80 % reached", .warning) : .badge("below", .good)
    }
}
