import Testing

@testable import StripeAPI

@Suite struct ListingTests {
    @Test func aListIsReadToItsEnd() throws {
        var rehearsal = Rehearsal<ListPaymentIntents>()
        let intents = try rehearsal.run(
            ListPaymentIntents(created: CreationWindow(from: 100, to: 200)),
            [
                Replies.page([Replies.intent(id: "pi_4"), Replies.intent(id: "pi_3")], more: true),
                Replies.page([Replies.intent(id: "pi_2")], more: true), Replies.page([]),
            ])
        #expect(intents?.map(\.id) == ["pi_4", "pi_3", "pi_2"])
        #expect(
            rehearsal.asked.map(\.form.encoded) == [
                "created[gte]=100&created[lt]=200&limit=100",
                "created[gte]=100&created[lt]=200&limit=100&starting_after=pi_3",
                "created[gte]=100&created[lt]=200&limit=100&starting_after=pi_2",
            ])
    }

    /// A list that says "more" for ever must not be read for ever.
    @Test func aListThatDoesNotGoOnIsUnreadable() {
        let again = Replies.page([Replies.intent(id: "pi_1")], more: true)
        let operation = ListPaymentIntents(created: CreationWindow(from: 0))
        for replies in [[again, again, again], [Replies.page([], more: true)]] {
            #expect(throws: StripeFailure(.unreadableReply, requestID: "req_1")) {
                try operation.rehearse(replies)
            }
        }
    }

    /// Stripe lists what is newest first; events are applied in the order in which they happened.
    @Test func eventsComeOldestFirstAcrossPages() throws {
        let events = try ListEvents(created: CreationWindow(from: 0)).rehearse([
            Replies.page([Replies.event("evt_5"), Replies.event("evt_4")], more: true),
            Replies.page([Replies.event("evt_3"), Replies.event("evt_2")], more: true),
            Replies.page([Replies.event("evt_1")]),
        ])
        #expect(events?.map(\.id) == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"])
    }

    @Test func undeliveredEventsAreAskedForByTime() throws {
        var operation = ListEvents(
            created: CreationWindow(from: 7), types: ["charge.refunded", "refund.failed"],
            onlyUndelivered: true)
        guard case .ask(let request) = try operation.step(after: nil) else { return #expect(Bool(false)) }
        #expect(
            request.form.encoded == "created[gte]=7&types[0]=charge.refunded&types[1]=refund.failed"
                + "&delivery_success=false&limit=100")
    }

    /// Stored as a dead letter, it must be the event that came.
    @Test func anEventOfAListKeepsItsText() throws {
        let object = #"{"object":"charge","amount":9007199254740993,"url":"https://x/y","a":[1,null,true]}"#
        let events = try ListEvents(created: CreationWindow(from: 0)).rehearse([
            Replies.page([Replies.event("evt_1", object: object)])
        ])
        let json = try #require(events?.first?.json)
        #expect(json.contains(#""amount":9007199254740993"#))
        #expect(json.contains(#""url":"https://x/y""#))
        #expect(json.contains(#""a":[1,null,true]"#))
        #expect(try StripeEvent.parse(Array(json.utf8), isLive: false).subject == events?.first?.subject)
    }

    @Test func chargesComeWithTheirFee() throws {
        let charges = try ListCharges(created: CreationWindow(from: 0)).rehearse([
            Replies.page([Replies.charge()])
        ])
        #expect(charges?.first?.balanceTransaction?.feeCents == 59)
        #expect(charges?.first?.paymentIntent == "pi_1")
    }

    @Test func movementsOfTheBalanceKeepTheirSign() throws {
        let page = Replies.page([Replies.transaction(type: "refund", amount: -100, fee: 0)])
        let moved = try ListBalanceTransactions(created: CreationWindow(from: 0)).rehearse([page])
        #expect(moved?.first?.amountCents == -100)
        #expect(moved?.first?.netCents == -100)
        #expect(moved?.first?.source == "ch_1")
    }

    @Test func refundsAreAskedForByTime() throws {
        var operation = ListRefunds(created: CreationWindow(from: 7, to: 9))
        guard case .ask(let request) = try operation.step(after: nil) else { return #expect(Bool(false)) }
        #expect(request.path == ["refunds"])
        #expect(request.form.encoded == "created[gte]=7&created[lt]=9&limit=100")
    }

    @Test func disputesAreAskedForByTimeAndReadToTheEnd() throws {
        var rehearsal = Rehearsal<ListDisputes>()
        let disputes = try rehearsal.run(
            ListDisputes(created: CreationWindow(from: 7, to: 9)),
            [Replies.page([Replies.dispute("du_2")], more: true), Replies.page([Replies.dispute("du_1")])])
        #expect(disputes?.map(\.id) == ["du_2", "du_1"])
        #expect(disputes?.map(\.paymentIntent) == ["pi_1", "pi_1"])
        #expect(rehearsal.asked.map(\.path) == [["disputes"], ["disputes"]])
        #expect(
            rehearsal.asked.map(\.form.encoded) == [
                "created[gte]=7&created[lt]=9&limit=100",
                "created[gte]=7&created[lt]=9&limit=100&starting_after=du_2",
            ])
    }
}
