"""Every metered endpoint through Tollgate, with the official SDK: each exchange is charged what the mock's log and the
rate card say (issue "Meter what backends use", black box)."""
import asyncio
import json

import openai
import pydantic
import pytest

from harness import Serve, http, patient_http, running
from pricing_oracle import Card, differences, expected
from sdk_tools import patient_async_sdk, patient_sdk

CARD = Card.newest_openai()


class Answer(pydantic.BaseModel):
    name: str
    count: int


@pytest.fixture(scope="module")
def proxy(dev, mock):
    with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", BILLING_ON_DISCONNECT="drain")) as serve:
        yield serve


class Tenant:
    """An account of the test's own, and what it was charged against what the mock served since."""

    def __init__(self, name, dev, proxy, mock, settled):
        self.name, self.proxy, self.mock, self.settled = name, proxy, mock, settled
        self.key = dev.account(name, credits=100_000)
        self.base = proxy.base
        self.client = patient_sdk(self.key, proxy.base)

    def rows(self, count):
        return self.settled(self.name, count)

    def served(self):
        return [line for line in self.mock.log() if line["status"] == 200]

    def check(self, count):
        """Exactly `count` exchanges, none estimated, each charged to the millicredit; returns their rows."""
        rows, served = self.rows(count), self.served()
        assert len(rows) == len(served) == count
        assert not any(row["estimated"] for row in rows) and all(row["kind"] == "final" for row in rows)
        assert differences(CARD, served, rows) == []
        return rows

    def post(self, path, body):
        return patient_http("POST", self.base + path, body, {"Authorization": f"Bearer {self.key}"}, 30)


@pytest.fixture()
def tenant(request, dev, proxy, mock, settled):
    mock.reset()
    tenant = Tenant("end-" + request.node.name, dev, proxy, mock, settled)
    yield tenant
    tenant.client.close()


CALLS = {
    "responses": [
        dict(model="gpt-5.6", input="Hello [[mock tokens=9 reasoning=5 cached=4 cache_write=3]]", max_output_tokens=90),
        dict(model="gpt-4o", input=[{"role": "user", "content": "Hi [[mock tier=priority]]"}], instructions="Short"),
        dict(model="gpt-5-mini", input="Hi", service_tier="flex"),
        dict(model="gpt-4o", input="Look [[mock calls=3 opens=1]]", tools=[{"type": "web_search"}], max_tool_calls=4),
        dict(model="gpt-4o", input="Look [[mock calls=2 tool_usage=0]]", max_tool_calls=2, max_output_tokens=50,
             tools=[{"type": "web_search_preview"}]),
        dict(model="gpt-5.6", input="Long [[mock prompt=300000 cached=1000]]", max_output_tokens=20),
    ],
    "completions": [
        dict(model="gpt-3.5-turbo-instruct-0914", prompt=["One", "Two [[mock tokens=9]]"], n=2, max_tokens=20),
        dict(model="gpt-3.5-turbo-instruct-0914", prompt=[1, 2, 3, 4], echo=True),
    ],
}
WHOLE = {
    **CALLS,
    "embeddings": [
        dict(model="text-embedding-3-small", input=["One", "Two and three"]),
        dict(model="text-embedding-3-large", input=[[1, 2, 3], [4]], encoding_format="float", dimensions=9),
    ],
    "moderations": [dict(input="peace"), dict(model="omni-moderation-latest", input=["peace", "war"])],
}


@pytest.mark.parametrize("endpoint", WHOLE)
def test_whole_replies_are_charged_exactly(tenant, endpoint):
    calls = WHOLE[endpoint]
    for call in calls:
        raw = getattr(tenant.client, endpoint).with_raw_response.create(**call)
        assert raw.parse() is not None
        line = tenant.served()[-1]
        assert raw.headers["x-request-id"] == line["request_id"]
        assert raw.headers["x-tollgate-charged-millicredits"] == str(expected(CARD, line))
    rows = tenant.check(len(calls))
    assert all(row["charged"] == 0 for row in rows) == (endpoint == "moderations")


@pytest.mark.parametrize("endpoint", CALLS)
def test_streams_are_charged_exactly(tenant, endpoint):
    for call in CALLS[endpoint]:
        chunks = list(getattr(tenant.client, endpoint).create(stream=True, **call))
        assert len(chunks) > 2
        if endpoint == "completions":
            assert all(chunk.choices and chunk.usage is None for chunk in chunks), "a chunk that nobody asked for"
    tenant.check(len(CALLS[endpoint]))


def test_the_async_client_is_charged_as_the_other(tenant):
    async def all_of_it():
        async with patient_async_sdk(tenant.key, tenant.base) as client:
            async def stream(resource, call):
                async for _ in await resource.create(stream=True, **call):
                    pass

            jobs = []
            for endpoint, calls in WHOLE.items():
                for call in calls:
                    jobs.append(getattr(client, endpoint).create(**call))
                    if endpoint in CALLS:
                        jobs.append(stream(getattr(client, endpoint), call))
            await asyncio.gather(*jobs)
            return len(jobs)

    tenant.check(asyncio.run(all_of_it()))


