"""A real Prometheus and a real Alertmanager around one instance, with time that runs faster."""
import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import math
import os
import pathlib
import re
import threading
import time
import urllib.parse

import yaml

from harness import ROOT, Process, free_port, http, reachable, wait_until

# A minute of the rules is a second here: ranges, offsets and waits are divided by it, expressions are what they are.
# What is scraped every 15 s is scraped every second, so each range still has samples.
FASTER = 60
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ALERTS = [
    rule for group in yaml.safe_load((ROOT / "ops" / "prometheus" / "alerts.rules.yml").read_text())["groups"]
    for rule in group["rules"]]


def faster(duration):
    """`1h30m` → `1m30s`, as Prometheus writes it."""
    seconds = sum(int(n) * UNITS[u] for n, u in re.findall(r"(\d+)([smhd])", duration)) // FASTER
    assert seconds >= 1, duration
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count)


def faster_expression(text):
    text = re.sub(r"\[(\w+)\]", lambda m: f"[{faster(m[1])}]", text)
    return re.sub(r"\boffset (\w+)", lambda m: f"offset {faster(m[1])}", text)


def write_rules(directory, change=lambda rule: None):
    """The rules of ops/prometheus in fast time."""
    directory.mkdir()
    for path in sorted((ROOT / "ops" / "prometheus").glob("*.rules.yml")):
        rules = yaml.safe_load(path.read_text())
        for rule in (rule for group in rules["groups"] for rule in group["rules"]):
            rule["expr"] = faster_expression(rule["expr"])
            if "for" in rule:
                rule["for"] = faster(rule["for"])
            change(rule)
        (directory / path.name).write_text(yaml.safe_dump(rules, sort_keys=False))


