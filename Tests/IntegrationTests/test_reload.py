"""SIGHUP takes over what files say now; a log that nobody reads holds nobody up."""
import hashlib
import json
import os
import resource
import signal
import subprocess
import time

import psycopg2
import pytest

from harness import BIN, ROOT, Mock, Serve, free_port, http, reachable, running, wait_until
from wire_tools import Authority, TLSServe, chat, load


def ask(serve, key, text="hi"):
    return http("POST", serve.base + "/chat/completions", chat(text=text), {"Authorization": f"Bearer {key}"})


def reload(serve, said):
    before = serve.process.output().count(said)
    serve.process.child.send_signal(signal.SIGHUP)
    wait_until(lambda: serve.process.output().count(said) > before, 10, said)


def models(serve, key):
    """The status of a request that needs a key, but no credits."""
    return http("GET", serve.base + "/models", headers={"Authorization": f"Bearer {key}"})[0]


def upstream_saw(mock, secret):
    return mock.log()[-1]["authorization_seen"] == hashlib.sha256(secret.encode()).hexdigest()[:8]


class Starting(Serve):
    """A proxy that is not waited for."""

    def ready(self):
        return True

    def wait_until_ready(self):
        wait_until(lambda: Serve.ready(self), 60, "tollgate serve")


def test_secrets_are_read_again_and_never_half(dev, tmp_path):
    key = dev.account("reload", 100_000)
    mock = Mock(tmp_path)
    files = {name: tmp_path / name for name in ("OPENAI_API_KEY", "ADMIN_TOKEN")}
    files["OPENAI_API_KEY"].write_text("sk-first\n")
    files["ADMIN_TOKEN"].write_text("admin-token-the-first-of-this-test-0001\n")
    env = {f"{name}_FILE": str(path) for name, path in files.items()} | {name: "" for name in files}
    with running(serve := Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", **env), mock):
        def upstream_key():
            assert ask(serve, key)[0] == 200
            return mock.log()[-1]["authorization_seen"]

        def admits(token):
            asked = {"Authorization": f"Bearer {token}"}
            return http("GET", serve.root + "/api/billing/summary?userId=reload", headers=asked)[0]

        def seen(text):
            return hashlib.sha256(text.encode()).hexdigest()[:8]

        assert upstream_key() == seen("sk-first")
        allowed, refused = admits("admin-token-the-first-of-this-test-0001"), admits("admin-token-of-nobody-at-all-in-this-03")
        assert allowed != 401 and refused == 401

        files["OPENAI_API_KEY"].write_text("sk-second\n")
        files["ADMIN_TOKEN"].write_text("admin-token-the-second-of-this-test-002\n")
        assert upstream_key() == seen("sk-first"), "not before it is asked to"
        reload(serve, "reloaded: upstream key")
        assert upstream_key() == seen("sk-second")
        assert admits("admin-token-the-first-of-this-test-0001") == 401 and admits("admin-token-the-second-of-this-test-002") == allowed

        # One bad file: nothing changes, and it is said, without the secret.
        files["OPENAI_API_KEY"].write_text("sk-third\n")
        files["ADMIN_TOKEN"].unlink()
        reload(serve, "not reloaded: configuration")
        assert "ADMIN_TOKEN_FILE" in serve.process.output()
        assert upstream_key() == seen("sk-second") and admits("admin-token-the-second-of-this-test-002") == allowed
        assert "sk-" not in serve.process.output() and "admin-token" not in serve.process.output()


def test_peppers_rotate(dev, tmp_path):
    old_key = dev.account("reload-pepper")
    second = "pepper-the-second-of-this-test-000002"
    new_key = next(word for word in dev.cli(
        "key", "create", "--user", "reload-pepper", KEY_PEPPER=second).stdout.split() if word.startswith("tg_"))
    file = tmp_path / "pepper"
    file.write_text(dev.keyPepper)
    with running(serve := Serve(dev, KEY_PEPPER="", KEY_PEPPER_FILE=str(file))):
        for peppers, old, new in [(None, 200, 401), (f"{second}, {dev.keyPepper}\n", 200, 200), (second, 401, 200)]:
            if peppers:
                file.write_text(peppers)
                reload(serve, "reloaded: upstream key")
            assert (models(serve, old_key), models(serve, new_key)) == (old, new)
        # Commas alone are no pepper, and no reason to end.
        file.write_text(",")
        reload(serve, "not reloaded: configuration")
        assert (models(serve, old_key), models(serve, new_key)) == (401, 200)


def test_a_broken_certificate_holds_up_no_secret(dev, tmp_path):
    """A pair that is half written when SIGHUP comes is refused by itself."""
    key = dev.account("reload-pair", 100_000)
    authority, mock = Authority(tmp_path), Mock(tmp_path)
    certificate, private = authority.issue("first", ["localhost"])
    file = tmp_path / "key"
    file.write_text("sk-first")
    serve = TLSServe(
        dev, authority, [(certificate, private)], OPENAI_BASE_URL=mock.url + "/v1", OPENAI_API_KEY="",
        OPENAI_API_KEY_FILE=str(file))

    def asks():
        got = serve.curl("/v1/chat/completions", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                         f"Authorization: Bearer {key}", "-H", "Content-Type: application/json", "-d", json.dumps(chat()))
        assert got.stdout == "200"

    with running(serve, mock):
        before = serve.handshake("localhost")[0]
        private.write_text(private.read_text()[:40])
        file.write_text("sk-second")
        reload(serve, "not reloaded: certificates")
        assert "not reloaded: configuration" not in serve.process.output()
        asks()
        assert upstream_saw(mock, "sk-second")
        assert serve.handshake("localhost")[0] == before


def test_the_roots_of_the_upstream_are_read_again(dev, tmp_path):
    key = dev.account("reload-roots", 100_000)
    theirs, other = tmp_path / "theirs", tmp_path / "other"
    theirs.mkdir(), other.mkdir()
    authority, stranger = Authority(theirs), Authority(other)
    certificate, private = authority.issue("upstream", ["localhost"])
    roots = tmp_path / "roots.pem"
    roots.write_text(stranger.certificate.read_text())
    mock = Mock(tmp_path, "--tls-cert", certificate, "--tls-key", private)
    serve = Serve(dev, OPENAI_BASE_URL=f"https://localhost:{mock.port}/v1", OPENAI_CA_FILE=str(roots))
    with running(serve, mock):
        assert ask(serve, key)[0] == 502
        roots.write_text(authority.certificate.read_text())
        serve.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: ask(serve, key)[0] == 200, 10, "the upstream is trusted")
        # Roots that cannot be used change nothing, and hold up nothing else.
        roots.write_text("nonsense")
        reload(serve, "not reloaded: OPENAI_CA_FILE")
        assert "not reloaded: configuration" not in serve.process.output()
        assert ask(serve, key)[0] == 200