def test_structured_output_is_parsed_and_charged(tenant):
    client = tenant.client
    message = {"role": "user", "content": "x"}
    assert client.responses.parse(model="gpt-4o", input="x", text_format=Answer).output_parsed.count == 7
    parsed = client.chat.completions.parse(model="gpt-4o", messages=[message], response_format=Answer)
    assert parsed.choices[0].message.parsed.name == "tok"
    with client.responses.stream(model="gpt-4o", input="x", text_format=Answer) as stream:
        assert stream.get_final_response().output_parsed.count == 7
    with client.chat.completions.stream(model="gpt-4o", messages=[message], response_format=Answer) as stream:
        assert stream.get_final_completion().choices[0].message.parsed.count == 7
    tools = [{"type": "function", "name": "answer", "strict": True, "parameters": Answer.model_json_schema()}]
    called = client.responses.parse(model="gpt-4o", input="please call it", tools=tools)
    assert called.output[0].parsed_arguments["count"] == 7
    tenant.check(5)


@pytest.mark.parametrize("stream", [False, True])
def test_chat_with_audio_predictions_and_searches_is_charged_exactly(tenant, stream):
    calls = [
        dict(model="gpt-audio", text="[[mock tokens=9 audio_in=3]]", modalities=["text", "audio"],
             audio={"voice": "alloy", "format": "wav"}),
        dict(model="gpt-4o", text="x", prediction={"type": "content", "content": "p" * 99}),
        dict(model="gpt-4o", text="x", web_search_options={}),
        dict(model="gpt-5.6-luna", text="x [[mock cache_write=4 cached=2 tier=flex]]", service_tier="priority"),
        dict(model="gpt-4o", text="x [[mock tier=scale]]", service_tier="priority"),
    ]
    for call in calls:
        text = call.pop("text")
        got = tenant.client.chat.completions.create(
            messages=[{"role": "user", "content": text + " and some more words"}], stream=stream, **call)
        if stream:
            assert all(chunk.usage is None for chunk in got)
    tenant.check(len(calls))


