"""The official OpenAI SDK against Tollgate (issue "First light", 1)."""
import json

import httpx
import openai
import pytest

from harness import http


@pytest.fixture()
def client(dev, request):
    user = "sdk-" + request.node.name
    key = dev.account(user, credits=1000)
    client = openai.OpenAI(api_key=key, base_url=dev.baseURL, max_retries=2, timeout=30)
    client.user = user
    yield client
    client.close()


def ask(text, **more):
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


def test_whole_reply_is_charged_as_reported(client, settled, balance):
    raw = client.chat.completions.with_raw_response.create(**ask("Hello [[mock tokens=12]]", max_tokens=50))
    reply = raw.parse()
    assert reply.usage.completion_tokens == 12
    assert reply.choices[0].message.content
    row = settled(client.user, 1)[0]
    assert (row["input"], row["output"]) == (reply.usage.prompt_tokens, 12)
    assert row["hold"] == raw.headers["x-tollgate-request-id"]
    assert row["openai_request_id"] == raw.headers["x-request-id"]
    assert str(row["charged"]) == raw.headers["x-tollgate-charged-millicredits"]
    assert str(balance(client.user)) == raw.headers["x-tollgate-balance-millicredits"]
    assert int(raw.headers["x-tollgate-held-millicredits"]) >= row["charged"] > 0
    assert raw.headers["x-tollgate-price-id"] == row["price_id"]
    assert not row["estimated"]


@pytest.mark.parametrize("include_usage", [True, False, None])
def test_stream_is_charged_whether_or_not_usage_was_asked_for(client, settled, include_usage):
    more = {} if include_usage is None else {"stream_options": {"include_usage": include_usage}}
    chunks = list(client.chat.completions.create(**ask("Hi [[mock tokens=20]]", stream=True, **more)))
    with_usage = [c for c in chunks if c.usage is not None]
    assert len(with_usage) == (1 if include_usage else 0)
    assert all(c.choices for c in chunks if c.usage is None)
    row = settled(client.user, 1)[0]
    assert row["output"] == 20 and not row["estimated"]


def test_two_choices_are_both_charged(client, settled):
    reply = client.chat.completions.create(**ask("Hi [[mock tokens=7]]", n=2))
    assert len(reply.choices) == 2
    assert settled(client.user, 1)[0]["output"] == reply.usage.completion_tokens >= 14


@pytest.mark.parametrize("stream", [False, True])
def test_tools(client, settled, stream):
    tools = [{"type": "function", "function": {
        "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
    result = client.chat.completions.create(**ask("please call the tool", tools=tools, stream=stream))
    if stream:
        pieces = [c for c in result if c.choices and c.choices[0].delta.tool_calls]
        assert pieces
    else:
        assert result.choices[0].message.tool_calls
    assert settled(client.user, 1)[0]["kind"] == "final"


def test_short_balance_is_a_402_with_one_try(dev, settled, sql):
    user = "sdk-short"
    key = dev.account(user, credits=5)
    tries = []
    http_client = httpx.Client(event_hooks={"request": [lambda r: tries.append(r.url)]})
    client = openai.OpenAI(api_key=key, base_url=dev.baseURL, max_retries=3, http_client=http_client)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "x"}], max_tokens=10000)
    error = caught.value
    assert error.status_code == 402 and len(tries) == 1
    assert error.code == "insufficient_credits" and error.type == "insufficient_credits"
    body = error.response.json()
    assert body["currentCredits"] == 5 and body["requiredCredits"] > 5
    assert body["redirectTo"].endswith("/billing?tab=credits")
    assert body["affordableOutputTokens"] > 0
    assert sql("SELECT count(*) FROM usage_events WHERE user_id = %s", user)[0][0] == 0


def test_short_balance_on_the_runbooks_path(dev):
    key = dev.account("sdk-short-api", credits=5)
    status, headers, body = http(
        "POST", dev.root + "/api/ai/chat",
        {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], "max_tokens": 10000},
        {"Authorization": f"Bearer {key}"})
    got = json.loads(body)
    assert status == 402
    assert set(got) == {"error", "requiredCredits", "currentCredits", "redirectTo"}
    assert got["error"] == "Insufficient credits" and got["currentCredits"] == 5
    assert got["redirectTo"] == "/billing?tab=credits"


def test_runbooks_path_serves_and_charges(dev, settled):
    key = dev.account("sdk-api", credits=100)
    status, _, body = http(
        "POST", dev.root + "/api/ai/chat",
        {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]},
        {"Authorization": f"Bearer {key}"})
    assert status == 200 and json.loads(body)["choices"]
    assert settled("sdk-api", 1)[0]["charged"] > 0


