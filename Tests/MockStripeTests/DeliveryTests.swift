import Crypto
import Testing

@testable import MockStripe

@Suite struct DeliveryTests {
    /// `(t, v1)` of a header.
    private func parts(_ header: String) -> (Int, String) {
        let words = header.split(separator: ",").map { $0.split(separator: "=").map(String.init) }
        return (Int(words[0][1]) ?? 0, words[1][1])
    }

    private func isValid(_ delivery: Delivery, secret: String = Shop.secret) -> Bool {
        let (time, code) = self.parts(delivery.signature)
        let mac = HMAC<SHA256>.authenticationCode(
            for: Array("\(time).\(delivery.body)".utf8), using: SymmetricKey(data: Array(secret.utf8)))
        return mac.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == code
    }

    /// The value was computed with `openssl dgst -sha256 -hmac whsec_test`.
    @Test func theSignatureIsTheOneThatStripeDescribes() {
        #expect(
            WebhookSignature.header(body: "{\"id\":\"evt_1\"}", secret: "whsec_test", seconds: 1_700_000_000)
                == "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925")
    }

    @Test func everyEventIsDeliveredOnceSignedAndInOrder() throws {
        var shop = Shop()
        _ = shop.paid()
        let sent = shop.deliver()
        #expect(sent.map(\.type) == shop.types())
        #expect(sent.allSatisfy { self.isValid($0) && !self.isValid($0, secret: "whsec_other") })
        #expect(self.parts(sent[0].signature).0 == Shop.begin / 1_000)
        let body = try #require(JSON(parsing: sent[0].body))
        #expect(body["object"] == "event" && body["api_version"] == "2025-09-30.clover")
        #expect(body.at("data", "object", "object") == "payment_intent")
        #expect(body["livemode"] == false)
        #expect(shop.world.queue.count == 0)
        #expect(shop.get("/v1/events", "delivery_success=false").ids.isEmpty)
        #expect(shop.get("/v1/events", "delivery_success=true").ids.count == sent.count)
    }

    @Test func aRefusedDeliveryIsTriedAgainLaterAndLater() {
        var shop = Shop()
        _ = shop.post("/v1/customers")
        var waits: [Int] = []
        for _ in 0..<8 {
            #expect(shop.deliver { _ in 500 }.count == 1)
            let before = shop.now
            while shop.world.queue.waiting.first.map({ $0.dueAt > shop.now }) ?? false { shop.now += 1 }
            waits.append(shop.now - before)
        }
        #expect(waits == [200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
        #expect(shop.get("/v1/events", "delivery_success=false").ids.count == 1)
        #expect(shop.deliver().map(\.attempt) == [9])
        #expect(shop.get("/v1/events", "delivery_success=false").ids.isEmpty)
        #expect(
            shop.world.log.deliveries.compactMap { $0["status"]?.int } == Array(repeating: 500, count: 8) + [
                200
            ])
    }

    @Test func aDeliveryIsGivenUpAndCanBeSentAgain() {
        var shop = Shop()
        shop.world.settings.retries.attemptsMax = 2
        let id = { (shop: inout Shop) in shop.get("/v1/events", "delivery_success=false").ids }
        _ = shop.post("/v1/customers")
        #expect(shop.deliver { _ in 0 }.count == 1)
        shop.now += 200
        #expect(shop.deliver { _ in 302 }.count == 1)
        #expect(shop.world.queue.count == 0)
        let undelivered = id(&shop)
        #expect(undelivered.count == 1)
        _ = shop.control("resend", "{\"event\":\"\(undelivered[0])\"}")
        #expect(shop.deliver().count == 1)
        #expect(id(&shop).isEmpty)
    }

    @Test func aFailureDoesNotHoldUpTheOthers() {
        var shop = Shop()
        _ = shop.paid()
        let sent = shop.deliver { $0.type == "charge.succeeded" ? 500 : 200 }
        #expect(sent.map(\.type) == shop.types())
        shop.now += 200
        #expect(shop.deliver().map(\.type) == ["charge.succeeded"])
    }

    @Test func copiesCarryTheSameIdAndTwinsAnother() {
        var shop = Shop()
        _ = shop.control("faults", #"{"duplicates":2}"#)
        _ = shop.post("/v1/customers")
        let copies = shop.deliver()
        #expect(copies.count == 3 && Set(copies.map(\.event)).count == 1)
        #expect(shop.world.events.rows[0].pendingWebhooks == 0)
        _ = shop.control("faults", #"{"duplicates":0,"twins":1}"#)
        _ = shop.post("/v1/customers")
        let twins = shop.deliver()
        #expect(twins.count == 2 && Set(twins.map(\.event)).count == 2)
        let objects = shop.world.events.rows.suffix(2).map(\.object)
        #expect(objects[0] == objects[1])
    }

    @Test func droppedEventsAreOnlyListed() {
        var shop = Shop()
        _ = shop.control("faults", #"{"drop":1}"#)
        let lost = shop.post("/v1/customers")["id"]?.text
        _ = shop.post("/v1/customers")
        #expect(shop.deliver().count == 1)
        let listed = shop.get("/v1/events", "delivery_success=false")
        #expect(listed["data"]?.list?.map { $0.at("data", "object", "id")?.text } == [lost])
        #expect(listed["data"]?.list?.first?["pending_webhooks"] == 1)
    }

    @Test func aShuffleDependsOnItsSeedAndLosesNothing() {
        func order(_ seed: Int) -> [String] {
            var shop = Shop()
            _ = shop.control("faults", "{\"shuffle_seed\":\(seed)}")
            _ = shop.control("delivery", #"{"on":false}"#)
            for _ in 0..<4 { _ = shop.paid() }
            #expect(shop.deliver().isEmpty)
            _ = shop.control("delivery", #"{"on":true}"#)
            let sent = shop.deliver().map(\.event)
            #expect(sent.sorted() == shop.world.events.rows.map(\.id).sorted())
            return sent
        }
        #expect(order(1) == order(1))
        #expect(order(1) != order(2))
    }

    @Test func aDelayPassesBeforeTheFirstAttempt() {
        var shop = Shop()
        _ = shop.control("faults", #"{"delay_ms":500}"#)
        _ = shop.post("/v1/customers")
        shop.now += 499
        #expect(shop.deliver().isEmpty)
        _ = shop.control("delivery", #"{"hurry":true}"#)
        #expect(shop.deliver().count == 1)
    }

    /// Every one of them is right at the next attempt, as a receiver that refused it expects.
    @Test func spoiltDeliveriesAreSpoiltAsTheySay() throws {
        var shop = Shop()
        _ = shop.control("faults", #"{"wrong_livemode":1,"delay_ms":0}"#)
        _ = shop.post("/v1/customers")
        let live = shop.deliver { _ in 400 }
        #expect(JSON(parsing: live[0].body)?["livemode"] == true && self.isValid(live[0]))
        _ = shop.control("faults", #"{"bad_timestamp":1,"skew_seconds":-301}"#)
        shop.now += 200
        let old = shop.deliver { _ in 400 }
        #expect(self.parts(old[0].signature).0 == shop.now / 1_000 - 301 && self.isValid(old[0]))
        _ = shop.control("faults", #"{"bad_signature":1}"#)
        shop.now += 400
        let forged = shop.deliver { _ in 400 }
        #expect(!self.isValid(forged[0]))
        shop.now += 800
        let right = shop.deliver()
        #expect(self.isValid(right[0]) && right[0].faults.isEmpty)
        #expect(JSON(parsing: right[0].body)?["livemode"] == false)
        #expect(
            [live, old, forged].map { $0[0].faults } == [
                ["wrong_livemode"], ["bad_timestamp"], ["bad_signature"],
            ])
    }

    @Test func whatIsDueFirstLeavesFirst() {
        var shop = Shop()
        _ = shop.control("faults", #"{"delay_ms":300}"#)
        _ = shop.post("/v1/customers", "name=late")
        _ = shop.control("faults", #"{"delay_ms":100}"#)
        _ = shop.post("/v1/customers", "name=soon")
        _ = shop.control("faults", #"{"delay_ms":200}"#)
        _ = shop.post("/v1/customers", "name=between")
        func names(_ sent: [Delivery]) -> [String] {
            sent.compactMap { JSON(parsing: $0.body)?.at("data", "object", "name")?.text }
        }
        shop.now += 250
        #expect(names(shop.deliver()) == ["soon", "between"])
        shop.now += 250
        #expect(names(shop.deliver()) == ["late"])
    }

    @Test func attemptsUnderWayAreCounted() {
        var shop = Shop()
        _ = shop.paid()
        let first = shop.world.nextDelivery(at: shop.now)
        #expect(first != nil && shop.world.nextDelivery(at: shop.now) == nil)
        _ = shop.control("faults", #"{"concurrency":2}"#)
        #expect(shop.world.nextDelivery(at: shop.now) != nil)
        #expect(shop.world.nextDelivery(at: shop.now) == nil)
    }

    /// The receiver's clock knows nothing of the mock's.
    @Test func advancedTimeDoesNotSpoilSignatures() {
        var shop = Shop()
        _ = shop.control("advance", #"{"seconds":86400}"#)
        _ = shop.post("/v1/customers")
        #expect(self.parts(shop.deliver()[0].signature).0 == Shop.begin / 1_000)
        #expect(shop.world.customers.rows[0].created == Shop.begin / 1_000 + 86_400)
    }

    @Test func resetForgetsAllButTheEndpointsAndNamesNothingTwice() {
        var shop = Shop()
        _ = shop.post("/v1/customers")
        let before = shop.world.customers.rows[0].id
        let late = shop.world.nextDelivery(at: shop.now)
        _ = shop.control("reset", "{}")
        #expect(
            shop.world.customers.rows.isEmpty && shop.world.log.calls.isEmpty && shop.world.queue.count == 0)
        _ = shop.post("/v1/customers")
        #expect(shop.world.customers.rows[0].id != before)
        if let late { shop.world.deliveryEnded(late, status: 200, at: shop.now) }
        #expect(shop.deliver().count == 1)
    }

    @Test func unknownControlParametersAreRefused() {
        var shop = Shop()
        #expect(shop.control("faults", #"{"duplicate":1}"#).status == 400)
        #expect(shop.control("faults", #"{"drop":-1}"#).status == 400)
        #expect(shop.control("faults", "[").status == 400)
        #expect(shop.control("nothing", "{}").status == 599)
        #expect(shop.control("faults", "").status == 200)
    }
}
