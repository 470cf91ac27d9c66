"""How soon a changed flag is in force, measured from outside: from the ledger's own time of the change to the answer that
shows it."""
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import pathlib
import secrets
import threading
import time

POLL_SECONDS = 0.005
# Two, so that an answer that takes its time hides the moment of effect from one of them only; both have to see it.
POLLERS = 2
# From here on the machine itself was away, and what it delayed says nothing about the proxies.
STALL_SECONDS = 0.2
ROUNDS = 5
# No time for a hold or a row, on a machine that stands still: neither answer.
BUSY = {"holds_unavailable", "ledger_unavailable"}


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


@dataclasses.dataclass(frozen=True)
class Question:
    """A request whose answer a flag decides. `refusals` are its codes, by status: the same status for another cause, such as
    a cap, would be no effect of the change."""
    path: str
    body: dict | None
    refusals: dict
    method: str = "POST"
    # What one user may do only so often is asked by a new one each time, and less often: it leaves rows.
    is_of_new_users: bool = False
    pause_seconds: float = POLL_SECONDS


def call(model):
    return Question(
        "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20},
        {402: "insufficient_credits", 403: "model_not_allowed"})


def code_of(said):
    """Of an error, in the form of either API."""
    body = json.loads(said)
    error = body.get("error")
    return error.get("code") if isinstance(error, dict) else body.get("code") if error else None


class Poller:
    """Asks one instance the same thing on a connection of its own, until the answer is another one."""

    def __init__(self, cluster, instance, user, question):
        self.port, self.question = instance.port, question
        self.headers = {
            "Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user,
            "Content-Type": "application/json"}
        self.body = json.dumps(question.body).replace("{root}", f"http://127.0.0.1:{self.port}") if question.body else None
        self.asked = threading.Event()

    def ask(self, connection):
        if self.question.is_of_new_users:
            self.headers["X-Tollgate-User"] = "flags-" + secrets.token_hex(8)
        connection.request(self.question.method, self.question.path, self.body, self.headers)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def until(self, before, after):
        """The time at which the first answer with status `after` was read; all of them before it had `before`."""
        was, wanted = ((status, self.question.refusals.get(status)) for status in (before, after))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                status, said = self.ask(connection)
                now = time.time()
                answer = status, code_of(said)
                if answer == wanted:
                    return now
                if answer == was:
                    self.asked.set()
                else:
                    # The time runs on.
                    assert status == 503 and answer[1] in BUSY, (status, said)
                time.sleep(self.question.pause_seconds)
            raise AssertionError(f"still {before} after 20 s, not {after}")
        finally:
            connection.close()


def delays(cluster, user, question, before, after, change):
    """Seconds from `change()`, which returns when it was committed, to the effect on each instance; and the longest stall
    of the machine meanwhile."""
    pollers = [Poller(cluster, instance, user, question) for instance in cluster.instances for _ in range(POLLERS)]
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
