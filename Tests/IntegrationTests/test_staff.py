"""People of the operator's: sign-in, roles on every route, and an entry of the audit log for every change."""

import json
import re
import urllib.parse
import uuid

import httpx
import pytest
import schemathesis

from document_tools import CONFORMANCE, demands
from harness import Serve, running, wait_until
from session_tools import submit
from staff_tools import Person, call, nobody_but, totp

ROLES = ["viewer", "support", "finance", "owner"]


@pytest.fixture(scope="module")
def base(dev):
    return dev.baseURL.removesuffix("/v1")


@pytest.fixture(scope="module")
def suffix():
    return uuid.uuid4().hex[:8]


@pytest.fixture(scope="module")
def people(dev, base, suffix):
    return {role: Person(base, dev.cli, f"{role}-{suffix}", role).sign_in() for role in ROLES}


@pytest.fixture(autouse=True)
def nobody_waits(people, sql):
    """All sign-ins of a run come from one address."""
    sql("DELETE FROM sign_in_limit")


@pytest.fixture(scope="module")
def document(base):
    status, _, document = call(base, "GET", "/api/openapi.json")
    assert status == 200 and document["openapi"].startswith("3.1")
    return document


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def target(path):
    """Nothing of this number or name is there: whoever may call it is told so, or that the body is missing."""
    return re.sub(r"\{[^}]*\}", "999999999", path)


# MARK: Roles


def test_every_staff_route_is_open_to_its_roles_only(dev, base, people, document):
    user_key, service = dev.key("roles-user"), dev.serviceKey
    callers = {role: person.headers for role, person in people.items()}
    bearer = {"token": dev.adminToken, "user key": user_key, "service key": service, "unknown": "tg_unknown"}
    callers |= {name: {"authorization": f"Bearer {key}"} for name, key in bearer.items()}
    callers["nobody"] = {}
    seen = 0
    for method, path, operation in operations(document):
        least = operation.get("x-least-role")
        if least is None:
            assert not path.startswith("/api/admin/") or path.split("/")[3] in ("session", "enrolment")
            continue
        if operation["operationId"] == "signOut":
            continue
        seen += 1
        for caller, headers in callers.items():
            body = {} if method != "GET" else None
            status, _, reply = call(base, method, target(path), body, headers)
            where = (method, path, caller, status, reply)
            if caller in ("nobody", "unknown"):
                assert status == 401, where
            elif caller in ("user key", "service key"):
                assert status == 403 and reply["code"] == "not_admin", where
            elif caller != "token" and ROLES.index(caller) < ROLES.index(least):
                assert status == 403 and reply["code"] == "role_too_low", where
            else:
                assert status in (200, 400, 404), where
            assert str(status) in operation["responses"], where
    assert seen >= 20


def test_a_change_by_a_session_needs_its_token(base, people, document):
    owner = people["owner"]
    for method, path, operation in operations(document):
        if method == "GET" or "x-least-role" not in operation:
            continue
        for headers in ({"cookie": owner.cookie}, {"cookie": owner.cookie, "x-csrf-token": "x" * 64}):
            status, _, reply = call(base, method, target(path), {}, headers)
            assert status == 403 and reply["code"] == "csrf_missing", (method, path, status, reply)


def test_passwords_are_hashed_at_full_cost(people, sql):
    """128 MiB and some tenths of a second for each guess, whoever takes the table away; tests of the pages use less."""
    hashes = sql("SELECT password_hash FROM admin_user WHERE name = ANY (%s)", [p.name for p in people.values()])
    assert len(hashes) == len(ROLES)
    assert all(re.fullmatch(r"\$scrypt\$ln=17,r=8,p=1\$[0-9a-f]{32,}\$[0-9a-f]{64}", text) for (text,) in hashes), hashes


# MARK: The audit log


