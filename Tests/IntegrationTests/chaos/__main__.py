"""`python -m chaos [MINUTES]`: the long form, with its table on standard output; exit 1 when anything was lost,
doubled or overspent, or did not recover. CHAOS_POSTGRES_GONE_SECONDS says how long Postgres is away (default 60)."""
import argparse
import random
import signal
import sys

from .report import markdown
from .runner import Chaos


def main():
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("minutes", nargs="?", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--short", action="store_true", help="each fault at least once, about three minutes")
    parser.add_argument("--only", default="", help="comma-separated parts of fault names")
    parser.add_argument("--force", action="store_true", help="also what this tollgate is known not to survive")
    given = parser.parse_args()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        chaos = Chaos(given.seed, is_long=not given.short, only=given.only, is_forced=given.force)
    except ValueError as problem:
        parser.error(f"argument --only: {problem}")
    chaos.run(given.minutes)
    print(f"seed {given.seed}, {chaos.fault_count} faults\n\n{markdown(list(chaos.rows.values()))}")
    for problem in chaos.problems:
        print("problem:", problem)
    return 0 if chaos.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
