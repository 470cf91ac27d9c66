"""`tollgate estimate` prices what a request names, and says what it does not price."""
import base64
import json
import re

from pricing_oracle import Card

CARD = Card.newest_openai()


def estimate(dev, tmp_path, **body):
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"messages": [{"role": "user", "content": "Hello!"}], **body}))
    done = dev.cli("estimate", "--request", request)
    told = json.loads(dev.cli("estimate", "--request", request, "--json").stdout)
    # How the text is counted, with a vocabulary or without one, is shown elsewhere.
    tokens = int(re.search(r"input (\d+) tokens, estimated", done.stdout)[1])
    return int(told["millicredits"]), tokens, done.stdout


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion}


def test_the_tier_of_a_request_is_priced(dev, tmp_path):
    for tier in ("default", "flex", "priority"):
        amount, tokens, told = estimate(
            dev, tmp_path, model="gpt-5.6", max_completion_tokens=1000, service_tier=tier)
        assert amount == CARD.charge("gpt-5.6", usage(tokens, 1000), tier)
        assert (f"tier {tier}" in told) == (tier != "default")
    usual, tokens, _ = estimate(dev, tmp_path, model="gpt-5.6", max_completion_tokens=1000)
    assert usual == CARD.charge("gpt-5.6", usage(tokens, 1000))


def test_a_search_is_priced_and_named(dev, tmp_path):
    amount, tokens, told = estimate(dev, tmp_path, model="gpt-4o", max_tokens=10, web_search_options={})
    assert amount == CARD.charge("gpt-4o", usage(tokens, 10), units={"web_search_preview": 1})
    assert "1 web search, without the tokens that it brings" in told


def test_sound_is_priced_by_its_length(dev, tmp_path):
    # 16 kHz, mono, 16 bits: two seconds.
    head = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data"
    sound = base64.b64encode(head + (64_000).to_bytes(4, "little") + bytes(64_000)).decode()
    part = {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hello!"}, part]}]
    amount, tokens, _ = estimate(dev, tmp_path, model="gpt-audio", max_tokens=10, messages=messages)
    # Ten tokens for each second.
    assert tokens > 20
    assert amount == CARD.charge("gpt-audio", usage(tokens, 10) | {"prompt_tokens_details": {"audio_tokens": 20}})


def test_no_output_is_not_an_output_of_nothing(dev, tmp_path):
    amount, tokens, told = estimate(dev, tmp_path, model="gpt-4o")
    assert amount == CARD.charge("gpt-4o", usage(tokens, 0))
    assert "no output: the request has no cap" in told and "output 0" not in told


def test_what_a_batch_does_not_know_is_named(dev, tmp_path):
    lines = tmp_path / "asked.jsonl"
    lines.write_text(
        '{"model":"gpt-4o","inputTokens":1}\n'
        '{"model":"gpt-4o","inputTokens":1,"outputToken":5,"service_tier":"flex"}\n')
    done = dev.cli("estimate", "--batch", lines, check=False)
    assert done.returncode == 1 and "line 2" in done.stderr
    assert "outputToken, service_tier" in done.stderr
