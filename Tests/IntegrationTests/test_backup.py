"""The database is lost, and comes back: from a backup, and from the journals for what was used since."""
import hashlib
import json
import os
import stat
import urllib.parse

import pytest

import ledger_tools
from harness import Dev, free_port, http, patient_http, wait_until
from stripe_tools import LIVE_KEY, MockStripe
from test_purchases import Till

STARTER = 9_990_000


@pytest.fixture(scope="module")
def stack():
    dev = Dev()
    yield dev
    assert dev.stop() == 0, dev.process.output()[-4000:]
    dev.remove()


def query(dev, text, *parameters, database=None):
    url = dev.databaseURL if database is None else urllib.parse.urlsplit(dev.databaseURL)._replace(
        path="/" + database).geturl()
    return ledger_tools.query(url, text, *parameters)


def database_of(dev):
    return urllib.parse.urlsplit(dev.databaseURL).path.lstrip("/")


def password_of(dev):
    return urllib.parse.urlsplit(dev.databaseURL).password


def ask(dev, key, tokens=200):
    """An exchange whose charge is known: (hold, millicredits)."""
    status, headers, body = patient_http(
        "POST", dev.baseURL + "/chat/completions",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": tokens},
        {"Authorization": "Bearer " + key}, timeout=30)
    assert status == 200, body
    return headers["x-tollgate-request-id"]


def settled(dev, holds):
    """hold → charge, once the ledger has them all."""
    def found():
        rows = dict(query(
            dev, "SELECT hold_id::text, charged_millicredits FROM usage_events WHERE hold_id = ANY (%s::uuid[])",
            list(holds)))
        return rows if len(rows) == len(set(holds)) else None
    return wait_until(found, 60, f"{len(holds)} settlements")


def buy(dev, key):
    root = dev.root
    status, _, reply = http(
        "POST", root + "/api/stripe/create-checkout-session",
        {"packageCode": "starter", "successUrl": root + "/billing", "cancelUrl": root + "/billing"},
        {"Authorization": "Bearer " + key}, timeout=60)
    assert status == 200, reply
    page = json.loads(reply)
    MockStripe.press(None, page["url"], "card")
    wait_until(
        lambda: query(dev, "SELECT status FROM purchase WHERE purchase_id = %s", page["purchaseId"]) == [("paid",)],
        20, "a paid purchase")
    return page["purchaseId"]


def balance(dev, user):
    return query(dev, "SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", user)[0][0]


