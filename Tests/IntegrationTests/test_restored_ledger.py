"""Postgres is set back to an earlier moment: the journals bring back what it lost, once (docs/GUARANTEES.md,
fault 7)."""
import random
import time

import pytest

from chaos import checker
from chaos.archive import ArchivedPostgres
from chaos.client import ask, balance, charged, milliseconds
from chaos.cluster import Cluster
from chaos.load import Load
from chaos.runner import make_account
from harness import wait_until

CREDIT = 1000
BOUGHT = 10 * CREDIT
LOST_MIN = 40


def outcomes(postgres):
    """hold → (boot of its owner, charge), as they count."""
    return {hold: (boot, charge) for hold, boot, charge in postgres.query(
        "SELECT e.hold_id::text, e.owner_boot::text, u.charged_millicredits "
        "FROM usage_events e JOIN usage_effective u USING (account_id, hold_id)")}


def boot_of(cluster, instance):
    journals = [entry for entry in (cluster.instances[instance].journal / "journal").iterdir() if entry.is_dir()]
    assert len(journals) == 1, journals
    return journals[0].name


def spend_what_will_be_lost(cluster):
    """A purchase after the moment to which the ledger goes back, and a reply that only it could pay for."""
    cluster.grant("buyer", BOUGHT)
    bought = wait_until(lambda: ask(cluster, 0, "buyer", 2000), 5, "a reply")
    assert bought.status == 200 and bought.charge > CREDIT
    wait_until(lambda: charged(cluster, bought.hold) == bought.charge, 10, "its settlement")
    assert balance(cluster, "buyer") == CREDIT + BOUGHT - bought.charge
    return bought


def served(load, instances, since, count=1):
    for number in instances:
        wait_until(
            lambda: len(load.completed(since, number, started_after=since)) >= count, 30, f"service by {number}")


@pytest.mark.parametrize("is_killed", [False, True], ids=["the proxies run on", "one starts after the restore"])
def test_a_ledger_set_back_has_every_charge_again(is_killed):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    with Cluster(2, postgres=ArchivedPostgres) as cluster:
        accounts = [make_account(cluster, name, False) for name in ("a", "b", "c")]
        cluster.create_account("buyer", 1)
        cluster.postgres.back_up()
        with Load(cluster, accounts, seed, workers=16) as load:
            served(load, (0, 1), time.monotonic(), 10)
            cluster.postgres.mark("then")
            bought = spend_what_will_be_lost(cluster)
            served(load, (0, 1), time.monotonic(), LOST_MIN)
            if is_killed:
                victim = boot_of(cluster, 1)
                cluster.instances[1].kill()
                served(load, (0,), time.monotonic(), 10)
            run_on = [i for i in cluster.instances if i.is_running]
            loads = cold_loads(run_on)

            lost = set_back(cluster)
            assert bought.hold in lost and len(lost) > LOST_MIN
            cluster.postgres_relay.retarget(cluster.postgres.port)
            served(load, [i.number for i in run_on], time.monotonic())
            # Which of the instances loads an account is chance: whichever is asked for it first.
            wait_until(lambda: cold_loads(run_on) >= loads + len(accounts), 10, "every account is loaded again")
            if is_killed:
                # Those that were whole long before it was killed are on its disk only.
                alone = {h for h, (boot, _) in lost.items() if boot == victim}
                last = max(map(milliseconds, alone))
                alone = {h for h in alone if milliseconds(h) < last - 1000}
                bring_back(cluster, {h: lost[h] for h in lost if lost[h][0] != victim})
                assert alone and not alone & outcomes(cluster.postgres).keys()
                cluster.instances[1].start()
                served(load, (1,), time.monotonic())
            bring_back(cluster, lost)
        assert checker.settle_down(cluster) == []
        found = checker.check(cluster, accounts, load.exchanges)
        assert (found.lost, found.doubled, found.overspent) == (0, 0, 0), found.details
        # The purchase is lost, what it paid for is not: an operator has to enter it again.
        assert charged(cluster, bought.hold) == bought.charge
        assert balance(cluster, "buyer") == CREDIT - bought.charge < 0
        assert [ask(cluster, n, "buyer", 5).status for n in (0, 1)] == [402, 402]


def cold_loads(instances):
    return sum(instance.metric("redis_cold_loads_total") for instance in instances)


def set_back(cluster):
    """Recovers to the mark while nobody is led to it; the outcomes that it had and has not any more."""
    postgres = cluster.postgres
    had, generation = outcomes(postgres), postgres.query("SELECT generation FROM ledger_meta")
    assert postgres.timeline() == 1
    postgres.stop()
    postgres.set_back("then")
    assert postgres.timeline() == 2 and postgres.query("SELECT generation FROM ledger_meta") == generation
    assert balance(cluster, "buyer") == CREDIT
    has = outcomes(postgres)
    assert has and all(had[hold] == has[hold] for hold in has)
    return {hold: row for hold, row in had.items() if hold not in has}


def bring_back(cluster, lost):
    """Waits until each is there again, with the charge that it had."""
    def missing():
        has = outcomes(cluster.postgres)
        return [hold for hold, row in lost.items() if has.get(hold) != row]

    try:
        wait_until(lambda: not missing(), 20, "every outcome is in the ledger again")
    except AssertionError:
        raise AssertionError(f"{len(missing())} of {len(lost)} outcomes did not come back") from None
