"""The relay itself: listens on one port per lane, and passes bytes to the target as its rules allow.

A process of its own, so that neither it nor the load waits for the other. Commands are JSON lines on standard input,
each answered by one line on standard output; the end of input ends it. `relay.py` is the other end.
"""
import asyncio
import collections
import json
import random
import socket
import struct
import sys

OPENING_BYTES = 4096
HELD_BYTES_MAX = 4 << 20
# After the first bytes of a reply: how long more of it may take before the connection is reset.
REPLY_QUIET_SECONDS = 0.03
TO_SERVER, TO_CLIENT = "to_server", "to_client"


def reset(transport):
    """Ends a connection with RST."""
    if transport is None or transport.is_closing():
        return
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Link:
    """One relayed connection: a client's socket, the server's, and what is held back between them."""

    def __init__(self, relay, lane):
        self.relay, self.lane, self.number = relay, lane, relay.accepted
        relay.accepted += 1
        self.ends = {TO_SERVER: None, TO_CLIENT: None}   # the transport that a direction writes to
        self.held = {TO_SERVER: [], TO_CLIENT: []}       # (due, bytes); b"" is the end
        self.opening = b""                               # what the client said first; rules can name a part of it
        self.dropping = None                             # None, or the timer that ends a link whose reply is dropped
        self.budget = None                               # bytes to the client that are still passed
        self.last_due = 0.0
        self.dice = None
        relay.links.add(self)
        if relay.random:
            self.plan_accident()

    def arrived(self, way, data):
        if way == TO_SERVER:
            if len(self.opening) < OPENING_BYTES:
                self.opening += data[:OPENING_BYTES]
            self.relay.maybe_arm(self, data)
        elif self.dropping is not None:
            if self.dropping:
                self.dropping.cancel()
            self.dropping = self.relay.loop.call_later(REPLY_QUIET_SECONDS, self.end_after_reply)
            return
        self.push(way, data)

    def end_after_reply(self):
        """The server did it; the client is not told, and loses its connection."""
        self.relay.count("dropped replies")
        reset(self.ends[TO_CLIENT])
        if self.ends[TO_SERVER]:
            self.ends[TO_SERVER].close()

    def push(self, way, data):
        due = 0.0
        if self.relay.delay:
            due = self.last_due = max(self.last_due, self.relay.loop.time() + self.relay.delay)
            self.relay.loop.call_at(due, self.flush)
        self.held[way].append((due, data))
        self.flush()
        if sum(len(piece) for _, piece in self.held[way]) > HELD_BYTES_MAX:
            self.other(way).pause_reading()

    def flush(self):
        now = self.relay.loop.time()
        for way, queue in self.held.items():
            target = self.ends[way]
            while queue and target and queue[0][0] <= now + 0.001 and not self.relay.is_stalled(self, way):
                _, data = queue.pop(0)
                if target.is_closing():
                    continue
                if not data:
                    target.close()
                    continue
                if way == TO_CLIENT and self.budget is not None:
                    data, self.budget = data[:self.budget], self.budget - len(data)
                    target.write(data)
                    if self.budget <= 0:
                        self.relay.count("cut after bytes")
                        self.cut(rst=True)
                    continue
                target.write(data)
            if not queue and self.other(way) and not self.other(way).is_closing():
                self.other(way).resume_reading()

    def other(self, way):
        return self.ends[TO_CLIENT if way == TO_SERVER else TO_SERVER]

    def cut(self, rst):
        for transport in self.ends.values():
            if rst:
                reset(transport)
            elif transport:
                transport.close()

    def plan_accident(self):
        """A fault of this connection's own: when and which follows from the seed and the connection's number."""
        rate, seed = self.relay.random
        self.dice = random.Random(f"{seed}/{self.number}")
        self.relay.loop.call_later(self.dice.expovariate(rate), self.accident, self.relay.random)

    def accident(self, rule):
        if self.relay.random is not rule or self not in self.relay.links:
            return
        kind = self.dice.choice(["reset", "close", "drop reply", "cut after bytes"])
        if kind == "drop reply":
            self.dropping = self.dropping or False
        elif kind == "cut after bytes":
            self.budget = self.dice.randrange(1, 200)
        else:
            self.relay.count(kind)
            self.cut(rst=kind == "reset")

    def lost(self, way):
        """The end that `way` comes from is gone: the other one hears of it after what is still under way."""
        self.push(way, b"")
        if all(end is None or end.is_closing() for end in self.ends.values()):
            self.relay.links.discard(self)


