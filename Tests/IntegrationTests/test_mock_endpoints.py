"""The mock upstream itself, through the official SDK and without Tollgate: what the other tests believe of it."""
import io

import openai
import pydantic
import pytest

from harness import http


class Answer(pydantic.BaseModel):
    name: str
    count: int
    tags: list[str]


@pytest.fixture()
def client(mock):
    mock.reset()
    with openai.OpenAI(api_key="sk-x", base_url=mock.url + "/v1", max_retries=0, timeout=20) as client:
        yield client


def last(mock):
    return mock.log()[-1]


def test_a_response_and_its_log_row(client, mock):
    reply = client.responses.create(
        model="gpt-5-mini", input="Hello [[mock tokens=6 reasoning=4 cached=3]]", instructions="Be brief")
    assert reply.status == "completed" and reply.output_text and reply.service_tier == "default"
    assert [item.type for item in reply.output] == ["reasoning", "message"]
    usage = reply.usage
    assert (usage.output_tokens, usage.output_tokens_details.reasoning_tokens) == (10, 4)
    assert usage.input_tokens_details.cached_tokens == 3
    assert usage.total_tokens == usage.input_tokens + 10
    row = last(mock)
    assert row["usage"]["output_tokens"] == 10 and row["units"] == {} and row["service_tier"] == "default"
    assert client.responses.retrieve(reply.id).output_text == reply.output_text
    follow = client.responses.create(model="gpt-5-mini", input="More", previous_response_id=reply.id)
    assert follow.usage.input_tokens > usage.total_tokens
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_unknown")
    hidden = client.responses.create(model="gpt-5-mini", input="x", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(hidden.id)


def test_the_events_of_a_response_are_openais(client):
    events = list(client.responses.create(model="gpt-4o", input="Hi [[mock tokens=3]]", stream=True))
    assert [event.type for event in events] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        *["response.output_text.delta"] * 3, "response.output_text.done", "response.content_part.done",
        "response.output_item.done", "response.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].response.usage is None and events[-1].response.usage.output_tokens == 3
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text


@pytest.mark.parametrize("stream", [False, True])
def test_a_cap_makes_a_response_incomplete(client, stream):
    reply = finished(client, stream, model="gpt-4o", input="Hi [[mock tokens=50]]", max_output_tokens=16)
    assert reply.status == "incomplete" and reply.incomplete_details.reason == "max_output_tokens"
    assert reply.usage.output_tokens == 16


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_can_fail(client, stream):
    reply = finished(client, stream, model="gpt-4o", input="Hi [[mock tokens=50 status=failed after=7]]")
    assert reply.status == "failed" and reply.error.code == "server_error" and reply.usage.output_tokens == 7


def finished(client, stream, **request):
    if not stream:
        return client.responses.create(**request)
    return list(client.responses.create(stream=True, **request))[-1].response


@pytest.mark.parametrize("stream", [False, True])
def test_hosted_tools_are_called_at_most_as_often_as_allowed(client, mock, stream):
    tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]
    reply = finished(
        client, stream, model="gpt-4o", input="Hi [[mock calls=9 opens=1]]", tools=tools, max_tool_calls=5)
    types = [item.type for item in reply.output]
    assert types.count("web_search_call") == 3 and types.count("file_search_call") == 2
    assert last(mock)["units"] == {"web_search": 2, "file_search": 2}
    assert last(mock)["max_tool_calls"] == 5
    assert reply.output[-1].content[0].annotations
    once = finished(client, False, model="gpt-4o", input="Hi [[mock calls=0]]", tools=tools)
    # Every call has the model read its input again.
    assert reply.usage.input_tokens > 6 * once.usage.input_tokens


def test_functions_and_structured_output_parse(client):
    tools = [{"type": "function", "name": "weather", "strict": True, "parameters": Answer.model_json_schema()}]
    reply = client.responses.create(model="gpt-4o", input="please call it", tools=tools)
    call = reply.output[0]
    assert call.type == "function_call" and call.name == "weather"
    assert Answer.model_validate_json(call.arguments).count == 7
    assert client.responses.parse(model="gpt-4o", input="x", text_format=Answer).output_parsed.name == "tok"
    with client.responses.stream(model="gpt-4o", input="x", text_format=Answer) as stream:
        assert stream.get_final_response().output_parsed.tags == ["tok"]
    message = {"role": "user", "content": "x"}
    parsed = client.chat.completions.parse(model="gpt-4o", messages=[message], response_format=Answer)
    assert parsed.choices[0].message.parsed.count == 7


