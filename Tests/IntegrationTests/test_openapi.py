"""schemathesis over /api/openapi.json against a real instance: no 5xx but those that are named here, no reply that the
document does not know.

On a stack of the file's own, since some of what is called changes what is everybody's.
"""
import pathlib
import secrets

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error

from document_tools import CONFORMANCE, FORM, demands
from filled_tools import CALLS, filled
from harness import free_port, own_stack, running, wait_until
from session_tools import PortalSession
from staff_tools import Person
from stripe_tools import LIVE_KEY, MockStripe
from test_auto_recharge import RechargingTill
from test_purchases import STARTER
from test_staff import Changes

# What these change is everybody's, or the callers' own: whatever comes after them may be refused because of them.
SHARED = [
    "adminSetFlag", "adminResetFlag", "adminApplyRateCard", "adminReplayEvents", "adminDismissEvent", "adminRevokeKey",
    "adminSetStatus"]
CHECKS = [not_a_server_error, *CONFORMANCE]
# 5xx that this stack is right to give: the operation, the status and the code of the body.
EXPECTED_5XX = {
    # BILLING_AUTO_RECHARGE is false.
    *((operation, 503, "auto_recharge_disabled") for operation in ("autoRecharge", "setAutoRecharge", "stopAutoRecharge")),
}
EXAMPLES = settings(
    max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], derandomize=True, database=None,
    suppress_health_check=list(HealthCheck))
# Sessions go the same ways; what is shown of them is that they are let in.
FEW = settings(EXAMPLES, max_examples=6, phases=[Phase.generate])


@pytest.fixture(scope="module")
def stack():
    with own_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def owner(stack):
    return Person(stack.root, stack.cli, "owner-" + secrets.token_hex(4), "owner").sign_in()


@pytest.fixture(scope="module")
def leaver(stack):
    """Somebody whose session may end."""
    person = Person(stack.root, stack.cli, "leaver-" + secrets.token_hex(4), "viewer").sign_in()
    person.is_out = False
    return person


@pytest.fixture(scope="module")
def visitor(stack):
    return PortalSession(stack.root, stack.serviceKey, "demo")


@pytest.fixture(scope="module")
def schema(stack, owner, leaver, visitor):
    """They sign in first: so many others fail to after them that this address has to wait."""
    return schemathesis.openapi.from_url(stack.root + "/api/openapi.json")


def name(case):
    return case.operation.definition.raw["operationId"]


def check(case, headers, expected=EXPECTED_5XX):
    """Calls with these credentials and no others, and holds the reply against the document."""
    for field in ("authorization", "cookie", "x-csrf-token"):
        for own in [own for own in case.headers if own.lower() == field]:
            del case.headers[own]
    case.cookies.clear()
    response = case.call(headers=headers)
    checks = CHECKS
    if response.status_code >= 500:
        told = (name(case), response.status_code, response.json().get("code"))
        assert told in expected, told
        checks = CONFORMANCE
    case.validate_response(response, checks=checks, headers=headers)
    return response


def by_key(case, stack):
    """The credentials of a program for this operation."""
    if case.path.startswith("/api/admin/"):
        return {"Authorization": f"Bearer {stack.adminToken}"}
    if case.path == "/api/billing/portal-session":
        return {"Authorization": f"Bearer {stack.serviceKey}", "X-Tollgate-User": "demo"}
    if case.path.startswith(("/api/billing/", "/api/stripe/create")):
        return {"Authorization": f"Bearer {stack.apiKey}"}
    return {}


def check_session(case, headers):
    response = check(case, headers)
    # Else all of this would hold of nobody.
    assert response.status_code != 401, response.text
    is_refused = response.status_code == 403 and response.json()["code"] != "not_your_account"
    assert not is_refused, response.text


# Generated ids and names are seldom those of anything: what is there is asked for by name


@pytest.fixture(scope="module")
def there(stack):
    with filled(stack) as there:
        yield there


