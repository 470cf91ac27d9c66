"""The account at Stripe is not ours alone: other products sell through it, and another Tollgate with a ledger of its own."""
import time
import uuid

import pytest

from harness import free_port, running, wait_until
from stripe_tools import LIVE_KEY, MockStripe
from test_money_operations import command
from test_purchases import STARTER, Till, payment_of


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    port = free_port()
    stripe = MockStripe(
        tmp_path_factory.mktemp("shared"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(Till(dev, stripe, port)) as till:
        # Events of other files' mocks are in the same ledger, and this mock knows nothing of them.
        till.began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        yield till
    stripe.stop()


def sold(till, metadata):
    """A payment that was not made here; its id at Stripe."""
    sessions = till.stripe.client().v1.checkout.sessions
    made = sessions.create({
        "mode": "payment", "success_url": "http://shop/ok", "cancel_url": "http://shop/no", "metadata": metadata,
        "client_reference_id": str(uuid.uuid4()), "payment_intent_data": {"metadata": metadata},
        "line_items": [{
            "quantity": 1, "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Hat"}}}]})
    assert till.stripe.press(made.url, "card")[0] == 303
    return sessions.retrieve(made.id).payment_intent


def outcomes(sql, payment):
    return {row[0] for row in sql("SELECT outcome FROM stripe_event WHERE payment_intent_id = %s", payment)}


def count(sql, payment):
    return sql("SELECT count(*) FROM stripe_event WHERE payment_intent_id = %s", payment)[0][0]


def dead(till, sql):
    """How many events of this mock were kept for a person; those of others are in the same table."""
    events = [event.id for event in till.stripe.client().v1.events.list({"limit": 100}).auto_paging_iter()]
    return sql("SELECT count(*) FROM stripe_event WHERE outcome = 'dead' AND event_id = ANY(%s)", events)


def readings(till, payment):
    return sum(call["path"].endswith(f"/payment_intents/{payment}") for call in till.stripe.log()["calls"])


@pytest.mark.parametrize("metadata", [
    {}, {"order": "7"},
    {"tollgate_purchase": str(uuid.uuid4()), "tollgate_account": "1", "tollgate_ledger": str(uuid.uuid4())}])
def test_payments_of_others_are_none_of_ours(till, sql, metadata):
    before = dead(till, sql)
    payment = sold(till, metadata)
    till.stripe.settled()
    wait_until(lambda: count(sql, payment) >= 3, 20, "its events")
    # What carries its metadata is not asked about.
    assert outcomes(sql, payment) == {"ignored"} and readings(till, payment) == 0
    till.stripe.client().v1.refunds.create({"payment_intent": payment, "amount": 100})
    dispute = till.stripe.control("dispute", payment=payment, action="open")
    till.stripe.control("dispute", dispute=dispute["id"], action="lose")
    till.stripe.settled()
    wait_until(lambda: sql(
        "SELECT count(*) FROM stripe_event WHERE payment_intent_id = %s AND type = 'charge.dispute.closed'", payment)
        == [(1,)], 20, "its dispute")
    assert outcomes(sql, payment) == {"ignored"} and dead(till, sql) == before
    # A refund or a dispute says nothing of whose it is: one reading each.
    silent = sql(
        "SELECT count(*) FROM stripe_event WHERE payment_intent_id = %s "
        "AND type ~ '^(refund|charge.refund[.]|charge.dispute)'", payment)[0][0]
    assert readings(till, payment) <= silent


def test_what_is_ours_says_so(till, dev, sql):
    user = f"labelled-{uuid.uuid4().hex[:8]}"
    key = dev.account(user)
    page = till.buy(key)
    till.comes_to(key, STARTER)
    client = till.stripe.client()
    payment = client.v1.payment_intents.retrieve(payment_of(sql, page["purchaseId"]))
    session = client.v1.checkout.sessions.retrieve(page["sessionId"])
    (ledger,), = sql("SELECT ledger_id::text FROM ledger_meta")
    for made in (payment, session):
        assert made.metadata["tollgate_ledger"] == ledger and made.metadata["tollgate_user"] == user
        assert made.metadata["tollgate_purchase"] == page["purchaseId"]


def test_a_replay_passes_by_what_is_not_ours(till):
    done = command(till, "stripe", "replay", "--since", till.began)
    assert done.returncode == 0 and ", 0 with postings, 0 open" in done.stdout, done.stdout + done.stderr