def test_a_hang_up_before_the_ledger_was_read_is_followed(dev, tmp_path):
    """It neither ends the process nor is it forgotten, though nothing is there yet that could take anything over."""
    key = dev.account("reload-early", 100_000)
    mock = Mock(tmp_path)
    file = tmp_path / "key"
    file.write_text("sk-first")
    locker, watcher = psycopg2.connect(dev.databaseURL), psycopg2.connect(dev.databaseURL)
    watcher.autocommit = True

    def waits():
        with watcher.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid() "
                "AND query LIKE '%%digest, false%%FROM api_key WHERE revoked_at IS NULL%%'")
            return cursor.fetchone()[0] > 0

    with locker.cursor() as cursor:
        cursor.execute("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")
    serve = Starting(dev, OPENAI_BASE_URL=mock.url + "/v1", OPENAI_API_KEY="", OPENAI_API_KEY_FILE=str(file))
    with running(serve, mock):
        try:
            # By then the configuration was read, and the keys were not.
            wait_until(waits, 30, "the proxy waits for the ledger")
            file.write_text("sk-second")
            serve.process.child.send_signal(signal.SIGHUP)
        finally:
            locker.close()
            watcher.close()
        serve.wait_until_ready()
        wait_until(lambda: "reloaded: upstream key" in serve.process.output(), 10, "the reload")
        assert ask(serve, key)[0] == 200
        assert upstream_saw(mock, "sk-second")


