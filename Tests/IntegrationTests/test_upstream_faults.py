"""Every fault of the mock: a correct answer or a clear error, a settled outcome, flagged estimates (issue, 4)."""
import http.client
import json
import socket
import subprocess
import time

import psycopg2
import pytest
import redis as redis_client

from harness import BUSY_MAX, Mock, Serve, is_busy, patient_http as call, running, wait_until

# fault: (status for whole replies, status for streams, settlement kind, estimated)
# A stream's status is that of its head; what goes wrong later comes as an error frame.
WHOLE = {
    "429": (429, "void", False),
    "429quota": (502, "void", False),
    "500": (502, "void", False),
    "503": (502, "void", False),
    "401": (502, "void", False),
    "cut_head": (502, "final", True),
    "cut_body": (502, "final", True),
    "malformed": (200, "final", True),
    "no_usage": (200, "final", True),
    "null_usage": (200, "final", True),
    "over_cap": (200, "final", False),
    "huge_usage": (200, "final", True),
    "negative_usage": (200, "final", True),
    "string_usage": (200, "final", True),
    "zero_usage": (200, "final", False),
    "gzip": (502, "final", True),
    "close_delimited": (200, "final", False),
    "100": (200, "final", False),
    "slow_body": (200, "final", False),
    "split": (200, "final", False),
}
STREAM = {
    "429": (429, "void", False),
    "500": (502, "void", False),
    "cut": (200, "final", True),
    "cut_rst": (200, "final", True),
    "cut_head": (502, "final", True),
    "malformed": (200, "final", None),
    "no_usage": (200, "final", True),
    "null_usage": (200, "final", True),
    "over_cap": (200, "final", False),
    "huge_usage": (200, "final", True),
    "crlf": (200, "final", False),
    "split": (200, "final", False),
    "gzip": (502, "final", True),
    "error_frame": (200, "final", True),
    "error_frame0": (200, "void", False),
    "content_and_usage": (200, "final", False),
    "comments": (200, "final", False),
    "big": (200, "final", False),
    "no_done": (200, "final", False),
}


@pytest.fixture(scope="module")
def proxy(dev):
    with running(Serve(dev, UPSTREAM_HEAD_TIMEOUT_SECONDS="2", UPSTREAM_IDLE_TIMEOUT_SECONDS="2")) as serve:
        yield serve


def request(fault, stream, **more):
    return {
        "model": "gpt-4o-mini", "stream": stream, "max_tokens": 60, **more,
        "messages": [{"role": "user", "content": f"Hi [[mock tokens=10 fault={fault}]]"}]}


@pytest.mark.parametrize("fault", WHOLE)
def test_whole_reply(dev, proxy, settled, fault):
    check(dev, proxy, settled, fault, False, *WHOLE[fault])


@pytest.mark.parametrize("fault", STREAM)
def test_stream(dev, proxy, settled, fault):
    check(dev, proxy, settled, fault, True, *STREAM[fault])


def check(dev, proxy, settled, fault, stream, status, kind, estimated):
    user = f"fault-{'s' if stream else 'w'}-{fault}"
    key = dev.account(user, credits=1000)
    got = call(
        "POST", proxy.base + "/chat/completions", request(fault, stream), {"Authorization": f"Bearer {key}"}, 30)
    assert got[0] == status, got[2][:500]
    if status >= 400:
        error = json.loads(got[2])["error"]
        assert error["message"] and error["code"]
        assert "mock-org" not in str(got[1]) and "sk-" not in got[2].decode()
    if fault == "429":
        assert int(got[1]["retry-after"]) >= 1
    row = settled(user, 1)[0]
    assert row["kind"] == kind
    if kind == "void":
        assert row["charged"] == 0
    if estimated is not None:
        assert row["estimated"] == estimated
    if fault in ("cut", "cut_rst"):
        assert b'"error"' in got[2], "a cut stream ends with an error frame"
        assert row["output"] > 0, "what was produced is charged"
    if fault == "over_cap":
        assert row["output"] == 110, "reported usage is authoritative, even above the hold"
    if fault == "zero_usage":
        assert row["charged"] == 0, "an explicit zero is not a missing usage"
    wait_until(lambda: not holds(dev, user), 10, f"hold of {user} ended")


def holds(dev, user):
    connection = psycopg2.connect(dev.databaseURL)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT account_id FROM credit_balance WHERE user_id = %s", (user,))
            account = cursor.fetchone()[0]
    finally:
        connection.close()
    fields = redis_client.Redis.from_url(dev.redisURL, decode_responses=True).hkeys("a:{%d}" % account)
    return [f for f in fields if f[:2] in ("h:", "u:")]


@pytest.mark.parametrize("fault,stream", [("stall", True), ("stall_head", False), ("stall_head", True)])
def test_stall_ends_by_time_out(dev, proxy, settled, fault, stream):
    user = f"stall-{fault}-{stream}"
    key = dev.account(user, credits=1000)
    status, _, body = call(
        "POST", proxy.base + "/chat/completions", request(fault, stream), {"Authorization": f"Bearer {key}"}, 30)
    assert status == (200 if fault == "stall" else 504)
    assert b"upstream_timeout" in body
    row = settled(user, 1)[0]
    assert row["kind"] == "final" and row["estimated"] and row["charged"] > 0


