"""Real processes for black-box tests: `tollgate dev`, further `tollgate serve` instances, the mock upstream.

Nothing of Tollgate's code is imported here: what a test believes, it sees over HTTP, SQL, Redis or the command line.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("TOLLGATE_BIN", ROOT / ".build" / "debug"))


def ports():
    """Ports that no other worker of this run hands out, and the kernel to nobody (below its ephemeral ones)."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    block = range(11_000 + worker % 10 * 2_000, 13_000 + worker % 10 * 2_000)
    at = random.randrange(len(block))
    while True:
        at = (at + 1) % len(block)
        yield block[at]


PORTS = ports()


def free_port():
    for port in PORTS:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition, seconds=10.0, what="condition"):
    """Polls until `condition()` is true; the value is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


def http(method, url, body=None, headers=None, timeout=10):
    """(status, headers, bytes) of one request; error statuses are returned, not raised."""
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    if data is not None and not request.has_header("Content-type"):
        request.add_header("Content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:
            return reply.status, reply.headers, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


# How often a client asks again when Redis did not answer a hold within its 100 ms: on a busy machine that is no finding.
# What was answered so was not served, costs nothing and has no row.
BUSY_MAX = 10
BUSY_PAUSE_SECONDS = 0.1


def is_busy(status, body):
    return status == 503 and b"(deadline)" in body


def patient_http(*request, **more):
    """`http`, asked again while the hold store had no time; every other answer is the one that counts."""
    for _ in range(BUSY_MAX):
        reply = http(*request, **more)
        if not is_busy(reply[0], reply[2]):
            break
        time.sleep(BUSY_PAUSE_SECONDS)
    return reply


def wait_for_service(key, *bases):
    """Until each of these admits again: an instance that saw the hold store lose its data shuts its gate for seconds."""
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    for base in bases:
        wait_until(
            lambda: http("POST", base + "/chat/completions", body, {"Authorization": f"Bearer {key}"})[0] == 200, 30,
            f"service by {base}")


def crash_in(output):
    """Where a program crashed, from the report that Swift's runtime wrote; empty when it did not."""
    begin = output.rfind("*** Program crashed")
    return output[begin:begin + 6000] if begin >= 0 else ""


class Process:
    """A child with its output in a file; ended by id, never by name."""

    def __init__(self, arguments, env, log, cwd=None):
        self.log = pathlib.Path(log)
        self.file = open(self.log, "ab")
        self.child = subprocess.Popen(
            [str(a) for a in arguments], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self.file,
            stderr=subprocess.STDOUT)

    def output(self):
        return self.log.read_text(errors="replace")

    def stop(self, seconds=30):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
                raise AssertionError(f"did not stop within {seconds} s:\n{self.output()[-4000:]}")
        self.file.close()
        if crash := crash_in(self.output()):
            raise AssertionError(f"ended with {self.child.returncode}:\n{crash}")
        return self.child.returncode

    def rss_kib(self):
        """Memory that is the process' own. Pages of the mapped journal are the file's: they come and go with its
        segments, and the kernel may take them at any time."""
        for line in pathlib.Path(f"/proc/{self.child.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
        raise AssertionError("no RssAnon")


class Mock:
    """A mock upstream of its own."""

    def __init__(self, directory, *flags):
        self.directory = pathlib.Path(directory)
        self.port = free_port()
        self.process = Process(
            [BIN / "mock-openai", "--port", self.port, *flags], os.environ.copy(), self.directory / "mock.log")
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: self.process.child.poll() is not None or reachable(self.port), 20, "mock-openai")

    def log(self):
        return mock_log(self.url)

    def reset(self):
        assert http("POST", self.url + "/_mock/reset")[0] == 200

    def stats(self):
        return json.loads(http("GET", self.url + "/_mock/stats")[2])

    def hold_replies(self):
        assert http("POST", self.url + "/_mock/barrier", {"hold": True})[0] == 200

    def release_replies(self):
        assert http("POST", self.url + "/_mock/release")[0] == 200

    def stop(self):
        return self.process.stop()


