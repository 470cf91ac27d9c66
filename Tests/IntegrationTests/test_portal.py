"""The credits page as people see it, in a real browser: from a 402 to a purchase and back, on every tab, by keyboard,
on a phone, in the dark, and without scripts."""
import datetime
import json
import re
import urllib.parse
import uuid

import openai
import pytest
from playwright.sync_api import expect

from calendar_tools import clear_of_midnight, today
from harness import Serve, free_port, http, running, wait_until
from portal_tools import DESKTOP, PHONE, TABS, AppKeys, Visitor, chromium, portal_link
from sdk_tools import patient_sdk
from session_tools import PortalSession, submit
from stripe_tools import LIVE_KEY, SECRET, MockStripe

STARTER = 9_990_000


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app's signing keys, and where they are published."""
    keys = AppKeys(tmp_path_factory.mktemp("keys"))
    yield keys
    keys.stop()


@pytest.fixture(scope="module")
def shop(dev, app, tmp_path_factory):
    """A proxy on the stack's stores that sells through a mock of its own."""
    port = free_port()
    stripe = MockStripe(
        tmp_path_factory.mktemp("shop"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    serve = Serve(
        dev, port, STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET, STRIPE_API_BASE=stripe.url,
        BILLING_AUTO_RECHARGE="true", JOURNAL_DIR=str(dev.directory / "shop-journal"),
        PORTAL_APP_URL="https://app.example/home", PORTAL_JWKS_URL=app.url, PORTAL_JWT_ISSUER="app",
        PORTAL_JWT_AUDIENCE="tollgate", CORS_ORIGINS=app.origin)
    serve.stripe = stripe
    with running(serve):
        yield serve
    stripe.stop()


@pytest.fixture()
def visitor(browser, shop):
    """Makes visitors, whose pages must have been in order to the last."""
    made = []

    def make(**how):
        made.append(Visitor(browser, shop.stripe.url, **how))
        return made[-1]

    yield make
    for one in made:
        assert not one.complaints, one.complaints
        one.close()


@pytest.fixture()
def user(dev):
    name = f"portal-{uuid.uuid4().hex[:8]}"
    dev.account(name, 2_000)
    return name


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Where screenshots go, for whoever wants to look at them."""
    return tmp_path_factory.mktemp("pictures")


def link(shop, dev, user, **body):
    return portal_link(shop.root, dev.serviceKey, user, **body)


def ask(shop, key, model="gpt-4o-mini", tokens=16):
    client = patient_sdk(key, shop.base)
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello"}], max_tokens=tokens)


# The way of a customer


def test_from_a_402_to_an_answer(shop, dev, visitor, balance):
    user = f"portal-{uuid.uuid4().hex[:8]}"
    key = dev.account(user)
    with pytest.raises(openai.APIStatusError) as refused:
        ask(shop, key)
    body = refused.value.response.json()
    assert refused.value.status_code == 402 and body["redirectTo"].endswith("/billing?tab=credits")

    someone = visitor()
    page = someone.page
    # Whoever goes there without a session is told where to go. Chromium says in its console that it was a 401.
    page.goto(body["redirectTo"] if body["redirectTo"].startswith("http") else shop.root + body["redirectTo"])
    expect(page.get_by_role("heading", name="Open this page from the app")).to_be_visible()
    expect(page.get_by_role("link", name="Open the app")).to_have_attribute("href", "https://app.example/home")
    assert len(someone.complaints) == 1 and "401" in someone.complaints.pop()

    someone.open(link(shop, dev, user))
    assert "token" not in page.url
    expect(page.get_by_text("You are out of credits.")).to_be_visible()
    # Stripe's webhook comes late.
    shop.stripe.control("delivery", on=False)
    try:
        page.get_by_role("button", name="Buy Starter").click()
        page.get_by_role("button", name="Pay $9.99").click()
        expect(page.get_by_role("heading", name="Purchase pending")).to_be_visible()
        assert "success=true" in page.url and balance(user) == 0
        someone.check("pending")
        # What a screen reader listens to, and whose changes it reads aloud; of a page that is loaded it reads no part.
        status = page.get_by_role("status").filter(has_text="Purchase pending").element_handle()
    finally:
        shop.stripe.control("delivery", on=True)
    expect(page.get_by_role("heading", name="Purchase complete")).to_be_visible(timeout=30_000)
    assert status.evaluate("element => element.isConnected && element.getAttribute('role')") == "status"
    assert "Purchase complete" in status.text_content() and "9,990 credits were added" in status.text_content()
    expect(page.get_by_role("status").filter(has_text="Purchase")).to_match_aria_snapshot("""
        - status:
          - heading "Purchase complete" [level=2]
          - paragraph: 9,990 credits were added to your balance.
          - paragraph:
            - link "Receipt"
        """)
    expect(page.get_by_text("You are out of credits.")).to_have_count(0)
    expect(page.get_by_role("region", name="Recent activity").first).to_contain_text("Purchase")
    expect(page.get_by_role("link", name="Receipt")).to_have_attribute("href", re.compile("^http"))
    assert balance(user) == STARTER
    expect(page.locator(".figures .main strong")).to_have_text("9,990")
    someone.check("complete")
    assert ask(shop, key).choices[0].message.content


def test_a_purchase_by_keyboard_only(shop, dev, visitor, user, balance):
    someone = visitor()
    page = someone.open(link(shop, dev, user))
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Buy Starter":
            break
    else:
        raise AssertionError("the button is not reached")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", "the focus is seen"
    page.keyboard.press("Enter")
    page.wait_for_url("**/c/pay/**")
    page.get_by_role("button", name="Pay $9.99").press("Enter")
    expect(page.get_by_role("heading", name="Purchase complete")).to_be_visible(timeout=30_000)
    assert balance(user) == STARTER + 2_000_000


def test_a_purchase_without_scripts(shop, dev, visitor, user, balance):
    someone = visitor(scripts=False)
    page = someone.open(link(shop, dev, user))
    page.get_by_role("button", name="Buy Starter").click()
    page.get_by_role("button", name="Pay $9.99").click()
    # The page loads itself again.
    expect(page.get_by_role("heading", name="Purchase complete")).to_be_visible(timeout=30_000)
    assert balance(user) == STARTER + 2_000_000
    for tab in TABS:
        someone.tab(shop.root, tab)
        expect(page.locator("h1")).to_be_visible()
    someone.tab(shop.root, "estimate")
    page.get_by_label("Model", exact=True).select_option("gpt-4o-mini")
    page.get_by_label("Input tokens").fill("1000")
    page.get_by_label("Output tokens").fill("1000")
    page.get_by_role("button", name="Estimate").click()
    expect(page.locator(".result strong")).to_have_text("1.5")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()


def test_whoever_cancels_is_told_that_nothing_was_charged(shop, dev, visitor, user):
    page = visitor().open(link(shop, dev, user))
    page.get_by_role("button", name="Buy Professional").click()
    page.get_by_role("button", name="Back to the shop").click()
    expect(page.get_by_text("The purchase was cancelled; nothing was charged.")).to_be_visible()


CHARGING = "BILLING_CHARGING_ENABLED"


def test_a_low_balance_and_paused_charging_are_said(shop, dev, visitor, user, pictures):
    low = f"low-{uuid.uuid4().hex[:8]}"
    dev.account(low, 999)
    someone, rich = visitor(), visitor()
    page = someone.open(link(shop, dev, low))
    is_low = page.get_by_text("Your balance is low: less than 1,000 credits are available.")
    is_paused = page.get_by_text("Charging is paused: what you use now costs no credits.")
    expect(is_low).to_be_visible()
    expect(is_paused).to_have_count(0)
    someone.check_everywhere("a low balance", pictures)
    expect(rich.open(link(shop, dev, user)).get_by_text("Your balance is low")).to_have_count(0)

    def shows(banner):
        """After a look at the flags, which is twice a second."""
        someone.tab(shop.root, "credits")
        return banner.count() == 1

    dev.cli("flag", "set", CHARGING, "false", "--reason", "a test of the banner")
    try:
        wait_until(lambda: shows(is_paused), 30, "the banner of paused charging")
        # A balance that is low stops nobody meanwhile.
        expect(is_low).to_have_count(0)
        someone.check_everywhere("paused charging", pictures)
    finally:
        dev.cli("flag", "clear", CHARGING, "--reason", "a test of the banner")
    wait_until(lambda: shows(is_low), 30, "charging again")
    expect(is_paused).to_have_count(0)


def test_paused_purchases_are_said(dev, visitor, user):
    serve = Serve(
        dev, BILLING_PURCHASE_ENABLED="false", STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET,
        STRIPE_API_BASE="http://127.0.0.1:9", JOURNAL_DIR=str(dev.directory / "paused-journal"))
    with running(serve):
        someone = visitor()
        page = someone.open(link(serve, dev, user))
        expect(page.get_by_role("alert").filter(has_text="Purchases are paused")).to_be_visible()
        for button in page.get_by_role("button", name="Buy").all():
            expect(button).to_be_disabled()
            expect(button).to_have_accessible_description(re.compile("paused"))
        someone.check("paused")


# Every tab


@pytest.fixture(scope="module")
def busy(shop, dev):
    """A user with usage of two models, and a purchase."""
    clear_of_midnight(8)  # the charts show it as today's
    user = f"busy-{uuid.uuid4().hex[:8]}"
    key = dev.account(user, 5_000)
    for model in ("gpt-4o-mini", "gpt-4o", "gpt-5-mini"):
        for _ in range(2):
            ask(shop, key, model, 64)
    order = {
        "packageCode": "professional", "successUrl": shop.root + "/billing?success=true",
        "cancelUrl": shop.root + "/billing"}
    status, _, reply = http(
        "POST", shop.root + "/api/stripe/create-checkout-session", order, {"Authorization": "Bearer " + key})
    assert status == 200, reply
    shop.stripe.press(json.loads(reply)["url"], "card")
    headers = {"Authorization": "Bearer " + key}

    def is_settled():
        summary = json.loads(http("GET", shop.root + "/api/billing/summary", headers=headers)[2])
        kinds = [line["type"] for line in summary["recentLedger"]]
        return "purchase" in kinds and len(summary["recentUsage"]) == 6

    wait_until(is_settled, 30, "purchase and usage")
    return user


@pytest.mark.parametrize("size, scheme", [("desktop", "light"), ("desktop", "dark"), ("phone", "light"), ("phone", "dark")])
def test_every_tab_is_in_order(shop, dev, busy, visitor, pictures, size, scheme):
    someone = visitor(size=PHONE if size == "phone" else DESKTOP, scheme=scheme)
    someone.open(link(shop, dev, busy))
    for tab in TABS:
        page = someone.tab(shop.root, tab)
        expect(page.locator("nav.tabs [aria-current=page]")).to_have_count(1)
        someone.check(f"{tab}, {size}, {scheme}")
        someone.picture(pictures, f"{tab}-{size}-{scheme}")


def test_every_message_is_in_order(shop, dev, app, busy, user, visitor, pictures):
    someone = visitor()
    page = someone.page
    page.goto(shop.root + "/billing?tab=credits")
    someone.is_refused(401)
    someone.check_everywhere("without a session", pictures)
    mine, theirs = link(shop, dev, busy), link(shop, dev, user)
    someone.open(mine)
    someone.tab(shop.root, "credits", notice="canceled")
    expect(page.get_by_text("The purchase was cancelled")).to_be_visible()
    someone.check_everywhere("cancelled", pictures)
    someone.tab(shop.root, "credits", success="true")
    expect(page.get_by_role("status").filter(has_text="Purchase complete")).to_be_visible()
    someone.check_everywhere("complete", pictures)
    someone.tab(shop.root, "purchases", status="paid", **{"from": "2026-03-02", "to": "2026-03-01"})
    expect(page.get_by_label("Last day")).to_have_accessible_description(re.compile("before the first day"))
    someone.check_everywhere("a wrong day", pictures)
    page.goto(mine)
    expect(page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    someone.is_refused(410)
    someone.check_everywhere("a link that was used", pictures)
    page.goto(theirs)
    expect(page.get_by_role("alert")).to_contain_text("another account is open")
    someone.check_everywhere("a link of another account", pictures)
    page.goto(app.origin + app.form(shop.root, app.token(user, exp=-1)))
    page.get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Please sign in")
    someone.is_refused(401)
    someone.check_everywhere("a token that is over", pictures)
    someone.tab(shop.root, "credits")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    someone.check_everywhere("signed out", pictures)


def test_purchases_are_narrowed(shop, dev, busy, visitor):
    someone = visitor(scripts=False)
    page = someone.open(link(shop, dev, busy))
    page.get_by_role("link", name="Purchases").click()
    row = page.get_by_role("row").filter(has_text="Professional")
    page.get_by_label("Status").select_option("Paid or refunded")
    page.get_by_role("button", name="Show").click()
    expect(row).to_have_count(1)
    page.get_by_label("Status").select_option("Failed")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("There is nothing to show.")).to_be_visible()
    page.get_by_label("Status").select_option("All")
    page.get_by_label("Last day").fill("2026-01-01")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("There is nothing to show.")).to_be_visible()
    page.get_by_label("Last day").fill("")
    page.get_by_label("First day").fill("2026-01-01")
    page.get_by_role("button", name="Show").click()
    expect(row).to_have_count(1)


@pytest.mark.parametrize("tab", ["ledger", "usage"])
def test_rows_are_narrowed_to_days(shop, dev, busy, tab):
    """Everything of this user is of today: both days that are given are shown, and none beside them."""
    session = PortalSession(shop.root, dev.serviceKey, busy)

    def days(first, last):
        """Of the rows in the table."""
        query = urllib.parse.urlencode({"tab": tab, "from": first, "to": last})
        status, _, page = submit(f"{shop.root}/billing?{query}", None, {"cookie": session.cookie})
        assert status == 200, page
        # The sums of days, which the chart is drawn of, are narrowed as the rows are.
        rows = re.findall(r'<tr><td><time datetime="(\d{4}-\d\d-\d\d)', page)
        assert tab == "ledger" or bool(rows) == ("data-model=" in page)
        return set(rows)

    now = today()
    yesterday, tomorrow = now - datetime.timedelta(days=1), now + datetime.timedelta(days=1)
    for first, last in ((now, now), (yesterday, now), (now, tomorrow)):
        assert days(first, last) == {str(now)}, (first, last)
    for day in (yesterday, tomorrow):
        assert days(day, day) == set(), day


def test_the_chart_shows_what_the_table_says(shop, dev, busy, visitor):
    someone = visitor()
    someone.open(link(shop, dev, busy))
    page = someone.tab(shop.root, "usage")
    assert page.locator("#days tbody tr").count() == 3
    canvas = page.locator(".chart canvas")
    expect(canvas).to_be_visible()
    shown = page.evaluate("""() => {
      const chart = Chart.getChart(document.querySelector("canvas"));
      return [chart.data.labels.length, chart.data.datasets.map(set => [set.label, set.data.at(-1)])];
    }""")
    table = page.eval_on_selector_all(
        "#days tbody tr", "rows => rows.map(row => [row.dataset.model, Number(row.dataset.millicredits) / 1000])")
    assert shown[0] == 30 and sorted(shown[1]) == sorted(table)
    someone.tab(shop.root, "usage", model="gpt-4o")
    assert page.locator("#days tbody tr").count() == 1
    expect(page.get_by_label("Model", exact=True)).to_have_value("gpt-4o")


def test_the_estimator_answers_as_one_types(shop, dev, busy, visitor):
    someone = visitor()
    someone.open(link(shop, dev, busy))
    page = someone.tab(shop.root, "estimate")
    page.get_by_label("Model", exact=True).select_option("gpt-4o-mini")
    page.get_by_label("Input tokens").fill("1000")
    page.get_by_label("Output tokens").fill("1000")
    expect(page.locator(".result strong")).to_have_text("1.5")
    expect(page.locator(".result")).to_contain_text("≈ $0.0015")
    page.get_by_label("Output tokens").fill("1000000000")
    expect(page.locator(".result strong")).to_have_text("1,200,000.3")
    someone.check("estimate")


def test_statements_and_receipts_lead_somewhere(shop, dev, busy, visitor):
    someone = visitor()
    someone.open(link(shop, dev, busy))
    page = someone.tab(shop.root, "statements")
    for kind, begin in (("PDF", b"%PDF-"), ("CSV", b"secti"), ("JSON", b"{")):
        with page.expect_download() as download:
            page.get_by_role("link", name=re.compile(f"^{kind}")).first.click()
        with open(download.value.path(), "rb") as file:
            head = file.read(5)
        assert head.startswith(begin), (kind, head)
    page = someone.tab(shop.root, "purchases")
    receipt = page.get_by_role("link", name=re.compile("^Receipt")).first.get_attribute("href")
    assert http("GET", receipt)[0] == 200


def test_auto_recharge_is_turned_on_and_off(shop, dev, busy, visitor, sql):
    someone = visitor()
    someone.open(link(shop, dev, busy))
    page = someone.tab(shop.root, "settings")
    page.get_by_label("Below how many credits").fill("12.5")
    page.get_by_label("Package").select_option("starter")
    page.get_by_label("At most so many dollars").fill("5")
    page.get_by_role("button", name="Turn on").click()
    field = page.get_by_label("At most so many dollars")
    expect(field).to_have_accessible_description(re.compile("below the price"))
    # Chromium says in its console that it was a 422.
    assert len(someone.complaints) == 1 and "422" in someone.complaints.pop()
    someone.check("a wrong setting")
    field.fill("20")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("Auto-recharge is on.")).to_be_visible()
    threshold = "SELECT threshold FROM recharge JOIN account USING (account_id) WHERE user_id = %s"
    assert sql(threshold, busy) == [(12_500,)]
    page.get_by_role("button", name="Turn off").click()
    expect(page.get_by_text("Auto-recharge is off.")).to_be_visible()
    assert sql(threshold, busy) == [(None,)]


# What must not work


def test_names_are_text_wherever_they_stand(shop, dev, visitor):
    """A user id that breaks out of attributes wherever they end, also where an accent follows."""
    user = f"\"\u0301 autofocus onfocus=alert(1) '><script>alert(2)</script><img src=x onerror=alert(3)> {uuid.uuid4().hex[:6]}"
    dev.account(user, 100)
    someone = visitor()
    asked = []
    someone.page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    status, _, reply = http(
        "POST", shop.root + "/api/billing/portal-session", {},
        {"Authorization": "Bearer " + dev.serviceKey, "X-Tollgate-User": user.encode().decode("latin-1")})
    assert status == 200, reply
    someone.open(json.loads(reply)["url"])
    for tab in TABS:
        page = someone.tab(shop.root, tab, model=user, notice=user, cursor=user, type=user)
        expect(page.locator(".who .name")).to_contain_text(user)
        assert page.locator("main script, img[onerror], [onfocus]").count() == 0
        someone.check(f"{tab} of a user with a wicked name")
    assert not asked


def test_a_link_works_once_and_for_its_user_only(shop, dev, visitor, user):
    other = f"other-{uuid.uuid4().hex[:8]}"
    dev.account(other, 7)
    mine, theirs = link(shop, dev, user), link(shop, dev, other)
    one, two = visitor(), visitor()
    one.open(mine)
    two.open(theirs)
    expect(one.page.locator(".who .name")).to_contain_text(user)
    expect(two.page.locator(".who .name")).to_contain_text(other)
    two.page.goto(mine)
    expect(two.page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    assert len(two.complaints) == 1 and "410" in two.complaints.pop()
    two.tab(shop.root, "credits")
    expect(two.page.locator(".who .name")).to_contain_text(other)


def test_no_other_page_can_hold_or_post_to_ours(shop, dev, visitor, user, tmp_path):
    someone = visitor()
    someone.open(link(shop, dev, user))
    bait = tmp_path / "bait.html"
    bait.write_text(f"""<!doctype html><title>bait</title><iframe src="{shop.root}/billing?tab=credits"></iframe>
        <form method="post" action="{shop.root}/billing/buy"><input name="package" value="starter"><button>x</button></form>""")
    page = someone.page
    page.goto(bait.as_uri())
    wait_until(lambda: any("frame-ancestors" in text for text in someone.complaints), 10, "a refusal of the frame")
    someone.complaints.clear()
    page.get_by_role("button", name="x").click()
    # The cookie does not come along, so nobody is signed in there.
    expect(page.get_by_role("heading", name="Open this page from the app")).to_be_visible()
    someone.complaints.clear()


def test_a_suspended_account_looks_but_does_not_buy(shop, dev, visitor, user):
    dev.cli("account", "set", "--user", user, "--status", "suspended", "--reason", "test")
    someone = visitor()
    page = someone.open(link(shop, dev, user))
    expect(page.get_by_text("This account is suspended. You can look")).to_be_visible()
    for button in page.get_by_role("button", name="Buy").all():
        expect(button).to_be_disabled()
    for tab in TABS:
        someone.tab(shop.root, tab)
        someone.check(f"{tab} of a suspended account")


def test_a_link_by_hand_is_audited(shop, dev, visitor, user, sql):
    made = dev.cli("portal-link", "--user", user, "--reason", "support case 7", PUBLIC_URL=shop.root)
    visitor().open(made.stdout.strip())
    entries = sql("SELECT actor, action, reason FROM audit_log WHERE subject = %s AND action = 'portal.link'",
                  f"account:{user}")
    assert len(entries) == 1 and entries[0][0].startswith("cli:") and entries[0][2] == "support case 7"
    assert dev.cli("portal-link", "--user", "nobody-of-that-name", check=False).returncode == 1


def test_the_apps_own_token_opens_the_page(shop, app, visitor, user):
    """The app's page posts a form; nothing but its key decides whether it is believed."""
    someone = visitor()
    for token, title in (
            (app.token(user), "Credits"), (app.token(user, kid="stranger"), "Please sign in"),
            (app.token(user, exp=-1), "Please sign in"), (app.token(user, aud="other"), "Please sign in")):
        someone.page.goto(app.origin + app.form(shop.root, token))
        someone.page.get_by_role("button").click()
        expect(someone.page.get_by_role("heading", level=1)).to_have_text(title)
    assert len(someone.complaints) == 3 and all("401" in one for one in someone.complaints)
    someone.complaints.clear()
    someone.tab(shop.root, "credits")
    expect(someone.page.locator(".who .name")).to_contain_text(user)
    status, _, reply = http(
        "GET", shop.root + "/api/billing/summary", headers={"Authorization": "Bearer " + app.token(user)})
    assert status == 200 and json.loads(reply)["balanceCredits"] == 2000


def test_no_other_site_puts_a_visitor_into_another_account(shop, dev, app, visitor, user, tmp_path):
    """Its owner has an account of their own, and a token that the app signed for it."""
    theirs = f"other-{uuid.uuid4().hex[:8]}"
    dev.account(theirs, 7)
    someone = visitor()
    page = someone.open(link(shop, dev, user))
    path = app.form(shop.root, app.token(theirs))
    file = tmp_path / "bait.html"
    file.write_text(app.pages[path])
    for bait in (app.foreign + path, file.as_uri()):
        page.goto(bait)
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("This is not allowed")
        assert len(someone.complaints) == 1 and "403" in someone.complaints.pop()
        someone.tab(shop.root, "credits")
        expect(page.locator(".who .name")).to_contain_text(user)
    # A link names its user, and waits for the person.
    page.goto(link(shop, dev, theirs))
    expect(page.locator("main .name")).to_have_text(theirs)
    expect(page.get_by_role("alert")).to_contain_text("another account is open")
    page.wait_for_load_state("networkidle")
    assert "/billing/open" in page.url
    someone.check("a link of another account")
    someone.tab(shop.root, "credits")
    expect(page.locator(".who .name")).to_contain_text(user)
    page.goto(link(shop, dev, theirs))
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".who .name")).to_contain_text(theirs)


def test_dev_prints_a_link_that_works(dev, sql):
    """The stack may have been up for longer than a link lasts, so its link is looked for in the ledger, and made to last."""
    made = sql("""SELECT l.expires_at - l.created_at FROM portal_link l JOIN account USING (account_id)
                  WHERE user_id = 'demo'""")
    assert made and all(299 < lifetime.total_seconds() < 301 for (lifetime,) in made)
    printed = re.search(r"^http\S+/billing/open\?token=\w+$", dev.process.output(), re.MULTILINE)
    sql("""UPDATE portal_link SET expires_at = now() + interval '1 minute'
           WHERE used_at IS NULL AND account_id = (SELECT account_id FROM account WHERE user_id = 'demo')""")
    status, _, body = http("GET", printed[0])
    assert status == 200 and b"Continue" in body and b">demo<" in body
    status, headers, _ = http("GET", dev.portalURL)
    assert status == 401 and headers["content-type"].startswith("text/html")
