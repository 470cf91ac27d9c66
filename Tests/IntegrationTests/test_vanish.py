"""Clients that vanish over TLS, over HTTP/2, and while their hold is being placed: as over plain TCP, seen at once and
settled once. GONE=500 for the full number."""
import json
import os
import socket
import struct
import time

import h2.config
import h2.connection
import h2.events
import pytest

from harness import Serve, http, wait_until
from wire_tools import (
    TLSServe, chat, connect, descriptors, expect_descriptors_back, metrics, open_holds, raw_request, reset)

COUNT = int(os.environ.get("GONE", 40))
AT_A_TIME = 8
REQUESTS = {
    "before the first byte": chat(True, "hi [[mock ttft_ms=60000]]"),
    "in the stream": chat(True, "hi [[mock tokens=1000 tps=50]]"),
    "in a write that is stuck": chat(True, "hi [[mock tokens=30000]]"),
}


@pytest.fixture
def serve(dev, authority, mock):
    proxy = TLSServe(
        dev, authority, [authority.issue("gone", ["localhost"])], OPENAI_BASE_URL=mock.url + "/v1",
        UPSTREAM_KEEPALIVE_SECONDS="1")
    yield proxy
    assert proxy.stop() == 0


class Crowd:
    """Eight streams on one connection of HTTP/2, or on a TLS connection each."""

    def __init__(self, serve, authority, protocol):
        self.context = authority.context()
        self.context.set_alpn_protocols([protocol])
        self.port, self.socks, self.h2 = serve.port, [], None
        self.protocol = protocol

    def connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), 20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socks.append(self.context.wrap_socket(plain, server_hostname="localhost"))
        return self.socks[-1]

    def ask(self, key, body):
        if self.protocol == "http/1.1":
            for _ in range(AT_A_TIME):
                self.connect().sendall(raw_request(key, body))
            return
        sock = self.connect()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        # Only the streams' own windows hold them back.
        self.h2.increment_flow_control_window(1 << 24)
        payload = json.dumps(body).encode()
        for _ in range(AT_A_TIME):
            stream = self.h2.get_next_available_stream_id()
            self.h2.send_headers(stream, [
                (":method", "POST"), (":scheme", "https"), (":authority", "localhost"),
                (":path", "/v1/chat/completions"), ("authorization", f"Bearer {key}"),
                ("content-type", "application/json"), ("content-length", str(len(payload)))])
            self.h2.send_data(stream, payload, end_stream=True)
        sock.sendall(self.h2.data_to_send())

    def first_bytes(self):
        """Each stream has begun."""
        if not self.h2:
            for sock in self.socks:
                assert sock.recv(64)
            return
        begun = set()
        while len(begun) < AT_A_TIME:
            for event in self.h2.receive_data(self.socks[0].recv(65536)):
                if isinstance(event, h2.events.DataReceived):
                    begun.add(event.stream_id)
            if data := self.h2.data_to_send():
                self.socks[0].sendall(data)

    def leave(self, how):
        if how == "RST_STREAM":
            for stream in range(1, 2 * AT_A_TIME, 2):
                self.h2.reset_stream(stream, 8)
            self.socks[0].sendall(self.h2.data_to_send())
            return
        for sock in self.socks:
            if how == "RST":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if how == "farewell":
                sock.settimeout(0)
                try:
                    sock.unwrap()
                except OSError:
                    pass
            sock.close()

    def close(self):
        for sock in self.socks:
            sock.close()


def expect_nothing_left(mock, serve, redis, sql, user, before, count):
    wait_until(lambda: mock.stats()["open"] == 0, 20, "upstream was let go")
    wait_until(lambda: metrics(serve)["proxy_exchanges_running"] == 0, 20, "no exchange runs")
    wait_until(lambda: metrics(serve)["proxy_streams_open"] == 0, 5, "no stream is counted")
    wait_until(lambda: open_holds(redis, sql, user) == 0, 20, "no hold is open")
    expect_descriptors_back(serve.process, before)
    def rows():
        return sql("SELECT count(*), count(DISTINCT hold_id) FROM usage_events WHERE user_id = %s", user)[0]

    wait_until(lambda: rows()[0] >= len(mock.log()), 20, "all are posted")
    assert rows()[0] == rows()[1] <= count, (rows(), len(mock.log()))


@pytest.mark.parametrize("phase", REQUESTS)
@pytest.mark.parametrize("protocol, how", [
    ("http/1.1", "FIN"), ("http/1.1", "RST"), ("http/1.1", "farewell"), ("h2", "FIN"), ("h2", "RST"),
    ("h2", "RST_STREAM")])
def test_who_vanishes_over_tls_leaves_nothing_behind(
        dev, mock, serve, authority, redis, sql, phase, protocol, how):
    user = f"gone-{protocol}-{how}-{phase}".replace(" ", "-").replace("/", "-")
    key = dev.account(user, 100_000_000)
    mock.reset()
    before = descriptors(serve.process)
    crowds = []
    # Ten megabytes each, before they are stuck.
    count = COUNT if "stuck" not in phase else min(COUNT, 2 * AT_A_TIME)
    for _ in range(count // AT_A_TIME):
        crowd = Crowd(serve, authority, protocol)
        crowds.append(crowd)
        crowd.ask(key, REQUESTS[phase])
        if phase == "before the first byte":
            wait_until(lambda: mock.stats()["open"] >= AT_A_TIME, 20, "all are at upstream")
        else:
            crowd.first_bytes()
        crowd.leave(how)
        began = time.monotonic()
        wait_until(lambda: mock.stats()["open"] == 0, 20, "upstream was let go")
        assert time.monotonic() - began < 5, "not at once"
    for crowd in crowds:
        crowd.close()
    expect_nothing_left(mock, serve, redis, sql, user, before, count)


@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_who_vanishes_while_its_hold_is_placed_leaves_nothing_behind(dev, mock, redis, sql, how):
    """Redis answers when nobody waits any more: the late grants are given back."""
    user = f"gone-placing-{how}"
    key = dev.account(user, 100_000_000)
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", UPSTREAM_KEEPALIVE_SECONDS="1")
    try:
        wait_until(lambda: http(
            "POST", serve.base + "/chat/completions", chat(), {"Authorization": f"Bearer {key}"})[0] == 200, 10, "warm")
        wait_until(lambda: open_holds(redis, sql, user) == 0, 10, "that one is over")
        mock.reset()
        before = descriptors(serve.process)
        for _ in range(COUNT // AT_A_TIME):
            redis.execute_command("CLIENT", "PAUSE", 60, "ALL")
            socks = [connect(serve.port) for _ in range(AT_A_TIME)]
            for sock in socks:
                sock.sendall(raw_request(key, chat(True, "hi [[mock ttft_ms=60000]]")))
            for sock in socks:
                reset(sock) if how == "RST" else sock.close()
            wait_until(lambda: open_holds(redis, sql, user) == 0, 20, "no hold is open")
        assert len(mock.log()) <= COUNT // 2, "most left before anything was sent"
        expect_nothing_left(mock, serve, redis, sql, user, before, COUNT + 1)
    finally:
        assert serve.stop() == 0


def test_the_ledger_is_clean_after_all_of_it(dev):
    dev.verify()