def template(schema, operation):
    """The case-maker, the path and the method of an operation."""
    for path in schema:
        for method, found in schema[path].items():
            if found.definition.raw["operationId"] == operation:
                return found, path, method.upper()
    raise AssertionError(f"no operation {operation}")


@pytest.mark.parametrize("asked", CALLS)
def test_what_is_there_is_answered_as_the_document_says(asked, stack, schema, there):
    call = CALLS[asked](there)
    operation, path, method = template(schema, asked.partition(" ")[0])
    case = operation.Case(path_parameters=call.parameters)
    for field, value in call.parameters.items():
        path = path.replace("{" + field + "}", str(value))
    headers = {**by_key(case, stack), **call.headers}
    if call.body is not None:
        headers["content-type"] = "application/json"
    with call.during:
        reply = httpx.request(
            method, stack.root + path, params=call.query, content=call.content, headers=headers, timeout=60)
    assert reply.status_code == 200, reply.text
    # The document speaks of the text of a file, where schemathesis would hold what YAML means against it.
    is_yaml = reply.headers["content-type"].startswith("application/yaml")
    case.validate_response(reply, checks=FORM if is_yaml else CONFORMANCE)
    if call.has_fields:
        assert demands(case, reply), "the document asks nothing of its reply"
    if call.shows:
        assert reply.json()[call.shows], "nothing was there"


# What is answered with 2xx in a test of its own, and held against the document there.
ELSEWHERE = {
    "session": "test_openapi.py::test_a_session_is_told_of_itself",
    "signOut": "test_openapi.py::test_a_session_ends_once",
    **dict.fromkeys(
        ("autoRecharge", "setAutoRecharge", "stopAutoRecharge"),
        "test_openapi.py::test_a_recharge_is_shown_as_the_document_says"),
    **dict.fromkeys(
        ("beginEnrolment", "enrol"), "test_staff.py::test_an_enrolment_is_answered_as_the_document_says"),
    "adminRefund": "test_money_operations.py::test_the_admin_api_refunds_once",
    **dict.fromkeys(
        (name for name in vars(Changes) if name.startswith("admin")), "test_staff.py::test_every_change_leaves_one_entry"),
}


def test_every_operation_is_answered_somewhere(schema):
    here = {asked.partition(" ")[0] for asked in CALLS}
    assert not here & ELSEWHERE.keys(), "shown twice"
    operations = {found.definition.raw["operationId"] for path in schema for found in schema[path].values()}
    assert here | ELSEWHERE.keys() == operations
    for shown in set(ELSEWHERE.values()):
        file, _, test = shown.partition("::")
        assert f"\ndef {test}(" in pathlib.Path(__file__).with_name(file).read_text(), shown


everybody = schemathesis.pytest.from_fixture("schema").exclude(operation_id=SHARED)


@everybody.parametrize()
@EXAMPLES
def test_replies_are_as_the_document_says(case, stack):
    response = check(case, by_key(case, stack))
    # A key that was sent (some cases leave it out by purpose) is let in everywhere but where people sign in.
    is_sent = "authorization" in response.request.headers
    assert response.status_code != 401 or not is_sent or case.path.startswith(
        ("/api/admin/session", "/api/admin/enrolment"))


# A session of its own each, and no other route: where one is made or ended, and where a service key is needed.
of_sessions = everybody.include(path_regex="^/api/(admin/(?!enrolment|session$)|billing/(?!portal)|stripe/create)")


@of_sessions.parametrize()
@FEW
def test_a_session_is_answered_as_the_document_says(case, owner, visitor):
    check_session(case, owner.headers if case.path.startswith("/api/admin/") else visitor.headers)


@everybody.include(operation_id="session").parametrize()
@FEW
def test_a_session_is_told_of_itself(case, leaver):
    assert check(case, leaver.headers).status_code == 200


