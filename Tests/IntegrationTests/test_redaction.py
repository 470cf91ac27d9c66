"""What an operator's collectors must never get: secrets, prompts, replies, and what lets somebody in."""
import base64
import contextlib
import hashlib
import hmac
import json
import re
import socket
import time
import urllib.parse
import uuid

import pytest

from harness import Serve, free_port, http, running, wait_until
from portal_tools import part
from session_tools import PortalSession, submit
from staff_tools import Person, call, totp
from stripe_tools import SECRET, MockStripe
from test_logs_and_traces import Collector, Upstream

CHAT = "gpt-4o-mini"


class Marked:
    """Everything that is secret, by a name that a failure can tell; `mark` is in all of it that can be chosen."""

    def __init__(self):
        self.mark = f"M4RK{uuid.uuid4().hex[:12]}"
        self.values = {"the mark": self.mark}

    def keep(self, **values):
        self.values.update(values)

    def found(self, text):
        return {name: next(line[:300] for line in text.splitlines() if value in line)
                for name, value in self.values.items() if value in text}


class Answering(Upstream):
    """Its reply is secret as well."""

    def __init__(self, mark):
        self.REPLY = Upstream.REPLY.replace(b"Hello", b"Hello " + mark.encode())
        super().__init__()


class Stage:
    """A proxy whose secrets are all marked, between an upstream, a Stripe and a collector that are the test's own."""

    def __init__(self, dev, directory, marked, form):
        self.dev, self.marked = dev, marked
        mark, port = marked.mark, free_port()
        self.access = directory / "access.log"
        self.collector, self.upstream = Collector(), Answering(mark)
        self.stripe = MockStripe(
            directory, key=f"sk_live_{mark}", webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
        self.secrets = {
            "OPENAI_API_KEY": f"sk-{mark}operator", "ADMIN_TOKEN": f"{mark}admin-token-0123456789abcdef0123",
            "SESSION_SECRET": f"{mark}session-0123456789abcdef0123456789",
            "PORTAL_JWT_SECRET": f"{mark}app-0123456789abcdef0123456789abcdef",
            # The stack's own is there too, for the keys that its commands make.
            "KEY_PEPPER": f"{dev.keyPepper},{mark}pepper-0123456789abcdef0123456789",
            "STRIPE_SECRET_KEY": self.stripe.key, "STRIPE_WEBHOOK_SECRET": f"whsec_{mark}0123456789,{SECRET}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={mark}"}
        marked.keep(
            KEY_PEPPER=dev.keyPepper, STRIPE_WEBHOOK_SECRET=SECRET,
            DATABASE_URL=urllib.parse.urlparse(dev.databaseURL).password,
            REDIS_URL=urllib.parse.urlparse(dev.redisURL).password)
        self.serve = Serve(
            dev, port, ACCESS_LOG=str(self.access), LOG_LEVEL="trace", LOG_FORMAT=form,
            JOURNAL_DIR=str(directory / "journal"), OPENAI_BASE_URL=self.upstream.url,
            STRIPE_API_BASE=self.stripe.url, PORTAL_JWT_ISSUER="app", PORTAL_JWT_AUDIENCE="tollgate",
            OTEL_EXPORTER_OTLP_ENDPOINT=self.collector.url, OTEL_SERVICE_NAME="till-7", **self.secrets)
        self.root, self.base = self.serve.root, self.serve.base
        self.user = f"marked-{uuid.uuid4().hex[:8]}"
        self.key = dev.account(self.user, credits=1000)
        marked.keep(key=self.key, service_key=dev.serviceKey)

    def stop(self):
        self.serve.stop()
        self.stripe.stop()
        self.upstream.stop()
        self.collector.stop()


def ask_models(stage):
    """Prompts, replies, and bodies of every shape that is refused."""
    mark, bearer = stage.marked.mark, {"Authorization": "Bearer " + stage.key}
    body = {"model": CHAT, "messages": [{"role": "user", "content": mark}]}
    url = stage.base + "/chat/completions"
    status, _, reply = http("POST", url, body, bearer)
    assert status == 200 and mark in reply.decode(), "its reply is marked too"
    for more in ({"stream": True}, {"unknown": mark}, {"max_tokens": mark}, {"model": "gpt-4o-mini-nope"}):
        http("POST", url, {**body, **more}, bearer)
    http("POST", url, (json.dumps(body) + mark).encode(), bearer)
    http("POST", stage.base + "/embeddings", {"model": "text-embedding-3-small", "input": mark}, bearer)
    form = (f'--b\r\nContent-Disposition: form-data; name="file"; filename="{mark}.wav"\r\n\r\n{mark}\r\n'
            f'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n').encode()
    http("POST", stage.base + "/audio/transcriptions", form,
         {**bearer, "Content-Type": "multipart/form-data; boundary=b"})
    for name in ("Cookie", "X-Api-Key", "Idempotency-Key", "Stripe-Signature", "traceparent", "tracestate", "User-Agent"):
        http("POST", url, body, {**bearer, name: mark})
    http("GET", stage.base + f"/models?key={mark}", headers=bearer)


def knock(stage):
    """Credentials that are wrong, and bytes that are no request."""
    mark = stage.marked.mark
    for value in (f"Bearer tg_{mark}", f"Basic {mark}", mark, f"Bearer {stage.secrets['ADMIN_TOKEN']}x"):
        http("GET", stage.base + "/models", headers={"Authorization": value})
        http("GET", stage.root + "/api/billing/summary", headers={"Authorization": value})
    for raw in (f"GET /{mark} HTTP/9.9\r\n\r\n", f"{mark} / HTTP/1.1\r\n\r\n",
                f"GET / HTTP/1.1\r\nHost: {mark} x\r\n\r\n", f"GET / HTTP/1.1\r\nHost: a\r\n{mark}\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", stage.serve.port), 5) as raw_socket:
            raw_socket.sendall(raw.encode())
            raw_socket.settimeout(5)
            with contextlib.suppress(OSError):
                raw_socket.recv(4096)


