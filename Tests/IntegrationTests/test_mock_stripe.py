"""The mock of Stripe itself, through Stripe's own SDK and without Tollgate: what the other tests believe of it."""
import json
import socket
import subprocess
import time

import pytest
import stripe

from harness import BIN, http, wait_until
from stripe_tools import KEY, SECRET, VERSION, Hook, MockStripe


@pytest.fixture(scope="module")
def hook():
    hook = Hook()
    yield hook
    hook.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, hook):
    server = MockStripe(tmp_path_factory.mktemp("stripe"), "--bank-debit-ms", 200, webhook=hook.url)
    yield server
    assert server.stop() == 0


@pytest.fixture()
def mock(server, hook):
    hook.answer = lambda event: 200
    server.control("delivery", on=True, hurry=True)
    server.settled()  # so that no delivery of the test before arrives in this one
    server.control("reset")
    hook.received.clear()
    return server


@pytest.fixture()
def client(mock):
    return mock.client()


def session(client, **more):
    return client.v1.checkout.sessions.create({
        "mode": "payment", "success_url": "http://shop/ok?s={CHECKOUT_SESSION_ID}", "cancel_url": "http://shop/no",
        "client_reference_id": "p-1", "metadata": {"tollgate_purchase": "p-1"},
        "payment_intent_data": {"metadata": {"tollgate_purchase": "p-1"}},
        "line_items": [{
            "quantity": 1,
            "price_data": {"currency": "usd", "unit_amount": 999, "product_data": {"name": "Starter <Package>"}}}],
        **more})


def paid(client, mock, outcome="card", **more):
    made = session(client, **more)
    assert mock.press(made.url, outcome)[0] == 303
    return client.v1.checkout.sessions.retrieve(made.id)


def test_a_purchase_from_session_to_signed_event(client, mock, hook):
    made = session(client, customer_creation="always")
    assert made.id.startswith("cs_test_") and made.status == "open" and made.payment_intent is None
    status, _, page = http("GET", made.url)
    assert status == 200 and b"$9.99" in page and b"Starter &lt;Package&gt;" in page
    status, _, page = mock.press(made.url, "declined")
    assert status == 200 and "Your card was declined." in page
    assert mock.press(made.url, "gold")[0] == 400
    assert mock.press(made.url, "card")[:2] == (303, f"http://shop/ok?s={made.id}")
    done = client.v1.checkout.sessions.retrieve(made.id, {"expand": ["line_items", "customer"]})
    assert (done.status, done.payment_status, done.amount_total) == ("complete", "paid", 999)
    assert done.line_items.data[0].description == "Starter <Package>" and done.customer.object == "customer"
    intent = client.v1.payment_intents.retrieve(
        done.payment_intent, {"expand": ["latest_charge.balance_transaction"]})
    assert intent.metadata["tollgate_purchase"] == "p-1" and intent.amount_received == 999
    assert intent.latest_charge.balance_transaction.fee == 59
    assert b"Receipt" in http("GET", intent.latest_charge.receipt_url)[2]
    mock.settled()
    for body, signature in hook.received:
        event = stripe.Webhook.construct_event(body, signature, SECRET)
        assert event.api_version == VERSION and event.livemode is False
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body, signature, "whsec_other")
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body.replace(b"evt_", b"evt-"), signature, SECRET)
    assert hook.types() == [
        "customer.created", "payment_intent.created", "charge.failed", "payment_intent.payment_failed",
        "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed", "charge.updated"]


def test_refunds_lists_and_paging(client, mock):
    done = paid(client, mock)
    for _ in range(3):
        refund = client.v1.refunds.create({"payment_intent": done.payment_intent, "amount": 100})
        assert refund.status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": done.payment_intent, "amount": 700})
    assert refused.value.param == "amount" and refused.value.http_status == 400
    listed = client.v1.refunds.list({"payment_intent": done.payment_intent, "limit": 2})
    assert listed.has_more and [refund.amount for refund in listed.auto_paging_iter()] == [100, 100, 100]
    events = client.v1.events.list({"limit": 4, "types": ["refund.created", "charge.refunded"]})
    assert [event.type for event in events.auto_paging_iter()] == ["charge.refunded", "refund.created"] * 3
    everything = [event.id for event in client.v1.events.list({"limit": 3}).auto_paging_iter()]
    assert len(everything) == len(set(everything)) == mock.stats()["events"]
    newest = client.v1.events.retrieve(everything[0])
    assert newest.data.object.amount_refunded == 300
    assert newest.data.previous_attributes["amount_refunded"] == 200
    transactions = client.v1.balance_transactions.list({"created": {"gte": int(time.time()) - 60}})
    assert [(t.type, t.amount, t.fee) for t in transactions] == [("refund", -100, 0)] * 3 + [("charge", 999, 59)]


