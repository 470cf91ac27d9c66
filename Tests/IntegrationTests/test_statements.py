"""Statements and history, over HTTP and from the command line, against sums of the ledger's own tables."""
import csv
import io
import json
import subprocess
import uuid

import pytest

from calendar_tools import clear_of_midnight, this_month
from harness import BIN, Serve, free_port, http, running, wait_until
from sdk_tools import patient_sdk
from stripe_tools import LIVE_KEY, SECRET, MockStripe


@pytest.fixture(scope="module")
def month():
    """The one that all of this happens in."""
    clear_of_midnight(4)
    return this_month()


@pytest.fixture(scope="module")
def shop(dev, tmp_path_factory):
    """A proxy that sells, whose statements have a letterhead."""
    port = free_port()
    stripe = MockStripe(tmp_path_factory.mktemp("shop"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    serve = Serve(
        dev, port, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET, STRIPE_API_BASE=stripe.url,
        JOURNAL_DIR=str(dev.directory / "shop-journal"), STATEMENT_NAME="Example Metering Ltd",
        STATEMENT_ADDRESS="1 Main Street|Springfield")
    with running(serve):
        serve.stripe = stripe
        yield serve
    stripe.stop()


@pytest.fixture(scope="module")
def customer(dev, shop, month):
    """Bought, used, refunded in part, adjusted."""
    user = f"customer-{uuid.uuid4().hex[:8]}"
    key = dev.account(user, credits=5)
    get = lambda path: http("GET", shop.root + path, headers={"Authorization": "Bearer " + key}, timeout=30)  # noqa: E731
    balance = lambda: int(json.loads(get("/api/billing/summary")[2])["balanceMillicredits"])  # noqa: E731
    body = {"packageCode": "starter", "successUrl": shop.root + "/ok", "cancelUrl": shop.root + "/no"}
    status, _, reply = http(
        "POST", shop.root + "/api/stripe/create-checkout-session", body, {"Authorization": "Bearer " + key}, timeout=60)
    assert status == 200, reply
    page = json.loads(reply)
    shop.stripe.press(page["url"], "card")
    wait_until(lambda: balance() == 9_995_000, 30, "the purchase")
    client = patient_sdk(key, shop.base)
    for model in ("gpt-4o-mini", "gpt-4o", "gpt-4o-mini"):
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=16)
    session = shop.stripe.client().v1.checkout.sessions.retrieve(page["sessionId"])
    shop.stripe.client().v1.refunds.create({"payment_intent": session.payment_intent, "amount": 333})
    wait_until(lambda: balance() < 6_665_000, 30, "refund and usage")
    dev.cli("account", "adjust", "--user", user, "--millicredits=-7", "--reason", "internal note", "--idempotency-key", user)
    return type("Customer", (), dict(user=user, key=key, get=staticmethod(get), purchase=page["purchaseId"]))


@pytest.fixture()
def at_rest(customer, sql):
    """Three settlements are there, and nothing is on its way."""
    wait_until(
        lambda: sql("SELECT count(*) FROM usage_events WHERE user_id = %s AND kind <> 'void'", customer.user)[0][0] == 3,
        20, "three settlements")
    return sql("SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", customer.user)[0][0]


def test_the_json_is_what_the_ledger_says(customer, at_rest, sql, month):
    status, headers, body = customer.get(f"/api/billing/statements/{month}.json")
    assert status == 200 and headers["content-type"] == "application/json"
    page = json.loads(body)
    assert page["isFinal"] is False and page["userId"] == customer.user and page["month"] == month
    assert int(page["closingMillicredits"]) == at_rest and int(page["openingMillicredits"]) == 0
    [bought] = page["purchases"]
    assert bought["package"] == "Starter" and bought["paidUsdCents"] == 999 and bought["reference"] == customer.purchase
    assert bought["receiptUrl"].startswith("http") and int(bought["amountMillicredits"]) == 9_990_000
    used = sql(
        "SELECT model, count(*), sum(input_tokens)::bigint, sum(output_tokens)::bigint, sum(charged_millicredits)::bigint "
        "FROM usage_events WHERE user_id = %s GROUP BY model ORDER BY model", customer.user)
    assert used == [
        (u["model"], u["calls"], u["inputTokens"], u["outputTokens"], int(u["chargedMillicredits"]))
        for u in page["usageByModel"]]
    [refund] = page["refunds"]
    assert int(refund["amountMillicredits"]) == -3_330_000 and refund["cashUsd"] == 3.33
    assert sorted(int(row["amountMillicredits"]) for row in page["adjustments"]) == [-7, 5000]
    assert "internal note" not in body.decode(), "what a colleague wrote"


def test_the_csv_re_adds(customer, at_rest, month):
    status, headers, body = customer.get(f"/api/billing/statements/{month}.csv")
    assert status == 200 and headers["content-type"].startswith("text/csv")
    assert headers["content-disposition"].startswith(f'attachment; filename="statement-{month}-')
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert rows[-1]["section"] == "closing" and rows[-1]["text"] == "not final"
    assert sum(int(row["amount_millicredits"]) for row in rows[:-1]) == int(rows[-1]["amount_millicredits"]) == at_rest


def text_of(pdf, tmp_path):
    file = tmp_path / "statement.pdf"
    file.write_bytes(pdf)
    return subprocess.run(["pdftotext", "-layout", file, "-"], capture_output=True, text=True, check=True).stdout


def test_the_pdf_shows_the_closing_balance(customer, at_rest, tmp_path, month):
    status, headers, body = customer.get(f"/api/billing/statements/{month}.pdf")
    assert status == 200 and headers["content-type"] == "application/pdf"
    text = text_of(body, tmp_path)
    [closing] = [line for line in text.splitlines() if "Closing balance" in line]
    assert f"{at_rest // 1000:,}.{at_rest % 1000:03}" in closing, closing
    for words in ("Example Metering Ltd", "Springfield", "Not final", customer.user, "gpt-4o-mini"):
        assert words in text, words


@pytest.mark.parametrize("name", ["2999-01.csv", "2001-01.pdf", "2026-13.csv", "{month}.xls", "{month}"])
def test_what_is_no_statement_is_404(customer, name, month):
    status, _, body = customer.get("/api/billing/statements/" + name.format(month=month))
    assert status == 404 and json.loads(body)["code"] == "statement_not_found"


def test_a_statement_needs_its_owners_key(shop, customer, dev, month):
    path = f"{shop.root}/api/billing/statements/{month}.json"
    assert http("GET", path)[0] == 401
    other = dev.account(f"other-{uuid.uuid4().hex[:8]}")
    body = json.loads(http("GET", path, headers={"Authorization": "Bearer " + other})[2])
    assert body["userId"] != customer.user and body["purchases"] == []
    denied = http("GET", path + "?userId=" + customer.user, headers={"Authorization": "Bearer " + other})
    assert denied[0] == 403
    admin = http("GET", path + "?userId=" + customer.user, headers={"Authorization": "Bearer " + dev.adminToken})
    assert json.loads(admin[2])["userId"] == customer.user


def test_the_ledger_is_paged_without_gaps(customer, at_rest, sql):
    expected = sql(
        "SELECT version, type, amount_millicredits::text FROM credit_ledger WHERE user_id = %s ORDER BY version DESC",
        customer.user)
    seen, cursor = [], ""
    while True:
        page = json.loads(customer.get("/api/billing/ledger?limit=2" + cursor)[2])
        seen += page["entries"]
        if page["nextCursor"] is None:
            break
        cursor = "&cursor=" + page["nextCursor"]
    assert [(e["version"], e["type"], e["amountMillicredits"]) for e in seen] == expected
    [bought] = json.loads(customer.get("/api/billing/ledger?type=purchase")[2])["entries"]
    assert bought["purchaseId"] == customer.purchase and bought["receiptUrl"].startswith("http")
    assert json.loads(customer.get("/api/billing/ledger?to=2001-01-01")[2])["entries"] == []
    status, _, body = customer.get("/api/billing/ledger?type=gift")
    assert status == 400 and json.loads(body)["param"] == "type"


# The command line


def test_the_command_writes_what_the_api_shows(dev, customer, at_rest, tmp_path, month):
    for form in ("csv", "json"):
        done = dev.cli("statement", "--user", customer.user, "--month", month, "--format", form)
        assert done.stdout.strip() == customer.get(f"/api/billing/statements/{month}.{form}")[2].decode().replace("\r\n", "\n").strip()
    file = tmp_path / "s.pdf"
    dev.cli(
        "statement", "--user", customer.user, "--month", month, "--format", "pdf", "--output", file,
        STATEMENT_NAME="Another Name")
    assert "Another Name" in text_of(file.read_bytes(), tmp_path)


def test_all_statements_add_up_to_all_balances(dev, customer, at_rest, sql, tmp_path, month):
    def balances():
        """User → balance and version, of all that anything happened to."""
        return {user: rest for user, *rest in sql(
            "SELECT user_id, balance_millicredits, version FROM credit_balance b WHERE EXISTS "
            "(SELECT 1 FROM credit_ledger l WHERE l.account_id = b.account_id)")}

    before = balances()
    done = dev.cli("statement", "--all", "--month", month, "--format", "json", "--output", tmp_path / "all")
    after = balances()
    pages = [json.loads(file.read_text()) for file in (tmp_path / "all").iterdir()]
    assert f"{len(pages)} statements" in done.stdout
    closing = {page["userId"]: int(page["closingMillicredits"]) for page in pages}
    assert closing.keys() >= before.keys()
    # A settlement of an earlier file may still arrive meanwhile.
    still = {user: balance for user, (balance, version) in before.items() if after[user] == [balance, version]}
    assert customer.user in still and len(still) > len(before) / 2
    assert closing.items() >= still.items()


@pytest.mark.parametrize("arguments, code, words", [
    (["--month", "{month}"], 64, "--user or --all"), (["--user", "x", "--month", "2026-3"], 64, "YYYY-MM"),
    (["--all", "--month", "{month}"], 64, "--output"), (["--user", "nobody-here", "--month", "{month}"], 1, "no account"),
    (["--user", "demo", "--month", "2999-01"], 1, "no statement"), (["--all", "--month", "2999-01", "--output", "/tmp/none"], 1, "not begun")])
def test_wrong_commands_say_why(dev, month, arguments, code, words):
    done = dev.cli("statement", *(argument.format(month=month) for argument in arguments), check=False)
    assert done.returncode == code and words in done.stderr, done.stderr


def test_a_wrong_letterhead_is_found_at_start(dev, tmp_path):
    logo = tmp_path / "logo.png"
    logo.write_text("no picture")
    env = dev.environment(STATEMENT_LOGO=str(logo), STATEMENT_ADDRESS="|".join("123456789"), LISTEN="127.0.0.1:0")
    done = subprocess.run([BIN / "tollgate", "serve"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 78
    assert "STATEMENT_LOGO" in done.stderr and "STATEMENT_ADDRESS" in done.stderr