def test_legacy_completions(client, mock):
    ask = dict(model="gpt-3.5-turbo-instruct", max_tokens=20)
    reply = client.completions.create(prompt=["One [[mock tokens=5]]", "Two"], n=2, best_of=3, echo=True, **ask)
    assert len(reply.choices) == 4 and reply.usage.completion_tokens == 3 * 2 * 5
    assert reply.choices[3].text.startswith("Two")
    assert client.completions.create(prompt=[1, 2, 3], **ask).usage.prompt_tokens == 3
    assert client.completions.create(prompt=[[1, 2], [3]], **ask).usage.prompt_tokens == 3
    chunks = list(client.completions.create(
        prompt="x [[mock tokens=4]]", stream=True, stream_options={"include_usage": True}, **ask))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 4
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len(list(client.completions.create(prompt="x [[mock tokens=4]]", stream=True, **ask))) == 5
    with pytest.raises(openai.BadRequestError):
        client.completions.create(prompt="x", stream=True, best_of=2, **ask)


def test_embeddings_in_both_encodings(client):
    ask = dict(model="text-embedding-3-small", input=["eight letters", "x"])
    numbers = client.embeddings.create(encoding_format="float", **ask)
    packed = client.embeddings.create(**ask)
    assert [len(row.embedding) for row in packed.data] == [1536, 1536]
    for one, other in zip(numbers.data, packed.data):
        assert one.embedding == pytest.approx(other.embedding)
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 5
    short = client.embeddings.create(dimensions=256, **ask)
    assert len(short.data[0].embedding) == 256


def test_moderations_have_no_usage(client, mock):
    reply = client.moderations.create(input=["peace", "kill"])
    assert [result.flagged for result in reply.results] == [False, True]
    assert last(mock)["usage"] is None and last(mock)["true_usage"] is None


def test_images(client, mock):
    reply = client.images.generate(model="gpt-image-2", prompt="A toll gate", size="1024x1024", quality="low", n=2)
    assert len(reply.data) == 2 and reply.usage.output_tokens == 544
    assert reply.usage.input_tokens_details.text_tokens == reply.usage.input_tokens
    events = list(client.images.generate(model="gpt-image-2", prompt="x", stream=True, partial_images=2))
    assert [event.type.split(".")[1] for event in events] == ["partial_image", "partial_image", "completed"]
    assert events[-1].usage.output_tokens == 1256


