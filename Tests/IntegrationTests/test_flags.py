"""Controls changed at run time, on three proxies with one ledger and one Redis: how soon they are in force, and that what
was waived is charged by nobody."""
import concurrent.futures
import http.client as http_client
import json
import secrets
import threading
import time

import openai
import pytest

from chaos.cluster import Cluster
from calendar_tools import clear_of_midnight
from flag_tools import ROUNDS, STALL_SECONDS, Question, call, delays
from harness import http, patient_http, running, wait_until
from stripe_tools import SECRET, MockStripe
from wire_tools import metrics

CHARGING, MODELS = "BILLING_CHARGING_ENABLED", "BILLING_MODEL_ALLOWLIST"
# A request without a cap of its own holds 19,661 millicredits: ten of them fit at once.
DAILY_CAP = 200_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    stripe = MockStripe(tmp_path_factory.mktemp("stripe"))
    with running(stripe), Cluster(3, serving={
            "BILLING_DAILY_CAP": str(DAILY_CAP), "STRIPE_SECRET_KEY": stripe.key, "STRIPE_API_BASE": stripe.url,
            "STRIPE_WEBHOOK_SECRET": SECRET}) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def cleared(request):
    """Each test begins and ends with what the environment says."""
    yield
    if "cluster" in request.fixturenames:
        cluster = request.getfixturevalue("cluster")
        for flag in json.loads(cluster.cli("flag", "list", "--json").stdout):
            if flag["source"] == "flag":
                clear(cluster, flag["name"])
        settle_on(cluster, 402)


def set_flag(cluster, name, value):
    """When it was committed, by the clock of this machine."""
    cluster.cli("flag", "set", name, value, "--reason", "test of the controls")
    return changed_at(cluster, name)


def clear(cluster, name):
    cluster.cli("flag", "clear", name, "--reason", "test of the controls")
    return changed_at(cluster, name)


def changed_at(cluster, name):
    return float(cluster.postgres.query(
        f"SELECT extract(epoch FROM changed_at) FROM feature_flag WHERE name = '{name}'")[0][0])


