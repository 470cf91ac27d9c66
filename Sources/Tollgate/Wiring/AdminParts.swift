import Billing
import ControlPlane
import Logging
import Metering
import Payments
import PostgresLedger
import RateCards
import RedisHolds

/// What the operator's routes are joined to.
enum AdminParts {
    static func ports(
        ledger: PostgresLedger, slowLedger: PostgresLedger, accounts: AccountBook, holds: RedisAccountReader,
        payments: PaymentParts,
        flags: any FlagDesk, samples: @escaping @Sendable () -> [MetricSample],
        mode: RoundingMode, region: Region?, logger: Logger
    ) -> AdminPorts {
        AdminPorts(
            staff: ledger, accounts: AccountDesk(book: accounts, ledger: ledger),
            holds: LiveHolds(reader: holds, ledger: ledger), books: ledger,
            cards: LedgerRateCards(ledger: ledger, history: slowLedger, mode: mode, region: region),
            flags: flags,
            replay: EventReplay(payments: payments.replay, ledger: ledger, logger: logger), audit: ledger,
            reviews: ledger.reviews, dashboards: slowLedger, samples: samples)
    }
}

/// Holds of one account, as the hold store has them.
struct LiveHolds: HoldReading {
    let reader: RedisAccountReader
    let ledger: any AccountReading

    func liveHolds(of account: AccountID) async -> [OpenHold]? {
        guard let audit = try? await self.reader.read(account) else { return nil }
        let held = audit.holds.map { OpenHold(hold: $0.hold, amount: $0.amount, isCaptured: false) }
        let captured = audit.captures.map { OpenHold(hold: $0.hold, amount: $0.amount, isCaptured: true) }
        return held + captured
    }

    func capSpend(of account: AccountID) async -> CapSpend? {
        guard let audit = try? await self.reader.read(account),
            let spent = await self.spent(by: account, audit),
            let session = Millicredits(exactly: spent.hour + audit.held),
            let day = Millicredits(exactly: spent.day + audit.held)
        else { return nil }
        return CapSpend(session: session, day: day)
    }

    /// The hold store forgets who has been idle, and what it had forgotten of others; the ledger has what was posted.
    private func spent(by account: AccountID, _ audit: AccountAudit) async -> (hour: Int64, day: Int64)? {
        if let spent = audit.spent(at: Clock.wallMilliseconds()) { return spent }
        let snapshot = await withCheckedContinuation { continuation in
            self.ledger.snapshot(of: account, among: []) { continuation.resume(returning: $0) }
        }
        guard let snapshot = try? snapshot.get() else { return nil }
        return (
            snapshot.spentLastHour.value + audit.captured, snapshot.spentToday.value + audit.captured
        )
    }
}

/// Replays of events for the operator's routes.
struct EventReplay: EventReplaying {
    let payments: PaymentReplay
    let ledger: PostgresLedger
    let logger: Logger

    func replay(_ choice: ReplayChoice, note: ChangeNote) async throws(ReplayRefusal) -> ReplayResult {
        let (selection, subject): (PaymentReplay.Selection, String) =
            switch choice {
            case .event(let id): (.event(id), "event:\(id)")
            case .dead: (.dead(from: nil, to: nil), "events:dead")
            }
        var result = ReplayResult(events: 0, posted: 0, open: 0)
        do {
            // The wish, before what it does: each event is applied in a transaction of its own.
            try await self.ledger.noteReplay(subject, note: note)
            try await self.payments.run(selection, isRehearsal: false) { step in
                guard case .event(let event) = step else { return }
                result.events += 1
                if event.isOpen { result.open += 1 }
                if case .settled(.posted) = event.result { result.posted += 1 }
            }
        } catch let failure as PaymentReplay.Failure {
            switch failure {
            case .notConfigured: throw .notConfigured
            case .unknownEvent: throw .unknownEvent
            case .unlisted: throw .stripeUnavailable
            }
        } catch {
            self.logger.warning("replay ended", metadata: ["error": "\(type(of: error))"])
            throw .ledgerUnavailable
        }
        return result
    }

    func dismiss(_ event: String, note: ChangeNote) async throws(ReplayRefusal) {
        let done: EventDismissal
        do {
            done = try await self.ledger.dismissEvent(event, note: note)
        } catch {
            self.logger.warning("an event was not dismissed", metadata: ["error": "\(type(of: error))"])
            throw .ledgerUnavailable
        }
        switch done {
        case .dismissed: return
        case .unknownEvent: throw .unknownEvent
        case .notDead: throw .notDead
        }
    }
}
