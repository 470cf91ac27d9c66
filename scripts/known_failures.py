#!/usr/bin/env python3
"""Checks docs/KNOWN_FAILURES.md, where no row is missing or there twice, and docs/THREAT_MODEL.md: each row names a test, and
every test that is named exists. Exit 1 if not."""
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


def faults_of_tests(name, tests, sources):
    """What is wrong with the tests that one row names."""
    python, swift = PYTHON.findall(tests), SWIFT.findall(tests)
    if not python and not swift:
        yield f"{name} names no test"
    yield from (f"{name}: there is no {file}::{test}" for file, test in python if not exists_in_python(file, test))
    yield from (
        f"{name}: there is no {suite}.{test}" for suite, test in swift if not exists_in_swift(suite, test, sources))


def rows(document):
    for line in (ROOT / "docs" / document).read_text().splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def known_failures(sources):
    seen = []
    for cells in rows("KNOWN_FAILURES.md"):
        if cells[0] in ("row", "---"):
            continue
        seen.append(cells[0])
        yield from faults_of_tests(f"row {cells[0]}", cells[-1], sources)
    yield from (f"row {row} is missing" for row in sorted(ROWS - set(seen)))
    yield from (f"row {row} is there twice, or unknown" for row in seen if seen.count(row) > 1 or row not in ROWS)


def threats(sources):
    """Rows of the tables of threats begin with a letter of STRIDE."""
    found = [cells for cells in rows("THREAT_MODEL.md") if len(cells) == 4 and cells[0] in tuple("STRIDE")]
    for cells in found:
        yield from faults_of_tests(f"'{cells[1]}'", cells[-1], sources)
    if set("STRIDE") - {cells[0] for cells in found}:
        yield "a letter of STRIDE has no threat"


def main():
    sources = [path.read_text() for path in (ROOT / "Tests").rglob("*.swift")]
    wrong = [f"docs/KNOWN_FAILURES.md: {fault}" for fault in known_failures(sources)]
    wrong += [f"docs/THREAT_MODEL.md: {fault}" for fault in threats(sources)]
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