def ask(cluster, instance, user, prompt="Hi", **more):
    headers = {"Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user, **more.pop("headers", {})}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}], "max_tokens": 20, **more}
    if body["max_tokens"] is None:
        del body["max_tokens"]
    return patient_http("POST", f"http://127.0.0.1:{instance.port}/v1/chat/completions", body, headers, timeout=60)


def poor():
    """A user without credits, who has used nothing of a cap."""
    return "flags-poor-" + secrets.token_hex(4)


def settle_on(cluster, status, user=None):
    """Waits until a user without credits gets this status everywhere."""
    user = user or poor()
    for instance in cluster.instances:
        wait_until(lambda: ask(cluster, instance, user)[0] == status, 10, f"{status} on every instance")


def rows(cluster, user, count):
    """Settlements of a user, oldest first: kind, charged, shadow."""
    query = (
        "SELECT kind, charged_millicredits, shadow_millicredits FROM usage_effective "
        f"WHERE user_id = '{user}' ORDER BY hold_id")
    return wait_until(
        lambda: (got := cluster.postgres.query(query)) and len(got) >= count and got, 30, f"{count} settlements")


def balance(cluster, user):
    return cluster.postgres.query(f"SELECT balance_millicredits FROM credit_balance WHERE user_id = '{user}'")[0][0]


def until_streams_run(cluster, user, count):
    """Waits for as many holds of this user; those of other exchanges come and go meanwhile."""
    account = cluster.account_of(user)
    wait_until(lambda: cluster.redis.count("h:", account) == count, 10, f"{count} streams run")


def rich(cluster, credits=1000):
    user = "flags-" + secrets.token_hex(4)
    cluster.create_account(user, credits)
    return user


def verify(cluster):
    for instance in cluster.instances:
        done = cluster.cli("verify", check=False, JOURNAL_DIR=str(instance.journal / "journal"))
        assert done.returncode == 0, done.stdout + done.stderr


def put_flag(cluster, name, value):
    """The same by the admin API of one instance."""
    path = f"http://127.0.0.1:{cluster.instances[2].port}/api/admin/flags"
    headers = {"Authorization": f"Bearer {cluster.admin}"}
    (flag,) = [f for f in json.loads(http("GET", path, headers=headers)[2])["entries"] if f["name"] == name]
    body = {"value": value, "expectedVersion": flag["version"], "reason": "test of the controls"}
    status, _, reply = http("PUT", f"{path}/{name}", body, headers)
    assert status == 200, reply
    return changed_at(cluster, name)


ROLLOUT, PAYERS = "BILLING_ROLLOUT_PERCENTAGE", "BILLING_ALLOWLIST"
PURCHASES, RECHARGE = "BILLING_PURCHASE_ENABLED", "BILLING_AUTO_RECHARGE"
MINI = call("gpt-4o-mini")
CHECKOUT = Question(
    "/api/stripe/create-checkout-session",
    {"packageCode": "starter", "successUrl": "{root}/ok", "cancelUrl": "{root}/no"}, {503: "purchases_disabled"},
    is_of_new_users=True, pause_seconds=0.05)
RECHARGE_PATH, RECHARGE_OFF = "/api/billing/auto-recharge", {503: "auto_recharge_disabled"}
RECHARGE_SHOWN = Question(RECHARGE_PATH, None, RECHARGE_OFF, method="GET")
# Nobody has less than nothing: it is never due.
RECHARGE_WISH = Question(
    RECHARGE_PATH, {"thresholdMillicredits": "0", "packageCode": "starter", "dailyLimitUsdCents": 999}, RECHARGE_OFF,
    method="PUT", pause_seconds=0.05)


@pytest.mark.parametrize("name, there, back, question, before, after, set_one, first", [
    (CHARGING, "false", "true", MINI, 402, 200, set_flag, None),
    (CHARGING, "false", "true", MINI, 402, 200, put_flag, None),
    (ROLLOUT, "0", "100", MINI, 402, 200, set_flag, None),
    # Of those whom the rollout leaves out, whoever is on the list pays.
    (PAYERS, "{user}", "flags-other", MINI, 200, 402, set_flag, (ROLLOUT, "0")),
    (MODELS, "gpt-4o-mini", "gpt-4o-mini,gpt-4o", call("gpt-4o"), 402, 403, set_flag, None),
    (PURCHASES, "false", "true", CHECKOUT, 200, 503, set_flag, None),
    (RECHARGE, "true", "false", RECHARGE_SHOWN, 503, 200, set_flag, None),
    (RECHARGE, "true", "false", RECHARGE_WISH, 503, 200, set_flag, None),
], ids=["charging", "charging by the API", "rollout", "allow-list", "models", "purchases", "auto-recharge",
        "auto-recharge turned on"])
def test_a_change_is_in_force_on_three_instances_within_a_second(
        cluster, name, there, back, question, before, after, set_one, first):
    """There and back. Only where the machine itself stood still is a change made again; nothing is subtracted."""
    user = poor()
    settle_on(cluster, 402, user)
    if first:
        set_flag(cluster, *first)
        settle_on(cluster, before, user)
    for _ in range(ROUNDS):
        told = [
            delays(cluster, user, question, old, new, lambda value=value: set_one(cluster, name, value))
            for value, old, new in ((there.format(user=user), before, after), (back, after, before))]
        print(name, "seconds from commit to effect on each instance, and the machine's own longest stall:", told)
        if not any(max(seconds) >= 1 and stall > STALL_SECONDS for seconds, stall in told):
            break
    assert all(max(seconds) < 1 for seconds, _ in told), told


def test_a_lost_notification_delays_a_change_by_half_a_second(cluster):
    settle_on(cluster, 402)
    cluster.postgres_relay.stall("to_client", only="listener")
    try:
        committed = set_flag(cluster, CHARGING, "false")
        settle_on(cluster, 200)
        assert time.time() - committed < 3
    finally:
        cluster.postgres_relay.heal()


def test_what_was_admitted_before_is_charged_and_what_comes_after_is_waived(cluster):
    before, after = rich(cluster), rich(cluster)
    prompt = "Tell me [[mock tokens=60 tps=20]]"
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(ask, cluster, i, before, prompt, stream=True, max_tokens=80) for i in cluster.instances]
        until_streams_run(cluster, before, 3)
        set_flag(cluster, CHARGING, "false")
        settle_on(cluster, 200)
        late = [pool.submit(ask, cluster, i, after, prompt, stream=True, max_tokens=80) for i in cluster.instances]
        assert not any(stream.done() for stream in running), "the change came while they ran"
        for status, headers, body in (stream.result() for stream in running):
            assert status == 200 and body.rstrip().endswith(b"[DONE]") and headers["x-tollgate-waived"] is None
        for status, headers, body in (stream.result() for stream in late):
            assert status == 200 and body.rstrip().endswith(b"[DONE]")
            assert headers["x-tollgate-waived"] == "charging_off" and headers["x-tollgate-held-millicredits"] == "0"
    charged, waived = rows(cluster, before, 3), rows(cluster, after, 3)
    assert all(kind == "final" and amount == shadow > 0 for kind, amount, shadow in charged)
    assert all(kind == "waived" and amount == 0 and shadow == charged[0][1] for kind, amount, shadow in waived)
    assert balance(cluster, before) == 1_000_000 - sum(amount for _, amount, _ in charged)
    assert balance(cluster, after) == 1_000_000
    verify(cluster)