def lose(dev, name):
    """What stands in its place is as empty as it can be."""
    query(dev, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', database="postgres")
    query(dev, f'CREATE DATABASE "{name}"', database="postgres")


@pytest.fixture()
def till(stack, tmp_path):
    """A proxy beside the stack's own, which is not there while the database is away."""
    port = free_port()
    mock = MockStripe(tmp_path.parent, key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    till = Till(stack, mock, port)
    yield till
    till.stop()
    mock.stop()


def test_a_lost_database_comes_back_with_all_that_was_used_since(stack, till, tmp_path):
    dev, file = stack, tmp_path / "ledger.dump"
    key = dev.account("alice")
    bought = buy(dev, key)
    before = settled(dev, [ask(dev, key) for _ in range(5)])

    backup = dev.cli("backup", file)
    assert "counting the ledger" in backup.stderr and "dumping contents of table" in backup.stderr
    assert password_of(dev) not in backup.stdout + backup.stderr
    manifest = json.loads((tmp_path / "ledger.dump.manifest.json").read_text())
    assert manifest["dumpSha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["counts"]["purchase"] == 1 and manifest["counts"]["usage_events"] == 5
    for path in (file, tmp_path / "ledger.dump.manifest.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert sorted(os.listdir(tmp_path)) == ["ledger.dump", "ledger.dump.manifest.json"]

    since = settled(dev, [ask(dev, key) for _ in range(20)])
    late = dev.account("bob")
    lost_purchase = buy(dev, late)
    carol = dev.account("carol")
    elsewhere = till.buy(carol)["purchaseId"]
    till.comes_to(carol, STARTER)
    till.stop()
    spent = sum(before.values()) + sum(since.values())
    assert balance(dev, "alice") == STARTER - spent

    lose(dev, database_of(dev))
    restore = dev.cli("restore", file)
    assert "verify: clean" in restore.stdout and "processing data for table" in restore.stderr
    assert password_of(dev) not in restore.stdout + restore.stderr
    assert query(dev, "SELECT status FROM purchase WHERE purchase_id = %s", bought) == [("paid",)]
    # The look of every five minutes would find it before the command does.
    query(dev, "INSERT INTO job_lease (job, holder, until) VALUES ('payments:test', 'test', now() + interval '5 minutes') "
               "ON CONFLICT (job) DO UPDATE SET holder = excluded.holder, until = excluded.until RETURNING job")
    assert query(dev, "SELECT count(*) FROM purchase WHERE purchase_id = %s", lost_purchase) == [(0,)]

    # Nobody restarts the proxy: it notices by the new generation, and posts its journal again.
    assert settled(dev, since) == since and settled(dev, before) == before
    wait_until(lambda: balance(dev, "alice") == STARTER - spent, 30, "the balance of before")
    after = wait_until(lambda: serves(dev, key), 60, "service")
    settled(dev, [after])
    assert dev.cli("verify", JOURNAL_DIR=str(dev.directory / "dev" / "journal")).returncode == 0

    # What was bought since is in no journal: Stripe has the money, and its payment says what it was for.
    replay = stripe(dev, "replay", "--since", "1h")
    assert replay.returncode == 0 and f"for purchase {lost_purchase}" in replay.stdout, replay.stdout + replay.stderr
    assert balance(dev, "bob") == STARTER and balance(dev, "alice") <= STARTER - spent
    assert query(dev, "SELECT status FROM purchase WHERE purchase_id = %s", lost_purchase) == [("paid",)]
    query(dev, "UPDATE job_lease SET until = now() WHERE job = 'payments:test' RETURNING job")
    again = stripe(dev, "replay", "--since", "1h")
    assert again.returncode == 0 and ", 0 with postings, 0 open" in again.stdout, again.stdout + again.stderr
    assert balance(dev, "bob") == STARTER
    # Without anybody asking for it, the next look at the events does the same.
    till.start()
    wait_until(
        lambda: query(dev, "SELECT status FROM purchase WHERE purchase_id = %s", elsewhere) == [("paid",)], 60,
        "a purchase that came back by itself")
    assert balance(dev, "carol") == STARTER
    assert dev.cli("verify", JOURNAL_DIR=str(dev.directory / "dev" / "journal")).returncode == 0


def stripe(dev, *arguments):
    return dev.cli(
        "stripe", *arguments, check=False, STRIPE_SECRET_KEY="sk_test_mock",
        STRIPE_WEBHOOK_SECRET=dev.stripeWebhookSecret, STRIPE_API_BASE=dev.stripeURL)


def serves(dev, key):
    try:
        return ask(dev, key)
    except AssertionError:
        return None


@pytest.fixture(scope="module")
def backup(stack, tmp_path_factory):
    file = tmp_path_factory.mktemp("backup") / "small.dump"
    stack.cli("backup", file)
    return file


def into(dev, name):
    url = urllib.parse.urlsplit(dev.databaseURL)._replace(path="/" + name).geturl()
    return {"DATABASE_URL": url, "DATABASE_DIRECT_URL": url}


def test_nothing_is_overwritten(stack, backup):
    again = stack.cli("backup", backup, check=False)
    assert again.returncode == 1 and "nothing is overwritten" in again.stderr
    full = stack.cli("restore", backup, check=False)
    assert full.returncode == 1 and "is not empty" in full.stderr


def test_a_copy_has_every_row_and_a_generation_of_its_own(stack, backup):
    lose(stack, "copy_of_it")
    assert "verify: clean" in stack.cli("restore", backup, **into(stack, "copy_of_it")).stdout
    for table in ("credit_ledger", "usage_events", "purchase", "journal_line"):
        if query(stack, "SELECT to_regclass(%s) IS NULL", table)[0][0]:
            continue
        (expected,) = query(stack, f"SELECT count(*) FROM {table}")
        assert query(stack, f"SELECT count(*) FROM {table}", database="copy_of_it") == [expected]
    (old,), (new,) = (query(stack, "SELECT generation FROM ledger_meta", database=name)[0]
                      for name in (database_of(stack), "copy_of_it"))
    assert new > old
    query(stack, 'DROP DATABASE "copy_of_it"', database="postgres")


def manifest_of(file):
    return file.with_name(file.name + ".manifest.json")


def spoil_dump(file, manifest):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def spoil_schema(file, manifest):
    manifest["schemaVersion"] = 10_000


def spoil_counts(file, manifest):
    manifest["counts"]["credit_ledger"] += 1


def spoil_format(file, manifest):
    manifest["format"] = 99


@pytest.mark.parametrize("spoil, words", [
    (spoil_dump, "is not what was written"), (spoil_schema, "use a newer one"),
    (spoil_counts, "credit_ledger: "), (spoil_format, "format 99"), (None, "is missing")])
def test_what_is_not_the_backup_is_not_restored(stack, backup, tmp_path, spoil, words):
    file = tmp_path / "spoilt.dump"
    file.write_bytes(backup.read_bytes())
    if spoil is not None:
        manifest = json.loads(manifest_of(backup).read_text())
        spoil(file, manifest)
        manifest_of(file).write_text(json.dumps(manifest))
    lose(stack, "spoilt")
    done = stack.cli("restore", file, check=False, **into(stack, "spoilt"))
    assert done.returncode == 1 and words in done.stderr, done.stderr
    query(stack, 'DROP DATABASE "spoilt" WITH (FORCE)', database="postgres")


def test_a_database_that_is_away_leaves_no_file(stack, tmp_path):
    done = stack.cli("backup", tmp_path / "x", check=False, **into(stack, "nobody"))
    assert done.returncode != 0 and os.listdir(tmp_path) == []


def test_a_backup_that_fails_half_way_leaves_no_file(stack, tmp_path):
    """A table that pg_dump may not read."""
    query(stack, "CREATE ROLE half LOGIN PASSWORD 'half'")
    for table in ("schema_migration", "ledger_meta", "credit_balance", "account", "credit_ledger",
                  "ledger_transaction", "usage_events", "purchase", "stripe_event", "cash_movement"):
        query(stack, f"GRANT SELECT ON {table} TO half")
    parts = urllib.parse.urlsplit(stack.databaseURL)
    url = parts._replace(netloc=f"half:half@{parts.hostname}:{parts.port}").geturl()
    done = stack.cli("backup", tmp_path / "x", check=False, DATABASE_URL=url, DATABASE_DIRECT_URL=url)
    assert done.returncode == 1 and "pg_dump failed" in done.stderr and os.listdir(tmp_path) == [], done.stderr
