"""What went wrong for users of similar systems, where no other file shows it (docs/KNOWN_FAILURES.md lists every row and
its test)."""
import concurrent.futures
import json
import os
import socket

import pytest

from harness import BIN, ROOT, Process, Serve, free_port, http, patient_http, reachable, running, wait_until
from pricing_oracle import Card, expected
from sdk_tools import patient_sdk

CARD = Card.newest_openai()


@pytest.fixture(scope="module")
def proxy(dev, mock):
    with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as serve:
        yield serve


@pytest.fixture()
def upstream(mock):
    mock.reset()
    yield mock
    mock.release_replies()


def post(proxy, key, path, body, timeout=30, **headers):
    return patient_http("POST", proxy.base + path, body, {"Authorization": f"Bearer {key}", **headers}, timeout)


def chat(text, **more):
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


def held(redis, sql, user):
    account = sql("SELECT account_id FROM credit_balance WHERE user_id = %s", user)[0][0]
    return int(redis.hget(f"a:{{{account}}}", "H") or 0)


def code(reply):
    return json.loads(reply[2])["error"]["code"]


def figure(proxy, name):
    text = http("GET", f"http://127.0.0.1:{proxy.ops}/metrics")[2].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith((name + " ", name + "{")))


def test_the_richest_account_is_held_like_any_other(dev, proxy, upstream, redis, sql):
    """Rows 3, 4: nobody is trusted with a call that is not covered, however large the balance is."""
    key = dev.account("known-rich", credits=50_000_000)
    upstream.hold_replies()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(post, proxy, key, "/chat/completions", chat("Hi", max_tokens=1000))
        amount = wait_until(lambda: held(redis, sql, "known-rich"), what="a hold")
        upstream.release_replies()
        status, headers, _ = running.result()
    # 1,000 tokens at 20 credits per 1,000 are the least that this can be.
    assert status == 200 and amount == int(headers["x-tollgate-held-millicredits"]) >= 20_000


def test_a_long_context_is_held_at_its_own_rates(dev, proxy, upstream, redis, sql, settled):
    """Row 10: the hold is made by the price that settles, and that one doubles beyond the threshold."""
    dev.account("known-long", credits=90_000)
    key = dev.key("known-long")
    text = "word " * 290_000 + "[[mock prompt=290000 cached=0 cache_write=290000]]"
    body = {"model": "gpt-5.6", "input": text, "max_output_tokens": 16}
    assert 0 < int(CARD.body["models"]["gpt-5.6"]["long_context"]["threshold"]) < 290_000
    status, headers, _ = post(proxy, key, "/responses", body)
    assert status == 200
    (row,) = settled("known-long", 1)
    assert row["charged"] == expected(CARD, upstream.log()[0])
    assert row["charged"] <= int(headers["x-tollgate-held-millicredits"])
    # More than the dearest of the base rates would be, 8 USD per million with the markup of 2.
    assert row["charged"] > 290_000 * 8 * 2


def test_a_request_without_a_cap_leaves_room_for_others(dev, proxy, upstream, redis, sql):
    """Row 12: it does not take the whole balance; the cap that goes upstream is the one that is held."""
    key = dev.account("known-headroom", credits=200)
    upstream.hold_replies()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        replies = [pool.submit(post, proxy, key, "/chat/completions", chat("Hi [[mock tokens=3]]")) for _ in range(4)]
        wait_until(lambda: len(upstream.log()) == 4 or held(redis, sql, "known-headroom") > 150_000, what="four holds")
        upstream.release_replies()
        replies = [reply.result() for reply in replies]
    assert [status for status, _, _ in replies] == [200] * 4
    holds = [int(headers["x-tollgate-held-millicredits"]) for _, headers, _ in replies]
    assert sum(holds) <= 200_000 and max(holds) < 200_000
    caps = sorted(int(headers["x-tollgate-max-output-tokens"]) for _, headers, _ in replies)
    sent = sorted(row["cap"] for row in upstream.log())
    assert caps == sent


def test_what_was_used_above_the_hold_is_charged_and_blocks_the_next(dev, proxy, upstream, settled, balance):
    """Rows 13, 14: upstream went over its own cap. That is paid, below zero, and nothing is forgiven."""
    key = dev.account("known-over", credits=1)
    assert post(proxy, key, "/chat/completions", chat("[[mock tokens=20 fault=over_cap]]", max_tokens=20))[0] == 200
    (row,) = settled("known-over", 1)
    assert row["charged"] == expected(CARD, upstream.log()[0]) > 1_000
    assert balance("known-over") == 1_000 - row["charged"] < 0
    assert post(proxy, key, "/chat/completions", chat("Hi", max_tokens=1))[0] == 402


