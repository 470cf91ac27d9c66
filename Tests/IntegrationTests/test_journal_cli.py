"""`tollgate journal` and the journal's part of `tollgate verify`: what an operator does when a disk lied."""
import json
import pathlib
import re
import signal

import pytest

from harness import Serve, patient_http, wait_until

SEGMENT = "0000000000000001.seg"
# Behind the head of the segment and the note with which a journal begins.
FIRST = 96


def chat(base, key, tokens=5):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Hi [[mock tokens={tokens}]]"}]}
    status, headers, _ = patient_http("POST", base + "/chat/completions", body, {"Authorization": f"Bearer {key}"})
    assert status == 200
    return headers["x-tollgate-request-id"]


def listed(dev, directory):
    lines = dev.cli("journal", "list", "--dir", directory).stdout.splitlines()
    names = lines[0].split("\t")
    return [dict(zip(names, line.split("\t"))) for line in lines[1:]]


class Ended:
    """A proxy that served some requests and was killed, with its journal."""

    def __init__(self, dev, directory, user, requests=3, posted=True):
        self.directory = pathlib.Path(directory)
        key = dev.account(user, credits=1_000)
        serve = Serve(dev, JOURNAL_DIR=str(self.directory))
        try:
            self.holds = [chat(serve.base, key) for _ in range(requests)]
            (self.boot,) = (line["boot"] for line in listed(dev, self.directory))
            if posted:
                wait_until(lambda: listed(dev, self.directory)[0]["unacknowledged"] == "0", 15, "ACK")
            self.live = listed(dev, self.directory)[0]
        finally:
            serve.process.child.send_signal(signal.SIGKILL)
            serve.process.child.wait()
            serve.process.file.close()

    def flip(self, offset):
        path = self.directory / self.boot / SEGMENT
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))


def test_help_names_every_command_and_invariant(dev):
    text = dev.cli("journal", "--help").stdout
    for name in ("list", "check", "show", "salvage"):
        assert name in text
        assert "USAGE" in dev.cli("journal", name, "--help").stdout
    text = dev.cli("verify", "--help").stdout
    for name in [f"I{n}" for n in range(1, 10)] + [f"R{n}" for n in range(1, 7)]:
        assert re.search(rf"^\s+{name}\s", text, re.MULTILINE), name


def test_a_journal_from_its_process_to_its_recovery(dev, tmp_path):
    ended = Ended(dev, tmp_path / "j", "journal-life")
    assert ended.live["state"] == "live" and ended.live["damage"] == "-"
    assert ended.live["outcomes"] == "3" and ended.live["open"] == "0"
    (line,) = listed(dev, ended.directory)
    assert line["state"] == "ended"
    checked = dev.cli("journal", "check", "--dir", ended.directory, ended.boot)
    assert "whole, 3 outcomes" in checked.stdout
    shown = dev.cli("journal", "show", ended.boot, "--hold", ended.holds[1], "--dir", ended.directory).stdout
    records = [line.split("\t")[1] for line in shown.splitlines()[1:]]
    assert records[0] == "OPEN" and records[-1] == "FINAL" and "posted" in shown
    assert ended.holds[0] not in shown
    other = Serve(dev, JOURNAL_DIR=str(ended.directory))
    try:
        wait_until(
            lambda: any(line["state"].startswith("recovered 2") for line in listed(dev, ended.directory)), 20,
            "recovery")
    finally:
        assert other.stop() == 0


def test_what_does_not_exist_is_told_by_its_name(dev, tmp_path):
    boot = "01930000-0000-7000-8000-000000000001"
    done = dev.cli("journal", "list", "--dir", tmp_path / "none", check=False)
    assert done.returncode == 78 and str(tmp_path / "none") in done.stderr
    for command in (["check", boot], ["show", boot, "--hold", boot], ["salvage", boot]):
        done = dev.cli("journal", *command, "--dir", tmp_path, check=False)
        assert done.returncode == 64 and boot in done.stderr, command
    assert dev.cli("journal", "check", "no-boot", "--dir", tmp_path, check=False).returncode == 64
    assert dev.cli("journal", "list", "--dir", tmp_path).stdout.count("\n") == 1


def test_a_damaged_journal_is_refused_salvaged_and_taken_over(dev, tmp_path, sql):
    ended = Ended(dev, tmp_path / "j", "journal-salvage")
    ended.flip(FIRST + 50)
    (line,) = listed(dev, ended.directory)
    assert f"offset {FIRST}" in line["damage"]
    checked = dev.cli("journal", "check", "--dir", ended.directory, check=False)
    assert checked.returncode == 1 and f"{ended.boot}/{SEGMENT}, offset {FIRST}" in checked.stdout
    verified = dev.cli("verify", "--json", JOURNAL_DIR=str(ended.directory), check=False)
    assert verified.returncode == 1
    (finding,) = [f for f in json.loads(verified.stdout) if f["severity"] == "violation"]
    assert finding["check"] == "I9 journals can be read" and f"offset {FIRST}" in finding["rows"][0]

    salvaged = dev.cli("journal", "salvage", ended.boot, "--dir", ended.directory)
    assert f"offset {FIRST}" in salvaged.stdout and "salvaged: 3 outcomes" in salvaged.stdout
    assert (ended.directory / f"{ended.boot}.damaged" / SEGMENT).exists()
    assert dev.cli("journal", "check", "--dir", ended.directory).returncode == 0
    assert "is whole" in dev.cli("journal", "salvage", ended.boot, "--dir", ended.directory).stdout

    other = Serve(dev, JOURNAL_DIR=str(ended.directory))
    try:
        wait_until(
            lambda: [line for line in listed(dev, ended.directory) if line["state"].startswith("recovered")], 20,
            "recovery")
    finally:
        assert other.stop() == 0
    for hold in ended.holds:
        assert sql("SELECT count(*) FROM usage_events WHERE hold_id = %s", hold)[0][0] == 1
    dev.cli("verify", JOURNAL_DIR=str(ended.directory))


