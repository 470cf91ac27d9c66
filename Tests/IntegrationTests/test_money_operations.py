"""What an operator does about money: refunds, events applied again, the proof that the webhook is set up."""
import functools
import time
import uuid

import httpx
import pytest
import schemathesis

from document_tools import CONFORMANCE
from harness import free_port, running, wait_until
from stripe_tools import LIVE_KEY, SECRET, MockStripe
from test_purchases import STARTER, Till, payment_of

# Seconds: what happened since may not be listed yet, so a replay does not call it done.
LISTED_LATE = 3600
OLD_SECRET = "whsec_old_" + "x" * 20


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    port = free_port()
    stripe = MockStripe(
        tmp_path_factory.mktemp("operations"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(Till(dev, stripe, port)) as till:
        yield till
    stripe.stop()


@pytest.fixture()
def bought(till, dev):
    """(user, key, purchase) of a starter package that was paid."""
    user = f"refunded-{uuid.uuid4().hex[:8]}"
    key = dev.account(user)
    page = till.buy(key)
    till.comes_to(key, STARTER)
    return user, key, page["purchaseId"]


def command(till, *arguments, **env):
    settings = {
        "STRIPE_SECRET_KEY": LIVE_KEY, "STRIPE_WEBHOOK_SECRET": f"{OLD_SECRET},{SECRET}", "STRIPE_API_BASE": till.stripe.url}
    return till.dev.cli(*arguments, check=False, **{**settings, **env})


def refund(till, purchase, *arguments, key=None, reason="broken"):
    return command(
        till, "refund", "--purchase", purchase, *arguments, "--reason", reason, "--idempotency-key",
        key or uuid.uuid4().hex)


@functools.cache
def document(root):
    return schemathesis.openapi.from_url(root + "/api/openapi.json")


def admin(till, method, path, body=None, token=None):
    """(status, JSON) of a reply that is as the OpenAPI document says of this route and status."""
    root = till.serve.root
    reply = httpx.request(
        method, root + path, json=body, headers={"Authorization": "Bearer " + (token or till.dev.adminToken)}, timeout=60)
    document(root)[path.partition("?")[0]][method].Case().validate_response(reply, checks=CONFORMANCE)
    return reply.status_code, reply.json()


# Refunds on the command line


def test_a_cash_refund_takes_its_credits_once(till, bought):
    _, key, purchase = bought
    once = uuid.uuid4().hex
    first = refund(till, purchase, "--cash", "--cents", 333, key=once)
    assert first.returncode == 0 and "333 cents" in first.stdout, first.stderr
    till.comes_to(key, STARTER - 3_330_000)
    assert refund(till, purchase, "--cash", "--cents", 333, key=once).stdout == first.stdout
    other = refund(till, purchase, "--cash", "--cents", 334, key=once)
    assert other.returncode == 1 and other.stderr.startswith("tollgate: --idempotency-key: "), other.stderr
    too_much = refund(till, purchase, "--cash", "--cents", 667)
    assert too_much.returncode == 1 and "--cents" in too_much.stderr and "666 US cents" in too_much.stderr
    rest = refund(till, purchase, "--cash")
    assert rest.returncode == 0 and "666 cents" in rest.stdout
    till.comes_to(key, 0)
    nothing = refund(till, purchase, "--cash")
    assert nothing.returncode == 1 and "Nothing of this purchase is left" in nothing.stderr
    payment = till.stripe.client().v1.refunds.list({"limit": 100}).data
    assert sum(r.amount for r in payment if r.metadata["tollgate_purchase"] == purchase) == 999


def test_a_credit_refund_moves_no_money(till, bought, sql):
    user, key, purchase = bought
    once = uuid.uuid4().hex
    for _ in range(2):
        done = refund(till, purchase, "--credits", "--millicredits", 5000, key=once)
        assert done.returncode == 0 and "5000 millicredits" in done.stdout, done.stderr
    assert till.balance(key) == STARTER + 5000
    assert sql("SELECT refunded_cents FROM payment_state WHERE purchase_id = %s", purchase) == [(0,)]
    too_much = refund(till, purchase, "--credits", "--millicredits", STARTER)
    assert too_much.returncode == 1 and f"{STARTER - 5000} millicredits" in too_much.stderr


@pytest.mark.parametrize("arguments, words", [
    ((), "--cash or --credits"), (("--cash", "--credits"), "--cash or --credits"),
    (("--cash", "--millicredits", 1), "--millicredits goes with --credits"),
    (("--credits", "--cents", 1), "--cents goes with --cash")])
def test_a_refund_that_says_two_things_is_a_usage_error(till, arguments, words):
    done = refund(till, str(uuid.uuid4()), *arguments)
    assert done.returncode == 64 and words in done.stderr


def test_refusals_have_their_words_and_exit_codes(till, bought, sql):
    unknown = refund(till, str(uuid.uuid4()), "--cash")
    assert unknown.returncode == 1 and "There is no such purchase." in unknown.stderr
    unpaid = till.order(bought[1])[1]["purchaseId"]
    not_paid = refund(till, unpaid, "--cash")
    assert not_paid.returncode == 1 and "was not paid" in not_paid.stderr
    no_reason = refund(till, bought[2], "--cash", reason=" ")
    assert no_reason.returncode == 1 and "--reason: " in no_reason.stderr
    keyless = command(
        till, "refund", "--purchase", bought[2], "--cash", "--reason", "r", "--idempotency-key", "k",
        STRIPE_SECRET_KEY="", STRIPE_WEBHOOK_SECRET="")
    assert keyless.returncode == 78 and "STRIPE_SECRET_KEY" in keyless.stderr
    till.stripe.control("dispute", payment=payment_of(sql, bought[2]), action="open")
    wait_until(
        lambda: sql("SELECT is_disputed FROM payment_state WHERE purchase_id = %s", bought[2]) == [(True,)], 20,
        "the dispute")
    disputed = refund(till, bought[2], "--cash")
    assert disputed.returncode == 1 and "A bank decides" in disputed.stderr


# Refunds over the API


def test_the_admin_api_refunds_once(till, bought):
    user, key, purchase = bought
    order = {
        "purchaseId": purchase, "kind": "cash", "amountCents": 100, "reason": "broken",
        "idempotencyKey": uuid.uuid4().hex}
    status, first = admin(till, "POST", "/api/admin/refunds", order)
    assert status == 200 and first["status"] == "done" and first["amountCents"] == 100, first
    assert first["refundId"].startswith("re_")
    assert admin(till, "POST", "/api/admin/refunds", order) == (200, first)
    status, conflict = admin(till, "POST", "/api/admin/refunds", {**order, "amountCents": 101})
    assert status == 409 and conflict["code"] == "idempotency_conflict" and conflict["param"] == "idempotencyKey"
    till.comes_to(key, STARTER - 1_000_000)
    credit = {**order, "kind": "credit", "amountMillicredits": "7", "idempotencyKey": uuid.uuid4().hex}
    del credit["amountCents"]
    status, done = admin(till, "POST", "/api/admin/refunds", credit)
    assert status == 200 and done["amountMillicredits"] == "7", done
    assert till.balance(key) == STARTER - 1_000_000 + 7
    status, page = admin(till, "GET", f"/api/admin/purchases?userId={user}")
    assert status == 200 and page["nextCursor"] is None
    (line,) = page["entries"]
    assert (line["purchaseId"], line["status"], line["refundedCents"]) == (purchase, "paid", 100)
    assert line["clawedMillicredits"] == "1000000"


def test_only_an_operator_sees_the_admin_api(till, bought):
    for method, path in (
            ("GET", "/api/admin/purchases"), ("GET", "/api/admin/webhook-events"), ("POST", "/api/admin/refunds")):
        body = {} if method == "POST" else None
        assert admin(till, method, path, body, token=bought[1])[0] == 403
        assert admin(till, method, path, body, token="tg_nobody")[0] == 401


@pytest.mark.parametrize("fault", ["cut_after", "proxy_page_after"])
def test_an_answer_that_never_comes_is_pending_and_found_later(till, bought, sql, fault):
    """Stripe made the refund and died, or somebody else answered: 202, and the same request tells what became of it."""
    _, key, purchase = bought
    till.stripe.control("api_faults", kind=fault, calls=10, method="POST", path="/v1/refunds")
    order = {"purchaseId": purchase, "kind": "cash", "reason": "broken", "idempotencyKey": uuid.uuid4().hex}
    try:
        status, pending = admin(till, "POST", "/api/admin/refunds", order)
    finally:
        till.stripe.control("api_faults", clear=True)
    assert status == 202 and pending["status"] == "pending", pending
    status, done = admin(till, "POST", "/api/admin/refunds", order)
    assert status == 200 and done["amountCents"] == 999, done
    till.comes_to(key, 0)


def test_lists_lead_through_all_pages_without_a_gap(till, dev, sql):
    user = f"often-{uuid.uuid4().hex[:8]}"
    key = dev.account(user)
    made = [till.order(key)[1]["purchaseId"] for _ in range(5)]
    seen, cursor = [], ""
    while cursor is not None:
        status, page = admin(till, "GET", f"/api/admin/purchases?userId={user}&status=open&limit=2&cursor={cursor}"
                             if cursor else f"/api/admin/purchases?userId={user}&status=open&limit=2")
        assert status == 200, page
        seen += [line["purchaseId"] for line in page["entries"]]
        cursor = page["nextCursor"]
    assert seen == made[::-1]
    def stored():
        return {row[0] for row in sql("SELECT event_id FROM stripe_event")}

    till.stripe.settled()
    before = stored()
    events, cursor = [], ""
    while cursor is not None:
        status, page = admin(
            till, "GET", "/api/admin/webhook-events?limit=7" + (f"&cursor={cursor}" if cursor else ""))
        events += [line["eventId"] for line in page["entries"]]
        cursor = page["nextCursor"]
    # Some of other mocks may have come meanwhile.
    assert len(events) == len(set(events)) and before <= set(events) <= stored()


@pytest.mark.parametrize("query, param", [
    ("purchases?status=gold", "status"), ("purchases?limit=0", "limit"), ("purchases?cursor=x", "cursor"),
    ("webhook-events?outcome=x", "outcome"), ("webhook-events?from=yesterday", "from"),
    ("webhook-events?cursor=1", "cursor")])
def test_a_wrong_filter_is_named(till, query, param):
    status, reply = admin(till, "GET", "/api/admin/" + query)
    assert status == 400 and reply["param"] == param, reply


# Events applied again


@pytest.fixture()
def nobody_looks(sql):
    """What events do is up to the test: the look at the start and of every five minutes would apply them as well."""
    wait_until(lambda: sql(
        "INSERT INTO job_lease (job, holder, until) VALUES ('payments:live', 'test', now() + interval '5 minutes') "
        "ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = excluded.until "
        "WHERE job_lease.until < now() RETURNING job"), 60, "the end of the look under way")
    yield
    sql("UPDATE job_lease SET until = now() WHERE job = 'payments:live' AND holder = 'test'")


def test_undelivered_events_are_rehearsed_and_then_applied(till, dev, nobody_looks, sql):
    def replays():
        return sql("SELECT count(*) FROM audit_log WHERE action = 'webhook.replay' AND actor LIKE 'cli:%%' "
                   "AND subject = %s", "events:undelivered")[0][0]

    before = replays()
    key = dev.account(f"undelivered-{uuid.uuid4().hex[:8]}")
    # Events of other files' mocks are in the same ledger, and this mock knows nothing of them.
    begin, listed = moment(0), moment(-LISTED_LATE)
    till.stripe.settled()
    till.stripe.control("faults", drop=1000)
    try:
        page = till.buy(key)
        till.stripe.settled()
        rehearsal = command(till, "stripe", "replay", "--dry-run")
        assert rehearsal.returncode == 0, rehearsal.stderr
        assert f"would post purchase {STARTER} millicredits" in rehearsal.stdout, rehearsal.stdout
        assert till.balance(key) == 0 and replays() == before
        done = command(till, "stripe", "replay")
        assert replays() == before + 1
        assert done.returncode == 0 and f"for purchase {page['purchaseId']}" in done.stdout, done.stdout
        assert done_until(done) >= listed and len(done.stderr.splitlines()) >= 29, done.stderr
        assert "done until" not in rehearsal.stderr
        assert till.balance(key) == STARTER
        again = command(till, "stripe", "replay", "--since", begin)
        assert again.returncode == 0 and ", 0 with postings, " in again.stdout, again.stdout
        assert till.balance(key) == STARTER
    finally:
        till.stripe.control("faults", drop=0)


def moment(seconds):
    """So many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def done_until(replay):
    """As far as a replay said last that everything is done."""
    told = [line.split("done until ")[1] for line in replay.stderr.splitlines() if "done until " in line]
    return told[-1] if told else ""


def test_a_replay_is_not_done_beyond_what_it_could_not_read(till, dev, nobody_looks):
    key = dev.account(f"unread-{uuid.uuid4().hex[:8]}")
    till.stripe.settled()
    till.stripe.control("faults", drop=1000)
    listed = moment(-LISTED_LATE)
    try:
        session = till.stripe.client().v1.checkout.sessions.retrieve(till.buy(key)["sessionId"])
        till.stripe.control(
            "api_faults", kind="error_500", calls=1000, method="GET",
            path=f"/v1/payment_intents/{session.payment_intent}")
        unread = command(till, "stripe", "replay")
        assert unread.returncode == 1 and "not read: api_error" in unread.stdout, unread.stdout
        assert ", 0 open" not in unread.stdout and done_until(unread) <= listed, unread.stderr
        till.stripe.control("api_faults", clear=True)
        whole = command(till, "stripe", "replay")
        assert whole.returncode == 0 and ", 0 open" in whole.stdout and done_until(whole) >= listed, whole.stderr
        assert till.balance(key) == STARTER
    finally:
        till.stripe.control("faults", drop=0)
        till.stripe.control("api_faults", clear=True)


def test_an_event_that_stripe_has_forgotten_still_names_its_purchase(till, bought, sql):
    """Its delivery died as a dead letter, and Stripe keeps events for 30 days only."""
    user, key, purchase = bought
    gone, lost = f"evt_gone{uuid.uuid4().hex}", f"evt_lost{uuid.uuid4().hex}"
    for event, named in ((gone, purchase), (lost, str(uuid.uuid4()))):
        sql("INSERT INTO stripe_event (event_id, type, livemode, happened_at, source, purchase_id, outcome, reason) "
            "VALUES (%s, 'charge.refunded', true, now() - interval '60 days', 'webhook', %s, 'dead', 'not_found')",
            event, named)
    try:
        dead = admin(till, "GET", "/api/admin/webhook-events?outcome=dead&type=charge.refunded")[1]["entries"]
        assert {gone, lost} <= {line["eventId"] for line in dead}
        both = command(till, "stripe", "replay", "--dead", "--type", "charge.refunded", "--until", "50d")
        assert both.returncode == 1, both.stdout
        lines = {line.split("\t")[0]: line for line in both.stdout.splitlines()}
        assert lines[gone].endswith("up to date") and lines[lost].endswith("dead: unknown_purchase")
        assert sql("SELECT outcome FROM stripe_event WHERE event_id = %s", gone) == [("applied",)]
        one = command(till, "stripe", "replay", "--event", lost)
        assert one.returncode == 1 and "1 open" in one.stdout
    finally:
        sql("DELETE FROM stripe_event WHERE event_id = %s", lost)
    nobody = command(till, "stripe", "replay", "--event", "evt_nobody")
    assert nobody.returncode == 1 and "neither Stripe nor the ledger" in nobody.stderr


def test_what_a_person_dismissed_is_applied_only_when_it_is_named(till, bought, sql):
    """Stripe lists it for a month; whoever replays that month has not changed the person's mind."""
    _, _, purchase = bought
    ((event,), *_) = sql("SELECT event_id FROM stripe_event WHERE purchase_id = %s AND outcome = 'applied'", purchase)
    sql("UPDATE stripe_event SET outcome = 'dead', reason = 'wrong_amount' WHERE event_id = %s", event)
    assert event in command(till, "stripe", "replay", "--since", "1d", "--dry-run").stdout
    assert command(till, "stripe", "dismiss", event, "evt_nobody", "--reason", "given back").returncode == 1
    # Others of the purchase are looked at; what else is in the ledger is other tests'.
    said = command(till, "stripe", "replay", "--since", "1d").stdout
    assert "up to date" in said and event not in said, said
    state = "SELECT outcome, dismissed_at IS NOT NULL FROM stripe_event WHERE event_id = %s"
    assert sql(state, event) == [("dead", True)]
    assert command(till, "stripe", "replay", "--event", event).returncode == 0
    assert sql(state, event) == [("applied", False)]



def test_a_replay_without_stripe_is_a_missing_dependency(till):
    done = command(till, "stripe", "replay", STRIPE_API_BASE=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 69 and "Stripe could not be read" in done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [
    ("--since", "yesterday"), ("--until", "1h"), ("--event", "x"), ("--event", "evt_1", "--dead"),
    ("--type", "customer.created")])
def test_a_wrong_selection_is_a_usage_error(till, arguments):
    assert command(till, "stripe", "replay", *arguments).returncode == 64


# The proof of the set-up


def test_every_secret_of_the_deployment_is_proven(till, sql):
    proof = command(till, "stripe", "listen-check", "--url", till.serve.root)
    assert proof.returncode == 0, proof.stdout + proof.stderr
    assert proof.stdout.splitlines()[1:] == [
        "secret 1 of 2: accepted", "secret 2 of 2: accepted", "wrong secret: refused, as it must be"]
    assert SECRET not in proof.stdout + proof.stderr
    assert {row[0] for row in sql("SELECT outcome FROM stripe_event WHERE type = 'tollgate.listen_check'")} == {"ignored"}


def test_a_secret_that_the_deployment_does_not_have_fails_the_proof(till):
    proof = command(
        till, "stripe", "listen-check", "--url", till.serve.root, STRIPE_WEBHOOK_SECRET=f"{SECRET},whsec_{'y' * 20}")
    assert proof.returncode == 1 and "secret 2 of 2: refused: wrong_signature" in proof.stdout, proof.stdout
    away = command(till, "stripe", "listen-check", "--url", f"http://127.0.0.1:{free_port()}")
    assert away.returncode == 1 and "not reached: connect" in away.stdout


def test_everything_adds_up(till, dev):
    till.stripe.settled(30)
    dev.verify()
