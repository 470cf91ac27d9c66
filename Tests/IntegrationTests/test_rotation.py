"""Secrets and API keys rotate under load without one failed request: list both, move the callers, drop the old one."""
import hashlib
import hmac
import json
import re
import secrets
import signal
import threading
import time
import uuid

import pytest

from harness import Mock, Serve, http, patient_http, running, wait_until
from portal_tools import part
from session_tools import PortalSession
from staff_tools import Person
from stripe_tools import LIVE_KEY, MockStripe
from wire_tools import chat, load


class Rotation:
    """One secret: how it is used, and how a caller of one value is recognised."""
    setting = ""

    def __init__(self, dev, directory):
        self.dev, self.directory = dev, directory
        self.old, self.new = self.value(), self.value()

    def value(self):
        return secrets.token_hex(32)

    def begin(self):
        """What the rotation needs besides the proxy."""
        return {}

    def use(self, serve, value):
        """The status of one request by a caller who has this value."""
        raise NotImplementedError

    def end(self):
        pass


class AdminToken(Rotation):
    setting, refused = "ADMIN_TOKEN", 401

    def use(self, serve, value):
        return http("GET", serve.root + "/api/billing/summary", headers={"Authorization": f"Bearer {value}"})[0]


class KeyPepper(Rotation):
    """Callers move to a key that was made under the new pepper."""
    setting, refused = "KEY_PEPPER", 401

    def begin(self):
        user = f"rotate-{uuid.uuid4().hex[:8]}"
        self.dev.cli("account", "create", "--user", user)
        self.keys = {
            value: self.dev.cli("key", "create", "--user", user, KEY_PEPPER=value).stdout.strip()
            for value in (self.old, self.new)}
        return {}

    def use(self, serve, value):
        return http("GET", serve.base + "/models", headers={"Authorization": f"Bearer {self.keys[value]}"})[0]


class WebhookSecret(Rotation):
    setting, refused = "STRIPE_WEBHOOK_SECRET", 400

    def value(self):
        return "whsec_" + secrets.token_hex(16)

    def begin(self):
        self.stripe = MockStripe(self.directory, key=LIVE_KEY)
        return {"STRIPE_SECRET_KEY": LIVE_KEY, "STRIPE_API_BASE": self.stripe.url}

    def use(self, serve, value):
        now = int(time.time())
        body = json.dumps({
            "id": f"evt_{secrets.token_hex(12)}", "object": "event", "created": now, "livemode": True,
            "type": "tollgate.rotation", "data": {"object": {"object": "nothing"}}}).encode()
        code = hmac.new(value.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
        return http("POST", serve.root + "/api/stripe/webhook", body, {"Stripe-Signature": f"t={now},v1={code}"})[0]

    def end(self):
        self.stripe.stop()


class AppToken(Rotation):
    """Tokens that the app signs with HS256."""
    setting, refused = "PORTAL_JWT_SECRET", 401

    def begin(self):
        self.user = f"rotate-{uuid.uuid4().hex[:8]}"
        self.dev.account(self.user)
        return {"PORTAL_JWT_ISSUER": "app", "PORTAL_JWT_AUDIENCE": "tollgate"}

    def use(self, serve, value):
        now = int(time.time())
        claims = {"iss": "app", "aud": "tollgate", "sub": self.user, "iat": now, "exp": now + 600}
        text = ".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS256", "typ": "JWT"}, claims))
        token = f"{text}.{part(hmac.new(value.encode(), text.encode(), hashlib.sha256).digest())}"
        return http("GET", serve.root + "/api/billing/summary", headers={"Authorization": f"Bearer {token}"})[0]


class UpstreamKey(Rotation):
    """The operator's: a caller does not have it, so the upstream says which one it saw."""
    setting, refused = "OPENAI_API_KEY", None

    def value(self):
        return "sk-proj-" + secrets.token_hex(16)

    def begin(self):
        self.mock = Mock(self.directory)
        self.key = self.dev.account(f"rotate-{uuid.uuid4().hex[:8]}", 10_000)
        return {"OPENAI_BASE_URL": self.mock.url + "/v1"}

    def use(self, serve, value):
        headers = {"Authorization": f"Bearer {self.key}"}
        return patient_http("POST", serve.base + "/chat/completions", chat(), headers)[0]

    def end(self):
        self.mock.stop()


