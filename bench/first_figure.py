#!/usr/bin/env python3
"""Metered non-streaming requests per second per proxy core, over nginx as a plain reverse proxy.

Both stand in front of the same mock upstream and are driven by wrk, interleaved (A B A B …), the proxy alone on one
core, everything else on the other. Tollgate runs the shipped release binary with authentication, holds, settlement
and ledger on. The figure is CPU time of the proxy process per request (from /proc), which does not depend on who
else shares the machine; requests per second per core is its inverse. Afterwards `tollgate verify` must be clean and
the ledger must have exactly one settlement per answered request.

Usage: bench/first_figure.py [--rounds N] [--seconds N] [--connections N]   (after `make build`; needs nginx and wrk)
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
RELEASE = ROOT / ".build" / "release"
os.environ.setdefault("TOLLGATE_BIN", str(RELEASE))
sys.path.insert(0, str(ROOT / "Tests" / "IntegrationTests"))
from harness import Dev, Mock, Process, free_port, http, reachable, wait_until  # noqa: E402

PROXY_CORE, OTHER_CORE = 1, 0
TICKS = os.sysconf("SC_CLK_TCK")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run (default 5)")
    parser.add_argument("--connections", type=int, default=64, help="client connections (default 64)")
    return parser.parse_args()


def pin(pid, core):
    """Every thread of a process, and of its children."""
    for task in pathlib.Path("/proc").glob(f"{pid}/task/*"):
        os.sched_setaffinity(int(task.name), {core})
        for child in (task / "children").read_text().split():
            pin(int(child), core)


def cpu_seconds(pid):
    """User and system time of a process, its threads that have ended included, and of its living children."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    total = (int(fields[11]) + int(fields[12])) / TICKS
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return total + sum(cpu_seconds(int(child)) for child in children)


class Nginx:
    """One worker, keep-alive to the upstream, no access log: the plain reverse proxy of the comparison."""

    def __init__(self, directory, upstream_port):
        self.port = free_port()
        configuration = directory / "nginx.conf"
        configuration.write_text(f"""
worker_processes 1; daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.err;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  keepalive_requests 1000000000;
  upstream mock {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{self.port}; location / {{
    proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header Authorization "Bearer sk-operator"; }} }}
}}""")
        self.process = Process(["nginx", "-c", configuration, "-p", directory], os.environ.copy(), directory / "nginx.log")
        wait_until(lambda: reachable(self.port), 10, "nginx")
        self.pid = self.process.child.pid

    def stop(self):
        self.process.stop()


def wrk(port, path, key, arguments, script):
    done = subprocess.run(
        ["taskset", "-c", str(OTHER_CORE), "wrk", "-t1", f"-c{arguments.connections}", f"-d{arguments.seconds}s",
         "-s", script, f"http://127.0.0.1:{port}{path}"],
        capture_output=True, text=True, env={**os.environ, "BENCH_KEY": key})
    if done.returncode:
        sys.exit("wrk failed: " + done.stderr)
    requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if bad or "Socket errors" in done.stdout:
        sys.exit("wrk saw errors:\n" + done.stdout)
    return requests


def measure(name, port, pid, key, arguments, script):
    before = cpu_seconds(pid)
    requests = wrk(port, "/v1/chat/completions", key, arguments, script)
    used = cpu_seconds(pid) - before
    figures = {"requests": requests, "cpu_us": used / requests * 1e6, "rps": requests / arguments.seconds}
    print(f"  {name:9} {figures['rps']:8.0f} req/s  {figures['cpu_us']:6.1f} CPU µs/request", flush=True)
    return figures


def main():
    options = arguments()
    for tool in ("nginx", "wrk", "taskset"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing: apt-get install nginx-light wrk util-linux")
    if not (RELEASE / "tollgate").exists():
        sys.exit("build first: make build")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-bench-"))
    os.chmod(directory, 0o755)
    script = directory / "chat.lua"
    body = json.dumps({
        "model": "gpt-4o-mini", "max_tokens": 64,
        "messages": [{"role": "system", "content": "You are terse."},
                     {"role": "user", "content": "Say something about toll gates. [[mock tokens=40]]"}]})
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        'wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")\n'
        f"wrk.body = [[{body}]]\n" if "]]" not in body else
        'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
        'wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_KEY")\n'
        f"wrk.body = [==[{body}]==]\n")
    mock = Mock(directory, "--log", "none")
    dev = Dev(directory)
    nginx = Nginx(directory, mock.port)
    serve = None
    try:
        key = dev.account("bench", credits=100_000_000)
        port, ops = free_port(), free_port()
        serve = Process(
            [RELEASE / "tollgate", "serve"],
            dev.environment(
                LISTEN=f"127.0.0.1:{port}", OPS_LISTEN=f"127.0.0.1:{ops}", OPENAI_BASE_URL=mock.url + "/v1",
                TOLLGATE_THREADS="1"), directory / "serve.log", cwd=ROOT)
        wait_until(lambda: reachable(port) and http("GET", f"http://127.0.0.1:{port}/api/ready")[0] == 200, 30, "serve")
        pin(dev.process.child.pid, OTHER_CORE)
        pin(mock.process.child.pid, OTHER_CORE)
        pin(nginx.pid, PROXY_CORE)
        pin(serve.child.pid, PROXY_CORE)
        results = {"nginx": [], "tollgate": []}
        answered = 0
        for number in range(options.rounds + 1):
            print("warm-up" if number == 0 else f"round {number}", flush=True)
            for name, where, pid in (("nginx", nginx.port, nginx.pid), ("tollgate", port, serve.child.pid)):
                figures = measure(name, where, pid, key, options, script)
                if name == "tollgate":
                    answered += figures["requests"]
                if number:
                    results[name].append(figures)
        settle(dev, answered, options.connections * (options.rounds + 1))
        report(results)
    finally:
        if serve:
            serve.stop()
        nginx.stop()
        mock.stop()
        dev.stop()
        dev.remove()


def settle(dev, answered, unread):
    """Every answered request is settled once. wrk drops the replies in flight when its time is up, so a few more."""
    import psycopg2

    with psycopg2.connect(dev.databaseURL) as connection, connection.cursor() as cursor:
        def count():
            cursor.execute("SELECT count(*) FROM usage_events WHERE user_id = 'bench'")
            connection.commit()
            return cursor.fetchone()[0]

        previous = -1
        while (rows := count()) != previous:
            previous = rows
            time.sleep(1)
    if not answered <= rows <= answered + unread:
        sys.exit(f"{answered} requests answered, {rows} settled")
    dev.verify()
    print(f"{answered} requests answered, {rows} settled, verify clean")


def report(results):
    for name, rows in results.items():
        print(f"{name:9} median {statistics.median(r['cpu_us'] for r in rows):6.1f} CPU µs/request, "
              f"{1e6 / statistics.median(r['cpu_us'] for r in rows):8.0f} requests/s per core")
    ratios = [n["cpu_us"] / t["cpu_us"] for n, t in zip(results["nginx"], results["tollgate"])]
    print(f"ratio tollgate/nginx, requests per second per core: median {statistics.median(ratios):.2f} "
          f"(min {min(ratios):.2f}, max {max(ratios):.2f})")


if __name__ == "__main__":
    main()
