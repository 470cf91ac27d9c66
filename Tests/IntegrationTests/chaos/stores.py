"""Redis and Postgres as the product runs them, each on a loopback port of its own, to be killed and brought back.

A store that comes back listens on another port, since somebody else may have taken the old one meanwhile; the relay
before it is told.
"""
import contextlib
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import subprocess

import psycopg2
import redis as redis_client

from harness import Process, free_port, wait_until

ATTEMPTS = 5


class Store:
    """Starts its server, again on another port when somebody was quicker."""

    def launch(self):
        for _ in range(ATTEMPTS):
            self.port = free_port()
            self.process = Process(self.command(), os.environ.copy(), self.directory / f"{self.name}.log")
            wait_until(lambda: self.process.child.poll() is not None or self.answers(), 60, self.name)
            if self.process.child.poll() is None:
                return
            self.process.file.close()
        raise AssertionError(f"{self.name} does not start:\n" + self.process.output()[-3000:])

    def end(self, how):
        self.process.child.send_signal(how)
        self.process.child.wait(60)
        self.process.file.close()

    @property
    def is_running(self):
        return self.process.child.poll() is None


class RedisStore(Store):
    """AOF every second, noeviction, no snapshots of its own; `kill -9`, FLUSHALL, and an older RDB on demand."""

    def __init__(self, directory, name="redis", secret=None):
        self.directory, self.name = pathlib.Path(directory), name
        self.data = self.directory / name
        self.data.mkdir()
        self.secret = secret or secrets.token_hex(16)
        self.launch()

    def command(self):
        file = self.data / "redis.conf"
        file.write_text(
            f'bind 127.0.0.1\nport {self.port}\nrequirepass {self.secret}\ndaemonize no\ndir "{self.data}"\nsave ""\n'
            "appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\n")
        file.chmod(0o600)
        return ["redis-server", file]

    def client(self):
        return redis_client.Redis(port=self.port, password=self.secret, decode_responses=True, socket_timeout=10)

    def answers(self):
        try:
            with self.client() as client:
                return client.ping()
        except redis_client.RedisError:
            return False

    def url(self, port):
        return f"redis://:{self.secret}@127.0.0.1:{port}/0"

    def kill(self):
        self.end(signal.SIGKILL)

    def start(self):
        self.launch()

    def flush(self):
        with self.client() as client:
            client.flushall()

    def snapshot(self):
        """What an RDB of now is; for `restore`."""
        with self.client() as client:
            client.save()
        return (self.data / "dump.rdb").read_bytes()

    def restore(self, snapshot):
        """While it is down: replaces everything by an older snapshot, as the base of a fresh append-only file."""
        files = self.data / "appendonlydir"
        shutil.rmtree(files, ignore_errors=True)
        files.mkdir()
        (files / "appendonly.aof.1.base.rdb").write_bytes(snapshot)
        (files / "appendonly.aof.manifest").write_text("file appendonly.aof.1.base.rdb seq 1 type b\n")

    def follow(self, primary):
        """Becomes a replica of one with the same secret; what it had is replaced by what that has."""
        with primary.client() as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with self.client() as client:
            client.config_set("masterauth", self.secret)
            client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
            wait_until(lambda: client.info("replication").get("master_link_status") == "up", 20, "replication")

    def promote(self):
        """Follows nobody any more, and takes commands that write."""
        with self.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")

    def entries(self):
        """account → its hash, of all accounts."""
        with self.client() as client:
            return {int(key[3:-1]): client.hgetall(key) for key in client.scan_iter("a:{*}", count=1000)}

    def count(self, prefix, account=None):
        """How many fields with this prefix one account has, or all of them: `h:` holds, `u:` captured and not posted."""
        if account is None:
            hashes = self.entries().values()
        else:
            with self.client() as client:
                hashes = [client.hkeys(f"a:{{{account}}}")]
        return sum(field.startswith(prefix) for fields in hashes for field in fields)

    def stop(self):
        if self.is_running:
            self.end(signal.SIGTERM)


class PostgresStore(Store):
    """A durable cluster with a password; `immediate` stops on demand. As root it runs as user `postgres`."""

    name = "postgres"

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.programs = self.find_programs()
        self.prefix = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.data = self.make_place("postgres")
        self.secret = secrets.token_hex(16)
        self.make_cluster()
        self.launch()
        with self.connect("postgres") as connection:
            connection.cursor().execute("CREATE DATABASE tollgate")

    def make_place(self, name):
        """An empty directory of the user that Postgres runs as."""
        place = self.directory / name
        place.mkdir(0o700)
        self.give(place)
        return place

    def give(self, path):
        if self.prefix:
            shutil.chown(path, "postgres", "postgres")

    def make_cluster(self):
        # The password goes through a file that only that user can read, never through arguments.
        password = self.directory / "postgres.password"
        password.touch(0o600)
        password.write_text(self.secret)
        self.give(password)
        subprocess.run(
            [*self.prefix, self.programs / "initdb", "-D", self.data, "-U", "tollgate", "-A", "scram-sha-256",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", f"--pwfile={password}"], check=True, capture_output=True)
        password.unlink()

    @staticmethod
    def find_programs():
        versions = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
        if found := shutil.which("initdb"):
            versions.append(pathlib.Path(found).resolve().parent)
        assert versions, "Postgres is not installed (scripts/bootstrap.sh installs it)"
        return versions[-1]

    def command(self):
        return [
            *self.prefix, self.programs / "postgres", "-D", self.data, "-p", self.port,
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200"]

    def url(self, port=None):
        return f"postgresql://tollgate:{self.secret}@127.0.0.1:{port or self.port}/tollgate"

    def connect(self, database="tollgate"):
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="tollgate", password=self.secret, dbname=database, connect_timeout=5)
        connection.autocommit = True
        # psycopg2's own `with` would open a transaction, and close nothing.
        return contextlib.closing(connection)

    def answers(self):
        try:
            with self.connect("postgres"):
                return True
        except psycopg2.Error:
            return False

    def query(self, text, *parameters):
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else None

    def stop_immediately(self):
        """As `pg_ctl -m immediate stop`: no checkpoint, the next start recovers from the log."""
        self.end(signal.SIGQUIT)

    def start(self):
        self.launch()

    def stop(self):
        if self.is_running:
            self.end(signal.SIGINT)

