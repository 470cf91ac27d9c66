"""Money in and money back, over the wire: Tollgate on one side, a faithful and nasty mock of Stripe on the other."""
import json
import os
import signal
import threading
import time
import uuid

import openai
import psycopg2
import pytest
import stripe

import ledger_tools
from harness import Serve, free_port, http, running, wait_until
from sdk_tools import patient_sdk
from stripe_tools import LIVE_KEY, SECRET, MockStripe

STARTER = 9_990_000


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    """A proxy on the stack's stores that sells through a mock of its own."""
    directory = tmp_path_factory.mktemp("till")
    port = free_port()
    stripe = MockStripe(directory, key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(Till(dev, stripe, port)) as till:
        yield till
    stripe.stop()


class Till:
    def __init__(self, dev, stripe, port):
        self.dev, self.stripe, self.port = dev, stripe, port
        self.start()

    def start(self, **env):
        settings = {
            "STRIPE_SECRET_KEY": self.stripe.key, "STRIPE_WEBHOOK_SECRET": f"whsec_old_{'x' * 20},{SECRET}",
            "STRIPE_API_BASE": self.stripe.url, "JOURNAL_DIR": str(self.dev.directory / "till-journal"), **env}
        self.serve = Serve(self.dev, self.port, **settings)

    def kill(self):
        os.kill(self.serve.process.child.pid, signal.SIGKILL)
        self.serve.process.child.wait()
        # The look that it may have been in is nobody's for minutes otherwise, and other tests wait for theirs.
        ledger_tools.query(self.dev.databaseURL, "UPDATE job_lease SET until = now() WHERE job = 'payments:live'")

    def until_nobody_looks(self):
        """The look at the start, which reads payments as the events do, is over."""
        look = "SELECT 1 FROM job_lease WHERE job = 'payments:live' AND until > now()"
        wait_until(lambda: not ledger_tools.query(self.dev.databaseURL, look), 60, "the end of the look under way")

    def stop(self):
        return self.serve.stop()

    def order(self, key, package="starter", **more):
        body = {
            "packageCode": package, "successUrl": self.serve.root + "/billing?success=true",
            "cancelUrl": self.serve.root + "/billing", **more}
        status, _, reply = http(
            "POST", self.serve.root + "/api/stripe/create-checkout-session", body, {"Authorization": "Bearer " + key},
            timeout=60)
        return status, json.loads(reply)

    def buy(self, key, outcome="card", package="starter"):
        status, page = self.order(key, package)
        assert status == 200, page
        self.stripe.press(page["url"], outcome)
        return page

    def serves(self, key, base=None):
        """Whether a question is answered; nothing but a suspension may keep it from that."""
        client = patient_sdk(key, base or self.serve.base)
        try:
            client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}], max_tokens=16)
            return True
        except openai.APIStatusError as error:
            assert error.status_code == 403 and error.code == "account_suspended", error
            return False

    def summary(self, key):
        status, _, reply = http("GET", self.serve.root + "/api/billing/summary", headers={"Authorization": "Bearer " + key})
        assert status == 200
        return json.loads(reply)

    def balance(self, key):
        return int(self.summary(key)["balanceMillicredits"])

    def comes_to(self, key, balance, seconds=20):
        """A ledger whose connections were just cut answers 503 for a moment."""
        headers = {"Authorization": "Bearer " + key}
        url = self.serve.root + "/api/billing/summary"

        def is_there():
            status, _, reply = http("GET", url, headers=headers)
            assert status in (200, 503), reply
            return status == 200 and json.loads(reply)["balanceMillicredits"] == str(balance)

        wait_until(is_there, seconds, f"a balance of {balance}")


@pytest.fixture()
def buyer(dev):
    user = f"buyer-{uuid.uuid4().hex[:8]}"
    return user, dev.account(user)


def payment_of(sql, purchase):
    return sql("SELECT payment_intent_id FROM purchase WHERE purchase_id = %s", purchase)[0][0]


