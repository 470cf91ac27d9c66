#!/usr/bin/env python3
"""Writes bench/function-order.txt, which the linker follows: the functions of an exchange stand beside each other in the
program, not on five hundred pages of it. `make function-order` runs it:

    bench/function_order.py [--programs .build/release] [--check]

Loads of the harness run on a proxy under callgrind. What an exchange or a chunk of a stream calls is hot; each hot
function is put behind the one that calls it most often (call-chain clustering, Ottoni and Maher, CGO 2017).
`--check` only says whether the program still follows the file.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent
ORDER = ROOT / "bench/function-order.txt"
# Name of the load, what differs from its scenario, and options of the harness. A proxy under callgrind is fifty times slower.
LOADS = [
    ("chat-small", {"connections": 8}, []),
    ("chat-small", {"connections": 8}, ["--tls", "both"]),
    ("chat-stream", {"connections": 8, "tokens_per_second": 20, "first_token_ms": 50}, []),
]
SECONDS = 30
# `Exchange.admit()`, which is called once for each exchange, and the calls for each from which on a function is hot.
ADMIT = "$s5Proxy8ExchangeC5admityyF"
HOT = 0.02
# Share of the functions in the file that the program may have elsewhere or, after a change of the sources, not at all.
ASTRAY_MAX = 0.2
# Exchanges that make a profile; what a load leaves on other threads is none.
EXCHANGES_MIN = 20
# Bytes from a function to the next one in the file.
NEAR = 1 << 16
# A cluster takes no more functions than this: about forty pages, a third of all.
CLUSTER_MAX = 400

WRAPPER = """#!/bin/sh
if [ "$1" != serve ]; then exec {real} "$@"; fi
exec valgrind --tool=callgrind --demangle=no --separate-threads=yes --callgrind-out-file={out}/profile.%p {real} "$@"
"""


class Profile:
    """Instructions of functions and calls between them, of one thread."""

    def __init__(self, path):
        self.cost, self.calls = collections.Counter(), collections.Counter()
        names, function, called = {}, None, None
        for line in path.open(errors="replace"):
            if line.startswith("fn="):
                function = self.name(line[3:], names)
            elif line.startswith("cfn="):
                called = self.name(line[4:], names)
            elif line.startswith("calls="):
                self.calls[function, called] += int(line[6:].split()[0])
            elif line[0] in "+-*0123456789":
                if called is None:
                    self.cost[function] += int(line.split()[1])
                called = None

    @staticmethod
    def name(text, names):
        """`(7) name` says what 7 is, `(7)` is it. Recursion has a number behind a mark."""
        number, _, name = text.strip().partition(" ")
        if name:
            names[number] = name.split("'")[0]
        return names[number]

    def exchanges(self):
        return sum(count for (_, called), count in self.calls.items() if called == ADMIT)


def record(work, scenario, changes, options):
    """Runs one load with the programs in `work`, and returns the profiles of the threads that served exchanges."""
    text = (ROOT / f"bench/scenarios/{scenario}.yaml").read_text()
    for key, value in changes.items():
        text = re.sub(rf"^{key}: .*$", f"{key}: {value}", text, flags=re.M)
    load = work / f"{scenario}.yaml"
    load.write_text(text)
    command = [
        work / "tollgate-bench", "compare", load, "--rounds", 1, "--duration", SECONDS, "--lanes", "governed",
        "--programs", work, *options]
    print("==>", scenario, *options, flush=True)
    said = []
    running = subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in running.stdout:
            said.append(line)
            if "warm-up  governed" in line:
                # What came before was the start.
                control(work, "--zero")
                threading.Timer(SECONDS * 0.7, control, (work, "--dump")).start()
        running.wait()  # Exchanges may fail: what is this slow misses deadlines.
    finally:
        running.terminate()
    dumped = list(work.glob("profile.*.1-*"))
    profiles = [profile for path in dumped if (profile := Profile(path)).exchanges() > EXCHANGES_MIN]
    for path in work.glob("profile.*"):
        path.unlink()
    if not profiles:
        sys.exit("".join(said[-20:]) + f"no thread of {len(dumped)} served exchanges")
    return profiles


def control(work, order):
    """Tells the callgrind that writes to this directory, and no other."""
    found = subprocess.run(["pgrep", "-f", f"callgrind-out-file={work}"], capture_output=True, text=True, check=True)
    subprocess.run(["callgrind_control", order, *found.stdout.split()], check=True, capture_output=True)


def clusters(profiles, known):
    """Functions in the order of the program."""
    cost, calls, hot = collections.Counter(), collections.Counter(), set()
    for profile in profiles:
        exchanges = profile.exchanges()
        for function, count in profile.cost.items():
            cost[function] += count / exchanges
        called = collections.Counter()
        for (caller, function), count in profile.calls.items():
            calls[caller, function] += count / exchanges
            called[function] += count / exchanges
        hot.update(name for name, count in called.items() if count >= HOT and name in known)
    hot = sorted(hot, key=lambda name: (-cost[name], name))
    callers = collections.defaultdict(list)
    for (caller, function), count in calls.items():
        if caller in known and caller != function:
            callers[function].append((count, caller))
    cluster = {name: [name] for name in hot}
    for name in hot:
        _, caller = max(callers[name], default=(0, None))
        if caller not in cluster:
            continue
        into, from_ = cluster[caller], cluster[name]
        if into is not from_ and len(into) + len(from_) <= CLUSTER_MAX:
            into.extend(from_)
            cluster.update((member, into) for member in from_)
    unique = {id(members): members for members in cluster.values()}.values()
    by_cost = sorted(unique, key=lambda members: -sum(cost[name] for name in members))
    return [name for members in by_cost for name in members]


def immovable():
    """Functions of Swift's own library, which have no sections of their own: one name would bring all of it."""
    told = json.loads(subprocess.run(["swiftc", "-print-target-info"], capture_output=True, text=True, check=True).stdout)
    library = pathlib.Path(told["paths"]["runtimeResourcePath"]).with_name("swift_static") / "linux"
    archives = sorted(library.glob("*.a"))
    if not archives:
        sys.exit(f"missing: Swift's static library in {library}")
    found = set()
    for archive in archives:
        listed = subprocess.run(["objdump", "--syms", archive], capture_output=True, text=True, check=False).stdout
        found.update(re.findall(r" F \.text\t[0-9a-f]+ (?:\.hidden )?(\S+)$", listed, flags=re.M))
    return found


