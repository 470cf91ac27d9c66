"""Some proxies on one Redis, one Postgres and one upstream, each store behind a relay; all private and thrown away."""
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

from harness import BIN, ROOT, Mock, Process, free_port, http, reachable, wait_until

from .relay import Relay
from .stores import PostgresStore, RedisStore

# Leases and graces short enough for a test; the proxy's own defaults are ten times as long.
LEASE_SECONDS, GRACE_SECONDS, SWEEP_SECONDS, HEARTBEAT_MILLISECONDS = 3, 4, 1, 500
JOURNAL_DISK_BYTES = 256 << 20
# A boot has two, and keeps them for three days: with the default of 16 MiB the disk is full after seven kills.
JOURNAL_SEGMENT_BYTES = 2 << 20


class Instance:
    """One `tollgate serve`, on a host of its own: its journal stays when the process dies, until it is wiped."""

    def __init__(self, cluster, number):
        self.cluster, self.number = cluster, number
        self.journal = cluster.directory / f"host-{number}"
        self.journal.mkdir()
        self.process = None
        self.starts = 0

    def launch(self):
        """Starts it; `wait` comes next. After this it has another port, as a new process on a host may."""
        self.starts += 1
        self.started_at = time.time()
        self.port, self.ops = free_port(), free_port()
        settings = self.cluster.environment(
            DATABASE_URL=self.cluster.postgres.url(self.cluster.postgres_relay.ports[self.number]),
            REDIS_URL=self.cluster.redis.url(self.cluster.redis_relay.ports[self.number]),
            LISTEN=f"127.0.0.1:{self.port}", OPS_LISTEN=f"127.0.0.1:{self.ops}", ACCESS_LOG="off",
            JOURNAL_DIR=str(self.journal / "journal"),
            **{"JOURNAL_SEGMENT_BYTES": str(JOURNAL_SEGMENT_BYTES), "TOLLGATE_THREADS": "2", **self.cluster.serving})
        self.process = Process(
            [BIN / "tollgate", "serve"], settings, self.cluster.directory / f"serve-{self.number}-{self.starts}.log",
            cwd=ROOT)

    def start(self, seconds=60):
        """Starts it and returns when it says that it is ready."""
        for attempt in range(3):
            self.launch()
            wait_until(lambda: not self.is_running or self.is_ready(), seconds, f"instance {self.number}")
            if self.is_running:
                return
            if attempt == 2 or "in use" not in self.process.output():
                raise AssertionError(f"instance {self.number} ended:\n" + self.process.output()[-3000:])

    @property
    def is_running(self):
        return self.process is not None and self.process.child.poll() is None

    def is_ready(self):
        try:
            return reachable(self.port) and self.ready()[0] == 200
        except OSError:
            return False

    def ready(self):
        status, _, body = http("GET", f"http://127.0.0.1:{self.port}/api/ready", timeout=5)
        return status, json.loads(body)

    def unavailable(self):
        """What is not ready, by `/api/ready`."""
        status, body = self.ready()
        names = [name for name, state in body["checks"].items() if state != "ok"]
        assert status == (503 if names else 200)
        return names

    def metric(self, name):
        """The sum over all labels of a counter or gauge of this process."""
        status, _, body = http("GET", f"http://127.0.0.1:{self.ops}/metrics")
        assert status == 200
        values = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", body.decode(), re.MULTILINE)
        assert values, f"there is no metric {name}"
        return sum(map(int, values))

    def kill(self):
        """`kill -9`."""
        self.process.child.kill()
        self.process.child.wait()
        self.process.file.close()

    def freeze(self):
        self.process.child.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.child.send_signal(signal.SIGCONT)

    def wipe(self):
        """The host's disk is gone."""
        for entry in self.journal.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def stop(self, seconds=60):
        """Drains and ends it; the exit code."""
        if not self.is_running:
            return None
        self.thaw()
        return self.process.stop(seconds)


