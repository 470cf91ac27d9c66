"""Two Redis answer at a time, each to one proxy: each side may admit what the account can pay for, and nothing is
charged wrongly (docs/GUARANTEES.md, fault 5)."""
import concurrent.futures
import random
import time

from chaos import checker
from chaos.client import ask, balance, charged
from chaos.cluster import Cluster
from chaos.load import Load
from chaos.runner import make_account
from chaos.stores import RedisStore
from harness import wait_until

CREDIT = 1000
# Of a whole credit, more than half: one of them fits, two do not.
TOKENS, SLOWLY = 500, "ttft_ms=6000"
STAYS, GOES = 0, 1


class SplitCluster(Cluster):
    """Its Redis has a replica. One instance stays with the old primary, the other one goes with the replica."""

    def make_stores(self):
        super().make_stores()
        self.replica = self.keep(RedisStore(self.directory, "redis-b", self.redis.secret))
        self.replica.follow(self.redis)

    def part(self):
        self.redis_relay.retarget(self.replica.port, lanes=[GOES])
        self.replica.promote()
        self.redis_relay.cut(lanes=[GOES])

    def reunite(self):
        """As a fail-over ends: the old primary follows the new one, and everybody is led there."""
        self.redis.follow(self.replica)
        self.redis_relay.retarget(self.replica.port)
        self.redis_relay.cut(lanes=[STAYS])
        self.redis, self.replica = self.replica, self.redis

    def epoch_changes(self):
        return [instance.metric("redis_epoch_changes_total") for instance in self.instances]


def is_held(redis, account):
    return redis.count("h:", account) > 0


def served_everywhere(load, since, count=1):
    for number in (STAYS, GOES):
        wait_until(
            lambda: len(load.completed(since, number, started_after=since)) >= count, 20, f"service by {number}")


def one_at_a_time(cluster, user, account):
    """An account that can pay for one request gets one, whichever proxy is asked for the second."""
    assert balance(cluster, user) == CREDIT
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(ask, cluster, STAYS, user, TOKENS, SLOWLY)
        wait_until(lambda: is_held(cluster.redis, account), 5, "the first hold")
        assert [ask(cluster, n, user, TOKENS).status for n in (STAYS, GOES)] == [402, 402]
        assert first.result().status == 200
    return first.result().charge


def two_at_a_time(cluster, user, account):
    """Each side grants what both together cannot pay for, once."""
    assert balance(cluster, user) == CREDIT
    with concurrent.futures.ThreadPoolExecutor() as pool:
        replies = [pool.submit(ask, cluster, n, user, TOKENS, SLOWLY) for n in (STAYS, GOES)]
        for store in (cluster.redis, cluster.replica):
            wait_until(lambda: is_held(store, account), 5, "a hold on each side")
        assert [ask(cluster, n, user, TOKENS).status for n in (STAYS, GOES)] == [402, 402]
        replies = [reply.result() for reply in replies]
    assert [reply.status for reply in replies] == [200, 200]
    return replies


def settled_balance(cluster, user, replies, before):
    """The balance when these are posted: each charged what it reported."""
    for reply in replies:
        wait_until(lambda: charged(cluster, reply.hold) is not None, 10, "a settlement")
        assert charged(cluster, reply.hold) == reply.charge
    now = balance(cluster, user)
    assert now == before - sum(reply.charge for reply in replies)
    return now


def test_both_sides_admit_and_every_reply_is_charged_once():
    seed = random.randrange(1 << 32)
    print("seed", seed)
    with SplitCluster(2) as cluster:
        pair, calm = (cluster.create_account(user, 1) for user in ("pair", "calm"))
        accounts = [make_account(cluster, name, name == "poor") for name in ("a", "b", "poor")]
        with Load(cluster, accounts, seed, workers=12) as load:
            served_everywhere(load, time.monotonic())
            one_at_a_time(cluster, "calm", calm)
            before = cluster.epoch_changes()
            cluster.grant("poor", CREDIT)
            accounts[2].granted += CREDIT
            # No side has more than this to admit.
            accounts[2].over_admission = max(0, balance(cluster, "poor"))
            cluster.part()
            parted = time.monotonic()
            served_everywhere(load, parted)
            replies = two_at_a_time(cluster, "pair", pair)
            overdrawn = settled_balance(cluster, "pair", replies, CREDIT)
            assert -CREDIT <= overdrawn < 0, "over-admitted, once per side at most"
            served_everywhere(load, time.monotonic(), count=15)
            during = cluster.epoch_changes()
            assert during[STAYS] == before[STAYS] and during[GOES] > before[GOES]

            cluster.reunite()
            wait_until(lambda: cluster.epoch_changes()[STAYS] > during[STAYS], 10, "a new epoch")
            served_everywhere(load, time.monotonic())
            assert [ask(cluster, n, "pair", 5).status for n in (STAYS, GOES)] == [402, 402]
            cluster.grant("pair", CREDIT - overdrawn)
            wait_until(lambda: cluster.redis.entries()[pair]["p"] == str(CREDIT), 5, "the refresh")
            one_at_a_time(cluster, "pair", pair)
        assert checker.settle_down(cluster) == []
        found = checker.check(cluster, accounts, load.exchanges)
        assert (found.lost, found.doubled, found.overspent) == (0, 0, 0), found.details
        whole = sum(e.result == "complete" and e.started > parted for e in load.exchanges)
        assert whole >= 30


def test_what_one_side_spent_counts_on_the_other_when_they_are_one_again():
    """The new primary loaded the account before the old one's proxy settled a charge, and was never told of it."""
    with SplitCluster(2) as cluster:
        account = cluster.create_account("late", 1)
        cluster.part()
        wait_until(lambda: ask(cluster, GOES, "late", 5).status == 200, 20, "service by the new primary")
        wait_until(lambda: not cluster.replica.count("h:") + cluster.replica.count("u:"), 5, "posted")
        known = int(cluster.replica.entries()[account]["p"])
        reply = ask(cluster, STAYS, "late", 750)
        assert reply.status == 200
        left = settled_balance(cluster, "late", [reply], known)
        assert 0 < left < 100 and int(cluster.replica.entries()[account]["p"]) == known, "it was not told"
        cluster.reunite()
        wait_until(lambda: all(i.is_ready() for i in cluster.instances), 10, "everything is ready")
        wait_until(lambda: cluster.redis.entries()[account]["p"] == str(left), 5, "it is told now")
        assert [ask(cluster, n, "late", 200).status for n in (STAYS, GOES)] == [402, 402]
        assert checker.settle_down(cluster) == []
        assert balance(cluster, "late") == left
