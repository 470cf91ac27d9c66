"""Saved cards that are charged when credits run low: once, however many look and whatever dies in between."""
import json
import uuid

import pytest

from calendar_tools import clear_of_midnight
from harness import Serve, http, free_port, running, wait_until
from stripe_tools import LIVE_KEY, MockStripe
from test_purchases import STARTER, Till

PRICE = 999
# A threshold is less than what one charge brings.
THRESHOLD = STARTER - 1


class RechargingTill(Till):
    def start(self, **env):
        super().start(BILLING_AUTO_RECHARGE="true", **env)

    def setting(self, key, method="GET", body=None, root=None):
        status, _, reply = http(
            method, (root or self.serve.root) + "/api/billing/auto-recharge", body, {"Authorization": "Bearer " + key})
        return status, json.loads(reply)

    def turn_on(self, key, threshold=THRESHOLD, limit=PRICE, **more):
        """One recharge takes what an owner has left above this threshold."""
        body = {
            "thresholdMillicredits": str(threshold), "packageCode": "starter", "dailyLimitUsdCents": limit, **more}
        return self.setting(key, "PUT", body)

    def state(self, key):
        return self.setting(key)[1]


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    directory = tmp_path_factory.mktemp("recharges")
    port = free_port()
    stripe = MockStripe(directory, key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(RechargingTill(dev, stripe, port)) as till:
        yield till
    stripe.stop()


LEFT = STARTER - 10


class Owner:
    """Somebody who bought once, so that there is a card, and has `LEFT`."""

    def __init__(self, till, dev, sql):
        self.till, self.dev, self.sql = till, dev, sql
        self.user = f"owner-{uuid.uuid4().hex[:8]}"
        self.key = dev.account(self.user)
        till.buy(self.key)
        till.comes_to(self.key, STARTER)
        self.spend(STARTER - LEFT)
        self.customer = sql(
            "SELECT customer_id FROM stripe_customer JOIN account USING (account_id) WHERE user_id = %s", self.user)[0][0]

    def spend(self, millicredits):
        self.dev.cli(
            "account", "adjust", "--user", self.user, f"--millicredits=-{millicredits}", "--reason", "spent",
            "--idempotency-key", uuid.uuid4())

    def first_payment(self):
        return self.sql(
            "SELECT payment_intent_id FROM purchase JOIN account USING (account_id) WHERE user_id = %s"
            " AND kind = 'checkout'", self.user)[0][0]

    def card(self, behaviour):
        self.till.stripe.control("card", customer=self.customer, behaviour=behaviour)

    def charges(self):
        """Payments at Stripe besides the first purchase."""
        made = self.till.stripe.client().v1.payment_intents.list({"customer": self.customer, "limit": 100}).data
        return [payment for payment in made if payment.setup_future_usage is None]

    def grants(self):
        return self.sql(
            "SELECT count(*) FROM credit_ledger WHERE user_id = %s AND type = 'purchase'", self.user)[0][0] - 1

    def becomes(self, seconds=30, **expected):
        def fits():
            state = self.till.state(self.key)
            return state if all(state[name] == value for name, value in expected.items()) else None
        return wait_until(fits, seconds, f"{expected}")


@pytest.fixture()
def owner(till, dev, sql):
    # What may be charged is limited by the day.
    clear_of_midnight(5)
    return Owner(till, dev, sql)


def test_credits_below_the_threshold_are_filled_up_once(till, owner):
    assert till.state(owner.key) == {
        "enabled": False, "thresholdMillicredits": None, "packageCode": None, "priceUsdCents": None,
        "dailyLimitUsdCents": None, "state": "off", "disabledReason": None, "lastAttempt": None}
    status, answer = till.turn_on(owner.key, limit=5 * PRICE)
    assert status == 200 and answer["enabled"] and answer["thresholdMillicredits"] == str(THRESHOLD)
    till.comes_to(owner.key, LEFT + STARTER)
    till.stripe.settled()
    state = owner.becomes(state="active")
    assert state["lastAttempt"]["status"] == "paid" and state["lastAttempt"]["number"] == 1
    [charge] = owner.charges()
    assert charge.amount == PRICE and charge.status == "succeeded"
    assert charge.metadata["tollgate_purchase"] == state["lastAttempt"]["purchaseId"]
    assert owner.grants() == 1 and till.balance(owner.key) == LEFT + STARTER


def test_the_daily_limit_ends_what_a_debt_would_go_on_with(till, owner):
    owner.spend(10 * STARTER)
    till.turn_on(owner.key, limit=2 * PRICE)
    # A minute lies between two charges.
    till.comes_to(owner.key, LEFT - 8 * STARTER, 100)
    wait_until(
        lambda: owner.sql(
            "SELECT look_at > 1000 * extract(epoch FROM now()) + 90000 FROM recharge JOIN account USING (account_id)"
            " WHERE user_id = %s", owner.user)[0][0], 80, "the day after")
    till.stripe.settled()
    assert len(owner.charges()) == owner.grants() == 2 and till.state(owner.key)["state"] == "active"


def test_a_declined_card_is_left_alone_for_a_while(till, owner):
    owner.card("declined")
    till.turn_on(owner.key)
    state = owner.becomes(state="paused")
    assert state["lastAttempt"]["status"] == "failed" and state["lastAttempt"]["failure"] == "declined"
    assert len(owner.charges()) == 1 and owner.grants() == 0
    assert owner.sql(
        "SELECT status FROM purchase WHERE purchase_id = %s", state["lastAttempt"]["purchaseId"])[0][0] == "failed"


def test_a_bank_that_wants_its_customer_stops_it_until_it_is_turned_on_again(till, owner):
    owner.card("authentication_required")
    till.turn_on(owner.key)
    state = owner.becomes(state="disabled")
    assert state["disabledReason"] == "authentication_required" and state["enabled"]
    assert state["lastAttempt"]["failure"] == "authentication_required" and owner.grants() == 0
    owner.card("good")
    till.turn_on(owner.key)
    till.comes_to(owner.key, LEFT + STARTER)
    assert owner.becomes(state="active")["lastAttempt"]["number"] == 2


def test_without_a_saved_card_it_says_so(till, dev, sql):
    key = dev.account(f"owner-{uuid.uuid4().hex[:8]}")
    till.turn_on(key)
    state = wait_until(lambda: (s := till.state(key))["state"] == "disabled" and s, 20, "disabled")
    assert state["disabledReason"] == "no_payment_method" and state["lastAttempt"]["purchaseId"] is None


def test_a_bank_debit_is_granted_when_the_money_is_there_and_asked_for_once(till, owner):
    owner.card("bank_debit")
    till.turn_on(owner.key)
    owner.becomes(state="charging")
    payment = wait_until(lambda: next(iter(owner.charges()), None), 20, "a payment")
    till.stripe.settled()
    assert payment.status == "processing" and owner.grants() == 0
    till.stripe.control("payment", payment=payment.id, outcome="succeed")
    till.comes_to(owner.key, LEFT + STARTER)
    assert len(owner.charges()) == 1


def test_turned_off_it_charges_nobody(till, owner):
    till.turn_on(owner.key, threshold=0)
    status, answer = till.setting(owner.key, "DELETE")
    assert status == 200 and answer["state"] == "off" and answer["thresholdMillicredits"] is None
    assert till.turn_on(owner.key, enabled=False)[1]["enabled"] is False
    assert owner.sql(
        "SELECT threshold, package_code FROM recharge JOIN account USING (account_id) WHERE user_id = %s",
        owner.user) == [(None, None)]


# Money that goes back


def test_a_refund_is_no_reason_to_charge_again(till, owner):
    """It takes the balance below the threshold, and the card would be charged for what was just returned."""
    till.turn_on(owner.key, threshold=1, limit=10 * PRICE)
    till.stripe.client().v1.refunds.create({"payment_intent": owner.first_payment()})
    till.comes_to(owner.key, LEFT - STARTER)
    state = owner.becomes(state="disabled")
    assert state["disabledReason"] == "reversed" and state["enabled"] and state["lastAttempt"] is None
    assert owner.charges() == []
    till.turn_on(owner.key, threshold=1)
    till.comes_to(owner.key, LEFT)


def test_a_dispute_stops_it_for_longer_than_it_lasts(till, owner):
    till.turn_on(owner.key, threshold=1, limit=10 * PRICE)
    dispute = till.stripe.control("dispute", payment=owner.first_payment(), action="open")
    assert owner.becomes(state="disabled")["disabledReason"] == "reversed"
    till.stripe.control("dispute", dispute=dispute["id"], action="lose")
    till.comes_to(owner.key, LEFT - STARTER)
    till.stripe.settled()
    assert till.state(owner.key)["disabledReason"] == "reversed" and owner.charges() == []


def test_whoever_is_suspended_can_turn_it_off(till, owner):
    till.turn_on(owner.key, threshold=1)
    till.stripe.control("dispute", payment=owner.first_payment(), action="open")
    wait_until(lambda: till.turn_on(owner.key, threshold=1)[1].get("code") == "account_suspended", 20, "403")
    status, answer = till.turn_on(owner.key, enabled=False)
    assert status == 200 and not answer["enabled"]


# Faults


@pytest.mark.parametrize("fault", ["hang_after", "hang"])
def test_a_process_that_dies_in_a_charge_charges_once(till, owner, fault):
    """Nobody tells us of the payment either: the attempt is asked for again, under its key."""
    calls = till.stripe.stats()["calls"]
    till.stripe.control("delivery", on=False)
    till.stripe.control("api_faults", kind=fault, calls=1, method="POST", path="/v1/payment_intents")
    try:
        till.turn_on(owner.key)
        wait_until(lambda: any(call["fault"] == fault for call in till.stripe.log()["calls"][calls:]), 20, "a charge")
        till.kill()
        till.stripe.control("api_faults", clear=True)
        till.start()
        till.comes_to(owner.key, LEFT + STARTER, 120)
    finally:
        till.stripe.control("delivery", on=True)
    till.stripe.settled(30)
    assert len(owner.charges()) == owner.grants() == 1
    assert till.balance(owner.key) == LEFT + STARTER
    # Owners of other tests may be asked for meanwhile, with keys of their own.
    asked = [call for call in till.stripe.log()["calls"][calls:]
             if (call["method"], call["path"]) == ("POST", "/v1/payment_intents")
             and call["params"]["customer"] == owner.customer]
    assert {call["params"]["metadata"]["tollgate_purchase"] for call in asked} == {
        till.state(owner.key)["lastAttempt"]["purchaseId"]}
    assert len({call["idempotency_key"] for call in asked}) == 1
    # What Stripe made before may also be found in its list of events before it is asked for again.
    assert len(asked) >= (2 if fault == "hang" else 1)


def test_an_answer_that_is_lost_is_the_same_charge(till, owner):
    till.stripe.control("api_faults", kind="cut_after", calls=1, method="POST", path="/v1/payment_intents")
    till.turn_on(owner.key)
    till.comes_to(owner.key, LEFT + STARTER, 60)
    till.stripe.settled()
    assert len(owner.charges()) == owner.grants() == 1


def test_an_answer_that_is_not_stripes_refuses_nothing(till, owner):
    """A filter on the way says 403 and hides a charge, and nobody else tells of it: it is asked for under its key."""
    till.stripe.control("delivery", on=False)
    till.stripe.control("api_faults", kind="proxy_page_after", calls=1, method="POST", path="/v1/payment_intents")
    try:
        till.turn_on(owner.key, limit=10 * PRICE)
        till.comes_to(owner.key, LEFT + STARTER, 120)
    finally:
        till.stripe.control("delivery", on=True)
    till.stripe.settled(30)
    assert len(owner.charges()) == owner.grants() == 1
    assert owner.becomes(state="active")["lastAttempt"]["number"] == 1


def test_two_instances_charge_once(till, dev, sql):
    owners = [Owner(till, dev, sql) for _ in range(3)]
    with running(Serve(
            dev, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET="whsec_other_0123456789", STRIPE_API_BASE=till.stripe.url,
            BILLING_AUTO_RECHARGE="true", JOURNAL_DIR=str(dev.directory / "second-journal"))):
        for owner in owners:
            till.turn_on(owner.key, limit=10 * PRICE)
        for owner in owners:
            till.comes_to(owner.key, LEFT + STARTER)
        till.stripe.settled()
    assert [len(owner.charges()) for owner in owners] == [owner.grants() for owner in owners] == [1, 1, 1]


def test_a_ledger_that_was_set_back_charges_nobody_before_its_owner_says_so(till, dev, sql):
    """It does not know what was charged since."""
    stopped, other = Owner(till, dev, sql), Owner(till, dev, sql)
    till.turn_on(stopped.key, threshold=1)
    dev.cli("ledger", "new-generation", "--reason", "the snapshot of noon")
    assert till.state(stopped.key)["disabledReason"] == "restored"
    stopped.spend(LEFT)
    till.turn_on(other.key)
    till.comes_to(other.key, LEFT + STARTER, 60)
    till.stripe.settled()
    assert stopped.charges() == [] and till.state(stopped.key)["disabledReason"] == "restored"
    till.turn_on(stopped.key, threshold=1)
    till.comes_to(stopped.key, STARTER, 60)


# The API


@pytest.mark.parametrize("change, params", [
    ({"thresholdMillicredits": 5}, ["thresholdMillicredits"]), ({"thresholdMillicredits": "-1"}, ["thresholdMillicredits"]),
    ({"packageCode": "gold"}, ["packageCode"]), ({"dailyLimitUsdCents": 998}, ["dailyLimitUsdCents"]),
    ({"thresholdMillicredits": str(STARTER)}, ["thresholdMillicredits"]), ({"dailyLimitUsdCents": 20001}, ["dailyLimitUsdCents"]),
    ({"dailyLimitUsdCents": "999"}, ["dailyLimitUsdCents"]), ({"enabled": "yes"}, ["enabled"]),
    ({"thresholdMillicredits": None, "packageCode": 7, "dailyLimitUsdCents": 1.5},
     ["thresholdMillicredits", "packageCode", "dailyLimitUsdCents"])])
def test_every_bad_field_is_named(till, owner, change, params):
    status, reply = till.turn_on(owner.key, **change)
    assert status == 400 and reply["param"] == params[0], reply
    assert all(f"'{param}'" in reply["error"] for param in params)
    assert not till.state(owner.key)["enabled"]


def test_without_the_flag_it_answers_503_and_can_be_turned_off(dev, till, owner):
    till.turn_on(owner.key, threshold=1)
    with running(Serve(
            dev, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET="whsec_other_0123456789", STRIPE_API_BASE=till.stripe.url,
            JOURNAL_DIR=str(dev.directory / "flagless-journal"))) as serve:
        for method, body in (("GET", None), ("PUT", {
                "thresholdMillicredits": "1", "packageCode": "starter", "dailyLimitUsdCents": PRICE})):
            status, reply = till.setting(owner.key, method, body, root=serve.root)
            assert status == 503 and reply["code"] == "auto_recharge_disabled"
        status, reply = till.setting(owner.key, "DELETE", root=serve.root)
        assert status == 200 and not reply["enabled"]
    assert not till.state(owner.key)["enabled"]


def test_the_operators_maximum_is_above_the_users_limit(dev, till, owner):
    """Also above one that was agreed to before it became smaller."""
    with running(Serve(
            dev, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET="whsec_other_0123456789", STRIPE_API_BASE=till.stripe.url,
            BILLING_AUTO_RECHARGE="true", BILLING_AUTO_RECHARGE_MAX_USD_PER_DAY="11",
            JOURNAL_DIR=str(dev.directory / "bounded-journal"))) as serve:
        till.turn_on(owner.key, threshold=1, limit=2 * PRICE)
        assert till.setting(owner.key, root=serve.root)[1]["dailyLimitUsdCents"] == 1100
        status, reply = till.setting(owner.key, "PUT", {
            "thresholdMillicredits": "1", "packageCode": "starter", "dailyLimitUsdCents": 1101}, root=serve.root)
        assert status == 400 and reply["param"] == "dailyLimitUsdCents" and "1100" in reply["error"]


def test_everything_adds_up(till, dev):
    till.stripe.settled(30)
    dev.verify()
