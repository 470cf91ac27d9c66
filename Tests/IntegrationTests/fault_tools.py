"""Faults that a test makes around a running instance, each mended when its block ends."""
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import time

from harness import wait_until


def at_most_every(seconds, act):
    """For a loop that asks more often than a fault is to be repeated."""
    last = None

    def again():
        nonlocal last
        if last is None or time.monotonic() - last >= seconds:
            last = time.monotonic()
            act()

    return again


def pids_below(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # It has ended since it was listed.
        return []
    return [pid, *(inner for child in children for inner in pids_below(int(child)))]


@contextlib.contextmanager
def frozen(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def refusing_to_settle(watched, model):
    """The ledger has a rule that a proxy knows nothing of."""
    watched.sql(f"ALTER TABLE usage_events ADD CONSTRAINT no_such_model CHECK (model <> '{model}') NOT VALID")
    try:
        yield
    finally:
        watched.sql("ALTER TABLE usage_events DROP CONSTRAINT no_such_model")


@contextlib.contextmanager
def changed_in_redis(watched, user, **amounts):
    """Sums of an account that are not those of its entries."""
    with watched.redis() as redis:
        account = watched.stored_account(user)
        for field, amount in amounts.items():
            redis.hincrby(account, field, amount)
        try:
            yield
        finally:
            for field, amount in amounts.items():
                redis.hincrby(account, field, -amount)


@contextlib.contextmanager
def an_old_hold(watched, user, hours):
    """A request that is under way, and whose hold says that it was placed so long ago."""
    key = watched.dev.account(user, credits=100)
    with concurrent.futures.ThreadPoolExecutor() as pool, watched.redis() as redis:
        running = pool.submit(watched.chat, key, mock="tokens=5 ttft_ms=40000", timeout=90)
        account = watched.stored_account(user)
        field = wait_until(lambda: next((f for f in redis.hkeys(account) if f.startswith("h:")), None), 10, "its hold")
        parts = redis.hget(account, field).split("|")
        parts[3] = str(int(parts[3]) - hours * 3_600_000)
        redis.hset(account, field, "|".join(parts))
        yield
        running.result()


@contextlib.contextmanager
def a_faulty_host(host):
    """Its collector refuses, the disk of its access log is full, and hardly a file more may be opened."""
    host.collector.answer = lambda: 400
    host.write_lines_to("/dev/full")
    host.limit_descriptors(spare=10)
    try:
        yield
    finally:
        host.limit_descriptors()
        host.write_lines_to(host.directory / "lines")
        host.collector.answer = lambda: 200
