import LedgerSim
import Metering
import Testing

@testable import RedisHolds

/// A line taken out of the Lua: text of one script (nil: of the library) and what stands there instead.
struct LuaCut: Sendable {
    var script: HoldScript?
    var old: String
    var new = ""
}

/// The scripts as they are, but for one thing: Redis' TIME is the second key of each call. So hours pass in a test
/// without waiting, and the model sees the same clock to the millisecond.
struct ClockedScripts {
    let client: ScriptClient
    private let digests: [String]

    private static let clock = """
        local function clock()
          local ms = tonumber(KEYS[2])
          return {string.format('%.0f', math.floor(ms / 1000)), string.format('%.0f', ms % 1000 * 1000)}
        end

        """

    struct DidNotLoad: Error { let answer: Answer }
    struct DidNotMatch: Error { let cut: LuaCut }

    init(_ client: ScriptClient, without cut: LuaCut? = nil) async throws {
        self.client = client
        let sources = try HoldScript.all.map { script in
            let library = try Self.apply(cut.flatMap { $0.script == nil ? $0 : nil }, to: HoldScript.library)
            let body = try Self.apply(
                cut.flatMap { $0.script?.index == script.index ? $0 : nil }, to: script.body)
            return Self.clock + (library + body).replacing("redis.call('TIME')", with: "clock()")
        }
        self.digests = try await client.commands(sources.map { ["SCRIPT", "LOAD", $0] }).map { answer in
            guard case .text(let digest) = answer else { throw DidNotLoad(answer: answer) }
            return digest
        }
    }

    /// The text must be there exactly once: a guard that was reworded must not pass as taken out.
    private static func apply(_ cut: LuaCut?, to text: String) throws -> String {
        guard let cut else { return text }
        guard text.ranges(of: cut.old).count == 1 else { throw DidNotMatch(cut: cut) }
        return text.replacing(cut.old, with: cut.new)
    }

    /// All in one write; answers in order.
    func run(_ steps: [StoreStep]) async throws -> [StoreAnswer] {
        let answers = try await self.client.commands(
            steps.map { step in
                let (script, arguments) = step.wording
                let keys = ["2", "a:{\(step.account)}", "\(step.now)"]
                return ["EVALSHA", self.digests[script.index]] + keys + arguments
            })
        return zip(answers, steps).map { StoreAnswer($0, to: $1) }
    }

    /// Whole hashes, as HGETALL shows them.
    func hashes(_ accounts: [AccountID]) async throws -> [[String: String]] {
        try await self.client.commands(accounts.map { ["HGETALL", "a:{\($0)}"] }).map { answer in
            guard case .texts(let fields) = answer else { return [:] }
            return Dictionary(
                uniqueKeysWithValues: stride(from: 0, to: fields.count - 1, by: 2).map {
                    (fields[$0], fields[$0 + 1])
                })
        }
    }
}
