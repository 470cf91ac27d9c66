"""Rate cards from the command line: what validate and apply refuse, what diff and simulate say; parts of usage."""
import json
import re

import pytest

from harness import ROOT, Dev, http

BASE = {
    "card": "openai", "version": "2030-01-01", "effective_from": "2030-01-01T00:00:00Z", "markup": "2.0",
    "models": {
        "gpt-4o": {
            "encoding": "o200k_base", "endpoints": ["chat", "responses"], "context": "128000", "max_output": "16384",
            "cost": {"input": "2.5", "cached_input": "1.25", "output": "10"}},
    },
}


def write(path, **changes):
    """A card with other top-level keys, or with other costs of gpt-4o."""
    card = json.loads(json.dumps(BASE))
    card["models"]["gpt-4o"]["cost"].update(changes.pop("cost", {}))
    if "price" in changes:
        card["models"]["gpt-4o"]["price"] = changes.pop("price")
    card.update(changes)
    text = [f'{key}: "{card[key]}"' if key in ("version", "markup") else f"{key}: {card[key]}"
            for key in ("card", "version", "effective_from", "markup")]
    text.append("models:")
    for name, row in card["models"].items():
        text.append(f"  {name}:")
        for key, value in row.items():
            if isinstance(value, dict):
                # A value after ! stands without quotes.
                value = ", ".join(f"{k}: {v[1:]}" if v[0] == "!" else f'{k}: "{v}"' for k, v in value.items())
                value = "{" + value + "}"
            elif isinstance(value, list):
                value = "[" + ", ".join(value) + "]"
            text.append(f"    {key}: {value}")
    path.write_text("\n".join(text) + "\n")
    return path


