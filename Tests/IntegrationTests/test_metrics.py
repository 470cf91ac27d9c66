"""What `/metrics` tells after a load that touches every number of CONTRACT §9."""
import json
import re
import subprocess
import time
import uuid

import psycopg2
import pytest
import yaml

from harness import ROOT, Serve, free_port, http, patient_http, running, wait_until
from stripe_tools import LIVE_KEY, MockStripe
from test_purchases import STARTER, Till

# CONTRACT §9, with the labels that it names.
CONTRACT = {
    "billing_credits_purchased_total": ("counter", {"package"}),
    "billing_credits_deducted_total": ("counter", {"model"}),
    "billing_402_insufficient_credits_total": ("counter", set()),
    "stripe_webhook_events_total": ("counter", {"type"}),
    "stripe_webhook_failures_total": ("counter", {"reason"}),
    "finance_margin_daily_usd": ("gauge", set()),
    "finance_liability_credits_usd": ("gauge", set()),
    "finance_deferred_revenue_usd": ("gauge", set()),
    "holds_open": ("gauge", set()),
    "hold_age_seconds": ("gauge", set()),
    "over_hold_total": ("counter", set()),
    "settlement_backlog": ("gauge", set()),
    "settlement_batch_seconds": ("histogram", set()),
    "journal_bytes": ("gauge", set()),
    "redis_epoch_changes_total": ("counter", set()),
    "reconciliation_mismatch_millicredits": ("gauge", set()),
    "usage_estimated_total": ("counter", {"reason"}),
    "proxy_requests_total": ("counter", {"endpoint", "status"}),
    "proxy_overhead_seconds": ("histogram", set()),
    "proxy_streams_open": ("gauge", set()),
}


class Scrape:
    """One scrape: `types` by name, `series` by name and labels."""

    def __init__(self, ops):
        status, _, body = http("GET", f"http://127.0.0.1:{ops}/metrics")
        assert status == 200
        self.text = body.decode()
        self.types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", self.text, re.M))
        self.series = {}
        for line in self.text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = re.fullmatch(r"([a-z0-9_]+)(?:\{(.*)\})? (\S+)", line).groups()
            self.series[name, frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))] = float(value)

    def labels(self, name):
        return [dict(labels) for (at, labels) in self.series if at == name]

    def value(self, name, **labels):
        return self.series[name, frozenset(labels.items())]

    def sum(self, name, **labels):
        return sum(v for (at, ls), v in self.series.items() if at == name and set(labels.items()) <= ls)


