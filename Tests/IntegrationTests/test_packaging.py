"""The Debian package, the unit, the manual page, the completions and the container file: made of the program at hand."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

import pytest

from calendar_tools import this_month
from harness import BIN, ROOT, Process, Serve, free_port, http, patient_http, running, wait_until
from sandbox_tools import Sandbox, SandboxedServe
from staff_tools import Person
from stripe_tools import LIVE_KEY, SECRET, MockStripe

UNIT = ROOT / "ops/systemd/tollgate.service"


def run(*command, code=0, **more):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600, **more)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module", autouse=True)
def programs():
    """Nothing of this is left out because it cannot be looked at."""
    wanted = ("cc", "dpkg-shlibdeps", "lintian", "mandoc", "systemd-analyze", "systemd-sysusers", "unshare")
    missing = [name for name in wanted if shutil.which(name) is None]
    assert not missing, f"scripts/bootstrap.sh test installs {missing}"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    out = tmp_path_factory.mktemp("package")
    return pathlib.Path(run(ROOT / "scripts/package.sh", BIN, out).stdout.strip())


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory):
    """The package's files in a root of their own."""
    root = tmp_path_factory.mktemp("root")
    run("dpkg-deb", "-x", package, root)
    return root


def test_the_program_runs_from_its_package_alone(installed):
    """Without the toolchain's libraries: what Debian has not stands beside the program."""
    program = installed / "usr/bin/tollgate"
    env = {"PATH": "/usr/bin:/bin", "LD_DEBUG": "libs"}
    done = run(program, "--help", env=env)
    assert "smoke-test" in done.stdout
    loaded = re.findall(r"calling init: (\S+)", done.stderr)
    swift = [path for path in loaded if "swift" in path.lower() or "Foundation" in path]
    assert swift and run("ldd", installed / "usr/lib/tollgate/tollgate").stdout.count("not found") == 0
    for name in ("libswiftCore.so", "libFoundation.so"):
        assert (installed / "usr/lib/tollgate" / name).exists()
    version = run(program, "--version", env={"PATH": "/usr/bin:/bin"}).stdout.strip()
    assert version == run(BIN / "tollgate", "--version").stdout.strip()


def test_the_package_says_what_it_needs_and_what_it_keeps(package, installed):
    control = run("dpkg-deb", "-f", package).stdout
    for library in ("libc6", "libpq5", "libssl3", "libhiredis", "libcurl", "libpangocairo"):
        assert library in control, control
    listing = run("dpkg-deb", "-c", package).stdout
    modes = {line.split()[5]: line.split()[0:2] for line in listing.splitlines()}
    assert modes["./etc/tollgate/tollgate.env"] == ["-rw-r-----", "root/root"]
    assert modes["./etc/tollgate/secrets/"] == ["drwxr-x---", "root/root"]
    assert all(owner == "root/root" for _, owner in modes.values())
    assert run("dpkg-deb", "--ctrl-tarfile", package, code=0) and "conffiles" in run("dpkg-deb", "-I", package).stdout
    for path in ("usr/lib/systemd/system/tollgate.service", "usr/lib/sysusers.d/tollgate.conf",
                 "usr/share/man/man1/tollgate.1.gz", "usr/share/tollgate/ratecards/openai-2026-11-12.yaml",
                 "usr/share/tollgate/ops/prometheus/alerts.rules.yml", "usr/share/tollgate/ops/prometheus/recording.rules.yml",
                 "usr/share/tollgate/ops/alertmanager/alertmanager.yml",
                 "usr/share/tollgate/ops/grafana/dashboards/operations.json",
                 "usr/share/bash-completion/completions/tollgate", "usr/share/zsh/vendor-completions/_tollgate",
                 "usr/share/fish/vendor_completions.d/tollgate.fish"):
        assert (installed / path).is_file()
    assert "Recommends: libjs-chart.js, postgresql-client\n" in control
    # What is set is where the unit keeps its state, for commands that read the file as well; nothing else is.
    env = (installed / "etc/tollgate/tollgate.env").read_text()
    unit = (installed / "usr/lib/systemd/system/tollgate.service").read_text()
    state = re.search(r"^Environment=(.*)$", unit, re.M).group(1).split()
    assert [line for line in env.splitlines() if line and not line.startswith("#")] == state


