"""TLS at the listener: the official SDK, HTTP/2, SNI, certificates that change, and who is turned away."""
import asyncio
import json
import signal
import socket
import ssl
import subprocess

import httpx
import openai
import pytest

from harness import wait_until
from wire_tools import TLSServe, chat, load


@pytest.fixture(scope="module")
def serve(dev, authority):
    pairs = [
        authority.issue("first", ["localhost"]), authority.issue("second", ["*.example.test"]),
        authority.issue("third", ["exact.example.test"])]
    proxy = TLSServe(dev, authority, pairs, ACCESS_LOG=str(authority.directory / "access.log"))
    yield proxy
    assert proxy.stop() == 0


def test_the_official_sdk_over_https_with_a_private_ca(dev, serve, authority, settled):
    key = dev.account("tls-sdk", 1000)
    client = openai.OpenAI(
        base_url=serve.base, api_key=key, http_client=httpx.Client(verify=authority.context()), max_retries=0)
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}], stream=True)
    assert whole.usage.total_tokens > 0 and "".join(c.choices[0].delta.content or "" for c in stream)
    assert len(settled("tls-sdk", 2)) == 2
    with pytest.raises(openai.APIConnectionError):  # not trusted without the CA
        openai.OpenAI(base_url=serve.base, api_key=key, max_retries=0).models.list()


def test_the_async_sdk_over_http2(dev, serve, authority, settled):
    key = dev.account("tls-h2", 1000)

    async def run():
        transport = httpx.AsyncClient(verify=authority.context(), http2=True)
        client = openai.AsyncOpenAI(base_url=serve.base, api_key=key, http_client=transport, max_retries=2)

        async def one(index):
            got = await client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": f"hi {index}"}], stream=index % 2 == 0)
            return "".join([c.choices[0].delta.content or "" async for c in got]) if index % 2 == 0 else got.id

        texts = await asyncio.gather(*(one(i) for i in range(20)))
        version = (await transport.get(serve.root + "/api/health")).http_version
        await transport.aclose()
        return texts, version

    texts, version = asyncio.run(run())
    assert all(texts) and version == "HTTP/2"
    assert len(settled("tls-h2", 20)) == 20


def test_names_choose_certificates(serve):
    first, second = serve.handshake("localhost")[0], serve.handshake("a.example.test")[0]
    assert first != second
    assert serve.handshake("b.a.example.test")[0] == first, "a wildcard stands for one label"
    assert serve.handshake("unknown.test")[0] == first
    assert serve.handshake("A.Example.Test")[0] == second
    exact = serve.handshake("exact.example.test")[0]
    assert exact not in (first, second), "whoever is named comes before a wildcard"
    assert serve.handshake("exact.example.test.")[0] == exact, "the dot of a full name is not part of it"


