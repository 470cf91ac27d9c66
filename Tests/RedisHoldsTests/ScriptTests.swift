import Metering
import Testing

@testable import RedisHolds

/// One account under the scripts, with the arguments that most tests share.
struct ScriptAccount {
    let client: ScriptClient
    let account = freshAccount()
    var incarnation = ""

    init() async throws { self.client = try await ScriptClient() }

    mutating func warm(_ balance: Int64 = 1000, version: Int64 = 1, floor: Int64 = 0) async throws {
        _ = try await self.client.command("DEL", "a:{\(self.account)}")
        guard case .texts(let loaded) = try await self.client.run(.load, self.account, "n1") else { return }
        self.incarnation = loaded[0]
        let answer = try await self.initialize(
            self.incarnation, version: version, balance: balance, floor: floor)
        #expect(answer == .integer(0))
    }

    func initialize(
        _ incarnation: String, epoch: String = "E1", generation: Int64 = 1, version: Int64, balance: Int64,
        floor: Int64 = 0, gate: Int64 = 1, hour: Int64 = 0, day: Int64 = 0, settled: [String] = []
    ) async throws -> Answer {
        let arguments = [
            incarnation, epoch, "\(generation)", "\(version)", "\(balance)", "\(gate)", "\(floor)", "0",
            "\(hour)",
            "\(day)",
        ]
        var holds: [String] = []
        for index in stride(from: 0, to: settled.count, by: 2) { holds += settled[index...index + 1] + ["2"] }
        return try await self.client.run([(.initialize, self.account, arguments + holds)])[0]
    }

    func place(
        _ id: String, _ want: Int64, least: Int64? = nil, epoch: String = "E1", generation: Int = 1,
        caps: [String] = ["", "", ""]
    ) async throws -> [Int64] {
        let arguments = [
            epoch, "A.0", "\(generation)", id, "\(want)", "\(least ?? want)", "60000", "A", "5|c@1/m|chat|",
        ]
        let answer = try await self.client.run([(.place, self.account, arguments + caps)])[0]
        guard case .integers(let numbers) = answer else { return [.min] }
        return numbers
    }

    func capture(_ id: String, _ amount: Int64, generation: Int = 1, raise: String = "0", force: String = "0")
        async throws -> Answer
    {
        try await self.client.run(
            .capture, self.account, "A.0", "\(generation)", raise, force, id, "\(amount)", "payload|with;bars"
        )
    }

    func release(_ id: String, generation: Int = 1, raise: String = "0", owner: String = "A") async throws
        -> Answer
    {
        try await self.client.run(.release, self.account, "A.0", "\(generation)", raise, id, owner)
    }

    func extend(_ id: String, _ total: Int64, ttl: Int = 60000, progress: String = "") async throws -> [Int64]
    {
        let answer = try await self.client.run(
            .extend, self.account, "A.0", "1", "0", id, "\(total)", "\(ttl)", "A", progress, "", "", "")
        guard case .integers(let numbers) = answer else { return [.min] }
        return numbers
    }

    /// - Parameter settled: id and amount of each hold, by turns.
    func posted(
        _ generation: Int64, _ version: Int64, _ balance: Int64, _ settled: String...,
        authority: Settlement.Authority = .owner
    ) async throws -> Answer {
        var arguments = ["\(generation)", "\(version)", "\(balance)"]
        for index in stride(from: 0, to: settled.count, by: 2) {
            let (id, amount) = (settled[index], settled[index + 1])
            arguments += [id, amount, amount, "\(authority.rawValue)"]
        }
        return try await self.client.run([(.posted, self.account, arguments)])[0]
    }

    func field(_ name: String) async throws -> String? { try await self.client.hash(self.account)[name] }

    /// H, U and p as they stand, after R1 and R2 were checked.
    func sums() async throws -> [Int64?] {
        let hash = try await self.client.hash(self.account)
        func sum(_ prefix: String) -> Int64 {
            hash.filter { $0.key.hasPrefix(prefix) }
                .reduce(0) { $0 + (Int64($1.value.prefix { $0 != "|" }) ?? .min) }
        }
        let (held, captured) = (hash["H"].flatMap { Int64($0) }, hash["U"].flatMap { Int64($0) })
        #expect(held ?? 0 == sum("h:") && captured ?? 0 == sum("u:"))
        return [held, captured, hash["p"].flatMap { Int64($0) }]
    }
}

