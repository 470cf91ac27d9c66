"""Faults in both stores under load: nothing that was served is lost, and nothing is charged twice."""
import concurrent.futures
import random
import threading

import openai
import psycopg2

from harness import Mock, Serve, running, wait_for_service, wait_until
from pricing_oracle import Card, differences

EXCHANGES, CONCURRENCY = 400, 16


def test_connections_cut_and_redis_emptied_under_load(dev, sql, redis, tmp_path):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    users = [f"chaos-{seed}-{i}" for i in range(4)]
    keys = {user: dev.account(user, credits=100_000) for user in users}
    stop = threading.Event()
    injected = []
    with running(Mock(tmp_path)) as mock, running(Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")) as proxy:
        chaos = threading.Thread(target=inject, args=(dev, redis, dice, stop, injected))
        chaos.start()
        try:
            with concurrent.futures.ThreadPoolExecutor(CONCURRENCY) as pool:
                list(pool.map(lambda n: exchange(proxy, keys[users[n % 4]], n), range(EXCHANGES)))
        finally:
            stop.set()
            chaos.join()
        assert len(set(injected)) == 4, injected
        served = [l for l in mock.log() if l["path"].endswith("/chat/completions") and l["usage"]]
        assert len(served) >= EXCHANGES

        def settled():
            rows = sql(
                "SELECT openai_request_id, model, charged_millicredits FROM usage_events "
                "WHERE user_id = ANY(%s) AND kind = 'final' AND NOT estimated", users)
            rows = [dict(zip(("openai_request_id", "model", "charged"), row)) for row in rows]
            return rows if len(rows) >= len(served) else None

        assert differences(Card.newest_openai(), served, wait_until(settled, 30, "all settlements")) == []
        spent = sql("SELECT sum(100000000 - balance_millicredits) FROM credit_balance WHERE user_id = ANY(%s)", users)
        charged = sql("SELECT sum(charged_millicredits) FROM usage_events WHERE user_id = ANY(%s)", users)
        assert spent == charged
        accounts = [r[0] for r in sql("SELECT account_id FROM credit_balance WHERE user_id = ANY(%s)", users)]
        wait_until(lambda: all(
            not [f for f in redis.hkeys("a:{%d}" % a) if f[:2] in ("h:", "u:")] for a in accounts), 45, "holds drain")
    wait_for_service(keys[users[0]], dev.baseURL)
    dev.verify()


def exchange(proxy, key, number):
    client = openai.OpenAI(api_key=key, base_url=proxy.base, max_retries=30, timeout=30)
    result = client.chat.completions.create(
        model="gpt-4o-mini", stream=number % 2 == 0, max_tokens=100,
        messages=[{"role": "user", "content": f"{number} [[mock tokens=12 tps=200]]"}])
    if number % 2 == 0:
        for _ in result:
            pass
    client.close()


def inject(dev, redis, dice, stop, injected):
    """Every now and then one of: all ledger connections cut, all hold-store connections cut, scripts lost, data lost."""
    connection = psycopg2.connect(dev.databaseURL)
    connection.autocommit = True
    while not stop.wait(dice.uniform(0.1, 0.4)):
        fault = dice.choice(["ledger connections", "hold-store connections", "scripts", "data"])
        if fault == "ledger connections":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND application_name LIKE 'tollgate%'")
        elif fault == "hold-store connections":
            redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        elif fault == "scripts":
            redis.script_flush()
        else:
            redis.flushall()
        injected.append(fault)
    connection.close()
