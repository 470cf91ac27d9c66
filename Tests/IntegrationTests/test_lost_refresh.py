"""Whoever has paid is served within a second, although nobody told Redis (rules B9 and G4)."""
import time

import pytest

from chaos.cluster import Cluster
from harness import http, wait_until
from wire_tools import chat

CREDITS_MILLICREDITS = 1_000_000
# The ledger is read at most once a second for an account that is short, and the last 402 came just before the money;
# the rest is for the requests that ask again and again on a busy machine.
USABLE_SECONDS = 1.0 + 0.2


@pytest.fixture(scope="module")
def cluster():
    with Cluster(1) as made:
        yield made


def ask(cluster, user):
    headers = {"Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user}
    url = f"http://127.0.0.1:{cluster.instances[0].port}/v1/chat/completions"
    return http("POST", url, chat(max_tokens=100), headers)[0]


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


def test_credits_are_usable_although_the_notification_never_arrived(cluster):
    account = out_of_money(cluster, "unheard")
    assert cluster.postgres_relay.stall("to_client", only="listener") == 1, "one connection listens"
    try:
        cluster.grant("unheard", CREDITS_MILLICREDITS)
        granted = time.monotonic()
        assert cluster.redis.entries()[account]["p"] == "0", "Redis was told nothing"
        assert seconds_until_served(cluster, "unheard", granted) < USABLE_SECONDS
    finally:
        cluster.postgres_relay.heal()


def test_credits_are_usable_although_redis_forgot_that_they_came(cluster):
    account = out_of_money(cluster, "forgotten")
    key = "a:{%d}" % account
    before = cluster.redis.entries()[account]
    cluster.grant("forgotten", CREDITS_MILLICREDITS)
    granted = time.monotonic()
    wait_until(lambda: cluster.redis.entries()[account]["p"] != "0", 5, "the refresh")
    with cluster.redis.client() as client:
        client.hset(key, mapping={"p": before["p"], "s": before["s"]})
    assert seconds_until_served(cluster, "forgotten", granted) < USABLE_SECONDS


def test_credits_are_usable_although_the_listener_is_cut_again_and_again(cluster):
    out_of_money(cluster, "cut")
    cluster.postgres_relay.cut(only="listener")
    cluster.grant("cut", CREDITS_MILLICREDITS)
    granted = time.monotonic()
    cluster.postgres_relay.cut(only="listener")
    assert seconds_until_served(cluster, "cut", granted) < USABLE_SECONDS
    assert cluster.cli("verify", check=False).returncode == 0
