"""Σ charged equals a recomputation from the card and the mock's log (issue "First light", 2)."""
import concurrent.futures
import random

import openai

from harness import Mock, Serve, running, wait_until
from pricing_oracle import Card, differences

EXCHANGES, CONCURRENCY, ACCOUNTS = 2000, 64, 20
MODELS = ["gpt-4o-mini", "gpt-4o", "gpt-5-mini", "gpt-5-nano", "o3", "gpt-5.6"]


def test_two_thousand_mixed_exchanges(dev, sql, redis, tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    users = [f"exact-{seed}-{i}" for i in range(ACCOUNTS)]
    keys = {user: dev.account(user, credits=100_000) for user in users}
    with running(Mock(tmp_path)) as mock, running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as proxy:
        # A debug build on a busy machine can miss the 100 ms of a hold: that is a 503, which SDKs try again.
        clients = {u: openai.OpenAI(api_key=keys[u], base_url=proxy.base, max_retries=8) for u in users}
        dice = random.Random(seed)
        plan = [(i, dice.choice(users), dice.getrandbits(32)) for i in range(EXCHANGES)]
        with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
            list(pool.map(lambda job: exchange(clients[job[1]], job[0], random.Random(job[2])), plan))
        served = [line for line in mock.log() if line["path"].endswith("/chat/completions")]
        assert len(served) == EXCHANGES and all(line["usage"] for line in served)
        rows = wait_until(lambda: rows_of(sql, users, EXCHANGES), 30, "all settlements")
        card = Card.newest_openai()
        assert differences(card, served, rows) == []
        total = sum(row["charged"] for row in rows)
        assert total == sum(card.charge(l["model"], l["usage"], l["service_tier"]) for l in served)
        spent = sql(
            "SELECT sum(100000000 - balance_millicredits) FROM credit_balance WHERE user_id = ANY(%s)", users)[0][0]
        assert spent == total
        # The check can fail: one millicredit in one row is seen.
        planted = dice.randrange(len(rows))
        rows[planted]["charged"] += 1
        assert len(differences(card, served, rows)) == 1
        wait_until(lambda: open_holds(redis, sql, users) == 0, 15, "holds drain to 0")
    dev.verify()


def exchange(client, number, dice):
    stream = dice.random() < 0.5
    directives = [f"tokens={dice.randrange(1, 60)}"]
    if dice.random() < 0.3:
        directives.append(f"cached={dice.randrange(0, 5)}")
    text = f"{number} " + "word " * dice.randrange(1, 80) + f"[[mock {' '.join(directives)}]]"
    more = {}
    if dice.random() < 0.5:
        more["max_completion_tokens"] = dice.randrange(20, 200)
    if dice.random() < 0.2:
        more["n"] = 2
    if stream and dice.random() < 0.5:
        more["stream_options"] = {"include_usage": True}
    result = client.chat.completions.create(
        model=dice.choice(MODELS), messages=[{"role": "user", "content": text}], stream=stream, **more)
    if stream:
        for _ in result:
            pass


def rows_of(sql, users, count):
    rows = sql(
        "SELECT openai_request_id, model, charged_millicredits, estimated FROM usage_events "
        "WHERE user_id = ANY(%s)", users)
    if len(rows) < count:
        return None
    assert not any(row[3] for row in rows)
    return [dict(zip(("openai_request_id", "model", "charged"), row)) for row in rows]


def open_holds(redis, sql, users):
    accounts = [r[0] for r in sql("SELECT account_id FROM credit_balance WHERE user_id = ANY(%s)", users)]
    left = 0
    for account in accounts:
        fields = redis.hgetall("a:{%d}" % account)
        left += sum(1 for name in fields if name[:2] in ("h:", "u:"))
        assert int(fields.get("H", 0)) + int(fields.get("U", 0)) == 0 or left
    return left
