import NIOPosix
import Testing

@testable import MockStripe

/// The library as `tollgate dev` uses it; what goes over the wire is tested by test_mock_stripe.py.
@Suite struct ServerTests {
    private static let client = WebhookClient(
        group: MultiThreadedEventLoopGroup.singleton, timeout: .seconds(20))

    /// The status of a POST, 0 without an answer.
    private func post(_ url: String, _ body: String = "{}") async -> Int {
        await Self.client.post(
            Delivery(id: 1, event: "", type: "", url: url, body: body, signature: "", attempt: 1, faults: []))
    }

    @Test func itListensWhenItHasStartedAndNoLongerWhenItHasStopped() async throws {
        let server = try await MockStripeServer.start(on: MultiThreadedEventLoopGroup.singleton)
        let base = server.baseURL
        #expect(await self.post(base + "/_mock/reset") == 200)
        #expect(await self.post(base + "/v1/customers") == 401)
        #expect(await self.post(base + "/nowhere?x=1") == 404)
        #expect(await self.post(base.replacing("http://", with: "https://") + "/_mock/reset") == 0)
        try await server.shutdown()
        #expect(await self.post(base + "/_mock/reset") == 0)
    }

    @Test func aTakenPortIsAnErrorAndNotAHang() async throws {
        let first = try await MockStripeServer.start(on: MultiThreadedEventLoopGroup.singleton)
        var settings = MockStripeServer.Configuration()
        settings.port = first.port
        await #expect(throws: (any Error).self) {
            try await MockStripeServer.start(settings, on: MultiThreadedEventLoopGroup.singleton)
        }
        try await first.shutdown()
    }
}
