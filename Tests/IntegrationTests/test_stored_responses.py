"""Responses that OpenAI keeps: read by whoever made them and by nobody else, never charged twice, and paid for when a
later turn reads them again (black box, two proxies, the official SDK)."""
import json
import secrets
import socket
import time

import openai
import pytest

from harness import Serve, http, running, wait_for_service, wait_until
from pricing_oracle import Card, differences
from sdk_tools import patient_sdk

CARD = Card.newest_openai()
MODEL = "gpt-5-mini"


@pytest.fixture(scope="module")
def proxies(dev, mock):
    with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1"), Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as both:
        yield both


class Tenant:
    """An account of the test's own, with a client for each proxy."""

    def __init__(self, dev, proxies, mock, settled):
        self.name = "stored-" + secrets.token_hex(4)
        self.key = dev.account(self.name, credits=100_000)
        self.mock, self.settled = mock, settled
        self.one, self.other = (
            patient_sdk(self.key, proxy.base) for proxy in proxies)

    def close(self):
        self.one.close()
        self.other.close()

    def rows(self, count):
        return self.settled(self.name, count)


@pytest.fixture()
def tenant(dev, proxies, mock, settled):
    mock.reset()
    tenant = Tenant(dev, proxies, mock, settled)
    yield tenant
    tenant.close()


@pytest.fixture()
def stranger(dev, proxies, mock, settled):
    tenant = Tenant(dev, proxies, mock, settled)
    yield tenant
    tenant.close()


def made(mock):
    """What the mock served of new responses."""
    return [line for line in mock.log() if line["path"] == "/v1/responses" and line["status"] == 200]


def held(raw):
    return int(raw.headers["x-tollgate-held-millicredits"])


def refused(call):
    with pytest.raises((openai.NotFoundError, openai.BadRequestError)) as caught:
        call()
    return caught.value


def test_reading_a_response_again_is_never_charged(tenant, balance):
    reply = tenant.one.responses.create(model=MODEL, input="Hello [[mock tokens=9]]")
    (row,) = tenant.rows(1)
    left = balance(tenant.name)
    for client in (tenant.one, tenant.other, tenant.one):
        raw = client.responses.with_raw_response.retrieve(reply.id, include=["reasoning.encrypted_content"])
        again = raw.parse()
        assert again.to_dict() == reply.to_dict() and again.usage.total_tokens == reply.usage.total_tokens
        assert not any("millicredits" in name for name in raw.headers)
    paths = [line["path"] for line in tenant.mock.log()]
    assert paths == ["/v1/responses"] + [f"/v1/responses/{reply.id}"] * 3
    time.sleep(1)
    assert len(tenant.rows(1)) == 1 and balance(tenant.name) == left
    assert differences(CARD, made(tenant.mock), [row]) == []


def test_another_accounts_response_is_like_none(tenant, stranger):
    mine = tenant.one.responses.create(model=MODEL, input="Secret")
    calls = len(tenant.mock.log())
    unknown = "resp_" + "0" * 48
    for client in (stranger.one, stranger.other):
        for ask in (
            lambda id: client.responses.retrieve(id),
            lambda id: client.responses.create(model=MODEL, input="More", previous_response_id=id),
            lambda id: client.responses.create(model=MODEL, input="More", previous_response_id=id, stream=True),
        ):
            theirs, none = refused(lambda: ask(mine.id)), refused(lambda: ask(unknown))
            assert theirs.response.text.replace(mine.id, unknown) == none.response.text
            # As OpenAI itself: 404 for the response, 400 for a turn that would go on from it.
            assert (theirs.status_code, theirs.code) in (
                (404, "response_not_found"), (400, "previous_response_not_found"))
    assert len(tenant.mock.log()) == calls and stranger.rows(0) == []
    # When the ledger knows it, too.
    tenant.rows(1)
    assert refused(lambda: stranger.one.responses.retrieve(mine.id)).status_code == 404
    assert tenant.one.responses.retrieve(mine.id).id == mine.id