def test_a_journal_that_lives_is_not_salvaged(dev):
    directory = dev.directory / "dev" / "journal"
    boot = next(line["boot"] for line in listed(dev, directory) if line["state"] == "live")
    done = dev.cli("journal", "salvage", boot, "--dir", directory, check=False)
    assert done.returncode == 1 and "locked" in done.stderr


# MARK: verify

def test_verify_compares_the_journal_of_a_process_that_runs(dev, tmp_path):
    key = dev.account("verify-live", credits=1_000)
    for _ in range(3):
        chat(dev.baseURL, key)
    done = dev.cli("verify", JOURNAL_DIR=str(dev.directory / "dev" / "journal"))
    assert "verify: clean" in done.stdout
    assert "outcomes" in done.stderr and "hold store" in done.stderr


def test_verify_names_an_outcome_that_is_not_in_the_ledger(dev, tmp_path):
    """The journal of another deployment: nothing of it is here."""
    from harness import Dev
    ended = Ended(dev, tmp_path / "j", "verify-foreign")
    assert dev.cli("verify", JOURNAL_DIR=str(ended.directory)).returncode == 0
    other = Dev()
    try:
        done = other.cli("verify", "--json", JOURNAL_DIR=str(ended.directory), check=False)
        assert done.returncode == 1
        (finding,) = [f for f in json.loads(done.stdout) if f["severity"] == "violation"]
        assert set(finding) == {"check", "severity", "total", "rows"}
        assert finding["check"].startswith("I9") and finding["total"] == 3
        assert {row.split()[1] for row in finding["rows"]} == set(ended.holds)
    finally:
        assert other.stop() == 0
        other.remove()


def test_verify_goes_on_without_a_journal(dev, tmp_path):
    done = dev.cli("verify", JOURNAL_DIR=str(tmp_path / "none"))
    assert "verify: clean" in done.stdout and str(tmp_path / "none") in done.stderr


@pytest.fixture()
def quiet_account(dev, sql, redis, settled):
    """An account with one settled hold, at rest in Redis."""

    def make(user):
        key = dev.account(user, credits=1_000)
        chat(dev.baseURL, key)
        hold = settled(user, 1)[0]["hold"]
        account = sql("SELECT account_id FROM account WHERE user_id = %s", user)[0][0]
        name = f"a:{{{account}}}"
        wait_until(lambda: not [f for f in redis.hkeys(name) if f[:2] in ("h:", "u:")], 10, "POSTED")
        return account, name, hold

    return make


def findings(dev, directory):
    done = dev.cli("verify", "--json", JOURNAL_DIR=str(directory), check=False)
    return done, {(f["severity"], f["check"].split()[0]): f for f in json.loads(done.stdout)}


def test_verify_finds_a_settled_hold_that_is_left_in_redis(dev, redis, quiet_account, tmp_path):
    account, name, hold = quiet_account("verify-r5")
    redis.hset(name, f"u:{hold}", "7|left by nobody")
    redis.hincrby(name, "U", 7)
    try:
        done, found = findings(dev, tmp_path / "none")
        assert done.returncode == 1
        assert hold in found["violation", "R5"]["rows"][0]
        assert "looking again" in done.stderr
    finally:
        redis.hdel(name, f"u:{hold}")
        redis.hincrby(name, "U", -7)
    assert dev.cli("verify").returncode == 0


def test_verify_warns_of_a_negative_available_amount(dev, redis, quiet_account, tmp_path):
    account, name, _ = quiet_account("verify-r6")
    floor = redis.hget(name, "f")
    redis.hset(name, "f", "5000000000")
    try:
        done, found = findings(dev, tmp_path / "none")
        assert done.returncode == 0
        warning = found["warning", "R6"]
        # Others may owe something as well, by tests of money back that share the store.
        assert any(row.startswith(f"account {account}:") for row in warning["rows"]), warning
        assert "over-hold" in warning["check"]
    finally:
        redis.hset(name, "f", floor)


def test_verify_finds_a_wrong_balance_and_a_wrong_sum_in_redis(dev, redis, quiet_account, tmp_path):
    account, name, _ = quiet_account("verify-r3")
    redis.hincrby(name, "p", 1)
    redis.hincrby(name, "H", 1)
    try:
        done, found = findings(dev, tmp_path / "none")
        assert done.returncode == 1
        assert f"account {account} has" in found["violation", "R3"]["rows"][0]
        assert f"account {account}:" in found["violation", "R1"]["rows"][0]
    finally:
        redis.hincrby(name, "p", -1)
        redis.hincrby(name, "H", -1)
    assert dev.cli("verify").returncode == 0