def pay(stage):
    """What Stripe and a buyer send; one purchase comes through."""
    mark, bearer = stage.marked.mark, {"Authorization": "Bearer " + stage.key}
    http("GET", stage.root + f"/api/billing/usage?from={mark}&cursor={mark}", headers=bearer)
    http("POST", stage.root + "/api/stripe/webhook", {"id": mark}, {"Stripe-Signature": f"t=1,v1={mark}"})
    http("POST", stage.root + "/api/stripe/create-checkout-session", {"packageCode": mark}, bearer)
    order = {"packageCode": "starter", "successUrl": stage.root + "/ok", "cancelUrl": stage.root + "/no"}
    status, _, page = http("POST", stage.root + "/api/stripe/create-checkout-session", order, bearer, timeout=30)
    assert status == 200, page
    stage.stripe.press(json.loads(page)["url"], "card")
    wait_until(
        lambda: int(json.loads(http("GET", stage.root + "/api/billing/summary", headers=bearer)[2])
                    ["balanceMillicredits"]) > 9_990_000, 20, "the purchase")


def app_token(stage, user, secret):
    now = int(time.time())
    claims = {"iss": "app", "aud": "tollgate", "sub": user, "iat": now, "exp": now + 600}
    text = ".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{part(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def visit_portal(stage):
    """A link, a session, and the app's own tokens."""
    session = PortalSession(stage.root, stage.dev.serviceKey, stage.user)
    unused = PortalSession(stage.root, stage.dev.serviceKey, stage.user)
    for link in (session.link, unused.link, f"{stage.root}/billing/open?token={stage.marked.mark}"):
        submit(link, None)
    submit(stage.root + "/billing/open", {"token": session.link_token})
    token = app_token(stage, stage.user, stage.secrets["PORTAL_JWT_SECRET"])
    status, headers, text = submit(stage.root + "/billing/session", {"token": token}, {"origin": stage.root})
    assert status == 303, text
    wrong = app_token(stage, stage.user, "another secret that is long enough for it")
    for refused in (wrong, stage.marked.mark):
        submit(stage.root + "/billing/session", {"token": refused}, {"origin": stage.root})
        http("GET", stage.root + "/api/billing/summary", headers={"Authorization": f"Bearer {refused}"})
    status = http("GET", stage.root + "/api/billing/summary", headers={"Authorization": f"Bearer {token}"})[0]
    assert status == 200
    submit(stage.root + "/billing/sign-out", {"csrf": unused.csrf}, {"cookie": unused.cookie})
    submit(stage.root + "/billing?tab=usage", None, {"cookie": f"tollgate_portal={'0' * 48}{stage.marked.mark}"})
    stage.marked.keep(
        link_token=session.link_token, portal_cookie=session.cookie.split("=")[1], portal_csrf=session.csrf,
        app_cookie=headers["set-cookie"].split(";")[0].split("=")[1], app_token=token.split(".")[2],
        wrong_app_token=wrong.split(".")[2])


