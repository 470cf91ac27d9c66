"""The short form of the crash tests: every fault at least once, in about three minutes. CHAOS_SEED repeats a run,
CHAOS_ONLY (parts of fault names) narrows it; `make chaos` is the long form."""
import os
import random

from chaos.report import markdown
from chaos.runner import Chaos


def test_nothing_is_lost_doubled_or_overspent_whatever_breaks(capsys):
    seed = int(os.environ.get("CHAOS_SEED", random.randrange(1 << 32)))
    chaos = Chaos(seed, only=os.environ.get("CHAOS_ONLY", ""))
    chaos.run()
    with capsys.disabled():
        print(f"\nseed {seed}, {chaos.fault_count} faults\n\n{markdown(list(chaos.rows.values()))}")
    assert not chaos.problems, "\n".join(chaos.problems)
    assert all(row.is_clean for row in chaos.rows.values()), f"seed {seed}"
