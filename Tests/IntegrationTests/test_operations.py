"""Command line, dev stack, refresh of money and keys, verify: what an operator relies on."""
import json
import os
import pathlib
import signal
import stat
import subprocess

import pytest

from command_tools import help_pages
from harness import BIN, ROOT, Dev, Process, http, patient_http, wait_until


def chat(root, key, **more):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi [[mock tokens=5]]"}], **more}
    return patient_http("POST", root + "/v1/chat/completions", body, {"Authorization": f"Bearer {key}"})


def test_a_top_up_is_admitted_at_once(dev):
    """A payer is never turned away for long: before a 402 the ledger is asked (MONEY_PATH G4). Within a second, as
    test_lost_refresh.py measures."""
    key = dev.account("topup")
    assert chat(dev.root, key, max_tokens=50)[0] == 402
    dev.cli("account", "adjust", "--user", "topup", "--millicredits", "500000", "--reason", "t",
            "--idempotency-key", "topup-1")
    wait_until(lambda: chat(dev.root, key, max_tokens=50)[0] == 200, 5, "admission after a top-up")


def test_an_adjustment_applies_once_per_key(dev, balance):
    dev.cli("account", "create", "--user", "adjust")
    arguments = ["account", "adjust", "--user", "adjust", "--reason", "r", "--idempotency-key", "adjust-1"]
    for _ in range(3):
        dev.cli(*arguments, "--millicredits", "1000")
    assert balance("adjust") == 1000
    done = dev.cli(*arguments, "--millicredits", "2000", check=False)
    assert done.returncode == 1 and balance("adjust") == 1000


def test_a_revoked_key_is_refused(dev):
    """Within a second, as test_within_a_second.py measures."""
    key = dev.account("revoked", credits=100)
    assert chat(dev.root, key)[0] == 200
    listed = dev.cli("key", "list", "--user", "revoked").stdout.splitlines()[1].split("\t")
    assert key.startswith(listed[1].rstrip("…")) and key not in "\t".join(listed)
    dev.cli("key", "revoke", listed[0])
    wait_until(lambda: chat(dev.root, key)[0] == 401, 5, "refusal of a revoked key")


def test_service_keys_of_others_and_user_keys_naming_others(dev):
    key = dev.account("mine", credits=10)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}
    status, _, reply = http(
        "POST", dev.baseURL + "/chat/completions", body, {"Authorization": f"Bearer {key}", "X-Tollgate-User": "demo"})
    assert status == 403 and json.loads(reply)["error"]["code"] == "not_your_account"


def test_summary_and_estimate(dev, settled):
    key = dev.account("summary", credits=1000)
    assert chat(dev.root, key)[0] == 200
    charged = settled("summary", 1)[0]["charged"]


    def summarised():
        status, headers, body = http(
            "GET", dev.root + "/api/billing/summary", headers={"Authorization": f"Bearer {key}"})
        assert status == 200 and headers["cache-control"] == "no-store"
        return json.loads(body, parse_float=str)

    # The hold store hears of a settlement after the ledger has it.
    wait_until(lambda: summarised()["heldMillicredits"] == "0", 10, "nothing is held")
    summary = summarised()
    assert summary["balanceMillicredits"] == str(1_000_000 - charged)
    assert summary["recentUsage"][0]["chargedMillicredits"] == str(charged)
    assert {line["type"] for line in summary["recentLedger"]} >= {"deduction"}
    assert [p["credits"] for p in summary["packages"]] == [9990, 52490, 109990]
    admin = http("GET", dev.root + "/api/billing/summary", headers={"Authorization": f"Bearer {dev.adminToken}"})
    assert admin[0] == 200 and json.loads(admin[2])["balanceMillicredits"] == "0"
    assert http("GET", dev.root + "/api/billing/summary")[0] == 401
    typo = http("GET", dev.root + "/api/billing/summary?userId=sumary", headers={"Authorization": f"Bearer {dev.adminToken}"})
    assert typo[0] == 404, "an admin's typing error makes no account"
    status, _, body = http(
        "POST", dev.root + "/api/billing/estimate",
        {"model": "gpt-4o-mini", "inputTokens": 750, "outputTokens": 200}, {"Authorization": f"Bearer {key}"})
    assert status == 200 and json.loads(body, parse_float=str)["millicredits"] == "465"
    status, _, body = http(
        "POST", dev.root + "/api/billing/estimate", {"model": "gpt-4o-mini", "inputTokens": "x"},
        {"Authorization": f"Bearer {key}"})
    assert status == 400 and json.loads(body)["param"] == "inputTokens"


