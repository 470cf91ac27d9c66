"""The books on the clock, the daily reconciliation and the export, as an operator meets them."""
import concurrent.futures
import csv
import datetime
import io
import json
import re
import subprocess
import uuid

import pytest

from calendar_tools import clear_of, clear_of_midnight, today
from harness import Serve, free_port, http, own_stack, running, wait_until
from stripe_tools import LIVE_KEY, SECRET, MockStripe
from test_purchases import STARTER, Till, payment_of

CHECKS = ["balances", "usage", "hold_store", "payments", "openai_costs", "trial_balance", "books"]


@pytest.fixture(scope="module")
def dev():
    """A stack of the file's own: what is planted here is nobody else's. It speaks of today, and of the day that may be
    reconciled, which is another one from a quarter past midnight on."""
    clear_of_midnight(8)
    clear_of(0, 15, 8)
    with own_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def till(dev, tmp_path_factory):
    port = free_port()
    stripe = MockStripe(tmp_path_factory.mktemp("till"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(Till(dev, stripe, port)) as till:
        yield till
    stripe.stop()


@pytest.fixture()
def buyer(dev):
    user = f"buyer-{uuid.uuid4().hex[:8]}"
    return user, dev.account(user)


class Reconciled:
    def __init__(self, till, *flags, **env):
        env = {"STRIPE_SECRET_KEY": LIVE_KEY, "STRIPE_API_BASE": till.stripe.url, **env}
        done = till.dev.cli("reconcile", "--date", str(today()), "--json", *flags, check=False, **env)
        self.code, self.error = done.returncode, done.stderr
        self.report = json.loads(done.stdout)
        self.checks = {check["check"]: check for check in self.report["checks"]}

    def outcomes(self):
        return {name: check["outcome"] for name, check in self.checks.items()}


def scrape(ops):
    text = http("GET", f"http://127.0.0.1:{ops}/metrics")[2].decode()
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))


@pytest.fixture()
def planted(sql):
    """Changes behind the back of every trigger, and their undoing."""
    undo = []

    def plant(change, back):
        sql(f"SET session_replication_role = replica; {change}")
        undo.append(back)

    yield plant
    for back in reversed(undo):
        sql(f"SET session_replication_role = replica; {back}")


def test_a_day_of_purchases_refunds_and_usage_is_clean(till, buyer, sql):
    user, key = buyer
    page = till.buy(key)
    till.buy(key)
    till.comes_to(key, 2 * STARTER)
    payment = payment_of(sql, page["purchaseId"])
    till.stripe.client().v1.refunds.create({"payment_intent": payment, "amount": 333})
    till.comes_to(key, 2 * STARTER - 3_330_000)
    status, _, _ = http(
        "POST", till.serve.base + "/chat/completions",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}, {"Authorization": "Bearer " + key})
    assert status == 200
    wait_until(lambda: sql("SELECT 1 FROM usage_events WHERE user_id = %s", user), 20, "a settlement")
    got = Reconciled(till)
    assert got.code == 0, got.report
    assert list(got.checks) == CHECKS
    assert got.outcomes() == {name: "not_configured" if name == "openai_costs" else "clean" for name in CHECKS}
    assert got.report["mismatch_millicredits"] == "0" and got.report["complete"]
    (row,) = sql("SELECT is_clean, is_complete, source FROM reconciliation_run ORDER BY run_id DESC LIMIT 1")
    assert row == (True, True, "command")


def test_a_wrong_balance_is_found_with_its_row(till, buyer, planted, sql, dev):
    user, _ = buyer
    change = "UPDATE credit_balance SET balance_millicredits = balance_millicredits {} 7 WHERE user_id = '" + user + "'"
    planted(change.format("+"), change.format("-"))
    got = Reconciled(till)
    assert got.code == 1
    (row,) = got.checks["balances"]["rows"]
    assert user in row["subject"] and (row["expected"], row["found"], row["unit"]) == (0, 7, "millicredits")
    assert got.report["mismatch_millicredits"] == "7"
    (stored,) = sql(
        "SELECT f.expected, f.found FROM reconciliation_finding f WHERE check_name = 'balances' AND subject = %s",
        row["subject"])
    assert stored == (0, 7)
    text = dev.cli("reconcile", "--date", str(today()), check=False)
    assert text.returncode == 1 and user in text.stdout and "7 millicredits differ" in text.stdout


