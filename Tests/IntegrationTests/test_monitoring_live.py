"""A real Prometheus and Alertmanager watch an instance: dashboards show what happens, each fault is told to whom it
concerns, and nothing else is. One instance, one Prometheus and one Alertmanager for the whole file; the tests build on
each other in this order."""
import contextlib
import itertools
import json
import os
import pathlib
import signal
import threading
import time
import uuid

import psycopg2
import pytest
import redis as redis_client
import yaml

from harness import ROOT, Dev, free_port, http, wait_until
from ledger_tools import query
from monitoring_tools import Monitoring, faster_expression, write_rules
from stripe_tools import LIVE_KEY, MockStripe
from test_purchases import Till

PANELS = [
    (board.stem, panel["title"], target["expr"])
    for board in sorted((ROOT / "ops" / "grafana" / "dashboards").glob("*.json"))
    for panel in json.loads(board.read_text())["panels"] for target in panel["targets"]]
# Queries whose good value is zero, or that a moment may find at zero.
MAY_BE_ZERO = {
    "Margin of yesterday", "Failures of Stripe's events, per hour", "Errors", "Open exchanges and holds", "Oldest hold",
    "Settlement backlog", "Reconciliation", "Estimated and over-held, per hour", "Epoch changes of Redis, per day",
    "Ready",
}


class Watched:
    # Whether the load has purchases, and so deliveries of Stripe.
    is_selling = True

    def __init__(self, directory):
        self.parts = contextlib.ExitStack()
        try:
            self.build(directory)
        except BaseException:
            self.stop()
            raise

    def build(self, directory):
        self.dev = Dev()
        self.parts.callback(self.dev.remove)
        self.parts.callback(self.dev.stop)
        self.port, self.ops = free_port(), free_port()
        self.stripe = MockStripe(
            directory, key=LIVE_KEY, webhook=f"http://127.0.0.1:{self.port}/api/stripe/webhook")
        self.parts.callback(self.stripe.stop)
        self.till = Till.__new__(Till)
        self.till.dev, self.till.stripe, self.till.port = self.dev, self.stripe, self.port
        self.start()
        self.parts.callback(self.stop_serving)
        self.key = self.dev.account("watched", credits=100_000)
        # The books are read every five minutes, by one instance for all: by this one, now, with something in them.
        before = self.till.balance(self.key)
        self.till.buy(self.key)
        wait_until(lambda: self.till.balance(self.key) > before, 30, "the purchase")
        self.till.stop()
        self.sql("DELETE FROM job_lease WHERE job = 'books'")
        self.start()
        self.poor = self.dev.account("poor")
        self.monitoring = Monitoring(directory, self.ops)
        self.parts.callback(self.monitoring.stop)
        self.is_over = threading.Event()
        self.load = threading.Thread(target=self.run_load, daemon=True)
        self.load.start()
        self.parts.callback(self.load.join, 30)
        self.parts.callback(self.is_over.set)
        # Until it has found its target, Prometheus knows no instance.
        wait_until(lambda: self.monitoring.query("up == 1"), 30, "a scrape")
        self.quiet()
        self.monitoring.told.events.clear()

    def start(self):
        self.till.start(OPS_LISTEN=f"127.0.0.1:{self.ops}", OPENAI_BASE_URL=self.dev.upstreamURL)

    def chat(self, key=None, **more):
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi [[mock tokens=30]]"}], **more}
        return http(
            "POST", f"http://127.0.0.1:{self.port}/v1/chat/completions", body,
            {"Authorization": "Bearer " + (key or self.key)}, timeout=20)[0]

    def run_load(self):
        """A little of everything, all the time."""
        for turn in itertools.count():
            if self.is_over.wait(0.25):
                return
            with contextlib.suppress(OSError, AssertionError, ValueError):
                self.chat(stream=bool(turn % 2), model=("gpt-4o-mini", "gpt-4o")[turn % 3 == 0])
                headers = {"Authorization": "Bearer " + self.key}
                http("GET", f"http://127.0.0.1:{self.port}/api/billing/summary", headers=headers, timeout=5)
                if turn % 8 == 0 and self.is_selling:
                    self.till.buy(self.key)
                if turn % 8 == 4:
                    self.chat(self.poor, max_tokens=20)

    def sql(self, text, *parameters):
        return query(self.dev.databaseURL, text, *parameters)

    @contextlib.contextmanager
    def locked(self, table):
        """Nobody else reads or writes it."""
        connection = psycopg2.connect(self.dev.databaseURL)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            connection.close()

    def quiet(self, seconds=60):
        """Until nothing fires any more."""
        wait_until(lambda: not self.monitoring.firing(), seconds, f"an end of {self.monitoring.firing()}")

    def stop_serving(self):
        with contextlib.suppress(AssertionError):  # A test that failed may have stopped it already.
            self.till.stop()

    def stop(self):
        self.parts.close()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    stack = Watched(tmp_path_factory.mktemp("watched"))
    yield stack
    stack.stop()