def test_a_package_is_bought_once_however_often_stripe_says_so(till, buyer, sql):
    user, key = buyer
    till.stripe.control("faults", duplicates=3, shuffle_seed=7)
    try:
        page = till.buy(key)
        till.comes_to(key, STARTER)
        till.stripe.settled()
    finally:
        till.stripe.control("faults", duplicates=0)
    assert till.balance(key) == STARTER
    lines = sql("SELECT type, amount_millicredits, reference_type, reference_id FROM credit_ledger WHERE user_id = %s", user)
    assert lines == [("purchase", STARTER, "purchase", page["purchaseId"])]
    status, paid, receipt = sql(
        "SELECT status, paid_at IS NOT NULL, receipt_url FROM purchase WHERE purchase_id = %s", page["purchaseId"])[0]
    assert status == "paid" and paid and receipt.startswith("http")
    assert till.summary(key)["recentLedger"][0]["amountMillicredits"] == str(STARTER)


def test_price_and_credits_are_the_servers(till, buyer, sql):
    _, key = buyer
    status, page = till.order(key, priceUsdCents=1, credits=10**9, amount=1)
    assert status == 200
    session = till.stripe.client().v1.checkout.sessions.retrieve(page["sessionId"])
    assert session.amount_total == 999 and session.currency == "usd" and session.mode == "payment"
    assert session.metadata["tollgate_purchase"] == page["purchaseId"] == session.client_reference_id


@pytest.mark.parametrize("change, param", [
    ({"packageCode": "gold"}, "packageCode"), ({"packageCode": None}, "packageCode"),
    ({"successUrl": "https://evil.example/x"}, "successUrl"), ({"cancelUrl": "javascript:alert(1)"}, "cancelUrl"),
    ({"cancelUrl": None}, "cancelUrl")])
def test_a_wrong_order_is_refused_by_name(till, buyer, change, param):
    status, reply = till.order(buyer[1], **{"package": "starter", **change})
    assert status == 400 and reply["param"] == param, reply


def test_every_package_grants_its_own_integers(till, dev):
    for package, credits in (("professional", 52_490_000), ("enterprise", 109_990_000)):
        key = dev.account(f"buyer-{uuid.uuid4().hex[:8]}")
        till.buy(key, package=package)
        till.comes_to(key, credits)


def test_a_bank_debit_is_granted_when_the_money_is_there(till, buyer, sql):
    _, key = buyer
    page = till.buy(key, "bank")
    wait_until(
        lambda: sql("SELECT status FROM purchase WHERE purchase_id = %s", page["purchaseId"])[0][0] == "processing",
        15, "processing")
    assert till.balance(key) == 0
    till.stripe.control("payment", session=page["sessionId"], outcome="succeed")
    till.comes_to(key, STARTER)


def test_a_bank_debit_that_bounces_grants_nothing(till, buyer, sql):
    _, key = buyer
    page = till.buy(key, "bank")
    till.stripe.control("payment", session=page["sessionId"], outcome="fail")
    wait_until(
        lambda: sql("SELECT status FROM purchase WHERE purchase_id = %s", page["purchaseId"])[0][0] == "failed",
        15, "failed")
    assert till.balance(key) == 0


def test_refunds_at_stripe_take_their_credits_and_failed_ones_return_them(till, buyer, sql):
    _, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    client = till.stripe.client()
    payment = payment_of(sql, page["purchaseId"])
    first = client.v1.refunds.create({"payment_intent": payment, "amount": 333})
    client.v1.refunds.create({"payment_intent": payment, "amount": 333})
    till.comes_to(key, STARTER - 6_660_000)
    till.stripe.control("refund", refund=first.id, status="failed")
    till.comes_to(key, STARTER - 3_330_000)


