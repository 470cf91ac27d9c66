"""Faults of Redis, of Postgres and of the network before them, each injected once and mended."""
import os
import time

IN_PHASE = 20
# Fewer outcomes wait in each instance whenever the load goes on and nothing is wrong.
BACKLOG_OF_TRAFFIC = 200


# Redis.

def redis_killed(stage):
    stage.cluster.redis.kill()
    stage.faults += 1
    stage.cluster.start_redis()
    stage.recovered(time.monotonic())


def redis_flushed(stage):
    stage.until(lambda: len(stage.load.running) >= IN_PHASE, "exchanges in flight")
    stage.load.expect_over_admission()
    stage.cluster.redis.flush()
    stage.faults += 1
    stage.recovered(time.monotonic())


def redis_older(stage):
    """An RDB of some exchanges ago comes back: with an old balance, old holds, and the old epoch key."""
    snapshot, taken = stage.cluster.redis.snapshot(), time.monotonic()
    stage.until(lambda: len(stage.load.completed(taken, 0)) >= 2 * IN_PHASE, "exchanges after the snapshot")
    stage.load.expect_over_admission()
    stage.cluster.redis.kill()
    stage.faults += 1
    stage.cluster.redis.restore(snapshot)
    stage.cluster.start_redis()
    stage.recovered(time.monotonic())


# Postgres.

def postgres_stopped(stage):
    stage.cluster.postgres.stop_immediately()
    stage.faults += 1
    stage.cluster.start_postgres()
    stage.recovered(time.monotonic())


def postgres_gone(stage):
    """Warm accounts are served meanwhile; the backlog drains afterwards. CHAOS_POSTGRES_GONE_SECONDS says how long."""
    seconds = float(os.environ.get("CHAOS_POSTGRES_GONE_SECONDS", 60 if stage.is_long else 8))
    stage.cluster.postgres.stop_immediately()
    gone = time.monotonic()
    stage.faults += 1
    time.sleep(seconds)
    served = sum(len(stage.load.completed(gone + 1, i.number, started_after=gone + 1)) for i in stage.instances())
    if not served:
        stage.problems.append("nobody was served while Postgres was gone")
    stage.hits.append(served)
    stage.cluster.start_postgres()
    stage.recovered(time.monotonic())
    stage.until(
        lambda: all(i.metric("settlement_backlog") < BACKLOG_OF_TRAFFIC for i in stage.instances()),
        "the end of the backlog", 20 + seconds)


# The network before a store.

def reset_after_commit(stage, relay, match):
    before = relay.faults().get("dropped replies", 0)
    relay.drop_replies(1, match)
    since = time.monotonic()
    stage.until(lambda: relay.faults().get("dropped replies", 0) > before, "a command whose reply is dropped")
    stage.faults += 1
    stage.recovered(since)


def redis_reset_after_commit(stage):
    reset_after_commit(stage, stage.cluster.redis_relay, "EVALSHA")


def postgres_reset_after_commit(stage):
    reset_after_commit(stage, stage.cluster.postgres_relay, "settle")


def network(stage):
    """One of: cut with RST or FIN, unreachable, a black hole one way or both ways, slow, cut in mid-reply."""
    relay = stage.dice.choice([stage.cluster.redis_relay, stage.cluster.postgres_relay])
    lane = [stage.dice.randrange(len(stage.instances()))]
    kind = stage.dice.choice(["cut", "unreachable", "black hole", "slow", "cut after bytes"])
    stage.faults += 1
    match kind:
        case "cut":
            relay.cut(rst=stage.dice.random() < 0.5)
        case "unreachable":
            relay.refuse(lane)
            relay.cut(lane)
            time.sleep(stage.dice.uniform(0.2, 1))
        case "black hole":
            relay.stall(*stage.dice.choice([["to_server"], ["to_client"], []]), lanes=lane)
            time.sleep(stage.dice.uniform(0.2, 4))
        case "slow":
            relay.delay(stage.dice.uniform(0.005, 0.08))
            time.sleep(1)
        case "cut after bytes":
            relay.cut_after(stage.dice.randrange(1, 300))
            time.sleep(0.2)
    relay.heal()
    stage.recovered(time.monotonic())


def random_resets(stage):
    """Every connection to a store has an accident every now and then."""
    relays = [stage.cluster.redis_relay, stage.cluster.postgres_relay]
    before = sum(sum(relay.faults().values()) for relay in relays)
    for relay in relays:
        relay.random_faults(1.0, stage.dice.randrange(1 << 32))
    time.sleep(10 if stage.is_long else 4)
    for relay in relays:
        relay.heal()
    stage.faults += sum(sum(relay.faults().values()) for relay in relays) - before
    stage.recovered(time.monotonic())