def test_a_client_that_hangs_up_pays_for_what_was_produced(dev, proxy, settled, sql):
    user = "hangup"
    key = dev.account(user, credits=1000)
    body = json.dumps(request("none", True) | {
        "messages": [{"role": "user", "content": "Hi [[mock tokens=1000 tps=50]]"}], "max_tokens": 1000})
    with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
        sock.sendall((
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        seen = b""
        while seen.count(b"data: ") < 8:
            seen += sock.recv(65536)
    row = settled(user, 1, 10)[0]
    assert row["estimated"] and 5 <= row["output"] < 200
    reason = sql("SELECT estimate_reason FROM usage_events WHERE user_id = %s", user)[0][0]
    assert reason == "client_gone"
    wait_until(lambda: not holds(dev, user), 10, "hold ended")


def test_a_whole_reply_is_drained_when_the_client_hangs_up(dev, proxy, settled):
    user = "hangup-whole"
    key = dev.account(user, credits=1000)
    body = json.dumps(request("none", False) | {
        "messages": [{"role": "user", "content": "Hi [[mock tokens=30 ttft_ms=700]]"}]})
    with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
        sock.sendall((
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        time.sleep(0.2)
    row = settled(user, 1, 10)[0]
    assert row["output"] == 30 and not row["estimated"]


def test_upstream_unreachable(dev, settled):
    key = dev.account("no-upstream", credits=1000)
    with running(Serve(dev, OPENAI_BASE_URL="http://127.0.0.1:9/v1")) as proxy:
        status, _, body = call(
            "POST", proxy.base + "/chat/completions", request("none", False), {"Authorization": f"Bearer {key}"})
        assert status == 502 and json.loads(body)["error"]["code"] == "upstream_error"
        row = settled("no-upstream", 1)[0]
        assert (row["kind"], row["charged"]) == ("void", 0)


def test_memory_does_not_grow_with_requests(dev, tmp_path):
    """RSS slope over requests 1,000–10,000 below 100 B per request."""
    key = dev.account("rss", credits=100_000)
    with running(Mock(tmp_path, "--log", "none")) as mock:
        with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as proxy:
            connections = [http.client.HTTPConnection("127.0.0.1", proxy.port) for _ in range(8)]
            whole, stream = (json.dumps(request("none", s)) for s in (False, True))
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            samples = []
            for number in range(10_001):
                connection = connections[number % len(connections)]
                for _ in range(BUSY_MAX):
                    connection.request("POST", "/v1/chat/completions", stream if number % 2 else whole, headers)
                    reply = connection.getresponse()
                    said = reply.read()
                    if not is_busy(reply.status, said):
                        break
                assert reply.status == 200, said
                if number >= 1000 and number % 500 == 0:
                    samples.append((number, proxy.process.rss_kib() * 1024))
            print("rss", samples)
            assert slope(samples) < 100
            for connection in connections:
                connection.close()


def slope(samples):
    """Least squares, bytes per request."""
    n = len(samples)
    mean_x = sum(x for x, _ in samples) / n
    mean_y = sum(y for _, y in samples) / n
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / sum((x - mean_x) ** 2 for x, _ in samples)


def test_upstream_over_tls_is_verified(dev, settled, tmp_path):
    """The right CA: served. Any other: a clear error, nothing sent, nothing charged."""
    authority, server = tmp_path / "ca", tmp_path / "server"
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test CA",
            "-keyout", f"{authority}.key", "-out", f"{authority}.pem")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
            "-keyout", f"{server}.key", "-out", f"{server}.csr")
    extensions = tmp_path / "extensions"
    extensions.write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-days", "2", "-in", f"{server}.csr", "-CA", f"{authority}.pem", "-CAkey",
            f"{authority}.key", "-CAcreateserial", "-extfile", str(extensions), "-out", f"{server}.pem")
    key = dev.account("tls", credits=1000)
    body = request("none", False)
    with running(Mock(tmp_path, "--tls-cert", f"{server}.pem", "--tls-key", f"{server}.key")) as mock:
        url = f"https://localhost:{mock.port}/v1"
        with running(Serve(dev, OPENAI_BASE_URL=url, OPENAI_CA_FILE=f"{authority}.pem")) as trusting:
            assert call("POST", trusting.base + "/chat/completions", body, {"Authorization": f"Bearer {key}"})[0] == 200
        assert settled("tls", 1)[0]["charged"] > 0
        with running(Serve(dev, OPENAI_BASE_URL=url)) as other:
            status, _, reply = call(
                "POST", other.base + "/chat/completions", body, {"Authorization": f"Bearer {key}"}, 30)
            assert status == 502 and json.loads(reply)["error"]["code"] == "upstream_error"
        row = settled("tls", 2)[1]
        assert (row["kind"], row["charged"]) == ("void", 0)


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