def test_bad_key(dev):
    client = openai.OpenAI(api_key="tg_" + "x" * 43, base_url=dev.baseURL, max_retries=0)
    with pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(**ask("x"))
    assert caught.value.code == "invalid_api_key"


def test_unpriced_model_is_refused_before_upstream(client, sql):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**{**ask("x"), "model": "gpt-nonsense"})
    assert caught.value.code == "model_not_priced" and caught.value.param == "model"


def test_models_lists_only_priced_models(client):
    names = {m.id for m in client.models.list()}
    assert "gpt-4o-mini" in names and "gpt-nonsense" not in names
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-nonsense")


def test_service_key_bills_the_user_it_names(dev, settled):
    client = openai.OpenAI(
        api_key=dev.serviceKey, base_url=dev.baseURL, default_headers={"X-Tollgate-User": "demo"})
    before = len(settled("demo", 0))
    client.chat.completions.create(**ask("Hi [[mock tokens=3]]"))
    assert settled("demo", before + 1)[-1]["output"] == 3
    with pytest.raises(openai.BadRequestError):
        openai.OpenAI(api_key=dev.serviceKey, base_url=dev.baseURL).chat.completions.create(**ask("x"))
    with pytest.raises(openai.APIStatusError) as caught:  # created on first use, with nothing to spend
        openai.OpenAI(
            api_key=dev.serviceKey, base_url=dev.baseURL, default_headers={"X-Tollgate-User": "sdk-new"}
        ).chat.completions.create(**ask("x"))
    assert caught.value.status_code == 402 and caught.value.response.json()["currentCredits"] == 0


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("fault", ["none", "crlf", "split", "comments", "content_and_usage", "error_frame"])
def test_client_bytes_equal_the_mocks_but_for_the_injected_chunk(dev, fault, asked):
    """Byte by byte the reply is the mock's, less the one usage chunk when nobody asked for it."""
    key = dev.account(f"bytes-{fault}-{asked}", credits=1000)
    # `fixed` makes the mock's id and time constant, so equal requests give equal bytes.
    directive = "[[mock tokens=9 fixed=1]]" if fault == "none" else f"[[mock tokens=9 fixed=1 fault={fault}]]"
    body = ask("Hi " + directive, stream=True)
    if asked:
        body["stream_options"] = {"include_usage": True}
    status, _, got = http("POST", dev.baseURL + "/chat/completions", body, {"Authorization": f"Bearer {key}"})
    assert status == 200
    # The same request without Tollgate, with the usage chunk asked for.
    direct = dict(body, stream_options={"include_usage": True})
    _, _, sent = http("POST", dev.upstreamURL + "/chat/completions", direct, {"Authorization": "Bearer sk-direct"})
    end = b"\r\n\r\n" if fault == "crlf" else b"\n\n"
    if not asked:
        frames = sent.split(end)
        kept = [frame for frame in frames if not is_usage_chunk(frame)]
        assert len(kept) == len(frames) - (0 if fault in ("content_and_usage", "error_frame") else 1)
        sent = end.join(kept)
    assert got == sent


def is_usage_chunk(frame):
    text = frame.split(b"data:", 1)[-1].strip()
    body = json.loads(text) if text.startswith(b"{") else {}
    return body.get("usage") is not None and body.get("choices") == []


def test_receipt_line_comes_before_the_end(dev, settled):
    key = dev.account("receipt", credits=1000)
    _, _, got = http(
        "POST", dev.baseURL + "/chat/completions", ask("Hi [[mock tokens=9]]", stream=True),
        {"Authorization": f"Bearer {key}", "X-Tollgate-Receipt": "sse"})
    row = settled("receipt", 1)[0]
    receipt = [l for l in got.decode().splitlines() if l.startswith(": tollgate ")]
    assert receipt == [f": tollgate charged={row['charged']} balance={1_000_000 - row['charged']}"]


def test_output_is_clamped_to_what_the_balance_affords(dev, settled):
    """No cap and little money: the cap sent upstream is affordable, and the reply stops there."""
    key = dev.account("clamped", credits=5)
    client = openai.OpenAI(api_key=key, base_url=dev.baseURL, max_retries=0)
    raw = client.chat.completions.with_raw_response.create(**ask("Hi [[mock tokens=16000]]"))
    cap = int(raw.headers["x-tollgate-max-output-tokens"])
    reply = raw.parse()
    assert 16 <= cap == reply.usage.completion_tokens < 16000
    assert reply.choices[0].finish_reason == "length"
    row = settled("clamped", 1)[0]
    assert row["charged"] <= int(raw.headers["x-tollgate-held-millicredits"]) <= 5000
