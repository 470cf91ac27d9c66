"""What an operator's collectors get: log lines and traces; what they must never get is in test_redaction.py."""
import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import re
import threading
import time
import uuid

import pytest

from harness import BUSY_MAX, Serve, free_port, http, is_busy, running, wait_until
from test_metrics import Scrape

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Collector:
    """A collector of OTLP/HTTP: checks what it gets against the protocol. `answer()` gives a status, or None to hang."""

    def __init__(self):
        self.spans, self.bodies, self.problems, self.headers, self.calls = [], [], [], [], 0
        self.answer = lambda: 200
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.calls += 1
                status = collector.answer()
                if status is None:
                    time.sleep(30)
                    return
                if status == 200:
                    collector.headers.append(dict(self.headers))
                    collector.bodies.append(body.decode())
                    try:
                        assert self.path == "/v1/traces" and self.headers["content-type"] == "application/json"
                        collector.spans += collector.read(json.loads(body))
                    except Exception as problem:
                        collector.problems.append(repr(problem))
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def value(value):
        ((kind, inner),) = value.items()
        assert kind in ("stringValue", "intValue", "boolValue")
        assert isinstance(inner, bool if kind == "boolValue" else str)
        return int(inner) if kind == "intValue" else inner

    def read(self, body):
        (resource,) = body["resourceSpans"]
        facts = {a["key"]: self.value(a["value"]) for a in resource["resource"]["attributes"]}
        assert facts["service.name"] == "till-7"
        spans = [span for scope in resource["scopeSpans"] for span in scope["spans"]]
        for span in spans:
            assert re.fullmatch("[0-9a-f]{32}", span["traceId"]) and re.fullmatch("[0-9a-f]{16}", span["spanId"])
            assert re.fullmatch("[0-9a-f]{16}", span.get("parentSpanId", "0" * 16))
            assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
            assert abs(int(span["startTimeUnixNano"]) / 1e9 - time.time()) < 300
            span["facts"] = {a["key"]: self.value(a["value"]) for a in span["attributes"]}
        return spans

    def of(self, trace):
        return {span["name"]: span for span in self.spans if span["traceId"] == trace}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture()
def collector():
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
def payer(dev):
    return dev.account(f"traced-{uuid.uuid4().hex[:8]}", credits=100_000)


@contextlib.contextmanager
def serve(dev, endpoint=None, **env):
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "till-7"} if endpoint else {}
    with running(Serve(dev, JOURNAL_DIR=str(dev.directory / f"j-{uuid.uuid4().hex[:8]}"), **traced, **env)) as one:
        yield one


def served(serve, key):
    """How often it was asked until it was served: a client asks again when the hold store had no time."""
    for asked in range(1, BUSY_MAX + 1):
        status, _, reply = post(serve, key)
        if not is_busy(status, reply):
            break
    assert status == 200, reply
    return asked


def ask(serve, key, stream=False, **headers):
    status, headers, _ = post(serve, key, stream, **headers)
    return status, headers


def post(serve, key, stream=False, **headers):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi [[mock tokens=20]]"}], "stream": stream}
    return http(
        "POST", serve.base + "/chat/completions", body, {"Authorization": "Bearer " + key, **headers}, timeout=30)


