"""SIGHUP takes over what files say now; a log that nobody reads holds nobody up."""
import hashlib
import json
import os
import signal
import subprocess
import time

from harness import BIN, ROOT, Mock, Serve, free_port, http, running, wait_until
from wire_tools import chat, load


def ask(serve, key, text="hi"):
    return http("POST", serve.base + "/chat/completions", chat(text=text), {"Authorization": f"Bearer {key}"})


def reload(serve, said):
    before = serve.process.output().count(said)
    serve.process.child.send_signal(signal.SIGHUP)
    wait_until(lambda: serve.process.output().count(said) > before, 10, said)


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
        assert 60_000 < len(written) <= 65_536, "the pipe was full"
        # What was written is whole lines, but for the last.
        for line in written.splitlines()[:-1]:
            assert json.loads(line)["path"] in ("/api/health", "/api/ready")
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(read_end)
