#!/usr/bin/env python3
"""Checks docs/KNOWN_FAILURES.md: no row is missing or there twice, and every test that it names exists. Exit 1 if not."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
ROWS = {str(number) for number in range(1, 59)} | {f"L{number}" for number in range(1, 10)} | {
    "4b", "17b", "23b", "23c", "34b", "41b", "41c", "49b", "49c"}
PYTHON = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
SWIFT = re.compile(r"`([A-Z]\w+)\.([a-z]\w+)`")


def exists_in_python(file, test):
    path = ROOT / "Tests" / "IntegrationTests" / file
    return path.is_file() and re.search(rf"^(async )?def {test}\(", path.read_text(), re.MULTILINE) is not None


def exists_in_swift(suite, test, sources):
    """The test stands in a file that declares the suite or extends it."""
    opens = re.compile(rf"\b(struct|class|actor|extension|enum) {suite}\b")
    function = re.compile(rf"\bfunc {test}\(")
    return any(opens.search(text) and function.search(text) for text in sources)


def main():
    text = (ROOT / "docs" / "KNOWN_FAILURES.md").read_text()
    sources = [path.read_text() for path in (ROOT / "Tests").rglob("*.swift")]
    wrong, seen = [], []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("row", "---"):
            continue
        row, tests = cells[0], cells[-1]
        seen.append(row)
        named = PYTHON.findall(tests), SWIFT.findall(tests)
        if not any(named):
            wrong.append(f"row {row} names no test")
        wrong += [f"row {row}: there is no {file}::{test}" for file, test in named[0] if not exists_in_python(file, test)]
        wrong += [
            f"row {row}: there is no {suite}.{test}" for suite, test in named[1]
            if not exists_in_swift(suite, test, sources)]
    wrong += [f"row {row} is missing" for row in sorted(ROWS - set(seen))]
    wrong += [f"row {row} is there twice, or unknown" for row in seen if seen.count(row) > 1 or row not in ROWS]
    for fault in wrong:
        print(f"docs/KNOWN_FAILURES.md: {fault}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
