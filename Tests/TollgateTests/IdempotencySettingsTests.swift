import Testing

@testable import Tollgate

/// What is kept for retries has its bounds, and bad ones are refused.
@Suite struct IdempotencySettingsTests {
    static func read(_ table: [String: String]) -> (settings: IdempotencySettings, problems: [String]) {
        var reader = SettingsReader(get: { table[$0] }, readFile: { _ in throw UsageError("no file") })
        let settings = IdempotencySettings(&reader)
        return (settings, reader.problems.map(\.name))
    }

    @Test func defaultsAreTheContracts() {
        let (settings, problems) = Self.read([:])
        #expect(problems.isEmpty && settings.replyBytesMax == 1 << 20)
        #expect(settings.replies.accountBytesMax == 16 << 20 && settings.replies.lease == .seconds(180))
        #expect(settings.renewalMilliseconds == 20_000)
    }

    @Test func eachCanBeSet() {
        let (settings, problems) = Self.read([
            "IDEMPOTENCY_REPLY_BYTES_MAX": "0", "IDEMPOTENCY_ACCOUNT_BYTES_MAX": "5",
            "TOLLGATE_TEST_IDEMPOTENCY_LEASE_SECONDS": "3",
        ])
        #expect(problems.isEmpty && settings.replyBytesMax == 0 && settings.replies.accountBytesMax == 5)
        #expect(settings.renewalMilliseconds == 1000)
    }

    @Test(arguments: [
        "IDEMPOTENCY_REPLY_BYTES_MAX", "IDEMPOTENCY_ACCOUNT_BYTES_MAX",
        "TOLLGATE_TEST_IDEMPOTENCY_LEASE_SECONDS",
    ])
    func aBadOneIsNamed(_ name: String) {
        for value in ["-1", "x", "99999999999999"] { #expect(Self.read([name: value]).problems == [name]) }
    }
}