def test_a_payment_that_was_not_granted_is_found(till, buyer, sql):
    user, key = buyer
    till.stripe.control("delivery", on=False)
    try:
        page = till.buy(key)
        purchase = page["purchaseId"]
        got = Reconciled(till)
        assert got.code == 1
        (row,) = got.checks["payments"]["rows"]
        assert (row["expected"], row["found"], row["unit"]) == (999, 0, "cents")
        assert purchase in row["detail"] and "not granted" in row["detail"]
        assert got.checks["payments"]["mismatch_millicredits"] == str(999 * 10_000)
    finally:
        till.stripe.control("delivery", on=True)
    till.comes_to(key, STARTER)
    assert Reconciled(till).code == 0


def test_a_refund_that_was_not_taken_back_is_found(till, buyer, sql):
    _, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    till.stripe.settled()
    payment = payment_of(sql, page["purchaseId"])
    till.stripe.control("delivery", on=False)
    # Nor does the look of every five minutes find it, whenever it comes.
    till.stripe.control("api_faults", kind="error_500", calls=1000, method="GET", path="/v1/events")
    try:
        till.stripe.client().v1.refunds.create({"payment_intent": payment, "amount": 100})
        got = Reconciled(till)
        assert got.code == 1
        (row,) = got.checks["payments"]["rows"]
        assert (row["subject"], row["expected"], row["found"]) == (payment, 100, 0)
        assert "refunded" in row["detail"]
    finally:
        till.stripe.control("api_faults", clear=True)
        till.stripe.control("delivery", on=True)
    till.comes_to(key, STARTER - 1_000_000)
    assert Reconciled(till).code == 0


def test_a_dispute_whose_events_never_came_is_found(till, buyer, sql):
    _, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    till.stripe.settled()
    payment = payment_of(sql, page["purchaseId"])
    till.stripe.control("delivery", on=False)
    till.stripe.control("api_faults", kind="error_500", calls=1000, method="GET", path="/v1/events")
    try:
        till.stripe.control("dispute", payment=payment, action="open")
        got = Reconciled(till)
        assert got.code == 1
        (row,) = got.checks["payments"]["rows"]
        assert (row["subject"], row["expected"], row["found"], row["unit"]) == (payment, 999, 0, "cents")
        assert "dispute" in row["detail"]
    finally:
        till.stripe.control("api_faults", clear=True)
        till.stripe.control("delivery", on=True)
    wait_until(lambda: Reconciled(till).code == 0, 20, "the dispute's events")


def test_payments_of_other_products_are_nobodys_finding(till):
    """One account at Stripe may sell more than credits."""
    client = till.stripe.client()
    paid = client.v1.payment_intents.create({
        "amount": 777, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True,
        "payment_method_types": ["card"], "metadata": {"shop": "mugs"}})
    assert paid.status == "succeeded"
    client.v1.refunds.create({"payment_intent": paid.id, "amount": 7})
    got = Reconciled(till)
    assert got.code == 0, got.report


def test_a_payment_that_cannot_be_read_is_one_finding(till, buyer, sql):
    _, key = buyer
    pages = [till.buy(key), till.buy(key)]
    till.comes_to(key, 2 * STARTER)
    till.stripe.settled()
    broken, other = (payment_of(sql, page["purchaseId"]) for page in pages)
    till.stripe.control("delivery", on=False)
    try:
        till.stripe.control("api_faults", kind="error_500", calls=1000, path=f"/v1/payment_intents/{broken}")
        for payment in (broken, other):
            till.stripe.client().v1.refunds.create({"payment_intent": payment, "amount": 50})
        got = Reconciled(till)
        assert got.code == 1
        rows = {row["subject"]: row for row in got.checks["payments"]["rows"]}
        assert set(rows) == {broken, other}
        assert "unreadable" in rows[broken]["detail"] and "api_error" in rows[broken]["detail"]
        assert rows[other]["expected"] == 50
    finally:
        till.stripe.control("api_faults", clear=True)
        till.stripe.control("delivery", on=True)
    till.comes_to(key, 2 * STARTER - 1_000_000)


