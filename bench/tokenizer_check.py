#!/usr/bin/env python3
"""Compares the tokenizer with tiktoken: the same ids, and how much faster. `make tokenizer-check` runs it:

    bench/tokenizer_check.py --vocabulary DIR --tables DIR --bench .build/release/token-bench identity speed

DIR as scripts/fetch_vocabulary.py and `tollgate tokenizer build` fill them. Modes:

    identity   ids and counts on real text of many kinds, every scalar, random and broken text; counts in random
               parts and in slices
    prompt     the cost of a prompt of 4 KB, each another: thread CPU time, medians
    speed      how much faster: thread CPU time, interleaved, medians
    worst      looks for a text on which tiktoken is faster
    fuzz       random texts for --seconds; prints the seed of what differs
    all        identity, speed and worst
"""
import argparse
import importlib.util
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import time

import tokenizer_texts as texts

TIKTOKEN = "0.14.0"
CODES = {"o200k_base": 1, "cl100k_base": 2}
PROMPT_BYTES = 4096
# Multiples of tiktoken's speed that are promised.
TARGETS = {"prose": 5, "code": 5, "json": 5, "chinese": 4}


class Bench:
    """token-bench, asked over pipes."""

    def __init__(self, path, tables):
        self.process = subprocess.Popen([path, tables], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, operation, encoding, data, argument=0):
        self.process.stdin.write(struct.pack("<cBxxII", operation, CODES[encoding], argument, len(data)))
        self.process.stdin.write(data)
        self.process.stdin.flush()
        head = self.process.stdout.read(4)
        if len(head) < 4:
            sys.exit(f"token-bench ended with {self.process.wait()}")
        count = struct.unpack("<I", head)[0]
        return struct.unpack(f"<{count}I", self.process.stdout.read(4 * count))


def load_tiktoken(vocabulary):
    """tiktoken's encodings, with vocabularies from a directory."""
    if importlib.util.find_spec("tiktoken") is None:
        sys.exit(f"missing: the Python package tiktoken, version {TIKTOKEN}")
    os.environ["TIKTOKEN_CACHE_DIR"] = ""
    import tiktoken
    from importlib.metadata import version
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public
    if version("tiktoken") != TIKTOKEN:
        print(f"tiktoken is {version('tiktoken')}; the tokenizer follows {TIKTOKEN}", file=sys.stderr)

    def load(address, expected_hash=None):
        path = vocabulary / address.rsplit("/", 1)[-1]
        if not path.is_file():
            sys.exit(f"missing: {path}; run scripts/fetch_vocabulary.py {vocabulary}")
        return load_tiktoken_bpe(str(path), expected_hash)

    openai_public.load_tiktoken_bpe = load
    return {name: tiktoken.Encoding(**getattr(openai_public, name)()) for name in CODES}