def work_as_staff(stage, reason, once):
    """An invitation, sign-ins right and wrong, and a change in every way that a person has; the codes that were used."""
    mark, dev = stage.marked.mark, stage.dev
    person = type("Marked", (Person,), {"password": f"correct {mark} battery"})(
        stage.root, dev.cli, f"staff-{uuid.uuid4().hex[:8]}", "owner")
    # The last one is refused: an authenticator shows it in ten minutes.
    codes = [person.enrolment_code, totp(person.secret), totp(person.secret, offset=20)]
    person.sign_in(code=codes[1])
    first = person.cookie, person.csrf
    person.try_sign_in(password=mark)
    for wrong in (mark, codes[2]):
        assert person.try_sign_in(code=wrong)[0] == 401
    person.sign_in(code=person.recovery[0])
    call(stage.root, "POST", "/api/admin/enrolment/begin", {"token": mark})
    ((account,),) = [[entry["accountId"]] for entry in call(
        stage.root, "GET", f"/api/admin/accounts?prefix={stage.user}", None, person.headers)[2]["entries"]]
    for path, body in (
            ("adjustments", {"amountMillicredits": "5", "idempotencyKey": once}),
            ("adjustments", {"amountMillicredits": "0", "idempotencyKey": f"{mark}-bad"})):
        status, _, reply = call(
            stage.root, "POST", f"/api/admin/accounts/{account}/{path}", {**body, "reason": reason}, person.headers)
        assert status == (200 if body["amountMillicredits"] != "0" else 400), reply
    status, _, made = call(
        stage.root, "POST", "/api/admin/keys", {"accountId": account, "reason": reason}, person.headers)
    assert status == 200, made
    status, _, text = submit(
        f"{stage.root}/admin/accounts/{account}/new-key", {"csrf": person.csrf, "reason": reason, "step": "do"},
        {"cookie": person.cookie})
    shown = re.search(r"tg_[\w-]{20,}", text)
    assert status == 200 and shown, text
    assert http("GET", stage.base + "/models", headers={"Authorization": "Bearer " + shown[0]})[0] == 200
    call(stage.root, "GET", "/api/admin/session", None, {"cookie": f"tollgate_staff={'0' * 48}{mark}"})
    call(stage.root, "GET", "/api/billing/summary?userId=x", None,
         {"authorization": "Bearer " + stage.secrets["ADMIN_TOKEN"]})
    stage.marked.keep(
        reason=reason, idempotency_key=once, invitation=person.token, authenticator=person.secret, staff_cookie=first[0].split("=")[1],
        staff_csrf=first[1], second_staff_cookie=person.cookie.split("=")[1], second_staff_csrf=person.csrf,
        recovery_code=person.recovery[0], other_recovery_code=person.recovery[1],
        recovery_code_as_kept=person.recovery[0].replace("-", ""),
        key_of_the_api=made["secret"],
        key_of_the_console=shown[0])
    return codes


