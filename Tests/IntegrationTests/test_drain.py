"""A server that goes away fails nobody, and one that must go at once loses nothing it knows."""
import http.client
import json
import os
import signal
import socket
import time

import pytest

from harness import Mock, Process, Serve, free_port, http as ask, reachable, wait_until
from wire_tools import HAProxy, chat, connect, load, raw_request


class On(Serve):
    """A proxy on a port that was chosen before, so that it can be started again in the same place."""

    def __init__(self, dev, port, **env):
        self.chosen = port
        super().__init__(dev, port=port, ACCESS_LOG="off", **env)


@pytest.mark.parametrize("check", [True, False], ids=["health checks", "refused connections only"])
def test_two_instances_behind_haproxy_lose_no_request(dev, tmp_path, settled, check):
    """CONTRACT: SIGTERM under load, one instance after the other, and every client request is answered."""
    user = f"drain-{check}"
    key = dev.account(user, 1_000_000)
    mock = Mock(tmp_path)
    env = {"OPENAI_BASE_URL": mock.url + "/v1", "SHUTDOWN_DELAY_SECONDS": "2" if check else "0"}
    ports = [free_port(), free_port()]
    servers = [On(dev, port, **env) for port in ports]
    front = HAProxy(tmp_path, ports, check)
    done, failed, connections = [], [], {}

    def run(index):
        stream = index % 2 == 0
        text = "hi [[mock tokens=20 tps=200]]" if stream else "hi"
        try:
            connection = connections.get(index) or http.client.HTTPConnection("127.0.0.1", front.port, timeout=30)
            connections[index] = connection
            connection.request("POST", "/v1/chat/completions", json.dumps(chat(stream, text)),
                               {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
            reply = connection.getresponse()
            body = reply.read()
            whole = b"[DONE]" in body if stream else b'"usage"' in body
            (done if reply.status == 200 and whole else failed).append((reply.status, body[-500:]))
        except (OSError, http.client.HTTPException) as error:
            connections.pop(index, None)
            failed.append((index, repr(error)))

    try:
        with load(run, 6):
            time.sleep(1)
            for index, port in enumerate(ports):
                assert servers[index].stop() == 0
                servers[index] = On(dev, port, **env)
                time.sleep(1)
        # The debug build may need more than 100 ms for a hold on a busy machine, and then says 503: no lost request.
        slow = [f for f in failed if f[0] == 503 and b"holds_unavailable" in f[1] and b"(deadline)" in f[1]]
        assert failed == slow, failed[:5]
        assert len(done) > 50
        assert len(settled(user, len(done), 30)) == len(done) == len(mock.log())
    finally:
        front.stop()
        for server in servers:
            server.stop()
        mock.stop()


def test_what_runs_ends_and_nothing_new_begins(dev, tmp_path, settled):
    key = dev.account("drain-stream", 1000)
    with connect_to(dev, tmp_path) as (serve, mock):
        running = connect(serve.port)
        running.sendall(raw_request(key, chat(True, "hi [[mock tokens=150 tps=15]]")))
        assert running.recv(64).startswith(b"HTTP/1.1 200")
        serve.process.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not reachable(serve.port), 5, "the listener closes")
        assert ask("GET", f"http://127.0.0.1:{serve.ops}/ready")[0] == 503
        rest = b""
        while piece := running.recv(65536):
            rest += piece
        assert rest.endswith(b"0\r\n\r\n") and b"[DONE]" in rest
        assert serve.process.child.wait(20) == 0
        (row,) = settled("drain-stream", 1)
        assert not row["estimated"]


def test_readiness_goes_first(dev, tmp_path):
    with connect_to(dev, tmp_path, SHUTDOWN_DELAY_SECONDS="10") as (serve, _):
        serve.process.child.send_signal(signal.SIGTERM)
        status, headers, body = wait_until(
            lambda: (got := ask("GET", serve.root + "/api/ready"))[0] == 503 and got, 5, "not ready")
        assert json.loads(body)["checks"]["not_draining"] == "unavailable" and headers["connection"] == "close"
        assert ask("GET", serve.root + "/api/health")[0] == 200, "everything is still served"
        assert serve.process.child.wait(40) == 0


def test_a_second_signal_ends_it_at_once_and_settles_what_is_known(dev, tmp_path, settled):
    key = dev.account("drain-now", 1000)
    with connect_to(dev, tmp_path, SHUTDOWN_TIMEOUT_SECONDS="600") as (serve, mock):
        hanging = connect(serve.port)
        hanging.sendall(raw_request(key, chat(True, "hi [[mock tokens=10 fault=stall after=4]]")))
        seen = b""
        while seen.count(b"data: ") < 4:
            seen += hanging.recv(65536)
        serve.process.child.send_signal(signal.SIGTERM)
        wait_until(lambda: not reachable(serve.port), 5, "the listener closes")
        assert serve.process.child.poll() is None, "the stream still hangs"
        began = time.monotonic()
        serve.process.child.send_signal(signal.SIGTERM)
        assert serve.process.child.wait(10) == 0 and time.monotonic() - began < 8
        (row,) = settled("drain-now", 1)
        assert row["estimated"] and row["output"] > 0


@pytest.mark.parametrize("again", [False, True], ids=["waits", "a second signal"])
def test_a_hold_store_that_is_gone_is_waited_for_but_not_for_long(dev, tmp_path, settled, again):
    """The ledger has it all. A Redis that fails over gets ten seconds, and the log says what it was not told."""
    port, user = free_port(), f"drain-store-{again}"
    store = Process(
        ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path], os.environ.copy(),
        tmp_path / "redis.log")
    wait_until(lambda: reachable(port), 10, "redis-server")
    key = dev.account(user, 1000)
    try:
        with connect_to(dev, tmp_path, REDIS_URL=f"redis://127.0.0.1:{port}") as (serve, _):
            running = connect(serve.port)
            running.sendall(raw_request(key, chat(True, "hi [[mock tokens=20 tps=20]]")))
            assert running.recv(64).startswith(b"HTTP/1.1 200")
            store.child.kill()
            serve.process.child.send_signal(signal.SIGTERM)
            began = time.monotonic()
            settled(user, 1)
            if again:
                began = time.monotonic()
                serve.process.child.send_signal(signal.SIGTERM)
            assert serve.process.child.wait(40) == 0
            waited = time.monotonic() - began
            assert waited < 6 if again else 8 < waited < 25
            assert again or "hold store not told of settled holds" in serve.process.output()
    finally:
        store.stop()


@pytest.mark.parametrize("taken", ["LISTEN", "OPS_LISTEN"])
def test_a_port_that_is_taken_ends_it_in_order(dev, taken):
    """One part that fails stops the others as SIGTERM would; the exit code says that it was not."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        ports = {"LISTEN": free_port(), "OPS_LISTEN": free_port()} | {taken: other.getsockname()[1]}
        began = time.monotonic()
        done = dev.cli("serve", check=False, **{name: f"127.0.0.1:{port}" for name, port in ports.items()})
        assert done.returncode == 1 and time.monotonic() - began < 30
        assert "in use" in done.stderr and "not told" not in done.stderr
        assert '"listening"' not in done.stderr, "it never was ready"


class connect_to:
    """A proxy with a mock of its own, ended in any case."""

    def __init__(self, dev, directory, **env):
        self.mock = Mock(directory)
        self.serve = Serve(dev, OPENAI_BASE_URL=self.mock.url + "/v1", ACCESS_LOG="off", **env)

    def __enter__(self):
        return self.serve, self.mock

    def __exit__(self, *_):
        if self.serve.process.child.poll() is None:
            self.serve.process.child.kill()
            self.serve.process.child.wait()
        self.mock.stop()
