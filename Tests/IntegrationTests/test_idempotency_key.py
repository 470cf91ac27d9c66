"""`Idempotency-Key` on real processes, real stores and the official SDK: of all that ask under one key one runs and is
charged, the others get its reply."""
import concurrent.futures
import io
import json
import secrets
import socket
import wave

import openai
import pytest

from chaos.cluster import Cluster
from harness import Serve, patient_http, running, wait_until
from sdk_tools import patient_sdk

CREDITS = 1000
LEASE_SECONDS = 6
CALLS = {
    "chat": lambda client, **more: client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": more.pop("text", "Hi [[mock tokens=9]]")}], **more),
    "responses": lambda client, **more: client.responses.with_raw_response.create(
        model="gpt-4o-mini", input=more.pop("text", "Hi [[mock tokens=9]]"), **more),
    "transcription": lambda client, **more: client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.wav", sound()), **more),
}


def sound(seconds=2):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000 * seconds))
    return out.getvalue()


@pytest.fixture(scope="module")
def pair(dev, mock):
    """Two instances that would cancel streams, on one ledger."""
    settings = dict(OPENAI_BASE_URL=mock.url + "/v1", IDEMPOTENCY_REPLY_BYTES_MAX="20000")
    with running(Serve(dev, **settings), Serve(dev, **settings)) as instances:
        yield instances


class Tenant:
    """An account of the test's own, and a key for its requests."""

    def __init__(self, dev, pair, mock, sql, credits=CREDITS):
        self.user = "idem-" + secrets.token_hex(4)
        self.key = dev.account(self.user, credits=credits)
        self.dev, self.pair, self.mock, self.sql, self.credits = dev, pair, mock, sql, credits
        self.name = "retry-" + secrets.token_hex(8)

    def client(self, instance=0, retries=0):
        return patient_sdk(self.key, self.pair[instance].base, retries=retries)

    def headers(self, name=None):
        return {"Idempotency-Key": name or self.name}

    def call(self, endpoint="chat", instance=0, name=None, retries=0, **more):
        return CALLS[endpoint](self.client(instance, retries), extra_headers=self.headers(name), **more)

    def replay(self, endpoint="chat", **more):
        """A retry; the SDK tries again while the reply is on its way to the ledger."""
        reply = self.call(endpoint, retries=5, **more)
        assert reply.headers["x-tollgate-idempotent-replay"] == "true"
        return reply

    def post(self, body, instance=0, path="/chat/completions", name=None):
        headers = {"Authorization": f"Bearer {self.key}", **self.headers(name)}
        return patient_http("POST", self.pair[instance].base + path, body, headers, 30)

    def rows(self, count):
        found = wait_until(lambda: self.settlements() if len(self.settlements()) >= count else None, 15, "settlements")
        assert len(found) == count
        return found

    def settlements(self):
        return self.sql(
            "SELECT hold_id::text, kind, charged_millicredits, estimated FROM usage_events WHERE user_id = %s "
            "ORDER BY hold_id", self.user)

    def charged_once(self):
        """One exchange was charged, to its reply's price, and nothing besides. Returns its hold and charge."""
        (row,) = self.rows(1)
        assert row[1] == "final" and not row[3] and row[2] > 0
        (left,) = self.sql("SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", self.user)
        assert left[0] == self.credits * 1000 - row[2]
        return row[0], row[2]

    def served(self):
        return [line for line in self.mock.log() if line["status"] == 200]

    def states(self):
        rows = self.sql(
            "SELECT state FROM idempotent_replies r JOIN account a USING (account_id) WHERE a.user_id = %s", self.user)
        return [row[0] for row in rows]


@pytest.fixture()
def tenant(dev, pair, mock, sql):
    mock.reset()
    return Tenant(dev, pair, mock, sql)


def code(caught):
    error = caught.value
    return error.code or error.response.json()["error"]["code"]


