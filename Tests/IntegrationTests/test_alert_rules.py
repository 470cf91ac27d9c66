"""Rules, routes and their documentation, by Prometheus' and Alertmanager's own tools; nothing runs."""
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "ops" / "prometheus"
ALERTS = [
    rule for group in yaml.safe_load((RULES / "alerts.rules.yml").read_text())["groups"] for rule in group["rules"]]
TESTS = [
    test for path in RULES.glob("*.test.yml") for test in yaml.safe_load(path.read_text())["tests"]]


def run(*arguments):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=900, cwd=RULES)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


def test_rules_are_well_formed():
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.rules.yml")))
    run("promtool", "check", "config", "--syntax-only", "prometheus.yml")


@pytest.mark.parametrize("path", sorted(RULES.glob("*.test.yml")), ids=lambda path: path.name)
def test_rules_do_what_their_tests_say(path):
    run("promtool", "test", "rules", path.name)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_is_tested_routed_and_explained(alert):
    name, labels = alert["alert"], alert["labels"]
    checks = [
        check for test in TESTS for check in test["promql_expr_test"] if f'alertname="{name}"' in check["expr"]]
    assert any(check["exp_samples"] for check in checks), "no test in which it fires"
    assert any(not check["exp_samples"] for check in checks), "no test in which it is silent"
    assert labels["severity"] in ("page", "ticket") and alert["annotations"]["summary"]
    told = run(
        "amtool", "config", "routes", "test", "--config.file", ROOT / "ops" / "alertmanager" / "alertmanager.yml",
        f"alertname={name}", *(f"{key}={value}" for key, value in labels.items())).strip().split(",")
    wanted = {"page": ["pagerduty", "slack-operations"]}.get(labels["severity"], ["slack-" + labels["team"]])
    assert told == wanted
    page, anchor = re.fullmatch(
        r"\{\{ \$externalLabels\.docs_url \}\}/(\S+)#(\S+)", alert["annotations"]["runbook_url"]).groups()
    # As GitHub and most others make anchors of headings.
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / page).read_text(), re.M)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_alertmanager_takes_its_configuration():
    run("amtool", "check-config", ROOT / "ops" / "alertmanager" / "alertmanager.yml")
