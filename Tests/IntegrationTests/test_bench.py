"""The bench harness as its users run it: exit codes, files, and books that it holds against the load."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

import pytest
from harness import BIN, ROOT, Mock, Serve, wait_until

SCENARIO = """
name: short
summary: a second of anything
stream: {stream}
reply_tokens: {{uniform: [3, 30]}}
connections: 2
warm_up_seconds: 0.3
duration_seconds: 1
"""


def judged(*arguments, results_in, **env):
    """A run, and what came of it by lane. On a busy machine the hold store may miss its 100 ms: that is a 503, which the
    harness is to call a failure, and no finding of ours."""
    done = bench(*arguments, "--json", results_in, code=None, **env)
    lanes = results(results_in)
    for run in lanes.values():
        assert all(kind.startswith("status 503") for kind in {**run["errors"], **run["otherErrors"]}), done.stdout
        assert run["succeeded"] + sum(run["errors"].values()) == run["started"]
    failed = any(run["errors"] or run["otherErrors"] for run in lanes.values())
    assert done.returncode == (1 if failed else 0), done.stdout + done.stderr
    return done, lanes


def bench(*arguments, code=0, seconds=300, **env):
    done = subprocess.run(
        [str(BIN / "tollgate-bench"), *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=seconds,
        env={**{k: v for k, v in os.environ.items() if k != "OPENAI_API_KEY"}, **env})
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def scenario(tmp_path):
    def write(stream=False, **fields):
        text = SCENARIO.format(stream=str(stream).lower()) + "".join(f"{k}: {v}\n" for k, v in fields.items())
        path = tmp_path / f"short-{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(scope="module")
def mocked(dev, tmp_path_factory):
    """A proxy before a mock of its own, which a load can ask as well."""
    directory = tmp_path_factory.mktemp("bench")
    mock = Mock(directory, "--log", "none")
    serve = Serve(dev, OPENAI_BASE_URL=mock.url + "/v1")
    yield serve, mock
    assert serve.stop() == 0
    mock.stop()


def newest_card():
    return sorted((ROOT / "ratecards").glob("openai-*.yaml"))[-1]


def results(path):
    suite = json.loads(path.read_text())
    return {run["lane"]: run for scenario in suite["scenarios"] for run in scenario["runs"] if run["round"] > 0}


def test_the_shipped_scenarios_are_listed():
    listed = [line.split()[0] for line in bench("list").stdout.splitlines()]
    assert {"chat-small", "chat-stream", "chat-10k-prompt", "many-streams", "hot-account", "many-accounts", "402-storm",
            "disconnects", "soak"} <= set(listed)


def test_lanes_of_this_machine_take_turns_and_the_books_are_held_against_the_load(scenario, tmp_path):
    done, lanes = judged(
        "compare", scenario(), "--lanes", "direct,nginx,haproxy,plain,governed", "--rounds", 1, "--no-pin",
        "--html", tmp_path / "r.html", "--markdown", tmp_path / "r.md", results_in=tmp_path / "r.json")
    assert list(lanes) == ["direct", "nginx", "haproxy", "plain", "governed"]
    for name, run in lanes.items():
        assert run["succeeded"] > 0, name
        assert run["fidelity"]["differing"] == 0 < run["fidelity"]["compared"]
        assert "bench" in [process["name"] for process in run["processes"]]
    governed = lanes["governed"]
    assert governed["billing"]["charged"] == governed["billing"]["due"] > 0
    assert governed["billing"]["verifyFindings"] == 0
    assert lanes["plain"]["billing"]["charged"] == 0
    uses = {process["name"]: process["cpuSeconds"] for process in governed["processes"]}
    assert {"proxy", "redis", "postgres", "mock", "bench"} <= set(uses) and uses["proxy"] > 0
    assert "governed" in done.stdout and "exact" in done.stdout
    html = (tmp_path / "r.html").read_text()
    assert "<svg" in html and "governed" in html
    # Nothing in it is fetched from anywhere.
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//|@import|url\(""", html)
    assert "| governed" in (tmp_path / "r.md").read_text()
    again = bench("report", tmp_path / "r.json", "--html", tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == html and "governed" in again.stdout


def test_streams_that_are_left_and_clients_without_credits_are_charged_to_the_millicredit(scenario, tmp_path):
    file = scenario(
        stream=True, tokens_per_second=300, on_disconnect="drain",
        clients="{disconnecting: 0.3, slow: 0.1, short_of_money: 0.2}")
    _, lanes = judged(
        "compare", file, "--lanes", "governed", "--rounds", 1, "--no-pin", "--accounts", 3, results_in=tmp_path / "r.json")
    # Whoever reads the results can tell that the file was not played as it is.
    assert "# played with --accounts 3" in (tmp_path / "r.json").read_text()
    run = lanes["governed"]
    assert run["chunks"] > 10
    assert run["billing"]["charged"] == run["billing"]["due"] > 0 and run["billing"]["verifyFindings"] == 0


def test_both_sides_can_be_tls(scenario, tmp_path):
    _, lanes = judged(
        "compare", scenario(), "--lanes", "direct,nginx,governed", "--rounds", 1, "--no-pin", "--tls", "both",
        results_in=tmp_path / "r.json")
    for run in lanes.values():
        assert run["succeeded"] > 0 and run["fidelity"]["differing"] == 0


def test_a_deployment_that_is_there_is_held_against_its_upstream(dev, mocked, scenario, tmp_path):
    serve, mock = mocked
    key = dev.account("bench-there", 100_000)
    done, lanes = judged(
        "run", scenario(stream=True), "--url", serve.base, "--mock", "--reference-url", mock.url + "/v1",
        "--rate-card", newest_card(), results_in=tmp_path / "r.json", OPENAI_API_KEY=key)
    run = lanes["target"]
    assert run["billing"]["charged"] == run["billing"]["due"] > 0 and run["fidelity"]["differing"] == 0
    assert key not in done.stdout + done.stderr + (tmp_path / "r.json").read_text()


def test_without_a_reference_the_usage_of_each_reply_is_what_is_due(dev, mocked, scenario, tmp_path):
    serve, _ = mocked
    key = dev.account("bench-usage", 100_000)
    _, lanes = judged(
        "run", scenario(stream=True), "--url", serve.base, "--mock", "--key", key, "--rate-card", newest_card(),
        results_in=tmp_path / "r.json")
    run = lanes["target"]
    assert run["billing"]["charged"] == run["billing"]["due"] > 0 and "fidelity" not in run


def test_a_millicredit_that_nobody_used_is_found(dev, mocked, scenario):
    serve, _ = mocked
    key = dev.account("bench-wrong", 100_000)
    taken = []

    def take():
        wait_until(lambda: dev.cli("account", "show", "--user", "bench-wrong").stdout.count("100000.000") == 0, 60, "load")
        taken.append(dev.cli(
            "account", "adjust", "--user", "bench-wrong", "--millicredits=-1", "--reason", "test",
            "--idempotency-key", "bench-wrong"))

    thief = threading.Thread(target=take)
    thief.start()
    done = bench(
        "run", scenario(), "--url", serve.base, "--mock", "--key", key, "--rate-card", newest_card(), "--duration", 25,
        code=1)
    thief.join()
    assert taken and "OFF BY" in done.stdout and "failed: short, target" in done.stderr


def test_a_reply_that_is_not_the_upstreams_is_found(dev, mocked, scenario, tmp_path):
    serve, _ = mocked
    other = Mock(tmp_path, "--log", "none", "--echo-model")
    try:
        done = bench(
            "run", scenario(), "--url", serve.base, "--mock", "--reference-url", other.url + "/v1", "--key",
            dev.account("bench-differs", 100_000), code=1)
    finally:
        other.stop()
    assert "replies are not the upstream's" in done.stderr


def test_mistakes_are_named(scenario, tmp_path):
    assert "speed" in bench("compare", scenario(speed=3), code=64).stderr
    assert "nobody" in bench("compare", "nobody", code=64).stderr
    assert "--lanes" in bench("compare", "--lanes", "apache", code=64).stderr
    assert "no API key" in bench("run", scenario(), "--url", "http://127.0.0.1:1/v1", code=64).stderr
    wrong = bench("run", scenario(), "--url", "ftp://x", "--key", "k", code=64).stderr
    assert "ftp://x" in wrong
    assert "cannot read" in bench("report", tmp_path / "none.json", code=64).stderr
    done = bench("run", scenario(), "--url", "http://127.0.0.1:1/v1", "--key", "k", code=1)
    assert "connect: Connection refused" in done.stdout
    done = bench("run", scenario(), "--url", "http://no-such-host.invalid/v1", "--key", "k", code=1)
    assert "connect: no such host" in done.stdout + done.stderr
    # Before anything is started.
    lost = tmp_path / "none" / "x.json"
    assert f"--json: cannot write {lost}: there is no directory" in bench("compare", "--json", lost, code=64).stderr
    assert "--html: cannot write" in bench("compare", "--html", tmp_path, code=64).stderr
    assert "model: the rate card has no gpt-0" in bench("compare", scenario(model="gpt-0"), code=64).stderr


def test_what_was_measured_when_it_is_stopped_is_kept(dev, mocked, scenario, tmp_path):
    serve, _ = mocked
    key = dev.account("bench-stopped", 100_000)
    out, page = tmp_path / "r.json", tmp_path / "r.html"
    running = subprocess.Popen(
        [BIN / "tollgate-bench", "run", scenario(), "--url", serve.base, "--mock", "--key", key, "--rounds", "1000",
         "--json", out, "--html", page], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "round 2 " in line:
            break
    running.send_signal(signal.SIGINT)
    said, complained = running.communicate(timeout=60)
    assert running.returncode == 130, said + complained
    kept = json.loads(out.read_text())["scenarios"][0]
    assert [run["round"] for run in kept["runs"]][:2] == [1, 2] and kept["runs"][0]["succeeded"] > 0
    assert kept["findings"] == ["stopped before its end"] and "stopped before its end" in page.read_text()
    assert f"written: {out}" in said


def test_outside_of_a_checkout_it_says_where_scenarios_are(tmp_path):
    program = tmp_path / "tollgate-bench"
    shutil.copy(BIN / "tollgate-bench", program)
    done = subprocess.run([program, "list"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 64 and "bench/scenarios of a checkout" in done.stderr
    done = subprocess.run(
        [program, "run", "chat", "--url", "http://127.0.0.1:1", "--key", "k"], cwd=tmp_path, capture_output=True,
        text=True)
    assert done.returncode == 64 and "there is no scenario chat: give the path of a file" in done.stderr


def may_trace():
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    return os.geteuid() == 0 or not scope.exists() or scope.read_text().strip() == "0"


@pytest.mark.skipif(not may_trace(), reason="strace may not attach: kernel.yama.ptrace_scope")
def test_an_exchange_costs_no_more_than_its_limits(tmp_path):
    done = bench("counts", "--build", "debug", "--limits", ROOT / "bench" / "limits.yaml", seconds=600)
    counted = {
        unit: (float(allocations), float(calls)) for unit, allocations, calls in
        re.findall(r"^(exchange|chunk): ([\d.]+) allocations, ([\d.]+) system calls$", done.stdout, re.M)}
    # What an exchange cannot do without: three connections are read and written.
    assert counted["exchange"][1] > 8 and counted["exchange"][0] > 50 and counted["chunk"][1] > 0.3, done.stdout
    tight = tmp_path / "limits.yaml"
    tight.write_text("debug: {exchange: {allocations: 1, syscalls: 1000}, chunk: {allocations: 1000, syscalls: 1000}}")
    refused = bench("counts", "--build", "debug", "--limits", tight, code=1, seconds=600)
    assert "debug, exchange" in refused.stderr and "allocations, the limit is 1.0" in refused.stderr
    assert "chunk" not in refused.stderr.split("failed:", 1)[1]
    assert "nobody.exchange" in bench("counts", "--build", "nobody", "--limits", tight, code=64).stderr
    tight.write_text("debug: {exchange: {allocations: 1}}")
    assert "debug.exchange" in bench("counts", "--limits", tight, code=64).stderr


def test_a_backlog_is_settled_to_the_millicredit():
    done = bench("settle", "--exchanges", 3000, "--accounts", 10, seconds=600)
    assert "10 accounts:" in done.stdout and "one account:" in done.stdout
    # 900 each, twice 3,000.
    assert "verify: clean, 5400000 millicredits charged" in done.stdout