@everybody.include(operation_id="signOut").parametrize()
@FEW
def test_a_session_ends_once(case, leaver):
    assert check(case, leaver.headers).status_code == (401 if leaver.is_out else 204)
    leaver.is_out = True


everybodys = schemathesis.pytest.from_fixture("schema").include(operation_id=SHARED)


@everybodys.parametrize()
@EXAMPLES
def test_what_is_everybodys_is_answered_as_the_document_says(case, stack):
    check(case, by_key(case, stack))


@everybodys.parametrize()
@FEW
def test_a_session_changes_what_is_everybodys(case, owner):
    check_session(case, owner.headers)


# Auto-recharge, where it is on

RECHARGE = "/api/billing/auto-recharge"


@pytest.fixture(scope="module")
def recharging(stack, tmp_path_factory):
    """An instance with BILLING_AUTO_RECHARGE, and a Stripe of its own: what it charges is nobody else's."""
    port = free_port()
    stripe = MockStripe(
        tmp_path_factory.mktemp("recharging"), key=LIVE_KEY, webhook=f"http://127.0.0.1:{port}/api/stripe/webhook")
    with running(RechargingTill(stack, stripe, port), stripe) as (till, _):
        yield till


@pytest.fixture(scope="module")
def recharge_schema(recharging):
    return schemathesis.openapi.from_url(recharging.serve.root + "/api/openapi.json")


@pytest.fixture(scope="module")
def card_owner(stack, recharging):
    """Whoever paid a purchase has a card that is saved; of the credits something was spent."""
    key = stack.account("card-owner")
    recharging.buy(key)
    recharging.comes_to(key, STARTER)
    stack.cli("account", "adjust", "--user", "card-owner", "--millicredits=-10", "--reason", "spent", "--idempotency-key",
              "spent")
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def cardless(stack):
    return {"Authorization": f"Bearer {stack.account('cardless')}"}


def test_a_recharge_is_shown_as_the_document_says(recharge_schema, card_owner, cardless):
    """A generated body is seldom good: these are, and each state that they lead to is held against the document."""
    routes = recharge_schema[RECHARGE]
    below = {"thresholdMillicredits": "9989999", "packageCode": "starter", "dailyLimitUsdCents": 999}

    def send(method, headers, **body):
        more = {"body": body, "media_type": "application/json"} if body else {}
        response = check(routes[method].Case(**more), headers, ())
        return response.status_code, response.json()

    def shows(headers, **expected):
        """A state that the account comes to."""
        def state():
            status, found = send("GET", headers)
            assert status == 200, found
            return found if expected.items() <= found.items() else None

        return wait_until(state, 60, f"{expected}")

    shows(card_owner, state="off", enabled=False, lastAttempt=None)
    assert send("PUT", card_owner, **{**below, "packageCode": "nothing"})[0] == 400
    assert send("PUT", card_owner, **{**below, "thresholdMillicredits": "9990000"})[0] == 400
    assert send("PUT", card_owner, **below)[0] == 200
    wait_until(lambda: (shows(card_owner, enabled=True)["lastAttempt"] or {}).get("status") == "paid", 60, "the recharge")
    shows(card_owner, state="active", packageCode="starter", priceUsdCents=999)
    assert send("PUT", cardless, **below)[0] == 200
    shows(cardless, state="disabled", disabledReason="no_payment_method")
    # Why it was disabled is told until it is turned on again.
    for headers, state in ((card_owner, "off"), (cardless, "disabled")):
        assert send("DELETE", headers)[0] == 200
        shows(headers, enabled=False, thresholdMillicredits=None, state=state)


recharges = schemathesis.pytest.from_fixture("recharge_schema").include(path=RECHARGE)


@recharges.parametrize()
@EXAMPLES
def test_replies_of_auto_recharge_are_as_the_document_says(case, card_owner):
    response = check(case, card_owner, ())
    assert response.status_code != 401, response.text
