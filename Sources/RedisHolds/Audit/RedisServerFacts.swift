import Logging
import MoneyPath
import NIOCore

/// What a checklist asks of the hold store's server.
public struct RedisServerFacts: Sendable, Hashable {
    public var version: String
    public var evictionPolicy: String
    /// 0: no bound of its own.
    public var memoryMax: Int64
    public var isAppendOnly: Bool
    public var isReplica: Bool

    /// - Parameter info: the answer to INFO; nil when what is looked for is not there.
    public init?(parsing info: String) {
        guard
            let version = Greeting.infoField("redis_version", in: info),
            let policy = Greeting.infoField("maxmemory_policy", in: info),
            let memory = Greeting.infoField("maxmemory", in: info).flatMap({ Int64($0) }),
            let appendOnly = Greeting.infoField("aof_enabled", in: info),
            let role = Greeting.infoField("role", in: info)
        else { return nil }
        self.version = version
        self.evictionPolicy = policy
        self.memoryMax = memory
        self.isAppendOnly = appendOnly == "1"
        self.isReplica = role != "master"
    }

    /// Asks the first server that the URL names.
    /// - Throws: `RedisAddressProblem`, `RedisAuditFailure`.
    public static func read(
        url: String, group: any EventLoopGroup, logger: Logger
    ) async throws -> RedisServerFacts {
        let run = RedisConversation(
            to: try RedisAddress(url: url), settings: RedisHoldSettings(), loop: group.next(), logger: logger)
        try await run.loop.submit { run.start() }.get()
        let result: Result<RedisServerFacts, any Error>
        do { result = .success(try await self.ask(run)) } catch { result = .failure(error) }
        try await run.loop.submit { run.stop() }.get()
        return try result.get()
    }

    private static func ask(_ run: RedisConversation) async throws -> RedisServerFacts {
        try await run.ready(within: .seconds(10))
        let info = try await run.ask(.command(["INFO"])) { $0.text }
        guard let info, let facts = RedisServerFacts(parsing: info) else {
            throw RedisAuditFailure.interrupted
        }
        return facts
    }
}
