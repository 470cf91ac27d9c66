"""The runbook's forced 402, to the letter: five credits, gpt-4o, ten thousand tokens, on the runbook's own rates."""
import datetime
import json
import time

import pytest

from harness import ROOT, Dev, Serve, http, patient_http, running, wait_until

USER = "five-credits"


@pytest.fixture(scope="module")
def runbook():
    """A stack with the runbook's rate card. Without a vocabulary a text's tokens grow with its bytes, one by one."""
    stack = Dev()
    try:
        stack.cli("ratecard", "apply", "ratecards/scholarlink-2025.yaml")
        stack.cli("account", "create", "--user", USER, "--credits", "5")
        with running(Serve(stack, TOKENIZER_DIR="/nonexistent")) as serve:
            serve.dev = stack
            serve.headers = {"Authorization": f"Bearer {stack.serviceKey}", "X-Tollgate-User": USER}
            yield serve
        assert stack.stop() == 0, stack.process.output()[-4000:]
    finally:
        stack.stop()
        stack.remove()


def ask(serve, path, length, cap):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": ("hello " * length)[:length]}], "max_tokens": cap}
    status, headers, reply = http("POST", serve.root + path, body, serve.headers)
    return status, headers, json.loads(reply)


def of_200_credits(serve, cap):
    """The length of a text that needs 200 credits together with this cap on the output."""
    low, high = 1, 200_000
    while low < high:
        middle = (low + high) // 2
        status, _, reply = ask(serve, "/api/ai/chat", middle, cap)
        if status == 402 and reply["requiredCredits"] >= 200:
            high = middle
        else:
            low = middle + 1
    return low


def test_ten_thousand_tokens_cost_two_hundred_credits(runbook):
    question = {"model": "gpt-4o", "inputTokens": 10_000, "outputTokens": 0}
    status, _, reply = http("POST", runbook.root + "/api/billing/estimate", question, runbook.headers)
    assert status == 200 and json.loads(reply)["millicredits"] == "200000", reply


@pytest.mark.parametrize("cap", [16, 500], ids=["mostly asked", "much answered"])
def test_five_credits_are_refused_in_the_words_of_the_runbook(runbook, cap):
    length = of_200_credits(runbook, cap)
    status, headers, reply = ask(runbook, "/api/ai/chat", length, cap)
    assert status == 402 and headers["content-type"] == "application/json"
    assert reply == {
        "error": "Insufficient credits", "requiredCredits": 200, "currentCredits": 5,
        "redirectTo": "/billing?tab=credits"}
    assert ask(runbook, "/api/ai/chat", length - 1, cap)[2]["requiredCredits"] < 200
    status, headers, reply = ask(runbook, "/v1/chat/completions", length, cap)
    error = reply.pop("error")
    assert status == 402 and headers["x-should-retry"] == "false"
    assert reply == {
        "requiredCredits": 200, "currentCredits": 5, "affordableOutputTokens": 0,
        "redirectTo": f"{runbook.root}/billing?tab=credits"}
    assert error.pop("message").startswith("Insufficient credits: ")
    assert error == {"type": "insufficient_credits", "param": None, "code": "insufficient_credits"}
    _, _, summary = http("GET", runbook.root + "/api/billing/summary", headers=runbook.headers)
    assert json.loads(summary)["balanceMillicredits"] == "5000", "a refusal costs nothing"


def test_a_scheduled_card_is_in_force_at_its_time_without_a_restart(runbook, tmp_path):
    """The last of the file: what comes after it has other prices."""
    question = {"model": "gpt-4o", "inputTokens": 10_000, "outputTokens": 0}

    def price():
        status, _, reply = http("POST", runbook.root + "/api/billing/estimate", question, runbook.headers)
        assert status == 200, reply
        return json.loads(reply)["millicredits"]

    begins = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=20)
    card = (ROOT / "ratecards/scholarlink-2025.yaml").read_text()
    for old, new in [
            ('version: "2025-01-19"', 'version: "scheduled"'), ("2025-01-19T00:00:00Z", f"{begins:%Y-%m-%dT%H:%M:%SZ}"),
            ('price: {input: "20",', 'price: {input: "40",')]:
        assert card.count(old) == 1, old
        card = card.replace(old, new)
    (tmp_path / "scheduled.yaml").write_text(card)
    runbook.dev.cli("ratecard", "apply", tmp_path / "scheduled.yaml")
    # Whatever is read before its time has the old price; the process looks twice a second.
    for _ in range(3):
        asked, now = price(), datetime.datetime.now(datetime.timezone.utc)
        assert asked == "200000" or now >= begins, f"{asked} at {now}"
        time.sleep(0.6)
    assert wait_until(lambda: price() == "400000", 60, "the new price")
    assert datetime.datetime.now(datetime.timezone.utc) >= begins
    # Nor is it the price that is told only.
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    status, _, reply = patient_http("POST", runbook.base + "/chat/completions", body, runbook.headers)
    assert status == 200, reply
    usage = json.loads(reply)["usage"]
    assert usage["prompt_tokens"] > 0 and usage["completion_tokens"] > 0

    def settlements():
        _, _, page = http("GET", runbook.root + "/api/billing/ledger", headers=runbook.headers)
        return [line for line in json.loads(page)["entries"] if line["referenceType"] == "settlement"]

    (line,) = wait_until(settlements, 30, "a settlement")
    assert line["amountMillicredits"] == str(-40 * usage["prompt_tokens"] - 80 * usage["completion_tokens"])
