"""Limits of keys and accounts, and spend caps, on real processes and the official OpenAI SDK (CONTRACT §3, §4)."""
import concurrent.futures
import json
import re
import secrets
import time

import openai
import pytest

from chaos.client import ask as ask_cluster
from chaos.cluster import Cluster
from harness import BUSY_MAX, Serve, http, is_busy, running, wait_until
from sdk_tools import patient_sdk

DURATION = re.compile(r"^(\d+ms|(\d+h)?(\d+m)?\d+(\.\d{1,3})?s)$")


@pytest.fixture()
def user():
    return "limits-" + secrets.token_hex(4)


def make(dev, user, *limits):
    """A key of a new account with credits; `limits` are options of `key create`."""
    dev.cli("account", "create", "--user", user, "--credits", 1000)
    done = dev.cli("key", "create", "--user", user, *limits)
    number = re.search(r"key (\d+) created", done.stderr)[1]
    return re.search(r"tg_\S+", done.stdout)[0], number


def sdk(key, base):
    return patient_sdk(key, base)


def hello(client, text="Hello [[mock tokens=3]]", **more):
    return client.chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=[{"role": "user", "content": text}], **{"max_tokens": 5, **more})


def answer(root, key, text="Hello [[mock tokens=3]]"):
    body = {"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": text}]}
    status, _, said = http("POST", root + "/chat/completions", body, {"Authorization": f"Bearer {key}"}, timeout=40)
    return status, said


def status(root, key):
    return answer(root, key)[0]


def undisturbed(ask):
    """The statuses of `ask(user)` for a new user. A hold that Redis granted too late was counted as a request, though
    nobody was served: then the figures say nothing, and another user asks."""
    for _ in range(BUSY_MAX):
        answers = ask("limits-" + secrets.token_hex(4))
        if not any(is_busy(*one) for one in answers):
            break
    return [status for status, _ in answers]


def first_reply(dev, *limits):
    """A client of a new user, and the headers of its first reply, after which one request more is left. A hold that Redis
    granted too late is given back but stays counted, and one that was asked for twice says nothing of limits: then another
    user asks."""
    for _ in range(BUSY_MAX):
        client = sdk(make(dev, "limits-" + secrets.token_hex(4), *limits)[0], dev.baseURL)
        headers = hello(client).headers
        if headers.get("x-ratelimit-remaining-requests") == "1":
            break
    return client, headers


def test_the_sdk_raises_its_rate_limit_error_with_headers(dev):
    client, headers = first_reply(dev, "--rpm", 2, "--tpm", 100000)
    assert headers["x-ratelimit-limit-requests"] == "2" and headers["x-ratelimit-remaining-requests"] == "1"
    assert headers["x-ratelimit-limit-tokens"] == "100000"
    assert 99000 < int(headers["x-ratelimit-remaining-tokens"]) < 100000
    assert all(DURATION.match(headers[f"x-ratelimit-reset-{kind}"]) for kind in ("requests", "tokens"))
    stream = hello(client, stream=True)
    assert stream.headers["x-ratelimit-remaining-requests"] == "0"
    list(stream.parse())
    with pytest.raises(openai.RateLimitError) as caught:
        hello(client)
    error = caught.value
    assert error.status_code == 429 and error.code == "rate_limited"
    assert "2 requests per minute of this API key" in error.message
    headers = error.response.headers
    assert 1 <= int(headers["retry-after"]) <= 30
    assert headers["x-ratelimit-remaining-requests"] == "0" and headers["x-ratelimit-limit-requests"] == "2"


def test_a_request_larger_than_its_limit_is_told_so_once(dev, user):
    key, _ = make(dev, user, "--tpm", 100)
    tries = []
    client = openai.OpenAI(api_key=key, base_url=dev.baseURL, max_retries=2)
    client._client.event_hooks = {"request": [lambda request: tries.append(request.url)]}
    with pytest.raises(openai.RateLimitError, match="never fits") as caught:
        hello(client, max_tokens=5000)
    assert "100 tokens per minute of this API key" in caught.value.message and len(tries) == 1
    assert "retry-after" not in caught.value.response.headers


def test_limits_change_while_the_instance_runs(dev, user):
    key, number = make(dev, user)
    client = sdk(key, dev.baseURL)
    assert "x-ratelimit-limit-requests" not in hello(client).headers
    dev.cli("key", "limits", number, "--rpm", 1)

    def is_limited():
        try:
            return hello(client).headers.get("x-ratelimit-limit-requests") == "1"
        except openai.RateLimitError:
            return True  # Its one request was granted too late.

    wait_until(is_limited, 10, "the limit of the key")
    with pytest.raises(openai.RateLimitError):
        hello(client)
    shown = dev.cli("key", "limits", number, "--rpm", "none").stdout
    assert shown.splitlines()[1].split("\t") == [number, "none", "default", "default"]
    wait_until(lambda: status(dev.baseURL, key) == 200, 10, "no limit")
    dev.cli("account", "limits", "--user", user, "--rpm", 7)
    wait_until(lambda: hello(client).headers.get("x-ratelimit-limit-requests") == "7", 10, "the limit of the account")
    for bad in ("0", "-1", "x"):
        assert dev.cli("account", "limits", "--user", user, "--rpm", bad, check=False).returncode == 64


