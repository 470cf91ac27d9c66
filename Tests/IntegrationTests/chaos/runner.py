"""Runs scenarios on one cluster, then heals it, restarts everything, and judges what was left."""
import dataclasses
import subprocess
import sys
import time

from harness import BIN

from . import checker, scenarios
from .cluster import Cluster
from .load import Account
from .report import Row
from .stage import stage

# The poor can pay for some seven exchanges at once, and are asked for more.
RICH_CREDITS, POOR_CREDITS = 100_000, 1
BETWEEN_SECONDS = 20
FAULTS_OF_LONG_FORM = 200
PASSES_MAX = 100


@dataclasses.dataclass
class Run:
    """One scenario, run; judged when everything is quiet again."""

    scenario: scenarios.Scenario
    accounts: list
    exchanges: list
    stage: object


def chosen(only):
    """The scenarios whose names have one of these words, which commas part; without words all of them."""
    words = [word.strip() for word in only.split(",") if word.strip()]
    # A word that names nothing would pass with nothing tried.
    if wrong := [word for word in words if not any(word in s.name for s in scenarios.ALL)]:
        names = "; ".join(s.name for s in scenarios.ALL)
        raise ValueError(f"no scenario has {' or '.join(map(repr, wrong))} in its name; there are: {names}")
    return [s for s in scenarios.ALL if not words or any(word in s.name for word in words)]


class Chaos:
    """`rows` and `problems` are the result; `is_clean` is the verdict."""

    def __init__(self, seed, is_long=False, only="", is_forced=False):
        self.seed, self.is_long, self.is_forced = seed, is_long, is_forced
        self.chosen = chosen(only)
        self.rows = {s.name: Row(s.name) for s in self.chosen}
        self.problems = []

    @property
    def is_clean(self):
        return not self.problems and all(row.is_clean for row in self.rows.values())

    @property
    def fault_count(self):
        return sum(row.times for row in self.rows.values())

    @staticmethod
    def say(text):
        print(text, file=sys.stderr, flush=True)

    def run(self, minutes=0):
        """One pass over the scenarios; in the long form more, until the minutes are about over and 200 faults struck."""
        self.say(f"chaos: seed {self.seed}")
        end = time.monotonic() + 60 * minutes
        for number in range(PASSES_MAX):
            began = time.monotonic()
            self.run_pass(number)
            now = time.monotonic()
            is_enough = self.fault_count >= FAULTS_OF_LONG_FORM or len(self.chosen) < len(scenarios.ALL)
            if not self.is_long or (is_enough and end - now < (now - began) / 2):
                return

    def run_pass(self, number):
        """On a cluster of its own: what a failed pass leaves behind does not spoil the next one."""
        with Cluster(2) as cluster:
            runs = []
            for scenario in self.chosen:
                if reason := self.reason_to_skip(scenario, cluster):
                    self.rows[scenario.name].skipped = "skipped: " + reason
                    continue
                runs.append(self.perform(scenario, cluster, f"{self.seed}.{number}"))
            self.say("chaos: healing, draining and restarting everything")
            try:
                self.problems += checker.settle_down(cluster)
                for run in runs:
                    self.problems += self.judge(cluster, run)
            except Exception as error:  # What was found until then is shown all the same.
                self.problems.append(f"pass {number} could not be judged: {type(error).__name__}: {error}")
        for row in self.rows.values():
            if not row.times and not row.skipped:
                self.problems.append(f"{row.fault}: was never injected")

    def reason_to_skip(self, scenario, cluster):
        if scenario.needs_small_disk and cluster.no_small_disk:
            return cluster.no_small_disk
        if scenario.needs_journal and not self.is_forced and not has_journal():
            return "this tollgate has no journal"
        return None

    def perform(self, scenario, cluster, seed):
        began = time.monotonic()
        number = scenarios.ALL.index(scenario)
        seed = f"{seed}.{number}"
        accounts = [make_account(cluster, f"chaos-{seed}-{name}", poor) for name, poor in (
            ("a", False), ("b", False), ("c", False), ("poor", True), ("poorer", True))]
        with stage(cluster, accounts, seed, self.is_long) as it:
            try:
                it.recovered(time.monotonic())
                it.recoveries.clear()
                for _ in range(scenario.long if self.is_long else scenario.short):
                    it.prepare()
                    scenario.inject(it)
            except Exception as error:  # The other scenarios are worth running all the same.
                it.problems.append(f"{type(error).__name__}: {error}")
        if cluster.until_no_hold_is_left(BETWEEN_SECONDS) is None:
            it.problems.append(f"holds or captures are left after {BETWEEN_SECONDS} s")
        self.say(
            f"chaos: {scenario.name}: {it.faults} in {time.monotonic() - began:.1f} s, "
            f"{len(it.load.exchanges)} exchanges, {sum(e.status == 402 for e in it.load.exchanges)} of them 402"
            + "".join(f"\n  {problem}" for problem in it.problems))
        return Run(scenario, accounts, it.load.exchanges, it)

    def judge(self, cluster, run):
        found = checker.check(cluster, run.accounts, run.exchanges, run.stage.excuses)
        row = self.rows[run.scenario.name]
        row.times += run.stage.faults
        row.exchanges += len(run.exchanges)
        row.acknowledged += sum(e.result == "complete" for e in run.exchanges)
        row.lost += found.lost
        row.doubled += found.doubled
        row.overspent += found.overspent
        row.recoveries += run.stage.recoveries
        row.hits += run.stage.hits
        for detail in found.details[:5]:
            self.say(f"chaos: {run.scenario.name}: {detail}")
        return [f"{run.scenario.name}: {problem}" for problem in run.stage.problems]


def make_account(cluster, user, is_poor):
    credits = POOR_CREDITS if is_poor else RICH_CREDITS
    return Account(user, cluster.create_account(user, credits), credits * 1000, is_poor)


def has_journal():
    """Whether this binary knows JOURNAL_DIR; without it a killed proxy loses what it had in memory."""
    told = subprocess.run([str(BIN / "tollgate"), "serve", "--help"], capture_output=True, text=True, timeout=30)
    return "JOURNAL_DIR" in told.stdout
