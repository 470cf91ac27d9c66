#!/usr/bin/env python3
"""Memory of the proxy per open stream: release binary, N SSE streams that drip, RSS before and after.

Fails above the limit (20,000 bytes per stream, plain).

Usage: bench/open_streams.py [--streams N] [--limit BYTES] [--tls]   (after `make build`)
"""
import argparse
import os
import pathlib
import resource
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("TOLLGATE_BIN", str(ROOT / ".build" / "release"))
sys.path.insert(0, str(ROOT / "Tests" / "IntegrationTests"))
from harness import Dev, Mock, Serve  # noqa: E402
from wire_tools import Authority, TLSServe, chat, connect, raw_request  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=5000, help="open at a time (default 5000)")
    parser.add_argument("--limit", type=int, default=20_000, help="bytes per stream (default 20000)")
    parser.add_argument("--tls", action="store_true", help="TLS to the client; the limit is not applied")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.streams * 2 + 500 > hard:
        sys.exit(f"{options.streams} streams need {options.streams * 2 + 500} descriptors; the limit is {hard}")
    dev = Dev()
    mock = Mock(dev.directory)
    env = {"OPENAI_BASE_URL": mock.url + "/v1"}
    authority = Authority(dev.directory)
    context = authority.context()
    serve = TLSServe(dev, authority, [authority.issue("l", ["localhost"])], **env) if options.tls else Serve(dev, **env)
    key = dev.account("streams", 100_000_000)
    request = raw_request(key, chat(True, "hi [[mock tokens=2000 tps=0.5]]", max_tokens=2000))
    try:
        before = serve.process.rss_kib()
        print(f"{'streams':>8} {'RSS KiB':>9} {'bytes per stream':>17}\n{0:>8} {before:>9}", flush=True)
        streams = []
        for index in range(options.streams):
            sock = connect(serve.port)
            if options.tls:
                sock = context.wrap_socket(sock, server_hostname="localhost")
            sock.sendall(request)
            streams.append(sock)
            if index % 50 == 49:
                for opened in streams[-50:]:
                    if not opened.recv(64).startswith(b"HTTP/1.1 200"):
                        sys.exit("a stream was refused")
            if (index + 1) % 1000 == 0:
                rss = serve.process.rss_kib()
                print(f"{index + 1:>8} {rss:>9} {(rss - before) * 1024 / (index + 1):>17.0f}", flush=True)
        time.sleep(5)
        per_stream = (serve.process.rss_kib() - before) * 1024 / options.streams
        print(f"after 5 s of tokens: {per_stream:.0f} bytes per stream")
        for sock in streams:
            sock.close()
        assert serve.stop() == 0
        if not options.tls and per_stream > options.limit:
            sys.exit(f"more than {options.limit}")
    finally:
        for process in (serve.process, mock.process):
            if process.child.poll() is None:
                process.child.kill()
        dev.stop()
        dev.remove()


if __name__ == "__main__":
    main()
