#!/usr/bin/env python3
"""Compares what each target declares in Package.swift with what its files import, and both with the arrows of
docs/ARCHITECTURE.md.

Fails on a dependency that no file of the target imports, on an import that the target does not declare (it would
compile today, by accident of another target's dependencies), and on an import against the arrows.
"""
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Part of every toolchain; nobody declares them.
TOOLCHAIN = {
    "Swift", "Foundation", "FoundationEssentials", "FoundationNetworking", "Glibc", "Musl", "Dispatch",
    "Synchronization", "Testing", "_Concurrency",
}

# Who may import whom. The executables may import every target; test targets are not bound.
CORE = "Metering"
# The machines of the money path lie between the core and those who run them.
MACHINES = "MoneyPath"
RUNS_MACHINES = {"RedisHolds", "Settlement", "LedgerSim"}
# What money in is decided by, and the ports between those who carry it out.
BILLING = "Billing"
BILLS = {"StripeAPI", "Payments", "PostgresLedger", "ControlPlane", "StatementPDF"}
# Stripe's API is what payments are made of, not a peer of them.
MORE_ARROWS = {("Payments", "StripeAPI")}
EXECUTABLE = "Tollgate"
OWN_C_LIBRARY = {"CHiredis": {"RedisHolds"}, "CLibpq": {"PostgresLedger"}, "CMalloc": {"Proxy"}, "COpenSSL": {"ControlPlane", "Proxy"},
    "CCurl": {"StripeAPI"}, "CPango": {"StatementPDF"}}
ONLY_IN = [
    (re.compile(r"Hummingbird\w*"), {"ControlPlane", "MockStripe", EXECUTABLE}),
    (re.compile(r"Mustache|JWTKit"), {"ControlPlane"}),
    (re.compile(r"Yams"), {"RateCards", "LoadBench", EXECUTABLE}),
    (re.compile(r"ArgumentParser"), {EXECUTABLE, "mock-openai", "mock-stripe", "ledgersim", "tollgate-bench"}),
    (re.compile(r"Histogram"), {"LoadBench"}),
]
NEVER_IN = {
    # Pure: values in, values out.
    CORE: re.compile(r"NIO\w*|Foundation\w*|Glibc|Musl|Dispatch|Synchronization|Logging|C[A-Z]\w*"),
    BILLING: re.compile(r"NIO\w*|Foundation\w*|Glibc|Musl|Dispatch|Synchronization|Logging|C[A-Z]\w*"),
    MACHINES: re.compile(r"NIO\w*|Foundation\w*|Glibc|Musl|Dispatch|Synchronization|Logging|C[A-Z]\w*"),
    "LedgerSim": re.compile(r"NIO\w*|Foundation\w*|Glibc|Musl|Dispatch|Synchronization|Logging|C[A-Z]\w*"),
    # Bytes on event loops.
    "Proxy": re.compile(r"Foundation\w*|Hummingbird\w*|Dispatch"),
    "RedisHolds": re.compile(r"Foundation\w*|Dispatch"),
}

IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+"
    r"(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?(\w+)",
    re.MULTILINE)
TEXT_LITERAL = re.compile(r'"""\n.*?"""', re.DOTALL)


def module_of(name):
    """SwiftPM's module name of a target: `mock-openai` is imported as `mock_openai`."""
    return re.sub(r"\W", "_", name)


def declared(target):
    """The names of a target's dependencies: products and targets alike."""
    names = set()
    for dependency in target["dependencies"]:
        (value,) = dependency.values()
        names.add(value[0])
    return names


def imports(target):
    """module -> the first place that imports it"""
    found = {}
    kind = "Tests" if target["type"] == "test" else "Sources"
    folder = ROOT / (target.get("path") or f"{kind}/{target['name']}")
    for path in sorted(folder.rglob("*.swift")):
        # A text literal may hold an example in another language; only its line breaks count here.
        text = TEXT_LITERAL.sub(lambda match: "\n" * match.group().count("\n"), path.read_text())
        for match in IMPORT.finditer(text):
            line = text.count("\n", 0, match.start(1)) + 1
            found.setdefault(match.group(1), f"{path.relative_to(ROOT)}:{line}")
    return found


def check_declarations(target, found, executables):
    names = declared(target)
    modules = {module_of(name) for name in names}
    for name in sorted(names):
        # A test may need an executable to be built without importing it.
        if module_of(name) not in found and not (target["type"] == "test" and name in executables):
            yield f"Package.swift: {target['name']} declares {name}, but none of its files imports it"
    for module, place in sorted(found.items()):
        if module not in modules | TOOLCHAIN and module != module_of(target["name"]):
            yield f"{place}: imports {module}, which {target['name']} does not declare in Package.swift"


def check_arrows(target, found, targets):
    name = target["name"]
    local = {module_of(t["name"]): t["name"] for t in targets}
    for module, place in sorted(found.items()):
        forbidden = NEVER_IN.get(name)
        if forbidden and forbidden.fullmatch(module):
            yield f"{place}: {name} must not import {module}"
        for pattern, allowed in ONLY_IN:
            if pattern.fullmatch(module) and name not in allowed:
                yield f"{place}: only {', '.join(sorted(allowed))} may import {module}, not {name}"
        if module in OWN_C_LIBRARY:
            if name not in OWN_C_LIBRARY[module]:
                yield f"{place}: only {', '.join(OWN_C_LIBRARY[module])} may import {module}, not {name}"
        elif module == MACHINES and name in RUNS_MACHINES or module == BILLING and name in BILLS:
            continue
        elif (name, module) in MORE_ARROWS:
            continue
        elif module in local and target["type"] == "regular" and module != CORE:
            yield f"{place}: {name} imports its peer {module}; peers meet in the ports of {CORE}"
        elif local.get(module) == EXECUTABLE:
            yield f"{place}: nobody imports {EXECUTABLE}"


def main():
    dump = subprocess.run(
        ["swift", "package", "dump-package"], cwd=ROOT, check=True, capture_output=True, text=True)
    targets = json.loads(dump.stdout)["targets"]
    executables = {t["name"] for t in targets if t["type"] == "executable"}
    problems = []
    for target in targets:
        if target["type"] == "system":
            continue
        found = imports(target)
        problems += check_declarations(target, found, executables)
        if target["type"] != "test":
            problems += check_arrows(target, found, targets)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    print(f"{len(targets)} targets: every dependency is used, every import is declared, no arrow is broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
