"""Postgres is away while more outcomes wait than memory takes: they wait on disk and drain exactly (fault 6).

The long form is `CHAOS_POSTGRES_GONE_SECONDS=600 make chaos ARGS="--only gone"`."""
import random
import time

from chaos import checker
from chaos.cluster import Cluster
from chaos.load import Load, Shape
from chaos.runner import make_account
from harness import wait_until

MEMORY_OUTCOMES, SEGMENT_BYTES = 50, 64 << 10
BACKLOG = 3 * MEMORY_OUTCOMES
SEGMENTS_OF_A_NEW_JOURNAL = 2
BRIEF = Shape(tokens=(2, 6), rate=(500, 1000), oddities=0.0)


def test_a_backlog_beyond_memory_waits_on_disk_and_drains():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    serving = {"JOURNAL_SEGMENT_BYTES": str(SEGMENT_BYTES), "TOLLGATE_TEST_MEMORY_OUTCOMES": str(MEMORY_OUTCOMES)}
    with Cluster(2, serving=serving) as cluster:
        first, second = cluster.instances
        accounts = [make_account(cluster, name, False) for name in ("a", "b", "c")]
        with Load(cluster, accounts, seed, workers=32) as load:
            load.shape = BRIEF
            for i in cluster.instances:
                wait_until(lambda: load.completed(0, i.number), 20, "warm accounts")
            cluster.postgres.stop_immediately()
            failed = first.metric("settlement_batches_failed_total")
            for i in cluster.instances:
                wait_until(lambda: i.metric("settlement_backlog") > BACKLOG, 40, "a backlog beyond memory")
            assert first.metric("settlement_batches_failed_total") > failed
            for i in cluster.instances:
                assert i.metric("settlement_backlog_spilled") > BACKLOG - 2 * MEMORY_OUTCOMES
                assert i.metric("journal_segments") > SEGMENTS_OF_A_NEW_JOURNAL
        # One dies with its backlog, the other one keeps it until there is a ledger again.
        waiting = first.metric("settlement_backlog")
        assert waiting > BACKLOG and first.metric("settlement_backlog_spilled") > waiting - 2 * MEMORY_OUTCOMES
        second.kill()
        cluster.start_postgres()
        began = time.monotonic()
        wait_until(lambda: first.metric("settlement_backlog") == 0, 60, "the backlog is drained")
        print(f"{waiting} outcomes drained within {time.monotonic() - began:.1f} s")
        assert first.metric("settlement_backlog_spilled") == 0
        second.start()
        assert checker.settle_down(cluster) == []
        found = checker.check(cluster, accounts, load.exchanges)
        assert (found.lost, found.doubled, found.overspent) == (0, 0, 0), found.details
        assert sum(e.result == "complete" for e in load.exchanges) > 2 * BACKLOG
