"""Clients that stall, drip, and vanish in the middle: nobody else pays for them, and nothing of them stays."""
import json
import os
import statistics
import subprocess
import threading
import time

import pytest

from harness import Serve, http, wait_until
from wire_tools import (
    Authority, TLSServe, chat, connect, descriptors, expect_descriptors_back, load, metrics, open_holds, raw_request,
    read_all, reset)


@pytest.mark.parametrize("kind", ["plain", "tls", "http2"])
def test_a_stalled_reader_of_50_megabytes_costs_less_than_four(dev, mock, tmp_path, kind, settled):
    user = f"stall-{kind}"
    key = dev.account(user, 10_000_000)
    authority = Authority(tmp_path)
    env = {"OPENAI_BASE_URL": mock.url + "/v1"}
    serve = Serve(dev, **env) if kind == "plain" else TLSServe(
        dev, authority, [authority.issue("listener", ["localhost"])], **env)
    protocol = "--http2" if kind == "http2" else "--http1.1"

    def curl(tokens, out, *options):
        return ["curl", "-sSN", protocol, "--cacert", str(authority.certificate), "-o", str(out), *options,
                serve.base + "/chat/completions", "-H", f"Authorization: Bearer {key}",
                "-H", "Content-Type: application/json", "-d", json.dumps(chat(True, f"hi [[mock tokens={tokens}]]"))]

    try:
        for _ in range(5):  # what a process needs once is not the stream's
            subprocess.run(curl(2000, tmp_path / "warm"), check=True, timeout=60)
        before = serve.process.rss_kib()
        out = tmp_path / "out"
        client = subprocess.Popen(curl(170_000, out, "--limit-rate", "1k"))
        wait_until(lambda: out.exists() and out.stat().st_size > 0, 20, "the stream begins")
        client.send_signal(19)  # SIGSTOP
        peak = 0
        for _ in range(20):
            time.sleep(0.1)
            peak = max(peak, serve.process.rss_kib())
        assert peak - before < 4096, f"{peak - before} KiB more"
        assert mock.stats()["open"] >= 1, "upstream waits as well"
        client.kill()
        client.wait()
        # A reader that only was slow gets every byte.
        subprocess.run(curl(170_000, out), check=True, timeout=120)
        data = out.read_bytes()
        assert len(data) > 50_000_000 and data.endswith(b"data: [DONE]\n\n")
        # 50 MB are more tokens than the model has, so the report of the whole one is not believed, either.
        assert [row["estimated"] for row in settled(user, 7, 30)] == [False] * 5 + [True] * 2
    finally:
        assert serve.stop() == 0


def test_slow_loris_does_not_slow_the_others(dev, mock):
    """Medians of rounds with and without them, in turn. LORIS=1000 for the full number."""
    key = dev.account("loris", 1_000_000)
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", HEADER_TIMEOUT_SECONDS="8")
    count = int(os.environ.get("LORIS", 300))

    def p99(requests=150):
        times = []
        for _ in range(requests):
            began = time.perf_counter()
            status, _, _ = http("POST", serve.base + "/chat/completions", chat(), {"Authorization": f"Bearer {key}"})
            times.append(time.perf_counter() - began)
            assert status in (200, 503)
        return sorted(times)[int(requests * 0.99) - 1]

    try:
        p99(30)
        quiet, loud = [], []
        for _ in range(3):
            quiet.append(p99())
            slow = [connect(serve.port) for _ in range(count)]
            for sock in slow:
                sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: ")
            stop = threading.Event()

            def drip(socks=slow, stop=stop):
                while not stop.is_set():
                    for sock in socks:
                        try:
                            sock.sendall(b"x")
                        except OSError:
                            pass
                    stop.wait(0.5)

            dripping = threading.Thread(target=drip)
            dripping.start()
            loud.append(p99())
            stop.set()
            dripping.join()
            for sock in slow:
                sock.close()
        # p99 of 150 on a busy machine is noise of milliseconds; below 20 ms there is nothing to compare.
        assert statistics.median(loud) < max(2 * statistics.median(quiet), 0.02), (quiet, loud)
        slow = [connect(serve.port) for _ in range(count)]
        for sock in slow:
            sock.sendall(b"GET / HTTP/1.1\r\n")
        answers = [read_all(sock) for sock in slow]
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers), "each is told, and closed"
    finally:
        assert serve.stop() == 0