class Sessions(Rotation):
    """People who are signed in: one of the staff, who looks and changes something, and a user on the credits page. Whoever
    has a value is who signed in while it was the first one."""
    setting, refused = "SESSION_SECRET", 401

    def begin(self):
        self.user, self.name = (f"rotate-{uuid.uuid4().hex[:8]}" for _ in range(2))
        self.dev.account(self.user)
        self.signed_in, self.lock, self.person = {}, threading.Lock(), None
        return {}

    def sign_in(self, serve, value):
        """(headers of the member of staff, headers of the user)"""
        with self.lock:
            if value not in self.signed_in:
                self.person = self.person or Person(serve.root, self.dev.cli, self.name, "finance")
                self.person.sign_in(code=self.person.recovery[len(self.signed_in)])
                portal = PortalSession(serve.root, self.dev.serviceKey, self.user)
                self.signed_in[value] = (self.person.headers, portal.headers)
            return self.signed_in[value]

    def use(self, serve, value):
        """One status when all four are of one mind."""
        staff, portal = self.sign_in(serve, value)
        accounts = "/api/admin/accounts"
        body = {"userId": self.user, "reason": "a change that changes nothing the second time"}
        statuses = {
            http("GET", serve.root + accounts, headers={"cookie": staff["cookie"]})[0],
            http("POST", serve.root + accounts, body, staff)[0],
            http("GET", serve.root + "/api/billing/summary", headers={"cookie": portal["cookie"]})[0],
            http("POST", serve.root + "/api/billing/estimate",
                 {"model": "gpt-4o-mini", "inputTokens": 1, "outputTokens": 1}, portal)[0]}
        return statuses.pop() if len(statuses) == 1 else tuple(sorted(statuses))


def noting(statuses, use):
    """A request without a reply is a failed one as well, and must not end its thread unseen."""
    def run(index):
        try:
            statuses.append(use(index))
        except OSError as error:
            statuses.append(repr(error))

    return run


def reload(serve):
    said = "reloaded: upstream key"
    before = serve.process.output().count(said)
    serve.process.child.send_signal(signal.SIGHUP)
    wait_until(lambda: serve.process.output().count(said) > before, 20, said)


@pytest.mark.parametrize(
    "kind", [AdminToken, KeyPepper, WebhookSecret, AppToken, UpstreamKey, Sessions], ids=lambda kind: kind.__name__)
def test_a_secret_rotates_under_load_without_a_failed_request(dev, sql, tmp_path, kind):
    sql("DELETE FROM sign_in_limit")
    rotation = kind(dev, tmp_path)
    file = tmp_path / "secret"
    file.write_text(rotation.old)
    env = rotation.begin()
    serve = Serve(dev, **{
        **env, rotation.setting: "", rotation.setting + "_FILE": str(file),
        "JOURNAL_DIR": str(dev.directory / f"rotation-{uuid.uuid4().hex[:6]}")})
    now = {"value": rotation.old}
    statuses = []
    is_list = kind is not UpstreamKey
    with running(serve):
        # Who has to sign in has done so before seconds are counted.
        assert rotation.use(serve, rotation.old) == 200
        with load(noting(statuses, lambda index: rotation.use(serve, now["value"])), 4):
            wait_until(lambda: len(statuses) > 20, 20, "load")
            if is_list:
                file.write_text(f"{rotation.new},{rotation.old}\n")
                reload(serve)
                # Both are good: callers move when they like.
                assert rotation.use(serve, rotation.old) == rotation.use(serve, rotation.new) == 200
                now["value"] = rotation.new
                moved = len(statuses)
                # Whoever still had the old one has been answered.
                wait_until(lambda: len(statuses) > moved + 20, 20, "load of the new value")
            file.write_text(rotation.new)
            reload(serve)
            after = len(statuses)
            wait_until(lambda: len(statuses) > after + 20, 20, "load after the rotation")
        assert set(statuses) == {200}, "no request failed"
        if is_list:
            assert rotation.use(serve, rotation.old) == rotation.refused, "the old one is worth nothing"
        else:
            seen = hashlib.sha256(rotation.new.encode()).hexdigest()[:8]
            assert rotation.mock.log()[-1]["authorization_seen"] == seen
        output = serve.process.output()
        assert rotation.old not in output and rotation.new not in output
    rotation.end()