class End(asyncio.Protocol):
    """One socket of a link; `way` is where its bytes go."""

    def __init__(self, link, way):
        self.link, self.way = link, way

    def connection_made(self, transport):
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.ends[TO_CLIENT if self.way == TO_SERVER else TO_SERVER] = transport
        if self.way == TO_SERVER:
            self.transport = transport
            self.connecting = asyncio.ensure_future(self.connect())
        self.link.flush()

    async def connect(self):
        relay = self.link.relay
        if relay.refusing(self.link.lane):
            return reset(self.transport)
        try:
            port = relay.targets[self.link.lane]
            await relay.loop.create_connection(lambda: End(self.link, TO_CLIENT), "127.0.0.1", port)
        except OSError:
            reset(self.transport)

    def data_received(self, data):
        self.link.arrived(self.way, data)

    def pause_writing(self):
        # What is written to this socket comes from the other one.
        if other := self.link.ends[self.way]:
            other.pause_reading()

    def resume_writing(self):
        if (other := self.link.ends[self.way]) and not other.is_closing():
            other.resume_reading()

    def connection_lost(self, error):
        self.link.lost(self.way)


class RelayProcess:
    def __init__(self, target):
        self.targets = collections.defaultdict(lambda: target)
        self.links, self.accepted, self.counts = set(), 0, {}
        self.clear()

    def clear(self):
        self.stalls, self.refused, self.delay, self.random, self.armed = [], set(), 0.0, None, []
        for link in self.links:
            link.budget = None
            if link.dropping is False:
                link.dropping = None

    def count(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def refusing(self, lane):
        return lane in self.refused

    def is_stalled(self, link, way):
        return any(way in ways and link.lane in lanes and only in link.opening for ways, lanes, only in self.stalls)

    def maybe_arm(self, link, data):
        for rule in self.armed:
            if rule["count"] and link.dropping is None and link.lane in rule["lanes"] and rule["match"] in data:
                rule["count"] -= 1
                link.dropping = False

    def chosen(self, command):
        lanes, only = command["lanes"], command.get("only", "").encode()
        return [link for link in list(self.links) if link.lane in lanes and only in link.opening]

    def handle(self, command):
        match command["do"]:
            case "cut":
                links = self.chosen(command)
                for link in links:
                    link.cut(rst=command["rst"])
                return len(links)
            case "refuse":
                self.refused |= set(command["lanes"])
            case "stall":
                self.stalls.append((command["ways"], command["lanes"], command["only"].encode()))
                return len(self.chosen(command))
            case "delay":
                self.delay = command["seconds"]
            case "drop_replies":
                self.armed.append(
                    {"count": command["count"], "lanes": command["lanes"], "match": command["match"].encode()})
            case "cut_after":
                for link in self.chosen(command):
                    link.budget = command["bytes"]
            case "random":
                self.random = (command["rate"], command["seed"])
                for link in list(self.links):
                    link.plan_accident()
            case "target":
                self.targets.update((lane, command["port"]) for lane in command["lanes"])
            case "heal":
                lanes = set(command["lanes"])
                if lanes >= set(range(len(self.ports))):
                    self.clear()
                self.refused -= lanes
                self.stalls = [(w, [n for n in l if n not in lanes], o) for w, l, o in self.stalls]
                for link in list(self.links):
                    link.flush()
            case "stats":
                return {"open": len(self.links), "accepted": self.accepted, "counts": self.counts}
        return None

    async def run(self, lanes):
        self.loop = asyncio.get_running_loop()
        listeners = [
            await self.loop.create_server(lambda lane=lane: End(Link(self, lane), TO_SERVER), "127.0.0.1", 0)
            for lane in range(lanes)]
        self.ports = [listener.sockets[0].getsockname()[1] for listener in listeners]
        commands = asyncio.StreamReader()
        await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
        print(json.dumps(self.ports), flush=True)
        while line := await commands.readline():
            print(json.dumps(self.handle(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(RelayProcess(int(sys.argv[1])).run(int(sys.argv[2])))
