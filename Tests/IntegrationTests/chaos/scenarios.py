"""Every fault: its name in the table, what injects it, and how often."""
import dataclasses
import typing

from . import proxy_faults, store_faults


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A fault, and how often it is injected in the short and in the long form."""

    name: str
    inject: typing.Callable
    short: int
    long: int
    needs_journal: bool = False
    needs_small_disk: bool = False


ALL = [
    Scenario("kill -9: placed, not answered", proxy_faults.kill_placed, 1, 6, needs_journal=True),
    Scenario("kill -9: open, no output yet", proxy_faults.kill_open, 1, 6, needs_journal=True),
    Scenario("kill -9: 50 streams", proxy_faults.kill_streaming, 1, 6, needs_journal=True),
    Scenario("kill -9: final, not captured", proxy_faults.kill_final_not_captured, 1, 6, needs_journal=True),
    Scenario("kill -9: final, not posted", proxy_faults.kill_final_not_posted, 1, 6, needs_journal=True),
    Scenario("kill -9: posted, not acknowledged", proxy_faults.kill_posted_not_acknowledged, 1, 6, needs_journal=True),
    Scenario("kill -9: 50 streams, and the disk lost", proxy_faults.kill_streaming_disk_lost, 1, 4, needs_journal=True),
    Scenario("SIGSTOP beyond the lease, SIGCONT", proxy_faults.pause_beyond_lease, 1, 2),
    Scenario("Redis kill -9, restart with AOF", store_faults.redis_killed, 2, 15),
    Scenario("Redis FLUSHALL", store_faults.redis_flushed, 4, 30),
    Scenario("Redis: an older RDB comes back", store_faults.redis_older, 1, 6),
    Scenario("Postgres immediate stop, restart", store_faults.postgres_stopped, 2, 10),
    Scenario("Postgres gone for a while", store_faults.postgres_gone, 1, 1),
    Scenario("Redis: reset after the server did it", store_faults.redis_reset_after_commit, 8, 40),
    Scenario("Postgres: reset after the commit", store_faults.postgres_reset_after_commit, 5, 25),
    Scenario("network: cut, unreachable, stalled, slow", store_faults.network, 6, 25),
    Scenario("network: random resets", store_faults.random_resets, 1, 2),
    Scenario("journal's disk full", proxy_faults.disk_full, 1, 2, needs_journal=True, needs_small_disk=True),
    Scenario(
        "journal's disk full at a start", proxy_faults.disk_full_at_start, 1, 2, needs_journal=True,
        needs_small_disk=True),
]
