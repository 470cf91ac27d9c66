"""`tollgate smoke-test`: green on a fresh stack, and red with the right line on deployments that are broken in one thing.

A proxy in front of the stack does the breaking: what it does not change passes as it is."""
import http.server
import json
import os
import subprocess
import threading
import urllib.error
import urllib.request
import uuid

import pytest

from harness import BIN, ROOT, free_port, own_stack
from ledger_tools import query

CHECKS = [
    "health", "ready", "headers", "cors", "unauthorized", "summary", "packages", "rates", "user", "checkout", "grant",
    "webhook", "call", "usage", "ledger", "retry", "stream", "insufficient", "books", "cleanup"]
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, dict(headers), body

    def edit(self, change):
        document = json.loads(self.body)
        change(document)
        self.body = json.dumps(document).encode()


class Front:
    """A proxy in front of a deployment that breaks one thing."""

    def __init__(self, target, sabotage):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items() if k.lower() not in HOP}
                path = self.path.split("?")[0]
                sabotage.request(self.command, path, headers, body)
                request = urllib.request.Request(
                    target + self.path, data=body if self.command == "POST" else None, method=self.command,
                    headers=headers)
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        reply = Reply(answer.status, answer.headers.items(), answer.read())
                except urllib.error.HTTPError as error:
                    with error:
                        reply = Reply(error.code, error.headers.items(), error.read())
                reply.headers = {k.lower(): v for k, v in reply.headers.items() if k.lower() not in HOP}
                sabotage.reply(self.command, path, headers, reply)
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def smoke(dev, *arguments, base=None, check=True, **env):
    """What the command says of the stack: (exit code, its report as JSON)."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "BILLING_", "STRIPE_", "DATABASE_"))}
    done = subprocess.run(
        [str(BIN / "tollgate"), "smoke-test", "--dev", str(dev.directory / "dev"), "--json",
         *(["--base-url", base] if base else []), *arguments],
        env={**keep, **env}, cwd=ROOT, capture_output=True, text=True, timeout=300)
    for secret in (dev.adminToken, dev.serviceKey, dev.stripeWebhookSecret):
        assert secret not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout) if check else done


def lines(report):
    assert [line["check"] for line in report["lines"]] == CHECKS
    return {line["check"]: line for line in report["lines"]}


@pytest.fixture(scope="module")
def fresh():
    """A stack that nobody has used."""
    with own_stack() as stack:
        yield stack


def test_a_fresh_stack_is_green(fresh):
    code, report = smoke(fresh, "--strict")
    assert code == 0 and report["green"], report
    assert {line["status"] for line in report["lines"]} == {"passed"}
    # Nothing stays behind: neither credits nor an account that could spend any.
    user = lines(report)["user"]["message"].removeprefix("user ")
    left = query(
        fresh.databaseURL, "SELECT a.user_id, a.status, b.balance_millicredits FROM account a JOIN credit_balance b USING (account_id) "
        "WHERE a.user_id LIKE %s ORDER BY 1", user + "%")
    assert left == [(user, "suspended", 0), (user + "-poor", "suspended", 0)]
    (status,) = query(
        fresh.databaseURL, "SELECT posted.refunded_cents = 999 FROM purchase p JOIN payment_state posted USING (purchase_id) "
        "WHERE p.account_id = (SELECT account_id FROM account WHERE user_id = %s)", user)[0]
    assert status


# Not a reply that a proxy changed, but deployments that are set so: a switch that somebody forgot.
@pytest.mark.parametrize("flag, value, reds", [
    ("BILLING_CHARGING_ENABLED", "false", {"usage", "insufficient"}),
    ("BILLING_PURCHASE_ENABLED", "false", {"checkout"}),
    ("BILLING_ROLLOUT_PERCENTAGE", "0", {"usage", "insufficient"}),
    ("BILLING_MODEL_ALLOWLIST", "gpt-5", {"call", "insufficient"})])
def test_a_switch_that_was_forgotten_is_red(fresh, flag, value, reds):
    fresh.cli("flag", "set", flag, value, "--reason", "forgotten")
    try:
        code, report = smoke(fresh)
    finally:
        fresh.cli("flag", "clear", flag, "--reason", "remembered")
    red = {name for name, line in lines(report).items() if line["status"] == "failed"}
    assert code == 1 and not report["green"] and red == reds, report


def test_the_list_is_for_people(dev):
    done = subprocess.run(
        [str(BIN / "tollgate"), "smoke-test", "--dev", str(dev.directory / "dev")], capture_output=True, text=True,
        timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("✓") == len(CHECKS) and "green: 0 failed, 0 skipped" in done.stdout


def test_a_payment_of_the_test_card_is_as_good_as_the_page(dev):
    """How a purchase is paid at Stripe itself, where no program presses buttons."""
    code, report = smoke(dev, "--pay", "card", "--strict")
    assert code == 0, report
    assert "payment_intent.succeeded" in lines(report)["webhook"]["message"]


def test_what_cannot_be_checked_is_skipped_and_says_why(dev, tmp_path):
    """Without Stripe and without the ledger: no purchase, no gift, and so no call. `--strict` calls that red."""
    (tmp_path / "dev.json").write_text(json.dumps({**dev.facts, "databaseURL": "", "stripeURL": "https://stripe.invalid"}))
    arguments = [str(BIN / "tollgate"), "smoke-test", "--dev", str(tmp_path), "--json"]
    for more, code in (([], 0), (["--strict"], 1)):
        done = subprocess.run([*arguments, *more], capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert done.returncode == code, done.stdout + done.stderr
        found = lines(json.loads(done.stdout))
        assert {name for name, line in found.items() if line["status"] == "skipped"} == {
            "checkout", "grant", "webhook", *METERED}
        assert "STRIPE_SECRET_KEY" in found["checkout"]["message"]
        assert "DATABASE_URL" in found["call"]["message"]
        assert found["insufficient"]["status"] == "passed", "a balance of nothing is too little as well"


@pytest.mark.parametrize("arguments, env, code, words", [
    ([], {}, 64, "--base-url"),
    (["--base-url", "http://example.com"], {"ADMIN_TOKEN": "a", "SERVICE_KEY": "b"}, 64, "--base-url must be https://"),
    (["--base-url", "http://127.0.0.1:1"], {"ADMIN_TOKEN": "a"}, 78, "SERVICE_KEY"),
    (["--base-url", "http://127.0.0.1:1", "--wait-seconds", "0"], {}, 64, "--wait-seconds"),
    (["--dev", "/nowhere"], {}, 64, "tollgate dev"),
    (["--base-url", "http://127.0.0.1:1"], {
        "ADMIN_TOKEN": "a", "SERVICE_KEY": "b", "STRIPE_SECRET_KEY": "sk_live_x"}, 78, "live key"),
    (["--base-url", "http://127.0.0.1:1"], {"ADMIN_TOKEN": "a", "SERVICE_KEY": "b"}, 69, "no reply of /api/health")])
def test_a_wrong_call_is_refused_by_name(arguments, env, code, words):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("STRIPE_", "ADMIN_", "DATABASE_", "SERVICE_"))}
    done = subprocess.run(
        [str(BIN / "tollgate"), "smoke-test", *arguments], env={**keep, **env}, capture_output=True, text=True,
        timeout=60, cwd=ROOT)
    assert done.returncode == code and words in done.stdout + done.stderr, done.stdout + done.stderr
    assert "sk_live_x" not in done.stdout + done.stderr


# Sabotage


class Sabotage:
    """Changes nothing."""
    red = None
    # Lines that need the red one.
    skipped = ()
    arguments = ()
    env = {}
    words = ""

    def __init__(self, dev):
        self.dev = dev

    def request(self, method, path, headers, body):
        pass

    def reply(self, method, path, headers, reply):
        pass

    def after(self, report, sql):
        pass


METERED = ("call", "usage", "ledger", "retry", "stream", "books")
BEHIND_SUMMARY = (
    "packages", "rates", "user", "checkout", "grant", "webhook", *METERED, "insufficient", "cleanup")


class HealthFails(Sabotage):
    red, words = "health", "answered 500"
    skipped = tuple(CHECKS[1:])

    def reply(self, method, path, headers, reply):
        if path == "/api/health":
            reply.status = 500


class NotReady(Sabotage):
    red, words = "ready", "hold_store"
    skipped = tuple(name for name in BEHIND_SUMMARY if name not in ("packages", "rates"))

    def reply(self, method, path, headers, reply):
        if path == "/api/ready":
            reply.status = 503
            reply.edit(lambda ready: ready["checks"].update(hold_store="unavailable"))


class NoPolicy(Sabotage):
    red, words = "headers", "content-security-policy"

    def reply(self, method, path, headers, reply):
        reply.headers.pop("content-security-policy", None)


class EverybodysOrigin(Sabotage):
    red, words = "cors", "CORS_ORIGINS"

    def reply(self, method, path, headers, reply):
        reply.headers["access-control-allow-origin"] = "*"


class OpenDoor(Sabotage):
    red, words = "unauthorized", "without a key answered 200"

    def reply(self, method, path, headers, reply):
        if path == "/v1/chat/completions" and "authorization" not in headers:
            reply.status = 200


class NoBalance(Sabotage):
    red, words, skipped = "summary", "'balanceMillicredits'", BEHIND_SUMMARY

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/summary" and reply.status == 200:
            reply.edit(lambda summary: summary.pop("balanceMillicredits"))


class WrongPackage(Sabotage):
    red, words = "packages", "'credits' of 'professional' must be 52490, not 52491"

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/summary" and reply.status == 200:
            reply.edit(lambda summary: next(
                p for p in summary["packages"] if p["code"] == "professional").update(credits=52491))


class NoRate(Sabotage):
    red, words, skipped = "rates", "no row for 'gpt-4o'", (*METERED, "insufficient")

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/summary" and reply.status == 200:
            def forget(summary):
                summary["activeRates"] = [rate for rate in summary["activeRates"] if rate["model"] != "gpt-4o"]
            reply.edit(forget)


class ClientsPrice(Sabotage):
    """Stands for a server that believes a client: the session is another one, of another price."""
    red, words = "checkout", "instead of 999 US cents"
    skipped = ("grant", "webhook", *METERED)

    def request(self, method, path, headers, body):
        self.wanted = body

    def reply(self, method, path, headers, reply):
        if path == "/api/stripe/create-checkout-session":
            order = {**json.loads(self.wanted), "packageCode": "enterprise"}
            request = urllib.request.Request(self.dev.root + path, data=json.dumps(order).encode(), headers=headers)
            with urllib.request.urlopen(request, timeout=60) as other:
                reply.body = other.read()


class GrantedTwice(Sabotage):
    red, words = "webhook", "after the event came again the balance is"

    def reply(self, method, path, headers, reply):
        if path == "/api/stripe/webhook" and reply.status == 200:
            user = next(iter(self.users), None)
            self.dev.cli("account", "adjust", "--user", user, "--millicredits", "9990000", "--reason", "twice",
                         "--idempotency-key", uuid.uuid4().hex)

    def request(self, method, path, headers, body):
        self.users = {*getattr(self, "users", ()), *({headers["x-tollgate-user"]} if "x-tollgate-user" in headers else ())}


class OtherSecret(Sabotage):
    red, words = "webhook", "wrong_signature"
    env = {"STRIPE_WEBHOOK_SECRET": "whsec_of_another_endpoint_000000"}


class NoUsage(Sabotage):
    red, words, skipped = "usage", "no usage was recorded", ("ledger", "retry", "stream", "books")
    arguments = ("--wait-seconds", "15")

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/usage":
            reply.edit(lambda page: page.update(entries=[]))


class AnotherCharge(Sabotage):
    red, words, skipped = "ledger", "the ledger deducts", ("retry", "stream", "books")

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/ledger":
            def change(page):
                for line in page["entries"]:
                    if line["type"] == "deduction":
                        line["amountMillicredits"] = str(int(line["amountMillicredits"]) - 1)
            reply.edit(change)


class OldUser(Sabotage):
    """What was made by the check that failed is taken back all the same."""
    red, words = "user", "'recentUsage' of a new user must be empty"
    skipped = ("checkout", "grant", "webhook", *METERED, "insufficient")

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/summary" and "x-tollgate-user" in headers and reply.status == 200:
            self.user = headers["x-tollgate-user"]
            reply.edit(lambda summary: summary.update(recentUsage=[{}]))

    def after(self, report, sql):
        assert sql("SELECT status FROM account WHERE user_id = %s", self.user) == [("suspended",)]


class LostReplyToThePoor(Sabotage):
    """The user was made, and nobody heard of it."""
    red, words = "insufficient", "answered 500"

    def reply(self, method, path, headers, reply):
        if reply.status == 402:
            self.user = headers["x-tollgate-user"]
            reply.status = 500

    def after(self, report, sql):
        assert self.user.endswith("-poor")
        assert sql("SELECT status FROM account WHERE user_id = %s", self.user) == [("suspended",)]


class EndlessRefund(Sabotage):
    red, words = "cleanup", "pending (202)"
    arguments = ("--wait-seconds", "15")

    def reply(self, method, path, headers, reply):
        if path == "/api/admin/refunds":
            reply.status = 202

    def after(self, report, sql):
        """What comes behind the refund is done nevertheless."""
        user = lines(report)["user"]["message"].removeprefix("user ")
        assert {status for (status,) in sql("SELECT status FROM account WHERE user_id LIKE %s", user + "%")} == {"suspended"}


class NoRetryKey(Sabotage):
    red, words = "retry", "Idempotency-Key"

    def request(self, method, path, headers, body):
        headers.pop("idempotency-key", None)


class CutStream(Sabotage):
    red, words = "stream", "does not end with [DONE]"

    def reply(self, method, path, headers, reply):
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            reply.body = reply.body.replace(b"data: [DONE]\n\n", b"")


class GenerousAnswer(Sabotage):
    red, words = "insufficient", "answered 200"

    def reply(self, method, path, headers, reply):
        if reply.status == 402:
            reply.status = 200


class NoRefund(Sabotage):
    red, words = "cleanup", "the refund of the purchase answered 404"

    def reply(self, method, path, headers, reply):
        if path == "/api/admin/refunds":
            reply.status = 404


class UsedUser(Sabotage):
    """Stands for a deployment that knows the throw-away user already."""
    red, words = "user", 'a new user must have a balance of "0"'
    skipped = ("checkout", "grant", "webhook", *METERED, "insufficient")

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/summary" and "x-tollgate-user" in headers:
            reply.edit(lambda summary: summary.update(balanceMillicredits="1"))


class AnotherGrant(Sabotage):
    red, words = "grant", "granted are 9990001 millicredits instead of 9990000"
    skipped = ("webhook", *METERED)

    def reply(self, method, path, headers, reply):
        if path == "/api/billing/summary" and "x-tollgate-user" in headers:
            def add(summary):
                if summary["balanceMillicredits"] == "9990000":
                    summary["balanceMillicredits"] = "9990001"
            reply.edit(add)


class NoTokens(Sabotage):
    red, words, skipped = "call", "the reply tells no usage", ("usage", "ledger", "retry", "stream", "books")

    def reply(self, method, path, headers, reply):
        if path == "/api/ai/chat" and reply.status == 200:
            reply.edit(lambda answer: answer.pop("usage"))


class LostLine(Sabotage):
    """A line of the ledger is gone once nobody looks at lines of single calls any more."""
    red, words = "books", "run `tollgate reconcile`"
    is_over = False

    def reply(self, method, path, headers, reply):
        if reply.headers.get("content-type", "").startswith("text/event-stream"):
            self.is_over = True
        if path == "/api/billing/ledger" and self.is_over:
            reply.edit(lambda page: page["entries"].pop())


REDS = [sabotage for sabotage in Sabotage.__subclasses__() if sabotage.red]


@pytest.mark.parametrize("sabotage", REDS, ids=lambda sabotage: sabotage.__name__)
def test_what_is_broken_is_the_red_line_and_nothing_else(dev, sql, sabotage):
    made = sabotage(dev)
    front = Front(dev.root, made)
    try:
        code, report = smoke(dev, *made.arguments, base=front.url, **made.env)
    finally:
        front.stop()
    found = lines(report)
    assert code == 1 and not report["green"]
    red = {name: line["message"] for name, line in found.items() if line["status"] == "failed"}
    assert list(red) == [made.red] and made.words in red[made.red], red
    assert {name for name, line in found.items() if line["status"] == "skipped"} == set(made.skipped)
    made.after(report, sql)


class SlowRefund(Sabotage):
    """Stripe did not answer the first two times."""
    pending = 2

    def reply(self, method, path, headers, reply):
        if path == "/api/admin/refunds" and self.pending:
            self.pending -= 1
            reply.status = 202


def test_a_refund_that_is_pending_is_waited_for(dev):
    made = SlowRefund(dev)
    front = Front(dev.root, made)
    try:
        code, report = smoke(dev, "--strict", base=front.url)
    finally:
        front.stop()
    assert code == 0 and made.pending == 0, report
    assert "purchase refunded" in lines(report)["cleanup"]["message"]


class StripeThatClosesNothing(Sabotage):
    def reply(self, method, path, headers, reply):
        if path.endswith("/expire"):
            reply.status = 400
            reply.body = b'{"error": {"type": "invalid_request_error", "message": "no"}}'
        elif method == "GET" and path.startswith("/v1/checkout/sessions/"):
            reply.edit(lambda page: page.update(status="open"))


def test_a_checkout_that_stays_open_is_told(dev):
    """It is between us and Stripe, not in front of the deployment."""
    front = Front(dev.stripeURL, StripeThatClosesNothing(dev))
    try:
        code, report = smoke(dev, "--pay", "card", STRIPE_API_BASE=front.url)
    finally:
        front.stop()
    found = lines(report)
    assert code == 1 and [name for name, line in found.items() if line["status"] == "failed"] == ["cleanup"], report
    assert "could not be closed" in found["cleanup"]["message"] and "cs_" in found["cleanup"]["message"]


def test_the_newest_of_a_list_of_admin_tokens_is_taken(dev):
    code, report = smoke(dev, "--strict", ADMIN_TOKEN=f"{dev.adminToken}, an-older-one-0123456789abcdef0123")
    assert code == 0, report


def test_a_front_that_changes_nothing_is_green(dev):
    """Else the reds above could be the proxy's."""
    front = Front(dev.root, Sabotage(dev))
    try:
        code, report = smoke(dev, "--strict", base=front.url)
    finally:
        front.stop()
    assert code == 0, report


def test_a_closed_port_is_no_reply(dev):
    code, report = smoke(dev, base=f"http://127.0.0.1:{free_port()}")
    assert code == 69 and report["failed"] == 1


def test_every_line_was_seen_red():
    assert {sabotage.red for sabotage in REDS} == set(CHECKS)
