"""A ledger whose storage was set back in place, on the timeline that it had: the proxies notice it, and what was charged
since the snapshot comes back from their journals, once."""
import shutil
import time

import pytest

from chaos.cluster import Cluster
from harness import patient_http, wait_until
from wire_tools import chat

USER, MILLICREDITS = "restored", 100_000_000


@pytest.fixture()
def cluster():
    with Cluster(1) as made:
        made.create_account(USER, MILLICREDITS // 1000)
        yield made


def ask(cluster, times):
    headers = {"Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": USER}
    url = f"http://127.0.0.1:{cluster.instances[0].port}/v1/chat/completions"

    def served():
        status, _, body = patient_http("POST", url, chat(max_tokens=100), headers)
        # The ledger was restarted, and a connection to it may be one that broke then; what is refused so is free.
        assert status == 200 or status == 503 and b"(ledger_unreachable)" in body, body
        return status == 200

    for _ in range(times):
        wait_until(served, 10, "service")


def charges(cluster):
    """hold → millicredits, of everything that the ledger has."""
    return dict(cluster.postgres.query("SELECT hold_id::text, charged_millicredits FROM usage_events"))


def settled(cluster, count):
    wait_until(lambda: len(charges(cluster)) >= count, 15, f"{count} settlements")
    found = charges(cluster)
    assert len(found) == count
    return found


def facts(cluster):
    """Generation and timeline."""
    return cluster.postgres.query("SELECT generation, ledger_timeline() FROM ledger_meta")[0]


def note(cluster):
    """Where the proxy keeps how far the ledger had come."""
    return cluster.instances[0].journal / "journal" / "ledger"


def ready(cluster):
    wait_until(cluster.instances[0].is_ready, 30, "the proxy")


def snapshot(cluster):
    """Of the storage of a server that stands still; it is running again when this returns."""
    cluster.postgres.stop()
    copy = cluster.directory / "postgres.snapshot"
    shutil.copytree(cluster.postgres.data, copy, symlinks=True)
    cluster.start_postgres()
    return copy


def restore(cluster, copy):
    """In place, as a storage system does it."""
    cluster.postgres.stop()
    owner = cluster.postgres.data.stat()
    shutil.rmtree(cluster.postgres.data)
    copy.rename(cluster.postgres.data)
    for path in [cluster.postgres.data, *cluster.postgres.data.rglob("*")]:
        shutil.chown(path, owner.st_uid, owner.st_gid)
    cluster.start_postgres()


def lose(cluster):
    """Ten charges, of which the snapshot has four; and what the ledger said before it was lost."""
    ask(cluster, 4)
    settled(cluster, 4)
    copy = snapshot(cluster)
    ready(cluster)
    ask(cluster, 6)
    charged = settled(cluster, 10)
    flushed = cluster.postgres.query("SELECT ledger_flushed()")[0][0]
    wait_until(lambda: int(note(cluster).read_text().split()[2]) >= flushed, 10, "a heartbeat")
    return copy, charged, facts(cluster)


def expect_everything_again(cluster, charged, before):
    wait_until(lambda: facts(cluster)[0] > before[0], 30, "a new generation")
    assert facts(cluster)[1] == before[1] == 1, "the timeline says nothing"
    assert settled(cluster, len(charged)) == charged
    raised = facts(cluster)[0]
    ready(cluster)
    ask(cluster, 2)
    everything = settled(cluster, len(charged) + 2)
    assert facts(cluster)[0] == raised, "it is raised once"
    balance = cluster.postgres.query("SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", USER)[0][0]
    assert balance == MILLICREDITS - sum(everything.values())
    instance = cluster.instances[0]
    assert instance.stop() == 0
    done = cluster.cli("verify", check=False, JOURNAL_DIR=str(instance.journal / "journal"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_running_proxy_notices_it(cluster):
    copy, charged, before = lose(cluster)
    restore(cluster, copy)
    expect_everything_again(cluster, charged, before)
    assert "the ledger was set back" in cluster.instances[0].process.output()


def test_a_proxy_that_starts_later_notices_it(cluster):
    copy, charged, before = lose(cluster)
    assert cluster.instances[0].stop() == 0
    restore(cluster, copy)
    cluster.instances[0].start()
    expect_everything_again(cluster, charged, before)


def test_an_operator_says_so_when_nobody_can_know(cluster):
    copy, charged, before = lose(cluster)
    assert cluster.instances[0].stop() == 0
    note(cluster).unlink()
    restore(cluster, copy)
    cluster.instances[0].start()
    wait_until(note(cluster).exists, 10, "a heartbeat")
    time.sleep(1)
    assert len(charges(cluster)) == 4 and facts(cluster) == before, "nobody can know"
    assert cluster.cli("ledger", "new-generation", check=False).returncode == 64
    done = cluster.cli("ledger", "new-generation", "--reason", "the snapshot of noon")
    assert done.stdout == f"generation {before[0]} -> {facts(cluster)[0]}\n"
    assert "the snapshot of noon" in done.stderr
    (entry,) = [line for line in cluster.cli("audit", "list").stdout.splitlines() if "ledger.new-generation" in line]
    assert "cli:" in entry and "the snapshot of noon" in entry
    expect_everything_again(cluster, charged, before)
