import Logging
import Metering
import Testing

@testable import RedisHolds

/// The next turn of a conversation comes a millisecond after this one, at another instance, before the ledger has heard
/// of either.
@Suite struct StoredResponsesTests {
    private struct Rig {
        let one: RedisStoredResponses
        let other: RedisStoredResponses
        let client: ScriptClient

        init(_ server: TestRedis) async throws {
            func make() throws -> RedisStoredResponses {
                try RedisStoredResponses(
                    url: server.url, group: ScriptClient.group, logger: Logger(label: "test"))
            }
            (self.one, self.other) = (try make(), try make())
            self.client = try await ScriptClient(server.url)
            let id = try #require(ResponseID("nobody"))
            // Connecting happens in the background.
            for responses in [self.one, self.other] {
                while case .failure = await Self.find(id, of: 1, in: responses) { await Task.yield() }
            }
        }

        static func find(
            _ id: ResponseID, of account: AccountID, in responses: RedisStoredResponses
        ) async -> Result<StoredResponse?, DirectoryFailure> {
            await withCheckedContinuation { waiting in
                responses.find(id, of: account) { waiting.resume(returning: $0) }
            }
        }

        /// On the connection that told of it, so behind the telling.
        func told(_ id: ResponseID, of account: AccountID) async throws -> StoredResponse? {
            try await Self.known(id, of: account, in: self.one)
        }

        /// An answer within the deadline, however often it takes on a busy machine.
        static func known(
            _ id: ResponseID, of account: AccountID, in responses: RedisStoredResponses
        ) async throws -> StoredResponse? {
            for _ in 0..<20 {
                if case .success(let response) = await Self.find(id, of: account, in: responses) {
                    return response
                }
            }
            return try await Self.find(id, of: account, in: responses).get()
        }

        func close() async {
            await self.one.shutdown()
            await self.other.shutdown()
            await self.client.close()
        }
    }

    @Test func whatOneInstanceToldAnotherOneKnows() async throws {
        let rig = try await Rig(TestRedis.shared)
        let (account, stranger) = (AccountID.random(in: 1 << 40...1 << 50), AccountID(7))
        let id = try #require(ResponseID("resp_\(account)"))
        let begun = StoredResponse(id: id, account: account, model: "gpt;~")
        rig.one.remember(begun)
        #expect(try await rig.told(id, of: account) == begun)
        let ended = StoredResponse(
            id: id, account: account, model: "gpt;~", context: ContextTokens(input: 120, output: 30))
        rig.one.remember(ended)
        #expect(try await rig.told(id, of: account) == ended)
        #expect(try await Rig.known(id, of: account, in: rig.other) == ended)
        #expect(try await Rig.known(id, of: stranger, in: rig.other) == nil)
        // Ten minutes, since the ledger has it soon; in the account's slot, under a name that the sweep does not take for an account.
        let key = "r:{\(account)}:\(id)"
        guard case .integer(let left) = try await rig.client.command("TTL", key) else {
            Issue.record("no TTL")
            return
        }
        #expect((500...600).contains(left))
        let searched = StoredResponse(id: id, account: account, model: "gpt;~", isCharged: true)
        rig.one.remember(searched)
        #expect(try await rig.told(id, of: account) == searched)
        _ = try await rig.client.command("SET", key, "no such thing")
        #expect(await Rig.find(id, of: account, in: rig.other) == .failure(.unreachable))
        await rig.close()
    }

    /// Without Redis nothing is known, which is not the same as "there is none".
    @Test func aStoreThatIsAwayIsNotAnEmptyOne() async throws {
        let server = try TestRedis()
        let rig = try await Rig(server)
        server.stop()
        let id = try #require(ResponseID("resp_1"))
        #expect(await Rig.find(id, of: 1, in: rig.one) == .failure(.unreachable))
        rig.one.remember(StoredResponse(id: id, account: 1, model: "m"))
        #expect(await Rig.find(id, of: 1, in: rig.one) == .failure(.unreachable))
        await rig.close()
    }
}