def test_every_panel_and_recording_rule_shows_the_load(watched):
    """A query that never has a sample looks like a quiet service."""
    monitoring = watched.monitoring
    recorded = [
        (group["name"], rule["record"], rule["record"])
        for path in monitoring.rules.glob("*.yml") for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"] if "record" in rule]
    rare = {"tollgate:usage_estimated:ratio_rate30m", "tollgate:stripe_webhook_late:ratio1d"} | {
        record for _, record, _ in recorded if "error" in record or "failed" in record or "failures" in record
        or "slow" in record}

    def gaps():
        missing = []
        for place, title, expression in PANELS + recorded:
            samples = monitoring.query(faster_expression(expression))
            if not samples or (title not in MAY_BE_ZERO | rare and not any(value != 0 for _, value in samples)):
                missing.append((place, title, expression))
        return missing

    end = time.monotonic() + 120
    while (missing := gaps()) and time.monotonic() < end:
        time.sleep(1)
    assert not missing


def test_nothing_fires_while_all_is_well(watched):
    seen = set()
    for _ in range(10):
        seen |= watched.monitoring.firing()
        time.sleep(1)
    assert not seen and not watched.monitoring.told.events


def verify(watched, *arguments, rules=None):
    return watched.dev.cli(
        "verify-monitoring", "--ops-url", f"http://127.0.0.1:{watched.ops}", "--prometheus-url",
        watched.monitoring.prometheus_url, "--alertmanager-url", watched.monitoring.alertmanager_url, "--rules",
        rules or watched.monitoring.rules, *arguments, check=False)


def test_verify_monitoring_says_that_somebody_would_hear(watched, tmp_path):
    good = verify(watched)
    assert good.returncode == 0 and "✗" not in good.stdout, good.stdout + good.stderr
    assert "alert route severity page, team operations: leads to pagerduty, slack-operations" in good.stdout
    assert "alert route severity ticket, team business: leads to slack-business" in good.stdout
    # The rules in their own time are others than those that run here.
    other = verify(watched, rules=ROOT / "ops" / "prometheus")
    assert other.returncode == 1 and "✗ rules tollgate_alerts_money" in other.stdout, other.stdout
    write_rules(tmp_path / "changed", lambda rule: rule.update(alert=rule["alert"] + "X") if "alert" in rule else None)
    missing = json.loads(verify(watched, "--json", rules=tmp_path / "changed").stdout)
    assert any("is not loaded" in finding["detail"] and not finding["isGood"] for finding in missing)
    wrong_job = verify(watched, "--job", "nothing")
    assert wrong_job.returncode == 1 and "has no target" in wrong_job.stdout
    nobody = watched.dev.cli(
        "verify-monitoring", "--ops-url", f"http://127.0.0.1:{free_port()}", "--prometheus-url", "http://127.0.0.1:9",
        "--alertmanager-url", "http://127.0.0.1:9", check=False)
    assert nobody.returncode == 69
    assert watched.dev.cli("verify-monitoring", check=False).returncode == 64


def test_a_test_alert_reaches_whom_a_real_one_would(watched):
    assert verify(watched, "--send-test-alert").returncode == 0
    for receiver in ("pagerduty", "slack-operations", "slack-business"):
        wait_until(lambda: watched.monitoring.told.heard("TollgateTest", receiver=receiver), 20, receiver)


def is_told(watched, *alerts, also=(), seconds=60, repeat=lambda: None):
    """Each of `alerts` is told; beside them and `also` nothing is."""
    told = watched.monitoring.told
    end = time.monotonic() + seconds
    while not all(told.heard(name) for name in alerts):
        assert time.monotonic() < end, (alerts, told.events, watched.monitoring.firing())
        repeat()
        time.sleep(0.2)
    others = {name for _, status, name in told.events if status == "firing"} - set(alerts) - set(also)
    assert not others, others


def resolved(watched, *alerts, seconds=60):
    for name in alerts:
        wait_until(lambda: watched.monitoring.told.heard(name, "resolved"), seconds, f"the end of {name}")


def forged(watched):
    http("POST", f"http://127.0.0.1:{watched.port}/api/stripe/webhook", {"id": "evt_1"}, {"Stripe-Signature": "t=1,v1=00"})


def test_a_storm_of_402_wakes_somebody(watched):
    def storm():
        for _ in range(8):
            watched.chat(watched.poor, max_tokens=20)

    watched.quiet()
    watched.monitoring.told.events.clear()
    is_told(watched, "TollgateInsufficientCreditsSpike", repeat=storm)
    assert watched.monitoring.told.heard("TollgateInsufficientCreditsSpike", receiver="pagerduty")
    resolved(watched, "TollgateInsufficientCreditsSpike")


def test_flags_that_are_not_read_any_more(watched):
    """The ledger does all else, so that nothing but this says that a kill switch would have no effect."""
    watched.quiet()
    watched.monitoring.told.events.clear()
    with watched.locked("feature_flag"):
        is_told(watched, "TollgateFlagsStale")
    assert watched.monitoring.told.heard("TollgateFlagsStale", receiver="pagerduty")
    resolved(watched, "TollgateFlagsStale")


def pids_below(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # It has ended since it was listed.
        return []
    return [pid, *(inner for child in children for inner in pids_below(int(child)))]


@contextlib.contextmanager
def frozen(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


# Requests fail while a store is away, and the windows are short here.
BURNS = ("TollgateAvailabilityBurnFast", "TollgateAvailabilityBurnSlow", "TollgateBillingSlow")


def test_a_hold_store_that_is_away(watched):
    client = redis_client.Redis.from_url(watched.dev.redisURL)
    pid = client.info("server")["process_id"]
    watched.quiet()
    watched.monitoring.told.events.clear()
    with frozen([pid]):
        is_told(
            watched, "TollgateHoldStoreNotReady", "TollgateAvailabilityBurnFast",
            also=(*BURNS, "TollgateRedisEpochChanged"))
    resolved(watched, "TollgateHoldStoreNotReady")


def test_a_ledger_that_is_away(watched):
    (directory,) = watched.sql("SHOW data_directory")[0]
    postmaster = int(pathlib.Path(directory, "postmaster.pid").read_text().split()[0])
    wait_until(lambda: not watched.monitoring.firing() - set(BURNS), 60, "quiet")
    watched.monitoring.told.events.clear()
    with frozen(pids_below(postmaster)):
        # Stripe is put off meanwhile, which is told as well.
        is_told(watched, "TollgateLedgerNotReady", also=(
            *BURNS, "TollgateFlagsStale", "TollgateStripeWebhookFailures", "TollgateStripeWebhookFailureRate",
            "TollgateSettlementBacklogGrowing", "TollgateClockNotTrusted", "TollgateInstanceDown"))
    resolved(watched, "TollgateLedgerNotReady")


def test_money_that_does_not_add_up_and_an_instance_that_is_down(watched):
    """The instance is stopped, and while it is down: a balance is changed, yesterday made a loss, credits are owed, and an
    event of Stripe was kept for a person."""
    told = watched.monitoring.told
    told.events.clear()
    watched.till.stop()
    wait_until(lambda: told.heard("TollgateInstanceDown", receiver="pagerduty"), 30, "the alert")
    watched.sql(
        "SET session_replication_role = replica; "
        "UPDATE credit_balance SET balance_millicredits = balance_millicredits + 10000000000 WHERE user_id = 'poor'")
    # An exchange of today becomes one of yesterday that cost five dollars.
    watched.sql(
        "SET session_replication_role = replica; "
        "UPDATE usage_events SET hold_id = hold_id_at(now() - interval '1 day'), cost_picousd = 5000000000000 "
        "WHERE hold_id = (SELECT hold_id FROM usage_events WHERE kind = 'final' ORDER BY hold_id DESC LIMIT 1)")
    watched.dev.cli(
        "account", "adjust", "--user", "watched", "--millicredits", str(60_000_000_000), "--reason", "test",
        "--idempotency-key", uuid.uuid4().hex)
    watched.sql(
        "INSERT INTO stripe_event (event_id, type, livemode, happened_at, source, outcome, reason) "
        "VALUES (%s, 'charge.refunded', true, now(), 'webhook', 'dead', 'not_found')", "evt_" + uuid.uuid4().hex)
    watched.dev.cli("reconcile", check=False, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_API_BASE=watched.stripe.url)
    watched.sql("DELETE FROM job_lease WHERE job = 'books'")
    watched.start()
    resolved(watched, "TollgateInstanceDown")
    for name, receiver in (("TollgateReconciliationMismatchLarge", "pagerduty"),
                           ("TollgateStripeDeadEvents", "pagerduty"),
                           ("TollgateNegativeMarginDay", "slack-business"),
                           ("TollgateLiabilityAboveThreshold", "slack-business")):
        wait_until(lambda: told.heard(name, receiver=receiver), 60, f"{name}: {told.events}")
    # The small difference is the large one: said once.
    assert "TollgateReconciliationMismatch" in watched.monitoring.firing()


def test_webhooks_that_nobody_signed(watched):
    """While Stripe's own are accepted, nobody is told of a stranger's; when none is, the secret may be wrong."""
    told = watched.monitoring.told
    of_webhooks = {"TollgateStripeWebhookFailures", "TollgateStripeWebhookUnsigned"}

    def failed():
        # Of a whole day: the time in which the ledger was away is in it as well.
        return watched.monitoring.query("tollgate:stripe_webhook_failed:ratio1d")[0][1]

    wait_until(lambda: not watched.monitoring.firing() & of_webhooks, 120, "the end of what was before")
    told.events.clear()
    before = failed()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        forged(watched)
        time.sleep(0.2)
    assert watched.monitoring.query('sum(increase(stripe_webhook_deliveries_total{answer="unsigned"}[10s]))')[0][1] > 10
    assert not {name for _, _, name in told.events} & of_webhooks, told.events
    assert failed() <= before
    watched.is_selling = False
    end = time.monotonic() + 90
    while not told.heard("TollgateStripeWebhookUnsigned", receiver="pagerduty"):
        assert time.monotonic() < end, told.events
        forged(watched)
        time.sleep(0.2)
    assert {name for _, _, name in told.events} & of_webhooks == {"TollgateStripeWebhookUnsigned"}, told.events
    watched.is_selling = True
    resolved(watched, "TollgateStripeWebhookUnsigned")