def test_a_trace_is_continued_and_told_whole(dev, payer, collector):
    access = dev.directory / f"access-{uuid.uuid4().hex[:8]}.log"
    with serve(
            dev, collector.url, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20k-77", ACCESS_LOG=str(access)) as one:
        status, headers = ask(one, payer, stream=True, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="v=1")
        assert status == 200
        wait_until(lambda: len(collector.of(TRACE)) >= 4, 20, "the spans")
        hold = headers["x-tollgate-request-id"]
        wait_until(lambda: access.exists() and hold in access.read_text(), 10, "its line")
        (line,) = [json.loads(x) for x in access.read_text().splitlines() if hold in x]
    assert not collector.problems, collector.problems
    assert all(h.get("authorization") == "Bearer k-77" for h in collector.headers)
    spans = collector.of(TRACE)
    assert set(spans) == {"POST chat", "hold.place", "upstream", "settle"}
    server = spans["POST chat"]
    assert server["kind"] == 2 and server["parentSpanId"] == PARENT
    assert all(spans[name]["parentSpanId"] == server["spanId"] for name in ("hold.place", "upstream", "settle"))
    assert server["facts"]["tollgate.hold_id"] == hold == line["request_id"]
    assert line["trace_id"] == TRACE
    assert server["facts"]["tollgate.charged_millicredits"] == line["charged_millicredits"] > 0
    assert server["facts"]["gen_ai.usage.output_tokens"] == line["output_tokens"]
    upstream = spans["upstream"]["facts"]
    assert 0 < upstream["tollgate.first_byte_us"] <= upstream["tollgate.first_token_us"]


class Upstream:
    """Answers every chat, and keeps the fields that it was sent."""

    REPLY = json.dumps({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}).encode()

    def __init__(self):
        self.fields = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                upstream.fields.append([(name.lower(), value) for name, value in self.headers.items()])
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(upstream.REPLY)))
                self.end_headers()
                self.wfile.write(upstream.REPLY)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self):
        (fields,) = self.fields
        return [field for field in fields if field[0] in ("traceparent", "tracestate")]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture()
def upstream():
    upstream = Upstream()
    yield upstream
    upstream.stop()


def test_the_upstream_is_told_only_when_the_operator_says_so(dev, payer, collector, upstream):
    fields = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "v=1,w=2"}
    with serve(dev, collector.url, OPENAI_BASE_URL=upstream.url) as one:
        assert ask(one, payer, **fields)[0] == 200
    assert upstream.told() == []
    upstream.fields.clear()
    with serve(dev, collector.url, OPENAI_BASE_URL=upstream.url, TRACE_UPSTREAM="true") as one:
        assert ask(one, payer, **fields)[0] == 200
    # Of our span, not of the client's.
    spans = [span for span in collector.spans if span["name"] == "upstream"]
    assert upstream.told() == [
        ("traceparent", f"00-{TRACE}-{spans[-1]['spanId']}-01"), ("tracestate", "v=1,w=2")]
    upstream.fields.clear()
    with serve(dev, OPENAI_BASE_URL=upstream.url, TRACE_UPSTREAM="true") as one:
        assert ask(one, payer, traceparent=f"00-{TRACE}-{PARENT}-01x", tracestate="v=1")[0] == 200
    assert upstream.told() == [], "what is malformed goes no further"


@pytest.mark.parametrize("setting", ["TRUSTED_PROXIES=127.0.0.1", "TRACE_PARENT_BASED=true"])
def test_a_client_does_not_choose_what_is_sampled(dev, payer, collector, tmp_path, setting):
    """One of the two alone trusts nobody with it. Else strangers fill the collector, or hide from it. Its ids are kept: they join our logs to its own."""
    access = tmp_path / "access.log"
    trust = dict([setting.split("=")])
    with serve(dev, collector.url, TRACE_SAMPLE_RATIO="0", ACCESS_LOG=str(access), **trust) as one:
        for _ in range(5):
            assert ask(one, payer, traceparent=f"00-{TRACE}-{PARENT}-01")[0] == 200
            assert ask(one, "tg_of_a_stranger", traceparent=f"00-{TRACE}-{PARENT}-01")[0] == 401
        wait_until(lambda: access.exists() and access.read_text().count(TRACE) == 10, 10, "its lines")
    # It ends when all that it has to tell was told.
    assert not collector.spans
    with serve(dev, collector.url, TRACE_SAMPLE_RATIO="1") as one:
        assert ask(one, payer, traceparent=f"00-{TRACE}-{PARENT}-00")[0] == 200
        wait_until(lambda: collector.of(TRACE), 20, "one that its client would not sample")