def stored(dev):
    """Whether figures of the books and a reconciliation are in the ledger."""
    connection = psycopg2.connect(dev.databaseURL)
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM finance_reading) * (SELECT count(*) FROM reconciliation_run) > 0")
        (found,) = cursor.fetchone()
    connection.close()
    return found


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    port = free_port()
    stripe = MockStripe(tmp_path_factory.mktemp("till"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    # What is stored is read at the start, and then every five minutes; the stack's own instance is at its first look.
    wait_until(lambda: stored(dev), 60, "the first look at the books")
    with running(Till(dev, stripe, port)) as till:
        yield till
    stripe.stop()


def ask(till, key, model="gpt-4o-mini", **more):
    body = {"model": model, "messages": [{"role": "user", "content": "Hi [[mock tokens=40]]"}], **more}
    return http("POST", till.serve.base + "/chat/completions", body, {"Authorization": "Bearer " + key})


def test_every_metric_of_the_contract_is_told_and_true(dev, till, settled):
    user = f"buyer-{uuid.uuid4().hex[:8]}"
    key = dev.account(user)
    before = Scrape(till.serve.ops)
    till.buy(key)
    till.comes_to(key, STARTER)
    assert ask(till, key)[0] == 200
    assert ask(till, key, model="ft:gpt-4o-mini-2024-07-18:acme::1234567")[0] in (200, 404)
    assert ask(till, dev.account(f"poor-{uuid.uuid4().hex[:8]}"), max_tokens=50)[0] == 402
    assert http("POST", till.serve.root + "/api/stripe/webhook", {"id": "evt_1"}, {"Stripe-Signature": "t=1,v1=00"})[0] == 400
    (row, *_) = settled(user, 1)
    wait_until(
        lambda: "reconciliation_mismatch_millicredits" in Scrape(till.serve.ops).types, 60, "the first look at the books")
    now = Scrape(till.serve.ops)
    for name, (kind, labels) in CONTRACT.items():
        assert now.types.get(name) == kind, name
        series = now.labels(name + "_bucket" if kind == "histogram" else name)
        assert series, name
        assert all(set(found) - {"le"} == labels for found in series), name

    def grew(name, **labels):
        return now.sum(name, **labels) - before.sum(name, **labels)

    assert grew("billing_credits_purchased_total", package="starter") == STARTER / 1000
    assert grew("billing_credits_deducted_total", model="gpt-4o-mini") == row["charged"] / 1000
    assert grew("billing_tokens_total", model="gpt-4o-mini", direction="output") == row["output"]
    assert grew("billing_cost_usd_total", model="gpt-4o-mini") > 0
    assert grew("billing_402_insufficient_credits_total") == 1
    assert grew("stripe_webhook_failures_total", reason="malformed_signature") + \
        grew("stripe_webhook_failures_total", reason="wrong_signature") + \
        grew("stripe_webhook_failures_total", reason="badly_timed") == 1
    assert grew("stripe_webhook_events_total", type="checkout.session.completed") == 1
    assert grew("stripe_webhook_deliveries_total", answer="unsigned") == 1
    assert grew("stripe_webhook_apply_seconds_count") >= 1
    assert grew("billing_checkouts_total", package="starter") == grew("billing_checkouts_paid_total", package="starter") == 1
    assert grew("proxy_requests_total", endpoint="chat", status="200") >= 1
    assert grew("billing_requests_total", route="/api/stripe/create-checkout-session", status="200") == 1
    assert now.value("tollgate_ready", check="ledger") == 1
    assert now.value("process_open_fds") > 10 and now.value("process_start_time_seconds") > 1.7e9
    # Names of clients are no labels, and what was never used has a series to begin a rate with.
    assert user not in now.text and "acme" not in now.text
    assert before.value("billing_credits_purchased_total", package="enterprise") == 0
    assert before.value("billing_credits_deducted_total", model="gpt-4o") == 0


SLOW = "Hi [[mock tokens=5 ttft_ms=1000]]"


def test_overhead_is_what_the_upstream_did_not_take(dev, till):
    """The smallest of some exchanges: a busy machine adds to each of them."""
    key = dev.account(f"slow-{uuid.uuid4().hex[:8]}", credits=1000)
    name = "proxy_overhead_seconds"
    before, grown = Scrape(till.serve.ops), []
    for is_stream in (False, True, False, True):
        begun = time.monotonic()
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": SLOW}], "stream": is_stream}
        status, _, reply = patient_http(
            "POST", till.serve.base + "/chat/completions", body, {"Authorization": "Bearer " + key}, timeout=30)
        assert status == 200 and time.monotonic() - begun >= 1, reply

        def told():
            now = Scrape(till.serve.ops)
            return now if now.value(f"{name}_count") > before.value(f"{name}_count") else None

        now = wait_until(told, 20, "an observation")
        assert now.value(f"{name}_count") == before.value(f"{name}_count") + 1
        grown.append(now.value(f"{name}_sum") - before.value(f"{name}_sum"))
        before = now
    assert 0 < min(grown) < 0.3, grown


# What Prometheus itself tells.
OF_PROMETHEUS = {"up"}
# What this instance does not tell, and why.
NOT_HERE = {
    "trace_exchanges_dropped_total": "told where traces are exported; test_logs_and_traces.py counts them",
}


def names_in(expression):
    """The metrics that an expression of PromQL reads: what is neither label, range, keyword nor function."""
    for noise in (
            r'"(?:[^"\\]|\\.)*"', r"\{[^}]*\}", r"\[[^]]*\]",
            r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", r"\boffset \w+"):
        expression = re.sub(noise, " ", expression)
    words = re.findall(r"(?<![\w:.])[a-zA-Z_:][\w:]*\b(?!\s*\()", expression)
    return set(words) - {"and", "or", "unless", "by", "without", "on", "bool"}


def test_rules_read_what_is_told(till):
    """A metric with another name is a rule that never fires. After the load of the test before this one."""
    rules = [
        rule for path in sorted((ROOT / "ops" / "prometheus").glob("*.rules.yml"))
        for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in rules if "record" in rule}
    read = set().union(*(names_in(rule["expr"]) for rule in rules))
    assert {"proxy_requests_total", "stripe_webhook_apply_seconds_bucket", "journal_bytes", "up"} <= read
    scrape = Scrape(till.serve.ops)
    told = {name for name, _ in scrape.series}
    assert not NOT_HERE.keys() & told, "told here as well"
    missing = read - recorded - told - OF_PROMETHEUS - NOT_HERE.keys()
    assert not missing, missing


def test_the_names_of_an_expression():
    assert names_in(
        'sum by (le) (rate(a_total{b="c",d=~"e\\.f"}[5m] offset 10m)) > 2e+3 and on () max(x:y:z) unless g') == {
            "a_total", "x:y:z", "g"}


def test_prometheus_reads_it_and_finds_nothing_to_say(till):
    """`promtool check metrics`: the format, HELP for each name, base units, suffixes."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=Scrape(till.serve.ops).text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr.strip(), done.stdout + done.stderr


def test_a_spend_cap_is_no_want_of_credits(dev):
    """Both are a 402; the alert on credits that ran out must not fire for a cap that somebody set."""
    key = dev.account(f"capped-{uuid.uuid4().hex[:8]}", credits=1000)
    with running(Serve(dev, BILLING_SINGLE_REQUEST_CAP="1", JOURNAL_DIR=str(dev.directory / "capped-journal"))) as serve:
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}], "max_tokens": 100}
        status, _, reply = http("POST", serve.base + "/chat/completions", body, {"Authorization": "Bearer " + key})
        assert status == 402 and json.loads(reply)["error"]["code"] == "spend_cap_reached"
        now = Scrape(serve.ops)
        assert now.value("billing_402_insufficient_credits_total") == 0
        assert now.value("proxy_requests_total", endpoint="chat", status="402") == 1
