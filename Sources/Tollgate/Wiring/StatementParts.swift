import Billing
import Dispatch
import Logging
import Metering
import PostgresLedger
import StatementPDF
import Synchronization

/// Statements, and lists for users and administrators, for the API.
final class StatementParts: Sendable {
    let ledger: PostgresLedger
    /// For what takes long: simulations, dashboards, looks for anomalies.
    let slowLedger: PostgresLedger
    let printer: StatementPrinter
    private let pool, slowPool: PostgresPool

    init(_ settings: StatementSettings, database: PostgresConfiguration, logger: Logger) {
        // A month can take a second to read, and so can a list: neither admission nor a settlement may queue behind it.
        self.pool = PostgresPool(database, size: 3, logger: logger)
        self.ledger = PostgresLedger(pool: self.pool, logger: logger)
        // A simulation takes minutes and a dashboard a quarter of one: with the short reads they would keep customers from
        // their balances, and an owner's session from a kill switch.
        self.slowPool = PostgresPool(database, size: 2, logger: logger)
        self.slowLedger = PostgresLedger(pool: self.slowPool, logger: logger)
        self.printer = StatementPrinter(settings)
    }

    /// Accounts and keys for the operator's routes.
    func accounts(_ hasher: KeyHasher) -> AccountBook { AccountBook(pool: self.pool, hasher: hasher) }

    /// What is connected may not be the primary any more: people's changes go through here.
    func reconnect() {
        self.pool.reconnect()
        self.slowPool.reconnect()
    }

    func shutdown() {
        self.pool.shutDownAndWait()
        self.slowPool.shutDownAndWait()
    }
}

/// Makes PDFs on a few threads of its own: it is work of the processor and of C.
final class StatementPrinter: StatementPrinting {
    private let settings: StatementSettings
    private let queues: [DispatchQueue]
    private let load: Mutex<PrinterLoad>

    /// - Parameter waitingMax: documents per thread that may be under way; more are refused.
    init(_ settings: StatementSettings, threads: Int = 2, waitingMax: Int = 16) {
        self.settings = settings
        self.queues = (0..<threads).map { DispatchQueue(label: "tollgate.statements.\($0)", qos: .utility) }
        self.load = Mutex(PrinterLoad(queues: threads, perQueueMax: waitingMax))
    }

    func pdf(_ statement: IssuedStatement) async throws(StatementPrintingFailure) -> [UInt8] {
        guard let queue = self.load.withLock({ $0.enter() }) else { throw .busy }
        let printed = await withCheckedContinuation { continuation in
            self.queues[queue].async {
                let printed = self.settings.pdf(statement)
                self.load.withLock { $0.leave(queue) }
                continuation.resume(returning: printed)
            }
        }
        return try printed.get()
    }
}

/// How many documents each queue has.
struct PrinterLoad: Equatable {
    private var counts: [Int]
    private let perQueueMax: Int

    init(queues: Int, perQueueMax: Int) {
        precondition(queues > 0, "StatementPrinter.init: somebody must print")
        self.counts = Array(repeating: 0, count: queues)
        self.perQueueMax = perQueueMax
    }

    /// The shortest queue; nil when all are full.
    mutating func enter() -> Int? {
        guard let least = self.counts.min(), least < self.perQueueMax,
            let queue = self.counts.firstIndex(of: least)
        else { return nil }
        self.counts[queue] += 1
        return queue
    }

    mutating func leave(_ queue: Int) {
        precondition(self.counts[queue] > 0, "PrinterLoad.leave: once for each enter")
        self.counts[queue] -= 1
    }
}
