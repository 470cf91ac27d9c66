import Metering
import Testing

@testable import Tollgate

@Suite struct RequestLimitSettingsTests {
    private func read(_ table: [String: String]) -> (RequestLimitSettings, [String]) {
        var reader = SettingsReader(get: { table[$0] }, readFile: { _ in "" })
        let settings = RequestLimitSettings(&reader)
        return (settings, reader.problems.map(\.name))
    }

    @Test func unsetIsNoLimit() {
        let (settings, problems) = self.read([:])
        #expect(settings.key == .none && settings.account == .none && problems == [])
    }

    @Test func everyLimitHasItsName() {
        let (settings, problems) = self.read([
            "RATE_LIMIT_KEY_RPM": "1", "RATE_LIMIT_KEY_TPM": "2", "RATE_LIMIT_KEY_STREAMS": "3",
            "RATE_LIMIT_ACCOUNT_RPM": "4", "RATE_LIMIT_ACCOUNT_TPM": "5", "RATE_LIMIT_ACCOUNT_STREAMS": "6",
        ])
        #expect(problems == [])
        #expect(settings.key == RequestLimits(requestsPerMinute: 1, tokensPerMinute: 2, streams: 3))
        #expect(settings.account == RequestLimits(requestsPerMinute: 4, tokensPerMinute: 5, streams: 6))
    }

    /// 0 would shut everybody out, or be taken for no limit.
    @Test(arguments: ["0", "-1", "many", "1000000001"])
    func whatIsNoLimitIsReported(value: String) {
        #expect(self.read(["RATE_LIMIT_KEY_TPM": value]).1 == ["RATE_LIMIT_KEY_TPM"])
    }

    /// The three caps of CONTRACT §3 reach the data plane under their names.
    @Test func everySpendCapHasItsName() throws {
        let configuration = try ServeConfigurationTests().read([
            "BILLING_SINGLE_REQUEST_CAP": "1", "BILLING_SESSION_CAP": "2", "BILLING_DAILY_CAP": "3",
        ])
        #expect(
            configuration.caps
                == SpendCaps(request: Millicredits(1), session: Millicredits(2), day: Millicredits(3)))
    }
}
