"""What README.md, docs/OPERATIONS.md and docs/ALERTS.md tell an operator to type exists, with these options; and the blocks
that a throw-away deployment cannot run as they stand (scripts/readme_commands.py runs the others) are run here."""
import json
import os
import re
import subprocess
import urllib.parse

import pytest

from command_tools import Wrong, commands_in, demand
from harness import BIN, ROOT, http, own_stack, wait_until
from ledger_tools import query
from session_tools import submit

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


def block(command):
    """The block with this command at the beginning of a line, as it is printed."""
    text = (ROOT / "docs/OPERATIONS.md").read_text()
    (found,) = [block for language, block in BLOCK.findall(text)
                if re.search(rf"^\S*\s?tollgate {command}", block, re.MULTILINE) and "apt install" not in block]
    return found


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
    lines = block("refund").replace(" ID ", f" {purchase} ").splitlines()
    assert len(lines) == 2 and all(line.endswith(" K") for line in lines)
    # One refund, one key.
    run(stack, tmp_path, "\n".join(re.sub("K$", f"once-{number}", line) for number, line in enumerate(lines)))
    # 500 of 999 cents take 5,000 credits along, and 5 credits are given back.
    wait_until(lambda: balance(stack.databaseURL, "refunded") == 9_990_000 - 5_000_000 + 5_000, 10, "both refunds")


def test_the_backup_of_the_operations_guide_is_restored(stack, tmp_path):
    before = buy(stack, "early")
    assert int(run(stack, tmp_path, block("backup nightly")).splitlines()[-1]) >= 9_990_000
    after = buy(stack, "late")
    query(stack.databaseURL, "CREATE DATABASE restored TEMPLATE template0")
    empty = urllib.parse.urlsplit(stack.databaseURL)._replace(path="/restored").geturl()
    said = run(stack, tmp_path, block("restore"), EMPTY_DATABASE_URL=empty)
    assert "verify: clean" in said and said.rstrip().endswith("systemctl start tollgate"), said
    assert (status_of(empty, before), balance(empty, "early")) == ("paid", 9_990_000)
    # What was bought since the backup came back from Stripe, into the ledger that was restored.
    assert status_of(empty, after) == "paid" and balance(empty, "late") == 9_990_000
