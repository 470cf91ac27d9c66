"""`tollgate preflight`: the T-1 list against real stores and a mock of Stripe; each gap is its own red line."""
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import secrets
import subprocess
import threading
import urllib.parse

import pytest

from harness import BIN, ROOT, free_port, running
from ledger_tools import query
from preflight_tools import live_key, production, register
from staff_tools import nobody_but
from stripe_tools import MockStripe
from test_smoke import EverybodysOrigin, Front, NoPolicy, Sabotage

# What a test says nothing of: it has no people, and is no staging.
ACCEPTED = ("admin-mfa", "backup", "staging")
PUBLIC_URL = "https://shop.example"


@pytest.fixture(scope="module")
def stripe(tmp_path_factory):
    mock = MockStripe(tmp_path_factory.mktemp("stripe"), key=live_key())
    with running(mock):
        register(mock, PUBLIC_URL)
        yield mock


@pytest.fixture()
def place(dev, stripe, tmp_path):
    """An environment as it ought to be in production, but for what a test changes of it."""
    journal = tmp_path / "journal"
    journal.mkdir()
    return production(stripe, PUBLIC_URL=PUBLIC_URL, JOURNAL_DIR=str(journal))


def preflight(dev, env, *arguments, code=None, accept=ACCEPTED):
    accepted = [word for gap in accept for word in ("--accept", gap)]
    done = subprocess.run(
        [str(BIN / "tollgate"), "preflight", "--json", *accepted, *arguments], env=dev.environment(**env), cwd=ROOT,
        capture_output=True, text=True, timeout=120)
    for name in ("ADMIN_TOKEN", "KEY_PEPPER", "SESSION_SECRET", "OPENAI_API_KEY", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"):
        assert not env.get(name) or env[name] not in done.stdout + done.stderr, "no secret is printed"
    report = json.loads(done.stdout)
    assert code is None or done.returncode == code, done.stdout
    assert done.returncode == (0 if report["ready"] else 1)
    return report


def red(report):
    return {(line["check"], line["text"]) for line in report["lines"] if line["state"] == "failed"}


def state(report, check):
    return [line["state"] for line in report["lines"] if line["check"] == check]


def test_a_good_environment_has_no_gap(dev, place, authority):
    certificate, key = authority.issue("preflight", ["shop.example"])
    report = preflight(dev, {**place, "TLS_CERT": str(certificate), "TLS_KEY": str(key)}, code=0)
    assert report["failures"] == 0 and report["ready"]
    # The stack's cluster has no checksums where Postgres makes none by itself.
    assert state(report, "postgres") in (["ok"], ["warning"])
    for check in ("settings", "secrets", "clock", "migrations", "rotation", "packages", "rate-card", "audit-log", "switches",
                  "redis", "public-url", "tls", "stripe-account", "webhook", "openai-key"):
        assert state(report, check) == ["ok"], (check, report)
    # What cannot be seen from here, and what was accepted, is a warning; `--strict` counts it.
    assert state(report, "headers") == state(report, "backup") == state(report, "staging") == ["warning"]
    assert not preflight(dev, place, "--strict", code=1)["ready"]


@pytest.fixture()
def nobody(sql):
    """Whoever other tests let in cannot sign in meanwhile."""
    with nobody_but(sql):
        yield


@pytest.mark.parametrize("gap, words", [
    ("admin-mfa", "staff create"), ("backup", "--backup"), ("staging", "--staging-fingerprints")])
def test_what_is_missing_is_a_gap_unless_somebody_says_otherwise(dev, place, nobody, gap, words):
    ((check, text),) = red(preflight(dev, place, accept=[name for name in ACCEPTED if name != gap], code=1))
    assert check == gap and words in text and f"--accept {gap}" in text


def test_an_unknown_gap_is_not_accepted(dev):
    done = dev.cli("preflight", "--accept", "everything", check=False)
    assert done.returncode == 64 and "everything" in done.stderr


@pytest.fixture()
def openai():
    """Answers with `status`, and keeps what it was asked."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append((self.path, self.headers["authorization"]))
            self.send_response(self.server.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_key_is_tried_once_and_said_to_be(dev, place, openai):
    env = {**place, "OPENAI_BASE_URL": openai.url}
    (line,) = (line for line in preflight(dev, env, code=0)["lines"] if line["check"] == "openai-key")
    assert "GET /models" in line["text"] and line["state"] == "ok"
    assert openai.asked == [("/v1/models", "Bearer " + place["OPENAI_API_KEY"])]
    openai.status = 401
    ((check, text),) = red(preflight(dev, env, code=1))
    assert check == "openai-key" and "refuses OPENAI_API_KEY with 401" in text
    openai.asked.clear()
    assert state(preflight(dev, env, "--offline", code=0), "openai-key") == ["warning"]
    assert not openai.asked
    nobody = {**place, "OPENAI_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}
    assert {check for check, _ in red(preflight(dev, nobody, code=1))} == {"openai-key"}


@pytest.mark.parametrize("change, check, words", [
    ({"SESSION_SECRET": ""}, "settings", "SESSION_SECRET: is required"),
    ({"PUBLIC_URL": "http://shop.example"}, "public-url, webhook", "customers need https://"),
    ({"CORS_ORIGINS": "http://app.example"}, "public-url", "http://app.example"),
    ({"PUBLIC_URL": "https://other.example"}, "webhook", "https://other.example/api/stripe/webhook"),
    ({"VITE_STRIPE_PUBLIC_KEY": "pk_test_x"}, "stripe-mode", "VITE_STRIPE_PUBLIC_KEY"),
    ({"STRIPE_SECRET_KEY": "sk_live_of_another_account_0"}, "webhook", "Stripe cannot be asked"),
    ({"KEY_PEPPER": "changeme" * 4}, "secrets", "KEY_PEPPER"),
    ({"JOURNAL_DIR": "/nowhere"}, "journal-disk", "/nowhere"),
    ({"DATABASE_URL": f"postgresql://u:{secrets.token_hex(16)}@127.0.0.1:1/x"}, "postgres", "cannot be asked"),
    ({"DATABASE_URL": "postgresql://u:postgres@127.0.0.1:1/x"}, "postgres, secrets", "password of DATABASE_URL"),
    ({"REDIS_URL": "redis://:hunter2x@127.0.0.1:1"}, "redis, secrets", "password of REDIS_URL"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20changeme"},
     "secrets", "OTEL_EXPORTER_OTLP_HEADERS:authorization"),
    ({"PORTAL_JWT_SECRET": "change-me-" * 4, "PORTAL_JWT_ISSUER": "i", "PORTAL_JWT_AUDIENCE": "a"}, "secrets",
     "PORTAL_JWT_SECRET"),
    ({"ADMIN_TOKEN": "Replace-Me-" + secrets.token_hex(32)}, "secrets", "ADMIN_TOKEN is a value that everybody knows"),
    ({"REDIS_URL": "redis://127.0.0.1:1"}, "redis", "cannot be asked")])
def test_each_gap_is_a_red_line_of_its_own(dev, place, change, check, words):
    report = preflight(dev, {**place, **change}, code=1)
    found = red(report)
    assert {name for name, _ in found} == set(check.split(", ")) and any(words in text for _, text in found), found


def listed(dev, env, code):
    """Mark, name and text of each line, as people see them."""
    done = subprocess.run(
        [str(BIN / "tollgate"), "preflight", *(f"--accept={gap}" for gap in ACCEPTED)], env=dev.environment(**env), cwd=ROOT,
        capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    return [tuple(line.split(maxsplit=2)) for line in done.stdout.splitlines()[:-1]]


@pytest.fixture()
def empty(dev, sql):
    """The URL of a database beside the stack's own, with nothing in it."""
    name = "preflight_" + secrets.token_hex(4)
    sql(f"CREATE DATABASE {name} TEMPLATE template0")
    yield urllib.parse.urlsplit(dev.databaseURL)._replace(path="/" + name).geturl()
    sql(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_is_red_until_it_is_migrated_and_seeded(dev, place, empty):
    env = {**place, "DATABASE_URL": empty}

    def gaps():
        return [line for line in listed(dev, env, 1) if line[0] == "✗"]

    assert gaps() == [("✗", "migrations", "no schema; run `tollgate migrate`")]
    dev.cli("migrate", DATABASE_URL=empty)
    no_card = ("✗", "rate-card", "none is in force; run `tollgate seed`")
    assert gaps() == [no_card]
    query(empty, "UPDATE package SET price_usd_cents = 998 WHERE code = 'starter'")
    query(empty, "UPDATE package SET active = false WHERE code = 'enterprise'")
    assert gaps() == [
        ("✗", "packages", "'starter' costs 998 cents for 9990 credits instead of 999 for 9990"),
        ("✗", "packages", "'enterprise' is not sold; run `tollgate seed`"), no_card]


@pytest.mark.parametrize("sabotage, line", [
    (Sabotage, ("✓", "headers", "CSP and CORS are as they must be")),
    (NoPolicy, ("✗", "headers", "there is no content-security-policy with frame-ancestors; a proxy in front may drop it")),
    (EverybodysOrigin, (
        "✗", "headers",
        "access-control-allow-origin is *; CORS_ORIGINS and the proxy in front must name exact origins"))])
def test_what_a_proxy_in_front_does_to_headers_is_seen(dev, place, sabotage, line):
    front = Front(dev.root, sabotage(dev))
    try:
        found = listed(dev, {**place, "PUBLIC_URL": front.url}, 1)
    finally:
        front.stop()
    assert [entry for entry in found if entry[1] == "headers"] == [line]
    # The front of a test has no certificate, and Stripe does not know it.
    assert {name for mark, name, _ in found if mark == "✗"} - {"headers"} == {"public-url", "webhook"}


def test_an_endpoint_that_lacks_events_or_is_disabled_is_red(dev, place, stripe):
    client = stripe.client()
    url = "https://lacking.example"
    client.v1.webhook_endpoints.create(
        {"url": url + "/api/stripe/webhook", "enabled_events": ["checkout.session.completed"]})
    ((check, text),) = red(preflight(dev, {**place, "PUBLIC_URL": url}, code=1))
    assert check == "webhook" and "charge.refunded" in text and "checkout.session.completed" not in text


def test_secrets_of_staging_are_found_by_their_fingerprints(dev, place, tmp_path):
    staging = {**place, **{name: secrets.token_hex(32) for name in ("ADMIN_TOKEN", "SESSION_SECRET", "STRIPE_WEBHOOK_SECRET")}}
    printed = subprocess.run(
        [str(BIN / "tollgate"), "preflight", "--print-fingerprints"], env=dev.environment(**staging), capture_output=True,
        text=True, timeout=60, cwd=ROOT)
    assert printed.returncode == 0 and len(printed.stdout.splitlines()) == 8
    assert staging["ADMIN_TOKEN"] not in printed.stdout
    file = tmp_path / "staging"
    file.write_text(printed.stdout)
    found = red(preflight(dev, place, "--staging-fingerprints", str(file), code=1))
    # The other three are the same in both, and so are the stores.
    assert {text.split(" is ")[0] for _, text in found} == {
        "OPENAI_API_KEY", "KEY_PEPPER", "STRIPE_SECRET_KEY", "password of DATABASE_URL", "password of REDIS_URL"}
    fresh = {**place, "OPENAI_API_KEY": "sk-proj-" + secrets.token_hex(24), "KEY_PEPPER": secrets.token_hex(32)}
    report = preflight(dev, fresh, "--staging-fingerprints", str(file), code=1)
    assert {text.split(" is ")[0] for _, text in red(report)} == {
        "STRIPE_SECRET_KEY", "password of DATABASE_URL", "password of REDIS_URL"}


def test_a_secret_file_for_everybody_is_red(dev, place, tmp_path):
    file = tmp_path / "pepper"
    file.write_text(place["KEY_PEPPER"])
    file.chmod(0o644)
    env = {**place, "KEY_PEPPER": "", "KEY_PEPPER_FILE": str(file)}
    ((check, text),) = red(preflight(dev, env, code=1))
    assert check == "secrets" and "KEY_PEPPER_FILE" in text
    file.chmod(0o640)
    preflight(dev, env, code=0)


def test_an_old_secret_is_a_warning_and_keeps_its_age(dev, place, sql):
    """The record is of the secret: another one is new, and seeing one again does not make it younger."""
    preflight(dev, place, code=0)
    count = sql("SELECT count(*) FROM secret_age")[0][0]
    preflight(dev, place, code=0)
    assert sql("SELECT count(*) FROM secret_age")[0][0] == count
    newest = sql("SELECT name, fingerprint FROM secret_age WHERE name = 'ADMIN_TOKEN' ORDER BY first_seen DESC LIMIT 1")[0]
    sql("ALTER TABLE secret_age DISABLE TRIGGER secret_age_append_only")
    try:
        sql("UPDATE secret_age SET first_seen = now() - interval '91 days 1 hour' WHERE name = %s AND fingerprint = %s", *newest)
    finally:
        sql("ALTER TABLE secret_age ENABLE TRIGGER secret_age_append_only")
    report = preflight(dev, place, code=0)
    assert [line["text"] for line in report["lines"] if line["check"] == "rotation"] == [
        "ADMIN_TOKEN is 91 days old; rotate it (docs/OPERATIONS.md)"]
    assert state(preflight(dev, {**place, "ADMIN_TOKEN": secrets.token_hex(32)}), "rotation") == ["ok"]


def test_a_fresh_backup_is_fine(dev, place, tmp_path):
    dump = tmp_path / "ledger.dump"
    dev.cli("backup", dump)
    assert state(preflight(dev, place, "--backup", str(dump), code=0), "backup") == ["ok"]
    manifest = tmp_path / "ledger.dump.manifest.json"
    old = json.loads(manifest.read_text())
    old["createdAt"] = "2026-01-01T00:00:00Z"
    manifest.write_text(json.dumps(old))
    assert {check for check, _ in red(preflight(dev, place, "--backup", str(dump), code=1))} == {"backup"}


def test_the_list_is_for_people(dev, place):
    done = subprocess.run(
        [str(BIN / "tollgate"), "preflight", *(f"--accept={gap}" for gap in ACCEPTED)], env=dev.environment(**place), cwd=ROOT,
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "✓ migrations" in done.stdout and "ready: 0 gaps" in done.stdout, done.stdout