def functions(program):
    """Function → where it is in the program. Names that are there more than once name none."""
    listed = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^([0-9a-f]+) [tTwW] (\S+)$", listed, flags=re.M)
    uses = collections.Counter(name for _, name in found)
    return {name: int(at, 16) for at, name in found if uses[name] == 1}


def check(program):
    names, places = ORDER.read_text().split(), functions(program)
    lost = [name for name in names if name not in places]
    found = [places[name] for name in names if name in places]
    following = sum(before < after < before + NEAR for before, after in zip(found, found[1:]))
    print(f"{following} of {len(names)} functions follow {ORDER.relative_to(ROOT)}, {len(lost)} are not in the program")
    if following < (1 - ASTRAY_MAX) * len(names):
        sys.exit(
            "`make function-order` writes the file again. When few are lost, objects of a build without "
            "scripts/build_release.sh are still there: `make clean` first")


def write(programs):
    if shutil.which("valgrind") is None:
        sys.exit("missing: valgrind (apt-get install valgrind)")
    fixed = immovable()
    with tempfile.TemporaryDirectory() as place:
        work = pathlib.Path(place)
        for program in ("mock-openai", "mock-stripe", "tollgate-bench"):
            shutil.copy(programs / program, work)
        # Valgrind would read the debug information for a minute.
        real = work / "tollgate.real"
        subprocess.run(["strip", "--strip-debug", "-o", real, programs / "tollgate"], check=True)
        wrapper = work / "tollgate"
        wrapper.write_text(WRAPPER.format(real=real, out=work))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        profiles = [profile for load in LOADS for profile in record(work, *load)]
    names = clusters(profiles, functions(programs / "tollgate").keys() - fixed)
    ORDER.write_text("".join(f"{name}\n" for name in names))
    print(f"{len(names)} functions: {ORDER.relative_to(ROOT)}; `make build` links with it")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / ".build/release", help="default: .build/release")
    parser.add_argument("--check", action="store_true", help="only say whether the file still fits the program")
    options = parser.parse_args()
    program = options.programs / "tollgate"
    if not os.access(program, os.X_OK):
        sys.exit(f"missing: {program}; `make build` makes it")
    if options.check:
        check(program)
    else:
        write(options.programs.resolve())


if __name__ == "__main__":
    main()