def test_session_secrets_are_read_again_and_a_short_one_changes_nothing(dev, tmp_path):
    file = tmp_path / "session"
    file.write_text("a" * 32)
    with running(serve := Serve(dev, SESSION_SECRET="", SESSION_SECRET_FILE=str(file))):
        file.write_text("b" * 32 + "," + "a" * 32)
        reload(serve)
        file.write_text("short")
        serve.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded: configuration" in serve.process.output(), 20, "the refusal")
        assert "SESSION_SECRET: each secret needs at least 32 bytes" in serve.process.output()


def test_whoever_does_not_sign_in_during_a_rotation_does_so_after_it(dev, sql, tmp_path):
    """What their authenticator knows is sealed under SESSION_SECRET."""
    file = tmp_path / "session"
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    file.write_text(old)
    with running(serve := Serve(dev, SESSION_SECRET="", SESSION_SECRET_FILE=str(file),
                                JOURNAL_DIR=str(dev.directory / f"rotation-{uuid.uuid4().hex[:6]}"))):
        person = Person(serve.root, dev.cli, f"away-{uuid.uuid4().hex[:8]}", "viewer")
        file.write_text(f"{new},{old}")
        reload(serve)
        file.write_text(new)
        reload(serve)
        sql("DELETE FROM sign_in_limit")
        person.sign_in()
        # Somebody's secret is under one that is gone: the operator is told, in words that say what is missing.
        assert "SESSION_SECRET lacks" not in person_lines(serve, sql, person)
        sql("UPDATE admin_user SET totp_sealed = '\\x00' WHERE name = %s", person.name)
        assert person.try_sign_in()[0] == 401
        assert "SESSION_SECRET lacks" in person_lines(serve, sql, person)
        output = serve.process.output()
        assert old not in output and new not in output


def person_lines(serve, sql, person):
    """What the log says of this person: others of the shared ledger are sealed under secrets of other instances."""
    ((number,),) = sql("SELECT staff_id FROM admin_user WHERE name = %s", person.name)
    words = re.compile(rf"staff=\S*\b{number}\b|staff=\"[^\"]*\b{number}\b|\"staff\":\s*\"[^\"]*\b{number}\b")
    return "\n".join(line for line in serve.process.output().splitlines() if words.search(line))


def test_a_webhook_secret_that_is_gone_changes_nothing(dev, tmp_path):
    """Money would come, and nobody would hear of it."""
    file = tmp_path / "webhook"
    rotation = WebhookSecret(dev, tmp_path)
    file.write_text(rotation.old)
    env = rotation.begin()
    with running(serve := Serve(dev, **env, STRIPE_WEBHOOK_SECRET_FILE=str(file),
                                JOURNAL_DIR=str(dev.directory / f"rotation-{uuid.uuid4().hex[:6]}"))):
        file.unlink()
        serve.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: "not reloaded: configuration" in serve.process.output(), 20, "the refusal")
        assert rotation.use(serve, rotation.old) == 200
    rotation.end()


def test_an_api_key_is_replaced_under_load(dev):
    """The second is made first; the first is refused within a second of its end, everywhere."""
    user = f"rotate-{uuid.uuid4().hex[:8]}"
    now = {"key": dev.account(user)}
    first = now["key"]
    statuses = []
    with running(Serve(dev), Serve(dev, JOURNAL_DIR=str(dev.directory / "second-journal"))) as pair:
        def ask(serve, key):
            return http("GET", serve.base + "/models", headers={"Authorization": f"Bearer {key}"})[0]

        with load(noting(statuses, lambda index: ask(pair[index % 2], now["key"])), 4):
            wait_until(lambda: len(statuses) > 20, 20, "load")
            number = dev.cli("key", "list", "--user", user).stdout.splitlines()[-1].split()[0]
            now["key"] = dev.key(user)
            moved = len(statuses)
            wait_until(lambda: len(statuses) > moved + 20, 20, "load of the new key")
            dev.cli("key", "revoke", number)
            wait_until(lambda: {ask(serve, first) for serve in pair} == {401}, 5, "the refusal")
        assert set(statuses) == {200}, "no request failed"
