"""A synthetic year in a ledger of its own: 200 users, 3,000 purchases with refunds, 500,000 usages, spread over 365 days.

Lines of the ledger are posted by the functions that post real ones (`settle`, `post_purchase_line`,
`write_journal_entry`); days are moved afterwards. Then: the books, `reconcile` (clean, and how long), and that
recognised + deferred + refunded = cash for every lot.

    TOLLGATE_BIN=.build/release .build/venv/bin/python bench/synthetic_year.py [--usages 500000]
"""
import argparse
import pathlib
import subprocess
import sys
import time

import psycopg2

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "Tests/IntegrationTests"))
from harness import BIN, Dev  # noqa: E402

BATCH = 500

PURCHASES = """
DO $$
DECLARE n bigint; v_id uuid; v_account bigint; v_package package; v_credits bigint; v_ref text; v_cents bigint;
        v_back bigint; v_clawed bigint; v_users bigint;
BEGIN
    SELECT count(*) INTO v_users FROM account WHERE user_id LIKE 'year-%%';
    FOR n IN 1..%(purchases)s LOOP
        v_id := gen_random_uuid();
        SELECT account_id INTO v_account FROM account WHERE user_id = 'year-' || (n %% v_users);
        SELECT p.* INTO v_package FROM package p WHERE p.active ORDER BY p.code OFFSET n %% 3 LIMIT 1;
        v_credits := v_package.credits * 1000;
        v_cents := v_package.price_usd_cents;
        v_ref := 'stripe:payment:pi_year_' || n;
        v_back := CASE WHEN n %% 10 = 0 THEN v_cents WHEN n %% 10 = 5 THEN v_cents / 3 ELSE 0 END;
        v_clawed := ceil(v_credits::numeric * v_back / v_cents);
        INSERT INTO purchase (purchase_id, account_id, kind, package_code, package_version, package_name,
                price_usd_cents, credits_millicredits, livemode, status, payment_intent_id, created_at, paid_at)
            VALUES (v_id, v_account, 'checkout', v_package.code, v_package.version, v_package.name, v_cents, v_credits,
                    false, 'paid', 'pi_year_' || n, now(), now());
        INSERT INTO payment_state (purchase_id, account_id, revision, granted, paid_cents, refunded_cents,
                clawed_by_refunds, fee_cents)
            VALUES (v_id, v_account, 1, v_credits, v_cents, v_back, v_clawed, 59);
        PERFORM post_purchase_line(gen_random_uuid(), v_id, v_account, v_credits, 'purchase', v_ref, v_package.name,
            v_cents, NULL, NULL, NULL);
        INSERT INTO cash_movement (movement_key, purchase_id, kind, cents)
            VALUES (v_ref || ':received', v_id, 'received', v_cents), (v_ref || ':fee', v_id, 'fee', 59);
        PERFORM write_journal_entry(v_ref || ':received', current_date, 'received', v_account,
            ARRAY['assets:stripe', 'liabilities:deferred revenue'], ARRAY[v_cents * 10000, -v_cents * 10000]);
        PERFORM write_journal_entry(v_ref || ':fee', current_date, 'fee', v_account,
            ARRAY['expenses:stripe fees', 'assets:stripe'], ARRAY[590000, -590000]::bigint[]);
        IF v_back > 0 THEN
            PERFORM post_purchase_line(gen_random_uuid(), v_id, v_account, -v_clawed, 'refund', v_ref || ':2', 'refund',
                0, v_ref, v_clawed, v_back);
            INSERT INTO cash_movement (movement_key, purchase_id, kind, cents)
                VALUES (v_ref || ':2:refunded', v_id, 'refunded', v_back);
            PERFORM write_journal_entry(v_ref || ':2:refunded', current_date, 'refunded', v_account,
                ARRAY['liabilities:deferred revenue', 'assets:stripe'], ARRAY[v_back * 10000, -v_back * 10000]);
        END IF;
    END LOOP;
END $$"""

