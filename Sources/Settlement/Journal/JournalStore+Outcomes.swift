import Metering
import MoneyPath

extension JournalStore: OutcomeJournal {
    public var isStrict: Bool { self.settings.syncMode == .strict }

    public func progressed(_ progress: ExchangeProgress) {
        self.progress(
            progress.hold,
            JournalProgress(
                output: progress.outputTokens, charge: progress.charge, shadow: progress.charge.amount))
    }

    public func outcomes(from sequence: UInt64, limit: Int) -> [JournaledOutcome] {
        var reading = self.outcomes(from: sequence)
        return reading.next(limit: limit)
    }
}