def test_two_instances_share_one_limit(dev):
    with running(Serve(dev)) as other, concurrent.futures.ThreadPoolExecutor(12) as pool:
        def ask(user):
            # Made with its limit: whoever knows the key knows it, and no instance has to hear of it later.
            key, _ = make(dev, user, "--rpm", 6)
            began.append(time.monotonic())
            return list(pool.map(lambda base: answer(base, key), [dev.baseURL, other.base] * 10))

        began = []
        got = undisturbed(ask)
        seconds = time.monotonic() - began[-1]
    # One every ten seconds flows in again.
    assert set(got) == {200, 429} and 6 <= got.count(200) <= 7 + seconds // 10, (got, seconds)


def test_configured_limits_hold_where_a_key_has_none(dev):
    keys = []
    with running(Serve(dev, RATE_LIMIT_KEY_RPM="2", RATE_LIMIT_ACCOUNT_STREAMS="50")) as serve:
        def ask(user):
            keys.append(make(dev, user))
            return [answer(serve.base, keys[-1][0]) for _ in range(3)]

        assert undisturbed(ask) == [200, 200, 429]
        key, number = keys[-1]
        dev.cli("key", "limits", number, "--rpm", 50)
        wait_until(lambda: status(serve.base, key) == 200, 10, "a limit of its own")


def test_a_bad_limit_is_reported_before_anything_starts(dev):
    done = dev.cli("serve", check=False, RATE_LIMIT_KEY_RPM="0", RATE_LIMIT_ACCOUNT_TPM="many")
    assert done.returncode == 78
    assert "RATE_LIMIT_KEY_RPM" in done.stderr and "RATE_LIMIT_ACCOUNT_TPM" in done.stderr


@pytest.mark.parametrize("name, cap", [
    ("BILLING_SINGLE_REQUEST_CAP", "request"), ("BILLING_SESSION_CAP", "session"), ("BILLING_DAILY_CAP", "day")])
def test_every_spend_cap_is_a_402_that_names_itself(dev, user, name, cap):
    key, _ = make(dev, user)
    with running(Serve(dev, **{name: "2"})) as serve:
        with pytest.raises(openai.APIStatusError) as caught:
            hello(sdk(key, serve.base), max_tokens=2000)
        error = caught.value
        body = error.response.json()
        assert error.status_code == 402 and error.code == "spend_cap_reached"
        assert body["cap"] == cap and body["limitMillicredits"] == "2"
        resets = body["resetsAt"]
        assert resets is None if cap == "request" else re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:00Z$", resets)


def test_a_cap_warns_at_four_fifths(dev, user):
    key, _ = make(dev, user)
    with running(Serve(dev, BILLING_DAILY_CAP="100000", BILLING_SESSION_CAP="1000000")) as serve:
        client = sdk(key, serve.base)
        assert "x-tollgate-spend-warning" not in hello(client).headers
        held = int(hello(client, max_tokens=5000).headers["x-tollgate-held-millicredits"])
    with running(Serve(dev, BILLING_DAILY_CAP=str(held + 100), BILLING_SESSION_CAP="1000000")) as serve:
        assert hello(sdk(key, serve.base), max_tokens=5000).headers["x-tollgate-spend-warning"] == "day"


def test_streams_of_a_killed_instance_are_free_when_a_reaper_has_them(user):
    """kill -9 runs no `finally`: what a dead process had open must not count for ever."""
    slow = "ttft_ms=60000"
    with Cluster(2) as cluster:
        account = cluster.create_account(user, 1000)
        cluster.cli("account", "limits", "--user", user, "--streams", 1)

        def held():
            fields = cluster.redis.entries().get(account, {})
            return [name for name in fields if name.startswith("h:")]

        with concurrent.futures.ThreadPoolExecutor() as pool:
            lost = pool.submit(ask_cluster, cluster, 0, user, 5, slow, 90)
            wait_until(held, 5, "the first stream")
            refused = ask_cluster(cluster, 1, user, 5)
            assert refused.status == 429
            assert "1 requests at a time of this account" in json.loads(refused.text)["error"]["message"]
            cluster.instances[0].kill()
            wait_until(lambda: lost.exception(timeout=5) is not None, 10, "the end of the first stream")
            assert ask_cluster(cluster, 1, user, 5).status == 429, "its hold is there"
            wait_until(lambda: ask_cluster(cluster, 1, user, 5).status == 200, 40, "a reaper")
            assert [ask_cluster(cluster, 1, user, 5).status for _ in range(3)] == [200] * 3
        cluster.instances[0].start()
        assert cluster.until_no_hold_is_left(20) is not None
