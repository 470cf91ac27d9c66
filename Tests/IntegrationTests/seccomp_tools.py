"""System call filters as systemd makes them of a unit, for the process that calls; through libseccomp."""
import ctypes
import errno

ALLOW = 0x7FFF0000
NOT_EQUAL, EQUAL, GREATER, MASKED_EQUAL = 1, 4, 6, 7

# Of Linux' headers; the same on every architecture.
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
AF_UNIX, AF_INET, AF_INET6, AF_MAX = 1, 2, 10, 64
FAMILIES = {"AF_UNIX": AF_UNIX, "AF_INET": AF_INET, "AF_INET6": AF_INET6}
REALTIME_POLICIES = [1, 2, 6]  # FIFO, RR, DEADLINE
NAMESPACES = [0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000]
S_ISUID, S_ISGID = 0o4000, 0o2000
PERSONALITY_IS_ASKED_FOR = 0xFFFFFFFF


class Condition(ctypes.Structure):
    """struct scmp_arg_cmp"""

    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def refuse(code):
    return 0x00050000 | code


class Filter:
    """One that says `otherwise` to all that no rule speaks of. What several filters say, the strictest decides."""

    def __init__(self, otherwise):
        self.library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.seccomp_init(ctypes.c_uint32(otherwise)))
        assert self.context.value

    def rule(self, action, call, *conditions):
        number = self.library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:  # of another architecture, or of a newer kernel than the library
            return
        array = (Condition * len(conditions))(*conditions)
        code = self.library.seccomp_rule_add_array(
            self.context, ctypes.c_uint32(action), number, ctypes.c_uint(len(conditions)), array)
        assert code == 0, f"{call}: {code}"

    def install(self):
        code = self.library.seccomp_load(self.context)
        assert code == 0, code
        self.library.seccomp_release(self.context)


def has(argument, bits):
    return Condition(argument, MASKED_EQUAL, bits, bits)


def deny_write_and_execute(rules):
    rules.rule(refuse(errno.EPERM), "mmap", has(2, PROT_WRITE | PROT_EXEC))
    for call in ("mprotect", "pkey_mprotect"):
        rules.rule(refuse(errno.EPERM), call, has(2, PROT_EXEC))
    rules.rule(refuse(errno.EPERM), "shmat", has(2, SHM_EXEC))


def restrict_namespaces(rules):
    for flag in NAMESPACES:
        for call, argument in (("clone", 0), ("unshare", 0), ("setns", 1)):
            rules.rule(refuse(errno.EPERM), call, has(argument, flag))
    rules.rule(refuse(errno.EPERM), "setns", Condition(1, EQUAL, 0, 0))
    # Its flags are in memory, where no filter reads: it is said not to be there, and libc takes clone instead.
    rules.rule(refuse(errno.ENOSYS), "clone3")


def restrict_realtime(rules):
    for policy in REALTIME_POLICIES:
        rules.rule(refuse(errno.EPERM), "sched_setscheduler", Condition(1, EQUAL, policy, 0))


def restrict_families(rules, names):
    admitted = {FAMILIES[name] for name in names}
    for family in set(range(AF_MAX)) - admitted:
        rules.rule(refuse(errno.EAFNOSUPPORT), "socket", Condition(0, EQUAL, family, 0))
    rules.rule(refuse(errno.EAFNOSUPPORT), "socket", Condition(0, GREATER, AF_MAX - 1, 0))


def restrict_set_id(rules):
    for bit in (S_ISUID, S_ISGID):
        for call, argument in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("mkdir", 1), ("mkdirat", 2),
                               ("mknod", 1), ("mknodat", 2), ("creat", 1), ("open", 2), ("openat", 3)):
            rules.rule(refuse(errno.EPERM), call, has(argument, bit))
    rules.rule(refuse(errno.ENOSYS), "openat2")


def lock_personality(rules):
    current = ctypes.CDLL(None).personality(ctypes.c_ulong(PERSONALITY_IS_ASKED_FOR))
    rules.rule(refuse(errno.EPERM), "personality", Condition(0, NOT_EQUAL, current, 0))


def install(families, calls, code):
    """All of them; the list of calls comes last, as it need not admit that filters are installed."""
    for restrict in (deny_write_and_execute, restrict_namespaces, restrict_realtime, restrict_set_id, lock_personality,
                     lambda rules: restrict_families(rules, families)):
        rules = Filter(ALLOW)
        restrict(rules)
        rules.install()
    rules = Filter(refuse(getattr(errno, code)))
    for call in calls:
        rules.rule(ALLOW, call)
    rules.install()
