"""A real Prometheus and Alertmanager watch an instance: dashboards show what happens, each fault is told to whom it
concerns, and nothing else is. One Prometheus and one Alertmanager for the whole file; the tests build on each other in
this order, and at its end every alert has fired on its fault."""
import concurrent.futures
import contextlib
import json
import pathlib
import threading
import time
import uuid

import pytest
import yaml

from fault_tools import (
    a_faulty_host, an_old_hold, at_most_every, changed_in_redis, frozen, pids_below, refusing_to_settle)
from faulty_host import FaultyHost
from harness import ROOT, free_port, http, wait_until
from monitoring_tools import ALERTS, faster_expression, write_rules
from stripe_tools import LIVE_KEY
from watched_tools import CONCERNED, Watched, is_told, resolved

PANELS = [
    (board.stem, panel["title"], target["expr"])
    for board in sorted((ROOT / "ops" / "grafana" / "dashboards").glob("*.json"))
    for panel in json.loads(board.read_text())["panels"] for target in panel["targets"]]
# Requests fail while a store is away, and the windows are short here.
BURNS = ("TollgateAvailabilityBurnFast", "TollgateAvailabilityBurnSlow", "TollgateBillingSlow")
# An instance is down and begins, which takes it seconds, and seconds are minutes here.
BEGINNING = (
    *BURNS, "TollgateInstanceDown", "TollgateHoldStoreNotReady", "TollgateLedgerNotReady", "TollgateJournalNotReady",
    "TollgateClockNotTrusted")