@pytest.mark.parametrize("endpoint", CALLS)
def test_a_retry_gets_the_reply_from_any_instance(tenant, endpoint):
    first = tenant.call(endpoint)
    for instance in (0, 1):
        again = tenant.replay(endpoint, instance=instance)
        assert again.content == first.content and again.parse() == first.parse()
        for name in ("x-tollgate-request-id", "x-tollgate-charged-millicredits", "content-type", "x-request-id"):
            assert again.headers[name] == first.headers[name]
    hold, charge = tenant.charged_once()
    assert hold == first.headers["x-tollgate-request-id"] and len(tenant.served()) == 1
    assert str(charge) == first.headers["x-tollgate-charged-millicredits"]


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_a_stream_is_replayed_event_by_event(tenant, endpoint):
    def events(call, **more):
        raw = call(endpoint, stream=True, **more)
        return raw.headers, [event.model_dump() for event in raw.parse()]

    headers, first = events(tenant.call)
    assert headers["x-tollgate-on-disconnect"] == "drain" and len(first) > 3
    again_headers, again = events(tenant.replay)
    assert again == first
    assert again_headers["x-tollgate-request-id"] == headers["x-tollgate-request-id"]
    _, charge = tenant.charged_once()
    assert again_headers["x-tollgate-charged-millicredits"] == str(charge) and len(tenant.served()) == 1


def test_while_one_runs_the_others_are_told_to_wait_and_the_sdk_does(tenant):
    tenant.mock.hold_replies()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        try:
            first = pool.submit(tenant.call)
            wait_until(lambda: tenant.states() == ["running"], 10, "the first to run")
            with pytest.raises(openai.ConflictError) as caught:
                tenant.call(instance=1)
            assert code(caught) == "idempotency_in_progress"
            assert caught.value.response.headers["retry-after"] == "1"
            second = pool.submit(tenant.replay, instance=1)
        finally:
            tenant.mock.release_replies()
        assert second.result().content == first.result().content
    tenant.charged_once()


def test_another_request_under_the_key_is_refused(tenant, dev, pair, mock, sql):
    tenant.call()
    with pytest.raises(openai.ConflictError) as caught:
        tenant.call(text="Hello [[mock tokens=9]]", retries=3)
    assert code(caught) == "idempotency_conflict" and caught.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.ConflictError):
        tenant.call("responses")
    tenant.charged_once()
    # Another account's key is another key, and upstream never sees either.
    other = Tenant(dev, pair, mock, sql)
    theirs = other.call(name=tenant.name)
    assert "x-tollgate-idempotent-replay" not in theirs.headers
    other.charged_once()


def test_a_key_is_visible_ascii(tenant):
    for name in ("", "a b", "k" * 256):
        status, _, body = tenant.post({"model": "gpt-4o-mini", "messages": []}, name=name or " ")
        assert status == 400 and json.loads(body)["error"]["param"] == "Idempotency-Key"
    tenant.call(name="k" * 255)
    tenant.charged_once()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_was_cut_off_comes_back_for_its_reply(tenant, stream):
    body = {"model": "gpt-4o-mini", "stream": stream, "max_tokens": 40, "messages": [
        {"role": "user", "content": "Hi [[mock tokens=30 tps=20]]" if stream else "Hi [[mock tokens=30]]"}]}
    payload = json.dumps(body).encode()
    head = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.key}\r\n"
            f"Content-Type: application/json\r\nIdempotency-Key: {tenant.name}\r\n"
            f"Content-Length: {len(payload)}\r\n\r\n").encode()
    if not stream:
        tenant.mock.hold_replies()
    try:
        with socket.create_connection(("127.0.0.1", tenant.pair[0].port)) as sock:
            sock.sendall(head + payload)
            if stream:
                assert b"data:" in sock.recv(65536) + sock.recv(65536)
            else:
                wait_until(lambda: tenant.mock.stats()["waiting"] == 1, 10, "the request to be upstream")
            assert tenant.states() == ["running"]
    finally:
        tenant.mock.release_replies()
    wait_until(lambda: tenant.states() == ["finished"], 20, "the reply")
    # Byte for byte what was asked before: the body is the same JSON.
    status, headers, reply = tenant.post(payload, instance=1)
    assert status == 200 and headers["x-tollgate-idempotent-replay"] == "true"
    if stream:
        frames = [line[6:] for line in reply.decode().split("\n") if line.startswith("data: ")]
        assert frames[-1] == "[DONE]"
        deltas = [json.loads(frame)["choices"] for frame in frames[:-1]]
        assert sum(bool(c and c[0]["delta"].get("content")) for c in deltas) == 30
    else:
        assert json.loads(reply)["usage"]["completion_tokens"] == 30
    tenant.charged_once()
    assert len(tenant.served()) == 1