def test_a_hang_up_before_the_port_is_open_is_followed(dev, tmp_path):
    """The loops get the secrets of the beginning; what changes meanwhile must not be lost, least of all said."""
    key = dev.account("reload-loops")
    file = tmp_path / "pepper"

    def start():
        """Whether the signal came in time: the public port is open seconds after the operator's."""
        file.write_text("pepper-of-nobody-at-all-in-this-test-1")
        # Each loop waits a moment for the hold store, which is not there.
        serve = Starting(
            dev, REDIS_URL=f"redis://127.0.0.1:{free_port()}", KEY_PEPPER="", KEY_PEPPER_FILE=str(file),
            TOLLGATE_THREADS="2")
        try:
            wait_until(lambda: reachable(serve.ops), 30, "the operator's port")
            file.write_text(dev.keyPepper)
            serve.process.child.send_signal(signal.SIGHUP)
            return serve, not reachable(serve.port)
        except BaseException:
            serve.stop()
            raise

    for _ in range(3):
        serve, is_in_time = start()
        if is_in_time:
            break
        serve.stop()
    assert is_in_time, "it was never seen starting"
    with running(serve):
        wait_until(lambda: reachable(serve.port), 30, "the public port")
        wait_until(lambda: "reloaded: upstream key" in serve.process.output(), 10, "the reload")
        assert models(serve, key) == 200


@pytest.mark.parametrize("connections", ["0", "100"])
def test_descriptors_are_taken_whatever_the_limits_say(dev, connections):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 512), before[1]))
    try:
        serve = Starting(dev, MAX_CONNECTIONS=connections)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with running(serve):
        serve.wait_until_ready()
        assert resource.prlimit(serve.process.child.pid, resource.RLIMIT_NOFILE) == (before[1], before[1])


def test_a_moved_access_log_is_opened_anew_and_no_line_is_lost(dev, tmp_path):
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with running(serve := Serve(dev, ACCESS_LOG=str(log))):
        done = []

        def run(index):
            done.append(http("GET", serve.root + "/api/health", timeout=30)[0])

        with load(run, 4):
            time.sleep(0.5)
            os.rename(log, moved)
            serve.process.child.send_signal(signal.SIGHUP)
            wait_until(log.exists, 10, "a new file")
            time.sleep(0.5)
    assert set(done) == {200} and log.stat().st_mode & 0o777 == 0o640
    lines = [json.loads(line) for file in (moved, log) for line in file.read_text().splitlines()]
    assert sum(line["path"] == "/api/health" for line in lines) == len(done)
    assert len(log.read_text()) > 0 and len(moved.read_text()) > 0


def test_a_log_that_nobody_reads_holds_nobody_up(dev):
    """Standard output is a full pipe: exchanges go on, and so does the end of the process."""
    port, ops = free_port(), free_port()
    read_end, write_end = os.pipe()
    env = dev.environment(LISTEN=f"127.0.0.1:{port}", OPS_LISTEN=f"127.0.0.1:{ops}", ACCESS_LOG="-")
    with open(dev.directory / f"serve-{port}.log", "ab") as errors:
        child = subprocess.Popen(
            [str(BIN / "tollgate"), "serve"], env=env, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=write_end,
            stderr=errors)
    os.close(write_end)
    try:
        root = f"http://127.0.0.1:{port}"

        def ready():
            try:
                return http("GET", root + "/api/ready")[0] == 200
            except OSError:
                return False

        wait_until(ready, 60, "tollgate serve")
        for _ in range(600):
            assert http("GET", root + "/api/health")[0] == 200
        child.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert child.wait(30) == 0 and time.monotonic() - began < 20
        written = os.read(read_end, 1 << 20)
        # How much a pipe takes depends on the size of the single writes.
        assert 40_000 < len(written) <= 65_536 and written.count(b"\n") < 600, "the pipe was full"
        # What was written is whole lines, but for the last.
        for line in written.splitlines()[:-1]:
            assert json.loads(line)["path"] in ("/api/health", "/api/ready")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(read_end)