/// The deterministic cases of MONEY_PATH A, on a real Redis.
@Suite struct ScriptTests {
    @Test func aKnownHoldIsAnsweredWithWhatItHas() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.place("X", 400) == [0, 400, 1000])
        #expect(try await account.place("X", 700) == [1, 400, 1000])
        #expect(try await account.sums() == [400, 0, 1000])
    }

    /// A2: the client was told 503, its RELEASE overtook the PLACE.
    @Test func aPlaceOfAnOlderConnectionDoesNothing() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.release("X", generation: 2, raise: "1") == .integer(1))
        #expect(try await account.place("X", 400, generation: 1) == [-5])
        #expect(try await account.capture("X", 1) == .integer(-5))
        #expect(try await account.extend("X", 1) == [-5])
        #expect(try await account.release("X") == .integer(-5))
        #expect(try await account.sums() == [0, 0, 1000])
        #expect(try await account.place("X", 400, generation: 2) == [0, 400, 1000])
    }

    /// A1: the settler's connection was read first.
    @Test func aCaptureAfterPostedLeavesNothingBehind() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        _ = try await account.place("X", 400)
        #expect(try await account.posted(1, 2, 900, "X", "100") == .integer(1))
        #expect(try await account.capture("X", 100) == .integer(2))
        #expect(try await account.sums() == [0, 0, 900])
    }

    /// A8: "-0" is no number to HINCRBY.
    @Test func amountsOfZeroGoThroughEveryScript() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.place("Z", 0) == [0, 0, 1000])
        #expect(try await account.capture("Z", 0) == .integer(0))
        _ = try await account.place("Y", 5)
        #expect(try await account.capture("Y", 7) == .integer(0))
        #expect(try await account.posted(1, 2, 993, "Z", "0", "Y", "7") == .integer(2))
        _ = try await account.place("W", 0)
        #expect(try await account.release("W") == .integer(0))
        #expect(try await account.sums() == [0, 0, 993])
    }

    /// C6: the reaper's estimate must not drop the owner's FINAL.
    @Test func postedLeavesACaptureOfAnotherAmount() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        _ = try await account.place("X", 400)
        _ = try await account.capture("X", 300)
        #expect(try await account.posted(1, 2, 990, "X", "10") == .integer(0))
        #expect(try await account.sums() == [0, 300, 990])
        #expect(try await account.posted(1, 3, 700, "X", "300") == .integer(1))
        #expect(try await account.sums() == [0, 0, 700])
    }

    /// A7: a late POSTED, INIT or GATE must not bring back an account that was forgotten.
    @Test func onlyACurrentLoadMakesAnAccount() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.client.run(.evict, account.account, "0") == .integer(1))
        #expect(try await account.posted(1, 9, 1000) == .integer(0))
        #expect(try await account.client.run(.gate, account.account, "9", "0", "1") == .integer(0))
        #expect(try await account.client.hash(account.account).isEmpty)
        #expect(try await account.initialize(account.incarnation, version: 5, balance: 1000) == .integer(-1))
        #expect(try await account.client.run(.load, account.account, "n2") == .texts(["n2"]))
        #expect(try await account.initialize(account.incarnation, version: 5, balance: 1000) == .integer(-1))
        _ = try await account.posted(1, 9, 20)
        #expect(try await account.place("Q", 1000) == [-1])
        #expect(try await account.initialize("n2", version: 7, balance: 500) == .integer(0))
        #expect(try await account.sums() == [0, 0, 20])
    }

    /// A5, A6: a restored snapshot has another epoch; terminal ids go in the same step as the balance comes.
    @Test func aRestoredSnapshotIsReloadedAsAWhole() async throws {
        var account = try await ScriptAccount()
        try await account.warm(100_000)
        _ = try await account.place("old", 70)
        _ = try await account.place("live", 30)
        _ = try await account.place("fin", 20)
        _ = try await account.capture("fin", 20)
        _ = try await account.place("open", 9)
        _ = try await account.capture("open", 8)
        #expect(try await account.place("N", 1, epoch: "E2") == [-1])
        guard case .texts(let loaded) = try await account.client.run(.load, account.account, "n9") else {
            Issue.record("LOAD answered no array")
            return
        }
        #expect(Set(loaded).isSuperset(of: ["n1", "h:old", "h:live", "u:fin", "u:open"]))
        let answer = try await account.initialize(
            loaded[0], epoch: "E2", version: 900, balance: 5000, hour: 100, day: 200,
            settled: ["old", "60", "fin", "20"])
        #expect(answer == .integer(0))
        #expect(try await account.sums() == [30, 8, 5000])
        // What is captured and not posted is not in the ledger's windows yet.
        #expect(try await account.field("M") == "108")
        #expect(try await account.field("D") == "208")
    }

    /// B8: the ledger went back to an earlier point.
    @Test func aNewGenerationOfTheLedgerBeatsAnyVersion() async throws {
        var account = try await ScriptAccount()
        try await account.warm(1000, version: 100)
        _ = try await account.posted(2, 91, 500)
        #expect(try await account.sums()[2] == 500)
        _ = try await account.posted(1, 101, 999)
        #expect(try await account.sums()[2] == 500)
        _ = try await account.posted(2, 90, 999)
        #expect(try await account.sums()[2] == 500)
    }

    /// The gate's version may go back with the ledger.
    @Test func aNewGenerationTakesItsGateAlong() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.client.run(.gate, account.account, "9", "0", "1") == .integer(1))
        #expect(try await account.place("X", 1) == [-3, 1000, 1, 1, 9])
        #expect(
            try await account.initialize("n1", generation: 2, version: 1, balance: 10, gate: 3) == .integer(0)
        )
        #expect(try await account.place("X", 1) == [0, 1, 10])
    }

    @Test func anOlderGateIsIgnored() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.client.run(.gate, account.account, "5", "-300", "0") == .integer(1))
        #expect(try await account.client.run(.gate, account.account, "5", "0", "1") == .integer(0))
        #expect(try await account.client.run(.gate, account.account, "4", "0", "1") == .integer(0))
        #expect(try await account.place("X", 1300) == [0, 1300, 1000])
    }

    /// A11: a repeat must not extend twice, and nothing comes back after the end.
    @Test func extendIsAbsolute() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        _ = try await account.place("X", 100)
        #expect(try await account.extend("X", 300) == [0, 300])
        #expect(try await account.extend("X", 300) == [1, 300])
        #expect(try await account.extend("X", 200) == [1, 300])
        #expect(try await account.extend("X", 2000) == [-2, 700])
        #expect(try await account.extend("X", 1000) == [0, 1000])
        #expect(try await account.sums() == [1000, 0, 1000])
        _ = try await account.capture("X", 250)
        #expect(try await account.extend("X", 400) == [2])
        #expect(try await account.sums() == [0, 250, 1000])
    }

    @Test func aTouchCarriesProgressAndMovesTheDeadline() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        _ = try await account.place("X", 100)
        let before = try #require(try await account.field("h:X")).split(
            separator: "|", omittingEmptySubsequences: false)
        #expect(before.count == 8 && before[0] == "100" && before[2] == "A" && before[7] == "")
        #expect(try await account.extend("X", 100, ttl: 120_000, progress: "42") == [1, 100])
        #expect(try await account.extend("X", 100, ttl: 120_000) == [1, 100])
        let after = try #require(try await account.field("h:X")).split(
            separator: "|", omittingEmptySubsequences: false)
        #expect(try #require(Int64(after[1])) > #require(Int64(before[1])))
        #expect(after[2...6] == before[2...6] && after[7] == "42")
    }

    /// R3: one request without a cap takes at most half of what is left, never all of it.
    @Test func aGrantIsClampedInOneTrip() async throws {
        var account = try await ScriptAccount()
        try await account.warm(150)
        #expect(try await account.place("X", 400, least: 16) == [0, 75, 150])
        #expect(try await account.place("Y", 400, least: 50) == [0, 50, 150])
        #expect(try await account.place("Z", 400, least: 26) == [-2, 25, 1, 1, 1])
        #expect(try await account.place("W", 25) == [0, 25, 150])
        #expect(try await account.sums() == [150, 0, 150])
    }

    @Test func aChargeAboveItsHoldGoesBelowZeroAndTheNextIsRefused() async throws {
        var account = try await ScriptAccount()
        try await account.warm(100)
        _ = try await account.place("X", 100)
        _ = try await account.capture("X", 180)
        #expect(try await account.place("Y", 1) == [-2, -80, 1, 1, 1])
        _ = try await account.posted(1, 2, -80, "X", "180")
        #expect(try await account.sums() == [0, 0, -80])
        #expect(try await account.place("Y", 1) == [-2, -80, 1, 2, 1])
    }

    @Test(
        arguments: [(-300, 200, 1), (500, 499, 2), (-9_000_000_000_000_000, 100, 3)]
            as [(Int64, Int64, Int64)])
    func aFloorOfEitherSignIsRespected(_ floor: Int64, _ balance: Int64, _ id: Int64) async throws {
        var account = try await ScriptAccount()
        try await account.warm(balance, floor: floor)
        let available = balance - floor
        #expect(try await account.place("big", available + 1) == [-2, available, 1, 1, 1])
        if available > 0 { #expect(try await account.place("X", available) == [0, available, balance]) }
    }

    /// C2: from the reaper's REAP on, the old owner's RELEASE does not free the hold.
    @Test func aReaperTakesAHoldOverAtomically() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        _ = try await account.place("X", 100)
        let reap = { (dead: String) in
            try await account.client.run(.reap, account.account, "X", dead, "B", "1000")
        }
        #expect(try await reap("A") == .null)
        _ = try await account.extend("X", 100, ttl: -5)
        #expect(try await reap("C") == .null)
        guard case .texts(let taken) = try await reap("A") else {
            Issue.record("REAP took nothing")
            return
        }
        #expect(taken[0] == "100" && taken[2] == "5|c@1/m|chat|")
        #expect(try await account.release("X") == .integer(3))
        #expect(try await account.extend("X", 100) == [3])
        #expect(try await account.sums() == [100, 0, 1000])
    }

    @Test func reassertPutsBackOnlyWhatIsGone() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        let reassert = { (id: String) in
            try await account.client.run(
                .reassert, account.account, "A.0", "1", "0", id, "70", "60000", "A", "5|c@1/m|chat|")
        }
        #expect(try await reassert("X") == .integer(0))
        #expect(try await reassert("X") == .integer(1))
        #expect(try await account.sums() == [70, 0, 1000])
        _ = try await account.capture("X", 60)
        #expect(try await reassert("X") == .integer(1))
        #expect(try await account.sums() == [0, 60, 1000])
    }

    @Test func aForcedCaptureIsWrittenOnce() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        #expect(try await account.capture("X", 60, force: "1") == .integer(3))
        #expect(try await account.capture("X", 60, force: "1") == .integer(1))
        #expect(try await account.sums() == [0, 60, 1000])
        #expect(try await account.field("u:X") == "60|payload|with;bars")
    }

    /// sim seed 1: an eviction had deleted the fence, and with it the protection from old commands.
    @Test func evictionKeepsOpenEntriesAndYoungFences() async throws {
        var account = try await ScriptAccount()
        try await account.warm()
        let evict = { try await account.client.run(.evict, account.account, "0") }
        _ = try await account.place("X", 0)
        #expect(try await evict() == .integer(0))
        _ = try await account.release("X", generation: 2, raise: "1")
        #expect(try await evict() == .integer(0))
        _ = try await account.client.command("HSET", "a:{\(account.account)}", "g:A.0", "2|1000")
        #expect(try await evict() == .integer(1))
        // Only ever loaded, never initialised: such a hash must go as well.
        _ = try await account.client.run(.load, account.account, "n5")
        #expect(try await evict() == .integer(1))
    }

    /// D: what frees memory must work when there is none, and leave nothing half-done.
    @Test func endsGoThroughWhenMemoryIsFull() async throws {
        let server = try TestRedis()
        let client = try await ScriptClient(server.url)
        let key = freshAccount()
        _ = try await client.run(.load, key, "n")
        _ = try await client.run(.initialize, key, "n", "E", "1", "1", "1000", "1", "0", "0", "0", "0")
        let place = { (id: String) in
            try await client.run(
                .place, key, "E", "A.0", "1", id, "10", "10", "60000", "A", "5|c@1/m|chat|", "", "", "100")
        }
        for id in ["X", "Y", "Z"] { #expect(try await place(id) == .integers([0, 10, 1000, 0, 0, 0])) }
        _ = try await client.command("CONFIG", "SET", "maxmemory", "1")
        #expect(try await place("W") == .error("OOM"))
        #expect(try await client.run(.capture, key, "A.0", "1", "0", "0", "X", "7", "p") == .integer(0))
        #expect(try await client.run(.release, key, "A.0", "2", "1", "Y", "A") == .integer(0))
        #expect(
            try await client.run(.posted, key, "1", "2", "985", "X", "7", "7", "2", "Z", "8", "8", "2")
                == .integer(2))
        let audit = try await client.audit(key)
        #expect(audit.problems == [] && audit.held == 0 && audit.captured == 0)
        #expect(audit.balance?.balance == Millicredits(985))
        let hash = try await client.hash(key)
        #expect(hash["D"] == "15" && hash["g:A.0"]?.hasPrefix("2|") == true)
        server.stop()
    }
}
