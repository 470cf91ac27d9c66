"""Whoever has paid is served within a second, although nobody told Redis (rules B9 and G4)."""
import time

import pytest

from chaos.cluster import Cluster
from flag_tools import ROUNDS, Pace
from harness import patient_http, wait_until
from wire_tools import chat

CREDITS_MILLICREDITS = 1_000_000
# The ledger is read at most once a second for an account that is short, and the last 402 came just before the money;
# the rest is for the requests that ask again and again on a busy machine.
USABLE_SECONDS = 1.0 + 0.2
# More than this of the 0.2 s, and the machine was away for too long to say anything of the proxy.
STALL_SECONDS = 0.05


@pytest.fixture(scope="module")
def cluster():
    with Cluster(1) as made:
        yield made


def ask(cluster, user):
    headers = {"Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user}
    url = f"http://127.0.0.1:{cluster.instances[0].port}/v1/chat/completions"
    return patient_http("POST", url, chat(max_tokens=100), headers)[0]


def out_of_money(cluster, user):
    """A new account that Redis knows, and that has just been turned away."""
    account = cluster.create_account(user, 0)
    wait_until(lambda: ask(cluster, user) == 402, 10, "the first 402")
    wait_until(lambda: cluster.redis.entries().get(account, {}).get("p") == "0", 5, "the account is in Redis")
    assert ask(cluster, user) == 402
    return account


def seconds_until_served(cluster, user, since):
    """When the request that was served had been sent."""
    def served():
        sent = time.monotonic()
        return ask(cluster, user) == 200 and sent

    return wait_until(served, 10, "service") - since


def served_in_time(cluster, user, bring):
    """`bring(user)` gives credits in its own way and returns when. Only where the machine itself stood still is it done
    again, for a new user; nothing is subtracted."""
    told = []
    for number in range(ROUNDS):
        name = f"{user}-{number}"
        with Pace([cluster.instances[0].process.child.pid]) as pace:
            seconds = seconds_until_served(cluster, name, bring(name))
        told.append((round(seconds, 3), round(pace.stall, 3)))
        if seconds < USABLE_SECONDS or pace.stall <= STALL_SECONDS:
            break
    print("seconds until served, and the machine's own longest stall:", told)
    assert seconds < USABLE_SECONDS, told


def test_credits_are_usable_although_the_notification_never_arrived(cluster):
    def bring(user):
        cluster.postgres_relay.heal()
        account = out_of_money(cluster, user)
        assert cluster.postgres_relay.stall("to_client", only="listener") == 1, "one connection listens"
        cluster.grant(user, CREDITS_MILLICREDITS)
        granted = time.monotonic()
        assert cluster.redis.entries()[account]["p"] == "0", "Redis was told nothing"
        return granted

    try:
        served_in_time(cluster, "unheard", bring)
    finally:
        cluster.postgres_relay.heal()


def test_credits_are_usable_although_redis_forgot_that_they_came(cluster):
    def bring(user):
        account = out_of_money(cluster, user)
        key = "a:{%d}" % account
        before = cluster.redis.entries()[account]
        cluster.grant(user, CREDITS_MILLICREDITS)
        granted = time.monotonic()
        wait_until(lambda: cluster.redis.entries()[account]["p"] != "0", 5, "the refresh")
        with cluster.redis.client() as client:
            client.hset(key, mapping={"p": before["p"], "s": before["s"]})
        return granted

    served_in_time(cluster, "forgotten", bring)


def test_credits_are_usable_although_the_listener_is_cut_again_and_again(cluster):
    def bring(user):
        out_of_money(cluster, user)
        cluster.postgres_relay.cut(only="listener")
        cluster.grant(user, CREDITS_MILLICREDITS)
        granted = time.monotonic()
        cluster.postgres_relay.cut(only="listener")
        return granted

    served_in_time(cluster, "cut", bring)
    assert cluster.cli("verify", check=False).returncode == 0
