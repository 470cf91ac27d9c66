"""What README.md, docs/OPERATIONS.md and docs/ALERTS.md tell an operator to type exists, with these options; and the blocks
that a throw-away deployment cannot run as they stand (scripts/readme_commands.py runs the others) are run here."""
import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import urllib.parse

import pytest

from command_tools import Wrong, commands_in, demand
from harness import BIN, ROOT, http, own_stack, wait_until
from host_tools import Host
from ledger_tools import query
from monitoring_tools import Monitoring
from preflight_tools import live_key, production, register
from session_tools import submit
from staff_tools import Person
from stripe_tools import MockStripe

# How many commands there are at least, so that a text that is read wrongly is noticed.
DOCUMENTS = {"README.md": 30, "docs/OPERATIONS.md": 50, "docs/ALERTS.md": 5}
BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(tollgate [^`]+)`", re.DOTALL)


def documented(name):
    """(words after `tollgate`, whether a reader would run them as they stand) of every command."""
    text = (ROOT / name).read_text()
    for language, block in BLOCK.findall(text):
        if language == "sh":
            yield from ((words, True) for words in commands_in(block))
    for line in INLINE.findall(BLOCK.sub("", text)):
        # In a table a bar is escaped; `<command>` stands for any of them.
        words = line.replace("\\|", "|").replace("<command>", "serve").replace("\n", " ")
        yield from ((words, False) for words in commands_in(words))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_documented_command_exists_with_its_options(name):
    found = list(documented(name))
    wrong = []
    for words, is_whole in found:
        try:
            demand(words, is_whole)
        except Wrong as problem:
            wrong.append(f"{problem}: tollgate {' '.join(words)}")
    assert not wrong, wrong
    assert len(found) >= DOCUMENTS[name], len(found)


@pytest.mark.parametrize("line, problem", [
    ("tollgate accounts list", "there is no command 'accounts'"),
    ("tollgate account creat --user u", "'tollgate account' has no command 'creat'"),
    ("tollgate account", "'tollgate account' has no command ''"),
    ("tollgate account create --name u", "has no option '--name'"),
    ("tollgate account create", "needs --user"),
    ("tollgate account create --user", "'--user' of 'tollgate account create' needs a value"),
    ("tollgate backup", "needs file"),
    ("tollgate verify now", "takes 0 arguments, not 1"),
    ("KEY=$(tollgate key mak --user u | tail -1)", "has no command 'mak'"),
    ("true && A=b .build/debug/tollgate verify \\\n  --jsn  # all", "has no option '--jsn'")])
def test_a_wrong_command_would_be_noticed(line, problem):
    (words,) = commands_in(line)
    with pytest.raises(Wrong, match=re.escape(problem)):
        demand(words, True)


# Blocks of docs/OPERATIONS.md that need something of one's own


@pytest.fixture(scope="module")
def stack():
    """Of the file's own: a restored ledger is a new generation."""
    with own_stack() as stack:
        yield stack


# By how they begin, in the order of the guide.
SETTINGS, PREFLIGHT, REFUNDS, GO_LIVE, ROLL_BACK, ROTATION, RESTORE = NORUN = (
    "set -a; . /etc", "tollgate preflight --backup", "tollgate refund", "install -d", "apt install --allow-downgrades",
    "since=", "unset DATABASE_URL_FILE")


def blocks():
    return [text for language, text in BLOCK.findall((ROOT / "docs/OPERATIONS.md").read_text()) if language == "sh"]


def block(beginning):
    """The block that begins so, as it is printed."""
    (found,) = [text for text in blocks() if text.startswith(beginning)]
    return found


def test_every_block_that_ci_does_not_run_as_it_stands_is_run_here():
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    found = re.findall(r"^<!-- norun: ([^\n]*) -->\n```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [commands for _, commands in found] == [block(beginning) for beginning in NORUN]
    assert all("Tests/IntegrationTests/test_documented_commands.py runs it" in reason for reason, _ in found)


def run(stack, directory, text, **settings):
    """As an operator would; `systemctl` says what it was asked for, since there is no systemd."""
    tools = directory / "bin"
    tools.mkdir(exist_ok=True)
    (tools / "systemctl").write_text('#!/bin/sh\necho "systemctl $*"\n')
    (tools / "systemctl").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euE", "-o", "pipefail", "-c", text], cwd=directory, capture_output=True, text=True, timeout=120,
        env=stack.environment(
            PATH=f"{tools}:{BIN}:{os.environ['PATH']}", STRIPE_SECRET_KEY="sk_test_mock",
            STRIPE_WEBHOOK_SECRET=stack.stripeWebhookSecret, STRIPE_API_BASE=stack.stripeURL, **settings))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def buy(stack, user):
    """The paid purchase of a starter package by a new user."""
    key = stack.account(user)
    status, _, page = http(
        "POST", stack.root + "/api/stripe/create-checkout-session",
        {"packageCode": "starter", "successUrl": stack.root + "/ok", "cancelUrl": stack.root + "/no"},
        {"Authorization": f"Bearer {key}"}, timeout=60)
    assert status == 200, page
    page = json.loads(page)
    assert submit(page["url"], {"outcome": "card"})[0] in (302, 303)
    wait_until(lambda: status_of(stack.databaseURL, page["purchaseId"]) == "paid", 20, "the purchase")
    return page["purchaseId"]


def status_of(url, purchase):
    rows = query(url, "SELECT status FROM purchase WHERE purchase_id = %s", purchase)
    return rows[0][0] if rows else None


def balance(url, user):
    ((millicredits,),) = query(url, "SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", user)
    return millicredits


def test_the_refunds_of_the_operations_guide_are_made(stack, tmp_path):
    purchase = buy(stack, "refunded")
    lines = block(REFUNDS).replace(" ID ", f" {purchase} ").splitlines()
    assert len(lines) == 2 and all(line.endswith(" K") for line in lines)
    # One refund, one key.
    run(stack, tmp_path, "\n".join(re.sub("K$", f"once-{number}", line) for number, line in enumerate(lines)))
    # 500 of 999 cents take 5,000 credits along, and 5 credits are given back.
    wait_until(lambda: balance(stack.databaseURL, "refunded") == 9_990_000 - 5_000_000 + 5_000, 10, "both refunds")


@pytest.fixture(scope="module")
def host(stack, authority, tmp_path_factory):
    """Where Tollgate is installed, watched and let people in, but for what the go-live block does."""
    directory = tmp_path_factory.mktemp("production")
    with contextlib.ExitStack() as parts, pytest.MonkeyPatch.context() as patch:
        # Whom this process trusts as well.
        patch.setenv("SSL_CERT_FILE", str(authority.certificate))
        stripe = MockStripe(directory, key=live_key())
        parts.callback(stripe.stop)
        host = Host(directory, authority)
        # In quotes, since it has a blank.
        host.configure(**production(
            stripe, DATABASE_URL=stack.databaseURL, REDIS_URL=stack.redisURL, OPENAI_BASE_URL=stack.upstreamURL,
            CORS_ORIGINS="https://app.example, https://www.example"))
        register(stripe, host.public_url)
        parts.callback(host.stop)
        host.start()
        Person(host.public_url, stack.cli, "ada", "owner")
        # Another environment, with secrets of its own.
        host.run(block("tollgate preflight --print-fingerprints"), **production(
            stripe, STRIPE_SECRET_KEY="sk_test_" + secrets.token_hex(16),
            **{name: f"{scheme}://u:{secrets.token_hex(16)}@staging.example/0"
               for name, scheme in (("DATABASE_URL", "postgresql"), ("REDIS_URL", "redis"))}))
        yield host


@pytest.fixture(scope="module")
def monitoring(host, tmp_path_factory):
    """With the rules as they are written, which begin to say something after minutes."""
    directory = tmp_path_factory.mktemp("monitoring")
    monitoring = Monitoring(directory, host.ops)
    try:
        for rules in (ROOT / "ops/prometheus").glob("*.rules.yml"):
            shutil.copy(rules, monitoring.rules)
        monitoring.reload()

        def scraped():
            begin = monitoring.query("process_start_time_seconds")
            return monitoring.query("up == 1") and begin and begin[0][1] >= host.began - 2

        host.changed = lambda: wait_until(scraped, 60, "a scrape of the service that has just begun")
        host.changed()
        yield monitoring
    finally:
        monitoring.stop()


def operator():
    """The shell in which all else is typed: the settings, and the secrets that `psql` and `curl` want."""
    return block(SETTINGS) + block("setting() {")


def test_the_settings_are_read_from_their_file(stack, host):
    said = host.run(operator() + 'bash -c \'echo "$CORS_ORIGINS"\'; echo "$DATABASE_URL"; echo "$ADMIN_TOKEN"; echo "$OPS_URL"\n')
    assert said.splitlines() == [
        "https://app.example, https://www.example", stack.databaseURL, host.secret("ADMIN_TOKEN").read_text().strip(),
        f"http://127.0.0.1:{host.ops}"]
    # A secret that stands in a file is not handed on.
    assert host.run(operator() + "env").count(host.secret("ADMIN_TOKEN").read_text().strip()) == 0


def test_the_list_before_launch_is_green(host):
    said = host.run(operator() + block("tollgate migrate\ntollgate seed") + block(PREFLIGHT))
    assert "ready: 0 gaps" in said and "✗" not in said, said
    for check in ("settings", "secrets", "staging", "backup", "admin-mfa", "stripe-mode", "webhook", "openai-key"):
        assert re.search(rf"^[✓!] {check}\b", said, re.MULTILINE), (check, said)
    for check in ("staging", "backup", "admin-mfa"):
        assert f"✓ {check}" in said, said


def package(host, name):
    """A package of this name, to be installed by a stub."""
    (host.work / f"tollgate_{name}_amd64.deb").touch()
    return name


def test_going_live_is_one_block(stack, host, monitoring):
    text = block(GO_LIVE)
    filled = {
        "_VERSION_": f"_{package(host, '1.0.0')}_", "http://PROMETHEUS:9090": monitoring.prometheus_url,
        "http://ALERTMANAGER:9093": monitoring.alertmanager_url,
        "/var/backups/tollgate/NEWEST.dump": '"$(ls -t /var/backups/tollgate/*.dump | head -1)"'}
    for placeholder, value in filled.items():
        assert text.count(placeholder) == 1, placeholder
        text = text.replace(placeholder, value)
    host.calls.clear()
    before = host.pid
    said = host.run(operator() + block("SERVICE_KEY=") + text)
    # A step before && that failed would not end the shell.
    assert host.calls == [
        "apt install ./tollgate_1.0.0_amd64.deb", "systemctl enable tollgate", "systemctl restart tollgate"]
    assert host.pid != before
    backups = host.at("/var/backups/tollgate")
    assert backups.stat().st_mode & 0o777 == 0o700 and len(list(backups.glob("*Z.dump"))) == 1
    for sign in ("rate card", "ready: 0 gaps", "alert route", "green: 0 failed"):
        assert sign in said, (sign, said)
    for receiver in ("pagerduty", "slack-operations", "slack-business"):
        wait_until(lambda: monitoring.told.heard("TollgateTest", receiver=receiver), 30, receiver)
    assert dict(query(stack.databaseURL, "SELECT name, value FROM feature_flag")) == {
        "BILLING_PURCHASE_ENABLED": "true", "BILLING_CHARGING_ENABLED": "true", "BILLING_ROLLOUT_PERCENTAGE": "5"}
    # As the next phases would: whoever comes next has to be charged.
    stack.cli("flag", "set", "BILLING_ROLLOUT_PERCENTAGE", "100", "--reason", "launch, phase 3")


def test_a_release_is_rolled_back(host):
    host.calls.clear()
    before = host.pid
    text = block(ROLL_BACK)
    assert text.count("PREVIOUS") == 1
    said = host.run(operator() + block("SERVICE_KEY=") + text.replace("PREVIOUS", package(host, "0.9.0")))
    assert host.calls == ["apt install --allow-downgrades ./tollgate_0.9.0_amd64.deb", "systemctl restart tollgate"]
    assert host.pid != before and "green: 0 failed" in said, said


def test_the_admin_token_is_rotated_without_a_restart(host):
    def status(token):
        return http("GET", host.public_url + "/api/billing/summary", headers={"Authorization": f"Bearer {token}"})[0]

    file = host.secret("ADMIN_TOKEN")
    old, before = file.read_text().strip(), host.pid
    assert status(old) == 200
    host.calls.clear()
    said = host.run(operator() + block(ROTATION))
    new, second = file.read_text().strip().split(",")
    assert second == old and new != old and (status(new), status(old), status("f" * 64)) == (200, 200, 401)
    assert file.stat().st_mode & 0o777 == 0o640 and host.pid == before
    assert host.calls == [f"chgrp tollgate {file}.new", "systemctl reload tollgate"]
    assert "reloaded: upstream key" in said and "not reloaded" not in said, said
    assert new not in said and old not in said


def test_the_backup_of_the_operations_guide_is_restored(stack, tmp_path):
    before = buy(stack, "early")
    assert int(run(stack, tmp_path, block("tollgate backup nightly")).splitlines()[-1]) >= 9_990_000
    after = buy(stack, "late")
    query(stack.databaseURL, "CREATE DATABASE restored TEMPLATE template0")
    empty = urllib.parse.urlsplit(stack.databaseURL)._replace(path="/restored").geturl()
    said = run(stack, tmp_path, block(RESTORE), EMPTY_DATABASE_URL=empty)
    assert "verify: clean" in said and said.rstrip().endswith("systemctl start tollgate"), said
    assert (status_of(empty, before), balance(empty, "early")) == ("paid", 9_990_000)
    # What was bought since the backup came back from Stripe, into the ledger that was restored.
    assert status_of(empty, after) == "paid" and balance(empty, "late") == 9_990_000
