import Metering
import MoneyPath

extension JournalStore: OutcomeJournal {
    public var isStrict: Bool { self.settings.syncMode == .strict }

    public func progressed(_ progress: ExchangeProgress) {
        self.progress(
            progress.hold,
            JournalProgress(
                output: progress.outputTokens, charge: progress.charge, shadow: progress.shadow))
    }

    public func backlog(from sequence: UInt64, limit: Int) -> JournalPage {
        self.state.withLock { $0.journal.backlog(from: sequence, limit: limit) }.read()
    }
}
