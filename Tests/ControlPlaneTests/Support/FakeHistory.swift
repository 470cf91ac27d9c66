import Billing
import Metering
import Synchronization

/// Lines and statements in memory.
final class FakeHistory: HistoryReading {
    struct State {
        var entries: [AccountID: [LedgerEntry]] = [:]
        var statements: [UTCMonth: Statement] = [:]
        var failure: (any Error)?
    }

    let state = Mutex(State())

    func ledger(_ query: LedgerQuery) async throws -> [LedgerEntry] {
        try self.state.withLock { state in
            if let failure = state.failure { throw failure }
            let entries = (state.entries[query.account] ?? []).filter { entry in
                (query.type.map { $0.rawValue == entry.line.type } ?? true)
                    && (query.from.map { entry.line.createdAt >= $0 } ?? true)
                    && (query.to.map { entry.line.createdAt < $0 } ?? true)
                    && (query.before.map { entry.line.version < $0 } ?? true)
            }
            return Array(entries.sorted { $0.line.version > $1.line.version }.prefix(Int(query.limit)))
        }
    }

    func statement(of account: AccountID, month: UTCMonth) async throws -> IssuedStatement? {
        try self.state.withLock { state in
            if let failure = state.failure { throw failure }
            guard let statement = state.statements[month], statement.account == account else { return nil }
            return IssuedStatement(statement: statement, issued: month.lastDay)
        }
    }
}

/// A document that names its statement.
struct FakePrinter: StatementPrinting {
    var failure: StatementPrintingFailure?

    func pdf(_ statement: IssuedStatement) async throws(StatementPrintingFailure) -> [UInt8] {
        if let failure { throw failure }
        return Array("%PDF-1.7 \(statement.statement.number)".utf8)
    }
}