def test_what_a_trusted_peer_does_not_sample_is_not_told(dev, payer, collector):
    """A load balancer in front that traces by itself has chosen already."""
    with serve(
            dev, collector.url, TRACE_SAMPLE_RATIO="0", TRACE_PARENT_BASED="true", TRUSTED_PROXIES="127.0.0.1") as one:
        for flags in ("00", None):
            more = {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"} if flags else {}
            assert ask(one, payer, **more)[0] == 200
        other = "1" * 32
        assert ask(one, payer, traceparent=f"00-{other}-{PARENT}-01")[0] == 200
        wait_until(lambda: collector.of(other), 20, "the one that its peer samples")
        # Twice, or malformed: nobody knows whose trace it is.
        assert ask(one, payer, traceparent=f"00-{TRACE}-{PARENT}-01-x")[0] == 200
    assert {span["traceId"] for span in collector.spans} == {other}


@pytest.mark.parametrize("trouble", ["hangs", "503", "400", "absent"])
def test_a_collector_in_trouble_is_nobodys_trouble(dev, payer, collector, trouble):
    collector.answer = {"hangs": lambda: None, "503": lambda: 503, "400": lambda: 400}.get(trouble, lambda: 200)
    endpoint = f"http://127.0.0.1:{free_port()}" if trouble == "absent" else collector.url
    with serve(dev, endpoint) as one:
        asked = sum(served(one, payer) for _ in range(40))
        if trouble == "400":
            wait_until(
                lambda: Scrape(one.ops).value("trace_exchanges_dropped_total", reason="refused") == asked, 20, "the count")
        assert Scrape(one.ops).sum("trace_exchanges_exported_total") == 0
        began = time.monotonic()
    # Leaves in time, whatever the collector does: a request and the flush have five seconds each.
    assert time.monotonic() - began < 25


def test_spans_of_the_last_exchanges_are_not_lost(dev, payer, collector):
    with serve(dev, collector.url) as one:
        asked = sum(served(one, payer) for _ in range(5))
    assert sum(span["name"] == "POST chat" for span in collector.spans) == asked and not collector.problems


def test_every_line_on_standard_error_is_json_with_its_request(dev):
    access = dev.directory / f"access-{uuid.uuid4().hex[:8]}.log"
    with serve(dev, ACCESS_LOG=str(access), LOG_LEVEL="debug") as one:
        status, headers, _ = http(
            "GET", one.root + "/api/billing/summary", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        assert status == 401
        request = headers["x-tollgate-request-id"]
        wait_until(lambda: access.exists() and request in access.read_text(), 10, "its line")
        (line,) = [json.loads(x) for x in access.read_text().splitlines() if request in x]
        assert line["plane"] == "control" and line["trace_id"] == TRACE
        lines = [json.loads(x) for x in one.process.output().splitlines()]
    assert any(line["message"] == "listening" for line in lines)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)


def test_a_warning_names_the_request_that_its_client_was_told(dev, payer, sql):
    """On either plane: whoever has a reply finds what was said of it."""
    sql("DELETE FROM sign_in_limit")
    with serve(dev) as one:
        status, refused, _ = http("POST", one.root + "/api/admin/session", {
            "email": "nobody@example.com", "password": "of nobody's", "code": "none"})
        assert status == 401
        again = {"Idempotency-Key": uuid.uuid4().hex}
        status, first = ask(one, payer, **again)
        assert status == 200
        hold = first["x-tollgate-request-id"]
        # A reply that was damaged in its place cannot be told again.
        wait_until(lambda: sql(
            "UPDATE idempotent_replies SET reply = set_byte(reply, 9, 255 - get_byte(reply, 9)) "
            "WHERE hold_id = %s::uuid AND state = 'finished' RETURNING 1", hold), 20, "the reply")
        status, _ = ask(one, payer, **again)
        assert status == 409
        lines = [json.loads(x) for x in one.process.output().splitlines()]
    for message, request in (("not signed in", refused["x-tollgate-request-id"]), ("a kept reply cannot be opened", hold)):
        (line,) = [line for line in lines if line["message"] == message]
        assert line["level"] == "warning" and line["request_id"] == request, line


@pytest.mark.parametrize("setting, value", [("LOG_FORMAT", "xml"), ("LOG_LEVEL", "loud"), ("TRACE_SAMPLE_RATIO", "2")])
def test_a_wrong_setting_is_named(dev, setting, value):
    done = dev.cli("serve", check=False, **{setting: value})
    assert done.returncode == 78 and setting in done.stderr
