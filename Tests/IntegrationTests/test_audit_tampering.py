"""Somebody who owns the database changes the audit log behind the back of every trigger: the command, the admin API and
the console name the entry."""
import re

import psycopg2
import pytest

from harness import own_stack
from session_tools import submit
from staff_tools import Person, call

SAYS_ELSE = "does not say what it said when it was written"


@pytest.fixture(scope="module")
def stack():
    """Of the file's own: a log that was changed stays so for whoever comes after."""
    with own_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def viewer(stack):
    return Person(stack.root, stack.cli, "reader", "viewer").sign_in()


@pytest.fixture(scope="module")
def entries(stack, viewer):
    """Enough of them that one is in the midst."""
    stack.cli("account", "create", "--user", "audited")
    for number in range(5):
        stack.cli("account", "adjust", "--user", "audited", "--millicredits", "7", "--reason", f"reason {number}",
                  "--idempotency-key", f"once-{number}")
    listed = [int(line.split("\t")[0]) for line in stack.cli("audit", "list").stdout.splitlines()]
    assert len(listed) >= 8 and listed == sorted(listed, reverse=True)
    return listed


@pytest.fixture()
def behind(stack):
    """SQL as superuser with the triggers off; what it changed is put back from a copy."""
    connection = psycopg2.connect(stack.databaseURL)
    connection.autocommit = True
    with connection.cursor() as cursor:
        # As anybody else, the owner of the tables included, one is refused.
        for change in ("UPDATE audit_log SET reason = 'another'", "DELETE FROM audit_log"):
            with pytest.raises(psycopg2.Error):
                cursor.execute(change)
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("CREATE TEMP TABLE kept AS SELECT * FROM audit_log")
        yield cursor.execute
        cursor.execute("DELETE FROM audit_log")
        cursor.execute("INSERT INTO audit_log SELECT * FROM kept")
    connection.close()


def told(stack, viewer):
    """What each of the three says: the problems, and nothing when all is whole."""
    command = stack.cli("audit", "verify", check=False)
    lines = command.stdout.splitlines()
    whole = command.returncode == 0 and lines[-1].startswith("audit log: whole")
    assert whole or command.returncode == 1, command.stderr
    status, _, api = call(stack.root, "GET", "/api/admin/audit/verification", None, viewer.headers)
    assert status == 200 and api["whole"] == whole, api
    status, _, page = submit(stack.root + "/admin/audit/verification", None, {"cookie": viewer.cookie})
    assert status == 200 and (">whole<" in page, ">broken<" in page) == (whole, not whole), page
    shown = re.findall(r"<dt>Problem</dt><dd>(.*?)\s*</dd>", page, re.DOTALL)
    return ([] if whole else lines), api["problems"], shown


@pytest.mark.parametrize("change, fault", [
    ("UPDATE audit_log SET after_json = replace(after_json, '7', '70') WHERE entry_id = {at}", SAYS_ELSE),
    ("UPDATE audit_log SET reason = 'another reason' WHERE entry_id = {at}", SAYS_ELSE),
    ("UPDATE audit_log SET actor = 'staff:somebody' WHERE entry_id = {at}", SAYS_ELSE),
    ("UPDATE audit_log SET at = at + interval '1 second' WHERE entry_id = {at}", SAYS_ELSE),
    ("UPDATE audit_log SET previous_hash = sha256('x') WHERE entry_id = {at}", "does not follow the entry before it"),
    ("DELETE FROM audit_log WHERE entry_id = {at}", "wrong number"),
], ids=["content", "reason", "actor", "time", "link", "removed"])
def test_a_changed_entry_is_named_everywhere(stack, viewer, entries, behind, change, fault):
    assert told(stack, viewer) == ([], [], [])
    at = entries[3]
    behind(change.format(at=at))
    expected = [f"entry {at}: {fault}"]
    assert told(stack, viewer) == (expected, expected, expected)


def test_an_end_that_was_cut_off_is_missed(stack, viewer, entries, behind):
    """Not only by whoever noted a hash outside of the database: the head is kept apart from the entries."""
    head = re.search(r"head ([0-9a-f]{64})", stack.cli("audit", "verify").stdout)[1]
    behind(f"DELETE FROM audit_log WHERE entry_id > {entries[3]}")
    command, api, page = told(stack, viewer)
    assert command and command == api == page
    cut = stack.cli("audit", "verify", "--head", head, check=False)
    assert cut.returncode == 1 and head in cut.stdout, cut.stdout
