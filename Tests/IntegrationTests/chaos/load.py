"""Clients on real sockets, and exactly what each of them saw."""
import asyncio
import dataclasses
import json
import random
import threading
import time

MODEL = "gpt-4o-mini"
PATIENCE_SECONDS = 40
# Nearly one token for each byte of a request, which is what is held for it by proxies without a tokenizer.
PROMPT_OF_POOR = 300
# An outcome may wait this long for its settlement while nothing is wrong.
POSTING_SECONDS = 2


@dataclasses.dataclass(eq=False)
class Account:
    user: str
    id: int
    granted: int             # millicredits
    is_poor: bool
    over_admission: int = 0  # millicredits that a loss of Redis' data may have admitted too much


@dataclasses.dataclass(frozen=True)
class Shape:
    """What the clients ask for: tokens and tokens per second from a range, and how odd it may be."""

    tokens: tuple = (5, 30)
    rate: tuple = (40, 120)
    first_token_milliseconds: int = 0
    streams: float = 0.7
    oddities: float = 0.1


QUICK = Shape()
SLOW = Shape(tokens=(40, 60), rate=(8, 12), streams=1.0, oddities=0.0)
MEDIUM = Shape(tokens=(10, 16), rate=(5, 8), streams=1.0, oddities=0.0)
SILENT = Shape(first_token_milliseconds=4_000, streams=1.0, oddities=0.0)


@dataclasses.dataclass(eq=False)
class Exchange:
    """`result`: running, complete (its last byte arrived), refused (402, 503 …), cut, unreachable."""

    number: int
    account: Account
    instance: int
    stream: bool
    tokens: int
    cap: int
    rate: int            # tokens per second of the upstream
    started: float
    body_bytes: int = 0
    ended: float = None
    result: str = "running"
    status: int = None
    hold: str = None     # x-tollgate-request-id
    held: int = None     # millicredits
    usage: dict = None
    tier: str = None
    deltas: int = 0
    is_sent: bool = False
    trouble: str = ""

    def __str__(self):
        kind = "stream" if self.stream else "reply"
        return (
            f"{kind} {self.number} of {self.account.user} at instance {self.instance}: {self.result}, "
            f"status {self.status}, hold {self.hold} of {self.held}, {self.deltas} deltas, usage {self.usage}, "
            f"{self.trouble}")


