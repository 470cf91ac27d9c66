import Foundation
import Testing

@testable import LoadBench

@Suite struct StackTollgateTests {
    private static let facts = """
        {"baseURL": "http://127.0.0.1:4000/v1", "adminToken": "a", "keyPepper": "p", "apiKey": "tg_x",
         "databaseURL": "postgresql://d", "redisURL": "redis://r"}
        """

    private func environment(_ lane: StackLane, _ change: (inout StackSetup) -> Void = { _ in }) throws
        -> [String: String]
    {
        var setup = StackSetup(programs: "/p", checkout: "/repo", layout: .unpinned)
        change(&setup)
        let places = TollgateLane.Places(
            port: 1, opsPort: 2, mockPort: 3, journalDirectory: "/j",
            certificates: StackCertificates(directory: "/c"))
        return TollgateLane.environment(lane, setup, try DevStores.Facts(parsing: Self.facts), places)
    }

    @Test func onlyThePlainLaneDoesNotCharge() throws {
        let (plain, governed) = (try self.environment(.plain), try self.environment(.governed))
        #expect(plain["BILLING_CHARGING_ENABLED"] == "false")
        #expect(governed == plain.filter { $0.key != "BILLING_CHARGING_ENABLED" })
        #expect(governed["TOLLGATE_THREADS"] == "1" && governed["ACCESS_LOG"] == "off")
        #expect(governed["DATABASE_URL"] == "postgresql://d" && governed["JOURNAL_DIR"] == "/j")
        #expect(governed["LISTEN"] == "127.0.0.1:1" && governed["OPS_LISTEN"] == "127.0.0.1:2")
        #expect(governed["OPENAI_BASE_URL"] == "http://127.0.0.1:3/v1" && governed["TLS_CERT"] == nil)
    }

    @Test func encryptedLegsAreSet() throws {
        let both = try self.environment(.governed) { $0.tls = TLSLegs(client: true, upstream: true) }
        #expect(both["OPENAI_BASE_URL"] == "https://localhost:3/v1")
        #expect(both["OPENAI_CA_FILE"] == "/c/ca.crt" && both["TLS_KEY"] == "/c/leaf.key")
        let given = try self.environment(.governed) { $0.environment = ["TOLLGATE_THREADS": "2"] }
        #expect(given["TOLLGATE_THREADS"] == "2")
    }

    @Test func theFactsOfAStackAreReadOrSaidToBeWrong() throws {
        #expect(try DevStores.Facts(parsing: Self.facts).port == 4000)
        #expect(throws: StackError.self) { try DevStores.Facts(parsing: "{}") }
    }

    /// The ledger is looked at once for each journal.
    @Test func aFindingThatIsFoundTwiceCountsOnce() throws {
        let json = """
            [{"check": "I2 x", "severity": "violation", "total": 2, "rows": ["a", "b"]},
             {"check": "I9 y", "severity": "note", "total": 1, "rows": ["c"]},
             {"check": "R6 z", "severity": "warning", "total": 1, "rows": ["d"]}]
            """
        var report = VerifyReport()
        #expect(report.isClean)
        try report.add(json)
        try report.add(json)
        #expect(report.violations == ["violation: I2 x: 2 rows\n  a\n  b"])
        #expect(report.warnings == ["warning: R6 z: 1 row\n  d"])
        #expect(!report.isClean)
        #expect(throws: StackError.self) { try report.add("verify: clean") }
    }

    @Test func whatIsHeldOrNotKnownIsNotSettled() throws {
        for (held, known, settled) in [("0", true, true), ("5", true, false), ("0", false, false)] {
            let text =
                "{\"balanceMillicredits\": \"-7\", \"heldMillicredits\": \"\(held)\", \"heldKnown\": \(known)}"
            let reply = ControlReply(status: 200, body: Array(text.utf8), isLast: false)
            let summary: BillingSummary = try reply.decoded("x")
            #expect(summary.balance == -7 && summary.isSettled == settled)
        }
        let refused = ControlReply(status: 401, body: Array("no".utf8), isLast: false)
        #expect(throws: StackError.unexpected(what: "x", status: 401, body: "no")) {
            let _: BillingSummary = try refused.decoded("x")
        }
    }

    /// Workers end at the first failure, and results stand where their inputs stood.
    @Test func workSideBySideKeepsItsOrder() async throws {
        try await StackFixtures.offThePool {
            let doubled = try SideBySide.map(
                Array(0..<100), port: 1, threads: 4, progress: { _ in }
            ) { (_: ControlCall, number: Int) throws(StackError) -> Int in number * 2 }
            #expect(doubled == (0..<100).map { $0 * 2 })
            #expect(throws: StackError.noFreePort) {
                try SideBySide.map(
                    Array(0..<100), port: 1, threads: 4, progress: { _ in }
                ) { (_: ControlCall, number: Int) throws(StackError) -> Int in
                    if number == 50 { throw .noFreePort }
                    return number
                }
            }
        }
    }

    @Test func aStackWithoutProgramsSaysWhatIsMissing() {
        let setup = StackSetup(programs: "/no/such", checkout: "/", layout: .unpinned)
        #expect(throws: StackError.missing(program: "/no/such/tollgate", hint: "make build")) {
            try BenchStack.start(setup)
        }
    }

    /// The whole of it, with the programs of this checkout.
    @Test(.enabled(if: StackFixtures.hasPrograms), .timeLimit(.minutes(5)))
    func aStackServesChargesVerifiesAndLeavesNothingBehind() async throws {
        try await StackFixtures.offThePool {
            let setup = StackSetup(
                programs: StackFixtures.programs, checkout: StackFixtures.checkout, layout: .ofThisMachine())
            let stack = try BenchStack.start(setup)
            let accounts = try stack.makeAccounts(count: 3, credits: 1000)
            let keys = accounts.compactMap(\.keys.first)
            #expect(Set(keys).count == 3)
            let governed = try stack.startLane(.governed)
            #expect(governed.processes.map(\.name) == ["proxy", "redis", "postgres", "mock", "bench"])
            let body =
                #"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16}"#
            let reply = try ControlCall(port: governed.port).post(
                "/v1/chat/completions", bearer: keys[0], json: body)
            #expect(reply.status == 200, "\(reply.text)")
            let plain = try stack.startLane(.plain)
            let free = try ControlCall(port: plain.port).post(
                "/v1/chat/completions", bearer: keys[1], json: body)
            #expect(free.status == 200, "\(free.text)")
            #expect(try stack.postedBalances(of: accounts.reversed()).count == 3)
            let balances = try stack.settledBalances(of: accounts)
            #expect(balances[0] < 1_000_000 && balances[1] == 1_000_000 && balances[2] == 1_000_000)
            #expect(try stack.verify().violations == [])
            try stack.stopLane(.plain)
            try stack.checkRunning()
            let pids = governed.processes.filter { $0.name != "bench" }.map(\.pid)
            #expect(stack.stop().isEmpty)
            #expect(pids.allSatisfy { ProcFiles.stat($0) == nil })
            #expect(!FileManager.default.fileExists(atPath: stack.directory))
        }
    }
}
