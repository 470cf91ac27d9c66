import Logging
import Testing

@testable import StripeAPI

/// What the client does with a peer that is Stripe at its worst. Real sockets; pauses end at once.
@Suite(.timeLimit(.minutes(5))) struct StripeClientTests {
    private static let refunded = NastyServer.Answer.reply(200, CreateRefund.exampleReply)

    @Test func everyRequestNamesItsVersionAndItself() async throws {
        let test = try await TestClient([Self.refunded])
        let refund = try await test.client.run(CreateRefund.example)
        #expect(refund.id == "re_1")
        let request = try #require(test.server.requests.first)
        #expect(request.method == "POST")
        #expect(request.target == "/v1/refunds")
        #expect(request.headers["authorization"] == "Bearer " + StripeKey.secretText)
        #expect(request.headers["stripe-version"] == "2026-10-28.endive")
        #expect(request.headers["idempotency-key"] == "tollgate:refund:r1")
        #expect(request.headers["content-type"] == "application/x-www-form-urlencoded")
        #expect(request.headers["user-agent"] == "Tollgate/1")
        #expect(request.body == "payment_intent=pi_1&amount=100&metadata[tollgate_refund]=r1")
        await test.server.stop()
    }

    @Test func a500IsTriedAgainWithTheSameKeyAndBody() async throws {
        let test = try await TestClient([.error(500, #""type":"api_error""#), Self.refunded])
        _ = try await test.client.run(CreateRefund.example)
        let requests = test.server.requests
        #expect(requests.count == 2)
        #expect(Set(requests.map { $0.headers["idempotency-key"] }) == ["tollgate:refund:r1"])
        #expect(Set(requests.map(\.body)).count == 1)
        #expect(test.time.pauses == [.milliseconds(500)])
        await test.server.stop()
    }

    /// Stripe has done it, and we do not know: only the same key makes asking again harmless.
    @Test func aTimeOutAfterSuccessIsAskedAgainWithTheSameKey() async throws {
        var policy = RetryPolicy()
        policy.attemptTimeout = .seconds(1)
        let server = try await NastyServer([.silence, Self.refunded])
        let test = try TestClient(server, policy: policy)
        #expect(try await test.client.run(CreateRefund.example).id == "re_1")
        #expect(
            server.requests.map { $0.headers["idempotency-key"] } == [
                "tollgate:refund:r1", "tollgate:refund:r1",
            ])
        await server.stop()
    }

    @Test func aRetryAfterIsHonoured() async throws {
        let test = try await TestClient([
            .error(429, #""type":"invalid_request_error""#, ["Retry-After: 7"]), Self.refunded,
        ])
        _ = try await test.client.run(CreateRefund.example)
        #expect(test.time.pauses == [.seconds(7)])
        await test.server.stop()
    }

    @Test func stripeMayForbidAndDemandAnotherAttempt() async throws {
        let forbidden = try await TestClient([
            .error(500, #""type":"api_error""#, ["Stripe-Should-Retry: false"]), Self.refunded,
        ])
        #expect(await refusal(forbidden, CreateRefund.example)?.kind == .apiError(status: 500))
        #expect(forbidden.server.requests.count == 1)
        let demanded = try await TestClient([
            .error(400, #""type":"invalid_request_error""#, ["Stripe-Should-Retry: true"]), Self.refunded,
        ])
        #expect(await refusal(demanded, CreateRefund.example) == nil)
        #expect(demanded.server.requests.count == 2)
        await forbidden.server.stop()
        await demanded.server.stop()
    }

    @Test func afterFourAttemptsTheFailureStands() async throws {
        let test = try await TestClient([.error(503, #""type":"api_error""#, ["Request-Id: req_9"])])
        let failure = await refusal(test, CreateRefund.example)
        #expect(
            failure == StripeFailure(.apiError(status: 503), requestID: "req_9", mayHaveBeenApplied: true))
        #expect(test.server.requests.count == 4)
        #expect(failure?.mayRetry == true)
        await test.server.stop()
    }

    @Test func aReplyCutInTheMiddleIsAskedAgain() async throws {
        let cut = String(NastyServer.Answer.text(200, CreateRefund.exampleReply).dropLast(9))
        let test = try await TestClient([.cut(cut), Self.refunded])
        #expect(await refusal(test, CreateRefund.example) == nil)
        #expect(test.server.requests.count == 2)
        await test.server.stop()
    }

    /// Somebody's web page instead of JSON, or a reply without what we read.
    @Test(arguments: ["<html>", "", "{}", #"{"id":1}"#, "[]", String(repeating: "[", count: 100_000)])
    func aReplyThatCannotBeReadIsNoSuccess(_ body: String) async throws {
        let test = try await TestClient([.reply(200, body, headers: ["Request-Id: req_8"])])
        let failure = await refusal(test, CreateRefund.example)
        #expect(failure == StripeFailure(.unreadableReply, requestID: "req_8", mayHaveBeenApplied: true))
        #expect(await refusal(test, RetrievePaymentIntent("pi_1"))?.mayHaveBeenApplied == false)
        await test.server.stop()
    }

    @Test func aReplyOfTenMegabytesIsNotReadToItsEnd() async throws {
        let test = try await TestClient([
            .cut(NastyServer.Answer.text(200, String(repeating: " ", count: 10 << 20)))
        ])
        let failure = await refusal(test, CreateRefund.example)
        #expect(failure == StripeFailure(.unreachable(.replyTooLarge), mayHaveBeenApplied: true))
        #expect(failure?.mayRetry == false)
        await test.server.stop()
    }

    /// The first attempt may have moved money; that the second one was not let in says nothing of it.
    @Test func anUnknownOutcomeStaysUnknown() async throws {
        let lost = try await TestClient([
            .cut(""), .cut(""), .error(401, #""type":"invalid_request_error""#),
        ])
        #expect(
            await refusal(lost, CreateRefund.example)
                == StripeFailure(.unauthorised(status: 401), mayHaveBeenApplied: true))
        let declined = try await TestClient([.cut(""), .cut(""), .error(402, #""type":"card_error""#)])
        #expect(await refusal(declined, CreateRefund.example)?.mayHaveBeenApplied == false)
        await lost.server.stop()
        await declined.server.stop()
    }

    @Test func nobodyThereHasCertainlyDoneNothing() async throws {
        let port = try ClosedPort()
        let time = ManualPacing()
        let client = try StripeClient.test(port: port.number, time: time)
        await #expect(throws: StripeFailure(.unreachable(.connect), mayHaveBeenApplied: false)) {
            try await client.run(CreateRefund.example)
        }
        #expect(time.pauses.count == 3)
        _ = consume port
    }

    @Test func theDeadlineHoldsForAllAttemptsTogether() async throws {
        let test = try await TestClient([.error(500, #""type":"api_error""#)])
        await #expect(throws: StripeFailure(.apiError(status: 500), mayHaveBeenApplied: true)) {
            try await test.client.run(CreateRefund.example, within: .seconds(1))
        }
        // The second pause would have ended at 1.5 s.
        #expect(test.time.pauses == [.milliseconds(500)])
        await #expect(throws: StripeFailure(.outOfTime)) {
            try await test.client.run(CreateRefund.example, within: .zero)
        }
        #expect(test.server.requests.count == 2)
        await test.server.stop()
    }

    @Test func anIDThatIsNoneIsNotSent() async throws {
        let test = try await TestClient([Self.refunded])
        #expect(await refusal(test, RetrievePaymentIntent(""))?.kind == .malformedRequest)
        #expect(await refusal(test, RetrieveEvent("../charges"))?.kind == .malformedRequest)
        #expect(test.server.requests.isEmpty)
        await test.server.stop()
    }

    /// A live object behind a test key is somebody else's account, or a key in the wrong environment.
    @Test func theOtherModeIsRefused() async throws {
        let live = #"{"id":"cus_1","livemode":true}"#
        let test = try await TestClient([.reply(200, live)])
        let customer = CreateCustomer(metadata: [:], idempotencyKey: "k")
        #expect(await refusal(test, customer)?.kind == .wrongLivemode)
        let page = #"{"data":[{"id":"pm_1","type":"card","livemode":true}],"has_more":false}"#
        let listing = try await TestClient([.reply(200, page)])
        #expect(await refusal(listing, ListPaymentMethods(ofCustomer: "cus_1"))?.kind == .wrongLivemode)
        await test.server.stop()
        await listing.server.stop()
    }

    /// What the webhook does under its row lock, on its own thread.
    @Test func aThreadMayWait() async throws {
        let test = try await TestClient([.error(500, #""type":"api_error""#), Self.refunded])
        let client = test.client
        let result = await withCheckedContinuation { continuation in
            OutboundThread.start {
                continuation.resume(
                    returning: Result { () throws(StripeFailure) in
                        try client.runAndWait(CreateRefund.example).id
                    })
            }
        }
        #expect(result == .success("re_1"))
        #expect(test.time.pauses == [.milliseconds(500)])
        await test.server.stop()
    }

    @Test func logsSayWhyButNotWhat() async throws {
        let lines = LogLines()
        let server = try await NastyServer([
            .cut(NastyServer.Answer.text(500, "", headers: ["Request-Id: req_7"])), .cut(""), Self.refunded,
        ])
        let test = try TestClient(server, logger: Logger(label: "test") { _ in lines.handler })
        _ = try await test.client.run(CreateRefund.example)
        #expect(
            lines.all == [
                "a call to Stripe failed and is tried again reason=status 500 request-id=req_7",
                "a call to Stripe failed and is tried again reason=broken_after_sending request-id=none",
            ])
        await server.stop()
    }
}
