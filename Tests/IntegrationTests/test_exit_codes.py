"""Exit codes of CONTRACT §2 over all commands: 64 for what was typed, 1 for what cannot be done with what is there, 69 and
78 for a ledger that is away and settings that are wrong."""
import os
import secrets
import subprocess

import pytest

from harness import BIN, ROOT, free_port

# What is wrong with the words alone: no ledger is needed to see it.
TYPED = [
    ["sell"], ["serve", "--port", "1"], ["dev", "--port", "70000"], ["migrate", "now"], ["seed", "--card", "/nowhere.yaml"],
    ["account", "create"], ["account", "create", "--user", ""], ["account", "set", "--user", "u", "--status", "closed"],
    ["account", "adjust", "--user", "u", "--millicredits", "0", "--reason", "r", "--idempotency-key", "k"],
    ["account", "holds", "--user", "u", "some"], ["account", "limits", "--user", "u", "--rpm", "-1"],
    ["key", "create", "--user", ""], ["key", "revoke", "first"],
    ["ratecard", "validate", "/nowhere.yaml"], ["ratecard", "simulate", "/nowhere.yaml", "--days", "7"],
    ["estimate", "--model", "gpt-4o", "--input", "many"],
    ["estimate", "--model", "gpt-4o", "--input", "1", "--rounding", "up", "--card", "ratecards/scholarlink-2025.yaml"],
    ["journal", "show", "boot"], ["ledger", "new-generation"], ["verify", "--all"], ["reconcile", "--date", "soon"],
    ["books", "export", "--format", "csv", "--to", "soon"], ["statement", "--user", "u", "--month", "May"],
    ["refund", "--purchase", "p", "--cash", "--reason", "r", "--idempotency-key", "k"], ["stripe", "replay", "--since", "then"],
    ["stripe", "listen-check", "--url", "ftp://x"], ["backup"], ["restore"], ["tokenizer", "count"], ["smoke-test"],
    ["preflight", "--staging-fingerprints", "/nowhere"], ["health", "--url", "ftp://x"]]
# Of what is named there is none, or not in that state.
THERE = [
    ["account", "show", "--user", "nobody-at-all"], ["key", "revoke", "999999999"],
    ["statement", "--user", "nobody-at-all", "--month", "2026-10"], ["estimate", "--model", "no-such", "--input", "1", "--output", "1"]]


def run(env, *arguments):
    return subprocess.run(
        [str(BIN / "tollgate"), *arguments], env=env, cwd=ROOT, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("arguments", TYPED, ids=" ".join)
def test_what_was_typed_wrong_is_64(dev, arguments):
    done = run(dev.environment(STRIPE_SECRET_KEY="sk_test_x", STRIPE_WEBHOOK_SECRET="whsec_0123456789abcdef"), *arguments)
    assert done.returncode == 64 and done.stderr.strip(), done.stdout + done.stderr


@pytest.mark.parametrize("arguments", THERE, ids=" ".join)
def test_what_cannot_be_done_is_1(dev, arguments):
    done = run(dev.environment(JOURNAL_DIR=str(dev.directory / "dev" / "journal")), *arguments)
    assert done.returncode == 1 and done.stderr.strip(), done.stdout + done.stderr


# Whatever the audit log keeps can say why: {user} and {key} are of an account of the test's own.
REASONED = [
    ["account", "create", "--user", "{user}-2"], ["account", "limits", "--user", "{user}", "--rpm", "7"],
    ["account", "holds", "--user", "{user}", "full"], ["key", "create", "--user", "{user}"],
    ["key", "limits", "{key}", "--rpm", "7"], ["key", "revoke", "{key}"],
    ["staff", "create", "--email", "{user}@example.com", "--name", "{user}", "--role", "viewer"],
    ["staff", "role", "--email", "{user}@example.com", "--role", "support"],
    ["staff", "reset", "--email", "{user}@example.com"], ["staff", "disable", "--email", "{user}@example.com"]]


def test_every_change_by_a_command_can_say_why(dev, sql):
    user = f"reasoned-{secrets.token_hex(4)}"
    dev.account(user, credits=1)
    ((key,),) = sql("SELECT key_id FROM api_key JOIN account USING (account_id) WHERE user_id = %s", user)
    for number, template in enumerate(REASONED):
        arguments = [part.format(user=user, key=key) for part in template]
        blank = dev.cli(*arguments, "--reason", " ", check=False)
        assert blank.returncode == 64 and "--reason must be 1 to 1,000 bytes" in blank.stderr, arguments
        reason = f"{user}: change {number}"
        dev.cli(*arguments, "--reason", reason)
        assert sql("SELECT count(*) FROM audit_log WHERE reason = %s", reason) == [(1,)], arguments


LEDGER = [
    ["migrate"], ["account", "list"], ["key", "list"], ["ratecard", "list"], ["verify"], ["reconcile"], ["books", "balance"],
    ["statement", "--user", "u", "--month", "2026-10"], ["backup", "/tmp/never"], ["ledger", "new-generation", "--reason", "r"]]


@pytest.mark.parametrize("arguments", LEDGER, ids=" ".join)
def test_a_ledger_that_is_away_is_69_and_one_that_is_not_named_78(dev, arguments):
    away = dev.environment(DATABASE_URL=f"postgresql://u:p@127.0.0.1:{free_port()}/x")
    assert run(away, *arguments).returncode == 69
    unnamed = {k: v for k, v in away.items() if k != "DATABASE_URL"}
    done = run(unnamed, *arguments)
    assert done.returncode == 78 and "DATABASE_URL" in done.stderr, done.stderr


def test_help_is_0_and_says_nothing_on_standard_error():
    done = run(dict(os.environ), "--help")
    assert done.returncode == 0 and "refund" in done.stdout and not done.stderr
