"""The tokenizer on the command line, and the holds that it makes small."""
import json
import subprocess

import pytest

from harness import BIN, ROOT, Serve, http, running

PROSE = "The hold is made of the tokens that the prompt has, and no longer of its bytes. " * 50
GPT_4O_MINI_OUTPUT = 100


def tollgate(*arguments, text=""):
    return subprocess.run(
        [str(BIN / "tollgate"), "tokenizer", *arguments], cwd=ROOT, input=text, capture_output=True, text=True,
        timeout=120)


@pytest.mark.parametrize("named", [("--model", "gpt-4o"), ("--encoding", "o200k_base"), ("--encoding", "cl100k_base")])
def test_a_text_is_counted(named):
    done = tollgate("count", *named, text="hello world")
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


@pytest.mark.parametrize("arguments", [
    (), ("--model", "gpt-6-sol"), ("--encoding", "p50k_base"), ("--model", "gpt-4o", "--encoding", "o200k_base")])
def test_what_cannot_be_counted_is_wrong_usage(arguments):
    done = tollgate("count", *arguments, text="hello world")
    assert done.returncode == 64 and not done.stdout


def test_a_missing_vocabulary_is_named(tmp_path):
    for command in ("build", "check"):
        done = tollgate(command, "--dir", str(tmp_path))
        assert done.returncode == 1 and f"{tmp_path}/o200k_base.tiktoken" in done.stderr


def test_another_vocabulary_is_refused(tmp_path):
    (tmp_path / "o200k_base.tiktoken").write_text("AA== 0\n")
    done = tollgate("build", "--dir", str(tmp_path))
    assert done.returncode == 1 and "SHA-256" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["o200k_base.tiktoken"]


def held(base, key):
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROSE}], "max_tokens": GPT_4O_MINI_OUTPUT}
    status, fields, _ = http(
        "POST", base + "/chat/completions", json.dumps(body).encode(), {"Authorization": f"Bearer {key}"})
    assert status == 200
    return int(fields["x-tollgate-held-millicredits"])


def test_a_hold_is_made_of_tokens_and_of_bytes_without_a_vocabulary(dev):
    key = dev.account("tokenizer", credits=1000)
    counted = held(dev.baseURL, key)
    with running(Serve(dev, TOKENIZER_DIR="/nonexistent")) as serve:
        by_bytes = held(serve.base, key)
        log = serve.process.output()
    assert "holds are made of bytes" in log and "cl100k_base" in log and "o200k_base" in log
    # 4 bytes to the token, and the same output for both.
    assert counted < by_bytes / 2
    dev.verify()


def test_a_request_is_estimated_on_the_command_line(dev, tmp_path):
    request = tmp_path / "request.json"
    request.write_text('{"model":"gpt-4o","max_tokens":100,"messages":[{"role":"user","content":"Hello!"}]}')
    assert "input 9 tokens, estimated; output 100" in dev.cli("estimate", "--request", request).stdout
    both = dev.cli("estimate", "--request", request, "--model", "gpt-4o", check=False)
    assert both.returncode == 64
