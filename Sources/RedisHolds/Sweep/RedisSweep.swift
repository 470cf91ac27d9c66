import Logging
import Metering
import MoneyPath
import NIOCore

/// The sweep's view of Redis, over a connection of its own, so that a long pass holds nobody up.
public struct RedisSweep: HoldSweeping {
    let run: RedisConversation
    let sessions: @Sendable ([HoldID]) async -> Set<HoldID>
    let boot: BootID
    let leaseMilliseconds: Int64
    /// Keys per SCAN; each is then listed in one command.
    private static let pageKeys = 200

    public func accounts(from cursor: String?) async throws -> (accounts: [StoredAccount], next: String?) {
        let page = try await self.run.accounts(from: cursor ?? "0", count: Self.pageKeys)
        var accounts: [StoredAccount] = []
        for id in page.accounts.sorted() {
            let fields = try await self.run.fields(of: id)
            // One that was evicted meanwhile has no fields.
            if !fields.isEmpty { accounts.append(StoredAccount(account: id, fields: fields)) }
        }
        return (accounts, page.next)
    }

    public func reap(_ hold: HoldID, of account: AccountID, from dead: HoldOwner) async throws -> StoredHold?
    {
        let taken = HoldOwner(dead.boot, reaper: self.boot)
        let reply = try await self.run.ask(
            .script(.reap, account, ["\(hold)", "\(dead)", "\(taken)", "\(self.leaseMilliseconds)"])
        ) { reply in
            (0..<reply.count).compactMap { reply.text(at: $0) }
        }
        guard reply.count == 3 else { return nil }
        return StoredHold(hold, value: "\(reply[0])|0|\(taken)|\(reply[1])|\(reply[2])")
    }

    public func release(_ hold: HoldID, of account: AccountID, owner: BootID) async throws -> Bool {
        let arguments = ["\(self.boot).s", "1", "0", "\(hold)", "\(owner)"]
        return try await self.run.ask(.script(.release, account, arguments)) { $0.integer } == 3
    }

    public func evict(_ account: AccountID, idleSeconds: Int64) async throws -> Bool {
        try await self.run.ask(.script(.evict, account, ["\(idleSeconds)"])) { $0.integer } == 1
    }

    public func cool(_ account: AccountID) async throws -> Bool {
        // Without its epoch PLACE answers that it is cold; everything else goes on as it was.
        try await self.run.ask(.command(["HDEL", "a:{\(account)}", "e"])) { $0.integer } == 1
    }

    public func known(among holds: [HoldID]) async -> Set<HoldID> { await self.sessions(holds) }
}