def test_metrics_tell_what_happened(dev):
    key = dev.account("metrics", credits=100)
    assert chat(dev.root, key)[0] == 200
    assert chat(dev.root, dev.account("metrics-poor"), max_tokens=10)[0] == 402
    status, headers, body = http("GET", dev.opsURL + "/metrics")
    text = body.decode()
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    for name in ("proxy_requests_total", "billing_402_insufficient_credits_total", "settlement_backlog",
                 "settlement_batch_seconds_bucket", "holds_open", "proxy_overhead_seconds_bucket",
                 "billing_credits_deducted_total", "usage_estimated_total"):
        assert f"\n{name}" in text, name
    assert http("GET", dev.opsURL + "/ready")[0] == 200
    assert http("GET", dev.root + "/metrics")[0] == 404, "metrics are for operators only"


def test_verify_finds_a_planted_millicredit(dev, sql):
    dev.cli("account", "create", "--user", "planted", "--credits", "5")
    dev.verify()
    try:
        sql("UPDATE credit_balance SET balance_millicredits = balance_millicredits + 1 WHERE user_id = 'planted'")
        done = dev.cli("verify", check=False)
        assert done.returncode == 1 and "violation" in done.stdout
    finally:
        sql("UPDATE credit_balance SET balance_millicredits = balance_millicredits - 1 WHERE user_id = 'planted'")
    dev.verify()


def test_every_bad_setting_is_reported_at_once(dev):
    done = subprocess.run(
        [str(BIN / "tollgate"), "serve"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "LISTEN": "nowhere", "ADMIN_TOKEN": "short", "DATABASE_URL": "", "REDIS_URL": ""})
    assert done.returncode == 78
    for name in ("DATABASE_URL", "REDIS_URL", "LISTEN", "ADMIN_TOKEN", "KEY_PEPPER", "OPENAI_API_KEY"):
        assert name in done.stderr
    unreachable = dev.cli(
        "serve", check=False, DATABASE_URL="postgresql://u:p@127.0.0.1:9/x", LISTEN="127.0.0.1:0",
        OPS_LISTEN="127.0.0.1:0")
    assert unreachable.returncode == 69 and "u:p" not in unreachable.stderr
    assert dev.cli("account", "create", check=False).returncode == 64


def test_help_is_everywhere():
    """Of every command that a help text names, down to the last."""
    paths = list(help_pages())
    assert len(paths) > 40 and {("serve",), ("journal", "salvage"), ("ratecard", "import")} <= set(paths), paths
    for path, page in help_pages().items():
        assert page.startswith("OVERVIEW: ") and f"USAGE: {' '.join(['tollgate', *path])}" in page, page


def test_rate_cards_from_the_command_line(dev, tmp_path):
    assert "* " in dev.cli("ratecard", "list").stdout.replace("\t", " ")
    assert "valid" in dev.cli("ratecard", "validate", "ratecards/scholarlink-2025.yaml").stdout
    broken = tmp_path / "broken.yaml"
    broken.write_text(pathlib.Path(ROOT, "ratecards/scholarlink-2025.yaml").read_text().replace('"2.5"', "2.5"))
    done = dev.cli("ratecard", "validate", broken, check=False)
    assert done.returncode == 1 and "models.gpt-4o.cost.input" in done.stderr + done.stdout
    assert dev.cli("ratecard", "diff", "ratecards/scholarlink-2025.yaml", check=False).returncode == 0