def test_a_replay_stays_what_the_first_run_was(cluster):
    user = rich(cluster)
    set_flag(cluster, CHARGING, "false")
    settle_on(cluster, 200)
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = ask(cluster, cluster.instances[0], user, headers=key)
    assert first[1]["x-tollgate-charged-millicredits"] == "0"
    clear(cluster, CHARGING)
    settle_on(cluster, 402)
    again = ask(cluster, cluster.instances[1], user, headers=key)
    assert again[1]["x-tollgate-idempotent-replay"] == "true" and again[2] == first[2]
    assert again[1]["x-tollgate-waived"] == "charging_off"
    # An instance settles in order: had the replay an outcome of its own, it would come before that of the next exchange.
    assert ask(cluster, cluster.instances[1], user)[0] == 200
    assert [kind for kind, _, _ in rows(cluster, user, 2)] == ["waived", "final"]


def test_caps_bound_what_is_waived(cluster):
    user = "flags-capped-" + secrets.token_hex(4)
    set_flag(cluster, CHARGING, "false")
    settle_on(cluster, 200)
    with concurrent.futures.ThreadPoolExecutor(14) as pool:
        answers = list(pool.map(
            lambda number: ask(
                cluster, cluster.instances[number % 3], user, "Hi [[mock tokens=60 tps=20]]", max_tokens=16_000,
                stream=True), range(14)))
    refused = [json.loads(body) for status, _, body in answers if status == 402]
    # 10 of them come to 192,000 and 11 to more than the cap.
    assert len(refused) == 4, [status for status, _, _ in answers]
    assert all(body["error"]["code"] == "spend_cap_reached" and body["cap"] == "day" for body in refused)


def test_while_the_ledger_is_away_the_last_flags_stay(cluster):
    user = poor()
    set_flag(cluster, CHARGING, "false")
    settle_on(cluster, 200, user)
    cluster.postgres.stop_immediately()
    try:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            for instance in cluster.instances:
                status, headers, body = ask(cluster, instance, user)
                assert status == 200 and headers["x-tollgate-waived"] == "charging_off", body
    finally:
        cluster.start_postgres()
    clear(cluster, CHARGING)
    settle_on(cluster, 402)


