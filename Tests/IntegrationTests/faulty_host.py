"""An instance on a host in which everything can break while it runs: clock, disk, collector of traces, access log,
descriptors, and what its journal says."""
import pathlib
import resource
import signal

from harness import Serve
from test_clock import FakeClock, preloaded
from test_logs_and_traces import Collector

# Fails every sync of the journal for as long as a file is there.
FAILING_SYNCS = """
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
int fdatasync(int descriptor) {
    const char *fails = getenv("SYNCS_FAIL_WHILE");
    if (fails && access(fails, F_OK) == 0) { errno = EIO; return -1; }
    return syscall(SYS_fdatasync, descriptor);
}
"""
# So few outcomes wait in memory that the others have to be read from the journal.
MEMORY_OUTCOMES = 100


class FaultyHost:
    def __init__(self, dev, directory):
        self.directory = pathlib.Path(directory)
        self.journal = self.directory / "journal"
        self.clock = FakeClock(self.directory)
        self.clock.set(0)
        self.collector = Collector()
        self.broken_disk = self.directory / "syncs-fail"
        self.access_log = self.directory / "access.log"
        self.write_lines_to(self.directory / "lines")
        environment = self.clock.environment
        syncs = preloaded(FAILING_SYNCS, self.directory / "syncs.so")
        self.serve = Serve(
            dev, JOURNAL_DIR=str(self.journal), ACCESS_LOG=str(self.access_log), SYNCS_FAIL_WHILE=str(self.broken_disk),
            OTEL_EXPORTER_OTLP_ENDPOINT=self.collector.url, OTEL_SERVICE_NAME="till-7",
            TOLLGATE_TEST_MEMORY_OUTCOMES=str(MEMORY_OUTCOMES),
            **{**environment, "LD_PRELOAD": f"{syncs} {environment['LD_PRELOAD']}"})

    @property
    def pid(self):
        return self.serve.process.child.pid

    def write_lines_to(self, place):
        """Where the name of the access log leads; a process that runs opens it again."""
        fresh = self.access_log.with_suffix(".new")
        fresh.symlink_to(place)
        fresh.replace(self.access_log)
        if hasattr(self, "serve"):
            self.serve.process.child.send_signal(signal.SIGHUP)

    def fail_syncs(self, fails=True):
        self.broken_disk.touch() if fails else self.broken_disk.unlink(missing_ok=True)

    def limit_descriptors(self, spare=None):
        """So many more than are open; None: as many as may be."""
        hard = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)[1]
        opened = len(list(pathlib.Path(f"/proc/{self.pid}/fd").iterdir()))
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (hard if spare is None else opened + spare, hard))

    def destroy_journal(self):
        """Overwrites the middle of what was written."""
        for segment in self.journal.glob("*/*"):
            if not segment.is_file() or segment.stat().st_size < 1 << 16:
                continue
            with open(segment, "r+b") as file:
                length = len(file.read().rstrip(b"\0"))
                if length > 1 << 16:
                    file.seek(length // 3)
                    file.write(b"\xff" * (length // 3))

    def stop(self):
        self.serve.process.child.kill()
        self.serve.process.child.wait()
        self.serve.process.file.close()
        self.collector.stop()
        self.clock.close()
