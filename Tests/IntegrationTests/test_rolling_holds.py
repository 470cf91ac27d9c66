"""Streams whose hold grows as they go on, on real processes and the official OpenAI SDK."""
import asyncio
import secrets
import time

import openai
import pytest

from harness import Serve, running, wait_until
from sdk_tools import patient_sdk

PROMPT = "Tell me a long story, please. [[mock tokens=1500]]"
# Money for half of it is gone after seven seconds: time for a command that brings more.
SLOWER = "Tell me a long story, please. [[mock tokens=600 tps=40]]"


@pytest.fixture(scope="module")
def serve(dev, mock):
    with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as serve:
        yield serve


@pytest.fixture(scope="module")
def rolling(dev, mock):
    with running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1", BILLING_HOLDS="rolling")) as serve:
        yield serve


def account(dev, millicredits):
    """A key of an account that rolls, with so much to spend."""
    user = "rolling-" + secrets.token_hex(4)
    key = dev.account(user)
    dev.cli("account", "holds", "--user", user, "rolling")
    dev.cli("account", "adjust", "--user", user, "--millicredits", millicredits, "--reason", "test",
            "--idempotency-key", user)
    return user, key


def wait_for_policy(serve, sql, user):
    """Every instance knows a change within a second; this one has polled since, on a busy machine as well."""
    wait_until(lambda: sql("SELECT hold_policy FROM account WHERE user_id = %s", user) == [("rolling",)])
    time.sleep(4)


def read(stream):
    """Deltas until the stream ends, and the error that ended it."""
    seen, text = 0, ""
    try:
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                seen += 1
                text += chunk.choices[0].delta.content
    except openai.APIError as error:
        return seen, error
    return seen, None


def test_money_for_300_tokens_is_a_stream_of_300_tokens(dev, serve, sql, settled, balance):
    # 360 millicredits of output, and the input.
    user, key = account(dev, 370)
    wait_for_policy(serve, sql, user)
    client = patient_sdk(key, serve.base, timeout=120)
    stream = client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": PROMPT}], stream=True)
    seen, error = read(stream)
    assert error is not None and error.code == "insufficient_credits", (seen, error)
    row, = settled(user, 1)
    assert 290 <= seen <= 308
    left = balance(user)
    assert 0 <= left < 2, f"{seen} tokens seen, {left} millicredits left"
    assert row["output"] == seen and row["estimated"]
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": PROMPT}], stream=True)
    assert refused.value.status_code == 402
    dev.verify()


def test_a_purchase_lets_a_stream_go_on(dev, serve, sql, settled, balance):
    user, key = account(dev, 370)
    wait_for_policy(serve, sql, user)
    client = patient_sdk(key, serve.base, timeout=120)
    stream = iter(client.chat.completions.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": SLOWER}], stream=True))
    for _ in range(20):
        next(stream)
    dev.cli("account", "adjust", "--user", user, "--millicredits", 100_000, "--reason", "bought",
            "--idempotency-key", user + "-more")
    seen, error = read(stream)
    assert error is None and seen + 20 >= 599
    row, = settled(user, 1)
    assert sql("SELECT estimated FROM usage_events WHERE user_id = %s", user) == [(False,)]


def test_a_stream_within_the_balance_is_charged_by_its_report(dev, serve, sql, mock, settled):
    user, key = account(dev, 1_000_000)
    wait_for_policy(serve, sql, user)
    client = patient_sdk(key, serve.base, timeout=120)
    for api in ("chat", "responses"):
        if api == "chat":
            got = client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": PROMPT}], stream=True)
            seen, error = read(got)
            assert error is None and seen >= 1500
        else:
            types = [event.type for event in client.responses.create(
                model="gpt-4o-mini", input=PROMPT, stream=True)]
            assert types[-1] == "response.completed"
    settled(user, 2)
    assert sql("SELECT count(*) FROM usage_events WHERE user_id = %s AND estimated", user) == [(0,)]


def test_five_hundred_streams_at_once_each_end_at_their_last_token(dev, rolling, sql):
    prefix, streams = "rolling-many-" + secrets.token_hex(4), 500
    sql(
        """
        SELECT grant_credits(gen_random_uuid(), o_account_id, 370, 'promotional', u, 'test', 0)
        FROM (SELECT %s || '-' || n AS u FROM generate_series(1, %s) n) users, find_or_create_account(u)
        """, prefix, streams)

    async def one(client, number):
        seen = 0
        try:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini", stream=True, extra_headers={"X-Tollgate-User": f"{prefix}-{number}"},
                messages=[{"role": "user", "content": PROMPT.replace("]]", " tps=60]]")}])
            async for chunk in stream:
                seen += bool(chunk.choices and chunk.choices[0].delta.content)
        except openai.APIError as error:
            assert error.code == "insufficient_credits", error
            return number, seen
        raise AssertionError("a stream of 1,500 tokens was whole")

    async def all_of_them():
        # A request that met a full machine is sent again, as the SDK does.
        async with openai.AsyncOpenAI(
                api_key=dev.serviceKey, base_url=rolling.base, max_retries=20, timeout=120) as client:
            return await asyncio.gather(*(one(client, number) for number in range(1, streams + 1)))

    seen = {f"{prefix}-{number}": tokens for number, tokens in asyncio.run(all_of_them())}
    query = (
        "SELECT user_id, output_tokens, estimated FROM usage_events "
        "WHERE user_id LIKE %s AND kind = 'final' AND charged_millicredits > 0")
    rows = wait_until(
        lambda: (got := sql(query, prefix + "%")) and len(got) >= streams and got, 60, "all are settled")
    assert {user: output for user, output, _ in rows} == seen, "what was shown is what was charged"
    assert all(290 <= tokens <= 308 for tokens in seen.values())
    left = [row[0] for row in sql(
        "SELECT balance_millicredits FROM credit_balance WHERE user_id LIKE %s", prefix + "%")]
    assert len(left) == streams and all(0 <= rest < 2 for rest in left), sorted(left)[-5:]
    dev.verify()