def test_what_arrives_while_it_is_compared_is_no_mismatch(till, buyer):
    _, key = buyer
    till.stripe.control("delivery", on=False)
    try:
        till.buy(key)

        def lists_of_disputes():
            return sum(call["path"] == "/v1/disputes" for call in till.stripe.log()["calls"])

        before = lists_of_disputes()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            late = pool.submit(Reconciled, till)
            # The lists of the first look are read, its disputes last.
            wait_until(lambda: lists_of_disputes() > before, 20, "the first look")
            till.stripe.control("delivery", on=True)
            got = late.result(60)
    finally:
        till.stripe.control("delivery", on=True)
    assert got.outcomes()["payments"] == "clean", got.report


def test_a_grant_without_a_payment_is_found(till, buyer, sql, planted):
    _, key = buyer
    page = till.buy(key)
    till.comes_to(key, STARTER)
    till.stripe.settled()  # a later event would put right what is planted
    purchase, payment = page["purchaseId"], payment_of(sql, page["purchaseId"])
    rename = "UPDATE purchase SET payment_intent_id = '{}' WHERE purchase_id = '" + purchase + "'"
    planted(rename.format("pi_nobody_paid"), rename.format(payment))
    got = Reconciled(till)
    rows = {row["subject"]: row for row in got.checks["payments"]["rows"]}
    assert got.code == 1 and set(rows) == {"pi_nobody_paid", payment}
    assert rows["pi_nobody_paid"]["found"] == STARTER and "without a payment" in rows["pi_nobody_paid"]["detail"]
    assert "not granted" in rows[payment]["detail"]


def test_stripe_out_of_reach_is_no_mismatch(till):
    got = Reconciled(till, STRIPE_API_BASE=f"http://127.0.0.1:{free_port()}")
    assert got.code == 69
    assert got.outcomes()["payments"] == "unavailable" and got.report["clean"] and not got.report["complete"]


def test_a_ledger_that_refuses_the_hold_stores_question_keeps_no_other_check_back(till, buyer, sql, redis):
    _, key = buyer
    http(
        "POST", till.serve.base + "/chat/completions",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}, {"Authorization": "Bearer " + key})
    assert list(redis.scan_iter("a:*"))
    # Whoever connects as this role is refused what only the hold store's check asks.
    sql("CREATE ROLE narrow LOGIN PASSWORD 'narrow'")
    try:
        sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO narrow")
        sql("GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO narrow")
        sql("REVOKE EXECUTE ON FUNCTION ledger_generation() FROM PUBLIC")
        url = re.sub(r"//[^@]*@", "//narrow:narrow@", till.dev.databaseURL)
        got = Reconciled(till, DATABASE_URL=url)
        outcomes = got.outcomes()
        assert (got.code, outcomes["hold_store"], outcomes["payments"]) == (69, "unavailable", "clean"), got.report
        assert "42501" in got.checks["hold_store"]["rows"][0]["detail"]
    finally:
        sql("GRANT EXECUTE ON FUNCTION ledger_generation() TO PUBLIC")
        sql("DROP OWNED BY narrow")
        sql("DROP ROLE narrow")


def test_sides_that_are_not_set_are_said_to_be(till):
    got = Reconciled(till, STRIPE_SECRET_KEY="", REDIS_URL="")
    assert got.code == 0
    outcomes = got.outcomes()
    assert (outcomes["payments"], outcomes["hold_store"]) == ("not_configured", "not_configured")