class Load:
    """`with Load(cluster, accounts, seed) as load:` asks for as long as the block runs, then waits for what is open.

    All workers are on one event loop in a thread; other threads read the records and change `shape` and `crowd`.
    """

    def __init__(self, cluster, accounts, seed, workers=64):
        self.cluster, self.accounts, self.dice, self.workers = cluster, accounts, random.Random(seed), workers
        self.tag = f"{seed}-{accounts[0].user}"
        self.shape = QUICK
        self.crowd = None        # the instance that seven of eight clients prefer
        self.exchanges, self.running = [], set()
        self.stopping = False

    def __enter__(self):
        self.thread = threading.Thread(target=lambda: asyncio.run(self.run()))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join()

    # What other threads ask.

    def streaming(self, instance, deltas=1):
        """Exchanges of which this instance has sent so much and not yet the end."""
        return sum(e.instance == instance and e.deltas >= deltas for e in list(self.running))

    def open(self, instance):
        return sum(e.instance == instance and e.is_sent for e in list(self.running))

    def completed(self, since, instance, started_after=0.0):
        """What ended whole after this moment; the newest records are at the end, give or take the slowest exchange."""
        found = []
        for exchange in reversed(self.exchanges):
            if exchange.started < since - PATIENCE_SECONDS:
                break
            is_over = exchange.ended is not None and exchange.ended >= since
            if is_over and exchange.result == "complete" and exchange.instance == instance \
                    and exchange.started >= started_after:
                found.append(exchange)
        return found

    def exposure(self, account):
        """Millicredits of this account that Redis knows and the ledger perhaps does not."""
        now, total = time.monotonic(), 0
        for exchange in reversed(self.exchanges):
            if exchange.started < now - PATIENCE_SECONDS - POSTING_SECONDS:
                break
            if exchange.account is account and (exchange.ended or now) > now - POSTING_SECONDS:
                total += exchange.held or worst_case(exchange)
        return total

    def expect_over_admission(self):
        """Called just before Redis loses data: what is in flight may be admitted once more."""
        for account in self.accounts:
            account.over_admission = max(account.over_admission, self.exposure(account))

    # The clients.

    async def run(self):
        workers = [asyncio.create_task(self.work(number)) for number in range(self.workers)]
        done, late = await asyncio.wait(workers, timeout=None)
        assert not late
        for worker in done:
            worker.result()

    async def work(self, worker):
        while not self.stopping:
            exchange = self.next_exchange(worker)
            self.exchanges.append(exchange)
            self.running.add(exchange)
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.perform(exchange)
            except ConnectionRefusedError:
                exchange.result = "unreachable"
            except (OSError, EOFError, asyncio.TimeoutError, ValueError) as error:
                exchange.result, exchange.trouble = "cut", repr(error)
            exchange.ended = time.monotonic()
            self.running.discard(exchange)
            if exchange.result in ("refused", "unreachable"):
                await asyncio.sleep(0.05 if exchange.status != 402 else 0.2)

    def next_exchange(self, worker):
        dice, shape, count = self.dice, self.shape, len(self.cluster.instances)
        instance = worker % count
        if self.crowd is not None:
            instance = (self.crowd + (worker % 8 == 0)) % count
        if not self.cluster.instances[instance].is_running:
            instance = dice.randrange(count)
        account, tokens = dice.choice(self.accounts), dice.randint(*shape.tokens)
        # The poor use up what is held for them: one hold too many would be seen in their balance.
        cap = tokens if account.is_poor else tokens + dice.randrange(0, 20)
        return Exchange(
            len(self.exchanges), account, instance, dice.random() < shape.streams, tokens, cap,
            dice.randint(*shape.rate), time.monotonic())

    async def perform(self, exchange):
        hang_up_after, directives = self.oddity(exchange)
        text = f"{exchange.number} {'word ' * 40}[[mock {directives}]]"
        body = {"model": MODEL, "max_tokens": exchange.cap, "messages": [{"role": "user", "content": text}]}
        if exchange.stream:
            body.update(stream=True, stream_options={"include_usage": True})
        payload = json.dumps(body).encode()
        exchange.body_bytes = len(payload)
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.cluster.service_key}\r\nX-Tollgate-User: {exchange.account.user}\r\n"
            f"X-Client-Request-Id: {self.tag}-{exchange.number}\r\nContent-Length: {len(payload)}\r\n"
            "Connection: close\r\n\r\n")
        port = self.cluster.instances[exchange.instance].port
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        try:
            exchange.is_sent = True
            writer.write(head.encode() + payload)
            await read_reply(reader, exchange, hang_up_after)
        finally:
            writer.transport.abort()

    def oddity(self, exchange):
        """(deltas after which the client hangs up, or None; directives for the upstream)"""
        dice, shape = self.dice, self.shape
        directives = f"tokens={exchange.tokens} tps={exchange.rate}"
        if exchange.account.is_poor:
            directives += f" prompt={PROMPT_OF_POOR}"
        if shape.first_token_milliseconds:
            directives += f" ttft_ms={shape.first_token_milliseconds}"
        if dice.random() >= shape.oddities:
            return None, directives
        odd = dice.choice(["hang up", "no_usage", "cut", "cut_rst", "error_frame", "500"])
        if odd == "hang up":
            return exchange.tokens // 2, directives
        return None, directives + f" fault={odd}"


async def read_reply(reader, exchange, hang_up_after):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    exchange.status = int(head[0].split()[1])
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    exchange.hold = fields.get("x-tollgate-request-id")
    if "x-tollgate-held-millicredits" in fields:
        exchange.held = int(fields["x-tollgate-held-millicredits"])
    if "chunked" not in fields.get("transfer-encoding", ""):
        return take_whole(exchange, await reader.readexactly(int(fields["content-length"])))
    lines, is_done = b"", False
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        lines += (await reader.readexactly(size + 2))[:-2]
        whole, _, lines = lines.rpartition(b"\n")
        for line in whole.split(b"\n"):
            is_done = take_line(exchange, line.rstrip(b"\r")) or is_done
        if hang_up_after is not None and exchange.deltas >= hang_up_after:
            exchange.result, exchange.trouble = "cut", "hung up"
            return
    await reader.readexactly(2)
    if exchange.status == 200 and is_done and not exchange.trouble:
        exchange.result = "complete"
    else:
        exchange.result = "cut" if exchange.status == 200 else "refused"


def take_whole(exchange, body):
    if exchange.status != 200:
        exchange.result, exchange.trouble = "refused", body[:200].decode(errors="replace")
        return
    reply = json.loads(body)
    exchange.usage, exchange.tier, exchange.deltas = reply.get("usage"), reply.get("service_tier"), 1
    exchange.result = "complete"


def take_line(exchange, line):
    """One line of an event stream; whether it is the last."""
    if line == b"data: [DONE]":
        return True
    if b'"usage":{' in line:
        frame = json.loads(line[6:])
        exchange.usage, exchange.tier = frame["usage"], frame.get("service_tier")
    elif line.startswith(b'data: {"error"'):
        exchange.trouble = "error frame"
    elif b'"content":"' in line and b'"content":""' not in line:
        exchange.deltas += 1
    return False


def worst_case(exchange):
    """Millicredits that an exchange can cost at most, when the reply did not say what was held (gpt-4o-mini × 2)."""
    return (exchange.body_bytes * 3 + exchange.cap * 12) // 10 + 10
