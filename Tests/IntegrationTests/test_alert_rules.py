"""Rules, routes and their documentation, by Prometheus' and Alertmanager's own tools; nothing runs."""
import json
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "ops" / "prometheus"
ALERTS = [
    rule for group in yaml.safe_load((RULES / "alerts.rules.yml").read_text())["groups"] for rule in group["rules"]]
ALERTMANAGER = yaml.safe_load((ROOT / "ops" / "alertmanager" / "alertmanager.yml").read_text())
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


TOLD_TEXTS = [
    (receiver["name"], key, text)
    for receiver in ALERTMANAGER["receivers"] for kind, values in receiver.items() if kind.endswith("_configs")
    for value in values
    for key, text in [*value.items(), *(("details." + key, text) for key, text in value.get("details", {}).items())]
    if isinstance(text, str) and "{{" in text]


def two_instances(**more):
    """One group of two alerts of which nothing is common but the name, as Alertmanager gives it to a template."""
    alerts = [
        {"status": "firing", "labels": {"alertname": "TollgateInstanceDown", "instance": name},
         "annotations": {key: f"{key} of {name}" for key in ("summary", "description", "runbook_url")}}
        for name in ("one", "two")]
    labels = {"alertname": "TollgateInstanceDown"}
    return {"status": "firing", "groupLabels": labels, "commonLabels": labels, "commonAnnotations": {},
            "alerts": alerts, **more}


@pytest.mark.parametrize("receiver, key, text", TOLD_TEXTS, ids=[":".join(told[:2]) for told in TOLD_TEXTS])
def test_two_instances_that_fire_are_both_told(receiver, key, text, tmp_path):
    data = tmp_path / "data.json"
    data.write_text(json.dumps(two_instances()))
    # A glob is asked for although the text uses no template of a file.
    (tmp_path / "empty.tmpl").write_text('{{ define "none" }}{{ end }}')
    told = run(
        "amtool", "template", "render", "--template.glob", tmp_path / "empty.tmpl", "--template.data", data,
        "--template.text", text)
    if key == "title":
        assert told.strip() == "FIRING: TollgateInstanceDown"
    else:
        assert " of one" in told and " of two" in told, told
    if key == "description":
        assert told.startswith("TollgateInstanceDown: summary of one; summary of two;")