# A code is six digits, which may be part of any figure. In what is written for people it is sought as a word. In what is
# written for programs a code is a value in quotes, in a query or in a path, and figures stand bare, or as OTLP's integers.
PROSE = ("standard error", "audit list")
A_WORD, A_VALUE = r"(?<![\w.-]){}(?![\w.-])", r"""(?<!"intValue":)["'=/]{}(?!\w)"""


def shows_code(name, text, code):
    return re.search((A_WORD if name in PROSE else A_VALUE).format(code), text) is not None


@pytest.mark.parametrize("name, text, shows", [
    ("standard error", "the code 012345 was refused", True), ("standard error", "why=wrong code=012345", True),
    ("standard error", '"metadata":{"code":"012345"}', True), ("audit list", "staff:ada 012345, refused", True),
    ("access log", '{"code":"012345"}', True), ("access log", '"path":"/admin?code=012345&x=1"', True),
    ("access log", '"path":"/admin/012345"', True), ("traces", '{"stringValue":"012345"}', True),
    ("metrics", 'sign_ins_total{code="012345"} 1', True),
    ("standard error", "2026-11-28T05:09:41.012345Z", False), ("standard error", "id=fe012345", False),
    ("access log", '"first_byte_us":912345,"x":1', False), ("access log", '"id":"fe912345"', False),
    ("traces", '{"intValue":"912345"}', False), ("metrics", "proxy_bytes_total 912345", False)])
def test_a_code_is_found_and_digits_of_a_figure_are_none(name, text, shows):
    assert shows_code(name, text, "912345" if "912345" in text else "012345") == shows


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_prompt_or_body_is_in_any_log(dev, tmp_path, form, sql):
    """Marked secrets go in wherever a client, an operator or one of the staff can put them; then every byte that leaves
    the process for an operator's collectors is searched."""
    sql("DELETE FROM sign_in_limit")
    marked = Marked()
    # The audit log keeps these by purpose, and nothing else does.
    reason, once = f"because of {uuid.uuid4().hex}", f"once-{uuid.uuid4().hex}"
    stage = Stage(dev, tmp_path, marked, form)
    try:
        with running(stage):
            ask_models(stage)
            knock(stage)
            pay(stage)
            visit_portal(stage)
            codes = work_as_staff(stage, reason, once)
            wait_until(lambda: stage.access.exists() and "/admin/accounts/" in stage.access.read_text(), 10, "its last line")
            metrics = http("GET", f"http://127.0.0.1:{stage.serve.ops}/metrics")[2].decode()
            audit = dev.cli("audit", "list", "--limit", "10000").stdout
    finally:
        sql("DELETE FROM sign_in_limit")
    assert not stage.collector.problems, stage.collector.problems
    told = {
        "standard error": stage.serve.process.output(), "access log": stage.access.read_text(),
        "traces": "\n".join(stage.collector.bodies), "metrics": metrics,
        "audit list": audit.replace(reason, "").replace(once, "")}
    # Each of them was really written, and tells of what was done here.
    assert "listening" in told["standard error"] and told["access log"].count("\n") > 60
    assert told["traces"].count('"POST chat"') > 5 and "proxy_requests_total" in metrics and reason in audit
    leaks = {name: found for name, text in told.items() if (found := marked.found(text))}
    leaks |= {f"code {code}": name for name, text in told.items() for code in codes
              if shows_code(name, text, code)}
    for name, value in marked.values.items():
        for shape in (base64.b64encode(value.encode()).decode().rstrip("="), urllib.parse.quote(value, safe="")):
            leaks |= {f"{name} as {shape[:12]}…": place for place, text in told.items() if shape in text}
    # A path is the client's own words to the log, as in every web server; its query is not.
    assert not leaks, leaks
