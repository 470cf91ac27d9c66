import Logging
import Synchronization
import Testing

@testable import StripeAPI

extension OutboundBase {
    static func loopback(_ port: Int) throws -> OutboundBase {
        try OutboundBase(parsing: "http://127.0.0.1:\(port)")
    }
}

extension StripeKey {
    static let secretText = "sk_test_tollgateSecretOfTheTests"
    static func test() throws -> StripeKey { try #require(StripeKey(Self.secretText)) }
}

/// Time that stands still but for pauses, which end at once.
final class ManualPacing: Sendable {
    private struct State {
        var now = Duration.zero
        var pauses: [Duration] = []
    }

    private let state = Mutex(State())
    private let random: @Sendable (Int64) -> Int64

    /// - Parameter random: the greatest pause, unless the test says otherwise.
    init(random: @escaping @Sendable (Int64) -> Int64 = { $0 }) { self.random = random }

    var pauses: [Duration] { self.state.withLock { $0.pauses } }

    var pacing: Pacing {
        Pacing(
            now: { self.state.withLock { $0.now } }, random: self.random, pause: { self.pass($0) },
            pauseThread: { self.pass($0) })
    }

    private func pass(_ duration: Duration) {
        self.state.withLock { state in
            state.now += duration
            state.pauses.append(duration)
        }
    }
}

/// A client of a `NastyServer`, without waiting.
struct TestClient {
    let server: NastyServer
    let time: ManualPacing
    let client: StripeClient

    init(
        _ server: NastyServer, time: ManualPacing = ManualPacing(), policy: RetryPolicy = RetryPolicy(),
        logger: Logger = .silent
    ) throws {
        self.server = server
        self.time = time
        self.client = try .test(port: server.port, time: time, policy: policy, logger: logger)
    }

    init(_ answers: [NastyServer.Answer]) async throws { try self.init(try await NastyServer(answers)) }
}

extension Logger {
    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}

extension StripeClient {
    static func test(
        port: Int, time: ManualPacing, policy: RetryPolicy = RetryPolicy(), logger: Logger = .silent
    ) throws -> StripeClient {
        StripeClient(
            http: outbound(), base: try .loopback(port), key: try .test(), policy: policy,
            pacing: time.pacing,
            logger: logger)
    }
}

extension CreateRefund {
    static let example = CreateRefund(
        paymentIntent: "pi_1", amountCents: 100, metadata: ["tollgate_refund": "r1"],
        idempotencyKey: "tollgate:refund:r1")
    static let exampleReply = """
        {"id":"re_1","object":"refund","amount":100,"currency":"usd","status":"succeeded",\
        "payment_intent":"pi_1","metadata":{"tollgate_refund":"r1"},"created":1790000000}
        """
}

/// nil: it succeeded.
func refusal<Operation: StripeOperation>(_ test: TestClient, _ operation: Operation) async -> StripeFailure? {
    do throws(StripeFailure) {
        _ = try await test.client.run(operation)
        return nil
    } catch {
        return error
    }
}

extension NastyServer.Answer {
    /// An error in Stripe's shape, with a message that quotes our key.
    static func error(_ status: Int, _ fields: String, _ headers: [String] = []) -> NastyServer.Answer {
        .reply(
            status, #"{"error":{\#(fields),"message":"about \#(StripeKey.secretText)"}}"#, headers: headers)
    }
}