@pytest.mark.parametrize("order", [{"kind": "cash", "amountCents": 333}, {"kind": "credit", "amountMillicredits": "5"}])
def test_a_refund_leaves_one_entry_and_a_retry_none(till, buyer, sql, order):
    _, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    reason = f"broken {uuid.uuid4()}"
    body = {**order, "purchaseId": page["purchaseId"], "reason": reason, "idempotencyKey": uuid.uuid4().hex}
    requests = []
    for _ in range(2):
        status, headers, reply = http(
            "POST", till.serve.root + "/api/admin/refunds", body, {"Authorization": f"Bearer {till.dev.adminToken}"})
        assert status == 200, reply
        requests.append(headers["x-tollgate-request-id"])
    assert sql("SELECT actor, action, request_id FROM audit_log WHERE reason = %s", reason) == [
        ("admin-token", f"refund.{order['kind']}", requests[0])]


def test_a_dispute_suspends_and_a_won_one_restores(till, buyer, sql):
    _, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    assert till.serves(key)
    payment = payment_of(sql, page["purchaseId"])
    dispute = till.stripe.control("dispute", payment=payment, action="open")
    wait_until(lambda: not till.serves(key), 20, "403")
    status, reply = till.order(key)
    assert status == 403 and reply["code"] == "account_suspended"
    till.stripe.control("dispute", dispute=dispute["id"], action="win")
    wait_until(lambda: till.serves(key), 20, "service again")


def test_a_lost_dispute_leaves_a_debt_that_the_next_purchase_repays(till, buyer, sql, dev):
    user, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    dev.cli("account", "adjust", "--user", user, "--millicredits=-9000000", "--reason", "spent", "--idempotency-key", user)
    dispute = till.stripe.control("dispute", payment=payment_of(sql, page["purchaseId"]), action="open")
    till.stripe.control("dispute", dispute=dispute["id"], action="lose")
    till.comes_to(key, -9_000_000)
    status, reply = till.order(key)
    assert status == 403 and reply["code"] == "account_suspended"
    dev.cli("account", "set", "--user", user, "--status", "active", "--reason", "will pay")
    wait_until(lambda: till.order(key)[0] == 200, 5, "a page again")
    till.buy(key)
    till.comes_to(key, STARTER - 9_000_000)


def test_a_lost_dispute_suspends_until_a_person_lifts_it(till, buyer, sql, dev):
    user, key = buyer
    # Disputes of other files' mocks are in the same ledger, and this mock knows nothing of them.
    begin = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    page = till.buy(key)
    till.buy(key)
    till.comes_to(key, 2 * STARTER)
    assert till.serves(key)
    first = till.stripe.control("dispute", payment=payment_of(sql, page["purchaseId"]), amount=100, action="open")
    wait_until(lambda: not till.serves(key), 20, "403")
    till.stripe.control("dispute", dispute=first["id"], action="lose")
    wait_until(lambda: till.balance(key) < 2 * STARTER - 900_000, 20, "the claw-back")
    till.stripe.settled()
    assert not till.serves(key)
    shown = dev.cli("account", "show", "--user", user).stdout
    assert f"dispute  {first['id']} of purchase {page['purchaseId']} is lost since " in shown and "suspends" in shown
    # A process that starts afterwards knows it as well.
    till.stop()
    till.start()
    assert not till.serves(key)
    changed = dev.cli("account", "set", "--user", user, "--status", "active", "--reason", "a friend of ours").stdout
    assert changed == f"user {user}: suspended -> active, disputes lifted: 1\n"
    wait_until(lambda: till.serves(key), 10, "service again")
    shown = dev.cli("account", "show", "--user", user).stdout
    assert "a friend of ours" in shown and "made active by cli:" in shown and ", lifted" in shown
    # Its events once more change nothing; another dispute does.
    replay = dev.cli(
        "stripe", "replay", "--since", begin, "--type", "charge.dispute.created", "--type", "charge.dispute.closed",
        STRIPE_SECRET_KEY=till.stripe.key, STRIPE_WEBHOOK_SECRET=SECRET, STRIPE_API_BASE=till.stripe.url)
    assert "charge.dispute.closed" in replay.stdout, replay.stdout
    assert till.serves(key)
    till.stripe.control("dispute", payment=payment_of(sql, page["purchaseId"]), amount=50, action="open")
    wait_until(lambda: not till.serves(key), 20, "403 again")


