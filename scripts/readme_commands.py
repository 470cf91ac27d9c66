#!/usr/bin/env python3
"""Runs the commands that README.md and docs/OPERATIONS.md show, as a reader would, and fails on the first that does not
work.

Every ```sh block must say in the line before it what is to happen with it: `<!-- run -->`, or
`<!-- norun: reason -->`. Blocks of other languages are not commands, but a ```python block that is marked
`<!-- run -->` runs too. They run in a throw-away copy of the project that shares `.build`, while
`tollgate dev` (the debug build) runs in that copy; a reply with an HTTP error status counts as a failure of curl. Blocks of
docs/OPERATIONS.md have the environment of that deployment, with `tollgate` in PATH, as an operator has them.

Usage: scripts/readme_commands.py [--check] [FILE …]     --check: only that every block is marked. Needs `make test` before.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"(?:^<!--[ ]*(?P<mark>run|norun:[ ]*\S[^\n]*?)[ ]*-->\n)?^```(?P<language>[a-z]+)\n(?P<text>.*?)^```[ ]*$",
    re.MULTILINE | re.DOTALL)
FILES = ("README.md", "docs/OPERATIONS.md")
OPERATIONS = "docs/OPERATIONS.md"
READY_SECONDS = 120
BLOCK_SECONDS = 300


class Failed(Exception):
    pass


def blocks(name):
    """(file, line, language, commands) of every block to run; fails on a shell block without a mark."""
    text = (ROOT / name).read_text()
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text")) + 1
        mark, language = match.group("mark"), match.group("language")
        if language == "sh" and mark is None:
            raise Failed(f"{name}:{line}: mark this block with <!-- run --> or <!-- norun: reason -->")
        if mark == "run":
            if language not in ("sh", "python"):
                raise Failed(f"{name}:{line}: cannot run a block of {language}")
            yield name, line, language, match.group("text")


def copy_project(copy):
    """What git would hand to a reader, with uncommitted edits; `.build` is shared."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
        capture_output=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".build").symlink_to(ROOT / ".build")


def start_dev(copy, environment):
    log = open(copy / "dev.log", "wb")
    child = subprocess.Popen(
        [ROOT / ".build" / "debug" / "tollgate", "dev", "--port", "0"], cwd=copy, env=environment,
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    end = time.monotonic() + READY_SECONDS
    while not (copy / "var/dev/dev.json").exists():
        if child.poll() is not None or time.monotonic() > end:
            stop(child)
            raise Failed("tollgate dev did not get ready:\n" + (copy / "dev.log").read_text(errors="replace"))
        time.sleep(0.1)
    return child


def stop(child):
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise Failed("tollgate dev did not stop within 60 s of Ctrl-C") from None
    return child.returncode


def deployment(copy):
    """What /etc/tollgate/tollgate.env would say of the stack that runs in the copy."""
    facts = json.loads((copy / "var/dev/dev.json").read_text())
    secrets = json.loads((copy / "var/dev/secrets.json").read_text())
    root = facts["baseURL"].removesuffix("/v1")
    return {
        "PATH": f"{ROOT}/.build/debug:{os.environ['PATH']}", "PUBLIC_URL": root, "LISTEN": root.removeprefix("http://"),
        "DATABASE_URL": facts["databaseURL"], "REDIS_URL": facts["redisURL"], "ADMIN_TOKEN": facts["adminToken"],
        "KEY_PEPPER": facts["keyPepper"], "SESSION_SECRET": secrets["sessionSecret"], "SERVICE_KEY": facts["serviceKey"],
        "OPENAI_API_KEY": "sk-mock", "OPENAI_BASE_URL": facts["upstreamURL"], "STRIPE_SECRET_KEY": "sk_test_mock",
        "STRIPE_WEBHOOK_SECRET": facts["stripeWebhookSecret"], "STRIPE_API_BASE": facts["stripeURL"],
        "OPS_URL": facts["opsURL"], "JOURNAL_DIR": "var/dev/journal"}


def run(copy, environment, name, line, language, text):
    if language == "sh":
        # The trap names the command that failed.
        trap = "trap 'printf \"failed: %s\\n\" \"$BASH_COMMAND\" >&2' ERR\n"
        command = ["bash", "-euE", "-o", "pipefail", "-c", trap + text]
    else:
        command = [ROOT / ".build/venv/bin/python", "-c", text]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=BLOCK_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{name}:{line}: did not end within {BLOCK_SECONDS} s:\n{text}\n{error.output}") from None
    if done.returncode != 0:
        raise Failed(f"{name}:{line}: exit {done.returncode} of\n{text}\n{done.stdout}")
    print(f"{name}:{line}: ok")


def main():
    arguments = sys.argv[1:]
    only_check = arguments[:1] == ["--check"]
    names = arguments[only_check:] or FILES
    found = [block for name in names for block in blocks(name)]
    if only_check:
        print(f"{len(found)} blocks to run in {', '.join(names)}")
        return
    copy = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-readme-"))
    copy.chmod(0o755)  # The user that Postgres runs as must be able to enter it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "DATABASE_", "REDIS_"))}
    environment["CURL_HOME"] = str(copy)
    try:
        copy_project(copy)
        (copy / ".curlrc").write_text("fail-with-body\n")
        child = start_dev(copy, environment)
        try:
            operator = {**environment, **deployment(copy)}
            for block in found:
                run(copy, operator if block[0] == OPERATIONS else environment, *block)
        finally:
            code = stop(child)
        if code != 0:
            raise Failed(f"tollgate dev exited {code}:\n" + (copy / "dev.log").read_text(errors="replace")[-4000:])
        print(f"{len(found)} blocks ran")
    finally:
        shutil.rmtree(copy, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)