def test_errors_are_the_sdks_own(client, mock):
    with pytest.raises(stripe.AuthenticationError):
        stripe.StripeClient("sk_test_wrong", base_addresses={"api": mock.url}).v1.customers.list()
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        session(client, nonsense=1)
    assert unknown.value.code == "parameter_unknown" and unknown.value.param == "nonsense"
    with pytest.raises(stripe.InvalidRequestError) as missing:
        client.v1.payment_intents.retrieve("pi_none")
    assert missing.value.http_status == 404 and missing.value.code == "resource_missing"
    with pytest.raises(stripe.CardError) as declined:
        client.v1.payment_intents.create({
            "amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined", "confirm": True,
            "off_session": True})
    assert declined.value.error.decline_code == "generic_decline"
    assert declined.value.error.payment_intent.status == "requires_payment_method"
    customer = client.v1.customers.create({"email": "a@b.c"}, {"idempotency_key": "k"})
    assert client.v1.customers.create({"email": "a@b.c"}, {"idempotency_key": "k"}).id == customer.id
    with pytest.raises(stripe.IdempotencyError):
        client.v1.customers.create({"email": "x@y.z"}, {"idempotency_key": "k"})
    mock.control("api_faults", kind="rate_limit")
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()


def test_the_log_says_what_was_asked(client, mock):
    customer = client.v1.customers.create({"email": "a@b.c", "metadata": {"n": "1"}}, {"idempotency_key": "k"})
    mock.control("api_faults", kind="error_500")
    with pytest.raises(stripe.APIError):
        client.v1.customers.list({"limit": 3})
    create, listing = mock.log()["calls"]
    assert create["params"] == {"email": "a@b.c", "metadata": {"n": "1"}} and create["idempotency_key"] == "k"
    assert create["stripe_version"] == VERSION and create["object_id"] == customer.id
    assert (listing["method"], listing["path"], listing["params"]) == ("GET", "/v1/customers", {"limit": "3"})
    assert (listing["status"], listing["fault"]) == (500, "error_500")
    assert KEY not in json.dumps(mock.log())


@pytest.mark.parametrize("fault", ["cut_after", "error_500", "cut", "error_500_after", "conflict", "lock_timeout"])
def test_the_sdks_own_retry_finds_what_was_done(mock, fault):
    mock.control("api_faults", kind=fault, method="POST", path="/v1/customers")
    customer = mock.client(max_network_retries=2).v1.customers.create({"email": "a@b.c"})
    assert [c.id for c in mock.client().v1.customers.list()] == [customer.id]
    calls = [call for call in mock.log()["calls"] if call["method"] == "POST"]
    assert len(calls) == 2 and len({call["idempotency_key"] for call in calls}) == 1