def test_a_person_suspends_and_lifts(till, buyer, dev, sql):
    user, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    with running(Serve(dev, JOURNAL_DIR=str(dev.directory / "second-journal"))) as second:
        for status, serves in (("suspended", False), ("active", True), ("suspended", False)):
            assert till.serves(key) == till.serves(key, second.base) == (not serves)
            dev.cli("account", "set", "--user", user, "--status", status, "--reason", "asked by law")
            # Within a second, as test_within_a_second.py measures.
            wait_until(lambda: till.serves(key) == serves == till.serves(key, second.base), 10, status)
    assert "status   suspended by cli:" in dev.cli("account", "show", "--user", user).stdout
    # A dispute that is won is no reason to lift what a person wanted.
    dispute = till.stripe.control("dispute", payment=payment_of(sql, page["purchaseId"]), action="open")
    till.stripe.control("dispute", dispute=dispute["id"], action="win")
    till.stripe.settled()
    assert not till.serves(key)
    dev.cli("account", "set", "--user", user, "--status", "active", "--reason", "the order was lifted")
    wait_until(lambda: till.serves(key), 5, "service again")
    rows = sql("SELECT from_value, to_value, reason FROM account_change c JOIN account a USING (account_id) "
               "WHERE a.user_id = %s ORDER BY change_id", user)
    assert rows == [
        ("active", "suspended", "asked by law"), ("suspended", "active", "asked by law"),
        ("active", "suspended", "asked by law"), ("suspended", "active", "the order was lifted")]


@pytest.mark.parametrize("arguments, code, words", [
    (["--status", "active"], 64, "--reason"),
    (["--status", "active", "--reason", " "], 64, "--reason must be 1 to 1,000 bytes"),
    (["--status", "closed", "--reason", "x"], 64, "--status"),
    (["--status", "active", "--reason", "x"], 1, "no account of user 'nobody-here'")])
def test_a_wrong_change_of_an_account_is_refused_by_name(dev, arguments, code, words):
    done = dev.cli("account", "set", "--user", "nobody-here", *arguments, check=False)
    assert done.returncode == code and words in done.stderr, done.stderr


# Faults


def test_events_that_were_lost_are_found_at_the_next_start(till, buyer):
    _, key = buyer
    till.stripe.control("delivery", on=False)
    till.buy(key)
    till.stop()
    till.stripe.control("faults", drop=1000)
    till.stripe.control("delivery", on=True)
    till.start()
    try:
        till.comes_to(key, STARTER, 30)
    finally:
        till.stripe.control("faults", drop=0)


def test_an_event_that_cannot_be_applied_holds_up_no_other(till, dev, sql):
    """Stripe cannot be read about one payment: its event is kept, the others are applied, and it is tried again."""
    broken, whole = dev.account(f"buyer-{uuid.uuid4().hex[:8]}"), dev.account(f"buyer-{uuid.uuid4().hex[:8]}")
    till.stripe.control("delivery", on=False)
    till.stripe.control("faults", drop=1000)
    payment = till.stripe.client().v1.checkout.sessions.retrieve(till.buy(broken)["sessionId"]).payment_intent
    till.buy(whole)
    till.stop()
    till.stripe.control("api_faults", kind="error_500", calls=100_000, method="GET", path=f"/v1/payment_intents/{payment}")
    till.stripe.control("delivery", on=True)
    begin = int(time.time())
    sql("INSERT INTO job_lease (job, holder, until, progress) VALUES ('payments:live', 'test', now(), %s) "
        "ON CONFLICT (job) DO UPDATE SET until = now(), progress = excluded.progress", str(begin - 7200))
    till.start()
    try:
        till.comes_to(whole, STARTER, 60)
        # The watch goes on behind it, and the event is kept.
        wait_until(lambda: begin - 3600 <= int(sql(
            "SELECT progress FROM job_lease WHERE job = 'payments:live'")[0][0]), 60, "progress")
        assert till.balance(broken) == 0
        kept = sql("SELECT outcome, reason FROM stripe_event WHERE payment_intent_id = %s", payment)
        assert kept and set(kept) == {("dead", "not_applied_api_error")}
        till.stop()
        till.stripe.control("api_faults", clear=True)
        till.start()
        till.comes_to(broken, STARTER, 60)
        wait_until(lambda: {("applied", None)} == set(sql(
            "SELECT outcome, reason FROM stripe_event WHERE payment_intent_id = %s", payment)), 30, "no dead letter")
    finally:
        till.stripe.control("faults", drop=0)
        till.stripe.control("api_faults", clear=True)


