import Testing

@testable import LoadBench

@Suite struct CountTests {
    @Test func callsAreReadFromTheTableOfStrace() {
        let table = """
            % time     seconds  usecs/call     calls    errors syscall
            ------ ----------- ----------- --------- --------- ----------------
             61.25    0.002139          10       208           write
             20.10    0.000702           3       210         2 read
              0.00    0.000000           0         7           epoll_wait
            ------ ----------- ----------- --------- --------- ----------------
            100.00    0.003492           8       425         2 total
            """
        #expect(SyscallCounter.calls(in: table) == ["write": 208, "read": 210, "epoll_wait": 7])
        #expect(SyscallCounter.calls(in: "") == [:])
    }

    private static let cost = CountSuite.Cost(allocations: 10, syscalls: 4, calls: [:])

    @Test func whatIsAboveItsLimitIsNamed() throws {
        let limits = try CountLimits(
            yaml:
                "release:\n  exchange: {allocations: 10, syscalls: 4}\n  chunk: {allocations: 9.9, syscalls: 3}"
        )
        #expect(try limits.violations(of: Self.cost, .exchange, build: "release").isEmpty)
        let found = try limits.violations(of: Self.cost, .chunk, build: "release")
        #expect(
            found == [
                "release, chunk: 10.0 allocations, the limit is 9.9",
                "release, chunk: 4.0 system calls, the limit is 3.0",
            ])
        #expect(throws: ScenarioError.self) { try limits.violations(of: Self.cost, .chunk, build: "debug") }
    }

    @Test(arguments: [
        ("", ""), ("[]", ""), ("release: 1", "release"),
        ("release: {exchange: {allocations: 1}}", "release.exchange"),
        ("release: {exchange: {allocations: x, syscalls: 1}}", "release.exchange.allocations"),
        ("release: {row: {allocations: 1, syscalls: 1}}", "release.row"),
    ])
    func aMistakeNamesItsField(_ yaml: String, _ field: String) throws {
        let error = try #require(throws: ScenarioError.self) { _ = try CountLimits(yaml: yaml) }
        #expect(error.field == field)
    }
}
