"""Recomputes charges from the YAML rate card and the mock's log with exact fractions. Imports nothing of Tollgate."""
import pathlib
from fractions import Fraction

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MEDIA = ("audio_input", "audio_cached_input", "audio_output")


class Card:
    def __init__(self, path):
        # Every scalar stays text, so nothing passes through a binary float.
        self.body = yaml.load(pathlib.Path(path).read_text(), Loader=yaml.BaseLoader)
        self.markup = Fraction(self.body["markup"])

    @staticmethod
    def newest_openai():
        return Card(sorted((ROOT / "ratecards").glob("openai-*.yaml"))[-1])

    def prices(self, model, tier, input_tokens=0):
        """Millicredits per token of every kind; None for a tier that is not sold."""
        rows = [self.body["models"][model]]
        long = rows[0].get("long_context")
        if long and input_tokens > int(long["threshold"]):
            rows.insert(0, long)
        if tier in (None, "default"):
            named = rows[0]
        elif tier not in self.body["models"][model].get("tiers", {}):
            return None
        else:
            # Without long rates of its own a tier takes the standard ones.
            named = rows[0].get("tiers", {}).get(tier, rows[0])
        return self._spread(named)

    def _spread(self, named):
        # cost is USD per 1M tokens = micro-USD per token = millicredits per token.
        price = {part: Fraction(value) * self.markup for part, value in named["cost"].items()}
        own = {part: Fraction(value) for part, value in named.get("price", {}).items()}
        sells_audio = any(part in named["cost"] for part in MEDIA)
        if "input" in own:
            price["cached_input"] = price["cache_write"] = own["input"]
        price.update(own)
        price.setdefault("cached_input", price["input"])
        price.setdefault("cache_write", price["input"])
        if sells_audio:
            price.setdefault("audio_input", price["input"])
            price.setdefault("audio_output", price["output"])
        return price

    def fee(self, model, tool):
        """Millicredits per call."""
        fees = {**self.body.get("tools", {}), **self.body["models"][model].get("tools", {})}
        return Fraction(fees[tool]["cost_per_1k_calls"]) * self.markup * 1000

    def charge(self, model, usage, tier=None, permitted=("default",), units=None):
        """Of the tier that was served, or the dearest of the permitted ones when that is not sold."""
        parts = divide(usage)
        total = sum(parts[part] for part in ("input", "cached_input", "cache_write", "audio_input"))
        price = self.prices(model, tier, total)
        candidates = [price] if price else [self.prices(model, t, total) for t in permitted]
        exact = max(
            sum(count * prices[part] for part, count in parts.items() if count)
            for prices in candidates if prices)
        fees = sum(count * self.fee(model, tool) for tool, count in (units or {}).items())
        return half_even(exact + fees)


def divide(usage):
    """The report in disjoint parts, of whichever endpoint: each token stands in exactly one."""
    def first(*names):
        return next((usage[name] for name in names if usage.get(name) is not None), 0) or {}

    read = first("prompt_tokens_details", "input_tokens_details", "input_token_details")
    written = first("completion_tokens_details", "output_tokens_details")
    read, written = (part if isinstance(part, dict) else {} for part in (read, written))
    parts = {
        "cached_input": read.get("cached_tokens") or 0,
        "cache_write": read.get("cache_write_tokens") or 0,
        "audio_input": read.get("audio_tokens") or 0,
        "audio_output": written.get("audio_tokens") or 0,
    }
    inputs = first("prompt_tokens", "input_tokens") or 0
    outputs = first("completion_tokens", "output_tokens") or 0
    parts["input"] = inputs - parts["cached_input"] - parts["cache_write"] - parts["audio_input"]
    parts["output"] = outputs - parts["audio_output"]
    assert all(count >= 0 for count in parts.values()), usage
    return parts


def half_even(value):
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2):
        return floor + 1
    return floor


def expected(card, line):
    """What one line of the mock's log is to be charged: its usage and fees; 0 where nothing is billed."""
    if line["path"].endswith("/moderations"):
        return 0
    permitted = {"default", line.get("requested_tier") or "default"}
    return card.charge(line["model"], line["usage"], line.get("service_tier"), permitted, line.get("units"))


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
        computed = expected(card, line)
        if row["charged"] != computed:
            wrong.append((line["request_id"], f"charged {row['charged']}, computed {computed}"))
    wrong += [(request_id, "charged, not served") for request_id in by_id]
    return wrong
