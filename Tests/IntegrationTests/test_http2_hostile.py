"""HTTP/2 clients that break the protocol or flood it: they lose their connection, and nobody else pays."""
import itertools
import json
import socket
import ssl
import struct
import subprocess
import time

import pytest

from harness import BUSY_MAX, wait_until
from wire_tools import Nginx, TLSServe, chat, metrics

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    """A field that is added to no table; lengths below 127."""
    return b"\x10" + bytes([len(name)]) + name + bytes([len(value)]) + value


GET = literal(b":method", b"GET") + literal(b":scheme", b"https") + literal(b":path", b"/api/health") + literal(
    b":authority", b"localhost")


class Client:
    """A connection with the preface sent."""

    def __init__(self, serve, authority):
        context = authority.context()
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", serve.port), 10)
        self.sock = context.wrap_socket(plain, server_hostname="localhost")
        assert self.sock.selected_alpn_protocol() == "h2"
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS) + frame(
            WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 24)))
        self.inbox = b""

    def frames(self, seconds=10):
        """Every frame until the server closes, or is silent for so long (then `None` comes last)."""
        self.sock.settimeout(seconds)
        while True:
            try:
                piece = self.sock.recv(65536)
            except TimeoutError:
                yield None
                return
            except (ConnectionError, ssl.SSLError):
                return
            if not piece:
                return
            self.inbox += piece
            while len(self.inbox) >= 9 and len(self.inbox) >= 9 + int.from_bytes(self.inbox[:3], "big"):
                length = int.from_bytes(self.inbox[:3], "big")
                yield self.inbox[3], self.inbox[4], int.from_bytes(self.inbox[5:9], "big"), self.inbox[9:9 + length]
                self.inbox = self.inbox[9 + length:]

    def send(self, data):
        """Whether it was taken."""
        try:
            self.sock.sendall(data)
            return True
        except (OSError, ssl.SSLError):
            return False

    def get(self, stream):
        """Status of one GET, as its HPACK index; the server's first answer adds fields to its table."""
        self.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET))
        for got in self.frames():
            if got and got[0] == HEADERS and got[2] == stream:
                return got[3][0]
        return None


@pytest.fixture(scope="module")
def serve(dev, authority, mock):
    proxy = TLSServe(
        dev, authority, [authority.issue("h2", ["localhost"])], OPENAI_BASE_URL=mock.url + "/v1",
        HEADER_TIMEOUT_SECONDS="3")
    yield proxy
    assert proxy.stop() == 0


def rapid_reset():
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_STREAM | END_HEADERS, stream, GET) + frame(
            RST_STREAM, 0, stream, struct.pack(">I", 8))


def continuations():
    yield frame(HEADERS, END_STREAM, 1, GET)
    for index in itertools.count():
        yield frame(CONTINUATION, 0, 1, literal(b"x-%d" % index, b"y" * 100))


def empty_continuations():
    yield frame(HEADERS, END_STREAM, 1, GET)
    while True:
        yield frame(CONTINUATION, 0, 1)


def settings():
    while True:
        yield frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535))


def pings():
    while True:
        yield frame(PING, 0, 0, b"12345678")


def empty_data():
    yield frame(HEADERS, END_HEADERS, 1, GET)
    while True:
        yield frame(DATA, 0, 1)


def huge_header_list():
    """One field of 4 KB in the table, then one byte for each time it is meant."""
    long = b"\x40\x01x\x7f" + bytes([0x80 | (4000 - 127) & 0x7f, (4000 - 127) >> 7]) + b"v" * 4000
    yield frame(HEADERS, END_STREAM | END_HEADERS, 1, GET + long + b"\xbe" * 10_000)
    while True:
        time.sleep(0.05)
        yield frame(PING, 0, 0, b"12345678")


FLOODS = [rapid_reset, continuations, empty_continuations, settings, pings, empty_data, huge_header_list]


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.__name__)
def test_a_flood_ends_its_connection_only(serve, authority, flood):
    other = Client(serve, authority)
    assert other.get(1) is not None
    before = serve.process.rss_kib()
    client = Client(serve, authority)
    client.sock.settimeout(10)
    sent, end = 0, time.monotonic() + 20
    # Answers are not read: their queue must not grow, either.
    for pieces in iter(lambda made=flood(): b"".join(itertools.islice(made, 1 if flood is huge_header_list else 100)), b""):
        if not client.send(pieces):
            break
        sent += len(pieces)
        assert time.monotonic() < end, f"{sent} bytes and no end"
    assert sent < 64 << 20
    assert other.get(3) is not None, "the others go on"
    assert serve.process.rss_kib() - before < 16 << 10
    wait_until(lambda: metrics(serve)["proxy_connections_open"] <= 2, 15, "its connection is gone")


