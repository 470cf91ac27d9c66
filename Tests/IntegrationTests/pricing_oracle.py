"""Recomputes charges from the YAML rate card and the mock's log with exact fractions. Imports nothing of Tollgate."""
import pathlib
from fractions import Fraction

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Card:
    def __init__(self, path):
        # Every scalar stays text, so nothing passes through a binary float.
        self.body = yaml.load(pathlib.Path(path).read_text(), Loader=yaml.BaseLoader)
        self.markup = Fraction(self.body["markup"])

    @staticmethod
    def newest_openai():
        return Card(sorted((ROOT / "ratecards").glob("openai-*.yaml"))[-1])

    def prices(self, model, tier):
        """Credits-per-token ×1000 = millicredits per token, for input, cached input and output."""
        row = self.body["models"][model]
        cost = dict(row["cost"])
        named = dict(row.get("price", {}))
        if tier not in (None, "default"):
            cost.update(row["tiers"][tier]["cost"])
            named = dict(row["tiers"][tier].get("price", {}))
        # cost is USD per 1M tokens = micro-USD per token = millicredits per token.
        price = {part: Fraction(value) * self.markup for part, value in cost.items()}
        price.setdefault("cached_input", price["input"])
        if "input" in named:
            price["cached_input"] = Fraction(named["input"])
        for part, value in named.items():
            price[part] = Fraction(value)
        return price

    def charge(self, model, usage, tier=None):
        price = self.prices(model, tier)
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or 0
        exact = (
            (usage["prompt_tokens"] - cached) * price["input"]
            + cached * price["cached_input"]
            + usage["completion_tokens"] * price["output"])
        return half_even(exact)


def half_even(value):
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2):
        return floor + 1
    return floor


def differences(card, served, rows):
    """Compares ledger rows with what the mock served, one by one; returns what does not match.

    `served`: lines of the mock's log; `rows`: dicts with openai_request_id, model, charged.
    """
    by_id = {row["openai_request_id"]: row for row in rows}
    wrong = []
    for line in served:
        row = by_id.pop(line["request_id"], None)
        if row is None:
            wrong.append((line["request_id"], "served, not charged"))
            continue
        expected = card.charge(line["model"], line["usage"], line.get("service_tier"))
        if row["charged"] != expected:
            wrong.append((line["request_id"], f"charged {row['charged']}, computed {expected}"))
    wrong += [(request_id, "charged, not served") for request_id in by_id]
    return wrong
