"""A stack with something to read behind every route of the API, and how each route is asked for it."""
import concurrent.futures
import contextlib
import dataclasses
import json
import secrets
import time

import httpx
import stripe

from calendar_tools import this_month, today
from harness import http, patient_http, wait_until
from ledger_tools import connected
from session_tools import submit
from staff_tools import Person, totp

MODEL = "gpt-4o-mini"


@dataclasses.dataclass
class Filled:
    """What there is, by the names that the API has for it."""

    stack: object
    account: int
    run: int
    card: str
    version: str
    yaml: str
    person: Person

    @property
    def since(self):
        return {"from": "2026-01-01"}

    @contextlib.contextmanager
    def under_way(self):
        """One request of the account, which has a hold meanwhile."""
        holds = f"/api/admin/accounts/{self.account}/holds"
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            assert http("POST", self.stack.mock_root + "/_mock/barrier", {"hold": True})[0] == 200
            asked = pool.submit(chat, self.stack)
            try:
                wait_until(lambda: admin(self.stack, holds).json()["entries"], 60, "a hold")
                yield
            finally:
                assert http("POST", self.stack.mock_root + "/_mock/release")[0] == 200
            assert asked.result()[0] == 200


def chat(stack, **more):
    return patient_http(
        "POST", stack.baseURL + "/chat/completions",
        {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 20, **more},
        {"Authorization": f"Bearer {stack.apiKey}"}, timeout=600)


