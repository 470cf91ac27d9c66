"""Every priced text model against a public calculator (genai-prices), whose prices others keep.

What differs stands in price_differences.yaml with its reason. A difference that is not explained there fails, and so
does an explanation that explains nothing any more.
"""
import datetime
import json
import pathlib
import random
import subprocess
from decimal import Decimal
from fractions import Fraction

import genai_prices
import pytest
import yaml

from harness import BIN, ROOT
from pricing_oracle import Card, half_even

USAGES = 200
TEXT = {"chat", "responses", "completions", "embeddings", "moderations"}
EXPLAINED = yaml.safe_load(pathlib.Path(__file__).with_name("price_differences.yaml").read_text())
MOMENT = datetime.datetime(2026, 11, 12, tzinfo=datetime.timezone.utc)


@pytest.fixture(scope="module")
def card_path():
    return sorted((ROOT / "ratecards").glob("openai-*.yaml"))[-1]


@pytest.fixture(scope="module")
def card(card_path):
    return Card(card_path).body


def usages(name, row, dice):
    """Within the model's limits; half of them beyond the threshold of long context, where there is one."""
    context, most = int(row["context"]), int(row["max_output"])
    threshold = int(row.get("long_context", {}).get("threshold", context))
    for number in range(USAGES):
        low, high = (threshold, context) if number % 2 and threshold < context else (0, min(threshold, context))
        total = dice.choice([low, high, dice.randint(low, high), dice.randint(low, high)])
        cached = dice.choice([0, total, dice.randint(0, total)])
        written = dice.choice([0, dice.randint(0, total - cached)])
        yield {
            "model": name, "inputTokens": total, "cachedInputTokens": cached, "cacheWriteTokens": written,
            "outputTokens": dice.choice([0, most, dice.randint(0, most)])}


def parts(usage, row):
    """Parts of a usage that a difference can be about."""
    found = set()
    if usage["cachedInputTokens"]:
        found.add("cached_input")
    if usage["cacheWriteTokens"]:
        found.add("cache_write")
    if "long_context" in row and usage["inputTokens"] > int(row["long_context"]["threshold"]):
        found.add("long_context")
    return found


def calculated(usage):
    """Pico-USD by the calculator; None when it does not know the model."""
    try:
        price = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage["inputTokens"], cache_read_tokens=usage["cachedInputTokens"],
                cache_write_tokens=usage["cacheWriteTokens"], output_tokens=usage["outputTokens"]),
            usage["model"], provider_id="openai", genai_request_timestamp=MOMENT)
    except LookupError:
        return None
    return price.total_price * Decimal(10) ** 12


def estimated(asked, card_path):
    done = subprocess.run(
        [str(BIN / "tollgate"), "estimate", "--batch", "-", "--card", str(card_path)], text=True,
        capture_output=True, input="".join(json.dumps(usage) + "\n" for usage in asked), timeout=300,
        env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_text_model_costs_what_a_public_calculator_says(card, card_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    markup = Fraction(card["markup"])
    models = {name: row for name, row in card["models"].items() if TEXT & set(row["endpoints"])}
    asked = [usage for name, row in models.items() for usage in usages(name, row, dice)]
    answers = estimated(asked, card_path)
    assert len(answers) == len(asked) >= USAGES * 70
    unexplained, needed = [], set()
    for usage, answer in zip(asked, answers):
        name, row = usage["model"], models[usage["model"]]
        assert answer["model"] == name and answer["priceId"].endswith("/" + name)
        cost = int(answer["costPicousd"])
        if "price" not in row:
            # 1 millicredit is 1 micro-USD.
            assert int(answer["millicredits"]) == half_even(Fraction(cost, 10**6) * markup), usage
        theirs = calculated(usage)
        if theirs == cost:
            continue
        about = {"unknown"} if theirs is None else parts(usage, row)
        explained = about & set(EXPLAINED.get(name, {}).get("parts", []))
        needed |= {(name, part) for part in explained}
        if not explained:
            unexplained.append((usage, cost, theirs))
    assert unexplained == [], f"{len(unexplained)} differences, such as {unexplained[:3]}"
    listed = {(name, part) for name, why in EXPLAINED.items() for part in why["parts"]}
    assert listed == needed, "an explanation that explains nothing any more"
    assert all(why["because"].strip() for why in EXPLAINED.values())


def test_the_comparison_can_fail(card_path, tmp_path):
    """One price that is wrong by its last digit is seen."""
    text = card_path.read_text()
    before, row = text.split("\n  gpt-4o-mini:\n")
    assert 'output: "0.6"' in row
    planted = tmp_path / "openai-planted.yaml"
    planted.write_text(before + "\n  gpt-4o-mini:\n" + row.replace('output: "0.6"', 'output: "0.600001"', 1))
    usage = {
        "model": "gpt-4o-mini", "inputTokens": 10, "cachedInputTokens": 0, "cacheWriteTokens": 0, "outputTokens": 1}
    (answer,) = estimated([usage], planted)
    assert int(answer["costPicousd"]) == calculated(usage) + 1