def test_old_protocols_and_weak_ciphers_are_turned_away(serve, authority):
    assert serve.handshake("localhost")[1] == "TLSv1.3"
    twelve = authority.context()
    twelve.maximum_version = ssl.TLSVersion.TLSv1_2
    certificate, version, cipher = serve.handshake("localhost", twelve)
    assert version == "TLSv1.2" and cipher.startswith("ECDHE-")
    for ciphers in ("AES128-SHA", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256"):
        weak = authority.context()
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers(ciphers + ":@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            serve.handshake("localhost", weak)
    old = authority.context()
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        serve.handshake("localhost", old)


def test_sessions_are_resumed(serve, authority):
    context = authority.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", serve.port), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            session = secure.session
    with socket.create_connection(("127.0.0.1", serve.port), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as secure:
            assert secure.session_reused


def test_certificates_change_under_load_without_a_failed_request(dev, serve, authority):
    key = dev.account("tls-reload", 100_000)
    before = serve.handshake("localhost")[0]
    failed, done = [], []

    def run(index):
        options = ["--http2" if index % 2 else "--http1.1", "-o", "/dev/null", "-w", "%{http_code}",
                   "-H", f"Authorization: Bearer {key}"]
        got = serve.curl("/v1/models", *options)
        (done if got.stdout == "200" else failed).append(got.stderr or got.stdout)

    with load(run, 4):
        for _ in range(3):
            authority.issue("first", ["localhost"])
            serve.process.child.send_signal(signal.SIGHUP)
            wait_until(lambda: serve.handshake("localhost")[0] != before, 10, "the new certificate")
            before = serve.handshake("localhost")[0]
    assert not failed and len(done) > 10
    # One that cannot be used changes nothing, and is said.
    key_file = authority.directory / "first.key"
    good = key_file.read_text()
    key_file.write_text("nonsense")
    serve.process.child.send_signal(signal.SIGHUP)
    wait_until(lambda: "not reloaded: certificates" in serve.process.output(), 10, "the complaint")
    assert serve.handshake("localhost")[0] == before
    key_file.write_text(good)


def test_h2load_gets_what_it_asks_for_and_pays_exactly(dev, serve, settled, tmp_path):
    key = dev.account("tls-h2load", 100_000)
    body = tmp_path / "body.json"
    body.write_text(json.dumps(chat()))
    for path, options in (
            ("/api/health", []),
            ("/v1/chat/completions", ["-d", body, "-H", f"Authorization: Bearer {key}",
                                      "-H", "content-type: application/json"])):
        out = subprocess.run(
            ["h2load", "-n", "300", "-c", "6", "-m", "5", *map(str, options), serve.root + path],
            capture_output=True, text=True, timeout=120).stdout
        codes = next(line for line in out.splitlines() if line.startswith("status codes"))
        answered, refused = int(codes.split()[2]), int(codes.split(",")[3].split()[0])
        # A debug build may answer 503 when a hold takes longer than 100 ms; nothing else may happen.
        assert answered + refused == 300 and (refused == 0 or path != "/api/health"), out
    assert len(settled("tls-h2load", answered)) == answered


def test_http2_is_not_spoken_without_tls(dev):
    out = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", dev.root + "/api/health"], capture_output=True, text=True, timeout=20)
    assert out.returncode != 0
    upgrade = subprocess.run(
        ["curl", "-sS", "--http2", "-w", "%{http_version}", "-o", "/dev/null", dev.root + "/api/health"],
        capture_output=True, text=True, timeout=20)
    assert upgrade.stdout == "1.1"


def test_the_access_log_has_a_line_per_request_and_no_secret(dev, serve, authority, settled):
    key = dev.account("tls-log", 1000)
    for stream in (False, True):
        done = serve.curl(
            "/v1/chat/completions?secret=in-the-query", "-H", f"Authorization: Bearer {key}",
            "-H", "content-type: application/json", "-d", json.dumps(chat(stream, "the secret prompt")))
        assert done.returncode == 0
    rows = settled("tls-log", 2)

    def lines():
        text = (authority.directory / "access.log").read_text()
        found = [json.loads(line) for line in text.splitlines()]
        mine = [line for line in found if line.get("user") == "tls-log"]
        return (text, mine) if len(mine) == 2 else None

    text, mine = wait_until(lines, 10, "two lines")
    assert sorted(line["request_id"] for line in mine) == sorted(row["hold"] for row in rows)
    by_hold = {row["hold"]: row for row in rows}
    for line in mine:
        row = by_hold[line["request_id"]]
        assert line["charged_millicredits"] == row["charged"] and line["input_tokens"] == row["input"]
        assert line["status"] == 200 and line["end"] == "complete" and line["tls"] is True
        assert line["path"] == "/v1/chat/completions" and line["response_bytes"] > 100
    for secret in (key, "the secret prompt", "in-the-query", dev.adminToken, "sk-operator"):
        assert secret not in text


def test_no_line_of_the_access_log_has_a_secret(dev, serve, authority):
    """Whatever is refused, on whatever plane and transport, and wherever a client puts its key."""
    key = dev.account("tls-quiet", 10)
    secrets = [key, "tg_of-nobody-at-all", "hidden-query", "hidden-prompt", "hidden-cookie", dev.adminToken, "sk-operator"]
    bearer = ["-H", f"Authorization: Bearer {key}"]
    odd = ["-H", "Cookie: session=hidden-cookie", "-H", f"x-api-key: {key}", "-H", f"api-key: {key}"]
    json_body = ["-H", "content-type: application/json", "-d"]
    good = json.dumps(chat(False, "hidden-prompt"))
    chat_path = "/v1/chat/completions?key=hidden-query"
    cases = [  # path, options, status
        (chat_path, [*bearer, *odd, *json_body, good], 200),
        (chat_path, [*odd, *json_body, good], 401),
        (chat_path, ["-H", "Authorization: Bearer tg_of-nobody-at-all", *json_body, good], 401),
        (chat_path, ["-H", f"Authorization: Basic {key}", *json_body, good], 401),
        (chat_path, [*bearer, *json_body, good + "hidden-prompt"], 400),
        (chat_path, [*bearer, *json_body, json.dumps({**chat(False, "hidden-prompt"), "n": "hidden-prompt"})], 400),
        (chat_path, [*bearer, *json_body, json.dumps(chat(False, "hidden-prompt", max_tokens=16000))], 402),
        (chat_path, [*bearer, "-H", "X-Tollgate-User: demo", *json_body, good], 403),
        (chat_path, [*bearer, "-H", "content-encoding: gzip", *json_body, good], 415),
        (chat_path, [*bearer, *json_body, "hidden-prompt" * 2_000_000], 413),
        (chat_path, [*bearer, "-X", "GET"], 405),
        ("/v1/assistants?key=hidden-query", [*bearer, *json_body, good], 404),
        ("/v1/models/nothing?key=hidden-query", bearer, 404),
        ("/v1//models?key=hidden-query", [*bearer, *odd], 400),
        ("/v1/models?key=hidden-query", ["-H", f"X-Large: {key * 1000}"], 431),
        ("/api/billing/summary?userId=demo&token=hidden-query", ["-H", f"Authorization: Bearer {dev.adminToken}", *odd], 200),
        ("/api/billing/summary?token=hidden-query", ["-H", "Authorization: Bearer tg_of-nobody-at-all"], 401),
        (f"/api/nothing?token=hidden-query&key={key}", [*bearer, *odd], 404),
        ("/api/billing/estimate?token=hidden-query", [*bearer, *json_body, "{hidden-prompt"], 400),
    ]
    log = authority.directory / "access.log"
    before = len(log.read_text().splitlines())
    big = authority.directory / "big.json"
    for version in ("--http1.1", "--http2"):
        for path, options, status in cases:
            if len(options[-1]) > 100_000:
                big.write_text(options[-1])
                options = [*options[:-1], f"@{big}"]
            got = serve.curl(path, version, *options, "-o", "/dev/null", "-w", "%{http_code}")
            # Of HTTP/2 a head that unpacks to too much ends its connection.
            assert got.stdout == str(status) or (status == 431 and version == "--http2"), (version, path, got)

    def lines():
        found = log.read_text().splitlines()[before:]
        return found if len(found) >= 2 * len(cases) - 1 else None

    found = wait_until(lines, 10, "a line per request")
    records = [json.loads(line) for line in found]
    assert {r["status"] for r in records} >= {status for _, _, status in cases}
    assert {(r["http"], r["plane"]) for r in records} == {(h, p) for h in ("1.1", "2") for p in ("data", "control")}
    for secret in secrets:
        assert not [line for line in found if secret in line]