def test_a_process_that_dies_before_it_knows_the_page_still_grants_its_payment(till, buyer, sql):
    user, key = buyer
    till.stripe.control("api_faults", kind="hang_after", calls=1, method="POST", path="/v1/checkout/sessions")
    order = threading.Thread(target=lambda: suppress(lambda: till.order(key)), daemon=True)
    order.start()
    session = wait_until(lambda: newest_session(till, user, sql), 20, "a session that nobody was told of")
    till.kill()
    till.start()
    till.stripe.press(session.url, "card")
    till.comes_to(key, STARTER, 30)


def suppress(body):
    try:
        body()
    except Exception:  # the connection ends with the process
        pass


def newest_session(till, user, sql):
    rows = sql(
        "SELECT p.purchase_id::text FROM purchase p JOIN account a USING (account_id) WHERE a.user_id = %s", user)
    sessions = till.stripe.client().v1.checkout.sessions.list({"limit": 5}).data
    return next((s for s in sessions if rows and s.client_reference_id == rows[0][0]), None)


def test_an_answer_that_comes_late_is_the_same_page(till, buyer, sql):
    """Stripe made the session and its answer was cut: the repeated call gets the same one."""
    user, key = buyer
    till.stripe.control("api_faults", kind="cut_after", calls=1, method="POST", path="/v1/checkout/sessions")
    status, page = till.order(key)
    assert status == 200, page
    made = [s for s in till.stripe.client().v1.checkout.sessions.list({"limit": 100}).data
            if s.client_reference_id == page["purchaseId"]]
    assert [s.id for s in made] == [page["sessionId"]]


@pytest.mark.parametrize("fault, reason", [
    ({"bad_signature": 1}, "wrong_signature"), ({"wrong_livemode": 1}, "wrong_livemode")])
def test_what_is_not_stripes_is_not_believed(till, buyer, fault, reason):
    _, key = buyer
    before = failures(till, reason)
    till.stripe.control("faults", **fault)
    till.buy(key)
    wait_until(lambda: failures(till, reason) > before, 20, reason)
    till.comes_to(key, STARTER)  # the events that were not broken


def test_a_delivery_with_an_old_time_is_fetched_not_dropped(till, buyer):
    _, key = buyer
    till.stripe.control("faults", bad_timestamp=100)
    try:
        till.buy(key)
        till.comes_to(key, STARTER)
    finally:
        till.stripe.control("faults", bad_timestamp=0)


def signed(till, event, secret=SECRET, at=None):
    """Posts an event with the signature that Stripe's own SDK computes."""
    body = json.dumps(event).encode()
    at = at or int(time.time())
    code = stripe.WebhookSignature._compute_signature(f"{at}.{body.decode()}", secret)
    return http(
        "POST", till.serve.root + "/api/stripe/webhook", body, {"Stripe-Signature": f"t={at},v1={code}"})[0]


def harmless():
    return {
        "id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": "customer.created", "livemode": True,
        "created": int(time.time()), "data": {"object": {"object": "customer", "id": "cus_1"}}}