@pytest.mark.skipif(os.geteuid() != 0, reason="dpkg gives files to root")
def test_the_package_can_be_unpacked_by_dpkg(package, tmp_path):
    """Into a root that has nothing but dpkg's own records."""
    root = tmp_path / "bare"
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    install = ["dpkg", f"--root={root}", "--force-depends", "--force-not-root", "--force-script-chrootless", "--unpack"]
    run(*install, package)
    assert "tollgate" in run("dpkg", f"--root={root}", "-l", "tollgate").stdout
    assert (root / "usr/bin/tollgate").is_symlink()
    verified = run("dpkg", f"--root={root}", "--verify", "tollgate", code=None)
    assert "usr/lib/tollgate/tollgate" not in verified.stdout, verified.stdout
    for script in ("postinst", "prerm", "postrm"):
        run("sh", "-n", ROOT / "ops/debian" / script)


CONFIGURE = """
set -e
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
sh -e ops/debian/postinst configure
stat -c '%U:%G %a %n' /var/lib/tollgate /var/lib/tollgate/journal
chmod 0711 /var/lib/tollgate/journal
sh -e ops/debian/postinst configure
stat -c %a /var/lib/tollgate/journal
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a mount namespace of its own")
def test_configuring_makes_the_user_and_its_journal(tmp_path):
    """In a copy of /etc and an empty /var/lib, which this machine does not see. A second time nothing is changed."""
    shutil.copytree("/etc", tmp_path / "etc", symlinks=True)
    (tmp_path / "lib").mkdir()
    (tmp_path / "etc/tollgate/secrets").mkdir(parents=True)
    (tmp_path / "etc/tollgate/tollgate.env").touch()
    (tmp_path / "etc/sysusers.d").mkdir(exist_ok=True)
    shutil.copy(ROOT / "ops/systemd/tollgate.sysusers", tmp_path / "etc/sysusers.d/tollgate.conf")
    done = run("unshare", "-m", "sh", "-c", CONFIGURE, "sh", tmp_path, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "tollgate:tollgate 750 /var/lib/tollgate", "tollgate:tollgate 700 /var/lib/tollgate/journal", "711"]


def test_lintian_finds_no_error(package):
    done = run("lintian", "--fail-on", "error", "--no-cfg", package, code=None)
    assert done.returncode == 0 and "E:" not in done.stdout, done.stdout


STUB = """
#include <unistd.h>
int main(int count, char **arguments) { return execv(PROGRAM, arguments); }
"""


@pytest.mark.parametrize("flags", [[], ["-static"]], ids=["needs libc", "needs nothing"])
def test_a_program_without_libraries_of_swift_is_packaged(tmp_path, flags):
    """As `make build` links it: a program that answers like ours, and has no library beside it."""
    (tmp_path / "tollgate").mkdir()
    run("cc", f'-DPROGRAM="{BIN / "tollgate"}"', *flags, "-x", "c", "-o", tmp_path / "tollgate/tollgate", "-", input=STUB)
    made = run(ROOT / "scripts/package.sh", tmp_path / "tollgate", tmp_path / "out")
    package = pathlib.Path(made.stdout.strip())
    assert not made.stderr or "not a dynamic executable" in made.stderr, made.stderr
    depends = run("dpkg-deb", "-f", package, "Depends").stdout.strip().split(", ")
    assert [name.split()[0] for name in depends] == ([] if flags else ["libc6"]) + ["ca-certificates"]
    run("dpkg-deb", "-x", package, tmp_path / "root")
    assert os.listdir(tmp_path / "root/usr/lib/tollgate") == ["tollgate"]
    for path in ("usr/share/doc/tollgate/copyright", "usr/share/lintian/overrides/tollgate"):
        text = (tmp_path / "root" / path).read_text()
        assert "Swift project" not in text and "shared-library" not in text


def test_what_fails_while_packaging_is_said(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dpkg-shlibdeps").write_text("#!/bin/sh\necho 'no package has libnowhere.so' >&2\nexit 2\n")
    (tools / "dpkg-shlibdeps").chmod(0o755)
    run("cc", f'-DPROGRAM="{BIN / "tollgate"}"', "-x", "c", "-o", tmp_path / "tollgate", "-", input=STUB)
    done = run(ROOT / "scripts/package.sh", tmp_path, tmp_path / "out", code=None,
               env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
    assert done.returncode != 0 and "libnowhere.so" in done.stderr and not (tmp_path / "out").exists()


def test_the_unit_is_valid_and_exposes_little(tmp_path):
    unit = tmp_path / "tollgate.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/tollgate", str(BIN / "tollgate")))
    verified = run("systemd-analyze", "verify", "--man=no", unit, code=None)
    assert "tollgate.service" not in verified.stderr, verified.stderr
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit, code=None).stdout
    score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said).group(1))
    assert score <= 2.0, said


def test_the_unit_says_what_the_program_does():
    unit = UNIT.read_text()
    assert "Type=notify" in unit and "RestartPreventExitStatus=64 78" in unit
    # A store that is away at the start is waited for; /proc/stat says since when the process runs.
    assert "StartLimitIntervalSec=0\n" in unit and "RestartSec=2\n" in unit and "StartLimitBurst" not in unit
    assert not re.search(r"^ProcSubset=", unit, re.M) and "ProtectProc=invisible" in unit
    stop = int(re.search(r"TimeoutStopSec=(\d+)", unit).group(1))
    # SHUTDOWN_TIMEOUT and DRAIN_TIMEOUT by default; systemd must not kill what still drains.
    assert stop > 30 + 300


class Manager:
    """systemd's end of $NOTIFY_SOCKET."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(60)

    def next(self):
        return self.socket.recv(4096).decode()