# How a response ends: (directive, status of the SDK's object)
ENDINGS = {
    "completed": ("tokens=9", "completed"),
    "incomplete": ("tokens=90", "incomplete"),
    "filtered": ("tokens=9 status=incomplete", "incomplete"),
    "failed": ("tokens=9 status=failed after=4", "failed"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_with_usage_is_charged_by_it(tenant, ending, stream):
    directive, status = ENDINGS[ending]
    got = tenant.client.responses.create(
        model="gpt-4o", input=f"Hi [[mock {directive}]]", max_output_tokens=20, stream=stream)
    if stream:
        got = list(got)[-1].response
    assert got.status == status and got.usage.output_tokens > 0
    tenant.check(1)


@pytest.mark.parametrize("endpoint", CALLS)
@pytest.mark.parametrize("fault", ["error_frame", "cut", "cut_rst"])
def test_a_stream_that_breaks_is_charged_by_what_came(tenant, endpoint, fault):
    text = f"Hi [[mock tokens=12 after=5 fault={fault}]]"
    body = (
        {"model": "gpt-4o", "input": text, "max_output_tokens": 30} if endpoint == "responses"
        else {"model": "gpt-3.5-turbo-instruct-0914", "prompt": text, "max_tokens": 30})
    with pytest.raises(openai.APIError):
        events = list(getattr(tenant.client, endpoint).create(stream=True, **body))
        # The SDK raises for the error events of completions; those of responses are events like any other.
        assert events[-1].type == "error"
        raise openai.APIError("error event", None, body=None)
    row = tenant.rows(1)[0]
    assert row["kind"] == "final" and row["estimated"] and row["output"] == 5
    usage = {"prompt_tokens": row["input"], "completion_tokens": row["output"]}
    assert row["charged"] == CARD.charge(row["model"], usage)
    assert 0 < row["input"] <= len(json.dumps(body))


def test_an_error_before_anything_was_made_is_free(tenant):
    events = list(tenant.client.responses.create(model="gpt-4o", input="Hi [[mock fault=error_frame0]]", stream=True))
    assert [event.type for event in events] == ["error"]
    row = tenant.rows(1)[0]
    assert row["kind"] == "void" and row["charged"] == 0


@pytest.mark.parametrize("endpoint", WHOLE)
def test_an_upstream_error_is_free(tenant, endpoint):
    call = dict(WHOLE[endpoint][0])
    name = "prompt" if endpoint == "completions" else "input"
    call[name] = "Hi [[mock fault=500]]"
    with pytest.raises(openai.APIStatusError) as caught:
        getattr(tenant.client, endpoint).create(**call)
    assert caught.value.status_code == 502
    row = tenant.rows(1)[0]
    assert row["kind"] == "void" and row["charged"] == 0


@pytest.mark.parametrize("tool", [
    {"type": "code_interpreter", "container": {"type": "auto"}}, {"type": "image_generation"},
    {"type": "nobody_knows_this"}])
def test_a_tool_whose_fee_has_no_bound_is_refused_before_upstream(tenant, tool):
    with pytest.raises(openai.BadRequestError) as caught:
        tenant.client.responses.create(model="gpt-4o", input="x", tools=[tool])
    assert caught.value.param.startswith("tools") and tool["type"] not in str(caught.value.body)
    assert tenant.mock.log() == [] and tenant.rows(0) == []


@pytest.mark.parametrize("members,error", [
    ({"background": True}, openai.BadRequestError), ({"conversation": "conv_1"}, openai.BadRequestError),
    ({"prompt": {"id": "pmpt_1"}}, openai.BadRequestError), ({"previous_response_id": "resp_1"}, openai.BadRequestError)])
def test_what_upstream_has_stored_is_refused_before_upstream(tenant, members, error):
    with pytest.raises(error):
        tenant.client.responses.create(model="gpt-4o", input="x", **members)
    assert tenant.mock.log() == [] and tenant.rows(0) == []


def test_a_limit_of_tool_calls_is_imposed_and_told(tenant):
    ask = dict(model="gpt-4o", input="Look [[mock calls=99]]", tools=[{"type": "web_search"}])
    raw = tenant.client.responses.with_raw_response.create(**ask)
    line = tenant.served()[-1]
    assert raw.headers["x-tollgate-max-tool-calls"] == "10" and line["max_tool_calls"] == 10
    assert sum(item.type == "web_search_call" for item in raw.parse().output) == 10
    own = tenant.client.responses.with_raw_response.create(max_tool_calls=3, **ask)
    assert "x-tollgate-max-tool-calls" not in own.headers and tenant.served()[-1]["max_tool_calls"] == 3
    none = tenant.client.responses.with_raw_response.create(model="gpt-4o", input="x")
    assert "x-tollgate-max-tool-calls" not in none.headers and tenant.served()[-1]["max_tool_calls"] is None
    rows = tenant.check(3)
    held = int(raw.headers["x-tollgate-held-millicredits"])
    assert held >= max(row["charged"] for row in rows)


def test_the_tier_is_pinned_and_the_cap_follows_the_balance(dev, proxy, mock, settled):
    mock.reset()
    key = dev.account("end-poor", credits=5)
    with patient_sdk(key, proxy.base) as client:
        raw = client.responses.with_raw_response.create(model="gpt-4o-mini", input="Hi [[mock tokens=16000]]")
    reply = raw.parse()
    assert reply.status == "incomplete" and reply.usage.output_tokens == reply.max_output_tokens
    assert raw.headers["x-tollgate-max-output-tokens"] == str(reply.max_output_tokens)
    assert mock.log()[-1]["requested_tier"] == "default"
    assert settled("end-poor", 1)[0]["charged"] <= 5000


@pytest.mark.parametrize("method, path", [
    ("POST", "/responses/compact"), ("POST", "/responses/input_tokens"), ("DELETE", "/responses/resp_1"),
    ("POST", "/responses/resp_1/cancel"), ("POST", "/batches"), ("POST", "/fine_tuning/jobs"), ("POST", "/videos"),
    ("POST", "/realtime/client_secrets"), ("POST", "/assistants"), ("POST", "/decisions"), ("POST", "/containers"),
    ("POST", "/images/variations"), ("POST", "/nobody-knows-this")])
def test_everything_else_is_a_404_and_stays_here(tenant, method, path):
    body = {"model": "gpt-4o", "input": "x"} if method == "POST" else None
    status, _, got = http(method, tenant.base + path, body, {"Authorization": f"Bearer {tenant.key}"})
    assert status == 404 and json.loads(got)["error"]["code"] == "endpoint_not_metered"
    assert tenant.mock.log() == []


FRAMING = ["crlf", "cr", "split", "split1", "comments", "100", "close_delimited", "slow_body"]


@pytest.mark.parametrize("fault", FRAMING)
def test_strange_framing_changes_no_charge(tenant, fault):
    text = f"Hi [[mock tokens=6 gap_ms=1 fault={fault}]]"
    for stream in (False, True):
        assert tenant.post("/responses", {"model": "gpt-4o", "input": text, "stream": stream})[0] == 200
        status, _, body = tenant.post(
            "/completions",
            {"model": "gpt-3.5-turbo-instruct-0914", "prompt": text, "max_tokens": 9, "stream": stream})
        assert status == 200 and not (stream and b'"usage":{' in body)
    tenant.check(4)


WRONG = ["no_usage", "null_usage", "malformed", "huge_usage", "negative_usage", "string_usage"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", WRONG)
def test_usage_that_cannot_be_believed_is_estimated_and_flagged(tenant, fault, stream):
    text = f"Hi [[mock tokens=9 fault={fault}]]"
    body = {"model": "gpt-4o", "input": text, "max_output_tokens": 99, "stream": stream}
    assert tenant.post("/responses", body)[0] == 200
    row = tenant.rows(1)[0]
    if fault == "malformed" and stream:
        assert row["charged"] == expected(CARD, tenant.served()[0]), "one broken event is no reason to doubt the last"
        return
    assert row["estimated"] and row["charged"] > 0