@pytest.mark.parametrize("disk", ["kept", "lost"])
def test_what_is_waived_is_charged_by_nobody_though_its_process_dies(cluster, disk):
    victim = cluster.instances[1 if disk == "kept" else 2]
    user = rich(cluster)
    set_flag(cluster, CHARGING, "false")
    settle_on(cluster, 200)

    def stream():
        try:
            ask(cluster, victim, user, "Tell me [[mock tokens=400 tps=40]]", stream=True, max_tokens=500)
        except (OSError, http_client.HTTPException):
            pass  # Its proxy was killed.

    streams = [threading.Thread(target=stream) for _ in range(4)]
    for thread in streams:
        thread.start()
    until_streams_run(cluster, user, 4)
    time.sleep(2.5)  # PROGRESS is written once per second.
    victim.kill()
    for thread in streams:
        thread.join()
    # Nothing of what it left may look at the flag: charging is on again when it is settled.
    clear(cluster, CHARGING)
    if disk == "lost":
        victim.wipe()
    victim.start()
    got = rows(cluster, user, 4)
    assert [amount for _, amount, _ in got] == [0] * 4, got
    if disk == "kept":
        assert all(kind == "waived" and shadow > 0 for kind, _, shadow in got), got
    assert cluster.until_no_hold_is_left(30) is not None
    assert balance(cluster, user) == 1_000_000
    assert {fields.get("W", "0") for fields in cluster.redis.entries().values()} == {"0"}
    verify(cluster)


def test_the_rollout_charges_its_cohort_and_the_allow_list(cluster):
    inside, other = rich(cluster), rich(cluster)
    first = cluster.instances[0]

    def reason(user):
        status, headers, body = ask(cluster, first, user)
        assert status == 200, body
        return headers["x-tollgate-waived"]

    set_flag(cluster, "BILLING_ROLLOUT_PERCENTAGE", "0")
    wait_until(lambda: reason(inside) == "outside_cohort", 10, "nobody is charged")
    set_flag(cluster, "BILLING_ALLOWLIST", inside)
    wait_until(lambda: reason(inside) is None, 10, "the allow-listed user is charged")
    assert reason(other) == "outside_cohort"
    set_flag(cluster, "BILLING_ROLLOUT_PERCENTAGE", "100")
    wait_until(lambda: reason(other) is None, 10, "everybody is charged")


def test_other_models_are_refused_as_the_sdk_expects(cluster):
    user = rich(cluster)
    instance = cluster.instances[0]
    client = openai.OpenAI(
        api_key=cluster.service_key, base_url=f"http://127.0.0.1:{instance.port}/v1", max_retries=0,
        default_headers={"X-Tollgate-User": user})
    assert {"gpt-4o", "gpt-4o-mini"} < {model.id for model in client.models.list()}
    set_flag(cluster, MODELS, "gpt-4o-mini")
    wait_until(lambda: [model.id for model in client.models.list()] == ["gpt-4o-mini"], 10, "one model is left")
    request = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    assert client.chat.completions.create(model="gpt-4o-mini", **request).choices
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client.chat.completions.create(model="gpt-4o", **request)
    assert refused.value.code == "model_not_allowed" and refused.value.param == "model"
    status, _, body = http(
        "POST", f"http://127.0.0.1:{instance.port}/api/ai/chat", {"model": "gpt-4o", **request},
        {"Authorization": f"Bearer {cluster.service_key}", "X-Tollgate-User": user})
    assert status == 403 and json.loads(body)["code"] == "model_not_allowed"
    assert len(rows(cluster, user, 1)) == 1, "nothing was held for what was refused"