class Changes:
    """How each changing route is called so that it changes something, by the id of its operation."""

    def __init__(self, dev, base, sql, suffix):
        self.dev, self.base, self.sql = dev, base, sql
        self.user = f"audited-{suffix}"
        self.headers = {"authorization": f"Bearer {dev.adminToken}"}
        dev.account(self.user, 10)
        ((self.account,),) = sql("SELECT account_id FROM account WHERE user_id = %s", self.user)

    def adminCreateAccount(self):
        return {}, {"userId": self.user + "-new"}

    def adminSetStatus(self):
        return {"account": self.account}, {"status": "suspended"}

    def adminSetLimits(self):
        return {"account": self.account}, {"requestsPerMinute": 77, "tokensPerMinute": None, "streams": 0}

    def adminSetHoldPolicy(self):
        return {"account": self.account}, {"policy": "rolling"}

    def adminAdjust(self):
        return {"account": self.account}, {"amountMillicredits": "-1234", "idempotencyKey": uuid.uuid4().hex}

    def adminCreateKey(self):
        return {}, {"accountId": self.account}

    def adminRevokeKey(self):
        self.dev.key(self.user)
        ((key,),) = self.sql("SELECT max(key_id) FROM api_key WHERE account_id = %s", self.account)
        return {"key": key}, {}

    def adminDismissEvent(self):
        event = f"evt_dismissed{uuid.uuid4().hex}"
        self.sql(
            "INSERT INTO stripe_event (event_id, type, livemode, happened_at, source, outcome, reason) "
            "VALUES (%s, 'charge.refunded', false, now(), 'webhook', 'dead', 'not_found')", event)
        return {}, {"eventId": event}

    def adminReplayEvents(self):
        """A dead letter about a purchase that was paid; Stripe keeps it no longer."""
        buyer = f"{self.user}-buyer"
        status, _, page = call(
            self.base, "POST", "/api/stripe/create-checkout-session",
            {"packageCode": "starter", "successUrl": self.base + "/ok", "cancelUrl": self.base + "/no"},
            {"authorization": f"Bearer {self.dev.account(buyer)}"})
        assert status == 200, page
        assert submit(page["url"], {"outcome": "card"})[0] in (302, 303)
        paid = "SELECT 1 FROM purchase WHERE purchase_id = %s AND status = 'paid'"
        wait_until(lambda: self.sql(paid, page["purchaseId"]), 20, "the purchase")
        self.event = f"evt_dead{uuid.uuid4().hex}"
        self.sql(
            "INSERT INTO stripe_event (event_id, type, livemode, happened_at, source, purchase_id, outcome, reason) "
            "VALUES (%s, 'charge.refunded', false, now() - interval '60 days', 'webhook', %s, 'dead', 'not_found')",
            self.event, page["purchaseId"])
        return {}, {"eventId": self.event}

    def adminApplyRateCard(self):
        _, _, cards = call(self.base, "GET", "/api/admin/rate-cards", None, self.headers)
        active = next(card for card in cards["entries"] if card["active"])
        _, _, yaml = call(
            self.base, "GET", f"/api/admin/rate-cards/{active['card']}/{active['version']}", None, self.headers)
        # In force long after every test is over.
        yaml = yaml.replace(f'version: "{active["version"]}"', f'version: "2099-01-{self.account}"', 1)
        yaml = re.sub(r"effective_from: \S+", "effective_from: 2099-01-01T00:00:00Z", yaml, count=1)
        return {}, {"yaml": yaml}

    def adminSetFlag(self):
        _, _, flags = call(self.base, "GET", "/api/admin/flags", None, self.headers)
        (flag,) = [f for f in flags["entries"] if f["name"] == self.flag]
        # Far too much to be reached by whoever uses the stack meanwhile; the reset takes it back.
        return {"name": self.flag}, {"value": "997", "expectedVersion": flag["version"]}

    def adminResetFlag(self):
        _, _, flags = call(self.base, "GET", "/api/admin/flags", None, self.headers)
        (flag,) = [f for f in flags["entries"] if f["name"] == self.flag]
        if flag["source"] == "environment":
            self.dev.cli("flag", "set", self.flag, "996", "--reason", "to be reset")
        return {"name": self.flag}, {}

    def adminDecideReview(self):
        self.sql("INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier) "
                 "VALUES (%s, current_date, 90000, 1500, 10)", self.account)
        return {}, {"userId": self.user, "decision": "clear"}

    # Refunds need a purchase, which test_money_operations has; enrolments are people's own: see below.
    elsewhere = {"adminRefund", "enrol"}
    flag = "BILLING_ANOMALY_MULTIPLIER"


