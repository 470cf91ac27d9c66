"""What a fault is injected into: the cluster under load, and notes of what happened."""
import contextlib
import dataclasses
import random
import time

from harness import wait_until

from .cluster import Cluster
from .load import QUICK, Load

RECOVERY_SECONDS_MAX = 45
POOR_REFILL_MILLICREDITS = 600


@dataclasses.dataclass
class Stage:
    cluster: Cluster
    load: Load
    dice: random.Random
    is_long: bool
    faults: int = 0
    recoveries: list = dataclasses.field(default_factory=list)
    hits: list = dataclasses.field(default_factory=list)
    excuses: list = dataclasses.field(default_factory=list)
    problems: list = dataclasses.field(default_factory=list)

    def instances(self):
        return self.cluster.instances

    def prepare(self):
        """Quick traffic everywhere, and some money for those who have nearly none."""
        self.load.shape, self.load.crowd = QUICK, None
        for account in self.load.accounts:
            if account.is_poor:
                self.cluster.grant(account.user, POOR_REFILL_MILLICREDITS)
                account.granted += POOR_REFILL_MILLICREDITS

    def choose_victim(self, shape):
        """Most clients go to this instance from now on."""
        victim = self.dice.randrange(len(self.instances()))
        self.load.crowd, self.load.shape = victim, shape
        return victim

    def until(self, condition, what, seconds=20):
        return wait_until(condition, seconds, what)

    def hit(self, count):
        """So many exchanges were in the phase that this fault is about."""
        self.faults += 1
        self.hits.append(count)

    def recovered(self, since):
        """Waits until every instance served an exchange that began after `since`, and notes how long that took."""
        try:
            self.until(
                lambda: all(self.load.completed(since, i.number, started_after=since) for i in self.instances()),
                "service on every instance", RECOVERY_SECONDS_MAX)
        except AssertionError as error:
            self.problems.append(str(error))
        self.recoveries.append(time.monotonic() - since)


@contextlib.contextmanager
def stage(cluster, accounts, seed, is_long):
    with Load(cluster, accounts, seed) as load:
        made = Stage(cluster, load, random.Random(f"{seed}/faults"), is_long)
        try:
            yield made
        finally:
            # Before the clients are waited for, or they would wait for what is broken.
            load.shape = QUICK
            try:
                cluster.heal()
            except Exception as error:  # Its scenario failed; the run goes on with what there is.
                made.problems.append(f"not healed: {error}")