BROKEN = {
    "data on stream 0": frame(DATA, 0, 0, b"x"),
    "headers on an even stream": frame(HEADERS, END_STREAM | END_HEADERS, 2, GET),
    "data on an idle stream": frame(DATA, 0, 1, b"x"),
    "a window of 0": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
    "a window that overflows": frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0x7fffffff)) * 2,
    "a ping of 7 bytes": frame(PING, 0, 0, b"1234567"),
    "settings of 5 bytes": frame(SETTINGS, 0, 0, b"12345"),
    "a frame that is too long": frame(DATA, 0, 1, b"x" * 70_000),
    "broken HPACK": frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
    "continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, GET),
    "no path": frame(HEADERS, END_STREAM | END_HEADERS, 1, literal(b":method", b"GET") + literal(b":scheme", b"https")),
    "an upper-case name": frame(HEADERS, END_STREAM | END_HEADERS, 1, GET + literal(b"X-Upper", b"y")),
    "a connection field": frame(HEADERS, END_STREAM | END_HEADERS, 1, GET + literal(b"connection", b"close")),
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("bad", BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_protocol_is_not_served(serve, authority, bad):
    client = Client(serve, authority)
    client.send(bad)
    got = list(client.frames(5))
    assert None not in got or any(f and f[0] in (RST_STREAM, GOAWAY) for f in got), "it was left standing"
    for f in got:
        # ":status 200" is index 8 of the static table.
        assert not (f and f[0] == HEADERS and f[3][:1] == b"\x88"), "it was served"


def post(key):
    """The fields of a chat request."""
    return (
        literal(b":method", b"POST") + literal(b":scheme", b"https") + literal(b":path", b"/v1/chat/completions")
        + literal(b":authority", b"localhost") + literal(b"content-type", b"application/json")
        + literal(b"authorization", b"Bearer " + key.encode()))


def bad(fields, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, 3, fields)


# What a gateway may pass on of one of its users: malformed, and sound as a frame.
MALFORMED = {
    "no path": bad(literal(b":method", b"GET") + literal(b":scheme", b"https") + literal(b":authority", b"x")),
    "no authority": bad(literal(b":method", b"GET") + literal(b":scheme", b"https") + literal(b":path", b"/")),
    "an upper-case name": bad(GET + literal(b"X-Upper", b"y")),
    "a name with a space": bad(GET + literal(b"x y", b"z")),
    "a connection field": bad(GET + literal(b"connection", b"close")),
    "te": bad(GET + literal(b"te", b"gzip")),
    "a CR in a value": bad(GET + literal(b"x", b"a\rb")),
    "a NUL in a value": bad(GET + literal(b"x", b"a\0b")),
    "a pseudo-field twice": bad(GET + literal(b":path", b"/")),
    "a pseudo-field behind a field": bad(literal(b"x", b"y") + GET),
    "an unknown pseudo-field": bad(GET + literal(b":x", b"y")),
    "a length that is none": bad(GET + literal(b"content-length", b"x")),
    "a length without its body": bad(GET + literal(b"content-length", b"5")),
    "more body than its length": bad(GET + literal(b"content-length", b"1"), END_HEADERS) + frame(
        DATA, END_STREAM, 3, b"four"),
    "trailers that are not the end": bad(GET, END_HEADERS) + bad(literal(b"x", b"y"), END_HEADERS),
}


@pytest.fixture(scope="module")
def neighbour(dev):
    return dev.account("h2-neighbour", 10_000_000)


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_wrong_with_one_request_ends_no_other(serve, authority, neighbour, message):
    for _ in range(BUSY_MAX):
        reset, replies, said = beside(serve, authority, neighbour, message)
        if b"(deadline)" not in said:
            break
    # ":status 200" is index 8 of the static table.
    assert reset and replies == {1: 0x88, 5: 0x88}, said


def beside(serve, authority, neighbour, message):
    """Whether the malformed request was reset, the statuses of the two beside it, and what the first of them was told."""
    body = json.dumps(chat()).encode()
    client = Client(serve, authority)
    client.send(frame(HEADERS, END_HEADERS, 1, post(neighbour)) + frame(DATA, 0, 1, body[:10]))
    client.send(message)
    replies, reset, said, ended = {}, False, b"", set()
    for got in client.frames(15):
        assert got is not None and got[0] != GOAWAY, f"{replies}, then {got}"
        kind, flags, stream, payload = got
        if kind == RST_STREAM:
            assert stream == 3, "another stream was reset"
            reset = True
            # Only now can the other one end.
            client.send(frame(DATA, END_STREAM, 1, body[10:]) + frame(HEADERS, END_STREAM | END_HEADERS, 5, GET))
        if kind == HEADERS and stream in (1, 5):
            replies[stream] = payload[0]
        if kind == DATA and stream == 1:
            said += payload
        if kind in (HEADERS, DATA) and flags & END_STREAM:
            ended.add(stream)
        if replies.keys() == {1, 5} and 1 in ended:
            break
    return reset, replies, said


def test_many_malformed_requests_end_the_connection(serve, authority):
    client = Client(serve, authority)
    for stream in range(1, 61, 2):
        client.send(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET + literal(b"te", b"gzip")))
    got = list(client.frames(20))
    assert got[-1] is not None, "it was left standing"
    resets = [f[2] for f in got if f[0] == RST_STREAM]
    assert any(f[0] == GOAWAY for f in got) and resets[:20] == list(range(1, 41, 2))


