"""scripts/bootstrap.sh on a machine that has nothing: what it would install, asked where there is no apt-get."""
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "bootstrap.sh"
# What only tests use.
PEERS = {"nginx-light", "haproxy", "nghttp2-client", "prometheus", "prometheus-alertmanager", "hledger", "chromium",
         "poppler-utils", "lintian", "mandoc", "dpkg-dev", "gcc", "systemd"}


def asked_for(tmp_path, *arguments, programs=(), system="debian"):
    tools = tmp_path / "tools"
    tools.mkdir(exist_ok=True)
    for name in programs:
        (tools / name).touch(mode=0o755)
    release = tmp_path / "os-release"
    release.write_text(f"ID={system}\n")
    done = subprocess.run(
        ["/bin/bash", SCRIPT, *arguments], capture_output=True, text=True, timeout=60,
        env={"PATH": str(tools), "OS_RELEASE": str(release)})
    assert done.returncode == 1 and "no apt-get here" in done.stderr, done.stdout + done.stderr
    return set(done.stderr.rsplit(": ", 1)[1].split())


def test_running_needs_no_peers_of_the_tests(tmp_path):
    run, test = asked_for(tmp_path), asked_for(tmp_path, "test")
    assert {"git", "libssl-dev", "libpq-dev", "redis-server"} <= run and run < test
    assert not run & PEERS and PEERS - {"nginx-light", "haproxy"} <= test


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_a_browser_that_is_there_is_enough(tmp_path, browser):
    assert not {"chromium", "chromium-browser"} & asked_for(tmp_path, "test", programs=[browser])


def test_ubuntu_names_its_browser_differently(tmp_path):
    asked = asked_for(tmp_path, "test", system="ubuntu")
    assert "chromium-browser" in asked and "chromium" not in asked


def test_what_is_typed_wrong_is_refused():
    done = subprocess.run([SCRIPT, "tests"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 64 and "usage" in done.stderr
