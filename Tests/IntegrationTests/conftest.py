import pytest
import redis as redis_client

from harness import Mock, own_stack, wait_until
from ledger_tools import connected
from wire_tools import Authority


@pytest.fixture(scope="session")
def dev():
    """One dev stack for the whole run; each test uses accounts of its own."""
    with own_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    """An upstream of the file's own, whose log and connections nobody else touches."""
    upstream = Mock(tmp_path_factory.mktemp("mock"))
    yield upstream
    upstream.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture()
def sql(dev):
    with connected(dev.databaseURL) as query:
        yield query


@pytest.fixture()
def redis(dev):
    client = redis_client.Redis.from_url(dev.redisURL, decode_responses=True)
    yield client
    client.close()


@pytest.fixture()
def settled(sql):
    """Waits until a user has this many settlement rows, and returns them, oldest first."""

    def rows(user, count, seconds=15):
        query = (
            "SELECT hold_id::text, kind, charged_millicredits, estimated, input_tokens, cached_input_tokens, "
            "output_tokens, reasoning_tokens, model, price_id, openai_request_id, service_tier "
            "FROM usage_events WHERE user_id = %s ORDER BY hold_id")
        names = [
            "hold", "kind", "charged", "estimated", "input", "cached", "output", "reasoning", "model", "price_id",
            "openai_request_id", "tier"]

        def found():
            got = sql(query, user)
            return [got] if len(got) >= count else None

        (got,) = wait_until(found, seconds, f"{count} settlements of {user}")
        return [dict(zip(names, row)) for row in got]

    return rows


@pytest.fixture()
def balance(sql):
    def of(user):
        return sql("SELECT balance_millicredits FROM credit_balance WHERE user_id = %s", user)[0][0]

    return of
