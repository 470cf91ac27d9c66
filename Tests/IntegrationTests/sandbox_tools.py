"""The unit's own sandbox without systemd: what ops/systemd says is read, and enacted by sandboxed.py."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys

from harness import Process, Serve, free_port, wait_until

LAUNCHER = pathlib.Path(__file__).with_name("sandboxed.py")
# Of nobody on any machine: below are the distribution's, above those of containers.
USER = 64_123

# What sandboxed.py enacts, each as it stands in the unit.
ENACTED = {
    "NoNewPrivileges": "yes", "CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict",
    "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes", "PrivateUsers": "yes",
    "ProtectKernelTunables": "yes", "ProtectControlGroups": "yes", "ProtectProc": "invisible",
    "RestrictNamespaces": "yes", "RestrictRealtime": "yes", "RestrictSUIDSGID": "yes", "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native"}
# What is read from the unit.
READ = {"ExecStart", "Environment", "User", "Group", "WorkingDirectory", "StateDirectory", "StateDirectoryMode",
        "LogsDirectory", "LogsDirectoryMode", "UMask", "LimitNOFILE", "WatchdogSec", "RestrictAddressFamilies",
        "SystemCallFilter", "SystemCallErrorNumber"}
# What needs systemd itself, and what forbids only calls that the list of calls has not (REFUSED_AS_WELL).
ELSEWHERE = {"Type", "NotifyAccess", "ExecReload", "EnvironmentFile", "TimeoutStartSec", "TimeoutStopSec", "Restart",
             "RestartSec", "RestartPreventExitStatus", "RemoveIPC", "KeyringMode",
             "ProtectHostname", "ProtectClock", "ProtectKernelModules", "ProtectKernelLogs"}
REFUSED_AS_WELL = {"sethostname", "setdomainname", "clock_settime", "settimeofday", "adjtimex", "init_module",
                   "finit_module", "delete_module", "syslog", "mount"}


def service_of(unit):
    """What [Service] says: names with their values, in order."""
    service, section = {}, None
    for line in pathlib.Path(unit).read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith(("#", ";")):
            name, value = line.split("=", 1)
            service.setdefault(name, []).append(value)
    return service


def call_groups():
    """systemd's sets of system calls, by name, each with sets and calls."""
    said = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], capture_output=True, text=True, check=True)
    groups = {}
    for line in said.stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            groups[word] = members = []
        elif word and not word.startswith("#"):
            members.append(word)
    return groups


def allowed_calls(lines):
    """systemd.exec(5): the first line makes it a list of what is allowed; others add to it, or take from it with `~`."""
    groups = call_groups()

    def expand(words):
        return {call for word in words for call in (expand(groups[word]) if word.startswith("@") else [word])}

    assert not lines[0].startswith("~")
    calls = expand(["@default"])
    for line in lines:
        named = expand(line.removeprefix("~").split())
        calls = calls - named if line.startswith("~") else calls | named
    return calls


class Sandbox:
    """A host like the one that the package is installed on, in `directory`; `program` is a directory with the program."""

    def __init__(self, unit, program, directory):
        self.directory = directory
        service = self.service = service_of(unit)
        assert set(service) <= ENACTED.keys() | READ | ELSEWHERE, "the unit says what no test enacts"
        assert {name: service[name] for name in ENACTED} == {name: [value] for name, value in ENACTED.items()}
        self.calls = allowed_calls(service["SystemCallFilter"])
        assert not self.calls & REFUSED_AS_WELL

        for name in ("srv/program", "lib", "log"):
            (directory / name).mkdir(parents=True)
        self.state = self.make("lib", "State")
        self.logs = self.make("log", "Logs")
        # As the package's postinst does.
        (self.state / "journal").mkdir(mode=0o700)
        os.chown(self.state / "journal", USER, USER)
        self.outside = directory / "srv/outside"
        self.outside.mkdir()
        self.outside.chmod(0o777)
        self.binds = [(directory / "lib", "/var/lib"), (directory / "log", "/var/log"), (directory / "srv", "/srv"),
                      (program, "/srv/program")]

    def say(self, name):
        (value,) = self.service[name]
        return value

    def make(self, parent, kind):
        made = self.directory / parent / self.say(f"{kind}Directory")
        made.mkdir()
        made.chmod(int(self.say(f"{kind}DirectoryMode"), 8))
        os.chown(made, USER, USER)
        return made

    def command(self, program, filtered=True, **environment):
        """What runs `program` (nothing: sandboxed.py's attempts) in it, with systemd's environment and this."""
        home = self.say("WorkingDirectory")
        own = dict(word.split("=", 1) for line in self.service["Environment"] for word in line.split())
        spec = dict(
            program=program, filtered=filtered, user=USER, umask=int(self.say("UMask"), 8), directory=home,
            descriptors=int(self.say("LimitNOFILE")), binds=[[str(a), str(b)] for a, b in self.binds],
            devices=["null", "zero", "full", "random", "urandom", "tty", "shm"],
            private=["/tmp", "/var/tmp"], hidden=["/home", "/root", "/run/user"],
            writable=[f"/var/lib/{self.say('StateDirectory')}", f"/var/log/{self.say('LogsDirectory')}"],
            families=self.say("RestrictAddressFamilies").split(), calls=sorted(self.calls),
            code=self.say("SystemCallErrorNumber"), outside="/srv/outside", in_tmp=str(self.directory),
            environment={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8", "HOME": home,
                "USER": self.say("User"), "LOGNAME": self.say("User"), "SHELL": "/usr/sbin/nologin",
                "WATCHDOG_USEC": str(int(self.say("WatchdogSec")) * 1_000_000), **own, **environment})
        path = self.directory / f"specification-{bool(program)}-{filtered}.json"
        path.write_text(json.dumps(spec))
        return [sys.executable, LAUNCHER, path]

    def attempts(self, filtered):
        done = subprocess.run(self.command([], filtered), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


class SandboxedServe(Serve):
    """The unit's ExecStart in its sandbox, on a dev stack's stores; `env` is what stands in tollgate.env."""

    def __init__(self, dev, sandbox, port, **env):
        self.port, self.ops = port, free_port()
        self.root = f"http://127.0.0.1:{port}"
        self.base = self.root + "/v1"
        settings = {name: value for name, value in dev.environment().items() if os.environ.get(name) != value}
        del settings["JOURNAL_DIR"]
        path, *arguments = sandbox.say("ExecStart").split()
        program = [f"/srv/program/{pathlib.Path(path).name}", *arguments]
        command = sandbox.command(
            program, **{**settings, "LISTEN": f"127.0.0.1:{port}", "OPS_LISTEN": f"127.0.0.1:{self.ops}", **env})
        self.process = Process(command, os.environ.copy(), sandbox.directory / "serve.log")
        wait_until(self.ready, 60, "tollgate serve")

    def nicenesses(self):
        """Of each of its threads. One may end while it is looked at."""
        for task in pathlib.Path(f"/proc/{self.process.child.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                yield os.getpriority(os.PRIO_PROCESS, int(task.name))
