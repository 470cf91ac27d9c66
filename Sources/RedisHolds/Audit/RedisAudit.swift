import Logging
import Metering
import MoneyPath
import NIOCore

/// Reads every account in Redis, for `tollgate verify`. Each account is read atomically; the set of accounts
/// is not a snapshot.
public final class RedisAudit: Sendable {
    private let address: RedisAddress
    private let settings: RedisHoldSettings
    private let group: any EventLoopGroup
    private let logger: Logger

    /// - Throws: `RedisAddressProblem`.
    public init(
        url: String, group: any EventLoopGroup, logger: Logger,
        settings: RedisHoldSettings = RedisHoldSettings()
    ) throws(RedisAddressProblem) {
        self.address = try RedisAddress(url: url)
        self.group = group
        self.logger = logger
        self.settings = settings
    }

    /// All accounts, by number.
    /// - Throws: `RedisAuditFailure`.
    public func run() async throws -> [AccountAudit] {
        let run = RedisConversation(
            to: self.address, settings: self.settings, loop: self.group.next(), logger: self.logger)
        try await run.loop.submit { run.start() }.get()
        let result: Result<[AccountAudit], any Error>
        do { result = .success(try await self.readAll(run)) } catch { result = .failure(error) }
        try await run.loop.submit { run.stop() }.get()
        return try result.get()
    }

    private func readAll(_ run: RedisConversation) async throws -> [AccountAudit] {
        try await run.ready(within: .seconds(10))
        var found: [AccountID: AccountAudit] = [:]
        var cursor: String? = "0"
        while let from = cursor {
            let page = try await run.accounts(from: from, count: 1000)
            // SCAN may name a key twice.
            let new = page.accounts.filter { found[$0] == nil }
            try await withThrowingTaskGroup { group in
                for account in new { group.addTask { (account, try await run.fields(of: account)) } }
                // An empty hash was evicted since SCAN named it.
                for try await (account, fields) in group where !fields.isEmpty {
                    found[account] = AccountAudit(account: account, fields: fields)
                }
            }
            cursor = page.next
        }
        return found.values.sorted { $0.account < $1.account }
    }
}

public enum RedisAuditFailure: Error, Sendable, Hashable {
    case unreachable
    /// The connection was lost, or Redis answered with an error, before everything was read.
    case interrupted
}
