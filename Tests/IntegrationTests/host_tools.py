"""A host of production below a directory: its files below /etc, /usr/share and /var, the service, and stubs of the tools
that a test host has no use of. `tollgate` is the real one, and nothing of its settings stands in the environment."""
import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time

from harness import BIN, ROOT, Process, free_port, http, reachable, wait_until

# Where these begin, a path is moved below the directory.
MOVED = re.compile(r"/(?:etc|usr/share|var/backups|var/lib)/tollgate\b")
TOOLS = ("apt", "systemctl", "journalctl", "chgrp")
ENVIRONMENT = pathlib.Path("/etc/tollgate/tollgate.env")


class Host:
    """`authority` is whom its clients trust. `changed()` is waited for whenever the service has begun anew. `calls` has what
    the tools were asked to do, and nothing of looks at the log: who waits for a line looks as often as it takes."""

    def __init__(self, directory, authority):
        self.root = pathlib.Path(directory) / "host"
        self.work = self.root / "root"
        self.tools = self.root / "tools"
        for place in (self.work, self.tools, self.at("/etc/tollgate/secrets"), self.at("/var/lib/tollgate/journal"),
                      self.at("/var/lib/tollgate/tokenizer")):
            place.mkdir(parents=True)
        # The package has them in /usr/share/tollgate, where the program looks when there are none here.
        (self.work / "ratecards").symlink_to(ROOT / "ratecards")
        self.authority = authority
        self.port, self.ops = free_port(), free_port()
        self.public_url = f"https://127.0.0.1:{self.port}"
        self.log = self.root / "journal.log"
        self.calls, self.problems, self.service, self.changed = [], [], None, lambda: None
        self.listen()

    def at(self, path):
        return pathlib.Path(self.moved(str(path)))

    def moved(self, text):
        return MOVED.sub(lambda found: f"{self.root}{found[0]}", text)

    # Settings

    def configure(self, **settings):
        """The package's own tollgate.env, filled in: what it has a file for stands in that file."""
        certificate, key = self.authority.issue("host", ["localhost"])
        settings |= {
            "LISTEN": f"127.0.0.1:{self.port}", "OPS_LISTEN": f"127.0.0.1:{self.ops}", "PUBLIC_URL": self.public_url,
            "TLS_CERT": certificate, "TLS_KEY": key, "STRIPE_CA_FILE": self.authority.certificate, "ACCESS_LOG": "off"}
        text = (ROOT / "ops/debian/tollgate.env").read_text()
        for name, path in re.findall(r"^#(\w+)_FILE=(\S+)$", text, re.MULTILINE):
            self.at(path).write_text(settings.pop(name) + "\n")
            self.at(path).chmod(0o640)
        text = self.moved(re.sub(r"^#(\w+_FILE=)", r"\1", text, flags=re.MULTILINE))
        self.at(ENVIRONMENT).write_text(text + "".join(f'{name}="{value}"\n' for name, value in settings.items()))

    def secret(self, name):
        return self.at(f"/etc/tollgate/secrets/{name.lower()}")

    # The service

    def start(self):
        """As the unit does."""
        lines = self.at(ENVIRONMENT).read_text().splitlines()
        settings = dict(shlex.split(line)[0].split("=", 1) for line in lines if line and not line.startswith("#"))
        self.began = time.time()
        self.service = Process([BIN / "tollgate", "serve"], self.environment() | settings, self.log, cwd=self.work)

        def is_ready():
            assert self.service.child.poll() is None, self.service.output()[-6000:]
            return reachable(self.port) and http("GET", self.public_url + "/api/ready")[0] == 200

        wait_until(is_ready, 60, "the service")
        self.changed()

    def stop(self):
        if self.service:
            self.service.stop()
        self.server.shutdown()
        self.server.server_close()

    @property
    def pid(self):
        return self.service.child.pid

    # The tools

    def listen(self):
        """The stubs ask this process, whose child the service is."""
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                words = self.rfile.read(int(self.headers["content-length"])).decode()
                try:
                    status, text = 200, host.answer(words)
                except Exception as problem:
                    status, text = 500, f"{words}: {problem!r}\n"
                    host.problems.append(text)
                self.send_response(status)
                self.send_header("content-length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        for name in TOOLS:
            tool = self.tools / name
            tool.write_text('#!/bin/sh\nexec curl -sS --fail-with-body --noproxy "*" --data-raw "${0##*/} $*" '
                            f'http://127.0.0.1:{self.server.server_address[1]}/\n')
            tool.chmod(0o755)

    def answer(self, words):
        """What a tool prints. What none of them is asked for in the guide is an error."""
        match words.split():
            case ["systemctl", "enable", "tollgate"]:
                pass
            case ["systemctl", "restart", "tollgate"]:
                self.service.stop()
                self.start()
            case ["systemctl", "reload", "tollgate"]:
                self.service.child.send_signal(signal.SIGHUP)
            case ["journalctl", "-u", "tollgate", "--since", since]:
                return self.lines_since(int(since.removeprefix("@")))
            case ["apt", "install", *options, package]:
                assert options in ([], ["--allow-downgrades"]) and (self.work / package).is_file()
                # The package has them.
                shutil.copytree(
                    ROOT / "ops/prometheus", self.at("/usr/share/tollgate/ops/prometheus"), dirs_exist_ok=True)
            case ["chgrp", "tollgate", path]:
                assert pathlib.Path(path).is_file()
            case _:
                raise AssertionError("nobody prints this")
        self.calls.append(words)
        return ""

    def lines_since(self, second):
        """Of the service's log."""
        def is_since(line):
            written = re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", line)
            return written and datetime.datetime.fromisoformat(written[0] + "+00:00").timestamp() >= second

        return "".join(line + "\n" for line in self.service.output().splitlines() if is_since(line))

    def environment(self):
        keep = {name: os.environ[name] for name in ("HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ}
        return {**keep, "PATH": f"{self.tools}:{BIN}:{os.environ['PATH']}"}

    def run(self, text, **more):
        """What an operator types, as root in /root; what it prints."""
        done = subprocess.run(
            ["bash", "-euE", "-o", "pipefail", "-c", self.moved(text)], cwd=self.work, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=300, env=self.environment() | more)
        assert done.returncode == 0 and not self.problems, (done.stdout, self.problems)
        return done.stdout
