#!/usr/bin/env python3
"""The traffic of hours in minutes: whole replies, streams, refusals and clients that vanish, at full speed. Memory must
not grow: the slope of a line through the RSS samples (the first fifth left out, as warming up) over all exchanges of the
run must be zero within its own error or below 1 MiB, descriptors must come back, and the ledger must be clean.

720,000 exchanges are two hours at 100 per second.

Usage: bench/soak.py [--exchanges N] [--clients N] [--serve-threads N]   (after `make build`)
"""
import argparse
import http.client
import json
import os
import pathlib
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("TOLLGATE_BIN", str(ROOT / ".build" / "release"))
sys.path.insert(0, str(ROOT / "Tests" / "IntegrationTests"))
from harness import Dev, Mock, Serve, wait_until  # noqa: E402
from wire_tools import chat, connect, descriptors, metrics, raw_request, reset  # noqa: E402

# Two processes of clients would need no lock on their counters; threads are enough to keep two cores busy.
KINDS = ["whole"] * 6 + ["stream"] * 2 + ["refused"] + ["vanished"]


class Client(threading.Thread):
    def __init__(self, port, key, share):
        super().__init__(daemon=True)
        self.port, self.key, self.share = port, key, share
        self.done, self.unexpected = 0, []
        self.connection = None

    def run(self):
        for number in range(self.share):
            try:
                getattr(self, KINDS[number % len(KINDS)])()
            except (OSError, http.client.HTTPException) as error:
                self.unexpected.append(repr(error))
                self.connection = None
            self.done += 1

    def ask(self, body, key):
        self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})
        reply = self.connection.getresponse()
        data = reply.read()
        if reply.status not in (200, 401, 503):
            self.unexpected.append((reply.status, data[:100]))
        if reply.headers.get("connection") == "close":
            self.connection = None

    def whole(self):
        self.ask(WHOLE, self.key)

    def stream(self):
        self.ask(STREAM, self.key)

    def refused(self):
        self.ask(WHOLE, "tg_nobody")

    def vanished(self):
        sock = connect(self.port)
        sock.sendall(raw_request(self.key, STREAM.encode()))
        sock.recv(64)
        reset(sock)


WHOLE, STREAM = json.dumps(chat()), json.dumps(chat(True, "hi [[mock tokens=30]]"))


def slope(samples):
    """KiB per exchange, and the error of that, by least squares."""
    xs, ys = zip(*samples)
    mean_x, mean_y = statistics.fmean(xs), statistics.fmean(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    value = sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
    rest = sum((y - mean_y - value * (x - mean_x)) ** 2 for x, y in samples)
    return value, (rest / max(1, len(samples) - 2) / spread) ** 0.5


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=720_000, help="in all (default 720000)")
    parser.add_argument("--clients", type=int, default=16, help="at a time (default 16)")
    parser.add_argument("--serve-threads", type=int, default=1, help="event loops of the proxy (default 1)")
    options = parser.parse_args()
    dev = Dev()
    mock = Mock(dev.directory, "--log", "none")
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", TOLLGATE_THREADS=str(options.serve_threads))
    key = dev.account("soak", 900_000_000)
    try:
        idle = descriptors(serve.process)
        clients = [Client(serve.port, key, options.exchanges // options.clients) for _ in range(options.clients)]
        began = time.monotonic()
        for client in clients:
            client.start()
        samples = []
        shown = 0.0
        while any(client.is_alive() for client in clients):
            time.sleep(1)
            done = sum(client.done for client in clients)
            samples.append((done, serve.process.rss_kib()))
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                print(f"[{shown - began:5.0f} s] {done:>8} exchanges, RSS {samples[-1][1]} KiB", flush=True)
        unexpected = [what for client in clients for what in client.unexpected]
        done = sum(client.done for client in clients)
        steady = [sample for sample in samples if sample[0] > done / 5]
        value, error = slope(steady)
        grown = value * done
        print(f"{done} exchanges in {time.monotonic() - began:.0f} s; RSS {steady[0][1]} -> {steady[-1][1]} KiB; "
              f"slope {value * 1024:.3f} ± {2 * error * 1024:.3f} bytes per exchange = {grown:.0f} KiB over the run")
        wait_until(lambda: metrics(serve)["proxy_exchanges_running"] == 0, 30, "all exchanges end")
        wait_until(lambda: metrics(serve)["settlement_backlog"] == 0, 60, "all is posted")
        for client in clients:
            client.connection = None
        wait_until(lambda: descriptors(serve.process) <= idle + 2, 90, "descriptors come back")
        dev.verify()
        assert serve.stop() == 0
        if unexpected:
            sys.exit(f"{len(unexpected)} unexpected answers: {unexpected[:3]}")
        if value > 2 * error and grown > 1024:
            sys.exit("memory grows")
        print("memory steady, descriptors back, ledger clean")
    finally:
        for process in (serve.process, mock.process):
            if process.child.poll() is None:
                process.child.kill()
        dev.stop()
        dev.remove()


if __name__ == "__main__":
    main()
