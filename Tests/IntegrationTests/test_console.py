"""The admin console as people see it, in a real browser: from an invitation to a switch, a card, a refund and a
suspension, with every page on a phone and on a desktop, in light and in the dark."""
import datetime
import html
import http.client as client
import json
import re
import types
import urllib.parse
import uuid

import pytest
from playwright.sync_api import expect

from harness import Serve, free_port, http, running, wait_until
from ledger_tools import connected
from portal_tools import DESKTOP, PHONE, Visitor, chromium
from staff_tools import Person, totp
from stripe_tools import LIVE_KEY, SECRET, MockStripe

# Every page with the least role that may open it; that there are no others, a test looks.
PAGES = {
    "/admin": "viewer", "/admin/accounts": "viewer", "/admin/accounts/{account}": "viewer",
    "/admin/purchases": "viewer", "/admin/reviews": "viewer", "/admin/flags": "viewer", "/admin/audit": "viewer",
    "/admin/audit/verification": "viewer", "/admin/events": "viewer", "/admin/rate-cards": "viewer",
    "/admin/rate-cards/{card}": "viewer", "/admin/reconciliation": "viewer", "/admin/reconciliation/{run}": "viewer",
    "/admin/operations": "viewer", "/admin/shadow-report": "viewer", "/admin/new-account": "support", "/admin/accounts/{account}/status": "support",
    "/admin/accounts/{account}/limits": "support", "/admin/accounts/{account}/holds": "support",
    "/admin/accounts/{account}/new-key": "support", "/admin/keys/{key}/revoke": "support",
    "/admin/reviews/decide": "support", "/admin/events/replay": "support",
    "/admin/events/dismiss": "finance",
    "/admin/accounts/{account}/adjust": "finance", "/admin/purchases/{purchase}/refund": "finance",
    "/admin/finance": "finance", "/admin/rate-card-editor": "finance", "/admin/flags/{flag}": "owner",
}
ROLES = ["viewer", "support", "finance", "owner"]
EVIL = "<img src=x onerror=alert(1)>"
CHARGING = "BILLING_CHARGING_ENABLED"


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def shop(dev, tmp_path_factory):
    """A proxy on the stack's stores that sells through a mock of its own."""
    port = free_port()
    stripe = MockStripe(
        tmp_path_factory.mktemp("shop"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    serve = Serve(
        dev, port, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET, STRIPE_API_BASE=stripe.url,
        JOURNAL_DIR=str(dev.directory / "console-journal"), BILLING_DAILY_CAP="5000000")
    serve.stripe = stripe
    with running(serve):
        yield serve
    stripe.stop()


@pytest.fixture(scope="module")
def people(dev, shop):
    suffix = uuid.uuid4().hex[:8]
    return {role: Person(shop.root, dev.cli, f"{role}-{suffix}", role).sign_in() for role in ROLES}


@pytest.fixture(autouse=True)
def nobody_waits(people, sql):
    """All sign-ins of a run come from one address."""
    sql("DELETE FROM sign_in_limit")


@pytest.fixture()
def visitor(browser, shop, people):
    """Makes visitors who are signed in, whose pages must have been in order to the last."""
    made = []

    def make(role=None, **how):
        someone = Visitor(browser, shop.stripe.url, **how)
        if role:
            name, value = people[role].cookie.split("=")
            someone.context.add_cookies([{"name": name, "value": value, "url": shop.root}])
        made.append(someone)
        return someone

    yield make
    for one in made:
        assert not one.complaints, one.complaints
        one.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Where screenshots go, for whoever wants to look at them."""
    return tmp_path_factory.mktemp("console")


@pytest.fixture()
def user(dev):
    name = f"console-{uuid.uuid4().hex[:8]}"
    return types.SimpleNamespace(name=name, key=dev.account(name, 2_000))


@pytest.fixture()
def one_entry(people, sql):
    """Whoever changes something leaves one entry, with their name and reason, and nothing else in the log."""
    begin = sql("SELECT coalesce(max(entry_id), 0) FROM audit_log")[0][0]

    def look(role, action, reason):
        rows = sql(
            "SELECT action, reason FROM audit_log WHERE actor = %s AND entry_id > %s",
            f"staff:{people[role].name}", begin)
        assert rows == [(action, reason)], rows

    return look


def because():
    """A reason that nothing else has."""
    return f"as the test says, {uuid.uuid4().hex}"


def number(sql, user):
    return sql("SELECT account_id FROM account WHERE user_id = %s", user)[0][0]


def ask(shop, key, model="gpt-4o-mini"):
    body = {"model": model, "max_tokens": 16, "messages": [{"role": "user", "content": "Hello"}]}
    return http("POST", shop.base + "/chat/completions", body, {"Authorization": "Bearer " + key})


def not_charged(dev, shop, key):
    """Asks until one was waived."""
    dev.cli("flag", "set", CHARGING, "false", "--reason", "a test of the comparison")
    try:
        wait_until(lambda: ask(shop, key)[1]["x-tollgate-waived"] is not None, 20, "the switch")
    finally:
        dev.cli("flag", "clear", CHARGING, "--reason", "a test of the comparison")


def buy(shop, key):
    """A package that is paid for at once."""
    order = {
        "packageCode": "starter", "successUrl": shop.root + "/billing?success=true",
        "cancelUrl": shop.root + "/billing"}
    status, _, reply = http(
        "POST", shop.root + "/api/stripe/create-checkout-session", order, {"Authorization": "Bearer " + key})
    assert status == 200, reply
    shop.stripe.press(json.loads(reply)["url"], "card")


def dead_event(sql):
    """A dead letter about a purchase that nobody knows."""
    event = f"evt_{uuid.uuid4().hex}"
    sql("INSERT INTO stripe_event (event_id, type, livemode, happened_at, source, purchase_id, outcome, reason) "
        "VALUES (%s, 'charge.refunded', true, now() - interval '60 days', 'webhook', %s, 'dead', 'not_found')",
        event, str(uuid.uuid4()))
    return event


def open_review(sql, account):
    sql("INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier) "
        "VALUES (%s, current_date, 90000, 1500, 10)", account)


def field(page, name):
    return page.locator(f"main [name={name}]")


def go_through(someone, verb, reason):
    """From a form that is filled in to the change."""
    page = someone.page
    field(page, "reason").fill(reason)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Please confirm")).to_be_visible()
    expect(page.get_by_text(reason)).to_be_visible()
    someone.check(f"the question before {verb}")
    page.get_by_role("button", name=verb).click()


# People


@pytest.mark.parametrize("scripts", [True, False])
def test_from_an_invitation_to_a_session(dev, shop, visitor, scripts):
    name = f"new-{uuid.uuid4().hex[:8]}"
    link = dev.cli("staff", "create", "--email", f"{name}@example.com", "--name", name, "--role", "support").stdout
    token = link.strip().split("#")[-1]
    someone = visitor(scripts=scripts)
    page = someone.page
    page.goto(f"{shop.root}/admin/enrol#{token}")
    if scripts:
        expect(field(page, "token")).to_have_value(token)
        assert token not in page.url
    else:
        field(page, "token").fill(token)
    someone.check("invitation")
    page.get_by_role("button", name="Begin").click()
    someone.check("enrolment")
    url = page.get_by_role("link", name="Add to an authenticator").get_attribute("href")
    secret = urllib.parse.parse_qs(urllib.parse.urlparse(url).query)["secret"][0]
    field(page, "password").fill(Person.password)
    field(page, "code").fill(totp(secret, offset=-1))
    page.get_by_role("button", name="Enrol").click()
    expect(page.locator(".codes li")).to_have_count(10)
    recovery = page.locator(".codes li").first.text_content().strip()
    someone.check("recovery codes")
    field(page, "enrolled").check()
    page.get_by_role("button", name="Go on to sign in").click()
    for code in (totp(secret), recovery):
        page.goto(shop.root + "/admin/flags")
        someone.check("entrance")
        field(page, "email").fill(f"{name}@example.com")
        field(page, "password").fill(Person.password)
        field(page, "code").fill(code)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Kill switches")).to_be_visible()
        assert page.url == shop.root + "/admin/flags"
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_whoever_is_wrong_is_not_let_in(shop, people, visitor):
    someone = visitor()
    page = someone.page
    page.goto(shop.root + "/admin")
    field(page, "email").fill(people["viewer"].email)
    field(page, "password").fill("not the password at all")
    field(page, "code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    expect(field(page, "email")).to_have_value(people["viewer"].email)
    # Chromium says in its console that it was a 401.
    assert len(someone.complaints) == 1 and "401" in someone.complaints.pop()
    someone.check("refusal")


def test_a_change_by_keyboard_only(dev, shop, visitor, user, sql):
    """From the entrance, with a code, to a suspension: Tab, Space and Enter, and one sees where one is."""
    person = Person(shop.root, dev.cli, f"keys-{uuid.uuid4().hex[:8]}", "support")
    someone, reason = visitor(), because()
    page, keys = someone.page, someone.keys
    page.goto(shop.root + "/admin/accounts?prefix=" + user.name)
    keys.to("Skip to content")
    keys.to("Email", person.email)
    keys.to("Password", person.password)
    keys.to("Code", totp(person.secret))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Accounts", level=1)).to_be_visible()
    # Past the navigation at once.
    keys.to("Skip to content")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    keys.to(user.name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    keys.to("Suspend")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Status of an account", level=1)).to_be_visible()
    keys.to("New status")
    keys.to("Reason", reason)
    keys.to("Continue")
    page.keyboard.press("Space")
    expect(page.get_by_role("heading", name="Please confirm")).to_be_visible()
    keys.to("Set it")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The status is set.")).to_be_visible()
    assert sql("SELECT status FROM account WHERE user_id = %s", user.name) == [("suspended",)]
    assert sql("SELECT actor, action FROM audit_log WHERE reason = %s", reason) == [
        (f"staff:{person.name}", "account.change")]
    keys.to("Sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


# What people change


@pytest.mark.parametrize("scripts", [True, False])
def test_a_switch_acts_on_the_next_request(dev, shop, visitor, user, people, sql, scripts):
    someone = visitor("owner", scripts=scripts)
    page = someone.page
    try:
        for value, text in (("false", "Nobody is charged"), ("true", "Requests are charged")):
            reason = because()
            page.goto(shop.root + "/admin/flags")
            page.get_by_role("link", name=CHARGING).click()
            field(page, "value").select_option(value)
            field(page, "reason").fill(reason)
            page.get_by_role("button", name="Continue").click()
            expect(page.get_by_text(text)).to_be_visible()
            assert sql("SELECT count(*) FROM audit_log WHERE reason = %s", reason) == [(0,)], "not before it is confirmed"
            page.get_by_role("button", name="Change it").click()
            expect(page.get_by_text("The flag is changed")).to_be_visible()
            wait_until(
                lambda: (ask(shop, user.key)[1]["x-tollgate-waived"] is not None) == (value == "false"), 20,
                "the switch")
            assert sql("SELECT actor, action, subject FROM audit_log WHERE reason = %s", reason) == [
                (f"staff:{people['owner'].name}", "flag.set", f"flag:{CHARGING}")]
    finally:
        dev.cli("flag", "clear", CHARGING, "--reason", "a test of the switch")


def change_flag(someone, name, value):
    """Its reason."""
    page, reason = someone.page, because()
    page.goto(urllib.parse.urljoin(page.url, "/admin/flags"))
    page.get_by_role("link", name=name).click()
    field(page, "value").fill(value)
    go_through(someone, "Change it", reason)
    expect(page.get_by_text("The flag is changed")).to_be_visible()
    return reason


def test_a_cohort_is_set_by_percentage_and_by_list(dev, shop, visitor, user, people, sql):
    someone = visitor("owner")
    someone.page.goto(shop.root + "/admin")
    names = ["BILLING_ROLLOUT_PERCENTAGE", "BILLING_ALLOWLIST"]
    begin = sql("SELECT max(entry_id) FROM audit_log")[0][0]
    reasons = []
    try:
        for name, value, is_waived in ((names[0], "0", True), (names[1], f"{user.name},somebody", False)):
            reasons.append(change_flag(someone, name, value))
            wait_until(
                lambda: (ask(shop, user.key)[1]["x-tollgate-waived"] is not None) == is_waived, 20, f"{name}={value}")
        assert sql(
            "SELECT action, subject, reason FROM audit_log WHERE actor = %s AND entry_id > %s ORDER BY entry_id",
            f"staff:{people['owner'].name}", begin) == [
                ("flag.set", f"flag:{name}", reason) for name, reason in zip(names, reasons)]
    finally:
        for name in names:
            dev.cli("flag", "clear", name, "--reason", "a test of the cohort")


def test_a_question_leads_back_to_what_was_typed(shop, visitor, user, sql, balance):
    page = visitor("finance", scripts=False).page
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}/adjust")
    field(page, "amount").fill("12.5")
    field(page, "reason").fill("a typing error")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Back to the form").click()
    expect(field(page, "amount")).to_have_value("12.5")
    expect(field(page, "reason")).to_have_value("a typing error")
    assert balance(user.name) == 2_000_000


def test_a_balance_is_adjusted_once(shop, people, visitor, user, sql, balance, one_entry):
    someone, reason = visitor("finance"), because()
    page = someone.page
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}/adjust")
    field(page, "amount").fill("-0.5")
    with page.expect_request(lambda request: "step=do" in (request.post_data or "")) as sent:
        go_through(someone, "Adjust it", reason)
    expect(page.get_by_text("The balance is adjusted.")).to_be_visible()
    # As a browser that lost the answer, and sends the form again.
    status, _, again = http(
        "POST", sent.value.url, sent.value.post_data.encode(),
        {"cookie": people["finance"].cookie, "content-type": "application/x-www-form-urlencoded"})
    assert status == 200 and b"This had been done before" in again
    assert balance(user.name) == 1_999_500
    one_entry("finance", "account.adjust", reason)
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}")
    newest = page.get_by_role("table", name=re.compile("^Ledger")).locator("tbody tr").first
    expect(newest).to_contain_text("adjustment")
    expect(newest).to_contain_text("−0.5")


def test_a_user_is_suspended(shop, visitor, user, sql, one_entry):
    assert ask(shop, user.key)[0] == 200
    someone, reason = visitor("support", scripts=False), because()
    page = someone.page
    page.goto(shop.root + "/admin/accounts?prefix=" + user.name)
    page.get_by_role("link", name=user.name).click()
    page.get_by_role("link", name="Suspend").click()
    go_through(someone, "Set it", reason)
    expect(page.get_by_text("The status is set.")).to_be_visible()
    wait_until(lambda: ask(shop, user.key)[0] == 403, 20, "the suspension")
    one_entry("support", "account.change", reason)
    page.goto(f"{shop.root}/admin/audit?subject=account:{user.name}")
    expect(page.get_by_text(reason)).to_be_visible()
    page.get_by_role("link", name="Check the chain").click()
    expect(page.locator(".badge.good")).to_have_text("whole")


def test_an_account_is_made(shop, visitor, sql, one_entry):
    someone, reason = visitor("support"), because()
    page, name = someone.page, f"console-{uuid.uuid4().hex[:8]}"
    page.goto(shop.root + "/admin/accounts")
    page.get_by_role("link", name="New account").click()
    field(page, "userId").fill(name)
    go_through(someone, "Create it", reason)
    expect(page.locator("p.lead")).to_have_text(name)
    expect(page.get_by_role("region", name="Credits")).to_contain_text("0 credits")
    assert page.url == f"{shop.root}/admin/accounts/{number(sql, name)}"
    one_entry("support", "account.create", reason)


def test_a_suspension_is_lifted(dev, shop, visitor, user, sql, one_entry):
    dev.cli("account", "set", "--user", user.name, "--status", "suspended", "--reason", "a test of the lifting")
    wait_until(lambda: ask(shop, user.key)[0] == 403, 20, "the suspension")
    someone, reason = visitor("support"), because()
    page = someone.page
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}")
    expect(page.get_by_text("a test of the lifting")).to_be_visible()
    page.get_by_role("link", name="Make active").click()
    go_through(someone, "Set it", reason)
    expect(page.get_by_text("The status is set.")).to_be_visible()
    wait_until(lambda: ask(shop, user.key)[0] == 200, 20, "the end of the suspension")
    one_entry("support", "account.change", reason)


def test_limits_are_set(shop, visitor, user, sql, one_entry):
    someone, reason = visitor("support"), because()
    page = someone.page
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}")
    page.get_by_role("link", name="Change the limits").click()
    field(page, "requestsPerMinute").fill("1")
    field(page, "streams").fill("0")
    go_through(someone, "Set them", reason)
    expect(page.get_by_text("The limits are set.")).to_be_visible()
    limits = page.get_by_role("region", name="Limits")
    expect(limits).to_contain_text(re.compile(r"Requests per minute\s*1\s*Tokens per minute\s*as configured"))
    expect(limits).to_contain_text(re.compile(r"Streams at once\s*no limit"))
    wait_until(lambda: ask(shop, user.key)[0] == 429, 20, "the limit")
    one_entry("support", "account.limits", reason)


def test_what_is_held_for_streams_is_set(shop, visitor, user, sql, one_entry):
    someone, reason = visitor("support"), because()
    page = someone.page
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}")
    page.get_by_role("link", name="Change the holds").click()
    field(page, "policy").select_option("rolling")
    go_through(someone, "Set it", reason)
    expect(page.get_by_text("The hold policy is set.")).to_be_visible()
    expect(page.get_by_role("region", name="Limits")).to_contain_text("rolling")
    assert sql("SELECT hold_policy FROM account WHERE user_id = %s", user.name) == [("rolling",)]
    one_entry("support", "account.holds", reason)


def test_a_key_is_made_and_revoked(shop, visitor, user, sql, one_entry):
    someone, reason = visitor("support", scripts=False), because()
    page = someone.page
    page.goto(f"{shop.root}/admin/accounts/{number(sql, user.name)}")
    page.get_by_role("link", name="New key").click()
    go_through(someone, "Create it", reason)
    key = page.locator(".codes li").first.text_content().strip()
    wait_until(lambda: ask(shop, key)[0] == 200, 20, "the key")
    one_entry("support", "key.create", reason)
    page.get_by_role("link", name="Back to the account").click()
    assert key not in page.content(), "it is shown once"
    expect(page.get_by_role("link", name="Revoke")).to_have_count(2)
    page.get_by_role("link", name=f"Revoke {key[:9]}").click()
    expect(page.locator("main dl")).to_contain_text(user.name)
    go_through(someone, "Revoke it", reason)
    expect(page.get_by_text("The key is revoked")).to_be_visible()
    wait_until(lambda: ask(shop, key)[0] == 401, 20, "the revocation")
    assert ask(shop, user.key)[0] == 200
    assert sql("SELECT action FROM audit_log WHERE reason = %s ORDER BY entry_id", reason) == [
        ("key.create",), ("key.revoke",)]


def test_a_purchase_is_refunded(shop, visitor, user, balance, one_entry):
    before = balance(user.name)
    buy(shop, user.key)
    wait_until(lambda: balance(user.name) == before + 9_990_000, 30, "the purchase")
    someone, reason = visitor("finance"), because()
    page = someone.page
    page.goto(shop.root + "/admin/purchases?userId=" + user.name)
    page.get_by_role("link", name="Refund").click()
    expect(page.locator("main dl")).to_contain_text("$9.99")
    field(page, "amount").fill("5")
    go_through(someone, "Refund it", reason)
    expect(page.get_by_text("The refund is made.")).to_be_visible()
    wait_until(lambda: balance(user.name) == before + 4_990_000, 30, "the refund")
    one_entry("finance", "refund.cash", reason)
    page.goto(shop.root + "/admin/purchases?userId=" + user.name)
    expect(page.get_by_role("cell", name="$5.00")).to_be_visible()


def test_credits_are_given_back_for_a_purchase(shop, visitor, user, balance, one_entry):
    before = balance(user.name)
    buy(shop, user.key)
    wait_until(lambda: balance(user.name) == before + 9_990_000, 30, "the purchase")
    someone, reason = visitor("finance"), because()
    page = someone.page
    page.goto(shop.root + "/admin/purchases?userId=" + user.name)
    expect(page.get_by_role("link", name=user.name, exact=True)).to_have_attribute("href", re.compile("/admin/accounts/[0-9]+$"))
    page.get_by_role("link", name="Refund").click()
    field(page, "kind").select_option("credit")
    field(page, "amount").fill("12.5")
    go_through(someone, "Refund it", reason)
    expect(page.get_by_text("The refund is made.")).to_be_visible()
    # At once, and no money has moved.
    assert balance(user.name) == before + 10_002_500
    page.goto(shop.root + "/admin/purchases?userId=" + user.name)
    expect(page.get_by_role("cell", name="$0.00")).to_be_visible()
    one_entry("finance", "refund.credit", reason)


@pytest.fixture()
def dead_letter(sql):
    event = dead_event(sql)
    yield event
    sql("DELETE FROM stripe_event WHERE event_id = %s", event)


def test_a_dead_letter_is_applied_again(shop, visitor, sql, dead_letter, one_entry):
    someone, reason = visitor("support", scripts=False), because()
    page = someone.page
    page.goto(shop.root + "/admin/events?outcome=dead")
    page.get_by_role("link", name=f"Apply again {dead_letter}").click()
    go_through(someone, "Apply again", reason)
    # Its purchase is known to nobody, so it still needs a person.
    expect(page.get_by_text("1 still")).to_be_visible()
    assert sql("SELECT outcome, reason FROM stripe_event WHERE event_id = %s", dead_letter) == [
        ("dead", "unknown_purchase")]
    one_entry("support", "webhook.replay", reason)


def test_a_dead_letter_that_leads_to_nothing_is_dismissed(dev, shop, visitor, sql, dead_letter, one_entry):
    someone, reason = visitor("finance", scripts=False), because()
    page = someone.page
    page.goto(shop.root + "/admin/events?outcome=dead")
    page.get_by_role("link", name=f"Dismiss {dead_letter}").click()
    go_through(someone, "Dismiss", reason)
    expect(page.get_by_text("needs nobody any more")).to_be_visible()
    one_entry("finance", "webhook.dismiss", reason)
    page.goto(shop.root + "/admin/events?outcome=dead")
    expect(page.get_by_role("heading", name="Webhook events")).to_be_visible()
    expect(page.get_by_text(dead_letter)).to_have_count(0)
    page.goto(shop.root + "/admin/events?outcome=dismissed")
    expect(page.get_by_role("row").filter(has_text=dead_letter)).to_contain_text("dismissed")
    said = dev.cli("stripe", "dismiss", dead_letter, "--reason", "the same again").stdout
    assert said == f"event {dead_letter} is dismissed\n"
    assert sql("SELECT count(*) FROM audit_log WHERE subject = %s", f"event:{dead_letter}") == [(1,)]
    done = dev.cli("stripe", "dismiss", "evt_nobody", "--reason", "none", check=False)
    assert done.returncode == 1 and "the ledger has no event evt_nobody" in done.stderr



def test_a_review_is_decided(shop, visitor, user, sql, one_entry):
    open_review(sql, number(sql, user.name))
    someone, reason = visitor("support", scripts=False), because()
    page = someone.page
    page.goto(shop.root + "/admin/reviews?state=open")
    page.get_by_role("row").filter(has_text=user.name).get_by_role("link", name="Decide").click()
    go_through(someone, "Decide", reason)
    expect(page.get_by_text("The review is cleared.")).to_be_visible()
    one_entry("support", "review.clear", reason)


def simulated(page):
    """Credits that gpt-4o-mini would have brought under the card that is looked at."""
    row = page.get_by_role("region", name="Charged by model").locator("tr").filter(
        has=page.get_by_role("cell", name="gpt-4o-mini", exact=True)).first
    return float(row.inner_text().split()[3].replace(",", ""))


def test_a_card_is_published(shop, visitor, user, sql, one_entry):
    assert ask(shop, user.key)[0] == 200
    someone, reason = visitor("finance"), because()
    page = someone.page
    page.goto(shop.root + "/admin/rate-cards")
    page.get_by_role("link", name="New card from the active one").click()
    text = field(page, "yaml").input_value()
    version = f"t{uuid.uuid4().hex[:8]}"
    at = text.index("\n  gpt-4o-mini:\n")
    broken = text[:at] + text[at:].replace("context: 128000", "context: " + EVIL, 1)
    field(page, "yaml").fill(broken)
    field(page, "reason").fill(reason)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Problems and warnings")).to_be_visible()
    assert field(page, "yaml").input_value().replace("\r", "") == broken
    line = broken.splitlines().index("    context: " + EVIL) + 1
    page.get_by_role("region", name="Problems and warnings").get_by_role("link", name=str(line)).click()
    selected = page.evaluate(
        "[document.activeElement.name, getSelection().toString() || document.activeElement.value.slice("
        "document.activeElement.selectionStart, document.activeElement.selectionEnd)]")
    assert selected == ["yaml", "    context: " + EVIL]
    # Chromium says in its console that it was a 422.
    assert all("422" in text for text in someone.complaints)
    someone.complaints.clear()
    someone.check("a broken card")
    # What was asked for above would have cost more, whatever other tests asked for before.
    at = text.index("\n  gpt-4o-mini:\n")
    dearer = text[:at] + text[at:].replace("    cost:", '    price: {input: "9"}\n    cost:', 1)
    field(page, "yaml").fill(re.sub(r"(?m)^version:.*$", f'version: "{version}"', dearer))
    field(page, "reason").fill(reason)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("region", name="What changes")).to_be_visible()
    dear = simulated(page)
    page.get_by_role("button", name="Back to the form").click()
    # In force long after every other test; one model is sold below its cost.
    text = re.sub(r"(?m)^version:.*$", f'version: "{version}"', text)
    text = re.sub(r"(?m)^effective_from:.*$", "effective_from: 2099-01-01T00:00:00Z", text)
    at = text.index("\n  gpt-4o-mini:\n")
    text = text[:at] + text[at:].replace("    cost:", '    price: {input: "0.0001"}\n    cost:', 1)
    field(page, "yaml").fill(text)
    field(page, "reason").fill(reason)
    page.get_by_role("button", name="Continue").click()
    changes = page.get_by_role("region", name="What changes")
    expect(changes.get_by_role("row").filter(has_text="gpt-4o-mini input")).to_contain_text("0.0001")
    expect(page.get_by_role("alert")).to_contain_text("warning")
    warned = page.get_by_role("region", name="Problems and warnings").get_by_role("row").filter(
        has_text="models.gpt-4o-mini.input")
    below = warned.filter(has_text="below cost")
    expect(below).to_have_count(1)
    below.get_by_role("link", name=str(text[:at].count("\n") + 7)).click()
    expect(page.locator("li:target")).to_contain_text("0.0001")
    margin = page.get_by_role("region", name="Margin per model").locator("tr").filter(
        has=page.get_by_role("cell", name="gpt-4o-mini", exact=True)).first
    expect(margin).to_contain_text("-149900.0 %")
    assert simulated(page) < dear
    someone.check("the effect of a card")
    cards = "SELECT count(*) FROM rate_card WHERE version = %s"
    assert sql(cards, version) == [(0,)]
    page.get_by_role("button", name="Apply it").click()
    expect(page.get_by_text("The card is applied.")).to_be_visible()
    expect(page.get_by_text(version)).to_be_visible()
    assert sql(cards, version) == [(1,)]
    one_entry("finance", "ratecard.apply", reason)


@pytest.mark.parametrize("bytes, status", [(1 << 20, 200), ((1 << 20) + 1, 413)])
def test_a_large_card_is_taken_by_all_or_none(dev, shop, people, tmp_path, bytes, status):
    """A browser sends up to three bytes for each of a card, and the front of the proxy lets them through."""
    (card,) = [one for one in json.loads(http(
        "GET", shop.root + "/api/admin/rate-cards", headers={"Authorization": "Bearer " + dev.adminToken})[2])["entries"]
        if one["active"]]
    text = http(
        "GET", f"{shop.root}/api/admin/rate-cards/{card['card']}/{card['version']}",
        headers={"Authorization": "Bearer " + dev.adminToken})[2].decode()
    text = re.sub(r"(?m)^version:.*$", 'version: "large"', text) + "\n"
    text += ("#" + '"' * 99 + "\n") * ((bytes - len(text.encode())) // 101)
    text += "#" * (bytes - len(text.encode()))
    assert len(text.encode()) == bytes
    person = people["finance"]
    got, _, reply = http("POST", shop.root + "/api/admin/rate-cards/review", {"yaml": text}, {
        "cookie": person.cookie, "x-csrf-token": person.csrf}, timeout=60)
    assert got == status, reply
    form = urllib.parse.urlencode({"csrf": person.csrf, "reason": "r", "yaml": text}).encode()
    assert len(form) > 2 << 20
    got, _, page = http(
        "POST", shop.root + "/admin/rate-card-editor", form,
        {"cookie": person.cookie, "content-type": "application/x-www-form-urlencoded"}, timeout=60)
    assert got == status
    file = tmp_path / "large.yaml"
    file.write_text(text)
    checked = dev.cli("ratecard", "validate", file, check=False)
    assert checked.returncode == (0 if status == 200 else 1), checked.stdout
    if status == 413:
        assert all("1048576" in said for said in (reply.decode(), page.decode(), checked.stdout))


# What people see of an account


def test_a_cap_stands_beside_what_counts_against_it(shop, visitor, user, sql, redis, settled):
    """Also when the hold store has forgotten the account."""
    assert ask(shop, user.key)[0] == 200
    (charged,) = [row["charged"] for row in settled(user.name, 1)]
    assert charged > 0
    account = number(sql, user.name)
    page = visitor("viewer").page
    for _ in range(2):
        page.goto(f"{shop.root}/admin/accounts/{account}")
        caps = page.get_by_role("region", name="Spend caps").last
        expect(caps.get_by_role("row").filter(has_text="This day")).to_have_text(
            re.compile(f"{charged / 1000:g}\\s*5,000\\s*below"))
        expect(caps.get_by_role("row").filter(has_text="60 minutes")).to_have_text(
            re.compile(f"{charged / 1000:g}\\s*no cap"))
        # Not before it was told that all is posted: what it has not heard of would be told to nobody.
        wait_until(lambda: redis.hget(f"a:{{{account}}}", "U") in ("0", None), 20, "the end of the posting")
        redis.delete(f"a:{{{account}}}")


def test_what_was_not_charged_is_compared(dev, shop, visitor, user, sql, settled):
    """With the numbers of the command."""
    not_charged(dev, shop, user.key)
    account = number(sql, user.name)
    waived = "SELECT sum(shadow_millicredits) FROM usage_effective WHERE kind = 'waived' AND account_id = %s"
    (shadow,) = wait_until(lambda: sql(waived, account)[0] if sql(waived, account)[0][0] else None, 20, "its settlement")
    told = json.loads(dev.cli("shadow", "report", "--json").stdout)
    status, _, reply = http(
        "GET", shop.root + "/api/admin/shadow-report", headers={"Authorization": "Bearer " + dev.adminToken})
    report = json.loads(reply)
    assert status == 200 and report["total"] == told["total"]
    assert {day.pop("day"): day for day in report["days"]} == told["days"]
    assert {model.pop("model"): model for model in report["models"]} == told["models"]
    assert report["accounts"] == [
        {"accountId": one["account"], "userId": one["user"], **one["sums"]} for one in told["accounts"]]
    page = visitor("viewer", scripts=False).page
    page.goto(shop.root + "/admin")
    page.get_by_role("link", name="Shadow billing").click()
    row = page.get_by_role("region", name="By account").get_by_role("row").filter(has_text=user.name)
    expect(row.get_by_role("cell", name=f"{shadow / 1000:g}", exact=True)).to_have_count(2)
    page.get_by_label("Last day").fill("2026-01-01")
    page.get_by_label("First day").fill("")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("there is nothing to compare")).to_be_visible()


def test_an_account_is_found_by_its_number_or_its_key(shop, visitor, user, sql):
    page = visitor("viewer").page
    page.goto(shop.root + "/admin/accounts")
    # Of a whole key, the browser takes what is shown of it.
    field(page, "keyPrefix").press_sequentially(user.key)
    page.get_by_role("button", name="Show").click()
    found = page.get_by_role("region", name="Accounts by number").get_by_role("row")
    expect(found).to_have_count(2)
    expect(found.last).to_contain_text(user.name)
    assert user.key not in page.url and user.key[:9] in page.url
    field(page, "keyPrefix").fill("")
    field(page, "accountId").fill(str(number(sql, user.name)))
    page.get_by_role("button", name="Show").click()
    expect(found).to_have_count(2)
    expect(found.last).to_contain_text(user.name)


def test_what_is_held_is_shown_while_a_stream_is_open(shop, visitor, user, sql, redis):
    account = number(sql, user.name)
    page = visitor("viewer").page
    held = page.get_by_role("region", name="Held at this moment")
    body = {
        "model": "gpt-4o-mini", "stream": True, "max_tokens": 300,
        "messages": [{"role": "user", "content": "Hello [[mock tokens=300 tps=5]]"}]}
    connection = client.HTTPConnection("127.0.0.1", shop.port, timeout=60)
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body),
            {"Authorization": "Bearer " + user.key, "Content-Type": "application/json"})
        reply = connection.getresponse()
        assert reply.status == 200 and reply.readline().startswith(b"data:")
        page.goto(f"{shop.root}/admin/accounts/{account}")
        (hold,) = [name[2:] for name in redis.hkeys(f"a:{{{account}}}") if name.startswith("h:")]
        row = held.get_by_role("row").filter(has_text=hold)
        expect(row).to_contain_text("held")
        amount = redis.hget(f"a:{{{account}}}", "H")
        expect(row).to_contain_text(f"{int(amount) / 1000:g}")
        expect(page.get_by_role("region", name="Credits").locator("dd").nth(1)).to_contain_text(f"{int(amount) / 1000:g}")
    finally:
        connection.close()
    # It is charged for what was made until it was left.
    wait_until(lambda: page.reload() and held.get_by_text("Nothing is held.").is_visible(), 30, "the end of the hold")
    expect(page.get_by_role("region", name="Usage")).to_contain_text("gpt-4o-mini")


def test_a_difference_is_drilled_down_to(dev, shop, visitor, user, sql):
    """Behind the back of every trigger, the balance is not what the ledger says."""
    change = ("SET session_replication_role = replica; UPDATE credit_balance "
              "SET balance_millicredits = balance_millicredits {} 7 WHERE user_id = %s")
    today = datetime.datetime.now(datetime.timezone.utc).date()
    sql(change.format("+"), user.name)
    try:
        dev.cli("reconcile", "--date", today, check=False, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_API_BASE=shop.stripe.url)
    finally:
        sql(change.format("-"), user.name)
    run = sql("SELECT max(run_id) FROM reconciliation_finding WHERE check_name = 'balances'")[0][0]
    page = visitor("viewer", scripts=False).page
    page.goto(shop.root + "/admin/reconciliation")
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name=str(run), exact=True))
    expect(row).to_contain_text("differences")
    row.get_by_role("link").click()
    check = page.get_by_role("region", name="Checks").get_by_role("row").filter(has_text="balances").first
    expect(check).to_contain_text("mismatch")
    found = page.get_by_role("region", name="Differences").get_by_role("row").filter(has_text=user.name).first
    expect(found.get_by_role("cell")).to_have_text(["balances", re.compile(user.name), "2,000,000", "2,000,007", "millicredits", re.compile("sum of its ledger lines")])


# Every page


@pytest.fixture(scope="module")
def scene(dev, shop):
    """Something to see on every page, of a user with a wicked name."""
    with connected(dev.databaseURL) as query:
        yield from make_scene(dev, shop, query)


def make_scene(dev, shop, query):
    name = f"{EVIL} {uuid.uuid4().hex[:8]}"
    key = dev.account(name, 1_000)
    for model in ("gpt-4o-mini", "gpt-4o", "gpt-5-mini"):
        assert ask(shop, key, model)[0] == 200
    not_charged(dev, shop, key)
    buy(shop, key)
    account = number(query, name)
    usage = "SELECT count(*) > 3 FROM usage_events WHERE user_id = %s HAVING bool_or(kind = 'waived')"
    wait_until(lambda: query(usage, name) == [(True,)], 30, "usage")
    wait_until(lambda: query("SELECT status FROM purchase WHERE account_id = %s", account) == [("paid",)], 30, "purchase")
    open_review(query, account)
    event = dead_event(query)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    dev.cli("reconcile", "--date", today, check=False, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_API_BASE=shop.stripe.url)
    ((card, version),) = query("SELECT card, version FROM rate_card ORDER BY effective_from LIMIT 1")
    yield types.SimpleNamespace(
        name=name, event=event, account=account, card=f"{card}/{version}", flag=CHARGING,
        run=query("SELECT max(run_id) FROM reconciliation_run")[0][0],
        key=query("SELECT key_id FROM api_key WHERE account_id = %s", account)[0][0],
        purchase=query("SELECT purchase_id FROM purchase WHERE account_id = %s", account)[0][0])
    query("DELETE FROM stripe_event WHERE event_id = %s", event)
    query("DELETE FROM account_review WHERE account_id = %s", account)


def url(shop, path, scene):
    """A page with what the scene has to see on it."""
    only = {"/admin/accounts": ("prefix", scene.name), "/admin/purchases": ("userId", scene.name),
            "/admin/reviews": ("state", "open"), "/admin/events": ("outcome", "dead")}.get(path)
    query = "?" + urllib.parse.urlencode([only], quote_via=urllib.parse.quote) if only else ""
    return shop.root + path.format(**vars(scene)) + query


def pattern(link):
    """The page of `PAGES` that a link leads to."""
    path = link.split("?")[0]
    for known in PAGES:
        parts = {"card": "[^/]+/[^/]+", "flag": "[A-Z_]+", "purchase": "[0-9a-f-]{36}"}
        if re.fullmatch(re.sub(r"\{(\w+)\}", lambda m: parts.get(m[1], "[0-9]+"), known), path):
            return known
    return None


def test_every_page_is_open_to_its_roles_and_links_to_no_other(shop, people, scene):
    for role in ROLES:
        cookie = {"cookie": people[role].cookie}
        led_to, tried = {"/admin"}, set()
        for path, least in PAGES.items():
            status, _, body = http("GET", url(shop, path, scene), headers=cookie)
            may = ROLES.index(role) >= ROLES.index(least)
            assert status == (200 if may else 403), (role, path, status)
            text = body.decode()
            forms = set(re.findall(r'<form method="post" action="([^"]*)"', text))
            assert "/admin/sign-out" in forms
            if least == "viewer":
                assert forms == {"/admin/sign-out"}, (role, path, forms)
            for link in map(html.unescape, re.findall(r'href="(/admin[^"]*)"', text)):
                found = pattern(link)
                assert found, f"{path} links to {link}, which is not known here"
                assert ROLES.index(PAGES[found]) <= ROLES.index(role), f"{path} shows {role} {link}"
                led_to.add(found)
                if (found, "?" in link) not in tried:
                    tried.add((found, "?" in link))
                    assert http("GET", shop.root + link, headers=cookie)[0] == 200, link
        meant = {path for path, least in PAGES.items() if ROLES.index(role) >= ROLES.index(least)}
        assert led_to == meant, (role, led_to ^ meant)


def test_what_a_role_may_not_do_is_refused(shop, people, scene):
    """Also with the value of the session's own forms."""
    for path, least in PAGES.items():
        if least == "viewer":
            continue
        person = people[ROLES[ROLES.index(least) - 1]]
        form = urllib.parse.urlencode({"csrf": person.csrf, "reason": "r", "step": "do"}).encode()
        status, _, _ = http(
            "POST", shop.root + path.format(**vars(scene)), form,
            {"cookie": person.cookie, "content-type": "application/x-www-form-urlencoded"})
        assert status in (403, 405), (path, status)


def test_a_form_without_its_sessions_value_is_refused(shop, people, user, sql, balance):
    path = f"/admin/accounts/{number(sql, user.name)}/adjust"
    form = urllib.parse.urlencode({"amount": "5", "reason": "r", "idempotencyKey": "k", "step": "do"})
    status, _, _ = http(
        "POST", shop.root + path, form.encode(),
        {"cookie": people["owner"].cookie, "content-type": "application/x-www-form-urlencoded"})
    assert status == 403 and balance(user.name) == 2_000_000


@pytest.mark.parametrize("size, scheme", [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")])
def test_every_page_is_in_order(shop, visitor, scene, pictures, size, scheme):
    someone = visitor("owner", size=PHONE if size == "phone" else DESKTOP, scheme=scheme)
    page = someone.page
    page.on("dialog", lambda dialog: pytest.fail("a script of a user id ran"))
    for path in PAGES:
        page.goto(url(shop, path, scene))
        expect(page.locator("h1")).to_be_visible()
        assert page.locator("main script, img[onerror], [onfocus]").count() == 0
        someone.picture(pictures, f"{re.sub(r'[/{}]+', '-', path).strip('-')}-{size}-{scheme}")
        someone.check(f"{path}, {size}, {scheme}")


def test_the_entrance_is_in_order(dev, shop, people, visitor, pictures):
    someone = visitor()
    page = someone.page
    page.goto(shop.root + "/admin/flags")
    someone.check_everywhere("entrance", pictures)
    field(page, "email").fill(people["viewer"].email)
    field(page, "password").fill("not the password at all")
    field(page, "code").fill("000000")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not right")
    someone.is_refused(401)
    someone.check_everywhere("entrance refused", pictures)
    name = f"new-{uuid.uuid4().hex[:8]}"
    invited = dev.cli("staff", "create", "--email", f"{name}@example.com", "--name", name, "--role", "viewer").stdout
    page.goto(shop.root + "/admin/enrol")
    someone.check_everywhere("invitation", pictures)
    field(page, "token").fill(invited.strip().split("#")[-1])
    page.get_by_role("button", name="Begin").click()
    link = page.get_by_role("link", name="Add to an authenticator").get_attribute("href")
    someone.check_everywhere("enrolment", pictures)
    field(page, "password").fill(Person.password)
    field(page, "code").fill(totp(urllib.parse.parse_qs(urllib.parse.urlparse(link).query)["secret"][0]))
    page.get_by_role("button", name="Enrol").click()
    expect(page.locator(".codes li")).to_have_count(10)
    someone.check_everywhere("recovery codes", pictures)


def test_every_message_and_question_is_in_order(shop, visitor, scene, pictures):
    someone = visitor("viewer")
    page = someone.page
    for path, status in (
            ("/admin/finance", 403), ("/admin/accounts/999999999", 404), ("/admin/accounts?accountId=x", 400)):
        page.goto(shop.root + path)
        someone.is_refused(status)
        someone.check_everywhere(f"message {status}", pictures)
    page.goto(shop.root + f"/admin/accounts/{scene.account}?done=adjusted")
    someone.check_everywhere("what was done", pictures)
    someone = visitor("owner")
    page = someone.page
    page.on("dialog", lambda dialog: pytest.fail("a script of a user id ran"))
    leading = {
        "/admin/reviews/decide": "Decide", "/admin/events/replay": "Apply again", "/admin/events/dismiss": "Dismiss"}
    for path, values in {
            "/admin/new-account": {"userId": EVIL}, "/admin/accounts/{account}/limits": {"streams": "3"},
            "/admin/accounts/{account}/adjust": {"amount": "-99999"},
            "/admin/purchases/{purchase}/refund": {"amount": "1"}, "/admin/reviews/decide": None,
            "/admin/events/replay": None, "/admin/events/dismiss": None, "/admin/flags/{flag}": {}}.items():
        if values is None:
            page.goto(url(shop, path.rsplit("/", 1)[0], scene))
            page.get_by_role("link", name=re.compile("^" + leading[path])).first.click()
        else:
            page.goto(url(shop, path, scene))
        for name, value in (values or {}).items():
            field(page, name).fill(value)
        field(page, "reason").fill("as a test, " + "at length " * 20)
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("heading", name="Please confirm")).to_be_visible()
        someone.check_everywhere("question " + re.sub(r"[/{}]+", " ", path).strip(), pictures)
    page.goto(url(shop, "/admin/accounts/{account}/adjust", scene))
    field(page, "amount").fill("many")
    field(page, "reason").fill("r")
    page.get_by_role("button", name="Continue").click()
    expect(field(page, "amount")).to_have_accessible_description(re.compile("number of credits"))
    someone.is_refused(400)
    someone.check_everywhere("a wrong field", pictures)


def test_charts_show_what_their_tables_say(shop, visitor, scene):
    page = visitor("owner").page
    for path, count in (("/admin/finance", 3), ("/admin/operations", 3)):
        page.goto(shop.root + path)
        assert page.locator(".chart canvas:visible").count() == count
        drawn = page.eval_on_selector_all(".chart", """boxes => boxes.map(box => {
          const chart = Chart.getChart(box.querySelector("canvas"));
          const rows = [...document.getElementById(box.dataset.chartOf).tBodies[0].rows];
          return [chart.data.labels.length, chart.data.datasets.map(set => set.data.at(-1)),
                  rows.length, [...rows[0].cells].slice(1).map(cell => Number(cell.dataset.value))];
        })""")
        assert all(labels == rows == 30 and last == first for labels, last, rows, first in drawn), drawn
