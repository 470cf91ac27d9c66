import Logging
import Metering
import MoneyPath
import PostgresLedger
import Settlement
import Synchronization

/// Judges each heartbeat by what this host heard of the ledger before, this process or another (rules P7, B8).
final class LedgerWatch: Sendable {
    private let ledger: PostgresLedger
    private let file: LedgerPositionFile
    private let logger: Logger
    private let history: Mutex<LedgerHistory>
    private let others = Mutex<[@Sendable () -> Void]>([])

    /// - Parameter journals: the directory of the host's journals.
    init(ledger: PostgresLedger, journals: String, logger: Logger) async {
        self.ledger = ledger
        self.file = LedgerPositionFile(root: journals)
        self.logger = logger
        self.history = Mutex(LedgerHistory(newest: await self.file.read()))
    }

    /// The ledger's generation, which is a new one when the ledger was set back. Throws when the answer is of a primary
    /// that was replaced: nothing is learned from it.
    func generation(at position: LedgerPosition) async throws -> Int64 {
        var generation = position.generation
        switch self.history.withLock({ $0.heard(position) }) {
        case .advanced: break
        case .moved: self.reconnect()
        case .replaced:
            self.reconnect()
            throw ReplacedLedger()
        case .setBack(let newest):
            generation = try await self.ledger.follow(newest)
            self.history.withLock { $0.raised(position, to: generation) }
            self.logger.error(
                "the ledger was set back; it has a new generation, and the journals are posted again",
                metadata: [
                    "generation": "\(generation)", "knownGeneration": "\(newest.generation)",
                    "lostBytes": "\(newest.flushed - position.flushed)",
                ])
        }
        await self.keep()
        return generation
    }

    /// nil: the ledger was never heard of.
    var newest: LedgerPosition? { self.history.withLock { $0.newest } }

    /// - Parameter reconnect: closes connections that may be to where the ledger was.
    func whenMoved(_ reconnect: @escaping @Sendable () -> Void) {
        self.others.withLock { $0.append(reconnect) }
    }

    private func reconnect() {
        self.ledger.reconnect()
        for reconnect in self.others.withLock({ $0 }) { reconnect() }
    }

    private func keep() async {
        guard let newest = self.newest else { return }
        do throws(JournalFileFailure) {
            try await self.file.write(newest)
        } catch {
            self.logger.warning(
                "not noted how far the ledger has come: the next process would not see that it was set back",
                metadata: ["error": "\(error)"])
        }
    }
}