def admin(stack, path):
    reply = httpx.get(stack.root + path, headers={"Authorization": f"Bearer {stack.adminToken}"}, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply


def order(stack):
    return {"packageCode": "starter", "successUrl": stack.root + "/ok", "cancelUrl": stack.root + "/no"}


def buy(stack, sql):
    reply = httpx.post(
        stack.root + "/api/stripe/create-checkout-session", json=order(stack),
        headers={"Authorization": f"Bearer {stack.apiKey}"}, timeout=60)
    assert reply.status_code == 200, reply.text
    assert submit(reply.json()["url"], {"outcome": "card"})[0] in (302, 303)
    paid = "SELECT 1 FROM purchase WHERE purchase_id = %s AND status = 'paid'"
    wait_until(lambda: sql(paid, reply.json()["purchaseId"]), 60, "the purchase")


def reconciled_with_findings(stack, sql):
    """The number of a run that found a wrong balance, which is right again."""
    stack.cli("account", "create", "--user", "wrong")
    wrong = "SET session_replication_role = replica; UPDATE credit_balance SET balance_millicredits = %s WHERE user_id = 'wrong'"
    sql(wrong, 7)
    try:
        assert stack.cli("reconcile", "--date", str(today()), check=False).returncode == 1
    finally:
        sql(wrong + "; SET session_replication_role = origin", 0)
    ((run,),) = sql("SELECT max(run_id) FROM reconciliation_finding")
    return run


@contextlib.contextmanager
def filled(stack):
    """The account is the stack's own user's."""
    with connected(stack.databaseURL) as sql:
        ((account,),) = sql("SELECT account_id FROM account WHERE user_id = 'demo'")
        assert chat(stack)[0] == 200
        wait_until(lambda: sql("SELECT 1 FROM usage_events WHERE account_id = %s", account), 60, "a settlement")
        buy(stack, sql)
        stack.cli("account", "holds", "--user", "demo", "rolling")
        sql("INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier) "
            "VALUES (%s, current_date, 90000, 1500, 10)", account)
        run = reconciled_with_findings(stack, sql)
        active = next(card for card in admin(stack, "/api/admin/rate-cards").json()["entries"] if card["active"])
        yaml = admin(stack, f"/api/admin/rate-cards/{active['card']}/{active['version']}").text
        person = Person(stack.root, stack.cli, "signs-in-" + secrets.token_hex(4), "viewer")
        yield Filled(stack, account, run, active["card"], active["version"], yaml, person)


@dataclasses.dataclass
class Call:
    """One request. `shows` names a list of the reply that has something in it."""

    parameters: dict = dataclasses.field(default_factory=dict)
    query: dict = dataclasses.field(default_factory=dict)
    body: object = None
    headers: dict = dataclasses.field(default_factory=dict)
    shows: str = None
    # A route whose reply is a file or the like has no fields that the document could ask for.
    has_fields: bool = True
    during: contextlib.AbstractContextManager = dataclasses.field(default_factory=contextlib.nullcontext)

    @property
    def content(self):
        return None if self.body is None else json.dumps(self.body)


def lists(**more):
    return Call(shows="entries", **more)


def statement(kind):
    return lambda _: Call(parameters={"file": f"{this_month()}.{kind}"}, has_fields=False)


def signed_event(filled):
    """An event that nothing comes of."""
    event = {
        "id": f"evt_{secrets.token_hex(8)}", "object": "event", "type": "customer.created", "livemode": False,
        "created": int(time.time()), "data": {"object": {"object": "customer", "id": "cus_1"}}}
    call, at = Call(body=event), int(time.time())
    code = stripe.WebhookSignature._compute_signature(f"{at}.{call.content}", filled.stack.stripeWebhookSecret)
    call.headers["Stripe-Signature"] = f"t={at},v1={code}"
    return call


def of_account(filled):
    return {"account": filled.account}


# By operationId; a name that has a blank is one more way to ask.
CALLS = {
    "health": lambda _: Call(),
    "ready": lambda _: Call(shows="checks"),
    "openapi": lambda _: Call(has_fields=False),
    "summary": lambda _: Call(shows="recentUsage"),
    "packages": lambda _: lists(),
    "usage": lambda f: lists(query={**f.since, "model": MODEL, "limit": 1}),
    "ledger": lambda f: lists(query={**f.since, "type": "purchase", "limit": 1}),
    "statement csv": statement("csv"),
    "statement pdf": statement("pdf"),
    "statement json": statement("json"),
    "estimate": lambda _: Call(body={"model": MODEL, "inputTokens": 1000, "outputTokens": 10}),
    "estimate of messages": lambda _: Call(
        body={"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "maxOutputTokens": 10}),
    "createCheckoutSession": lambda f: Call(body=order(f.stack)),
    "createPortalSession": lambda f: Call(body={"returnUrl": f.stack.root + "/"}),
    "stripeWebhook": signed_event,
    "signIn": lambda f: Call(
        body={"email": f.person.email, "password": f.person.password, "code": totp(f.person.secret)}),
    "adminPurchases": lambda f: lists(query={**f.since, "userId": "demo", "limit": 1}),
    "adminWebhookEvents": lambda f: lists(query={**f.since, "type": "checkout.session.completed", "limit": 1}),
    "adminAccounts": lambda f: lists(query={"accountId": f.account}),
    "adminAccounts by name": lambda _: lists(query={"prefix": "dem", "limit": 1}),
    "adminAccount": lambda f: Call(parameters=of_account(f)),
    "adminHolds": lambda f: lists(parameters=of_account(f), during=f.under_way()),
    "adminLedger": lambda f: lists(parameters=of_account(f), query={**f.since, "type": "purchase", "limit": 1}),
    "adminUsage": lambda f: lists(parameters=of_account(f), query={**f.since, "model": MODEL, "limit": 1}),
    "adminKeys": lambda f: lists(query={"accountId": f.account, "limit": 1}),
    "adminRateCards": lambda _: lists(),
    "adminRateCard": lambda f: Call(parameters={"card": f.card, "version": f.version}, has_fields=False),
    "adminReviewRateCard": lambda f: Call(body={"yaml": f.yaml}),
    "adminSimulateRateCard": lambda f: Call(body={"yaml": f.yaml, "days": 30}),
    "adminFinance": lambda _: Call(),
    "adminTrialBalance": lambda _: Call(shows="accounts"),
    "adminReconciliation": lambda _: lists(query={"limit": 1}),
    "adminFindings": lambda f: lists(parameters={"run": f.run}),
    "adminFlags": lambda _: lists(),
    "adminAudit": lambda _: lists(query={"action": "account.holds", "subject": "account:demo", "limit": 1}),
    "adminVerifyAudit": lambda _: Call(),
    "adminReviews": lambda _: lists(query={"state": "open", "limit": 1}),
    "adminShadowReport": lambda f: Call(query={**f.since, "to": str(today())}),
    "adminCaps": lambda _: Call(),
}