def test_speech_reports_usage_in_events_only(client, mock):
    sound = client.audio.speech.create(model="tts-1", voice="alloy", input="Hello there")
    assert sound.response.headers["content-type"] == "audio/mpeg" and len(sound.content) == 64 * 11
    assert last(mock)["units"] == {"characters": 11} and last(mock)["usage"] is None
    status, headers, body = http(
        "POST", mock.url + "/v1/audio/speech",
        {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there", "stream_format": "sse"},
        {"Authorization": "Bearer x"})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert b"speech.audio.done" in body and last(mock)["usage"]["output_tokens"] == 11


def test_transcriptions_report_tokens_or_seconds_or_nothing(client, mock):
    def ask(model, **more):
        sound = io.BytesIO(b"\0" * 40_000)
        sound.name = "sound.mp3"
        return client.audio.transcriptions.create(model=model, file=sound, prompt="[[mock tokens=5]]", **more)

    tokens = ask("gpt-4o-transcribe").usage
    assert tokens.type == "tokens" and tokens.output_tokens == 5 and tokens.input_token_details.audio_tokens == 30
    assert ask("whisper-1").usage.seconds == 3 and last(mock)["units"] == {"seconds": 3}
    assert "usage" not in str(ask("whisper-1", response_format="text")) and last(mock)["usage"] is None
    events = list(ask("gpt-4o-transcribe", stream=True))
    assert events[-1].type == "transcript.text.done" and events[-1].usage.output_tokens == 5


@pytest.mark.parametrize("stream", [False, True])
def test_chat_reports_media_predictions_writes_and_searches(client, mock, stream):
    def chat(model, text, **more):
        message = {"role": "user", "content": text}
        got = client.chat.completions.create(model=model, messages=[message], stream=stream, **more)
        if not stream:
            return got, got.usage
        chunks = list(got)
        return chunks, chunks[-1].usage

    more = {"stream_options": {"include_usage": True}} if stream else {}
    got, usage = chat(
        "gpt-audio", "Say it [[mock tokens=5]]", modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"}, **more)
    assert usage.completion_tokens_details.audio_tokens == 20 and usage.completion_tokens == 25
    if not stream:
        assert got.choices[0].message.audio.transcript and got.choices[0].message.content is None
    _, usage = chat("gpt-4o", "x [[mock tokens=20]]", prediction={"type": "content", "content": "p" * 78}, **more)
    details = usage.completion_tokens_details
    assert (details.accepted_prediction_tokens, details.rejected_prediction_tokens) == (10, 10)
    assert usage.completion_tokens == 30
    _, usage = chat("gpt-5.6", "x [[mock cache_write=4 cached=2]]", **more)
    assert usage.prompt_tokens_details.cache_write_tokens == 4 and usage.prompt_tokens_details.cached_tokens == 2
    got, _ = chat("gpt-4o", "x", web_search_options={}, **more)
    assert last(mock)["units"] == {"web_search_preview": 1}
    if not stream:
        assert got.choices[0].message.annotations[0].url_citation.url
    chat("gpt-4o", "x [[mock tier=flex]]", service_tier="priority", **more)
    assert (last(mock)["requested_tier"], last(mock)["service_tier"]) == ("priority", "flex")


STREAMED = {
    "/responses": {"model": "gpt-4o", "input": "Hi [[mock tokens=8 %s]]", "stream": True},
    "/completions": {
        "model": "gpt-3.5-turbo-instruct", "prompt": "Hi [[mock tokens=8 %s]]", "stream": True, "max_tokens": 50,
        "stream_options": {"include_usage": True}},
}
WHOLE = {
    **{path: {**body, "stream": False} for path, body in STREAMED.items()},
    "/embeddings": {"model": "text-embedding-3-small", "input": "Hi [[mock %s]]"},
    "/images/generations": {"model": "gpt-image-2", "prompt": "Hi [[mock %s]]"},
}


def raw(mock, path, body, directive):
    body = {
        key: value % directive if isinstance(value, str) and "%s" in value else value for key, value in body.items()}
    return http("POST", mock.url + "/v1" + path, body, {"Authorization": "Bearer x"})


@pytest.mark.parametrize("path", WHOLE)
def test_every_endpoint_can_be_refused_and_broken(mock, path):
    mock.reset()
    for fault, status in {"429": 429, "500": 500, "503": 503, "401": 401}.items():
        assert raw(mock, path, WHOLE[path], f"fault={fault}")[0] == status
    for fault in ("no_usage", "null_usage", "malformed"):
        assert raw(mock, path, WHOLE[path], f"fault={fault}")[0] == 200
        assert mock.log()[-1]["usage"] is None
    assert b'"-1"' not in raw(mock, path, WHOLE[path], "fault=string_usage")[2]
    assert raw(mock, path, WHOLE[path], "fault=split1")[0] == 200
    with pytest.raises(Exception):
        raw(mock, path, WHOLE[path], "fault=cut_body")
    assert mock.log()[-1]["completed"] is False


@pytest.mark.parametrize("path", STREAMED)
def test_every_stream_can_break_in_its_middle(mock, path):
    mock.reset()
    with pytest.raises(Exception):
        raw(mock, path, STREAMED[path], "fault=cut after=3")
    row = mock.log()[-1]
    assert row["deltas_sent"] == 3 and row["usage"] is None and row["true_usage"]["completion_tokens"] == 3
    _, _, body = raw(mock, path, STREAMED[path], "fault=error_frame after=2")
    assert b"server_error" in body and mock.log()[-1]["deltas_sent"] == 2
    assert (b"event: error" in body) == (path == "/responses")
    _, _, body = raw(mock, path, STREAMED[path], "fault=crlf,comments")
    assert b"\r\n\r\n" in body and b": keep-alive" in body and mock.log()[-1]["usage"]
    _, _, body = raw(mock, path, STREAMED[path], "fault=over_cap tokens=8")
    assert 50 <= max(mock.log()[-1]["usage"].get(k, 0) for k in ("output_tokens", "completion_tokens"))