def test_a_conversation_of_five_turns_is_held_and_charged_exactly(tenant):
    previous, holds, inputs = None, [], []
    for turn in range(5):
        client = (tenant.one, tenant.other)[turn % 2]
        raw = client.responses.with_raw_response.create(
            model=MODEL, input=f"Turn {turn} [[mock tokens={20 + turn}]]", max_output_tokens=300,
            instructions="Be brief", **({"previous_response_id": previous} if previous else {}))
        reply = raw.parse()
        previous = reply.id
        holds.append(held(raw))
        inputs.append(reply.usage.input_tokens)
    rows = tenant.rows(5)
    assert inputs == sorted(inputs) and inputs[4] > inputs[0] + 80, "the mock reads what was said again"
    assert all(hold >= row["charged"] for hold, row in zip(holds, rows)), (holds, rows)
    assert not any(row["estimated"] for row in rows)
    assert differences(CARD, made(tenant.mock), rows) == []
    # What was said is known, so no turn is held for a full context.
    other = tenant.one.responses.with_raw_response.create(
        model="gpt-5", input="x", max_output_tokens=300, previous_response_id=previous)
    assert held(other) > 20 * max(holds)


def test_the_next_turn_at_another_instance_finds_it_at_once(tenant):
    for _ in range(30):
        first = tenant.one.responses.create(model=MODEL, input="x [[mock tokens=3]]")
        assert tenant.other.responses.retrieve(first.id).id == first.id
        tenant.other.responses.create(model=MODEL, input="y [[mock tokens=3]]", previous_response_id=first.id)
    assert len(tenant.rows(60)) == 60


def test_a_response_outlives_redis(dev, proxies, tenant, stranger, redis, sql):
    """As after a fail-over to an empty node: the ledger knows whose it is."""
    raw = tenant.one.responses.with_raw_response.create(model=MODEL, input="Hello", max_output_tokens=100)
    first = raw.parse()
    tenant.rows(1)
    assert redis.keys(f"r:*:{first.id}")
    redis.flushall()
    assert tenant.other.responses.retrieve(first.id).id == first.id
    refused(lambda: stranger.other.responses.retrieve(first.id))

    def next_turn():
        try:
            return tenant.other.responses.with_raw_response.create(
                model=MODEL, input="More", max_output_tokens=100, previous_response_id=first.id)
        except openai.InternalServerError as error:
            assert error.status_code == 503
            return None

    again = wait_until(next_turn, 30, "admission after a loss of data")
    assert held(again) < 4 * held(raw), "its tokens are known to the ledger as well"
    wait_for_service(tenant.key, dev.baseURL, *(proxy.base for proxy in proxies))
    dev.verify()


@pytest.mark.parametrize("fault", ["", " fault=cut", " fault=cut_rst"])
def test_a_streams_response_can_be_gone_on_from_before_it_ends(tenant, fault):
    stream = tenant.one.responses.create(
        model=MODEL, input=f"Hello [[mock tokens=60 after=20 gap_ms=10{fault}]]", stream=True)
    events = iter(stream)
    id = next(events).response.id
    early = tenant.other.responses.create(model=MODEL, input="Now", previous_response_id=id)
    assert early.previous_response_id == id
    try:
        last = [event.type for event in events][-1]
    except openai.APIError:
        last = "error"
    assert (last == "response.completed") == (not fault)
    late = tenant.other.responses.create(model=MODEL, input="Then", previous_response_id=id)
    assert late.previous_response_id == id
    if fault:
        # It was paid for as far as it was seen.
        assert refused(lambda: tenant.one.responses.retrieve(id)).status_code == 404
    else:
        assert tenant.one.responses.retrieve(id).id == id
    rows = tenant.rows(3)
    assert sum(row["estimated"] for row in rows) == (1 if fault else 0)


