import Logging
import Metering
import MoneyPath
import NIOCore

/// Reads single accounts on a connection of its own, for people who look at their balance.
public final class RedisAccountReader: Sendable {
    private static let deadline: TimeAmount = .milliseconds(500)
    private let run: RedisConversation

    /// Connects in the background.
    /// - Throws: `RedisAddressProblem`.
    public init(
        url: String, group: any EventLoopGroup, logger: Logger,
        settings: RedisHoldSettings = RedisHoldSettings()
    ) throws(RedisAddressProblem) {
        let run = RedisConversation(
            to: try RedisAddress(url: url), settings: settings, loop: group.next(), logger: logger)
        self.run = run
        run.loop.execute { run.start() }
    }

    /// The account as Redis has it now; empty sums when Redis does not know it.
    /// - Throws: `RedisAuditFailure`.
    public func read(_ account: AccountID) async throws -> AccountAudit {
        AccountAudit(
            account: account, fields: try await self.run.fields(of: account, within: Self.deadline))
    }

    public func shutdown() async {
        let run = self.run
        try? await run.loop.submit { run.stop() }.get()
    }
}
