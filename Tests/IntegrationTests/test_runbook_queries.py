"""The two queries of docs/OPERATIONS.md: no row on a healthy ledger, and a row for each thing that is wrong. And how its
commands come by secrets that stand in files."""
import os
import re
import subprocess

import psycopg2
import pytest

from harness import ROOT


def queries():
    found = re.findall(r"<<'SQL'\n(.*?)^SQL$", (ROOT / "docs/OPERATIONS.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 2
    return found


@pytest.fixture()
def broken(dev):
    """A transaction in which anything may be changed, as nothing of it stays."""
    connection = psycopg2.connect(dev.databaseURL)
    with connection.cursor() as cursor:
        # No trigger refuses a change to what is append-only; only here.
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
    connection.rollback()
    connection.close()


def rows(cursor, query):
    cursor.execute(query)
    return cursor.fetchall()


def test_a_healthy_ledger_has_no_row(dev, broken):
    dev.account("runbook-healthy", 5)
    for query in queries():
        assert rows(broken, query) == []


def test_a_balance_that_is_not_the_sum_of_its_lines_is_a_row(dev, broken):
    """By a single millicredit: the runbook's query forgave a hundred."""
    dev.account("runbook-balance", 5)
    broken.execute("UPDATE credit_balance SET balance_millicredits = balance_millicredits + 1 WHERE user_id = 'runbook-balance'")
    assert rows(broken, queries()[0]) == [("runbook-balance", 5001, 5000)]


def test_a_balance_without_any_line_is_a_row(dev, broken):
    dev.cli("account", "create", "--user", "runbook-empty")
    broken.execute("UPDATE credit_balance SET balance_millicredits = 7 WHERE user_id = 'runbook-empty'")
    assert rows(broken, queries()[0]) == [("runbook-empty", 7, 0)]


@pytest.mark.parametrize("side", ["usage", "ledger"])
def test_a_day_that_only_one_side_has_is_a_row(dev, broken, side):
    """The runbook's query compared with NULL, which is never true."""
    if side == "ledger":
        dev.account("runbook-day", 5)
        broken.execute(
            "UPDATE credit_ledger SET reference_type = 'settlement', amount_millicredits = -5000, "
            "created_at = '2020-01-01 23:30+00' WHERE user_id = 'runbook-day'")
    else:
        # In place of the table, which wants far more of a row, and with what it has of other files.
        broken.execute(
            "CREATE TEMPORARY TABLE usage_correction AS SELECT created_at, delta_millicredits FROM public.usage_correction")
        broken.execute("INSERT INTO usage_correction VALUES ('2020-01-01 23:30+00', 5000)")
    ((day, charges, deductions),) = rows(broken, queries()[1])
    assert (str(day), charges, deductions) == ("2020-01-01", *((0, 5000) if side == "ledger" else (5000, 0)))


def shell(environment):
    """What the runbook's shell has of its settings, and what its children see of them."""
    (block,) = re.findall(r"^(setting\(\) .*?)^```$", (ROOT / "docs/OPERATIONS.md").read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        ["bash", "-eu", "-c", block + 'echo "$DATABASE_URL $ADMIN_TOKEN $OPS_URL"; env'], capture_output=True, text=True,
        timeout=60, env={"PATH": os.environ["PATH"], **environment})
    assert done.returncode == 0, done.stderr
    said, *seen = done.stdout.splitlines()
    return said.split(" "), seen


def test_secrets_in_files_are_read_and_told_to_nobody(tmp_path):
    url, token = tmp_path / "database_url", tmp_path / "admin_token"
    url.write_text("postgres://ledger?host=a,b\n")
    token.write_text("new,old\n")
    said, seen = shell({"DATABASE_URL_FILE": str(url), "ADMIN_TOKEN_FILE": str(token), "OPS_LISTEN": "10.0.0.7:9090"})
    assert said == ["postgres://ledger?host=a,b", "new", "http://10.0.0.7:9090"]
    # tollgate refuses a setting that is there twice.
    assert not [line for line in seen if line.startswith(("DATABASE_URL=", "ADMIN_TOKEN="))]


def test_secrets_in_the_environment_are_as_good():
    assert shell({"DATABASE_URL": "postgres://x", "ADMIN_TOKEN": "t"})[0] == [
        "postgres://x", "t", "http://127.0.0.1:9090"]