def test_a_response_that_is_not_stored_is_not_there(tenant):
    for stream in (False, True):
        reply = tenant.one.responses.create(model=MODEL, input="x", store=False, stream=stream)
        id = next(iter(reply)).response.id if stream else reply.id
        calls = len(tenant.mock.log())
        refused(lambda: tenant.one.responses.retrieve(id))
        refused(lambda: tenant.one.responses.create(model=MODEL, input="x", previous_response_id=id))
        assert len(tenant.mock.log()) == calls


def test_what_hosted_tools_found_has_no_bound_but_the_context(tenant):
    first = tenant.one.responses.create(
        model="gpt-4o", input="Look [[mock calls=1]]", tools=[{"type": "web_search"}], max_tool_calls=1)
    plain = tenant.one.responses.create(model="gpt-4o", input="Look")
    after_search, after_plain = (
        held(tenant.one.responses.with_raw_response.create(
            model="gpt-4o", input="More", max_output_tokens=16, previous_response_id=reply.id))
        for reply in (first, plain))
    assert after_search > 20 * after_plain


def test_a_request_with_nothing_to_spend_reads_for_free_and_goes_no_further(tenant, dev, balance):
    reply = tenant.one.responses.create(model=MODEL, input="x")
    tenant.rows(1)
    dev.cli("account", "adjust", "--user", tenant.name, f"--millicredits={2 - balance(tenant.name)}",
            "--reason", "test", "--idempotency-key", tenant.name)

    def is_poor():
        try:
            tenant.one.responses.create(model="gpt-5", input="x", previous_response_id=reply.id)
        except openai.APIStatusError as error:
            return error.status_code == 402
        return False

    wait_until(is_poor, 20, "402")
    assert tenant.one.responses.retrieve(reply.id).id == reply.id


def raw(port, method, target, key, body=""):
    """Byte by byte as written: no client library tidies the path."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}".encode())
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    return int(reply.split()[1]), reply.decode()


@pytest.mark.parametrize("target", [
    "/v1/responses/..", "/v1/responses/.", "/v1/responses/%2e%2e", "/v1/responses/{id}/../../models",
    "/v1/responses/{id}%2f..%2f..%2ffiles", "/v1/responses/{id}%2Finput_items", "/v1/responses//{id}",
    "/v1/responses/{id}/", "/v1/responses/{id}/input_items", "/v1/responses/{id}%00", "/v1/responses/{id}.",
    "/v1/responses/{id};x", "/v1/responses/{id}#x", "/v1/responses/{id}\\..", "/v1/responses/%72esp_1",
    "/v1/responses/" + "x" * 129, "/v1/responses/{id}?stream=true", "/v1/responses/{id}?starting_after=1",
    "/v1/responses/{id}?%73tream=true", "/v1/responses/{id}?include[]=a&stream=true"])
def test_no_path_escapes(tenant, proxies, target):
    reply = tenant.one.responses.create(model=MODEL, input="x")
    calls = len(tenant.mock.log())
    status, text = raw(proxies[0].port, "GET", target.replace("{id}", reply.id), tenant.key)
    assert status in (400, 404) and "usage" not in text, text[:300]
    assert len(tenant.mock.log()) == calls


@pytest.mark.parametrize("method,tail", [
    ("DELETE", ""), ("POST", ""), ("POST", "/cancel"), ("GET", "/input_items"), ("PUT", ""), ("HEAD", "")])
def test_nothing_else_is_done_with_it(tenant, proxies, method, tail):
    reply = tenant.one.responses.create(model=MODEL, input="x")
    calls = len(tenant.mock.log())
    status, text = raw(proxies[0].port, method, f"/v1/responses/{reply.id}{tail}", tenant.key)
    assert status == 404 and ("endpoint_not_metered" in text or method == "HEAD")
    assert len(tenant.mock.log()) == calls


def test_a_key_is_needed(tenant, proxies):
    reply = tenant.one.responses.create(model=MODEL, input="x")
    status, _, body = http("GET", f"{proxies[0].base}/responses/{reply.id}", None, {"Authorization": "Bearer tg_no"})
    assert status == 401 and json.loads(body)["error"]["code"] == "invalid_api_key"