def test_failures_free_the_key(tenant):
    with pytest.raises(openai.InternalServerError):
        tenant.call(text="Hi [[mock fault=500]]")
    # What failed may be another request the next time.
    wait_until(lambda: tenant.states() == [], 10, "the key is free")
    with pytest.raises(openai.APIError):
        list(tenant.call(text="Hi [[mock tokens=9 fault=cut]]", stream=True).parse())
    wait_until(lambda: tenant.states() == [], 10, "the key is free")
    assert "x-tollgate-idempotent-replay" not in tenant.call().headers
    assert [row[1] for row in tenant.rows(3)] == ["void", "final", "final"]


def test_a_key_that_was_refused_for_want_of_credits_runs_after_a_purchase(dev, pair, mock, sql):
    mock.reset()
    tenant = Tenant(dev, pair, mock, sql, credits=0)
    with pytest.raises(openai.APIStatusError) as caught:
        tenant.call()
    assert caught.value.status_code == 402
    wait_until(lambda: tenant.states() == [], 10, "the key is free")
    dev.cli("account", "adjust", "--user", tenant.user, "--millicredits", CREDITS * 1000, "--reason", "purchase",
            "--idempotency-key", tenant.user)
    tenant.credits = CREDITS
    assert "x-tollgate-idempotent-replay" not in tenant.call().headers
    tenant.replay()
    tenant.charged_once()


def test_a_reply_that_is_too_large_is_charged_once(tenant):
    text = "Hi [[mock tokens=9000]]"
    tenant.call(text=text)
    wait_until(lambda: tenant.states() == ["unkept"], 10, "the end of the run")
    for instance in (0, 1):
        with pytest.raises(openai.ConflictError) as caught:
            tenant.call(text=text, instance=instance, retries=3)
        assert code(caught) == "idempotent_reply_not_kept"
        assert caught.value.response.headers["x-should-retry"] == "false"
    tenant.charged_once()


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_of_a_hundred_at_once_one_runs(tenant, endpoint):
    def ask(number):
        return tenant.call(endpoint, instance=number % 2, retries=20).content

    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(ask, range(100)))
    assert len(set(replies)) == 1
    tenant.charged_once()
    assert len(tenant.served()) == 1


def test_nothing_is_kept_or_logged_in_clear(tenant, dev):
    prompt = "a-prompt-that-nobody-may-read"
    tenant.call(text=f"{prompt} [[mock tokens=9]]")
    reply = tenant.replay(text=f"{prompt} [[mock tokens=9]]").parse().choices[0].message.content
    assert len(reply) > 8
    rows = tenant.sql(
        "SELECT encode(r.reply, 'escape'), r::text FROM idempotent_replies r JOIN account a USING (account_id) "
        "WHERE a.user_id = %s", tenant.user)
    assert len(rows) == 1
    tables = [row[0] for row in tenant.sql(
        "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind IN ('r', 'p') "
        "AND relnamespace = 'public'::regnamespace")]
    dump = "".join(str(tenant.sql(f"SELECT t::text FROM {table} t")) for table in tables) + str(rows)
    logs = "".join(serve.process.output() for serve in tenant.pair)
    for clear in (prompt, tenant.name, reply):
        assert clear not in dump and clear.encode().hex() not in dump and clear not in logs


@pytest.fixture(scope="module")
def cluster():
    with Cluster(2, serving={"TOLLGATE_TEST_IDEMPOTENCY_LEASE_SECONDS": str(LEASE_SECONDS)}) as cluster:
        cluster.create_account("idem", CREDITS)
        yield cluster


