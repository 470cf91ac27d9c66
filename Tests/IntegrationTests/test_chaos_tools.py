"""The tools of the crash tests themselves: a relay that breaks what it should, a checker that finds what it is for."""
import os
import socket
import subprocess
import sys
import threading
import time
import types

import pytest

from chaos import checker, scenarios
from chaos.load import Account, Exchange
from chaos.relay import Relay
from chaos.runner import Chaos
from harness import ROOT, wait_until


class Server:
    """Answers each line with what it counts so far; remembers the lines."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.lines = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        try:
            with peer, peer.makefile("rwb") as file:
                for line in file:
                    self.lines.append(line)
                    file.write(b"%d\n" % len(self.lines))
                    file.flush()
        except OSError:
            pass


@pytest.fixture
def server():
    made = Server()
    yield made
    made.socket.close()


@pytest.fixture
def relay(server):
    made = Relay(server.port, 2)
    yield made
    made.stop()


class Client:
    def __init__(self, relay, lane=0):
        self.socket = socket.create_connection(("127.0.0.1", relay.ports[lane]), 5)
        self.file = self.socket.makefile("rb")

    def say(self, text):
        self.socket.sendall(text + b"\n")

    def ask(self, text):
        self.say(text)
        return self.file.readline()

    def hears_nothing(self, seconds=0.15):
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(100) and False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5)


def test_a_dropped_reply_is_one_of_a_command_that_was_executed(relay, server):
    client, other = Client(relay), Client(relay)
    assert client.ask(b"one") == b"1\n"
    relay.drop_replies(1, match="two")
    with pytest.raises(ConnectionResetError):
        client.ask(b"two")
    assert server.lines == [b"one\n", b"two\n"]
    assert other.ask(b"two again") == b"3\n"
    assert relay.faults() == {"dropped replies": 1}


def test_a_stall_holds_one_way_of_one_lane_and_loses_nothing(relay, server):
    stalled, free = Client(relay, 0), Client(relay, 1)
    assert stalled.ask(b"a") == b"1\n" and free.ask(b"b") == b"2\n"
    assert relay.stall("to_client", lanes=[0]) == 1
    stalled.say(b"c")
    wait_until(lambda: len(server.lines) == 3, 5, "it was executed")
    assert stalled.hears_nothing() and free.ask(b"d") == b"4\n"
    relay.heal([0])
    assert stalled.file.readline() == b"3\n"
    relay.stall("to_server", only="a")
    stalled.say(b"e")
    assert free.ask(b"f") == b"5\n" and server.lines[-1] == b"f\n"
    stalled.socket.close()
    relay.heal()
    wait_until(lambda: server.lines[-1] == b"e\n", 5, "a late command of a client that is gone arrives")


def test_lanes_can_lead_to_different_servers(relay, server):
    elsewhere = Server()
    try:
        stays, goes = Client(relay, 0), Client(relay, 1)
        assert stays.ask(b"a") == b"1\n" and goes.ask(b"b") == b"2\n"
        relay.retarget(elsewhere.port, lanes=[1])
        assert goes.ask(b"c") == b"3\n", "an open connection stays where it is"
        assert Client(relay, 0).ask(b"d") == b"4\n" and Client(relay, 1).ask(b"e") == b"1\n"
        relay.retarget(elsewhere.port)
        assert Client(relay, 0).ask(b"f") == b"2\n"
        assert elsewhere.lines == [b"e\n", b"f\n"]
    finally:
        elsewhere.socket.close()


def test_connections_are_cut_refused_and_cut_in_mid_reply(relay):
    client = Client(relay)
    assert client.ask(b"x") == b"1\n"
    assert relay.cut(rst=False) == 1
    assert client.file.readline() == b""
    relay.refuse([0])
    with pytest.raises(OSError):
        Client(relay, 0).ask(b"y")
    assert Client(relay, 1).ask(b"z") == b"2\n"
    relay.heal()
    client = Client(relay)
    assert client.ask(b"x") == b"3\n"
    relay.cut_after(1)
    with pytest.raises(ConnectionResetError):
        assert client.ask(b"x") == b"4"
        client.file.readline()


def test_accidents_follow_from_the_seed(server):
    """The same connections, in the same order, have the same accidents."""
    counts = []
    for _ in range(2):
        relay = Relay(server.port, 1)
        relay.random_faults(50, seed=7)
        clients = [Client(relay) for _ in range(12)]
        end = time.monotonic() + 20
        while time.monotonic() < end and sum(relay.faults().values()) < len(clients):
            for client in clients:
                try:
                    client.ask(b"x" * 10)
                except OSError:
                    pass
        counts.append(relay.faults())
        relay.stop()
    assert counts[0] == counts[1] and sum(counts[0].values()) == 12


class Ledger:
    """What the checker asks Postgres, answered from lists."""

    def __init__(self, rows, balance, lowest=0):
        self.rows, self.balance, self.lowest = rows, balance, lowest
        self.postgres = self

    def query(self, text, *_):
        if "usage_effective" in text:
            return self.rows
        return [[self.balance if "credit_balance" in text else self.lowest]]


USAGE = {"prompt_tokens": 100, "completion_tokens": 50}  # gpt-4o-mini × 2: 30 + 60 millicredits


def exchange(account, hold="h", **more):
    made = Exchange(0, account, 0, True, 50, 60, 10, 0.0, body_bytes=300, ended=1.0, is_sent=True, hold=hold, held=200)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def check(exchanges, rows, granted=1000, balance=None, lowest=0, **options):
    account = exchanges[0].account
    account.granted = granted
    charged = sum(row[2] for row in rows)
    ledger = Ledger(rows, granted - charged if balance is None else balance, lowest)
    found = checker.check(ledger, [account], exchanges, **options)
    return types.SimpleNamespace(lost=found.lost, doubled=found.doubled, overspent=found.overspent)


@pytest.fixture
def account(monkeypatch):
    monkeypatch.setattr(checker.time, "sleep", lambda _: None)
    return Account("u", 1, 1000, False)


@pytest.mark.parametrize("charge, lost, doubled", [(90, 0, 0), (89, 1, 0), (91, 0, 1), (180, 0, 1), (None, 1, 0)])
def test_a_complete_reply_is_charged_exactly(account, charge, lost, doubled):
    rows = [] if charge is None else [(1, "h", charge, 50)]
    found = check([exchange(account, result="complete", status=200, usage=USAGE, deltas=50)], rows)
    assert (found.lost, found.doubled, found.overspent) == (lost, doubled, 0)


@pytest.mark.parametrize("charge, output, lost, doubled", [
    (150, 40, 0, 0), (201, 40, 0, 1), (0, 0, 1, 0), (60, 5, 1, 0)])
def test_a_cut_reply_is_charged_for_what_was_seen_and_no_more_than_held(account, charge, output, lost, doubled):
    found = check([exchange(account, result="cut", status=200, deltas=40)], [(1, "h", charge, output)])
    assert (found.lost, found.doubled) == (lost, doubled)


def test_a_refusal_costs_nothing_and_an_unknown_hold_needs_somebody_who_asked(account):
    refused = exchange(account, result="refused", status=402)
    assert check([refused], []).doubled == 0
    assert check([refused], [(1, "h", 5, 1)]).doubled == 1
    assert check([refused], [(1, "other", 5, 1)]).doubled == 1
    headless = exchange(account, hold=None, held=None, result="cut")
    assert check([headless], [(1, "other", 5, 1)]).doubled == 0
    assert check([headless], [(1, "other", 5, 1), (1, "another", 5, 1)]).doubled == 1


def test_a_balance_that_charges_do_not_explain_is_seen(account):
    whole = exchange(account, result="complete", status=200, usage=USAGE, deltas=50)
    assert check([whole], [(1, "h", 90, 50)], balance=911).lost == 1
    assert check([whole], [(1, "h", 90, 50)], balance=820).doubled == 1


def test_below_zero_is_overspent_beyond_what_was_declared(account):
    whole = exchange(account, result="complete", status=200, usage=USAGE, deltas=50, held=80)
    rows = [(1, "h", 90, 50)]
    assert check([whole], rows, granted=80, lowest=-10).overspent == 0, "10 above the hold"
    assert check([whole], rows, granted=60, lowest=-30).overspent == 20
    account.over_admission = 15
    assert check([whole], rows, granted=60, lowest=-30).overspent == 5


def test_what_was_lost_with_a_disk_is_held_to_the_rule_of_the_cut(account):
    whole = exchange(account, result="complete", status=200, usage=USAGE, deltas=50)
    assert check([whole], [(1, "h", 33, 0)]).lost == 1
    assert check([whole], [(1, "h", 33, 0)], excuses=[(0, 0.9, 1.1)]).lost == 0
    assert check([whole], [(1, "h", 33, 0)], excuses=[(1, 0.9, 1.1)]).lost == 1


@pytest.mark.parametrize("only, word", [
    ("nothing of this name", "'nothing of this name'"), ("Redis, Rediss", "'Rediss'"), ("kill -9,zzz,yyy", "'zzz' or 'yyy'")])
def test_a_word_that_no_scenario_has_is_an_error_that_names_them(only, word):
    with pytest.raises(ValueError) as problem:
        Chaos(1, only=only)
    assert word in str(problem.value)
    assert all(scenario.name in str(problem.value) for scenario in scenarios.ALL)


@pytest.mark.parametrize("only", ["", ",", " "])
def test_no_word_is_every_scenario(only):
    assert Chaos(1, only=only).chosen == scenarios.ALL


def test_words_choose_scenarios():
    names = [scenario.name for scenario in Chaos(1, only=" FLUSHALL, SIGSTOP").chosen]
    assert len(names) == 2 and "Redis FLUSHALL" in names and names[0].startswith("SIGSTOP")


def test_the_long_form_says_so_at_once():
    done = subprocess.run(
        [sys.executable, "-m", "chaos", "--only", "nothing of this name"], cwd=ROOT / "Tests/IntegrationTests",
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "Redis FLUSHALL" in done.stderr and "Traceback" not in done.stderr, done.stderr