# One batch of the settler's: all users, ids spread over the days that a ledger accepts.
SETTLE = """
SELECT count(*) FROM (
    SELECT array_agg(a.account_id) AS account, array_agg(hold_id_at(
               now() - make_interval(mins => ((%(batch)s * 37 + n) %% 40000)::int))) AS floor,
           array_agg(n::bigint) AS n, array_agg((1 + (n * 7919 + %(batch)s * 104729) %% 400000)::bigint) AS charged
    FROM generate_series(1, %(size)s) n
    JOIN LATERAL (SELECT account_id FROM account WHERE user_id = 'year-' || ((n + %(batch)s) %% %(users)s)) a ON true) x,
LATERAL settle(gen_random_uuid(), gen_random_uuid(), x.account,
    ARRAY(SELECT overlay(gen_random_uuid()::text PLACING left(f::text, 14) FROM 1 FOR 14)::uuid FROM unnest(x.floor) f),
    array_fill('final'::text, ARRAY[%(size)s]), array_fill(2::smallint, ARRAY[%(size)s]),
    array_fill('gpt-4o-mini'::text, ARRAY[%(size)s]), array_fill('gpt-4o-mini-2024-07-18'::text, ARRAY[%(size)s]),
    array_fill('chat'::text, ARRAY[%(size)s]), array_fill('default'::text, ARRAY[%(size)s]),
    array_fill(10::bigint, ARRAY[%(size)s]), array_fill(0::bigint, ARRAY[%(size)s]),
    array_fill(0::bigint, ARRAY[%(size)s]), array_fill(7::bigint, ARRAY[%(size)s]),
    array_fill(0::bigint, ARRAY[%(size)s]), array_fill('year/none'::text, ARRAY[%(size)s]), x.charged,
    array_fill(0::bigint, ARRAY[%(size)s]), ARRAY(SELECT c * 500000 FROM unnest(x.charged) c),
    array_fill(NULL::text, ARRAY[%(size)s]), array_fill(NULL::text, ARRAY[%(size)s]), x.n,
    array_fill(gen_random_uuid(), ARRAY[%(size)s]), array_fill(0::bigint, ARRAY[%(size)s])) s"""

# Days go in the order in which lines were posted: purchases and usages of a year.
MOVE = """
SET session_replication_role = replica;
CREATE TEMP TABLE moved AS
    SELECT id, now() - interval '364 days' * (1 - percent_rank() OVER (ORDER BY first)) - interval '1 hour' AS at
    FROM (SELECT transaction_id AS id, min(created_at) AS first FROM credit_ledger GROUP BY 1) t;
CREATE UNIQUE INDEX ON moved (id);
UPDATE credit_ledger l SET created_at = m.at FROM moved m WHERE m.id = l.transaction_id;
UPDATE usage_events e SET created_at = m.at FROM moved m WHERE m.id = e.batch_id;
UPDATE account SET created_at = now() - interval '365 days';
ANALYZE;
RESET session_replication_role"""

LOTS = """
SELECT count(*), count(*) FILTER (WHERE paid_cents > 0), sum(paid_cents), sum(recognized_cents), sum(reversed_cents),
       count(*) FILTER (WHERE position IS NULL OR recognized_cents + reversed_cents > paid_cents
           OR recognized_cents <> CASE WHEN credits - clawed = consumed THEN paid_cents - reversed_cents
              ELSE floor((paid_cents - reversed_cents)::numeric * consumed / (credits - clawed)) END)
FROM credit_lot"""


class Clock:
    def __init__(self):
        self.last = time.monotonic()

    def say(self, what):
        now = time.monotonic()
        print(f"{now - self.last:8.1f} s  {what}", flush=True)
        self.last = now


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--users", type=int, default=200)
    options.add_argument("--purchases", type=int, default=3000)
    options.add_argument("--usages", type=int, default=500_000)
    options = options.parse_args()
    stack = Dev()
    try:
        run(stack, options)
    finally:
        stack.stop()
        stack.remove()


def tollgate(stack, *arguments):
    return subprocess.run(
        [BIN / "tollgate", *arguments], env=stack.environment(), capture_output=True, text=True, timeout=3600)


def run(stack, options):
    connection = psycopg2.connect(stack.databaseURL)
    connection.autocommit = True
    cursor = connection.cursor()
    clock = Clock()
    for number in range(options.users):
        stack.cli("account", "create", "--user", f"year-{number}", "--credits", "1000")
    clock.say(f"{options.users} users")
    cursor.execute(PURCHASES % {"purchases": options.purchases})
    clock.say(f"{options.purchases} purchases")
    for batch in range(options.usages // BATCH):
        cursor.execute(SETTLE, {"batch": batch, "size": BATCH, "users": options.users})
    clock.say(f"{options.usages} usages")
    cursor.execute(MOVE)
    clock.say("days moved")
    print(tollgate(stack, "books", "run").stdout.strip())
    clock.say("books")
    done = tollgate(stack, "reconcile")
    print(done.stdout.strip())
    clock.say("reconcile")
    assert done.returncode == 0, done.stderr
    cursor.execute(LOTS)
    lots, paid, cash, recognised, reversed_, wrong = cursor.fetchone()
    print(f"{lots} lots, {paid} of them paid: {cash} cents = {recognised} recognised + {reversed_} refunded "
          f"+ {cash - recognised - reversed_} deferred; {wrong} lots do not add up")
    assert wrong == 0 and paid == options.purchases
    clock.say("lots")


if __name__ == "__main__":
    main()