def test_a_hang_gives_no_byte_and_a_slow_call_answers_late(mock):
    mock.control("api_faults", kind="hang_after")
    with socket.create_connection(("127.0.0.1", mock.port)) as connection:
        connection.sendall(
            f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Length: 0\r\n\r\n".encode())
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert len(mock.client().v1.customers.list().data) == 1
    mock.control("api_faults", kind="slow", milliseconds=400)
    begin = time.monotonic()
    mock.client().v1.customers.list()
    assert time.monotonic() - begin >= 0.4


def test_bank_debits_and_disputes(client, mock, hook):
    pending = paid(client, mock, "bank")
    assert (pending.status, pending.payment_status) == ("complete", "unpaid")
    mock.control("payment", session=pending.id, outcome="succeed")
    assert client.v1.checkout.sessions.retrieve(pending.id).payment_status == "paid"
    bounced = paid(client, mock, "bank_fails")
    wait_until(lambda: "checkout.session.async_payment_failed" in hook.types(), 10, "the bounce")
    assert client.v1.payment_intents.retrieve(bounced.payment_intent).status == "requires_payment_method"
    payment = paid(client, mock).payment_intent
    dispute = mock.control("dispute", payment=payment, action="open")
    assert client.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    mock.control("dispute", payment=payment, action="lose")
    (listed,) = client.v1.disputes.list({"payment_intent": payment})
    day = {"gte": listed.created, "lt": listed.created + 86400}
    assert listed.id in [row.id for row in client.v1.disputes.list({"created": day}).auto_paging_iter()]
    before = {"gte": listed.created - 86400, "lt": listed.created}
    assert listed.id not in [row.id for row in client.v1.disputes.list({"created": before}).auto_paging_iter()]
    assert listed.status == "lost" and listed.balance_transactions[0].fee == 1500
    mock.settled()
    assert hook.types()[-3:] == [
        "charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed"]


def test_a_saved_card_is_charged_without_its_owner(client, mock):
    done = paid(client, mock, payment_intent_data={"setup_future_usage": "off_session"})
    (card,) = client.v1.payment_methods.list({"customer": done.customer, "type": "card"})
    wanted = {
        "amount": 4999, "currency": "usd", "customer": done.customer, "payment_method": card.id, "confirm": True,
        "off_session": True, "expand": ["latest_charge"]}
    assert client.v1.payment_intents.create(wanted).latest_charge.paid
    mock.control("card", customer=done.customer, behaviour="authentication_required")
    with pytest.raises(stripe.CardError) as refused:
        client.v1.payment_intents.create(wanted)
    assert refused.value.code == "authentication_required"


def test_deliveries_come_again_until_they_are_taken(client, mock, hook):
    answers = [500, None, 404]
    hook.answer = lambda event: answers.pop(0) if answers else 200
    mock.control("faults", duplicates=1)
    client.v1.customers.create()
    mock.settled()
    assert len(hook.received) == 5 and len({event["id"] for event in hook.events}) == 1
    assert sorted(row["status"] for row in mock.log()["deliveries"]) == [0, 200, 200, 404, 500]


def test_spoilt_deliveries(client, mock, hook):
    hook.answer = lambda event: 400 if len(hook.received) <= 3 else 200
    for count, fault in enumerate(["bad_timestamp", "bad_signature", "wrong_livemode"], 1):
        mock.control("faults", **{fault: 1})
        if count == 1:
            client.v1.customers.create()
        mock.control("delivery", hurry=True)
        wait_until(lambda: len(mock.log()["deliveries"]) >= count, 10, "a delivery")
    mock.settled()
    spoilt = {row["faults"][0]: place for place, row in enumerate(mock.log()["deliveries"]) if row["faults"]}
    assert set(spoilt) == {"bad_timestamp", "bad_signature", "wrong_livemode"}
    for place, (body, signature) in enumerate(hook.received):
        if place in (spoilt["bad_timestamp"], spoilt["bad_signature"]):
            with pytest.raises(stripe.SignatureVerificationError):
                stripe.Webhook.construct_event(body, signature, SECRET)
        else:
            event = stripe.Webhook.construct_event(body, signature, SECRET)
            assert event.livemode is (place == spoilt["wrong_livemode"])


def test_dropped_events_are_found_by_polling(client, mock, hook):
    mock.control("faults", drop=2)
    for _ in range(3):
        client.v1.customers.create()
    mock.settled()
    assert len(hook.received) == 1
    lost = client.v1.events.list({"delivery_success": False})
    assert len(lost.data) == 2 and all(event.pending_webhooks == 1 for event in lost)


def test_a_live_key_and_the_end_while_both_sides_hang(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        server = MockStripe(
            tmp_path, webhook=f"http://127.0.0.1:{deaf.getsockname()[1]}/hook", key="sk_live_mock")
        made = session(server.client())
        assert made.livemode is True and made.id.startswith("cs_live_")
        server.client().v1.customers.create()
        wait_until(lambda: server.stats()["under_way"] == 1, 10, "a delivery under way")
        server.control("api_faults", kind="hang")
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"GET /v1/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk_live_mock\r\n\r\n")
            wait_until(lambda: any(call["fault"] == "hang" for call in server.log()["calls"]), 10, "the hang")
            begin = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begin < 5


TYPES = {
    stripe.checkout.Session, stripe.PaymentIntent, stripe.Charge, stripe.Refund, stripe.Dispute, stripe.Customer,
    stripe.PaymentMethod, stripe.BalanceTransaction, stripe.Event, stripe.WebhookEndpoint}


def test_every_member_is_one_that_stripe_has(client, mock):
    done = paid(client, mock, payment_intent_data={"setup_future_usage": "off_session"})
    refund = client.v1.refunds.create({"payment_intent": done.payment_intent, "amount": 100})
    mock.control("refund", refund=refund.id, status="failed")
    mock.control("dispute", payment=done.payment_intent, action="open")
    endpoint = client.v1.webhook_endpoints.create({"url": "http://127.0.0.1:9/", "enabled_events": ["*"]})
    objects = [
        done, client.v1.payment_intents.retrieve(done.payment_intent), client.v1.charges.list().data[0],
        client.v1.refunds.retrieve(refund.id), client.v1.disputes.list().data[0],
        client.v1.customers.retrieve(done.customer), client.v1.payment_methods.list({"customer": done.customer}).data[0],
        client.v1.balance_transactions.list().data[0], client.v1.events.list().data[0], endpoint]
    assert {type(thing) for thing in objects} == TYPES
    for thing in objects:
        known = {name for kind in type(thing).__mro__ for name in vars(kind).get("__annotations__", {})}
        assert set(thing.to_dict()) - known == set(), type(thing)


def test_the_command_line(tmp_path):
    def run(*arguments):
        return subprocess.run([BIN / "mock-stripe", *arguments], capture_output=True, text=True, timeout=20)

    assert "/_mock/dispute" in run("--help").stdout
    assert run("--webhook-url", "https://shop/").returncode == 64
    assert run("--port", "70000").returncode == 64
    server = MockStripe(tmp_path, "--port-file", tmp_path / "port", "--attempts", "2", "--api-version", "2020-08-27")
    wait_until((tmp_path / "port").exists, 10, "the port file")
    assert int((tmp_path / "port").read_text()) == server.port
    server.client().v1.customers.create()
    assert server.client().v1.events.list().data[0].api_version == "2020-08-27"
    assert run("--port", str(server.port)).returncode == 1  # the port is taken
    assert server.stop() == 0
