"""How soon a changed flag is in force, measured from outside: from the ledger's own time of the change to the answer that
shows it."""
import concurrent.futures
import contextlib
import http.client
import json
import pathlib
import threading
import time

POLL_SECONDS = 0.005
# Two, so that an answer that takes its time hides the moment of effect from one of them only; both have to see it.
POLLERS = 2
# From here on the machine itself was away, and what it delayed says nothing about the proxies.
STALL_SECONDS = 0.2
ROUNDS = 5
# What a flag refuses with. For another cause, such as a cap, the same status would be no effect of the change.
CODES = {402: "insufficient_credits", 403: "model_not_allowed"}


class Pace:
    """What this machine adds to anything: the longest that a thread overslept that does nothing but sleep for a moment, or
    the longest that a thread of one of these processes had to wait for a CPU altogether."""

    def __init__(self, processes):
        self.processes = processes

    def __enter__(self):
        self.overslept, self.ends, self.waited = 0.0, threading.Event(), self.waits()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        before = time.monotonic()
        while not self.ends.wait(POLL_SECONDS):
            now = time.monotonic()
            self.overslept = max(self.overslept, now - before - POLL_SECONDS)
            before = now

    def waits(self):
        """Seconds that each thread was ready to run and did not, since it began."""
        waits = {}
        for process in self.processes:
            for task in pathlib.Path(f"/proc/{process}/task").iterdir():
                with contextlib.suppress(OSError):  # A thread that has ended meanwhile.
                    waits[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
        return waits

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()
        waited = max(seconds - self.waited.get(name, 0) for name, seconds in self.waits().items())
        self.stall = max(self.overslept, waited)


class Poller:
    """Asks one instance the same thing on a connection of its own, until the answer is another one."""

    def __init__(self, cluster, instance, user, model):
        self.port = instance.port
        self.headers = {
            "Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user,
            "Content-Type": "application/json"}
        self.body = json.dumps(
            {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}).encode()
        self.asked = threading.Event()

    def until(self, before, after):
        """The time at which the first answer with status `after` was read; all of them before it had `before`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                connection.request("POST", "/v1/chat/completions", self.body, self.headers)
                reply = connection.getresponse()
                said = reply.read()
                now = time.time()
                if reply.status in (before, after):
                    code = json.loads(said).get("error", {}).get("code")
                    assert code == CODES.get(reply.status), said
                if reply.status == after:
                    return now
                if reply.status == before:
                    self.asked.set()
                else:
                    # On a machine that stands still a hold meets its deadline: neither answer, and the time runs on.
                    assert reply.status == 503 and b'"holds_unavailable"' in said, said
                time.sleep(POLL_SECONDS)
            raise AssertionError(f"still {before} after 20 s, not {after}")
        finally:
            connection.close()


def delays(cluster, user, model, before, after, change):
    """Seconds from `change()`, which returns when it was committed, to the effect on each instance; and the longest stall
    of the machine meanwhile."""
    pollers = [Poller(cluster, instance, user, model) for instance in cluster.instances for _ in range(POLLERS)]
    processes = [instance.process.child.pid for instance in cluster.instances]
    with concurrent.futures.ThreadPoolExecutor(len(pollers)) as pool, Pace(processes) as pace:
        seen = [pool.submit(poller.until, before, after) for poller in pollers]
        for poller, future in zip(pollers, seen):
            assert poller.asked.wait(20), future.exception(0)
        committed = change()
        times = [future.result() for future in seen]
    # An effect before its cause would be that of another one.
    assert min(times) - committed > -0.05, [at - committed for at in times]
    slowest = [max(times[at:at + POLLERS]) - committed for at in range(0, len(times), POLLERS)]
    return [round(delay, 3) for delay in slowest], round(pace.stall, 3)
