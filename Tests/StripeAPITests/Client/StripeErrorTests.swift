import Testing

@testable import StripeAPI

/// What Stripe's refusals mean for us.
@Suite(.timeLimit(.minutes(5))) struct StripeErrorTests {
    static let errors: [(Int, String, StripeFailure.Kind)] = [
        (
            402,
            #""type":"card_error","code":"card_declined","decline_code":"insufficient_funds","#
                + #""payment_intent":{"id":"pi_2"}"#,
            .cardDeclined(code: "card_declined", declineCode: "insufficient_funds", paymentIntent: "pi_2")
        ),
        (
            402, #""type":"card_error","code":"expired_card""#,
            .cardDeclined(code: "expired_card", declineCode: nil, paymentIntent: nil)
        ),
        (
            402, #""type":"card_error","code":"authentication_required","payment_intent":{"id":"pi_2"}"#,
            .authenticationRequired(paymentIntent: "pi_2")
        ),
        (
            402, #""type":"card_error","code":"card_declined","decline_code":"authentication_required""#,
            .authenticationRequired(paymentIntent: nil)
        ),
        (400, #""type":"idempotency_error""#, .idempotencyMismatch),
        (409, #""type":"idempotency_error","code":"idempotency_key_in_use""#, .locked),
        (
            400, #""type":"invalid_request_error","code":"parameter_unknown","param":"line_items[0][prize]""#,
            .invalidRequest(code: "parameter_unknown", parameter: "line_items[0][prize]")
        ),
        (
            404, #""type":"invalid_request_error","code":"resource_missing","param":"id""#,
            .notFound(parameter: "id")
        ),
        (401, #""type":"invalid_request_error""#, .unauthorised(status: 401)),
        (403, #""type":"invalid_request_error""#, .unauthorised(status: 403)),
        (429, #""type":"invalid_request_error","code":"lock_timeout""#, .rateLimited),
        (500, #""type":"api_error""#, .apiError(status: 500)),
        (302, #""type":"?""#, .apiError(status: 302)),
        // A code that is no word stays out of logs and tables.
        (
            400, #""type":"invalid_request_error","code":"\#(StripeKey.secretText) and more""#,
            .invalidRequest(code: "other", parameter: nil)
        ),
    ]

    @Test(arguments: Self.errors) func errorsHaveTheirKind(
        _ status: Int, _ fields: String, _ kind: StripeFailure.Kind
    ) async throws {
        let test = try await TestClient([.error(status, fields)])
        let failure = await refusal(test, CreateRefund.example)
        #expect(failure?.kind == kind)
        #expect(failure.map { "\($0)".contains(StripeKey.secretText) } == false)
        await test.server.stop()
    }

    /// A proxy's page between Stripe and us, or a filter's own JSON: no refusal, as Stripe may have done it behind that.
    @Test(arguments: [400, 401, 402, 403, 404, 407, 451])
    func whatIsNotStripesIsNoRefusal(_ status: Int) async throws {
        for body in ["<html>", "", #"{"error":"text"}"#, #"{"error":{"message":"blocked"}}"#, "{}"] {
            let test = try await TestClient([.reply(status, body)])
            #expect(
                await refusal(test, CreateRefund.example)
                    == StripeFailure(.unreadableReply, mayHaveBeenApplied: true), "\(status) \(body)")
            // What only reads has changed nothing.
            #expect(await refusal(test, RetrievePaymentIntent("pi_1")) == StripeFailure(.unreadableReply))
            await test.server.stop()
        }
    }

    @Test func troubleIsTroubleWhoeverSaysSo() {
        let page = Array("<html>".utf8)
        #expect(StripeErrorReply.kind(status: 502, body: page) == .apiError(status: 502))
        #expect(StripeErrorReply.kind(status: 429, body: page) == .rateLimited)
        #expect(StripeErrorReply.kind(status: 409, body: page) == .locked)
    }
}
