"""Faults of a proxy and its host, each injected once and mended: killed, stopped, disk lost, disk full."""
import contextlib
import time

from .cluster import GRACE_SECONDS, LEASE_SECONDS, SWEEP_SECONDS
from .load import MEDIUM, QUICK, SILENT, SLOW

IN_PHASE = 20
STREAMS_OPEN = 50
STARTS_MAX = 3
# So much output that the loss of more than a second of it shows.
DELTAS_SEEN = 25


# kill -9 of a proxy. What phase its exchanges are in is seen from outside: in Redis, in the ledger, at the clients.

def kill(stage, victim, hit, wipe=False):
    instance = stage.instances()[victim]
    instance.kill()
    since = time.monotonic()
    stage.hit(hit)
    stage.load.shape, stage.load.crowd = QUICK, None
    if wipe:
        instance.wipe()
        # What the client saw complete in this moment may not have reached Redis; nobody else knew it. It notes the end of
        # an exchange when its loop comes to it; the process that follows has sent nothing by then.
        stage.excuses.append((victim, since - 0.25, since + 1))
    # What it had sent and the relay held back arrives now, when it is dead.
    stage.cluster.redis_relay.heal([victim])
    stage.cluster.postgres_relay.heal([victim])
    instance.start()
    stage.recovered(since)


def unanswered_holds(stage):
    """Holds in Redis whose client has no reply yet."""
    answered = {e.hold for e in list(stage.load.running) if e.status == 200}
    entries = stage.cluster.redis.entries()
    return sum(
        field.startswith("h:") and field[2:] not in answered for fields in entries.values() for field in fields)


def kill_placed(stage):
    victim = stage.choose_victim(QUICK)
    stage.until(lambda: stage.load.open(victim) >= IN_PHASE, "exchanges")
    stage.cluster.redis_relay.stall("to_client", lanes=[victim])
    placed = stage.until(
        lambda: (n := unanswered_holds(stage)) >= IN_PHASE and n, "holds whose PLACE was not answered")
    kill(stage, victim, placed)


def kill_open(stage):
    victim = stage.choose_victim(SILENT)
    mock = stage.cluster.mock
    stage.until(
        lambda: stage.load.open(victim) >= IN_PHASE and mock.stats()["open"] >= IN_PHASE, "silent exchanges")
    kill(stage, victim, stage.load.open(victim))


def streams_in_step(stage, victim, deltas=1):
    """How many streams have sent so much at a time. A machine that is busy as they begin spreads them out, and those that
    follow stay so: then all of them begin anew."""
    def streams():
        count = stage.load.streaming(victim, deltas)
        return count >= STREAMS_OPEN and count

    for _ in range(STARTS_MAX - 1):
        with contextlib.suppress(AssertionError):
            return stage.until(streams, f"{STREAMS_OPEN} streams")
        stage.load.shape = QUICK
        stage.until(lambda: not any(e.tokens >= SLOW.tokens[0] for e in list(stage.load.running)), "the end of these")
        stage.load.shape = SLOW
    return stage.until(streams, f"{STREAMS_OPEN} streams")


def kill_streaming(stage, wipe=False):
    victim = stage.choose_victim(SLOW)
    kill(stage, victim, streams_in_step(stage, victim, DELTAS_SEEN), wipe)


def kill_streaming_disk_lost(stage):
    kill_streaming(stage, wipe=True)


def kill_final_not_captured(stage):
    victim = stage.choose_victim(MEDIUM)
    stage.until(lambda: stage.load.streaming(victim) >= 2 * IN_PHASE, "streams")
    stalled = time.monotonic()
    stage.cluster.redis_relay.stall(lanes=[victim])
    stage.until(lambda: len(stage.load.completed(stalled, victim)) >= IN_PHASE, "finals that Redis has not heard of")
    kill(stage, victim, len(stage.load.completed(stalled, victim)))


def captured_not_posted(stage, victim):
    """The ids of captures that wait in Redis since the ledger is away from this instance."""
    stage.until(lambda: stage.load.completed(0, victim), "warm accounts")
    stage.cluster.postgres_relay.stall(lanes=[victim])

    def captured():
        own = {e.hold for e in list(stage.load.exchanges) if e.instance == victim}
        entries = stage.cluster.redis.entries()
        found = [f[2:] for fields in entries.values() for f in fields if f.startswith("u:") and f[2:] in own]
        return found if len(found) >= IN_PHASE else None

    return stage.until(captured, "captures that the ledger has not heard of")


def kill_final_not_posted(stage):
    victim = stage.choose_victim(QUICK)
    kill(stage, victim, len(captured_not_posted(stage, victim)))


def kill_posted_not_acknowledged(stage):
    victim = stage.choose_victim(QUICK)
    holds = captured_not_posted(stage, victim)
    stage.cluster.redis_relay.stall("to_server", lanes=[victim])
    stage.cluster.postgres_relay.heal([victim])

    def posted():
        query = "SELECT count(*) FROM usage_events WHERE hold_id = ANY(%s::uuid[])"
        return stage.cluster.postgres.query(query, holds)[0][0]

    count = stage.until(lambda: (n := posted()) >= IN_PHASE and n, "settlements whose POSTED is on its way")
    kill(stage, victim, count)


def pause_beyond_lease(stage):
    """Stopped until others have taken its holds over; then it goes on as if nothing had been."""
    victim = stage.choose_victim(SLOW)
    streams = streams_in_step(stage, victim)
    # A hold that is taken over is settled by an estimate; the rest of it is free until the owner says better.
    stage.load.expect_over_admission()
    stage.instances()[victim].freeze()
    stage.hit(streams)
    stage.load.shape, stage.load.crowd = QUICK, None
    time.sleep(LEASE_SECONDS + GRACE_SECONDS + 2 * SWEEP_SECONDS + 1)
    stage.instances()[victim].thaw()
    stage.recovered(time.monotonic())


# The disk of a journal.

@contextlib.contextmanager
def full_disk(stage):
    """The first instance's journal cannot grow while the block runs."""
    filler = stage.instances()[0].journal / "filler"
    try:
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * (1 << 20)):
                pass
        stage.faults += 1
        yield
    finally:
        filler.unlink()


def disk_full(stage):
    """It stops admitting when it needs more room, and what it had admitted is settled."""
    began = time.monotonic()
    with full_disk(stage):
        time.sleep(4)
    records = list(stage.load.exchanges)
    stage.hits.append(sum(e.instance == 0 and e.status == 503 and e.started > began for e in records))
    stage.recovered(time.monotonic())


def disk_full_at_start(stage):
    """Killed, and started again without room for a new journal: it may not serve, or end, until there is some."""
    instance = stage.instances()[0]
    with full_disk(stage):
        hit = stage.load.open(0)
        instance.kill()
        instance.launch()
        time.sleep(3)
    stage.hits.append(hit)
    since = time.monotonic()
    if not instance.is_running:
        instance.start()
    stage.recovered(since)
