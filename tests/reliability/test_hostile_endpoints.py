"""Whatever an endpoint does: one run, bounded in time and memory, a record that holds, a quiet terminal, no key anywhere."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from optisolve.cli.main import main
from optisolve.run.environment import forget_peak_memory, peak_memory_mb
from optisolve.testing.llm_server import Fault, LlmServer
from tests.reliability.family import words

KEY = "canary7c1f6b52e9d34a08b1e4"
NEW = (
    *(Fault.SURROGATE, Fault.HUGE_USAGE, Fault.ODD_USAGE, Fault.ESCAPES, Fault.ESCAPES_REFUSED, Fault.REDIRECT, Fault.FLOOD),
    *(Fault.BOMB, Fault.REASONING, Fault.OLD_FIELD, Fault.NO_MODEL, Fault.AUTH, Fault.ODD_CHOICES, Fault.ECHO_KEY),
)
MEMORY_MB, TIME_S = 250.0, 30.0
STEERING = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
"""What moves a cursor, sets a title or turns text round; a line break may stand."""


def asking(server: LlmServer, *more: str) -> list[str]:
    given = [word for word in words("ledma all options", server) if not word.startswith(("llm.api_key_env", "print="))]
    limits = ["budget.llm_calls=12", "llm.retries=1", "llm.backoff_s=0.001", "llm.timeout_s=0.5", "out=out"]
    return [*given, *limits, *more]


@pytest.fixture(scope="module")
def _loaded(tmp_path_factory):
    """All code is loaded, so that what a run takes is its own."""
    with LlmServer() as server:
        assert main([*asking(server)[:-1], f"out={tmp_path_factory.mktemp('loaded')}"]) == 0


@pytest.fixture(autouse=True)
def _canary(monkeypatch, tmp_path, _loaded):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)


def told(capfd: Any) -> str:
    """Everything that was printed since the last look; it steers no terminal and holds no key."""
    captured = capfd.readouterr()
    said = str(captured.out + captured.err)
    assert not (found := STEERING.search(said)), said[max(0, found.start() - 40) : found.end() + 40]
    assert KEY not in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    "fault", [*NEW, *(pytest.param(f, marks=pytest.mark.slow) for f in Fault if f not in (*NEW, Fault.NONE))]
)
def test_a_run_ends_well_whatever_every_reply_is(fault, tmp_path, capfd, limited):
    with LlmServer(faults={fault: 1.0}, api_key=KEY) as server, limited(TIME_S):
        forget_peak_memory()
        before, start = peak_memory_mb() or 0.0, time.perf_counter()
        code = main(asking(server))
        assert time.perf_counter() - start < TIME_S
        assert (peak_memory_mb() or 0.0) - before < MEMORY_MB
    said = told(capfd)
    assert code == 0, said
    (folder,) = (path.parent for path in Path("out").rglob("record.json"))
    assert main(["verify", "--effort", "none", str(folder)]) == 0, told(capfd)
    assert main(["replay", str(folder)]) == 0, told(capfd)
    told(capfd)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize(
    "fault",
    [Fault.TIMEOUT, Fault.SLOW_BODY, Fault.FLOOD, Fault.BOMB, Fault.ESCAPES, Fault.REDIRECT, Fault.AUTH, Fault.BROKEN_BODY],
)
def test_a_run_begins_or_is_refused_whatever_the_list_of_models_is(fault, capfd, limited):
    with LlmServer(listing=fault) as server, limited(TIME_S):
        forget_peak_memory()
        before = peak_memory_mb() or 0.0
        code = main([word for word in asking(server) if not word.startswith("llm.model=")])
        assert (peak_memory_mb() or 0.0) - before < MEMORY_MB
    said = told(capfd)
    if fault is Fault.ESCAPES:  # one model with an odd name is a model
        assert code == 0, said
        assert main(["verify", "--effort", "none", "out"]) == 0
    else:
        assert code == 1
        assert re.search(r"error: (No language model at|llm.model is not set|http\S+ refuses)", said), said
    told(capfd)


@pytest.mark.parametrize(
    ("fault", "sentence", "cure"),
    [
        (Fault.OLD_FIELD, "'max_tokens' is not supported", "llm.max_tokens_field=max_completion_tokens"),
        (Fault.NO_MODEL, "not found, try pulling it first", "llm.model=NAME"),
        (Fault.AUTH, "401 with a text that repeats the key", "llm.api_key_env=NAME"),
        (Fault.REDIRECT, "redirects to http://localhost", "llm.base_url=http://localhost"),
    ],
)
def test_a_final_refusal_is_told_once_with_its_cure_and_ends_the_calls(fault, sentence, cure, capfd):
    with LlmServer(faults={fault: 1.0}) as server:
        assert main(asking(server, "llm.max_concurrency=1")) == 0
        assert server.calls == 1
    said = " ".join(told(capfd).split())
    assert said.count(sentence) == 1
    assert said.count(cure) == 1
    assert "fallback operator served 100%" in said
    (record,) = (json.loads(path.read_text()) for path in Path("out").rglob("record.json"))
    assert record["used"]["llm_calls"] == 1


def test_a_limit_spent_on_reasoning_has_a_fate_of_its_own_and_names_the_setting(capfd):
    with LlmServer(faults={Fault.REASONING: 1.0}) as server:
        assert main(asking(server)) == 0
    said = " ".join(told(capfd).split())
    assert "spent on reasoning" in said
    assert "llm.max_tokens=N" in said
    (record,) = (json.loads(path.read_text()) for path in Path("out").rglob("record.json"))
    assert record["solver"]["llm"]["failures"]["reasoning"] >= 1
    assert record["used"]["report"]["operator"]["fallbacks"]["reasoning"] >= 1
    assert record["used"]["tokens_out"] > 0


def test_a_redirect_carries_the_prompt_to_the_same_host_only(capfd):
    with LlmServer(faults={Fault.REDIRECT: 1.0}) as server:
        main(asking(server, "llm.max_concurrency=1"))
        assert server.calls == 1  # the other name is the same server: it would have seen a second one
    told(capfd)


@pytest.mark.parametrize("key", ["x", "-", "token", "EMPTY", "ollama", "none", "sk-no-key-required", "lm-studio"])
def test_a_placeholder_for_a_key_changes_neither_replies_nor_records(key, monkeypatch, capfd):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with LlmServer(api_key=key) as server:
        assert main(asking(server)) == 0
    monkeypatch.setenv("OPENAI_API_KEY", "")
    said = capfd.readouterr().out
    (folder,) = (path.parent for path in Path("out").rglob("record.json"))
    assert "[redacted]" not in (folder / "transcript.jsonl").read_text()
    record = json.loads((folder / "record.json").read_text())
    assert record["used"]["report"]["operator"]["fallbacks"] == {}
    assert ("taken for a placeholder" in " ".join(said.split())) == (len(key) < 8)
    assert main(["verify", "--effort", "none", str(folder)]) == 0
    assert main(["replay", str(folder)]) == 0