def test_every_change_leaves_one_entry(dev, base, sql, suffix, document):
    """And is answered as the document says."""
    schema = schemathesis.openapi.from_dict(document)
    changes = Changes(dev, base, sql, suffix)
    changing = [
        (method, path, operation["operationId"]) for method, path, operation in operations(document)
        if operation.get("x-audited")]
    # Whatever is no GET and not audited changes nothing that belongs to the operator.
    silent = {
        operation["operationId"] for method, path, operation in operations(document)
        if method != "GET" and path.startswith("/api/admin/") and not operation.get("x-audited")}
    assert silent == {"signIn", "signOut", "beginEnrolment", "adminReviewRateCard", "adminSimulateRateCard"}
    assert len(changing) >= 11
    for method, template, name in changing:
        if name in changes.elsewhere:
            continue
        assert hasattr(changes, name), f"{name} is not known here: how is it called?"
        parameters, body = getattr(changes, name)()
        reason = f"because {uuid.uuid4()}"
        path = template
        for key, value in parameters.items():
            path = path.replace("{" + key + "}", urllib.parse.quote(str(value), safe=""))
        answer = httpx.request(method, base + path, json={**body, "reason": reason}, headers=changes.headers, timeout=60)
        assert answer.status_code == 200, (name, answer.status_code, answer.text)
        case = schema[template][method].Case(path_parameters=parameters)
        case.validate_response(answer, checks=CONFORMANCE)
        assert demands(case, answer), f"{name}: the document asks nothing of its reply"
        fields, reply = answer.headers, answer.json()
        rows = sql(
            "SELECT actor, action, subject, before_json, after_json, request_id FROM audit_log WHERE reason = %s", reason)
        assert len(rows) == 1, (name, rows)
        ((actor, action, subject, before, after, request),) = rows
        assert actor == "admin-token" and request == fields["x-tollgate-request-id"], name
        if name == "adminReplayEvents":
            # The entry says who asked, for what and why; what came of it is the event's own record.
            assert (action, before, after) == ("webhook.replay", "null", "null") and changes.event in subject
            assert (reply["events"], reply["open"]) == (1, 0), reply
            assert sql("SELECT outcome FROM stripe_event WHERE event_id = %s", changes.event) == [("applied",)]
        else:
            assert json.loads(before) != json.loads(after), name
    dev.cli("flag", "clear", changes.flag, "--reason", "as it was")
    status, _, verdict = call(base, "GET", "/api/admin/audit/verification", None, changes.headers)
    assert status == 200 and verdict["whole"], verdict