def test_the_command_names_what_is_wrong_and_tells_what_changed(cluster):
    for arguments in (["BILLING_TELEPORT", "true"], [CHARGING, "perhaps"], ["BILLING_ROLLOUT_PERCENTAGE", "101"]):
        done = cluster.cli("flag", "set", *arguments, "--reason", "x", check=False)
        assert done.returncode == 64 and arguments[0] in done.stderr, done.stderr
    done = cluster.cli("flag", "set", "BILLING_ANOMALY_MULTIPLIER", "9", "--reason", "quiet week")
    assert "what each instance's environment says -> 9, version" in done.stdout
    listed = cluster.cli("flag", "list", BILLING_ANOMALY_MULTIPLIER="4", BILLING_ROLLOUT_PERCENTAGE="50").stdout
    assert "BILLING_ANOMALY_MULTIPLIER = 9  (flag, by cli:" in listed
    assert "BILLING_ROLLOUT_PERCENTAGE = 50  (this command's environment; what counts is that of each instance)" in listed
    done = cluster.cli(
        "flag", "set", "BILLING_ANOMALY_MULTIPLIER", "7", "--reason", "x", "--if-version", "0", check=False)
    assert done.returncode == 1 and "changed meanwhile" in done.stderr
    clear(cluster, "BILLING_ANOMALY_MULTIPLIER")
    entries = cluster.postgres.query(
        "SELECT action, before_json, after_json, starts_with(actor, 'cli:') FROM audit_log "
        "WHERE subject = 'flag:BILLING_ANOMALY_MULTIPLIER' ORDER BY entry_id")
    unset, nine = {"source": "environment"}, {"value": "9", "source": "flag"}
    told = [(action, json.loads(before), json.loads(after), is_ours) for action, before, after, is_ours in entries]
    # What this command's environment says is no part of the change.
    assert told == [("flag.set", unset, nine, True), ("flag.clear", nine, unset, True)]


def test_purchases_stop_and_go_on(dev):
    def buy():
        status, _, body = http(
            "POST", dev.root + "/api/stripe/create-checkout-session",
            {"packageCode": "starter", "successUrl": dev.root + "/ok", "cancelUrl": dev.root + "/no"},
            {"Authorization": f"Bearer {dev.apiKey}"})
        return status, json.loads(body)

    assert buy()[0] == 200
    dev.cli("flag", "set", "BILLING_PURCHASE_ENABLED", "false", "--reason", "test")
    try:
        status, body = wait_until(lambda: (got := buy())[0] == 503 and got, 5, "purchases are off")
        assert body["code"] == "purchases_disabled"
        # What the availability rules leave out: a switch that was pulled on purpose must wake nobody.
        told = http("GET", dev.opsURL + "/metrics")[2].decode()
        assert ('billing_requests_total{cause="switched_off",route="/api/stripe/create-checkout-session",status="503"} '
                in told), [line for line in told.splitlines() if "create-checkout" in line]
    finally:
        dev.cli("flag", "clear", "BILLING_PURCHASE_ENABLED", "--reason", "test")
    wait_until(lambda: buy()[0] == 200, 5, "purchases are on again")


def test_the_report_tells_what_charging_would_have_brought(cluster):
    broke, able = poor(), rich(cluster)
    set_flag(cluster, CHARGING, "false")
    settle_on(cluster, 200)
    for user in (broke, able, able):
        assert ask(cluster, cluster.instances[0], user, "Hi [[mock tokens=20]]")[0] == 200
    shadows = {user: sum(shadow for _, _, shadow in rows(cluster, user, count)) for user, count in ((broke, 1), (able, 2))}
    report = json.loads(cluster.cli("shadow", "report", "--json").stdout)
    accounts = {entry["user"]: entry["sums"] for entry in report["accounts"]}
    assert accounts[broke]["shadowMillicredits"] == str(shadows[broke])
    assert (accounts[broke]["withoutCover"], accounts[broke]["payableMillicredits"]) == (1, "0")
    assert (accounts[able]["withoutCover"], accounts[able]["payableMillicredits"]) == (0, str(shadows[able]))
    assert int(accounts[able]["costPicousd"]) > 0
    assert report["total"]["requests"] == sum(sums["requests"] for sums in accounts.values())
    nothing = json.loads(cluster.cli("shadow", "report", "--json", "--to", "2026-01-01").stdout)
    assert nothing["total"]["requests"] == 0