PHASES = {
    # name: (what is sent, what is waited for before the end comes)
    "in the head": (lambda key: raw_request(key, chat())[:60], None),
    "in the body": (lambda key: raw_request(key, chat(text="x" * 5000))[:-100], None),
    "at once": (lambda key: raw_request(key, chat(True)), None),
    "before the first byte": (lambda key: raw_request(key, chat(True, "hi [[mock ttft_ms=60000]]")), "sent"),
    "in the stream": (lambda key: raw_request(key, chat(True, "hi [[mock tokens=1000 tps=50]]")), "flowing"),
    "in a write that is stuck": (lambda key: raw_request(key, chat(True, "hi [[mock tokens=30000]]")), "flowing"),
    "with an unknown key": (lambda key: raw_request("tg_unknown", chat()), None),
    "after the last byte": (lambda key: raw_request(key, chat()), "whole"),
}


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("phase", PHASES)
def test_who_vanishes_leaves_nothing_behind(dev, mock, redis, sql, phase, how):
    """40 of them (GONE=500 for the full number), eight at a time: no descriptor, no hold, no upstream connection, no exchange; one row each at most."""
    user = f"gone-{phase}-{how}".replace(" ", "-")
    key = dev.account(user, 100_000_000)
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", UPSTREAM_KEEPALIVE_SECONDS="1")
    request, wanted = PHASES[phase]
    mock.reset()
    try:
        assert http("GET", serve.root + "/api/health")[0] == 200
        before = descriptors(serve.process)
        count = int(os.environ.get("GONE", 40))
        for _ in range(count // 8):
            socks = [connect(serve.port) for _ in range(8)]
            for sock in socks:
                sock.sendall(request(key))
            if wanted == "sent":
                wait_until(lambda: mock.stats()["open"] >= 8, 20, "all are at upstream")
            for sock in socks:
                if wanted in ("flowing", "whole"):
                    assert sock.recv(65536 if wanted == "whole" else 64)
                if how == "RST":
                    reset(sock)
                else:
                    sock.close()
        wait_until(lambda: mock.stats()["open"] == 0, 20, "upstream was let go")
        wait_until(lambda: metrics(serve)["proxy_exchanges_running"] == 0, 20, "no exchange runs")
        wait_until(lambda: metrics(serve)["proxy_streams_open"] == 0, 5, "no stream is counted")
        wait_until(lambda: open_holds(redis, sql, user) == 0, 20, "no hold is open")
        expect_descriptors_back(serve.process, before)

        def rows():
            return sql("SELECT count(*), count(DISTINCT hold_id) FROM usage_events WHERE user_id = %s", user)[0]

        wait_until(lambda: rows()[0] >= len(mock.log()), 20, "all are posted")
        assert rows()[0] == rows()[1] <= count
    finally:
        assert serve.stop() == 0


def test_the_ledger_is_clean_after_all_of_it(dev):
    dev.verify()


def test_limits_are_told_and_given_back(dev, mock):
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", MAX_CONNECTIONS_PER_ADDRESS="20", MAX_OPEN_STREAMS="3",
                  MAX_HEAD_BYTES="2048", MAX_JSON_BODY_BYTES="10000")
    key = dev.account("limits", 100_000)
    try:
        open_streams = []
        for _ in range(3):
            sock = connect(serve.port)
            sock.sendall(raw_request(key, chat(True, "hi [[mock tokens=1000 tps=20]]")))
            assert sock.recv(64).startswith(b"HTTP/1.1 200")
            open_streams.append(sock)
        status, headers, body = http(
            "POST", serve.base + "/chat/completions", chat(), {"Authorization": f"Bearer {key}"})
        assert status == 503 and b'"overloaded"' in body and headers["retry-after"] == "1"
        for sock in open_streams:
            reset(sock)
        wait_until(lambda: metrics(serve)["proxy_exchanges_running"] == 0, 10, "they ended")
        assert http("POST", serve.base + "/chat/completions", chat(), {"Authorization": f"Bearer {key}"})[0] == 200
        held = [connect(serve.port) for _ in range(25)]
        refused = [sock for sock in held if _refused(sock)]
        assert 4 <= len(refused) <= 6
        for sock in held:
            sock.close()
        wait_until(lambda: http("GET", serve.root + "/api/health")[0] == 200, 10, "room again")
        big_head = connect(serve.port)
        big_head.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 3000)
        assert read_all(big_head).startswith(b"HTTP/1.1 431 ")
        big_body = connect(serve.port)
        big_body.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000)
        assert read_all(big_body).startswith(b"HTTP/1.1 413 ")
    finally:
        assert serve.stop() == 0


def _refused(sock):
    sock.settimeout(0.3)
    try:
        return sock.recv(64).startswith(b"HTTP/1.1 503 ")
    except TimeoutError:
        return False


def test_a_hold_store_that_hangs_is_a_503_and_nothing_piles_up(dev, mock, redis, sql):
    user = "slow-redis"
    key = dev.account(user, 100_000)
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")
    try:
        headers = {"Authorization": f"Bearer {key}"}
        wait_until(lambda: http("POST", serve.base + "/chat/completions", chat(), headers)[0] == 200, 10, "a first one")
        before = serve.process.rss_kib()
        answers = []
        redis.execute_command("CLIENT", "PAUSE", 3000, "ALL")
        began = time.monotonic()

        def run(_):
            if time.monotonic() - began < 2:
                answers.append(http("POST", serve.base + "/chat/completions", chat(), headers)[0])
            else:
                time.sleep(0.05)

        with load(run, 8):
            time.sleep(3)
        assert answers and set(answers) == {503}
        wait_until(lambda: http("POST", serve.base + "/chat/completions", chat(), headers)[0] == 200, 15, "it goes on")
        wait_until(lambda: open_holds(redis, sql, user) == 0, 15, "late grants were given back")
        assert serve.process.rss_kib() - before < 16_384
    finally:
        assert serve.stop() == 0
