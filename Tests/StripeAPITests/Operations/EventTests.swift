import Testing

@testable import StripeAPI

@Suite struct EventTests {
    private func subject(_ object: String) throws -> StripeEvent.Subject {
        try StripeEvent.parse(Array(Replies.event("evt_1", object: object).utf8), isLive: false).subject
    }

    @Test func theBodyIsKeptByteForByte() throws {
        let text = " " + Replies.event("evt_1") + "\n"
        let event = try StripeEvent.parse(Array(text.utf8), isLive: false)
        #expect(event.json == text)
        #expect(event.id == "evt_1")
        #expect(event.type == "charge.refunded")
        #expect(event.createdAt == 1_790_000_000)
        #expect(event.apiVersion == "2026-10-28.endive")
    }

    @Test func aPaymentIsNamedWhateverTheEventIsAbout() throws {
        #expect(try self.subject(#"{"object":"payment_intent","id":"pi_1"}"#).paymentIntent == "pi_1")
        #expect(
            try self.subject(#"{"object":"dispute","id":"du_1","payment_intent":"pi_1"}"#).paymentIntent
                == "pi_1")
        let expanded =
            #"{"object":"charge","id":"ch_1","payment_intent":{"id":"pi_1","object":"payment_intent"}}"#
        #expect(try self.subject(expanded).paymentIntent == "pi_1")
        let session = try self.subject(
            #"{"object":"checkout.session","id":"cs_1","payment_intent":null,"client_reference_id":"p1","#
                + #""metadata":{"tollgate_purchase":"p1"}}"#)
        #expect(
            session
                == .init(
                    object: "checkout.session", id: "cs_1", paymentIntent: nil, clientReferenceID: "p1",
                    metadata: ["tollgate_purchase": "p1"]))
    }

    /// Events of every kind may be delivered; one that we do not understand is still an event to be answered.
    @Test(arguments: [
        "{}", #"{"object":1,"id":[],"payment_intent":7,"metadata":"x"}"#, #"{"metadata":{"a":1}}"#,
        #"{"object":"account","id":null,"metadata":null}"#,
    ])
    func anObjectOfAnotherKindNamesNothing(_ object: String) throws {
        let subject = try self.subject(object)
        #expect(subject.paymentIntent == nil)
        #expect(subject.metadata.isEmpty)
    }

    @Test(arguments: ["", "{", "[]", "{}", #"{"id":"evt_1"}"#, "\u{0}"])
    func whatIsNoEventIsUnreadable(_ text: String) {
        #expect(throws: StripeFailure(.unreadableReply)) {
            try StripeEvent.parse(Array(text.utf8), isLive: false)
        }
    }

    @Test func anEventOfTheOtherModeIsRefused() {
        #expect(throws: StripeFailure(.wrongLivemode)) {
            try StripeEvent.parse(Array(Replies.event("evt_1").utf8), isLive: true)
        }
        #expect(throws: StripeFailure(.wrongLivemode, requestID: "req_1")) {
            try RetrieveEvent("evt_1").rehearse([Replies.reply(Replies.event("evt_1", livemode: true))])
        }
    }
}