class Cluster:
    """`with Cluster(2) as cluster:`; at the end every process is ended and every file removed, whatever happened.

    `postgres` makes the ledger's store; `serving` are settings of the proxies, and of nothing else.
    """

    def __init__(self, instances=2, postgres=PostgresStore, serving=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-chaos-"))
        self.directory.chmod(0o755)  # Postgres runs as another user when we are root
        self.parts, self.instances, self.mounts = [], [], []
        self.make_postgres, self.serving = postgres, serving or {}
        self.pepper, self.admin, self.session = (secrets.token_hex(32) for _ in range(3))
        try:
            self.build(instances)
        except BaseException:
            self.close()
            raise

    def build(self, instances):
        self.make_stores()
        self.postgres_relay = self.keep(Relay(self.postgres.port, instances))
        self.redis_relay = self.keep(Relay(self.redis.port, instances))
        self.mock = self.keep(Mock(self.directory))
        self.cli("migrate")
        self.cli("seed")
        made = self.cli("key", "create", "--user", "chaos", "--service").stdout
        self.service_key = re.search(r"tg_\S+", made)[0]
        self.instances = [Instance(self, number) for number in range(instances)]
        self.mount_small_disk(self.instances[0].journal)
        for instance in self.instances:
            instance.launch()
        for instance in self.instances:
            wait_until(lambda: not instance.is_running or instance.is_ready(), 60, "tollgate serve")
            if not instance.is_running:
                instance.start()

    def make_stores(self):
        self.postgres = self.keep(self.make_postgres(self.directory))
        self.redis = self.keep(RedisStore(self.directory))

    def keep(self, part):
        self.parts.append(part)
        return part

    def mount_small_disk(self, place):
        """A file system that can be filled without harming anybody else's; only root can make one."""
        self.no_small_disk = "a small file system for the journal can only be mounted by root"
        if os.geteuid() != 0:
            return
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={JOURNAL_DISK_BYTES},mode=0700", "tmpfs", place], capture_output=True,
            text=True)
        if done.returncode:
            self.no_small_disk = "no small file system for the journal: " + done.stderr.strip()
            return
        self.mounts.append(place)
        self.no_small_disk = None

    def environment(self, **more):
        env = {
            k: v for k, v in os.environ.items()
            if not k.startswith(("OPENAI_", "BILLING_", "DATABASE_", "REDIS_", "JOURNAL_", "TOLLGATE_"))}
        env.update(
            DATABASE_URL=self.postgres.url(), REDIS_URL=self.redis.url(self.redis.port), KEY_PEPPER=self.pepper,
            ADMIN_TOKEN=self.admin, SESSION_SECRET=self.session, OPENAI_API_KEY="sk-operator",
            OPENAI_BASE_URL=self.mock.url + "/v1", TOKENIZER_DIR="/nonexistent",
            TOLLGATE_TEST_LEASE_SECONDS=str(LEASE_SECONDS),
            TOLLGATE_TEST_GRACE_SECONDS=str(GRACE_SECONDS), TOLLGATE_TEST_SWEEP_SECONDS=str(SWEEP_SECONDS),
            TOLLGATE_TEST_HEARTBEAT_MILLISECONDS=str(HEARTBEAT_MILLISECONDS))
        env.update(more)
        return env

    def cli(self, *arguments, check=True, **settings):
        """The command line, straight at the stores; `settings` are added to its environment."""
        done = subprocess.run(
            [str(BIN / "tollgate"), *map(str, arguments)], env={**self.environment(), **settings},
            cwd=ROOT, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"{arguments} exited {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def create_account(self, user, credits):
        made = self.cli("account", "create", "--user", user, "--credits", credits).stdout
        return int(re.match(r"account (\d+)", made)[1])

    def account_of(self, user):
        return self.postgres.query(f"SELECT account_id FROM credit_balance WHERE user_id = '{user}'")[0][0]

    def grant(self, user, millicredits):
        self.cli(
            "account", "adjust", "--user", user, "--millicredits", millicredits, "--reason", "chaos",
            "--idempotency-key", secrets.token_hex(8))

    def start_redis(self):
        self.redis.start()
        self.redis_relay.retarget(self.redis.port)

    def start_postgres(self):
        self.postgres.start()
        self.postgres_relay.retarget(self.postgres.port)

    def heal(self):
        """Everything is there, nothing is broken any more; instances that are down are started."""
        if not self.redis.is_running:
            self.start_redis()
        if not self.postgres.is_running:
            self.start_postgres()
        for relay in (self.redis_relay, self.postgres_relay):
            relay.heal()
        self.mock.process.child.send_signal(signal.SIGCONT)
        for instance in self.instances:
            if instance.is_running:
                instance.thaw()
            else:
                instance.start()

    def restart_instances(self):
        """Each is drained and started again; the exit codes."""
        codes = [instance.stop() for instance in self.instances]
        for instance in self.instances:
            instance.start()
        return codes

    def until_no_hold_is_left(self, seconds):
        """Seconds until neither a hold nor an unposted capture is in Redis; None: not within the time."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            if not self.redis.count("h:") and not self.redis.count("u:"):
                return time.monotonic() - began
            time.sleep(0.1)
        return None

    def close(self):
        for instance in self.instances:
            if instance.is_running:
                instance.kill()
        for part in reversed(self.parts):
            try:
                if isinstance(part, Mock):
                    part.process.child.send_signal(signal.SIGCONT)
                part.stop()
            except Exception as error:  # The next one has to be stopped as well.
                print(f"stopping {part}: {error}")
        for place in self.mounts:
            subprocess.run(["umount", "-l", place], check=False)
        if "CHAOS_KEEP" in os.environ:
            print("kept:", self.directory)
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
