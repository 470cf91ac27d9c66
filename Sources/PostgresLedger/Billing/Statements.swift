import Billing
import Metering

/// What one account's month came to, when many are read in one go.
public struct StatementResult: Sendable, Hashable {
    public var account: AccountID
    public var userID: String
    /// The day on which it was read.
    public var issued: UTCDay
    public var outcome: Result<Statement, StatementFailure>
}

extension PostgresLedger {
    public func statement(of account: AccountID, month: UTCMonth) async throws -> IssuedStatement? {
        try await self.pool.run(timeout: .seconds(60)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                let reader = try StatementReader(month: month, on: connection, timeout: .seconds(60))
                guard reader.hasBegun else { return nil }
                guard let draft = try reader.drafts(after: account - 1, upTo: account).first else {
                    return nil
                }
                return IssuedStatement(statement: try draft.statement(), issued: reader.today)
            }
        }
    }

    /// The statements of all accounts that have something to say in `month`, by account, on one snapshot. One that does
    /// not add up is told of and does not keep the others back.
    ///
    /// - Parameter step: takes each one, on the connection's thread.
    /// - Returns: nil when the month has not begun.
    public func foldStatements<State: Sendable>(
        of month: UTCMonth, into initial: State, pageAccounts: Int64 = 200,
        _ step: @escaping @Sendable (inout State, StatementResult) throws -> Void
    ) async throws -> State? {
        try await self.pool.run(timeout: .seconds(7200)) { connection in
            try connection.transaction(.readSnapshot) { connection in
                let reader = try StatementReader(month: month, on: connection, timeout: .seconds(900))
                guard reader.hasBegun else { return nil }
                var state = initial
                var after = AccountID.min
                while let last = try StatementReader.lastOfPage(after, pageAccounts, on: connection) {
                    for draft in try reader.drafts(after: after, upTo: last) where !draft.isBlank {
                        let outcome = Result { () throws(StatementFailure) in try draft.statement() }
                        try step(
                            &state,
                            StatementResult(
                                account: draft.account, userID: draft.userID, issued: reader.today,
                                outcome: outcome))
                    }
                    after = last
                }
                return state
            }
        }
    }
}
