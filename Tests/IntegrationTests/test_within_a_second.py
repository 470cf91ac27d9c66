"""What an operator takes from somebody, or gives back, is in force on every instance within a second: measured from the
ledger's own time of the change to the answer that shows it."""
import concurrent.futures
import time

import pytest

from chaos.cluster import Cluster
from flag_tools import ROUNDS, STALL_SECONDS, Pace
from harness import patient_http, wait_until
from wire_tools import chat


@pytest.fixture(scope="module")
def cluster():
    with Cluster(2) as made:
        yield made


def status(instance, key):
    url = f"http://127.0.0.1:{instance.port}/v1/chat/completions"
    return patient_http("POST", url, chat(max_tokens=20), {"Authorization": f"Bearer {key}"})[0]


def known(instance, key, wanted):
    """When the first answer with this status was read."""
    return wait_until(lambda: status(instance, key) == wanted and time.time(), 20, f"{wanted} on every instance")


def delay(cluster, key, wanted, *change):
    """Seconds from this command's commit to its effect on the last instance, and the longest stall of the machine."""
    instances = cluster.instances
    with concurrent.futures.ThreadPoolExecutor(len(instances)) as pool, Pace(
            [instance.process.child.pid for instance in instances]) as pace:
        seen = [pool.submit(known, instance, key, wanted) for instance in instances]
        cluster.cli(*change)
        ((committed,),) = cluster.postgres.query("SELECT extract(epoch FROM max(at)) FROM audit_log")
        times = [future.result() for future in seen]
    return round(max(times) - float(committed), 3), round(pace.stall, 3)


def within_a_second(rounds):
    """Each round is a list of delays. Only where the machine itself stood still is there another; nothing is subtracted."""
    for told, _ in zip(rounds, range(ROUNDS)):
        print("seconds from commit to effect, and the machine's own longest stall:", told)
        if not any(seconds >= 1 and stall > STALL_SECONDS for seconds, stall in told):
            break
    assert all(0 < seconds < 1 for seconds, _ in told), told


def test_a_revoked_key_is_refused_within_a_second(cluster):
    cluster.create_account("revoked", 1000)

    def rounds():
        while True:
            key = next(
                word for word in cluster.cli("key", "create", "--user", "revoked").stdout.split()
                if word.startswith("tg_"))
            for instance in cluster.instances:
                known(instance, key, 200)
            number = cluster.postgres.query(
                "SELECT max(key_id) FROM api_key JOIN account USING (account_id) WHERE user_id = 'revoked'")[0][0]
            yield [delay(cluster, key, 401, "key", "revoke", number)]

    within_a_second(rounds())


def test_a_person_suspends_and_lifts_within_a_second(cluster):
    cluster.create_account("suspended", 1000)
    key = next(
        word for word in cluster.cli("key", "create", "--user", "suspended").stdout.split() if word.startswith("tg_"))
    for instance in cluster.instances:
        known(instance, key, 200)

    def change(to, wanted):
        return delay(
            cluster, key, wanted, "account", "set", "--user", "suspended", "--status", to, "--reason", "asked by law")

    within_a_second([change("suspended", 403), change("active", 200)] for _ in range(ROUNDS))