def test_what_stripes_own_sdk_signs_is_believed(till, sql):
    event = harmless()
    assert signed(till, event, "whsec_another_0123456789abcdef") == 400
    assert signed(till, event) == 200 == signed(till, event)
    assert sql("SELECT type, outcome FROM stripe_event WHERE event_id = %s", event["id"]) == [("customer.created", "ignored")]
    # Signed, but not now, and Stripe knows nothing of it.
    for off in (-3600, 3600):
        assert signed(till, harmless(), at=int(time.time()) + off) == 400


def test_a_body_that_is_no_event_is_refused(till):
    assert signed(till, []) == 400 == signed(till, {"id": "evt_1"})
    status, _, _ = http("POST", till.serve.root + "/api/stripe/webhook", {"id": "evt_1"})
    assert status == 400


def failures(till, reason):
    text = http("GET", f"http://127.0.0.1:{till.serve.ops}/metrics")[2].decode()
    return sum(
        float(line.split()[-1]) for line in text.splitlines()
        if line.startswith("stripe_webhook_failures_total") and f'reason="{reason}"' in line)


def test_the_kill_switch_stops_purchases_and_not_events(till, dev, buyer, sql):
    _, key = buyer
    page = till.order(key)[1]
    till.stop()
    till.start(BILLING_PURCHASE_ENABLED="false")
    try:
        status, reply = till.order(key)
        assert status == 503 and reply["code"] == "purchases_disabled", reply
        till.stripe.press(page["url"], "card")
        till.comes_to(key, STARTER)
    finally:
        till.stop()
        till.start()


def test_a_key_that_stripe_refuses_loses_no_event(till, buyer):
    """Nothing is wrong with the payment: Stripe has to come again until the key is right."""
    _, key = buyer
    page = till.order(key)[1]
    till.stop()
    till.start(STRIPE_SECRET_KEY="sk_live_revoked")
    try:
        till.stripe.press(page["url"], "card")
        wait_until(lambda: failures(till, "try_again") > 0, 20, "a 5xx")
        assert till.balance(key) == 0
    finally:
        till.stop()
        till.start()
    till.comes_to(key, STARTER, 60)


def test_a_customer_who_was_deleted_at_stripe_buys_again(till, buyer, sql):
    user, key = buyer
    till.buy(key)
    till.comes_to(key, STARTER)
    sql("UPDATE stripe_customer c SET customer_id = 'cus_gone' FROM account a "
        "WHERE a.account_id = c.account_id AND a.user_id = %s", user)
    till.buy(key)
    till.comes_to(key, 2 * STARTER)
    customer = sql("SELECT customer_id FROM stripe_customer JOIN account USING (account_id) WHERE user_id = %s", user)
    assert customer[0][0] != "cus_gone"


def test_without_a_key_purchases_answer_503(dev, buyer):
    with running(Serve(dev, JOURNAL_DIR=str(dev.directory / "keyless-journal"))) as serve:
        for path in ("/api/stripe/create-checkout-session", "/api/stripe/webhook"):
            status, _, reply = http(
                "POST", serve.root + path,
                {"packageCode": "starter", "successUrl": serve.root, "cancelUrl": serve.root},
                {"Authorization": "Bearer " + buyer[1]})
            assert status == 503 and json.loads(reply)["code"] == "purchases_not_configured"


def test_the_webhook_is_not_answered_while_the_ledger_cannot_commit(till, buyer, dev, sql):
    """The row of the payment is locked by somebody else: 5xx, and Stripe comes again until it is committed."""
    _, key = buyer
    page = till.order(key)[1]
    blocker = psycopg2.connect(dev.databaseURL)
    with blocker.cursor() as cursor:
        cursor.execute("SELECT 1 FROM payment_state WHERE purchase_id = %s FOR UPDATE", (page["purchaseId"],))
    before = failures(till, "try_again")
    till.stripe.press(page["url"], "card")
    wait_until(lambda: failures(till, "try_again") > before, 60, "a 5xx")
    assert till.balance(key) == 0
    blocker.rollback()
    blocker.close()
    till.comes_to(key, STARTER, 60)


def test_everything_adds_up(till, dev):
    till.stripe.settled(30)
    dev.verify()