def mock_log(root):
    status, _, body = http("GET", root + "/_mock/log", timeout=60)
    assert status == 200
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def reachable(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class Dev:
    """`tollgate dev` in a directory of its own."""

    def __init__(self, directory=None):
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="tollgate-it-"))
        self.directory.chmod(0o755)  # Postgres runs as another user when we are root
        self.start()

    def start(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "DATABASE_", "REDIS_", "STRIPE_"))}
        state = self.directory / "dev"
        ready = state / "dev.json"
        ready.unlink(missing_ok=True)
        self.process = Process(
            [BIN / "tollgate", "dev", "--port", "0", "--dir", state], env, self.directory / "dev.log", cwd=ROOT)
        wait_until(
            lambda: ready.exists() or self.process.child.poll() is not None, 120, "tollgate dev")
        if self.process.child.poll() is not None:
            raise AssertionError("tollgate dev ended:\n" + self.process.output()[-6000:])
        self.facts = json.loads(ready.read_text())

    def __getattr__(self, name):
        try:
            return self.__dict__["facts"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def root(self):
        return self.baseURL.removesuffix("/v1")

    @property
    def mock_root(self):
        return self.upstreamURL.removesuffix("/v1")

    def environment(self, **more):
        """What another process needs to work on the same stores."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "BILLING_", "STRIPE_"))}
        env.update(
            DATABASE_URL=self.databaseURL, REDIS_URL=self.redisURL, KEY_PEPPER=self.keyPepper,
            ADMIN_TOKEN=self.adminToken, SESSION_SECRET="s" * 32, OPENAI_API_KEY="sk-operator",
            OPENAI_BASE_URL=self.upstreamURL, JOURNAL_DIR=str(self.directory / "journal"))
        env.update(more)
        return env

    def cli(self, *arguments, check=True, **env):
        done = subprocess.run(
            [str(BIN / "tollgate"), *map(str, arguments)], env=self.environment(**env), cwd=ROOT,
            capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def account(self, user, credits=0):
        """A new account and a key for it."""
        self.cli("account", "create", "--user", user, "--credits", str(credits))
        return self.key(user)

    def key(self, user):
        return next(
            word for word in self.cli("key", "create", "--user", user).stdout.split() if word.startswith("tg_"))

    def verify(self):
        """All invariants, with the journals of the stack itself and of the proxies beside it."""
        for journals in (self.directory / "dev" / "journal", self.directory / "journal"):
            done = self.cli("verify", check=False, JOURNAL_DIR=str(journals))
            assert done.returncode == 0, done.stdout + done.stderr

    def stop(self):
        code = self.process.stop(60)
        return code

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def own_stack():
    """A stack that ends well, and whose data go."""
    stack = Dev()
    yield stack
    assert stack.stop() == 0, stack.process.output()[-4000:]
    stack.remove()


class Serve:
    """One more proxy on a dev stack's stores."""

    def __init__(self, dev, port=None, ops=None, **env):
        self.port, self.ops = port or free_port(), ops or free_port()
        self.base = f"http://127.0.0.1:{self.port}/v1"
        self.root = f"http://127.0.0.1:{self.port}"
        settings = dev.environment(
            **{"LISTEN": f"127.0.0.1:{self.port}", "OPS_LISTEN": f"127.0.0.1:{self.ops}", "ACCESS_LOG": "off", **env})
        self.process = Process(
            [BIN / "tollgate", "serve"], settings, dev.directory / f"serve-{self.port}-{self.ops}.log", cwd=ROOT)
        wait_until(self.ready, 60, "tollgate serve")

    def ready(self):
        if self.process.child.poll() is not None:
            raise AssertionError("tollgate serve ended:\n" + self.process.output()[-6000:])
        if not reachable(self.port) or http("GET", self.root + "/api/ready")[0] != 200:
            return False
        assert reachable(self.ops), "whoever sees that it is ready may ask for its metrics"
        return True

    def stop(self):
        return self.process.stop()


@contextlib.contextmanager
def running(*processes):
    try:
        yield processes[0] if len(processes) == 1 else processes
    finally:
        for process in processes:
            process.stop()