def test_a_balance_in_redis_that_is_not_the_ledgers_is_found(till, buyer, redis, sql):
    user, key = buyer
    till.dev.cli("account", "adjust", "--user", user, "--millicredits=50000", "--reason", "x", "--idempotency-key", user)
    http(
        "POST", till.serve.base + "/chat/completions",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}, {"Authorization": "Bearer " + key})
    account = sql("SELECT account_id FROM account WHERE user_id = %s", user)[0][0]
    (name,) = [name for name in redis.scan_iter("*") if re.search(rf"\b{account}\b", name) and redis.type(name) == "hash"]
    wait_until(lambda: sql("SELECT 1 FROM usage_events WHERE user_id = %s", user), 20, "a settlement")
    wait_until(lambda: Reconciled(till).code == 0, 20, "rest")
    redis.hincrby(name, "p", 5)
    try:
        got = Reconciled(till)
        assert got.code == 1 and got.outcomes()["hold_store"] == "mismatch"
        (row,) = [row for row in got.checks["hold_store"]["rows"] if row["subject"] == f"account {account}"]
        assert row["found"] - row["expected"] == 5 and row["unit"] == "millicredits"
        assert row["detail"].startswith("R3 ") and got.checks["hold_store"]["mismatch_millicredits"] == "5"
    finally:
        redis.hincrby(name, "p", -5)
    # What was on its way when it was looked at first is gone when it is looked at again.
    redis.hincrby(name, "p", 5)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        looked = redis.info("commandstats")["cmdstat_hgetall"]["calls"] + len(list(redis.scan_iter("a:*")))
        late = pool.submit(Reconciled, till)
        try:
            wait_until(lambda: redis.info("commandstats")["cmdstat_hgetall"]["calls"] >= looked, 20, "the first look")
        finally:
            redis.hincrby(name, "p", -5)
        got = late.result(60)
    assert got.outcomes()["hold_store"] == "clean", got.report


def test_costs_of_openai_are_compared_to_the_micro_dollar(till, tmp_path, dev, sql):
    dev.cli("books", "run")
    day = today()
    (cost,), = sql(
        "SELECT coalesce(sum(l.amount_microusd), 0) FROM journal_entry e JOIN journal_line l USING (entry_key) "
        "WHERE e.kind = 'cost' AND e.day = %s AND l.book_account = 'expenses:openai'", day)
    cost = int(cost)
    assert cost > 0
    file = tmp_path / "costs.csv"

    def export(amount):
        file.write_text(f"day,amount_usd\n{day},{amount // 10**6}.{amount % 10**6:06}\n")
        return dev.cli("reconcile", "import-openai-costs", file)

    try:
        assert "1 day imported" in export(cost).stdout
        assert Reconciled(till).outcomes()["openai_costs"] == "clean"
        export(cost + 1)
        got = Reconciled(till)
        (row,) = got.checks["openai_costs"]["rows"]
        assert got.code == 1 and (row["subject"], row["expected"], row["found"]) == (str(day), cost + 1, cost)
        assert re.search(r"-\d+\.\d\d%", row["detail"])
        file.write_text("day,amount_usd\n2026-02-30,1\n")
        bad = dev.cli("reconcile", "import-openai-costs", file, check=False)
        assert bad.returncode == 1 and "notADay" in bad.stderr
    finally:
        sql("DELETE FROM openai_cost")


@pytest.fixture()
def unpostable(till, buyer, dev, sql, planted):
    """A settled call of today whose costs cannot be posted: another entry has the key that theirs would get."""
    user, key = buyer
    dev.cli("books", "run")
    day = today()
    entries = sql("SELECT count(*) FROM journal_entry WHERE kind = 'cost' AND day = %s", day)[0][0]
    taken = f"cost:{day}:{entries + 1}"
    planted(
        f"INSERT INTO journal_entry (entry_key, day, kind) VALUES ('{taken}', '{day}', 'withdrawal')",
        f"DELETE FROM journal_entry WHERE entry_key = '{taken}'")
    dev.cli("account", "adjust", "--user", user, "--millicredits=50000", "--reason", "x", "--idempotency-key", user)
    status, _, _ = http(
        "POST", till.serve.base + "/chat/completions",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}, {"Authorization": "Bearer " + key})
    assert status == 200
    wait_until(lambda: sql("SELECT 1 FROM usage_events WHERE user_id = %s", user), 20, "a settlement")
    return day


def test_costs_that_cannot_be_posted_are_no_mismatch(till, unpostable, dev, sql, tmp_path):
    file = tmp_path / "costs.csv"
    file.write_text(f"day,amount_usd\n{unpostable},1000\n")
    dev.cli("reconcile", "import-openai-costs", file)
    try:
        costs = Reconciled(till).checks["openai_costs"]
        assert costs["outcome"] == "unavailable" and "the costs could not be posted" in costs["rows"][0]["detail"]
    finally:
        sql("DELETE FROM openai_cost")


