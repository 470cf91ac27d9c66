"""A mock of Stripe and a receiver of its webhooks, as a process and a thread of the test's own."""
import http.server
import json
import os
import pathlib
import threading
import urllib.error
import urllib.parse
import urllib.request

import stripe

from harness import BIN, Process, free_port, http as request, reachable, wait_until

KEY = "sk_test_mock"
# For proxies beside the stack of all tests, whose own process has a test key and a mock of its own: it must not look at
# what is sold through another one.
LIVE_KEY = "sk_live_mock"
SECRET = "whsec_test_0123456789abcdef"
VERSION = "2025-09-30.clover"


class Hook:
    """Receives webhooks. `answer(event)` gives the status, 200 unless told; None ends the connection instead."""

    def __init__(self):
        self.received = []  # (body, signature header) of every delivery
        self.answer = lambda event: 200
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.received.append((body, self.headers["stripe-signature"]))
                status = hook.answer(json.loads(body))
                if status is None:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api/stripe/webhook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def events(self):
        return [json.loads(body) for body, _ in self.received]

    def types(self):
        return [event["type"] for event in self.events]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class MockStripe:
    """`mock-stripe`, with its control paths as methods."""

    def __init__(self, directory, *flags, webhook=None, key=KEY):
        self.port = free_port()
        self.key = key
        hooks = ["--webhook-url", webhook, "--webhook-secret", SECRET] if webhook else []
        self.process = Process(
            [BIN / "mock-stripe", "--port", self.port, "--key", key, "--retry-ms", 50, *hooks, *flags],
            os.environ.copy(), pathlib.Path(directory) / f"mock-stripe-{self.port}.log")
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(lambda: self.process.child.poll() is not None or reachable(self.port), 20, "mock-stripe")

    def client(self, **more):
        more.setdefault("max_network_retries", 0)
        return stripe.StripeClient(
            self.key, base_addresses={"api": self.url}, stripe_version=VERSION, **more)

    def control(self, command, /, **body):
        status, _, reply = request("POST", f"{self.url}/_mock/{command}", body)
        assert status == 200, reply
        return json.loads(reply)

    def stats(self):
        return json.loads(request("GET", self.url + "/_mock/stats")[2])

    def log(self):
        return json.loads(request("GET", self.url + "/_mock/log")[2])

    def settled(self, seconds=10):
        """Waits until nothing is left to be delivered."""
        wait_until(lambda: self.stats()["queued"] == 0, seconds, "all deliveries")

    def press(self, page, outcome):
        """Presses a button of the checkout page: (status, redirect or None, text)."""
        form = urllib.parse.urlencode({"outcome": outcome}).encode()
        call = urllib.request.Request(page, data=form, method="POST")
        try:
            with urllib.request.build_opener(NoRedirects).open(call, timeout=10) as reply:
                return reply.status, reply.headers.get("location"), reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("location"), error.read().decode()

    def stop(self):
        return self.process.stop()


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None
