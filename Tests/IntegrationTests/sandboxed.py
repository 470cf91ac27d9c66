"""Becomes a program in a sandbox like the one that systemd makes of a unit: `python sandboxed.py SPECIFICATION`, as root.

What is in the sandbox is told by sandbox_tools.py. The process stays the same, so that it can be sent signals.
"""
import ctypes
import errno
import json
import os
import pathlib
import resource
import socket
import sys

import seccomp_tools

LIBC = ctypes.CDLL(None, use_errno=True)
MS_BIND, MS_NOSUID, MS_NOEXEC, MS_REC, MS_PRIVATE = 0x1000, 2, 8, 0x4000, 0x40000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 1
NEW_MOUNTS, NEW_USERS, NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 4, 24, 38
ADDR_NO_RANDOMIZE = 0x40000


def check(result, what):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def mount(source, target, kind=None, flags=0, options=None):
    words = [None if word is None else str(word).encode() for word in (source, target, kind)]
    check(LIBC.mount(*words, ctypes.c_ulong(flags), options and options.encode()), f"mount {target}")


def read_only(path, on=True, deep=False):
    attributes = (ctypes.c_uint64 * 4)(READ_ONLY if on else 0, 0 if on else READ_ONLY, 0, 0)
    check(LIBC.syscall(MOUNT_SETATTR, AT_FDCWD, str(path).encode(), AT_RECURSIVE if deep else 0, attributes,
                       ctypes.c_size_t(ctypes.sizeof(attributes))), f"mount_setattr {path}")


def make_devices(devices):
    """PrivateDevices: nothing of the machine's own."""
    mount("tmpfs", "/mnt", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755")
    for name in devices:
        there = pathlib.Path("/mnt", name)
        there.mkdir() if os.path.isdir(f"/dev/{name}") else there.touch()
        mount(f"/dev/{name}", there, None, MS_BIND)
    mount("/mnt", "/dev", None, MS_BIND | MS_REC)


def make_mounts(spec):
    check(LIBC.unshare(NEW_MOUNTS), "unshare")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    for source, target in spec["binds"]:
        mount(source, target, None, MS_BIND)
    make_devices(spec["devices"])
    mount("proc", "/proc", "proc", 0, "hidepid=invisible")
    for path in filter(os.path.isdir, spec["private"]):
        mount("tmpfs", path, "tmpfs", MS_NOSUID, "mode=1777")
    for path in filter(os.path.isdir, spec["hidden"]):
        mount("tmpfs", path, "tmpfs", MS_NOSUID, "mode=000")
    for path in spec["writable"]:
        mount(path, path, None, MS_BIND)
    read_only("/", deep=True)
    for path in [*spec["writable"], *spec["private"], "/proc"]:
        read_only(path, on=False)
    mount("/proc/sys", "/proc/sys", None, MS_BIND)
    read_only("/proc/sys")


def become_nobody(user):
    """Without a right, for ever, and among users of which it knows only itself."""
    for capability in range(int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1):
        check(LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "capability")
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    # /proc/self is root's otherwise.
    check(LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "dumpable")
    check(LIBC.unshare(NEW_USERS), "unshare")
    pathlib.Path("/proc/self/setgroups").write_text("deny")
    for name in ("uid_map", "gid_map"):
        pathlib.Path("/proc/self", name).write_text(f"{user} {user} 1")


def main():
    spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
    # A container's root may not have as many as systemd.
    descriptors = min(spec["descriptors"], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    make_mounts(spec)
    become_nobody(spec["user"])
    os.umask(spec["umask"])
    os.chdir(spec["directory"])
    if spec["filtered"]:
        seccomp_tools.install(spec["families"], spec["calls"], spec["code"])
    if spec["program"]:
        os.execve(spec["program"][0], spec["program"], spec["environment"])
    print(json.dumps({name: outcome(attempt) for name, attempt in attempts(spec).items()}))


# --- What is tried instead of a program. Python's own files are out of reach by now. ---


def attempts(spec):
    own = pathlib.Path(spec["writable"][0], "attempt")
    return {
        "write state": lambda: own.write_text("x"),
        "write /tmp": lambda: pathlib.Path("/tmp/attempt").write_text("x"),
        "write outside": lambda: pathlib.Path(spec["outside"], "attempt").write_text("x"),
        "read a home": lambda: os.listdir("/root"),
        "read what is in /tmp": lambda: os.stat(spec["in_tmp"]),
        "lower priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
        "mount": lambda: mount("tmpfs", "/srv", "tmpfs"),
        "chown": lambda: os.chown(own, os.getuid(), -1),
        "nice": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
        "set-uid": lambda: own.chmod(0o4700),
        "new namespace": lambda: check(LIBC.unshare(NEW_NETWORK), "unshare"),
        "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
        "personality": lambda: check(LIBC.personality(ctypes.c_ulong(ADDR_NO_RANDOMIZE)), "personality"),
        "writable code": lambda: map_memory(seccomp_tools.PROT_WRITE | seccomp_tools.PROT_EXEC | 1),
    }


def map_memory(protection):
    LIBC.mmap.restype = ctypes.c_void_p
    anonymous_and_private = 0x22
    if LIBC.mmap(None, ctypes.c_size_t(4096), protection, anonymous_and_private, -1, ctypes.c_long(0)) == 2 ** 64 - 1:
        raise OSError(ctypes.get_errno(), "mmap")


def outcome(attempt):
    try:
        attempt()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]


if __name__ == "__main__":
    main()
