"""kill -9 and lost connections to the database between any two steps of a purchase or a refund: it converges."""
import os
import random
import threading
import time
import uuid

import pytest

from harness import free_port, running, wait_until
from stripe_tools import LIVE_KEY, MockStripe
from test_purchases import STARTER, Till, suppress

ROUNDS = int(os.environ.get("TOLLGATE_MONEY_CRASHES", 25))


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    port = free_port()
    stripe = MockStripe(tmp_path_factory.mktemp("crashes"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(Till(dev, stripe, port)) as till:
        yield till
    stripe.stop()


@pytest.fixture()
def buyer(dev):
    user = f"crash-{uuid.uuid4().hex[:8]}"
    return user, dev.account(user)


def background(body):
    thread = threading.Thread(target=lambda: suppress(body), daemon=True)
    thread.start()
    return thread


def calls(till, method, path):
    return [call for call in till.stripe.log()["calls"] if call["method"] == method and call["path"].startswith(path)]


def cut_database(sql):
    """Every connection to the ledger but this one ends, in the middle of whatever it does."""
    sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")


def test_death_before_stripe_heard_of_the_purchase(till, buyer, sql):
    """The purchase is stored and nothing else: the next start asks for its page under the same key."""
    user, key = buyer
    before = till.stripe.stats()["calls"]
    till.stripe.control("api_faults", kind="hang", calls=1, method="POST", path="/v1/checkout/sessions")
    background(lambda: till.order(key))
    purchase = wait_until(lambda: purchase_of(sql, user), 20, "a stored purchase")
    wait_until(lambda: any(call["fault"] == "hang" for call in till.stripe.log()["calls"][before:]), 20, "the call")
    till.kill()
    sql("UPDATE purchase SET updated_at = now() - interval '1 hour' WHERE purchase_id = %s", purchase)
    till.start()
    session = wait_until(
        lambda: sql("SELECT session_id FROM purchase WHERE purchase_id = %s AND status = 'open'", purchase), 30, "a page")
    made = [s for s in till.stripe.client().v1.checkout.sessions.list({"limit": 100}).data
            if s.client_reference_id == purchase]
    assert [s.id for s in made] == [session[0][0]]
    till.stripe.press(made[0].url, "card")
    till.comes_to(key, STARTER)


def test_an_answer_lost_by_death_is_asked_for_again_and_is_the_same(till, buyer, sql):
    user, key = buyer
    till.stripe.control("api_faults", kind="hang_after", calls=1, method="POST", path="/v1/checkout/sessions")
    background(lambda: till.order(key))
    purchase = wait_until(lambda: purchase_of(sql, user), 20, "a stored purchase")
    made = wait_until(lambda: [s for s in till.stripe.client().v1.checkout.sessions.list({"limit": 100}).data
                               if s.client_reference_id == purchase], 20, "a session")
    till.kill()
    sql("UPDATE purchase SET updated_at = now() - interval '1 hour' WHERE purchase_id = %s", purchase)
    till.start()
    session = wait_until(
        lambda: sql("SELECT session_id FROM purchase WHERE purchase_id = %s AND status = 'open'", purchase), 30, "a page")
    assert session[0][0] == made[0].id


@pytest.mark.parametrize("how", ["kill", "database"])
def test_death_while_the_payment_is_read_under_its_lock(till, buyer, sql, how):
    user, key = buyer
    page = till.order(key)[1]
    till.until_nobody_looks()
    till.stripe.control("api_faults", kind="hang", calls=1, method="GET", path="/v1/payment_intents")
    till.stripe.press(page["url"], "card")
    wait_until(lambda: locked(sql, page["purchaseId"]), 20, "the lock of a reading")
    assert till.balance(key) == 0
    if how == "kill":
        till.kill()
        till.start()
    else:
        cut_database(sql)
    till.comes_to(key, STARTER, 60)
    assert sql("SELECT count(*) FROM credit_ledger WHERE user_id = %s", user)[0][0] == 1


def locked(sql, purchase):
    """Somebody else has the row of the payment."""
    try:
        sql("SELECT 1 FROM payment_state WHERE purchase_id = %s FOR UPDATE NOWAIT", purchase)
        return False
    except Exception:  # lock_not_available
        return True


def purchase_of(sql, user):
    rows = sql(
        "SELECT purchase_id::text FROM purchase JOIN account USING (account_id) WHERE user_id = %s", user)
    return rows[0][0] if rows else None


def test_any_step_of_many_purchases_and_refunds(till, dev, sql):
    seed = int(os.environ.get("TOLLGATE_SEED", random.randrange(1 << 32)))
    print("seed", seed)
    dice = random.Random(seed)
    users = [f"crash-{uuid.uuid4().hex[:8]}" for _ in range(4)]
    keys = {user: dev.account(user) for user in users}
    till.stripe.control("faults", duplicates=1, shuffle_seed=seed % 1000)
    try:
        for _ in range(ROUNDS):
            one_round(till, sql, dice, dice.choice(users), keys)
        calm(till, sql)
        wait_until(lambda: agrees(till, sql, users), 90, "the ledger agrees with Stripe")
    finally:
        till.stripe.control("faults", duplicates=0)
        till.stripe.control("api_faults", clear=True)
    till.stripe.settled(60)
    dev.verify()


def one_round(till, sql, dice, user, keys):
    if dice.random() < 0.4:
        till.stripe.control(
            "api_faults", calls=1, kind=dice.choice(["cut_after", "error_500", "error_500_after", "cut", "lock_timeout"]))
    steps = [lambda: till.buy(keys[user], dice.choice(["card", "bank_succeeds"]))]
    paid = sql(
        "SELECT payment_intent_id FROM purchase JOIN account USING (account_id) WHERE user_id = %s AND purchase.status = 'paid'",
        user)
    if paid:
        steps.append(lambda: till.stripe.client().v1.refunds.create(
            {"payment_intent": dice.choice(paid)[0], "amount": dice.randint(1, 400)}))
    running_step = background(dice.choice(steps))
    time.sleep(dice.random() * 0.3)
    blow = dice.random()
    if blow < 0.35:
        till.kill()
        till.start()
    elif blow < 0.7:
        cut_database(sql)
    running_step.join(60)


def calm(till, sql):
    """Time passes: what was left open is looked at again."""
    till.stripe.control("api_faults", clear=True)
    sql("UPDATE purchase SET updated_at = now() - interval '2 hours' WHERE status NOT IN ('paid', 'failed', 'expired')")
    till.stop()
    till.start()


def agrees(till, sql, users):
    """Credits by what Stripe says of every payment of these users, in whole numbers."""
    intents = till.stripe.client().v1.payment_intents.list({"limit": 100}).auto_paging_iter()
    expected = {user: 0 for user in users}
    names = dict(sql(
        "SELECT purchase_id::text, user_id FROM purchase JOIN account USING (account_id) WHERE user_id = ANY(%s)", users))
    for intent in intents:
        user = names.get(intent.metadata["tollgate_purchase"])
        if user is None or intent.status != "succeeded":
            continue
        refunds = till.stripe.client().v1.refunds.list({"payment_intent": intent.id, "limit": 100}).data
        back = sum(r.amount for r in refunds if r.status not in ("failed", "canceled"))
        expected[user] += STARTER - -(-STARTER * back // intent.amount_received)
    found = dict(sql("SELECT user_id, balance_millicredits FROM credit_balance WHERE user_id = ANY(%s)", users))
    return expected == found