class Told:
    """Receives what Alertmanager tells, in place of PagerDuty and Slack."""

    def __init__(self):
        self.events = []  # (receiver, status, alertname)
        self.ever = set()  # {(receiver, alertname)} that fired, whatever was cleared since
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                receiver = self.path.strip("/")
                for alert in body["alerts"]:
                    name = alert["labels"]["alertname"]
                    told.events.append((receiver, alert["status"], name))
                    if alert["status"] == "firing":
                        told.ever.add((receiver, name))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def heard(self, name, status="firing", receiver=None):
        return any(
            e[1] == status and e[2] == name and receiver in (None, e[0]) for e in list(self.events))

    def to_whom(self, status="firing"):
        """{(receiver, alert)}"""
        return {(receiver, name) for receiver, told, name in list(self.events) if told == status}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Monitoring:
    """Prometheus with the rules of `rules`, Alertmanager with the routes of ops/alertmanager; `told` hears them."""

    def __init__(self, directory, *ops_ports):
        self.directory = pathlib.Path(directory)
        self.rules = self.directory / "rules"
        self.told = Told()
        write_rules(self.rules)
        self.began = time.time()
        self.alertmanager = self.start_alertmanager()
        self.prometheus = self.start_prometheus(ops_ports)
        self.has_alertmanager()

    def start(self, program, *arguments):
        return Process([program, *arguments], os.environ.copy(), self.directory / f"{program}.log", cwd=self.directory)

    def start_alertmanager(self):
        routes = yaml.safe_load((ROOT / "ops" / "alertmanager" / "alertmanager.yml").read_text())
        routes["global"] = {"resolve_timeout": "5s"}
        for receiver in routes["receivers"]:
            name = receiver["name"]
            receiver.clear()
            receiver.update(name=name, webhook_configs=[{"url": f"{self.told.url}/{name}", "send_resolved": True}])
        routes["route"].update(group_wait="1s", group_interval="1s")
        path = self.directory / "alertmanager.yml"
        path.write_text(yaml.safe_dump(routes))
        port = free_port()
        self.alertmanager_url = f"http://127.0.0.1:{port}"
        process = self.start(
            "prometheus-alertmanager", f"--config.file={path}", f"--storage.path={self.directory / 'am'}",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=")
        wait_until(lambda: process.child.poll() is not None or reachable(port), 30, "Alertmanager")
        return process

    def write_configuration(self, ops_ports):
        settings = yaml.safe_load((ROOT / "ops" / "prometheus" / "prometheus.yml").read_text())
        settings["global"].update(scrape_interval="1s", evaluation_interval="1s", scrape_timeout="1s")
        settings["rule_files"] = [str(self.rules / "*.rules.yml")]
        settings["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [
            self.alertmanager_url.removeprefix("http://")]
        settings["scrape_configs"][0]["static_configs"][0]["targets"] = [
            f"127.0.0.1:{port}" for port in ops_ports]
        path = self.directory / "prometheus.yml"
        path.write_text(yaml.safe_dump(settings))
        return path

    def scrape(self, *ops_ports):
        """These instances, and no others."""
        self.write_configuration(ops_ports)
        self.reload()

    def reload(self):
        """Takes the files as they are now."""
        status, _, body = http("POST", self.prometheus_url + "/-/reload", timeout=60)
        assert status == 200, body
        self.has_alertmanager()

    def has_alertmanager(self):
        """Until Prometheus has found it, up to five seconds after it read its configuration, it tells nobody: an alert
        of a fault that is over by then would never be heard."""
        url = self.prometheus_url + "/api/v1/alertmanagers"
        wait_until(lambda: json.loads(http("GET", url)[2])["data"]["activeAlertmanagers"], 60, "its Alertmanager")

    @contextlib.contextmanager
    def deciding(self, record, expression):
        """As an operator edits one of the thresholds."""
        path = self.rules / "recording.rules.yml"
        rules = yaml.safe_load(path.read_text())
        (rule,) = (rule for group in rules["groups"] for rule in group["rules"] if rule.get("record") == record)
        before, rule["expr"] = path.read_text(), expression
        path.write_text(yaml.safe_dump(rules, sort_keys=False))
        self.reload()
        try:
            yield
        finally:
            path.write_text(before)
            self.reload()

    def start_prometheus(self, ops_ports):
        path = self.write_configuration(ops_ports)
        port = free_port()
        self.prometheus_url = f"http://127.0.0.1:{port}"
        # How often it tells what still fires: a minute by itself, which is longer than some alerts fire here. What was
        # not told for four times as long is taken for resolved: so late no busy machine is.
        process = self.start(
            "prometheus", f"--config.file={path}", f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle", "--rules.alert.resend-delay=2s")
        wait_until(
            lambda: process.child.poll() is not None
            or reachable(port) and http("GET", self.prometheus_url + "/-/ready")[0] == 200, 60, "Prometheus")
        assert process.child.poll() is None, process.output()[-2000:]
        return process

    def query(self, expression):
        """The samples of an instant query: [(labels, value)]."""
        return [(s["metric"], float(s["value"][1])) for s in self.ask("query", query=expression)]

    def has_shown(self, expression):
        """Whether a query had a figure that is not zero, at some second since Prometheus began."""
        series = self.ask("query_range", query=expression, start=self.began, end=time.time(), step=1)
        figures = (float(value) for s in series for _, value in s["values"])
        return any(figure != 0 and math.isfinite(figure) for figure in figures)

    def ask(self, kind, **parameters):
        text = urllib.parse.urlencode(parameters)
        status, _, body = http("GET", f"{self.prometheus_url}/api/v1/{kind}?{text}", timeout=60)
        assert status == 200, body
        return json.loads(body)["data"]["result"]

    def names(self, expression):
        """The alerts that a query has."""
        return {labels["alertname"] for labels, _ in self.query(expression)}

    def firing(self):
        return self.names('ALERTS{alertstate="firing"}')

    def has_fired(self):
        """All that fired since Prometheus began, told or inhibited."""
        return self.names('max_over_time(ALERTS{alertstate="firing"}[1h])')

    def stop(self):
        self.prometheus.stop()
        self.alertmanager.stop()
        self.told.stop()
