"""A TCP relay before one store that can break its connections in every way that a network can."""
import json
import pathlib
import subprocess
import sys
import threading


class Relay:
    """One relay process; `ports[lane]` is where the instance of that number connects, `lanes` chooses some of them.

    Faults stay until `heal`. They are counted here, so that a table can say how many there were.
    """

    def __init__(self, target, lanes):
        self.lanes = list(range(lanes))
        self.lock = threading.Lock()
        self.child = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).with_name("relay_process.py")), str(target), str(lanes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = json.loads(self.child.stdout.readline())

    def tell(self, what, lanes=None, **more):
        line = json.dumps({"do": what, "lanes": self.lanes if lanes is None else lanes, **more})
        with self.lock:
            self.child.stdin.write(line + "\n")
            self.child.stdin.flush()
            return json.loads(self.child.stdout.readline())

    def cut(self, lanes=None, rst=True, only=""):
        """Ends the connections (whose first bytes contain `only`); returns how many there were."""
        return self.tell("cut", lanes, rst=rst, only=only)

    def refuse(self, lanes=None):
        """New connections are reset as soon as they are made."""
        self.tell("refuse", lanes)

    def stall(self, *ways, lanes=None, only=""):
        """A black hole: nothing passes `to_server`, `to_client`, or either; it all arrives when the relay is healed.

        New connections are held up as well; returns how many open ones are."""
        return self.tell("stall", lanes, ways=list(ways or ("to_server", "to_client")), only=only)

    def delay(self, seconds):
        """Everything takes so much longer, each way."""
        self.tell("delay", seconds=seconds)

    def drop_replies(self, count, match="", lanes=None):
        """The next `count` requests with `match` are executed by the server; instead of the reply there is a RST."""
        self.tell("drop_replies", lanes, count=count, match=match)

    def cut_after(self, count, lanes=None, only=""):
        """Open connections are reset when they have passed so many more bytes to the client."""
        self.tell("cut_after", lanes, bytes=count, only=only)

    def random_faults(self, rate, seed):
        """Every connection, old or new, has an accident after 1 / `rate` seconds on average."""
        self.tell("random", rate=rate, seed=seed)

    def retarget(self, port, lanes=None):
        """The server (of these lanes) is elsewhere now; open connections stay where they are."""
        self.tell("target", lanes, port=port)

    def heal(self, lanes=None):
        self.tell("heal", lanes)

    def faults(self):
        """How often each kind of fault struck that waits for traffic or chance: drop_replies, cut_after, random."""
        return self.tell("stats")["counts"]

    def stop(self):
        self.child.stdin.close()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()
