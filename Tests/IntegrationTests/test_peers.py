"""Others' programs on both sides: haproxy, nginx and curl in front; nginx with TLS, and proxies, towards the upstream."""
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from harness import BUSY_MAX, Serve, patient_http, wait_until
from wire_tools import HAProxy, Nginx, chat, load, metrics


def ask(root, key, stream, text="hi", timeout=60):
    headers = {"Authorization": f"Bearer {key}"}
    return patient_http("POST", root + "/v1/chat/completions", chat(stream, text), headers, timeout)


@pytest.mark.parametrize("front", ["haproxy", "nginx"])
def test_a_load_balancer_in_front_changes_nothing(dev, tmp_path, settled, front):
    user = f"front-{front}"
    key = dev.account(user, 10_000)
    log = tmp_path / "access.log"
    tmp_path.chmod(0o777)
    serve = Serve(dev, ACCESS_LOG=str(log), TRUSTED_PROXIES="127.0.0.1")
    proxy = HAProxy(tmp_path, [serve.port], check=True) if front == "haproxy" else Nginx(tmp_path, serve.port)
    try:
        for stream in (False, True) * 5:
            direct, through = (ask(root, key, stream, "hi [[mock fixed=1]]") for root in (
                serve.root, f"http://127.0.0.1:{proxy.port}"))
            assert direct[0] == through[0] == 200 and direct[2] == through[2]
        refused = ask(f"http://127.0.0.1:{proxy.port}", "tg_nobody", False)
        assert refused[0] == 401 and json.loads(refused[2])["error"]["code"] == "invalid_api_key"
        assert len(settled(user, 20)) == 20
        for name, port in (("direct", serve.port), ("through", proxy.port)):
            forged(port, "127.0.0.2", f"/api/{name}")
        forged(serve.port, "127.0.0.1", "/api/trusted")
    finally:
        proxy.stop()
        assert serve.stop() == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    clients = {record["path"]: record["client"] for record in records}
    assert clients["/v1/chat/completions"] == "127.0.0.1"
    assert clients["/api/direct"] == "127.0.0.2", "nobody vouches for what this peer says"
    # nginx appends the peer that it sees; haproxy as configured vouches for whatever it was told.
    assert clients["/api/through"] == ("127.0.0.2" if front == "nginx" else "6.6.6.6")
    assert clients["/api/trusted"] == "6.6.6.6"