# They are the large difference: said once.
SMALL = {"TollgateReconciliationMismatch", "TollgateReconciliationVariance"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    stack = Watched(tmp_path_factory.mktemp("watched"))
    yield stack
    stack.stop()


def queries(watched):
    """Of the dashboards and of the recording rules: [(place, title, expression in fast time)]."""
    recorded = [
        (group["name"], rule["record"], rule["record"])
        for path in watched.monitoring.rules.glob("*.yml") for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"] if "record" in rule]
    return [(place, title, faster_expression(expression)) for place, title, expression in PANELS + recorded]


def test_every_panel_and_recording_rule_has_a_sample(watched):
    """A query that never has one looks like a quiet service. What each shows is judged when all has happened."""
    def gaps():
        return [asked for asked in queries(watched) if not watched.monitoring.query(asked[2])]

    end = time.monotonic() + 120
    while (missing := gaps()) and time.monotonic() < end:
        time.sleep(1)
    assert not missing


def forged(watched):
    http("POST", f"http://127.0.0.1:{watched.port}/api/stripe/webhook", {"id": "evt_1"}, {"Stripe-Signature": "t=1,v1=00"})


def test_nothing_fires_while_all_is_well(watched):
    """While Stripe's own deliveries are accepted, nobody is told of a stranger's."""
    def failed():
        return watched.monitoring.query("tollgate:stripe_webhook_failed:ratio1d")[0][1]

    # Of nothing it is not a number.
    wait_until(lambda: failed() == 0, 60, "a delivery")
    seen = set()
    end = time.monotonic() + 12
    while time.monotonic() < end:
        forged(watched)
        seen |= watched.monitoring.firing()
        time.sleep(0.2)
    assert watched.monitoring.query('sum(increase(stripe_webhook_deliveries_total{answer="unsigned"}[10s]))')[0][1] > 10
    assert not seen and not watched.monitoring.told.events
    assert failed() == 0


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


def test_a_storm_of_402_wakes_somebody(watched):
    def storm():
        for _ in range(8):
            watched.chat(watched.poor, max_tokens=20)

    watched.expect("TollgateInsufficientCreditsSpike")
    is_told(watched, "TollgateInsufficientCreditsSpike", repeat=storm)
    resolved(watched, "TollgateInsufficientCreditsSpike")


def test_flags_that_are_not_read_any_more(watched):
    """The ledger does all else, so that nothing but this says that a kill switch would have no effect."""
    watched.expect("TollgateFlagsStale")
    with watched.locked("feature_flag"):
        is_told(watched, "TollgateFlagsStale")
    resolved(watched, "TollgateFlagsStale")


@pytest.fixture(scope="module")
def host(watched, tmp_path_factory):
    made = FaultyHost(watched.dev, tmp_path_factory.mktemp("host"))
    watched.monitoring.scrape(watched.ops, made.serve.ops)
    yield made
    made.stop()


def test_faults_that_are_there_beside_each_other(watched, host):
    """Each is one of its own, and tells nothing but itself; together they take no longer than the slowest."""
    alerts = (
        "TollgateOverHold", "TollgateUsageEstimated", "TollgatePurchaseConversionLow", "TollgateStripeWebhookFailures",
        "TollgateStripeWebhookFailureRate", "TollgateStripeWebhookLate", "TollgateSettlementRefused",
        "TollgateHoldTooOld", "TollgateStoreDiffers", "TollgateJournalLarge", "TollgateTracesDropped",
        "TollgateAccessLogDropped", "TollgateDescriptorsShort")
    event = watched.stripe.client().v1.events.list({"limit": 1, "type": "checkout.session.completed"}).data[0].to_dict()
    differing = watched.dev.account("differing", credits=100)
    watched.chat(differing)
    watched.expect(*alerts)

    def goes_on():
        now = time.time()
        watched.chat(mock="fault=no_usage")
        # More output than was asked for, and so more than was held.
        watched.chat(mock="fault=over_cap tokens=20", max_tokens=20)
        watched.webhook({**event, "id": "evt_" + uuid.uuid4().hex}, at=now - 1000)
        watched.webhook({**event, "id": "evt_" + uuid.uuid4().hex, "created": int(now - 600)}, at=now)
        for _ in range(2):
            watched.chat(port=host.serve.port)

    watched.is_selling = False
    for buyer in ("looks", "looks-again"):
        key = watched.dev.account(buyer)
        for _ in range(25):
            assert watched.till.order(key)[0] == 200
    with watched.monitoring.deciding("tollgate:journal_max_bytes", "vector(1e+6)"), \
            refusing_to_settle(watched, "gpt-4o"), changed_in_redis(watched, "differing", p=1, H=1), \
            an_old_hold(watched, "slow", hours=3), a_faulty_host(host):
        is_told(watched, *alerts, seconds=120, repeat=goes_on)
    watched.is_selling = True


def test_a_host_whose_disk_and_clock_fail_while_openai_and_redis_do(watched, host):
    """It admits nothing, which is lost of availability: told as well, and demanded by the last but one test."""
    disk = ("TollgateJournalSyncFails", "TollgateJournalNotReady")
    alerts = (*disk, "TollgateClockNotTrusted", "TollgateUpstreamFailing", "TollgateRedisEpochChanged")
    watched.expect(*alerts)
    told, began = watched.monitoring.told, time.monotonic()
    with watched.redis() as redis, contextlib.ExitStack() as mended:
        mended.callback(host.clock.set, 0)
        mended.callback(host.fail_syncs, False)
        # Both are counted once, whatever follows: a machine that is too busy for scrapes then sees them again.
        forgets = at_most_every(20, redis.flushall)

        def goes_on():
            watched.chat(mock="fault=cut_head")
            if not told.heard("TollgateRedisEpochChanged"):
                forgets()
            if all(told.heard(name) for name in disk):
                # With a clock that is off nothing is written, and so no sync fails: this comes second.
                host.fail_syncs()
                host.clock.set(120)
            else:
                host.fail_syncs((time.monotonic() - began) % 15 < 10)
            watched.chat(port=host.serve.port)

        is_told(watched, *alerts, also=(*BURNS, "TollgateHoldStoreNotReady"), seconds=120, repeat=goes_on)
    resolved(watched, "TollgateJournalNotReady", "TollgateClockNotTrusted", "TollgateUpstreamFailing")


def test_a_ledger_that_takes_no_settlements_and_webhooks_that_nobody_signed(watched, host):
    """More outcomes wait than fit into memory; then what they would be read from is destroyed. Beside it no delivery of
    Stripe is accepted, so that the secret may be wrong: then strangers' are told."""
    alerts = ("TollgateSettlementBacklogGrowing", "TollgateBillingSlow", "TollgateStripeWebhookUnsigned")
    watched.expect(*alerts, "TollgateOutcomesLost", "TollgateStripeWebhookFailures")
    watched.is_selling = False
    is_over = threading.Event()

    def crowd(ask):
        while not is_over.is_set():
            with contextlib.suppress(OSError):
                ask()

    def summary():
        http("GET", f"http://127.0.0.1:{watched.port}/api/billing/summary", headers={
            "Authorization": "Bearer " + watched.key}, timeout=20)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        with watched.locked("usage_events"):
            try:
                for _ in range(6):
                    pool.submit(crowd, lambda: watched.chat(port=host.serve.port, mock="tokens=1"))
                    pool.submit(crowd, summary)
                is_told(watched, *alerts, also=BURNS, seconds=90, repeat=lambda: forged(watched))
            finally:
                is_over.set()
            watched.is_selling = True
            host.destroy_journal()
        is_told(watched, "TollgateOutcomesLost", also=(*BURNS, *alerts))
    resolved(watched, "TollgateSettlementBacklogGrowing", "TollgateStripeWebhookUnsigned")


def test_a_discovery_that_finds_nothing(watched):
    watched.expect("TollgateNoInstance")
    watched.monitoring.scrape()
    is_told(watched, "TollgateNoInstance", also=BURNS)
    # And not the host any more, whose journal is lost.
    watched.monitoring.scrape(watched.ops)
    resolved(watched, "TollgateNoInstance")


def test_a_hold_store_that_is_away(watched):
    pid = watched.redis().info("server")["process_id"]
    watched.expect("TollgateHoldStoreNotReady")
    with frozen([pid]):
        is_told(watched, "TollgateHoldStoreNotReady", also=(*BURNS, "TollgateRedisEpochChanged"))
    resolved(watched, "TollgateHoldStoreNotReady")


def test_a_ledger_that_is_away(watched):
    (directory,) = watched.sql("SHOW data_directory")[0]
    postmaster = int(pathlib.Path(directory, "postmaster.pid").read_text().split()[0])
    watched.expect("TollgateLedgerNotReady")
    with frozen(pids_below(postmaster)):
        # Stripe is put off meanwhile, which is told as well.
        is_told(watched, "TollgateLedgerNotReady", also=(
            *BURNS, "TollgateFlagsStale", "TollgateStripeWebhookFailures", "TollgateStripeWebhookFailureRate",
            "TollgateSettlementBacklogGrowing", "TollgateClockNotTrusted", "TollgateInstanceDown"))
    resolved(watched, "TollgateLedgerNotReady")


def test_money_that_does_not_add_up_and_an_instance_that_is_down(watched):
    """The instance is stopped, and while it is down: a balance is changed, in the ledger only, yesterday made a loss,
    credits are owed, and an event of Stripe was kept for a person."""
    alerts = (
        "TollgateReconciliationMismatchLarge", "TollgateStripeDeadEvents", "TollgateNegativeMarginDay",
        "TollgateLiabilityAboveThreshold")
    watched.expect("TollgateInstanceDown", *alerts, *SMALL)
    watched.till.stop()
    is_told(watched, "TollgateInstanceDown")
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
    is_told(watched, *alerts, also=(*BEGINNING, "TollgateStoreDiffers"))
    assert SMALL <= watched.monitoring.firing()


def test_daily_work_that_nobody_does(watched):
    """Another instance has the work, and does not do it: since more than a day, and more than half an hour."""
    alerts = ("TollgateReconciliationOverdue", "TollgateBooksStale")
    watched.expect(*alerts)
    watched.till.stop()
    watched.sql(
        "SET session_replication_role = replica; "
        "UPDATE reconciliation_run SET finished_at = finished_at - interval '27 hours'; "
        "UPDATE finance_reading SET read_at = read_at - interval '1 hour'")
    for job in ("books", "reconcile"):
        watched.sql(
            "INSERT INTO job_lease (job, holder, until) VALUES (%s, 'elsewhere', now() + interval '1 hour') "
            "ON CONFLICT (job) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until", job)
    watched.start()
    is_told(watched, *alerts, also=(*BEGINNING, "TollgateStoreDiffers"))


def test_every_alert_has_fired_on_its_fault(watched):
    """And was told to whom it concerns; none was while all was well, which the second test shows."""
    every = {rule["alert"] for rule in ALERTS}
    assert every - watched.monitoring.has_fired() == set()
    told = {(receiver, name) for name in every - SMALL for receiver in CONCERNED[name]}
    assert told - watched.monitoring.told.ever == set()


def test_every_panel_and_recording_rule_has_shown_something(watched):
    """All of it has happened meanwhile: load, money, failures, faults."""
    silent = [asked for asked in queries(watched) if not watched.monitoring.has_shown(asked[2])]
    assert silent == []