# What is written: (exit code, what is said). The active card is ratecards/openai-*.yaml.
CHECKS = {
    "negative margin": (dict(price={"output": "1"}), 0, "models.gpt-4o.output: is sold below cost"),
    "more than 5×": (dict(cost={"output": "51"}), 0, "models.gpt-4o.output: moves by more than 5×"),
    "a model that vanishes": (dict(), 0, "models.gpt-4o-mini: vanishes"),
    "past effective_from": (dict(effective_from="2026-01-01T00:00:00Z"), 0, "effective_from: is in the past"),
    "unknown unit": (dict(cost={"minute": "1"}), 1, "unknown key 'minute'"),
    "no decimal": (dict(cost={"output": "1e1"}), 1, "models.gpt-4o.cost.output"),
    "a binary float": (dict(cost={"output": "!10.5"}), 1, "models.gpt-4o.cost.output"),
    "duplicate version": (dict(version="2026-11-12"), 1, "'2026-11-12' is applied already"),
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("verb", ["validate", "apply"])
def test_publishing_checks(dev, tmp_path, sql, verb, name):
    changes, code, said = CHECKS[name]
    version = "2030-" + name.replace(" ", "-").replace("×", "x") + "-" + verb
    future = {"version": version, "effective_from": "2035-01-01T00:00:00Z"}
    if name == "past effective_from" and verb == "apply":
        # It would be in force at once, for all tests.
        return a_past_date_takes_effect_when_it_is_applied(tmp_path)
    card = write(tmp_path / "card.yaml", **{**future, **changes})
    done = dev.cli("ratecard", verb, card, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    applied = sql("SELECT count(*) FROM rate_card WHERE version = %s", version)[0][0]
    assert applied == (1 if verb == "apply" and code == 0 else 0)


def a_past_date_takes_effect_when_it_is_applied(tmp_path):
    stack = Dev()
    try:
        newest = sorted((ROOT / "ratecards").glob("openai-*.yaml"))[-1].read_text()
        card = tmp_path / "late.yaml"
        card.write_text(re.sub(r'version: "[^"]*"', 'version: "late"', newest, count=1))
        done = stack.cli("ratecard", "apply", card)
        assert "effective_from: is in the past" in done.stderr
        assert any(
            line.startswith("*") and "openai@late" in line
            for line in stack.cli("ratecard", "list").stdout.splitlines())
    finally:
        stack.stop()
        stack.remove()


def test_a_version_is_applied_once(dev, tmp_path):
    first = write(tmp_path / "a.yaml", version="once", effective_from="2035-01-01T00:00:00Z")
    assert "applied" in dev.cli("ratecard", "apply", first).stdout
    assert "unchanged" in dev.cli("ratecard", "apply", first).stdout
    other = write(tmp_path / "b.yaml", version="once", effective_from="2035-01-02T00:00:00Z")
    for verb in ("validate", "apply", "diff"):
        done = dev.cli("ratecard", verb, other, check=False)
        assert done.returncode == 1 and "is applied already" in done.stdout + done.stderr, verb


def test_validate_without_a_ledger_says_what_it_did_not_do(dev, tmp_path):
    card = write(tmp_path / "card.yaml")
    alone = dev.cli("ratecard", "validate", card, DATABASE_URL="")
    assert "is valid: 1 models" in alone.stdout and "not compared with any card" in alone.stderr
    older = write(tmp_path / "older.yaml", version="older", cost={"output": "1"})
    against = dev.cli("ratecard", "validate", card, "--against", older, DATABASE_URL="")
    assert "moves by more than 5×" in against.stdout and "not compared" not in against.stderr
    away = dev.cli("ratecard", "validate", card, check=False, DATABASE_URL="postgresql://x:y@127.0.0.1:1/z")
    assert away.returncode == 69


def test_diff_of_two_files_reads_like_a_review(dev, tmp_path):
    old = write(tmp_path / "old.yaml", version="1")
    new = write(tmp_path / "new.yaml", version="2", cost={"output": "12"}, markup="3")
    for arguments in ([old, new], [new, "--against", old]):
        lines = dev.cli("ratecard", "diff", *arguments, DATABASE_URL="").stdout.splitlines()
        assert lines[0] == "from openai@1 to openai@2"
        assert "~ (card) markup: 2 → 3 (+50.0 %)" in lines
        assert "~ gpt-4o output: 20 → 36 (+80.0 %), margin 50.0 % → 66.6 %" in lines
        assert "~ gpt-4o cost.output: 10 → 12 (+20.0 %)" in lines
    found = json.loads(dev.cli("ratecard", "diff", old, new, "--json", DATABASE_URL="").stdout)
    assert found["from"] == "openai@1" and found["to"] == "openai@2" and found["problems"] == []
    (output,) = [c for c in found["changes"] if c.get("path") == "output"]
    assert output["from"] == "20" and output["to"] == "36" and output["percent"] == "+80.0 %"
    assert {m["path"] for m in found["margins"]} >= {"input", "cached_input", "output"}
    assert dev.cli("ratecard", "diff", old, new, "--against", old, check=False).returncode == 64
    assert json.loads(dev.cli("ratecard", "diff", new, "--json").stdout)["from"].startswith("openai@")


def test_simulate_prices_real_history_again(dev, tmp_path, settled, sql):
    key = dev.account("simulated", credits=1000)
    for model in ("gpt-4o", "gpt-4o", "gpt-4o-mini"):
        body = {"model": model, "messages": [{"role": "user", "content": "Hi [[mock tokens=50]]"}]}
        assert http("POST", dev.baseURL + "/chat/completions", body, {"Authorization": f"Bearer {key}"})[0] == 200
    rows = settled("simulated", 3)

    def mine(card):
        done = dev.cli("ratecard", "simulate", card, "--days", "2", "--json")
        assert "simulate: " in done.stderr, "progress"
        found = json.loads(done.stdout)
        (account,) = [a["sums"] for a in found["accounts"] if a["user"] == "simulated"]
        return found, account

    newest = sorted((ROOT / "ratecards").glob("openai-*.yaml"))[-1]
    _, same = mine(newest)
    charged = sum(row["charged"] for row in rows)
    assert same["events"] == 3 and same["revenueMillicreditsNow"] == same["revenueMillicreditsThen"] == str(charged)
    assert same["revenueMillicreditsDifference"] == "0" and same["costPicousdNow"] == same["costPicousdThen"]
    # Twice the price of gpt-4o, and no gpt-4o-mini.
    found, account = mine(write(tmp_path / "dear.yaml", markup="4.0"))
    dear = sum(row["charged"] for row in rows if row["model"] == "gpt-4o")
    cost = sum(r[0] for r in sql(
        "SELECT cost_picousd FROM usage_events WHERE user_id = 'simulated' AND model = 'gpt-4o'"))
    assert account["revenueMillicreditsThen"] == str(2 * dear) and account["costPicousdThen"] == str(cost)
    assert account["marginPicousdThen"] == str(2 * dear * 10**6 - cost)
    assert ("gpt-4o-mini", "the model is not on the card") in {(r["model"], r["why"]) for r in found["refused"]}
    text = dev.cli("ratecard", "simulate", tmp_path / "dear.yaml", "--days", "2").stdout
    # The ledger is shared with the tests before this one, which may have waived exchanges.
    waived = f"waived: {found['waived']['events']} events"
    assert "simulated" in text and "refused: gpt-4o-mini" in text and waived in text
    for arguments in (["--days", "0"], ["--days", "x"], []):
        assert dev.cli("ratecard", "simulate", newest, *arguments, check=False).returncode == 64
    assert dev.cli("ratecard", "simulate", newest, "--days", "1", check=False,
                   DATABASE_URL="postgresql://x:y@127.0.0.1:1/z").returncode == 69
    assert dev.cli("ratecard", "simulate", newest, "--days", "1", check=False, DATABASE_URL="").returncode == 78


def test_usage_is_read_in_pages(dev, settled):
    key = dev.account("paged", credits=1000)
    for _ in range(3):
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi [[mock tokens=5]]"}]}
        assert http("POST", dev.baseURL + "/chat/completions", body, {"Authorization": f"Bearer {key}"})[0] == 200
    rows = settled("paged", 3)
    seen, cursor = [], ""
    while cursor is not None:
        status, _, body = http(
            "GET", f"{dev.root}/api/billing/usage?limit=1&cursor={cursor}".removesuffix("&cursor="),
            headers={"Authorization": f"Bearer {key}"})
        page = json.loads(body)
        assert status == 200
        seen += page["entries"]
        cursor = page["nextCursor"]
    assert [e["holdId"] for e in seen] == [row["hold"] for row in reversed(rows)]
    assert all("parts" not in e for e in seen)
    assert f"{rows[-1]['charged']} millicredits" in dev.cli("account", "show", "--user", "paged").stdout


def test_verify_finds_a_charge_that_is_not_usage_times_price(dev, settled, sql):
    key = dev.account("audited", credits=1000)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi [[mock tokens=5]]"}]}
    assert http("POST", dev.baseURL + "/chat/completions", body, {"Authorization": f"Bearer {key}"})[0] == 200
    hold = settled("audited", 1)[0]["hold"]
    dev.verify()
    try:
        sql("UPDATE usage_events SET usage_parts = '{\"web_search_calls\": 1}' WHERE hold_id = %s", hold)
        done = dev.cli("verify", check=False)
        assert done.returncode == 1 and "C1 charges are usage times price" in done.stdout and hold in done.stdout
    finally:
        sql("UPDATE usage_events SET usage_parts = NULL WHERE hold_id = %s", hold)
    dev.verify()


def test_estimate_in_json_and_in_batches(dev, tmp_path):
    one = json.loads(dev.cli("estimate", "--model", "gpt-4o", "--input", "1000", "--output", "10", "--json").stdout)
    assert one["millicredits"] == "5200" and one["costPicousd"] == "2600000000" and one["credits"] == "5.2"
    lines = tmp_path / "asked.jsonl"
    lines.write_text(
        '{"model":"gpt-4o","inputTokens":1000,"outputTokens":10}\n\n'
        '{"model":"gpt-4o","inputTokens":0,"parts":{"web_search_calls":2}}\n{"model":"nobody"}\n'
        '{"model":"gpt-4o","inputTokens":1,"cachedInputTokens":2}\n{"model":"gpt-4o","tier":"ultrafast"}\n')
    done = dev.cli("estimate", "--batch", lines, check=False)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and answers[0] == one and answers[1]["millicredits"] == "40000"
    assert ["error" in answer for answer in answers] == [False, False, True, True, True]
    lines.write_text("no json\n")
    assert "line 1" in dev.cli("estimate", "--batch", lines, check=False).stderr
    assert dev.cli("estimate", "--batch", lines, "--model", "x", check=False).returncode == 64
    assert dev.cli("estimate", "--model", "x", check=False).returncode == 64
