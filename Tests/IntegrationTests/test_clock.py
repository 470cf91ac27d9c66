"""A proxy whose clock is off (docs/GUARANTEES.md, fault 11; rule C13). Its wall clock is set by libfaketime; Postgres,
Redis and the upstream keep the true time."""
import concurrent.futures
import ctypes
import os
import pathlib
import subprocess
import time

import pytest

from chaos import checker
from chaos.client import ask, balance, charged, milliseconds
from chaos.cluster import Cluster
from harness import wait_until

CREDITS = 100
SECONDS_OFF_MAX = 2


# libfaketime takes every timer that ends at a moment for one of the wall clock. Those of Swift are of steady clocks,
# and would end too early or too late, by as much as the wall clock is off.
TIMERS_AS_THEY_ARE = """
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>
int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old) {
    return syscall(SYS_timerfd_settime, fd, flags, value, old);
}
"""


def preloaded(source, library):
    """A library of this source, for LD_PRELOAD; by the compiler of the Swift toolchain."""
    compiler = ["clang", "-shared", "-fPIC", "-x", "c", "-o", library, "-"]
    subprocess.run(compiler, input=source, text=True, check=True)
    return library


class FakeClock:
    """The wall clock of the processes with this environment; it can be set while they run, steady clocks go on."""

    def __init__(self, directory):
        found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        assert found, "libfaketime is not installed (scripts/bootstrap.sh test installs it)"
        self.file = pathlib.Path(directory) / "clock"
        timers = preloaded(TIMERS_AS_THEY_ARE, self.file.with_name("timers.so"))
        # What comes first counts.
        self.environment = {
            "LD_PRELOAD": f"{timers} {found[0]}", "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_SHARED": self.share()}

    def share(self):
        """The semaphore and the shared memory of libfaketime. Left alone, it makes them as the process starts and adds
        their names to the environment; Swift finds a program's arguments next to the environment, where it was."""
        name, memory = f"/tollgate-{os.getpid()}", pathlib.Path(f"/dev/shm/tollgate-{os.getpid()}")
        memory.write_bytes(bytes(4096))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.sem_open.restype = ctypes.c_void_p
        assert libc.sem_open(name.encode(), os.O_CREAT, 0o600, 1), os.strerror(ctypes.get_errno())
        self.shared = [memory, memory.with_name("sem." + memory.name)]
        return f"{name} {name}"

    def set(self, seconds):
        """By so much it is ahead of the true time."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        os.replace(fresh, self.file)

    def close(self):
        for file in self.shared:
            file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    made = FakeClock(tmp_path_factory.mktemp("clock"))
    made.set(20)
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster(clock):
    with Cluster(1, serving=clock.environment) as made:
        made.create_account("punctual", CREDITS)
        yield made


def seconds_ahead(uuid):
    return milliseconds(uuid) / 1000 - time.time()


def rows(cluster):
    return cluster.postgres.query("SELECT count(*) FROM usage_events")[0][0]


def is_off(instance):
    return instance.unavailable() == ["clock"]


def test_a_clock_that_is_a_little_off_changes_nothing(cluster):
    ((boot,),) = cluster.postgres.query("SELECT boot_id::text FROM proxy_instance")
    age = time.time() - cluster.instances[0].started_at
    assert 20 - age - 1 < seconds_ahead(boot) < 20, "its own clock is off"
    before = balance(cluster, "punctual")
    for _ in range(5):
        reply = ask(cluster, 0, "punctual", 5)
        assert reply.status == 200 and abs(seconds_ahead(reply.hold)) < SECONDS_OFF_MAX, "ids are of the ledger's time"
        wait_until(lambda: charged(cluster, reply.hold) == reply.charge, 5, "its settlement")
        before -= reply.charge
    assert balance(cluster, "punctual") == before


@pytest.mark.parametrize("seconds", [120, -120])
def test_a_clock_that_is_far_off_admits_nothing_until_it_is_right(cluster, clock, seconds):
    instance = cluster.instances[0]
    clock.set(0)
    wait_until(instance.is_ready, 10, "a clock that is right")
    cluster.mock.reset()
    cluster.mock.hold_replies()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        try:
            running = pool.submit(ask, cluster, 0, "punctual", 5, timeout=60)
            wait_until(lambda: cluster.mock.stats()["waiting"] == 1, 10, "a request under way")
            assert cluster.redis.count("h:") == 1
            clock.set(seconds)
            wait_until(lambda: is_off(instance), 10, "a clock that is off")
            unchanged = rows(cluster), balance(cluster, "punctual")
            refused = [ask(cluster, 0, "punctual", 5) for _ in range(10)]
            assert [reply.status for reply in refused] == [503] * 10, refused[0]
            assert (rows(cluster), balance(cluster, "punctual")) == unchanged
            assert cluster.redis.count("h:") == 1, "only that of the request under way"
        finally:
            cluster.mock.release_replies()
        reply = running.result()
    # What was admitted before is served and charged.
    assert reply.status == 200
    wait_until(lambda: charged(cluster, reply.hold) == reply.charge, 5, "its settlement")
    assert (rows(cluster), balance(cluster, "punctual")) == (unchanged[0] + 1, unchanged[1] - reply.charge)
    assert is_off(instance)
    clock.set(0)
    wait_until(instance.is_ready, 10, "a clock that is right")
    reply = ask(cluster, 0, "punctual", 5)
    assert reply.status == 200 and abs(seconds_ahead(reply.hold)) < SECONDS_OFF_MAX


def test_nothing_is_left_behind(cluster, clock):
    clock.set(-20)
    assert checker.settle_down(cluster) == []
    ((charges,),) = cluster.postgres.query("SELECT sum(charged_millicredits) FROM usage_effective")
    assert balance(cluster, "punctual") == CREDITS * 1000 - charges
