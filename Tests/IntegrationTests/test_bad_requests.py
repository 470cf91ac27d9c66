"""Bad input is a 400 that names the field; no hold is left and nothing of the body is logged (issue, 6)."""
import json
import socket

import pytest

from harness import http

MARK = "zebra-marker-7f3a"
OK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": MARK}]}


def text(**changes):
    return json.dumps({**OK, **changes}).encode()


BAD = {
    "empty": (b"", None, "invalid_json"),
    "not json": (b"{" + MARK.encode(), None, "invalid_json"),
    "array": (b"[]", None, None),
    "trailing": (text() + b"x", None, "invalid_json"),
    "two documents": (text() + text(), None, "invalid_json"),
    "nul": (text().replace(b"zebra", b"ze\x00bra"), None, "invalid_json"),
    "invalid utf-8": (text().replace(b"zebra", b"ze\xff\xfebra"), None, "invalid_json"),
    "lone surrogate": (text().replace(b"zebra", b"\\ud800"), None, "invalid_json"),
    "depth": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, None, "invalid_json"),
    "array depth": (b'{"model":"gpt-4o-mini","metadata":' + b"[" * 10_000 + b"]" * 10_000 + b"}", None, "invalid_json"),
    "messages of arrays": (b'{"model":"gpt-4o-mini","messages":[[]]}', "messages", "invalid_request"),
    "duplicate key": (b'{"model":"gpt-4o","model":"gpt-4o-mini","messages":[{"role":"user","content":"x"}]}', "model", None),
    "escaped duplicate": (b'{"model":"gpt-4o","mod\\u0065l":"gpt-4o-mini","messages":[{"role":"user","content":"x"}]}', "model", None),
    "nested duplicate": (b'{"model":"gpt-4o-mini","messages":[{"role":"user","role":"user","content":"x"}]}', None, None),
    "no model": (json.dumps({"messages": OK["messages"]}).encode(), "model", "invalid_request"),
    "model type": (text(model=7), "model", "invalid_request"),
    "model empty": (text(model=""), "model", "invalid_request"),
    "messages missing": (b'{"model":"gpt-4o-mini"}', "messages", "invalid_request"),
    "messages type": (text(messages="hi"), "messages", "invalid_request"),
    "messages empty": (text(messages=[]), "messages", "invalid_request"),
    "stream type": (text(stream="yes"), "stream", "invalid_request"),
    "negative cap": (text(max_tokens=-1), "max_tokens", "invalid_request"),
    "zero cap": (text(max_completion_tokens=0), "max_completion_tokens", "invalid_request"),
    "fraction": (text(max_tokens=1.5), "max_tokens", "invalid_request"),
    "huge integer": (text().replace(b'"model"', b'"max_tokens":99999999999999999999999999,"model"'), "max_tokens", None),
    "huge exponent": (text().replace(b'"model"', b'"max_tokens":1e400,"model"'), "max_tokens", None),
    "cap type": (text(max_completion_tokens="10"), "max_completion_tokens", "invalid_request"),
    "n zero": (text(n=0), "n", "invalid_request"),
    "n negative": (text(n=-3), "n", "invalid_request"),
    "n huge": (text(n=100000), "n", "invalid_request"),
    "n type": (text(n=True), "n", "invalid_request"),
    "stream options type": (text(stream=True, stream_options=[1]), "stream_options", "invalid_request"),
    "include usage type": (text(stream=True, stream_options={"include_usage": 1}), "stream_options", None),
    "tier type": (text(service_tier=1), "service_tier", "invalid_request"),
    "tier unknown": (text(service_tier="scale"), "service_tier", "invalid_request"),
    "audio": (text(modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"}), None, "invalid_request"),
    "prediction": (text(prediction=MARK), "prediction", "invalid_request"),
    "web search": (text(web_search_options=[]), "web_search_options", "invalid_request"),
}


@pytest.fixture(scope="module")
def account(dev):
    return dev.account("bad-input", credits=1000)


@pytest.mark.parametrize("name", BAD)
def test_is_a_400_that_names_the_field(dev, sql, redis, account, name):
    body, param, code = BAD[name]
    status, _, reply = http(
        "POST", dev.baseURL + "/chat/completions", body, {"Authorization": f"Bearer {account}"})
    assert status == 400, reply
    error = json.loads(reply)["error"]
    assert error["code"] in ("invalid_json", "invalid_request")
    if code:
        assert error["code"] == code
    if param:
        assert param in error["message"] and (error["param"] or "").startswith(param)
    assert MARK not in error["message"]
    number = sql("SELECT account_id FROM credit_balance WHERE user_id = 'bad-input'")[0][0]
    assert not [f for f in redis.hkeys("a:{%d}" % number) if f.startswith("h:")]
    assert sql("SELECT count(*) FROM usage_events WHERE user_id = 'bad-input'")[0][0] == 0


def test_nothing_of_a_body_is_logged(dev):
    """After all of the above, and a good request too."""
    key = dev.account("log-check", credits=100)
    status, _, _ = http("POST", dev.baseURL + "/chat/completions", OK, {"Authorization": f"Bearer {key}"})
    assert status == 200
    log = dev.process.output()
    assert MARK not in log and key not in log and dev.serviceKey not in log.split("Traceback")[0].replace(
        printed_examples(log), "")


def printed_examples(log):
    """What `tollgate dev` prints for copy-and-paste on start holds the demo keys, on purpose."""
    return log[: log.rfind("Ctrl-C")] if "Ctrl-C" in log else ""


@pytest.mark.parametrize("request_bytes", [
    b"POST //v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /%76%31/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /v1/../api/health HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"GET http://x/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /v1/models HTTP/1.1\nHost: x\n\n",
    b"GET /v1/models HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /v1/models HTTP/1.1\r\n\r\n",
    b"\r\nGET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: x\r\nExpect: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /api/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\nGET /",
    b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: " + b"x," * 33 + b"\r\n\r\n",
])
def test_disguised_or_malformed_http_is_400_and_closed(dev, request_bytes):
    host, port = dev.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(request_bytes)
        reply = b""
        while chunk := sock.recv(65536):
            reply += chunk
    assert reply.startswith(b"HTTP/1.1 400 "), reply[:200]


def test_compressed_and_oversized_bodies(dev, account):
    auth = {"Authorization": f"Bearer {account}"}
    status, _, body = http(
        "POST", dev.baseURL + "/chat/completions", b"\x1f\x8b", {**auth, "Content-Encoding": "gzip"})
    assert status == 415 and json.loads(body)["error"]["code"] == "unsupported_encoding"
    host, port = dev.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 20971521\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("path", ["/v1/assistants", "/v1/fine_tuning/jobs", "/v1/files", "/v1/chat/completions/x"])
def test_what_is_not_metered_is_not_relayed(dev, account, path):
    status, _, body = http("POST", dev.root + path, OK, {"Authorization": f"Bearer {account}"})
    assert status == 404 and json.loads(body)["error"]["code"] == "endpoint_not_metered"