def test_systemd_is_told_when_it_is_ready_lives_and_stops(dev, tmp_path):
    manager = Manager(tmp_path)
    serve = Serve(dev, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="600000", JOURNAL_DIR=str(tmp_path / "journal"))
    with running(serve):
        told = []
        # A machine that is busy is alive for a while before it is ready.
        while "READY=1" not in told[:-2] and len(told) < 200:
            told.append(manager.next())
        assert told.count("READY=1") == 1 and set(told) == {"READY=1", "WATCHDOG=1"}
        serve.process.child.send_signal(signal.SIGTERM)
        assert wait_until(lambda: manager.next() == "STOPPING=1", 20, "the end")


@pytest.fixture(scope="module")
def sandbox(installed, tmp_path_factory):
    """Of the unit as it is installed, with the program as it is installed."""
    return Sandbox(installed / "usr/lib/systemd/system/tollgate.service", installed / "usr/lib/tollgate",
                   tmp_path_factory.mktemp("host"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a sandbox and give up its rights in it")
def test_the_units_sandbox_refuses_what_it_should(sandbox):
    """Without the filter of system calls, what only the filter refuses is done: the next test means something."""
    always = {"write state": "done", "write /tmp": "done", "lower priority": "done", "write outside": "EROFS",
              "read a home": "EACCES", "read what is in /tmp": "ENOENT", "mount": "EPERM"}
    filtered = {name: "EPERM" for name in ("chown", "nice", "set-uid", "new namespace", "personality", "writable code")}
    filtered["netlink"] = "EAFNOSUPPORT"
    assert sandbox.attempts(filtered=False) == always | dict.fromkeys(filtered, "done")
    assert sandbox.attempts(filtered=True) == always | filtered


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a sandbox and give up its rights in it")
def test_all_that_tollgate_does_it_does_in_the_units_sandbox(dev, sandbox, tmp_path):
    """A call that the unit forbids fails here, and not on a customer's host."""
    user, port = f"sandbox-{uuid.uuid4().hex[:8]}", free_port()
    key = dev.account(user, credits=5)
    asked = {"Authorization": f"Bearer {key}"}
    manager = Manager(sandbox.directory / "srv")
    os.chmod(manager.path, 0o666)  # root's, as systemd's is, and anybody's to write to
    secret = sandbox.state / "openai"
    secret.write_text("sk-operator\n")
    secret.chmod(0o644)
    access_log = sandbox.logs / "access.log"

    stripe = MockStripe(tmp_path, key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    serve = SandboxedServe(
        dev, sandbox, port, NOTIFY_SOCKET="/srv/notify", OPENAI_API_KEY="", OPENAI_API_KEY_FILE="/var/lib/tollgate/openai",
        ACCESS_LOG="/var/log/tollgate/access.log", STRIPE_SECRET_KEY=LIVE_KEY, STRIPE_WEBHOOK_SECRET=SECRET,
        STRIPE_API_BASE=stripe.url)
    with running(serve, stripe):
        assert wait_until(lambda: manager.next() == "READY=1", 20, "that it is ready")
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 16, "stream": True}
        status, _, streamed = patient_http("POST", serve.base + "/chat/completions", body, asked, timeout=30)
        assert status == 200 and streamed.rstrip().endswith(b"data: [DONE]")

        buy = {"packageCode": "starter", "successUrl": serve.root + "/ok", "cancelUrl": serve.root + "/no"}
        status, _, page = http("POST", serve.root + "/api/stripe/create-checkout-session", buy, asked, timeout=60)
        assert status == 200, page
        stripe.press(json.loads(page)["url"], "card")
        summary = lambda: http("GET", serve.root + "/api/billing/summary", headers=asked, timeout=30)[2]  # noqa: E731
        wait_until(lambda: int(json.loads(summary())["balanceMillicredits"]) > 9_990_000, 30, "the purchase")
        statement = f"{serve.root}/api/billing/statements/{this_month()}.pdf"
        status, _, page = http("GET", statement, headers=asked, timeout=60)
        assert status == 200 and page.startswith(b"%PDF-")

        person = Person(serve.root, dev.cli, user, "support")
        with threads_seen(serve) as seen:
            assert person.sign_in().csrf
        # Who runs these tests at an even lower priority keeps it.
        assert max(10, os.getpriority(os.PRIO_PROCESS, 0)) in seen, "a thread that hashes gives way to all others"

        access_log.rename(access_log.with_suffix(".1"))
        serve.process.child.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded: upstream key" in serve.process.output() and access_log.exists(), 20, "the reload")
        assert patient_http("POST", serve.base + "/chat/completions", body, asked, timeout=30)[0] == 200
        wait_until(lambda: "/v1/chat/completions" in access_log.read_text(), 20, "the access log")
        assert serve.stop() == 0, serve.process.output()[-4000:]
        assert wait_until(lambda: manager.next() == "STOPPING=1", 20, "the end")
    assert any(path.stat().st_size for path in (sandbox.state / "journal").rglob("*") if path.is_file())
    # Newer kernels keep filters of sockets to the privileged, sandbox or not, and serve says so.
    said = [line for line in serve.process.output().splitlines() if "cannot refuse new connections" not in line]
    for word in ("not permitted", "Read-only file system", "Permission denied"):
        assert word not in "\n".join(said)


@contextlib.contextmanager
def threads_seen(serve):
    """How nice the threads were that there were meanwhile."""
    seen, over = set(), threading.Event()

    def look():
        while not over.wait(0.005):
            seen.update(serve.nicenesses())

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield seen
    finally:
        over.set()
        watch.join()


def test_a_manager_that_does_not_read_holds_up_nobody(dev, tmp_path):
    """There is room for some ten datagrams, and systemd has other things to do."""
    manager, filled = Manager(tmp_path), 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, contextlib.suppress(BlockingIOError):
        other.setblocking(False)
        while filled < 1000:
            other.sendto(b"FULL", manager.path)
            filled += 1
    assert 0 < filled < 1000
    serve = Serve(dev, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="600000", JOURNAL_DIR=str(tmp_path / "journal"))
    with running(serve):
        time.sleep(1)
        assert http("GET", serve.root + "/api/ready")[0] == 200
        assert [manager.next() for _ in range(filled)] == ["FULL"] * filled
        # It waited for its room, and was not dropped.
        assert wait_until(lambda: manager.next() == "READY=1", 20, "that it is ready")


def test_a_process_that_cannot_start_is_never_ready(dev, tmp_path):
    manager = Manager(tmp_path)
    env = dev.environment(NOTIFY_SOCKET=manager.path, ADMIN_TOKEN="short", LISTEN=f"127.0.0.1:{free_port()}")
    process = Process([BIN / "tollgate", "serve"], env, tmp_path / "log", cwd=ROOT)
    assert process.child.wait(60) == 78
    process.stop()
    manager.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        manager.next()


def test_health_is_for_containers(dev):
    url = ["--url", dev.root]
    assert run(BIN / "tollgate", "health", *url).stdout == "ok\n"
    assert run(BIN / "tollgate", "health", "--live", *url).stdout == "ok\n"
    away = run(BIN / "tollgate", "health", "--url", f"http://127.0.0.1:{free_port()}", code=69)
    assert "does not answer" in away.stderr
    # Without a URL the ops port is asked, which has no TLS; where it listens on all addresses, on this machine's.
    ops = {**os.environ, "OPS_LISTEN": "0.0.0.0:" + dev.facts["opsURL"].rsplit(":", 1)[1]}
    assert run(BIN / "tollgate", "health", env=ops).stdout == "ok\n"
    assert run(BIN / "tollgate", "health", "--live", env=ops).stdout == "ok\n"
    broken = Serve(dev, JOURNAL_DIR=tempfile.mkdtemp(prefix="tollgate-health-"))
    with running(broken):
        assert run(BIN / "tollgate", "health", "--url", broken.root).stdout == "ok\n"
    run(BIN / "tollgate", "health", "--url", broken.root, code=69)
    run(BIN / "tollgate", "health", "--url", "ftp://x", code=64)


def test_health_says_what_is_missing(dev, tmp_path):
    """Redis is not there: the process lives, and is not ready."""
    serve = NotReady(dev, REDIS_URL=f"redis://127.0.0.1:{free_port()}", JOURNAL_DIR=str(tmp_path / "journal"))
    with running(serve):
        wait_until(lambda: run(BIN / "tollgate", "health", "--live", "--url", serve.root, code=None).returncode == 0, 60, "life")
        done = run(BIN / "tollgate", "health", "--url", serve.root, code=1)
        assert "hold_store" in done.stderr


class NotReady(Serve):
    def ready(self):
        return True


def test_the_manual_page_names_every_command_and_is_well_formed(tmp_path):
    page = tmp_path / "tollgate.1"
    page.write_text(run("python3", ROOT / "scripts/manual.py", BIN / "tollgate").stdout)
    commands = re.findall(r"^  ([a-z-]+) ", run(BIN / "tollgate", "--help").stdout.split("SUBCOMMANDS:")[1], re.MULTILINE)
    assert len(commands) > 15
    for command in commands:
        assert f'.Ss "tollgate {command}"' in page.read_text(), command
    assert '.Ss "tollgate account create"' in page.read_text() and ".It 78" in page.read_text()
    assert run("mandoc", "-T", "lint", "-W", "warning", page, code=None).stdout == ""
    if shutil.which("groff"):
        assert run("groff", "-k", "-mandoc", "-ww", "-Tutf8", "-z", page).stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_scripts_of_their_shell(shell, tmp_path):
    script = tmp_path / shell
    script.write_text(run(BIN / "tollgate", "--generate-completion-script", shell).stdout)
    for word in ("smoke-test", "preflight", "ratecard", "--base-url" if shell != "fish" else "base-url"):
        assert word in script.read_text(), word
    if shutil.which(shell):
        run(shell, "-n", script)


def test_the_container_is_of_two_stages_without_root_and_without_secrets():
    lines = (ROOT / "ops/Containerfile").read_text().replace("\\\n", " ").splitlines()
    words = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    stages = [index for index, (word, _) in enumerate(words) if word == "FROM"]
    assert len(stages) == 2 and words[stages[0]][1].endswith(" AS build")
    last = words[stages[1]:]
    assert all(":" in rest.split()[0] and "latest" not in rest for word, rest in words if word == "FROM")
    assert [rest for word, rest in last if word == "USER"] == ["10001:10001"], "a number, and not root"
    assert last.index(["USER", "10001:10001"]) > max(i for i, (word, _) in enumerate(last) if word == "RUN")
    assert all("--from=build" in rest for word, rest in last if word == "COPY"), "no source in what runs"
    assert any(word == "HEALTHCHECK" and '"/usr/bin/tollgate", "health"' in rest for word, rest in last)
    assert [rest for word, rest in last if word == "ENTRYPOINT"] == ['["/usr/bin/tollgate"]'], "signals reach the program"
    # Nothing that is only recommended comes by itself there.
    wanted = re.search(r"^Recommends: (.*)$", (ROOT / "scripts/package.sh").read_text(), re.MULTILINE)[1].split(", ")
    installed = next(rest for word, rest in last if word == "RUN" and "apt-get install" in rest).split()
    assert wanted and set(wanted) <= set(installed)
    for word, rest in words:
        assert word != "ADD" and not (word in ("ENV", "ARG") and re.search(r"(TOKEN|SECRET|KEY|PEPPER|PASSWORD)=", rest))
        assert "apt-get install" not in rest or "rm -rf /var/lib/apt/lists" in rest


@pytest.mark.parametrize("name", [".containerignore", ".dockerignore"])
def test_neither_builds_nor_data_of_this_machine_come_into_a_container(name):
    """Podman reads the first, Docker only the second. `var` has a ledger, `.build` gigabytes."""
    assert (ROOT / name).read_text().split() == [".build", "var", ".git"]
