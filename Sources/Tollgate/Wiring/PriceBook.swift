import Logging
import Metering
import PostgresLedger
import RateCards
import Synchronization

/// The active rate card as prices in the region of the upstream, read again from the ledger twice a second.
final class PriceBook: PriceSource, Sendable {
    private let ledger: PostgresLedger
    private let mode: RoundingMode
    private let region: Region?
    private let logger: Logger
    private let table: Mutex<PriceTable>

    /// - Throws: when there is no active card, or it cannot be read.
    init(ledger: PostgresLedger, mode: RoundingMode, region: Region?, logger: Logger) async throws {
        self.ledger = ledger
        self.mode = mode
        self.region = region
        self.logger = logger
        self.table = Mutex(try await Self.load(ledger, mode, region))
    }

    var current: PriceTable { self.table.withLock { $0 } }

    /// Runs until cancelled. A card that cannot be read leaves the last good prices in force, and says so.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(500))
            do {
                guard let active = try await self.ledger.activeRateCard() else { continue }
                guard "\(active.card)@\(active.version)" != self.current.version else { continue }
                let table = try Self.table(active.body, self.mode, self.region)
                self.table.withLock { $0 = table }
                self.logger.info("rate card in force", metadata: ["card": "\(table.version)"])
            } catch {
                self.logger.warning("the active rate card could not be read", metadata: ["error": "\(error)"])
            }
        }
    }

    private static func load(
        _ ledger: PostgresLedger, _ mode: RoundingMode, _ region: Region?
    ) async throws -> PriceTable {
        guard let active = try await ledger.activeRateCard() else {
            throw CommandFailure(
                "no rate card is in force: run `tollgate seed`, or `tollgate ratecard apply FILE`")
        }
        return try self.table(active.body, mode, region)
    }

    private static func table(
        _ body: String, _ mode: RoundingMode, _ region: Region?
    ) throws -> PriceTable {
        try RateCard(parsing: body).priceTable(mode: mode, region: region)
    }
}