def test_dev_keeps_its_data_and_leaves_nothing_running():
    """Ctrl-C ends all that was started; a second start finds the same account, key and charge."""
    stack = Dev()
    facts_path = stack.directory / "dev" / "dev.json"
    try:
        assert stat.S_IMODE(facts_path.stat().st_mode) == 0o600
        assert stack.baseURL.endswith("/v1")
        first = dict(stack.facts)
        assert chat(stack.root, stack.apiKey)[0] == 200
        stack.process.child.send_signal(signal.SIGINT)
        assert stack.process.child.wait(60) == 0, stack.process.output()[-3000:]
        assert not facts_path.exists()
        assert processes_below(stack.directory) == []
        stack.start()
        assert stack.apiKey == first["apiKey"] and stack.serviceKey == first["serviceKey"]
        summary = json.loads(http(
            "GET", stack.root + "/api/billing/summary", headers={"Authorization": f"Bearer {stack.apiKey}"})[2])
        assert 0 < int(summary["balanceMillicredits"]) < 10_000_000
        assert len(summary["recentUsage"]) == 1
        stack.verify()
        assert stack.stop() == 0
        assert processes_below(stack.directory) == []
    finally:
        stack.stop()
        stack.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="root runs it as root everywhere else in this file")
def test_dev_works_as_an_ordinary_user(tmp_path_factory):
    """The suite runs as root here, so the other half is shown with `nobody`."""
    directory = pathlib.Path("/tmp") / f"tollgate-nobody-{os.getpid()}"
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    env = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    binary = directory / "tollgate"
    binary.write_bytes((BIN / "tollgate").read_bytes())
    binary.chmod(0o755)
    libraries = subprocess.run(["ldd", str(BIN / "tollgate")], capture_output=True, text=True).stdout
    assert "not found" not in libraries
    cards = directory / "ratecards"
    cards.mkdir()
    for card in (ROOT / "ratecards").glob("*.yaml"):
        (cards / card.name).write_text(card.read_text())
    process = Process(
        ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", binary, "dev", "--port", "0", "--dir",
         directory / "dev"], env, directory / "log", cwd=directory)
    try:
        facts = directory / "dev" / "dev.json"
        wait_until(lambda: facts.exists() or process.child.poll() is not None, 120, "dev as nobody")
        assert facts.exists(), process.output()[-3000:]
        read = json.loads(facts.read_text())
        assert chat(read["baseURL"].removesuffix("/v1"), read["apiKey"])[0] == 200
    finally:
        assert process.stop(60) == 0
        subprocess.run(["rm", "-rf", str(directory)], check=True)


def processes_below(directory):
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
            cwd = os.readlink(entry / "cwd")
        except OSError:
            continue
        if str(directory) in line or cwd.startswith(str(directory)):
            found.append((entry.name, line))
    return found


def test_a_ledger_with_another_card_of_the_same_version_starts_and_keeps_it(dev, sql, tmp_path):
    """As after an upgrade that brings a corrected card: what was applied never changes, and nothing stops for it."""
    card = tmp_path / "card.yaml"
    card.write_text((ROOT / "ratecards/openai-2026-11-12.yaml").read_text().replace("markup:", "markup:  ", 1))
    before = sql("SELECT version, sha256 FROM rate_card ORDER BY 1")
    said = dev.cli("seed", "--card", card).stdout
    assert "kept as it was applied before" in said and "tollgate ratecard apply" in said
    assert sql("SELECT version, sha256 FROM rate_card ORDER BY 1") == before
    refused = dev.cli("ratecard", "apply", card, check=False)
    assert refused.returncode == 1 and "applied already, with other content" in refused.stderr