def forged(port, source, path):
    """A request from this address that says it is another's."""
    done = subprocess.run(
        ["curl", "-sS", "--interface", source, "-H", "X-Forwarded-For: 6.6.6.6", f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [["--http1.0"], ["--http1.1"], ["-H", "Expect: 100-continue"], ["-H", "Transfer-Encoding: chunked"],
                                     ["-H", "Connection: close"], ["-N"]], ids=lambda o: o[-1])
def test_curl_in_all_its_moods(dev, options):
    for stream in (False, True):
        for _ in range(BUSY_MAX):
            done = subprocess.run(
                ["curl", "-sS", *options, dev.baseURL + "/chat/completions", "-H", f"Authorization: Bearer {dev.apiKey}",
                 "-H", "Content-Type: application/json", "-d", json.dumps(chat(stream, "x" * 3000))],
                capture_output=True, text=True, timeout=30)
            if "(deadline)" not in done.stdout:
                break
        assert done.returncode == 0 and ("[DONE]" if stream else '"usage"') in done.stdout, done.stderr


class Tunnel:
    """An HTTP proxy that does CONNECT, and wants credentials."""

    def __init__(self, authorization):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.authorization = authorization
        self.asked = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head.decode())
        if f"Proxy-Authorization: {self.authorization}\r\n" not in self.asked[-1]:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        target = socket.create_connection(("127.0.0.1", int(self.asked[-1].split()[1].split(":")[1])))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=self.pump, args=(target, client), daemon=True).start()
        self.pump(client, target)

    @staticmethod
    def pump(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def stop(self):
        self.server.close()


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("tunnelled", [False, True], ids=["direct", "through a proxy"])
def test_nginx_with_tls_as_upstream(dev, mock, authority, tmp_path, settled, http2, tunnelled):
    user = f"up-{http2}-{tunnelled}"
    key = dev.account(user, 100_000)
    tmp_path.chmod(0o777)
    upstream = Nginx(tmp_path, mock.port, authority.issue(f"up{http2}{tunnelled}", ["localhost"]), http2)
    tunnel = Tunnel("Basic dXNAZXI6cHc=")
    env = {"OPENAI_BASE_URL": f"https://localhost:{upstream.port}/v1", "OPENAI_CA_FILE": str(authority.certificate)}
    if tunnelled:
        env["HTTPS_PROXY"] = f"http://us%40er:pw@127.0.0.1:{tunnel.port}"
    serve = Serve(dev, **env)
    done, failed = [], []

    def run(index):
        status, _, body = ask(serve.root, key, index % 2 == 0)
        whole = b"[DONE]" in body if index % 2 == 0 else b'"usage"' in body
        if status == 503:
            return  # a hold that took more than 100 ms
        (done if status == 200 and whole else failed).append((status, body[-200:]))

    try:
        with load(run, 8):
            while len(done) + len(failed) < 120:
                threading.Event().wait(0.02)
        assert not failed, failed[:3]
        big = ask(serve.root, key, True, "hi [[mock tokens=30000]]")
        assert big[0] == 200 and len(big[2]) > 9_000_000 and big[2].endswith(b"data: [DONE]\n\n")
        upload = ask(serve.root, key, False, "y" * 300_000)
        assert upload[0] in (200, 503), upload[2][:200]
        answered = len(done) + 1 + (upload[0] == 200)
        assert len([row for row in settled(user, answered) if row["kind"] == "final"]) == answered
        assert upstream.protocols() == {"HTTP/2.0" if http2 else "HTTP/1.1"}
        counts = metrics(serve)
        assert (counts["proxy_upstream_http2_streams_total"] > 100) == http2
        assert bool(tunnel.asked) == tunnelled
    finally:
        assert serve.stop() == 0
        tunnel.stop()
        upstream.stop()


class ClosingNginx(Nginx):
    """nginx that closes each connection after one request, and writes down whether its TLS session was resumed."""

    def __init__(self, directory, port, tls, http2):
        super().__init__(directory, port, tls, http2)
        base = self.log.parent
        self.resumptions = base / "resumptions.log"
        conf = base / "nginx.conf"
        conf.write_text(
            conf.read_text().replace("keepalive_requests 100000", "keepalive_requests 1")
            .replace("http {", f"http {{ log_format resumed '$ssl_session_reused'; access_log {self.resumptions} resumed;"))
        self.process.child.send_signal(signal.SIGHUP)
        ask = ["curl", "-skS", "-o", "/dev/null", "-w", "%{num_connects}"]
        url = f"https://127.0.0.1:{self.port}/"
        closes = lambda: subprocess.run(  # noqa: E731
            [*ask, url, "-o", "/dev/null", url], capture_output=True, text=True, timeout=20).stdout == "11"
        wait_until(closes, 10, "the new configuration")
        self.skipped = len(self.lines())

    def lines(self):
        return self.resumptions.read_text().splitlines() if self.resumptions.exists() else []

    def resumed(self):
        return [line == "r" for line in self.lines()[self.skipped:]]


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_tls_sessions_towards_nginx_are_resumed(dev, mock, authority, tmp_path, settled, http2):
    """An upstream that closes its connections costs a short handshake for each request, not a whole one."""
    user = f"up-resumed-{http2}"
    key = dev.account(user, 100_000)
    tmp_path.chmod(0o777)
    upstream = ClosingNginx(tmp_path, mock.port, authority.issue(user, ["localhost"]), http2)
    serve = Serve(
        dev, OPENAI_BASE_URL=f"https://localhost:{upstream.port}/v1", OPENAI_CA_FILE=str(authority.certificate))
    try:
        assert metrics(serve)["proxy_upstream_tls_resumed_total"] == 0
        answered = 0
        # Each event loop makes its own first session.
        loops = os.cpu_count()
        for index in range(8 * max(3, loops)):
            status, _, body = ask(serve.root, key, index % 2 == 0)
            assert status in (200, 503), body[:200]  # a hold that took more than 100 ms
            answered += status == 200
        assert len(settled(user, answered)) == answered
        counts = metrics(serve)
        resumed = counts["proxy_upstream_tls_resumed_total"]
        assert counts["proxy_upstream_dials_total"] >= answered and resumed >= answered - 2 * loops > 0
        wait_until(lambda: len(upstream.resumed()) >= answered, 10, "nginx's lines")
        assert sum(upstream.resumed()) == resumed, "nginx says so as well"
    finally:
        assert serve.stop() == 0
        upstream.stop()


@pytest.mark.parametrize("case", ["untrusted", "refused by the proxy", "wrong name"])
def test_an_upstream_that_cannot_be_trusted_or_reached_gets_nothing(dev, mock, authority, tmp_path, settled, case):
    user = f"up-{case.replace(' ', '-')}"
    key = dev.account(user, 1000)
    tmp_path.chmod(0o777)
    name = "elsewhere.test" if case == "wrong name" else "localhost"
    upstream = Nginx(tmp_path, mock.port, authority.issue(user, [name], address=False), http2=True)
    tunnel = Tunnel("Basic other")
    env = {"OPENAI_BASE_URL": f"https://localhost:{upstream.port}/v1"}
    if case != "untrusted":
        env["OPENAI_CA_FILE"] = str(authority.certificate)
    if case == "refused by the proxy":
        env["HTTPS_PROXY"] = f"http://127.0.0.1:{tunnel.port}"
    before = len(mock.log())
    serve = Serve(dev, **env)
    try:
        status, _, body = ask(serve.root, key, False)
        assert status == 502 and json.loads(body)["error"]["code"] == "upstream_error"
        (row,) = settled(user, 1)
        assert row["kind"] == "void" and row["charged"] == 0
        reason = "proxy_failed" if "proxy" in case else "tls_failed"
        assert metrics(serve)[f'proxy_upstream_failures_total{{reason="{reason}"}}'] >= 1
        assert len(mock.log()) == before
    finally:
        assert serve.stop() == 0
        tunnel.stop()
        upstream.stop()