def ask(cluster, instance, name, directives="tokens=9", timeout=30):
    body = {"model": "gpt-4o-mini", "max_tokens": 20, "messages": [
        {"role": "user", "content": f"Hi [[mock {directives}]]"}]}
    headers = {
        "Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": "idem", "Idempotency-Key": name}
    return patient_http(
        "POST", f"http://127.0.0.1:{cluster.instances[instance].port}/v1/chat/completions", body, headers, timeout)


def test_after_the_lease_a_retry_runs_what_a_killed_instance_left(cluster):
    cluster.mock.reset()
    cluster.mock.hold_replies()

    def asked():
        try:
            ask(cluster, 0, "killed")
        except OSError:
            return "cut"

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        try:
            first = pool.submit(asked)
            wait_until(lambda: cluster.mock.stats()["waiting"] == 1, 10, "the run")
            cluster.instances[0].kill()
            assert first.result() == "cut"
        finally:
            cluster.mock.release_replies()
    status, headers, body = ask(cluster, 1, "killed")
    assert status == 409 and json.loads(body)["error"]["code"] == "idempotency_in_progress"

    def ran():
        status, headers, _ = ask(cluster, 1, "killed")
        assert status in (200, 409, 503)
        return headers if status == 200 else None

    headers = wait_until(ran, 4 * LEASE_SECONDS, "the retry to run")
    assert "x-tollgate-idempotent-replay" not in headers
    hold = headers["x-tollgate-request-id"]
    wait_until(lambda: ask(cluster, 1, "killed")[1].get("x-tollgate-request-id") == hold, 10, "the replay")
    cluster.instances[0].start()


def test_a_run_that_is_alive_outlasts_its_lease(cluster):
    cluster.mock.reset()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, cluster, 0, "alive", f"tokens=9 ttft_ms={LEASE_SECONDS * 2500}")
        wait_until(lambda: cluster.postgres.query(
            "SELECT 1 FROM idempotent_replies WHERE state = 'running'"), 10, "the run")
        seen = set()
        while not first.done():
            status, headers, body = ask(cluster, 1, "alive", f"tokens=9 ttft_ms={LEASE_SECONDS * 2500}")
            seen.add((status, "x-tollgate-idempotent-replay" in headers))
        assert first.result()[0] == 200
    assert (409, False) in seen and (200, False) not in seen
    assert len([line for line in cluster.mock.log() if line["status"] == 200]) == 1


def test_without_the_ledger_nothing_runs_under_a_key(cluster):
    wait_until(lambda: ask(cluster, 0, "warm")[0] == 200, 30, "the ledger")
    cluster.mock.reset()
    cluster.postgres.stop_immediately()
    try:
        status, headers, body = ask(cluster, 0, "away")
        assert status == 503 and json.loads(body)["error"]["code"] == "holds_unavailable"
        assert headers["retry-after"] == "1" and cluster.mock.log() == []
    finally:
        cluster.start_postgres()
    wait_until(lambda: ask(cluster, 0, "away")[0] == 200, 30, "the key runs when the ledger is back")


def test_a_reply_waits_for_a_ledger_that_went_away_meanwhile(cluster):
    wait_until(lambda: ask(cluster, 0, "warm")[0] == 200, 30, "the ledger")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        cluster.mock.hold_replies()
        try:
            # A connection of its pool may still be the one that broke in the test before.
            first = pool.submit(lambda: wait_until(
                lambda: next((got for got in [ask(cluster, 0, "late")] if got[0] != 503), None), 30, "a claim"))
            wait_until(lambda: cluster.mock.stats()["waiting"] == 1, 10, "the run")
            cluster.postgres.stop_immediately()
        finally:
            cluster.mock.release_replies()
        status, headers, reply = first.result()
        assert status == 200
    cluster.start_postgres()
    wait_until(lambda: cluster.postgres.query(
        "SELECT 1 FROM idempotent_replies WHERE hold_id = %s::uuid AND state = 'finished'",
        headers["x-tollgate-request-id"]), 20, "the reply is kept")
    # The other instance may still be on its way back to the ledger.
    again = wait_until(lambda: next((got for got in [ask(cluster, 1, "late")] if got[0] != 503), None), 30, "an answer")
    assert again[0] == 200 and again[2] == reply and again[1]["x-tollgate-idempotent-replay"] == "true"