class Check:
    def __init__(self, options):
        self.encodings = load_tiktoken(options.vocabulary)
        self.bench = Bench(str(options.bench), str(options.tables))
        self.seed = options.seed
        self.budget = options.budget
        self.failures = 0
        self.longest = 0

    # Identity

    def fail(self, what, name, data, place=None):
        self.failures += 1
        path = pathlib.Path(f"tokenizer_difference_{self.failures}.bin")
        path.write_bytes(data)
        print(f"DIFFERS {name}: {what}{'' if place is None else f' at token {place}'}; text in {path}", flush=True)

    def same(self, name, data, encoding, parts=1):
        """Whether ids and counts of a text are tiktoken's, the latter also in parts."""
        text = data.decode("utf-8", errors="replace")
        expected = self.encodings[encoding].encode_ordinary(text)
        ids = self.bench.ask(b"e", encoding, data)
        if list(ids) != expected:
            place = next((i for i, (a, b) in enumerate(zip(ids, expected)) if a != b), min(len(ids), len(expected)))
            self.fail(f"{encoding} ids", name, data, place)
            return False
        counts = {"count": self.bench.ask(b"c", encoding, data)[0]}
        for _ in range(parts):
            self.seed += 1
            counts[f"count in parts, seed {self.seed}"] = self.bench.ask(b"r", encoding, data, self.seed)[0]
        slices = self.bench.ask(b"a", encoding, data, self.budget)
        counts["count in slices"] = slices[0]
        self.longest = max(self.longest, slices[4])
        for what, count in counts.items():
            if count != len(expected):
                self.fail(f"{encoding} {what}: {count}, not {len(expected)}", name, data)
                return False
        return True

    def identity(self, roots):
        total = 0
        for name, blocks in texts.identity_texts(roots, self.seed):
            size, self.longest = 0, 0
            started = time.monotonic()
            for data in blocks:
                size += len(data)
                for encoding in CODES:
                    self.same(name, data, encoding)
            total += size
            print(f"{name:28} {size / 1e6:8.2f} MB  {time.monotonic() - started:6.1f} s  "
                  f"{self.failures} differences   tenth longest slice of a text {self.longest / 1e3:4.0f} µs",
                  flush=True)
        print(f"identity: {total / 1e6:.1f} MB with each encoding, {self.failures} differences")

    def fuzz(self, seconds):
        end = time.monotonic() + seconds
        started, count, size = self.seed, 0, 0
        while time.monotonic() < end:
            self.seed += 1
            data = texts.random_text(random.Random(self.seed))
            count += 1
            size += len(data)
            for encoding in CODES:
                self.same(f"random text of seed {self.seed}", data, encoding, parts=3)
        print(f"fuzz: {count} texts, {size / 1e6:.1f} MB, seeds from {started}, {self.failures} differences")

    # Speed

    def times(self, encoding, data, repeats):
        """Seconds of thread CPU time: tiktoken, count, ids; medians of interleaved runs."""
        text = data.decode("utf-8", errors="replace")
        encode = self.encodings[encoding].encode_ordinary
        rows = []
        for _ in range(repeats):
            start = time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID)
            encode(text)
            theirs = time.clock_gettime_ns(time.CLOCK_THREAD_CPUTIME_ID) - start
            rows.append((theirs, self.bench.ask(b"t", encoding, data)[0], self.bench.ask(b"i", encoding, data)[0]))
        return [statistics.median(column) / 1e9 for column in zip(*rows)]

    def prompts(self, roots):
        """Of parts that follow each other in a text, so that what is remembered of one is of little use to the next."""
        print(f"{'a prompt of 4 KB, µs':28} {'encoding':12} {'tiktoken':>9} {'count':>8}")
        for name, data in texts.speed_texts(roots):
            parts = [data[at:at + PROMPT_BYTES] for at in range(0, len(data) - PROMPT_BYTES, PROMPT_BYTES)][:200]
            for encoding in CODES if parts else ():
                theirs, count = (statistics.median(column) * 1e6 for column in zip(
                    *(self.times(encoding, part, 1)[:2] for part in parts)))
                print(f"{name:28} {encoding:12} {theirs:9.0f} {count:8.0f}", flush=True)

    def speed(self, roots, repeats):
        print(f"{'MB/s, medians of ' + str(repeats):28} {'encoding':12} {'tiktoken':>9} {'count':>8} {'ids':>8} "
              f"{'count/tiktoken':>15}")
        for name, data in texts.speed_texts(roots):
            for encoding in CODES:
                theirs, count, ids = self.times(encoding, data, repeats)
                size = len(data) / 1e6
                target = TARGETS.get(name)
                missed = target is not None and theirs / count < target
                self.failures += missed
                print(f"{name:28} {encoding:12} {size / theirs:9.1f} {size / count:8.1f} {size / ids:8.1f} "
                      f"{theirs / count:14.1f}x{f'  BELOW {target}x' if missed else ''}", flush=True)

    def worst(self, seconds, repeats):
        """The texts on which the tokenizer is least ahead; what looks slow on a noisy machine is measured again."""
        found = []
        end = time.monotonic() + seconds
        for name, data in texts.hard_texts(self.encodings, self.seed):
            if time.monotonic() > end:
                break
            for encoding in CODES:
                ratio = self.ratio(encoding, data, 1)
                for more in (3, repeats, 4 * repeats):
                    if ratio < 2:
                        ratio = self.ratio(encoding, data, more)
                found.append((ratio, encoding, name, len(data)))
        found.sort()
        print(f"worst: {len(found)} measured; the least ahead of tiktoken:")
        for ratio, encoding, name, size in found[:12]:
            print(f"{ratio:6.2f}x {encoding:12} {size:8} bytes  {name}")
        self.failures += sum(ratio < 1 for ratio, *_ in found)

    def ratio(self, encoding, data, repeats):
        """Of the shortest times, since what disturbs a run only makes it longer; of the slower way to count."""
        rows = []
        for _ in range(repeats):
            theirs, count, _ = self.times(encoding, data, 1)
            rows.append((theirs, count, self.bench.ask(b"a", encoding, data, self.budget)[2] / 1e9))
        theirs, count, slices = (min(column) for column in zip(*rows))
        return theirs / max(count, slices)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modes", nargs="+", choices=["identity", "prompt", "speed", "worst", "fuzz", "all"])
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True)
    parser.add_argument("--tables", type=pathlib.Path, required=True)
    parser.add_argument("--bench", type=pathlib.Path, required=True)
    parser.add_argument("--texts", type=pathlib.Path, action="append", default=[],
                        help="directories with more text, such as unpacked packages (see tokenizer_texts.py)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=300, help="of fuzz and worst")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--budget", type=int, default=256, help="steps of a slice")
    options = parser.parse_args()
    if not options.bench.is_file():
        sys.exit(f"missing: {options.bench}; build it with scripts/build_release.sh --product token-bench")
    for name in CODES:
        if not (options.tables / f"{name}.tokens").is_file():
            sys.exit(f"missing: {options.tables}/{name}.tokens; build it with tollgate tokenizer build")
    check = Check(options)
    modes = {"identity", "speed", "worst"} if "all" in options.modes else set(options.modes)
    if "identity" in modes:
        check.identity(options.texts)
    if "prompt" in modes:
        check.prompts(options.texts)
    if "speed" in modes:
        check.speed(options.texts, options.repeats)
    if "worst" in modes:
        check.worst(options.seconds, options.repeats)
    if "fuzz" in modes:
        check.fuzz(options.seconds)
    sys.exit(1 if check.failures else 0)


if __name__ == "__main__":
    main()