def test_an_enrolment_is_answered_as_the_document_says(dev, base, document, suffix):
    """The change that is a person's own: it needs an invitation, and what the page of it has made."""
    schema = schemathesis.openapi.from_dict(document)

    def post(path, body):
        answer = httpx.post(base + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        case = schema[path]["POST"].Case()
        case.validate_response(answer, checks=CONFORMANCE)
        assert demands(case, answer), path
        return answer.json()

    invited = dev.cli("staff", "create", "--email", f"enrols-{suffix}@example.com", "--name", f"enrols-{suffix}", "--role", "viewer")
    token = invited.stdout.strip().split("#")[-1]
    begun = post("/api/admin/enrolment/begin", {"token": token})
    done = post("/api/admin/enrolment", {
        "token": token, "password": Person.password, "code": totp(begun["totpSecret"])})
    assert len(set(done["recoveryCodes"])) == len(done["recoveryCodes"]) > 5


def test_commands_leave_an_entry_each(dev, sql, suffix):
    user = f"by-command-{suffix}"

    def entries():
        return sql(
            "SELECT action FROM audit_log WHERE actor LIKE 'cli:%%' AND (subject = %s OR after_json LIKE %s "
            "OR before_json LIKE %s) ORDER BY entry_id", f"account:{user}", f'%"{user}"%', f'%"{user}"%')

    dev.cli("account", "create", "--user", user, "--credits", "5")
    dev.cli("account", "create", "--user", user, "--credits", "5")
    dev.cli("account", "adjust", "--user", user, "--millicredits", "7", "--reason", "r", "--idempotency-key", user)
    dev.cli("account", "limits", "--user", user, "--rpm", "9")
    dev.cli("account", "holds", "--user", user, "rolling")
    dev.cli("key", "create", "--user", user)
    ((key,),) = sql("SELECT key_id FROM api_key WHERE label = %s", user)
    dev.cli("key", "revoke", str(key))
    assert [action for (action,) in entries()] == [
        "account.create", "account.adjust", "account.limits", "account.holds", "key.create", "key.revoke"]


def test_a_person_is_named_in_the_log(base, people, sql, suffix):
    finance = people["finance"]
    reason = f"by a person {suffix}"
    ((account,),) = sql("SELECT account_id FROM account WHERE user_id = 'demo'")
    body = {"amountMillicredits": "1", "idempotencyKey": reason, "reason": reason}
    for _ in range(2):
        status, _, reply = call(base, "POST", f"/api/admin/accounts/{account}/adjustments", body, finance.headers)
        assert status == 200, reply
    status, _, page = call(
        base, "GET", f"/api/admin/audit?actor=staff:{finance.name}&action=account.adjust", None, finance.headers)
    assert [entry["reason"] for entry in page["entries"]] == [reason]
    assert int(json.loads(page["entries"][0]["after"])["amountMillicredits"]) == 1


def test_the_log_is_verified_by_command(dev):
    whole = dev.cli("audit", "verify").stdout
    head = re.search(r"head ([0-9a-f]{64})", whole)[1]
    assert head in dev.cli("audit", "verify", "--head", head).stdout
    cut = dev.cli("audit", "verify", "--head", "0" * 64, check=False)
    assert cut.returncode == 1 and "0" * 64 in cut.stdout


# MARK: Signing in


def test_a_code_and_a_recovery_code_are_accepted_once(dev, base, suffix):
    person = Person(base, dev.cli, f"once-{suffix}", "viewer").sign_in()
    status, _, _ = person.try_sign_in(code=totp(person.secret, offset=-1))
    assert status == 401, "the code of the enrolment was used"
    person.sign_in(code=person.recovery[3].lower().replace("-", " "))
    status, _, _ = person.try_sign_in(code=person.recovery[3])
    assert status == 401
    person.sign_in(code=person.recovery[4])


def test_whoever_tries_too_often_waits_and_others_do_not(dev, base, people, sql, suffix):
    person = Person(base, dev.cli, f"slow-{suffix}", "viewer")
    replies = [person.try_sign_in(password="wrong wrong wrong") for _ in range(7)]
    statuses = [status for status, _, _ in replies]
    assert statuses[0] == 401 and statuses[-1] == 429, statuses
    assert 1 <= int(replies[-1][1]["retry-after"]) <= 60
    status, _, unknown = call(
        base, "POST", "/api/admin/session", {"email": f"x-{suffix}@example.com", "password": "x", "code": "1"})
    assert (status, unknown) == (401, replies[0][2]), "nobody learns who exists"
    status, _, _ = call(base, "GET", "/api/admin/session", None, people["viewer"].headers)
    assert status == 200
    # It leaks away.
    sql("UPDATE sign_in_limit SET until = until - interval '1 hour'")
    person.sign_in()


def test_a_session_ends_when_nobody_uses_it(dev, base, sql, suffix):
    person = Person(base, dev.cli, f"idle-{suffix}", "viewer").sign_in()

    def status():
        return call(base, "GET", "/api/admin/session", None, person.headers)[0]

    assert status() == 200
    shift = "UPDATE admin_session SET {} WHERE staff_id = (SELECT staff_id FROM admin_user WHERE name = %s)"
    sql(shift.format("seen_at = now() - interval '29 minutes'"), person.name)
    assert status() == 200
    sql(shift.format("seen_at = now() - interval '31 minutes'"), person.name)
    assert status() == 401
    person.sign_in(code=person.recovery[0])
    assert status() == 200
    sql(shift.format("expires_at = now()"), person.name)
    assert status() == 401
    person.sign_in(code=person.recovery[1])
    dev.cli("staff", "disable", "--email", person.email)
    assert status() == 401, "whoever is disabled is out at once"
    assert person.try_sign_in(code=person.recovery[2])[0] == 401


def test_signing_out_ends_the_session(dev, base, suffix):
    person = Person(base, dev.cli, f"out-{suffix}", "viewer").sign_in()
    status, fields, _ = call(base, "DELETE", "/api/admin/session", None, person.headers)
    assert status == 204 and "Max-Age=0" in fields["set-cookie"]
    assert call(base, "GET", "/api/admin/session", None, person.headers)[0] == 401


def test_a_rotated_secret_keeps_sessions_and_authenticators(dev, base, suffix, sql):
    old, new = "o" * 40, "n" * 40
    with running(Serve(dev, SESSION_SECRET=old)) as first:
        url = first.root
        person = Person(url, dev.cli, f"rotated-{suffix}", "viewer").sign_in()
    with running(Serve(dev, SESSION_SECRET=f"{new},{old}")) as second:
        url = person.base = second.root
        assert call(url, "GET", "/api/admin/session", None, person.headers)[0] == 200
        person.sign_in(code=totp(person.secret, offset=1))
    # The authenticator's secret was sealed under the new one meanwhile.
    sql("UPDATE admin_user SET totp_step = 0 WHERE name = %s", person.name)
    with running(Serve(dev, SESSION_SECRET=new)) as third:
        url = person.base = third.root
        assert call(url, "GET", "/api/admin/session", None, person.headers)[0] == 200
        person.sign_in()


def test_the_last_owner_stays(dev, base, sql, people, suffix):
    owner = people["owner"]
    other = Person(base, dev.cli, f"other-{suffix}", "owner")
    with nobody_but(sql, *(person.name for person in people.values())):
        refused = dev.cli("staff", "disable", "--email", owner.email, check=False)
    assert refused.returncode == 1 and "last owner" in refused.stderr
    dev.cli("staff", "disable", "--email", other.email)


def test_dev_invites_to_the_console(dev, base):
    printed = re.search(r"^http\S+/admin/enrol#(\S+)$", dev.process.output(), re.MULTILINE)
    status, _, reply = call(base, "POST", "/api/admin/enrolment/begin", {"token": printed[1]})
    assert status == 200 and reply["email"] == "dev@example.com" and reply["totpSecret"], reply
