import Billing
import Metering

/// What a run of the books did.
public struct BookRun: Sendable, Hashable {
    /// Accounts whose books went on.
    public var accounts = 0
    public var lines = 0
    public var entries = 0
    /// Accounts whose books cannot go on; `lot_book.failure` says why.
    public var failed = 0

    public init() {}
}

extension PostgresLedger {
    private static let linesPerRun: Int64 = 5_000

    /// Recognises revenue for every account that has lines the books have not seen. May run on several instances at
    /// once; each account's book is locked while it goes on.
    ///
    /// - Parameters:
    ///   - batch: accounts per query.
    ///   - waitsForCosts: costs are there up to now when it returns, also those that another instance is posting; for a
    ///     comparison.
    /// - Throws: what one account's book or one day's costs ended with, after all others were tried; at once when the
    ///   ledger is away.
    public func keepBooks(batch: Int64 = 500, waitsForCosts: Bool = false) async throws -> BookRun {
        var (run, failure) = (BookRun(), FirstFailure())
        var after: AccountID = 0
        while true {
            let behind = try await self.accountsBehind(after: after, limit: batch)
            for account in behind {
                try Task.checkCancellation()
                do {
                    try await self.keepBook(of: account, &run)
                } catch let error as PostgresError where error.isAnswer {
                    // One account's trouble is not the others'. A time-out or a lock passes by itself.
                    if error.isUnreachable || error.isConcurrency {
                        failure.note(error)
                    } else {
                        run.failed += 1
                        try await self.noteFailure(of: account, "\(error)")
                    }
                }
            }
            guard let last = behind.last else { break }
            after = last
        }
        try await failure.trying { run.entries += try await self.postCosts(waits: waitsForCosts) }
        try failure.throwIfAny()
        return run
    }

    private func accountsBehind(after: AccountID, limit: Int64) async throws -> [AccountID] {
        try await self.pool.run { connection in
            try connection.run(
                """
                SELECT b.account_id FROM credit_balance b LEFT JOIN lot_book k USING (account_id)
                WHERE b.account_id > $1 AND b.version > coalesce(k.version, 0) ORDER BY b.account_id LIMIT $2
                """, [.int(after), .int(limit)]
            ).rows.map { try $0.int(0) }
        }
    }

    private func keepBook(of account: AccountID, _ run: inout BookRun) async throws {
        run.accounts += 1
        while true {
            let step = try await self.pool.run(timeout: .seconds(60)) { connection in
                try connection.retryingConcurrency { try Self.goOn(account, on: connection) }
            }
            switch step {
            case .lines(let lines, let entries):
                run.lines += lines
                run.entries += entries
                if lines < Int(Self.linesPerRun) { return }
            case .busy: return
            case .failed(let reason):
                run.failed += 1
                try await self.noteFailure(of: account, reason)
                return
            }
        }
    }

    private enum BookStep: Sendable {
        case lines(Int, entries: Int)
        case busy
        case failed(String)
    }

    private static func goOn(_ account: AccountID, on connection: PostgresConnection) throws -> BookStep {
        do {
            return try connection.transaction { connection in
                let rows = LotBookRows(connection: connection, account: account)
                guard var book = try rows.load() else { return .busy }
                let lines = try rows.lines(after: book.version, limit: Self.linesPerRun)
                guard !lines.isEmpty else { return .lines(0, entries: 0) }
                let changes = try book.run(lines)
                try rows.store(book, changes)
                return .lines(lines.count, entries: changes.entries.count)
            }
        } catch let failure as LotBookFailure {
            return .failed("\(failure)")
        } catch let failure as CreditLot.Failure {
            return .failed("\(failure)")
        }
    }

    private func noteFailure(of account: AccountID, _ reason: String) async throws {
        self.logger.error(
            "the books of an account cannot go on",
            metadata: ["account": "\(account)", "reason": "\(reason)"])
        _ = try await self.pool.run { connection in
            try connection.run(
                """
                INSERT INTO lot_book (account_id, failure) VALUES ($1, $2)
                ON CONFLICT (account_id) DO UPDATE SET failure = excluded.failure
                """, [.int(account), .text(reason)]
            ).affected
        }
    }
}