def test_a_flagged_account_is_served_until_a_person_suspends_it(cluster):
    user = rich(cluster)
    done = cluster.cli("review", "suspend", "--user", user, "--reason", "x", check=False)
    assert done.returncode == 1 and "no review" in done.stderr
    cluster.postgres.query(
        "INSERT INTO account_review (account_id, day, spent_millicredits, mean_millicredits, multiplier) "
        f"SELECT account_id, current_date, 9000000, 5, 5 FROM account WHERE user_id = '{user}' RETURNING review_id")
    assert ask(cluster, cluster.instances[0], user)[0] == 200
    flagged, = json.loads(cluster.cli("review", "list", "--json").stdout)
    assert (flagged["user"], flagged["state"], flagged["spentMillicredits"]) == (user, "open", "9000000")
    assert cluster.cli("review", "list").stdout.startswith(f"{flagged['review']}  {user}  ")
    deciding = ("review", "suspend", "--user", user, "--reason", "card testing", "--review")
    done = cluster.cli(*deciding, str(flagged["review"] + 1), check=False)
    assert done.returncode == 1 and "not the one of this user that is open" in done.stderr
    assert json.loads(cluster.cli("review", "list", "--json").stdout) == [flagged]
    cluster.cli(*deciding, str(flagged["review"]))
    for instance in cluster.instances:
        status, _, body = wait_until(
            lambda: (got := ask(cluster, instance, user))[0] == 403 and got, 10, "suspended everywhere")
        assert json.loads(body)["error"]["code"] == "account_suspended"
    assert json.loads(cluster.cli("review", "list", "--json").stdout) == []


def in_review(instance):
    """What the gauge says; None until the first look of its process has ended."""
    return metrics(instance).get("billing_accounts_in_review")


def test_who_spends_far_above_the_mean_is_flagged_by_a_running_instance():
    clear_of_midnight(6)  # it is the spending of a day
    with Cluster(1, serving={"BILLING_ANOMALY_MULTIPLIER": "1"}) as cluster:
        instance, = cluster.instances
        odd, usual = rich(cluster, 20_000), rich(cluster)
        wait_until(lambda: in_review(instance) == 0, 30, "the gauge tells of nobody")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(
                lambda _: ask(cluster, instance, odd, "Tell [[mock tokens=16000]]", model="gpt-4o", max_tokens=16_384),
                range(20)))
        assert {status for status, _, _ in answers} == {200}
        assert ask(cluster, instance, usual)[0] == 200
        assert sum(amount for _, amount, _ in rows(cluster, odd, 20)) > 5_000_000
        rows(cluster, usual, 1)

        def look_again():
            # It looks when it starts; who looked last is not waited for, and takes the lease no more once it is dead.
            instance.kill()
            cluster.postgres.query("DELETE FROM job_lease WHERE job = 'anomalies' RETURNING job")
            instance.start()
            wait_until(
                lambda: cluster.postgres.query("SELECT 1 FROM job_lease WHERE job = 'anomalies'"), 30, "it looked")

        look_again()
        flagged, = wait_until(
            lambda: json.loads(cluster.cli("review", "list", "--json").stdout), 30, "the account is flagged")
        assert (flagged["user"], flagged["state"]) == (odd, "open")
        assert int(flagged["spentMillicredits"]) == sum(amount for _, amount, _ in rows(cluster, odd, 20))
        wait_until(lambda: in_review(instance) == 1, 90, "the gauge tells of it")
        assert ask(cluster, instance, odd)[0] == 200, "a review alone keeps nobody from being served"
        cluster.cli("review", "clear", "--user", odd, "--reason", "a launch")
        # What a person has decided for this day is not flagged again.
        look_again()
        wait_until(lambda: in_review(instance) == 0, 90, "nobody waits for a person")
        assert json.loads(cluster.cli("review", "list", "--json").stdout) == []
        assert ask(cluster, instance, odd)[0] == 200