@pytest.mark.usefixtures("unpostable")
def test_costs_that_cannot_be_posted_hold_no_gauge_back(dev, sql):
    assert "23505" in dev.cli("books", "run", check=False).stderr
    begun = sql("UPDATE job_lease SET until = now() - interval '1 second' WHERE job = 'books' RETURNING now()")[0][0]
    with running(Serve(dev, JOURNAL_DIR=str(dev.directory / "gauge-journal"))) as serve:
        wait_until(lambda: sql("SELECT 1 FROM finance_reading WHERE read_at > %s", begun), 30, "the figures")
        wait_until(lambda: float(scrape(serve.ops).get("finance_read_seconds", 0)) > begun.timestamp() - 1, 30, "gauges")


def test_hledger_accepts_the_export_and_comes_to_our_balances(till, buyer, dev, tmp_path):
    _, key = buyer
    till.buy(key)
    till.comes_to(key, STARTER)
    dev.cli("books", "run")
    file = tmp_path / "books.journal"
    dev.cli("books", "export", "--format", "hledger", "--output", file)
    assert [path.name for path in tmp_path.iterdir()] == ["books.journal"]

    def hledger(*arguments):
        done = subprocess.run(["hledger", "-f", file, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    hledger("check", "--strict", "ordereddates", "payees")
    assert "liabilities:deferred revenue" in hledger("balancesheet")
    ours = json.loads(dev.cli("books", "balance", "--json").stdout)
    assert ours["difference_usd"] == "0.000000" and ours["lag_lines"] == 0
    theirs = dict(csv.reader(io.StringIO(hledger("balance", "--no-total", "-E", "--flat", "-O", "csv"))))
    for row in ours["accounts"]:
        shown = theirs[row["account"]].replace("USD", "").replace(",", "").strip()
        assert float(shown or 0) == float(row["balance_usd"]), row
    assert float(ours["deferred_revenue_usd"]) > 0
    # A wrong amount must not pass: the last transaction asserts every balance.
    file.write_text(file.read_text().replace("USD 9.990000", "USD 9.980000", 1))
    assert subprocess.run(["hledger", "-f", file, "check"], capture_output=True, timeout=60).returncode != 0


def test_the_csv_export_has_each_day_it_was_asked_for(dev, sql):
    rows = list(csv.DictReader(io.StringIO(dev.cli("books", "export", "--format", "csv").stdout)))
    assert len(rows) == sql("SELECT count(*) FROM journal_line")[0][0] > 0
    assert sum(round(float(row["debit_usd"] or 0) * 10**6) - round(float(row["credit_usd"] or 0) * 10**6) for row in rows) == 0
    tomorrow = str(today() + datetime.timedelta(days=1))
    assert len(dev.cli("books", "export", "--format", "csv", "--from", tomorrow).stdout.splitlines()) == 1
    assert dev.cli("books", "export", "--format", "csv", "--to", "soon", check=False).returncode == 64


def test_serve_keeps_the_books_reconciles_yesterday_once_and_tells_it(till, dev, sql):
    yesterday = sql("SELECT ((now() - interval '15 minutes') AT TIME ZONE 'UTC')::date - 1")[0][0]
    daily = "SELECT count(*) FROM reconciliation_run WHERE source = 'daily' AND is_complete AND day = %s"
    wait_until(lambda: sql(daily, yesterday)[0][0] == 1, 30, "yesterday's reconciliation")
    user = f"user-{uuid.uuid4().hex[:8]}"
    dev.account(user, credits=5)
    owed = "SELECT sum(greatest(balance_millicredits, 0)) FROM credit_balance"
    stored = "SELECT liability_microusd FROM finance_reading"

    def another(name):
        return running(
            Serve(
                dev, JOURNAL_DIR=str(dev.directory / name), STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET,
                STRIPE_API_BASE=till.stripe.url))

    # Another instance has the lease: this one tells what that one has read.
    sql("UPDATE job_lease SET holder = 'another', until = now() + interval '10 minutes' WHERE job = 'books'")
    # Of yesterday nothing is in this ledger: a margin that the other instance cannot have read, and a loss.
    sql("UPDATE finance_reading SET margin_microusd = -1234567")
    before = sql(stored)[0][0]
    assert before != sql(owed)[0][0]
    with another("reading-journal") as serve:
        wait_until(lambda: "books_lag_lines" in scrape(serve.ops), 30, "gauges")
        seen = scrape(serve.ops)
        assert round(float(seen["finance_liability_credits_usd"]) * 10**6) == before == sql(stored)[0][0]
        assert seen["finance_margin_daily_usd"] == "-1.234567"
        assert float(seen["finance_read_seconds"]) > 1_700_000_000
    sql("UPDATE job_lease SET until = now() - interval '1 second' WHERE job = 'books'")
    with another("books-journal") as serve:
        wait_until(lambda: "books_lag_lines" in scrape(serve.ops), 30, "gauges")
        seen = scrape(serve.ops)
    assert sql(daily, yesterday)[0][0] == 1
    outstanding = sql(owed)[0][0]
    assert round(float(seen["finance_liability_credits_usd"]) * 10**6) == outstanding
    ours = json.loads(dev.cli("books", "balance", "--json").stdout)
    assert float(seen["finance_deferred_revenue_usd"]) == float(ours["deferred_revenue_usd"])
    ((margin,),) = sql("SELECT margin_microusd FROM finance_reading")
    assert round(float(seen["finance_margin_daily_usd"]) * 10**6) == margin != -1234567
    assert float(seen["reconciliation_last_success_seconds"]) > 1_700_000_000
    assert seen['reconciliation_findings{check="balances"}'].isdigit()
    told = sql("""
        SELECT sum(mismatch) FROM (
            SELECT DISTINCT ON (check_name) r.mismatch_millicredits AS mismatch
            FROM reconciliation_run JOIN reconciliation_result r USING (run_id)
            WHERE outcome IN ('clean', 'mismatch')
            ORDER BY check_name, CASE WHEN check_name IN ('usage', 'openai_costs') THEN day END DESC, run_id DESC
        ) newest""")[0][0]
    assert int(seen["reconciliation_mismatch_millicredits"]) == told


def test_a_day_that_has_not_begun_is_refused(dev, sql):
    runs = sql("SELECT count(*) FROM reconciliation_run")
    later = str(today() + datetime.timedelta(days=2))
    for date, complaint in ((later, f"--date {later} has not begun yet"), ("yesterday", "--date must be a day")):
        done = dev.cli("reconcile", "--date", date, check=False)
        assert done.returncode == 64 and complaint in done.stderr, done.stderr
    assert sql("SELECT count(*) FROM reconciliation_run") == runs


def test_days_on_which_nobody_ran_are_made_up_for(till, dev, sql, planted):
    planted(
        "UPDATE account SET created_at = created_at - interval '4 days'",
        "UPDATE account SET created_at = created_at + interval '4 days'")
    first = sql("SELECT (created_at AT TIME ZONE 'UTC')::date FROM account ORDER BY account_id LIMIT 1")[0][0]
    due = sql("SELECT ((now() - interval '15 minutes') AT TIME ZONE 'UTC')::date - 1")[0][0]
    missed = [first + datetime.timedelta(days=days) for days in range((due - first).days + 1)]
    assert len(missed) >= 3
    sql("UPDATE job_lease SET until = now() - interval '1 second' WHERE job = 'reconcile'")
    runs = "SELECT day FROM reconciliation_run WHERE source = 'daily' AND is_complete ORDER BY run_id"
    with running(
        Serve(
            dev, JOURNAL_DIR=str(dev.directory / "missed-journal"), STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET,
            STRIPE_API_BASE=till.stripe.url)):
        wait_until(lambda: set(missed) <= {row[0] for row in sql(runs)}, 60, "all missed days")
    days = [row[0] for row in sql(runs)]
    # The due day was done before; the others follow in their order, each once.
    assert [day for day in days if day != due] == missed[:-1] and len(days) == len(missed)
