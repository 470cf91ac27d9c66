import MockOpenAI
import MockStripe
import NIOPosix
import StripeAPI

/// What stands in for OpenAI and Stripe where no key of theirs is set.
struct DevPeers {
    /// nil when the environment names the real API.
    let openAI: MockOpenAIServer?
    let stripe: MockStripeServer?

    private static let stripeKey = "sk_test_mock"

    static func start(_ say: (String) -> Void) async throws -> DevPeers {
        let group = MultiThreadedEventLoopGroup.singleton
        var (openAI, stripe): (MockOpenAIServer?, MockStripeServer?)
        if Self.isSet("OPENAI_API_KEY") {
            say("upstream: the real API, since OPENAI_API_KEY is set")
        } else {
            let mock = try await MockOpenAIServer.start(on: group)
            say("upstream: the bundled mock, since OPENAI_API_KEY is not set (\(mock.baseURL))")
            openAI = mock
        }
        if Self.isSet("STRIPE_SECRET_KEY") {
            say("payments: Stripe, since STRIPE_SECRET_KEY is set")
        } else {
            var settings = MockStripeServer.Configuration()
            settings.key = Self.stripeKey
            let mock = try await MockStripeServer.start(settings, on: group)
            say("payments: the bundled mock, since STRIPE_SECRET_KEY is not set (\(mock.baseURL))")
            stripe = mock
        }
        return DevPeers(openAI: openAI, stripe: stripe)
    }

    private static func isSet(_ name: String) -> Bool {
        [name, name + "_FILE"].contains { System.environment($0)?.isEmpty == false }
    }

    /// Of `serve`, as far as the mocks decide them.
    var settings: [String: String] {
        var settings: [String: String] = [:]
        if let openAI {
            settings["OPENAI_API_KEY"] = "sk-mock"
            settings["OPENAI_BASE_URL"] = openAI.baseURL
        }
        if let stripe {
            settings["STRIPE_SECRET_KEY"] = Self.stripeKey
            settings["STRIPE_API_BASE"] = stripe.baseURL
        }
        return settings
    }

    var stripeURL: String {
        self.stripe?.baseURL ?? System.environment("STRIPE_API_BASE") ?? StripeClient.defaultBase
    }

    func shutdown() async {
        try? await self.openAI?.shutdown()
        try? await self.stripe?.shutdown()
    }
}
