"""Exit codes of CONTRACT §2 over all commands: 64 for what was typed, 1 for what cannot be done with what is there, 69 and
78 for a ledger that is away and settings that are wrong."""
import os
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