def test_a_socket_is_not_upgraded(dev, proxy, upstream):
    """Row 15: what is said on it could not be metered turn by turn."""
    key = dev.account("known-socket", credits=100)
    with socket.create_connection(("127.0.0.1", proxy.port), 5) as wire:
        wire.sendall(
            b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Authorization: Bearer " + key.encode() + b"\r\n\r\n")
        answer = b""
        while b"endpoint_not_metered" not in answer:
            more = wire.recv(65536)
            assert more, answer
            answer += more
    assert answer.startswith(b"HTTP/1.1 404 ") and upstream.log() == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_report_of_zero_is_charged_as_reported_and_told(dev, proxy, upstream, settled, stream):
    """Rows 28, 45, 50: it is not taken for a missing report, and does not pass unseen either."""
    user = f"known-zero-{stream}"
    key, before = dev.account(user, credits=100), figure(proxy, "usage_zero_total")
    reply = post(proxy, key, "/chat/completions", chat("[[mock tokens=5 fault=zero_usage]]", stream=stream))
    assert reply[0] == 200 and (b"tok" in reply[2] or b"content" in reply[2])
    (row,) = settled(user, 1)
    assert (row["charged"], row["estimated"]) == (0, False)
    assert figure(proxy, "usage_zero_total") == before + 1


def test_replies_with_the_same_id_are_charged_each(dev, proxy, upstream, settled):
    """Row 31: the key of a charge is ours. OpenAI's ids may repeat or be missing."""
    key = dev.account("known-ids", credits=1000)
    replies = [post(proxy, key, "/chat/completions", chat("[[mock tokens=4 fixed=1]]")) for _ in range(3)]
    assert len({json.loads(body)["id"] for _, _, body in replies}) == 1
    rows = settled("known-ids", 3)
    assert len(rows) == 3 and len({row["hold"] for row in rows}) == 3
    assert all(row["charged"] == expected(CARD, upstream.log()[0]) > 0 for row in rows)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked, served", [
    ("priority", "default"), ("priority", "priority"), ("default", "priority"), (None, "priority"),
    ("flex", "default")])
def test_the_tier_that_was_served_is_charged(dev, proxy, upstream, settled, asked, served, stream):
    """Row 36: what was asked for decides the hold, what was served the charge."""
    user = f"known-tier-{asked}-{served}-{stream}"
    key = dev.account(user, credits=10_000)
    more = {"service_tier": asked} if asked else {}
    text = f"Hi [[mock tokens=20 reasoning=9 tier={served}]]"
    body = {**chat(text, stream=stream, max_completion_tokens=50, **more), "model": "gpt-5.6"}
    status, headers, _ = post(proxy, key, "/chat/completions", body)
    assert status == 200
    row, line = settled(user, 1)[0], upstream.log()[-1]
    assert line["service_tier"] == row["tier"] == served and line["requested_tier"] == (asked or "default")
    assert row["charged"] == CARD.charge("gpt-5.6", line["usage"], served) and not row["estimated"]
    others = {CARD.charge("gpt-5.6", line["usage"], tier) for tier in ("default", "flex", "priority")}
    assert len(others) == 3, "the figures would not tell one tier from another"
    if asked == served or (asked, served) == ("priority", "default"):
        assert row["charged"] <= int(headers["x-tollgate-held-millicredits"])


def test_a_stream_that_only_stops_is_told_and_charged_by_what_came(dev, proxy, upstream, settled):
    """Row 49c: the end of a response never came. The client hears so, and pays for what it got, flagged."""
    key = dev.account("known-stops", credits=1000)
    client = patient_sdk(key, proxy.base)
    events = list(client.responses.create(model="gpt-4o", input="[[mock tokens=40 after=20 fault=cut]]", stream=True))
    client.close()
    kinds = [event.type for event in events]
    assert kinds.count("response.output_text.delta") == 20 and "response.completed" not in kinds
    assert kinds[-1] == "error" and "upstream" in events[-1].message.lower()
    (row,) = settled("known-stops", 1)
    assert row["estimated"] and row["output"] >= 20 and row["charged"] > 0


def test_redis_away_at_the_start_is_found_when_it_comes(dev, mock, tmp_path, settled):
    """Row 9: what was not there at boot is looked for again, and until then nothing is admitted."""
    port, listen = free_port(), free_port()
    key = dev.account("known-boot", credits=100)
    settings = dev.environment(
        LISTEN=f"127.0.0.1:{listen}", OPS_LISTEN=f"127.0.0.1:{free_port()}", ACCESS_LOG="off",
        REDIS_URL=f"redis://127.0.0.1:{port}", OPENAI_BASE_URL=mock.url + "/v1", JOURNAL_DIR=str(tmp_path / "journal"))
    mock.reset()
    serve = Process([BIN / "tollgate", "serve"], settings, tmp_path / "serve.log", cwd=ROOT)
    store = None
    try:
        wait_until(lambda: serve.child.poll() is not None or reachable(listen), 30, "the port is open")
        url = f"http://127.0.0.1:{listen}/v1/chat/completions"
        headers = {"Authorization": f"Bearer {key}"}
        for _ in range(5):
            reply = http("POST", url, chat("Hi"), headers, 30)
            assert reply[0] == 503 and code(reply) == "holds_unavailable" and reply[1]["retry-after"]
        assert mock.log() == []
        store = Process(
            ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path],
            os.environ.copy(), tmp_path / "redis.log")
        wait_until(lambda: http("POST", url, chat("Hi"), headers, 30)[0] == 200, 60, "an admission")
        assert settled("known-boot", 1)[0]["charged"] > 0
    finally:
        serve.stop()
        if store:
            store.stop()


def test_an_unknown_member_is_refused_by_its_name(dev, proxy, upstream):
    """What is not known cannot be bounded."""
    key = dev.account("known-member", credits=1000)
    message = {"role": "user", "content": "Hi"}
    for path, body, name in [
        ("/chat/completions", {"model": "gpt-4o", "messages": [message], "deep_think": True}, "deep_think"),
        ("/responses", {"model": "gpt-5.6", "input": "Hi", "reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ("/responses", {"model": "gpt-5.6", "input": "Hi", "background_options": {"completion_window": "2h"}},
         "background_options"),
    ]:
        status, _, reply = post(proxy, key, path, body)
        assert status == 400 and f'"param":"{name}"' in reply.decode().replace(" ", ""), reply
    assert upstream.log() == []
