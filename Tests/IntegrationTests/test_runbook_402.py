"""The runbook's forced 402, to the letter: five credits, gpt-4o, ten thousand tokens, on the runbook's own rates."""
import json

import pytest

from harness import Dev, Serve, http, running

USER = "five-credits"


@pytest.fixture(scope="module")
def runbook():
    """A stack with the runbook's rate card. Without a vocabulary a text's tokens grow with its bytes, one by one."""
    stack = Dev()
    try:
        stack.cli("ratecard", "apply", "ratecards/scholarlink-2025.yaml")
        stack.cli("account", "create", "--user", USER, "--credits", "5")
        with running(Serve(stack, TOKENIZER_DIR="/nonexistent")) as serve:
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