def test_an_idle_connection_needs_no_answer_to_be_closed(dev, mock, authority):
    """A client that says nothing any more, not even that it has heard the farewell."""
    proxy = TLSServe(
        dev, authority, [authority.issue("h2-idle", ["localhost"])], OPENAI_BASE_URL=mock.url + "/v1",
        KEEPALIVE_TIMEOUT_SECONDS="1")
    try:
        client = Client(proxy, authority)
        assert client.get(1) is not None
        start = time.monotonic()
        got = list(client.frames(30))
        assert got[-1] is not None and time.monotonic() - start < 25, "it was left standing"
        assert [f[0] for f in got if f[0] in (GOAWAY, PING)] == [GOAWAY, PING]
        wait_until(lambda: metrics(proxy)["proxy_connections_open"] == 0, 15, "its connection is gone")
    finally:
        assert proxy.stop() == 0


def test_a_connection_without_a_request_is_closed(serve, authority):
    """HEADER_TIMEOUT_SECONDS counts from the accept, and frames that are no request do not extend it."""
    client = Client(serve, authority)
    start = time.monotonic()
    while time.monotonic() - start < 20 and client.send(frame(PING, 0, 0, b"12345678")):
        if list(client.frames(0.2))[-1:] != [None]:
            break
    assert 2 < time.monotonic() - start < 15


def test_the_streams_that_a_client_may_open_unasked_are_served(dev, serve, authority, settled):
    """RFC 9113 §6.5.2: before it has heard of a limit a client may take 100 for granted."""
    key = dev.account("h2-many", 100_000)
    # A debug build may answer some with 503, which are free; a busy machine all of them, and then it is done again.
    for _ in range(BUSY_MAX):
        served = hundred_at_once(serve, authority, key)
        if served:
            break
    wait_until(lambda: metrics(serve)["proxy_exchanges_running"] == 0, 15, "all are over")
    assert 0 < served <= len(settled("h2-many", served)) <= 100


def hundred_at_once(serve, authority, key):
    """How many of them were answered 200; all of them were answered."""
    body = json.dumps(chat()).encode()
    fields = post(key)
    client = Client(serve, authority)
    streams = range(1, 201, 2)
    client.send(b"".join(
        frame(HEADERS, END_HEADERS, stream, fields) + frame(DATA, END_STREAM, stream, body) for stream in streams))
    ended, served = set(), 0
    for got in client.frames(15):
        assert got is not None and got[0] not in (RST_STREAM, GOAWAY), f"{len(ended)} served, then {got}"
        kind, flags, stream, payload = got
        # ":status 200" is index 8 of the static table.
        served += kind == HEADERS and bool(payload) and payload[0] == 0x88
        if stream and kind in (HEADERS, DATA) and flags & END_STREAM:
            ended.add(stream)
        if len(ended) == len(streams):
            break
    assert ended == set(streams)
    return served


def test_a_slow_client_of_an_http2_upstream_gets_every_byte(dev, mock, authority, tmp_path, settled):
    """Back-pressure through two windows and back: the stream is held, and goes on."""
    user = "h2-slow"
    key = dev.account(user, 10_000_000)
    upstream = Nginx(tmp_path, mock.port, authority.issue("h2-up", ["localhost"]), http2=True)
    proxy = TLSServe(
        dev, authority, [authority.issue("h2-down", ["localhost"])],
        OPENAI_BASE_URL=f"https://localhost:{upstream.port}/v1", OPENAI_CA_FILE=str(authority.certificate))
    try:
        for protocol in ("--http1.1", "--http2"):
            out = tmp_path / f"out{protocol}"
            client = subprocess.Popen([
                "curl", "-sSN", protocol, "--cacert", str(authority.certificate), "-o", str(out),
                proxy.base + "/chat/completions", "-H", f"Authorization: Bearer {key}",
                "-H", "Content-Type: application/json",
                "-d", json.dumps(chat(True, "hi [[mock tokens=60000]]"))])
            wait_until(lambda: out.exists() and out.stat().st_size > 0, 20, "the stream begins")
            for _ in range(3):
                client.send_signal(19)  # SIGSTOP
                time.sleep(0.5)
                client.send_signal(18)  # SIGCONT
                time.sleep(0.1)
            assert client.wait(60) == 0
            data = out.read_bytes()
            assert data.count(b"data: ") > 60_000 and data.endswith(b"data: [DONE]\n\n")
        assert len(settled(user, 2, 30)) == 2
        assert upstream.protocols() == {"HTTP/2.0"}
    finally:
        assert proxy.stop() == 0
        upstream.stop()
