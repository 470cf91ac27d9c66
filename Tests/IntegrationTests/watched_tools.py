"""An instance that sells, under a steady load, with a Prometheus and an Alertmanager that watch it."""
import contextlib
import hashlib
import hmac
import itertools
import json
import threading
import time

import psycopg2
import redis as redis_client

from harness import Dev, free_port, http, wait_until
from ledger_tools import query
from monitoring_tools import ALERTS, Monitoring
from stripe_tools import LIVE_KEY, SECRET, MockStripe
from test_purchases import Till


class Watched:
    # Whether the load has purchases, and so deliveries of Stripe.
    is_selling = True
    told_before = frozenset()

    def __init__(self, directory):
        self.parts = contextlib.ExitStack()
        try:
            self.build(directory)
        except BaseException:
            self.stop()
            raise

    def build(self, directory):
        self.dev = Dev()
        self.parts.callback(self.dev.remove)
        self.parts.callback(self.dev.stop)
        self.port, self.ops = free_port(), free_port()
        self.stripe = MockStripe(
            directory, key=LIVE_KEY, webhook=f"http://127.0.0.1:{self.port}/api/stripe/webhook")
        self.parts.callback(self.stripe.stop)
        self.till = Till.__new__(Till)
        self.till.dev, self.till.stripe, self.till.port = self.dev, self.stripe, self.port
        self.start()
        self.parts.callback(self.stop_serving)
        self.key = self.dev.account("watched", credits=100_000)
        # The books are read every five minutes, by one instance for all: by this one, now, with something in them.
        before = self.till.balance(self.key)
        self.till.buy(self.key)
        wait_until(lambda: self.till.balance(self.key) > before, 30, "the purchase")
        self.till.stop()
        self.sql("DELETE FROM job_lease WHERE job = 'books'")
        self.start()
        self.poor = self.dev.account("poor")
        self.monitoring = Monitoring(directory, self.ops)
        self.parts.callback(self.monitoring.stop)
        self.is_over = threading.Event()
        self.load = threading.Thread(target=self.run_load, daemon=True)
        self.load.start()
        self.parts.callback(self.load.join, 30)
        self.parts.callback(self.is_over.set)
        # Until it has found its target, Prometheus knows no instance.
        wait_until(lambda: self.monitoring.query("up == 1"), 30, "a scrape")
        self.quiet()

    def start(self):
        self.till.start(
            ops=self.ops, OPENAI_BASE_URL=self.dev.upstreamURL, TOLLGATE_TEST_SWEEP_SECONDS="1")

    def chat(self, key=None, mock="tokens=30", port=None, timeout=20, **more):
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"Hi [[mock {mock}]]"}], **more}
        return http(
            "POST", f"http://127.0.0.1:{port or self.port}/v1/chat/completions", body,
            {"Authorization": "Bearer " + (key or self.key)}, timeout=timeout)[0]

    def webhook(self, event, at):
        """Delivers an event with a signature of this moment; the status."""
        body = json.dumps(event).encode()
        signature = hmac.new(SECRET.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
        return http(
            "POST", f"http://127.0.0.1:{self.port}/api/stripe/webhook", body,
            {"Stripe-Signature": f"t={int(at)},v1={signature}"})[0]

    def redis(self):
        return redis_client.Redis.from_url(self.dev.redisURL, decode_responses=True)

    def stored_account(self, user):
        """Where Redis keeps an account."""
        return "a:{%s}" % self.sql("SELECT account_id FROM account WHERE user_id = %s", user)[0][0]

    def run_load(self):
        """A little of everything, all the time."""
        for turn in itertools.count():
            if self.is_over.wait(0.25):
                return
            with contextlib.suppress(OSError, AssertionError, ValueError):
                self.chat(stream=bool(turn % 2), model=("gpt-4o-mini", "gpt-4o")[turn % 3 == 0])
                headers = {"Authorization": "Bearer " + self.key}
                http("GET", f"http://127.0.0.1:{self.port}/api/billing/summary", headers=headers, timeout=5)
                if turn % 8 == 0 and self.is_selling:
                    self.till.buy(self.key)
                if turn % 8 == 4:
                    self.chat(self.poor, max_tokens=20)

    def sql(self, text, *parameters):
        return query(self.dev.databaseURL, text, *parameters)

    @contextlib.contextmanager
    def locked(self, table):
        """Nobody else reads or writes it."""
        connection = psycopg2.connect(self.dev.databaseURL)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield
        finally:
            connection.close()

    def quiet(self, seconds=60):
        """Until nothing fires any more, and whoever was told that something did knows it."""
        told = self.monitoring.told
        wait_until(
            lambda: not self.monitoring.firing() and told.to_whom() <= told.to_whom("resolved"), seconds,
            f"an end of {self.monitoring.firing()}")
        told.events.clear()

    def expect(self, *alerts, seconds=90):
        """They are silent. What else fires, or waits for it, is of a fault before."""
        wait_until(lambda: not set(alerts) & self.monitoring.firing(), seconds, f"an end of {alerts}")
        # What is over may still be on its way to whom it concerns.
        self.told_before = self.monitoring.names("max_over_time(ALERTS[10s])")
        self.monitoring.told.events.clear()

    def stop_serving(self):
        with contextlib.suppress(AssertionError):  # A test that failed may have stopped it already.
            self.till.stop()

    def stop(self):
        self.parts.close()


def concerned(labels):
    """The receivers of an alert."""
    return ["pagerduty", "slack-operations"] if labels["severity"] == "page" else ["slack-" + labels["team"]]


CONCERNED = {rule["alert"]: concerned(rule["labels"]) for rule in ALERTS}


def busy(watched):
    """What a machine that is too busy makes true: it is late for two scrapes of a second, which are half a minute, and
    nobody is down; it is late for the tenth of a second that a hold may take, and requests are lost indeed."""
    alerts = set()
    if watched.till.serve.process.child.poll() is None:
        alerts |= {"TollgateInstanceDown"}
    if watched.monitoring.query('max_over_time(holds_place_total{result="deadline"}[24m]) > 0'):
        alerts |= {"TollgateAvailabilityBurnFast", "TollgateAvailabilityBurnSlow"}
    return alerts


def is_told(watched, *alerts, also=(), seconds=60, repeat=lambda: None):
    """Each of `alerts` is told to whom it concerns; beside them and `also` nothing is."""
    told = watched.monitoring.told
    wanted = {(receiver, name) for name in alerts for receiver in CONCERNED[name]}
    end = time.monotonic() + seconds
    while silent := wanted - told.to_whom():
        assert time.monotonic() < end, f"{silent} are silent; firing: {watched.monitoring.firing()}"
        repeat()
        time.sleep(0.2)
    known = {*also, *watched.told_before, *busy(watched)}
    others = {(receiver, name) for receiver, name in told.to_whom() - wanted if name not in known}
    assert not others, others


def resolved(watched, *alerts, seconds=60):
    for name in alerts:
        wait_until(lambda: watched.monitoring.told.heard(name, "resolved"), seconds, f"the end of {name}")
