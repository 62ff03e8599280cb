"""A key in the environment stands in nothing that a run leaves behind: files, messages, logs, caches, sites, packages."""

import random
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from optisolve.cli.main import main
from optisolve.run.records import iter_records
from optisolve.testing.llm_server import Fault, LlmServer
from tests.reliability.child import start
from tests.reliability.family import words
from tests.reliability.gate import Gate

KEY = "canary7c1f6b52e9d34a08b1e4"
"""It does not look like a key, so nothing but the knowledge of it can keep it out."""
OTHER = "canary-of-another-service-93f1"
ECHOING = {fault: 0.06 for fault in Fault if fault not in (Fault.NONE, Fault.TIMEOUT, Fault.SLOW_BODY, Fault.WRONG_USAGE)}
ECHOING = {**dict.fromkeys(ECHOING, 0.01), Fault.ECHO_KEY: 0.15, Fault.AUTH: 0.1, Fault.SERVER_ERROR: 0.1, Fault.QUOTA: 0.05}


@pytest.fixture(autouse=True)
def _keys(monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("SOME_SERVICE_TOKEN", OTHER)
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def with_key(arguments: list[str]) -> list[str]:
    return [word for word in arguments if not word.startswith("llm.api_key_env=")]


def search(folder: Path, said: str) -> int:
    """Look into every file; the number of files, tables also as text."""
    assert KEY not in said
    assert OTHER not in said
    count = 0
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data += pd.read_parquet(path).to_csv().encode()
            assert KEY.encode() not in data, path
            assert OTHER.encode() not in data, path
            count += 1
    return count


def runs(server: LlmServer) -> list[list[str]]:
    """Runs that ask a model, with all places where a reply may be kept."""
    go_on = "llm.breaker_calls=0"  # a refusal for good is among the faults
    asking = [*with_key(words("ledma all options", server)), go_on]
    return [
        [*asking, "llm.cache=cache", "out=out", "llm.retries=1", "llm.backoff_s=0.001"],
        [*asking, "llm.cache=cache", "resume=out", "llm.retries=0", "print=table"],
        [*with_key(words("opro", server)), go_on, "out=out", "llm.retries=0"],
        [*asking, "dry_run=true"],
    ]


def experiments(server: LlmServer) -> list[list[str]]:
    """Verbs that perform many runs."""
    Path("tiny.yaml").write_text(SUITE)
    model = [f"llm.base_url={server.base_url}", f"llm.model={server.model}", "llm=openai"]
    arms = ["arms=llm,de", "instances=1", "seeds=1", "budget.evaluations=60", "problem=uav_isac", "out=ablation"]
    bench = ["suite=tiny.yaml", "executor=serial", "out=bench", "solvers=opro@mine", *model]
    return [["ablate", *model, *arms], ["bench", *bench]]


def judgments() -> list[list[str]]:
    """Verbs that read what the runs left."""
    files = [str(file) for file in iter_records(Path("out"))]
    return [
        *(["verify", "--effort", "none", file] for file in files),
        *(["replay", file, "--out", "again"] for file in files),
    ]


def perform(commands: list[list[str]], capfd: Any) -> str:
    for arguments in commands:
        assert main(arguments) == 0, capfd.readouterr()
    told = capfd.readouterr()
    return told.out + told.err


SUITE = """# A small case.
version: "1"
seed: 0
instances: 1
repetitions: 1
budget: {evaluations: 60, llm_calls: 10}
problems: [uav_isac]
solvers: [moead_de]
"""


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_key_stands_in_nothing_that_is_left_behind(whole, tmp_path, capfd, tell):
    with LlmServer(api_key=KEY, faults=ECHOING, retry_after_s=0.01) as server:
        said = perform(runs(server), capfd)
        if whole:
            said += perform(experiments(server), capfd)
    said += perform(judgments(), capfd)
    if whole:
        reports = [["report", "out", "--out", "report"], ["leaderboard", "out", "--out", "site"]]
        said += perform(reports, capfd)
    assert server.served[Fault.ECHO_KEY]
    assert server.served[Fault.AUTH]
    assert "[redacted]" in next(Path("out").rglob("transcript.jsonl")).read_text()
    for name in ("out", "cache", "again", *(("report", "site", "ablation", "bench") if whole else ())):
        assert any(Path(name).rglob("*")), name
    files = search(tmp_path, said)
    tell(f"key in the environment, {server.calls} calls, many of which repeat it: {files} files and all messages hold none")


def test_the_key_stands_in_no_error(tmp_path, capfd):
    with LlmServer(api_key="another-one") as server:
        asking = with_key(words("opro", server))
        assert main([*asking, "out=out"]) == 1  # refused
        assert main([*asking, "llm.base_url=http://127.0.0.1:9/v1", "out=out"]) == 1  # unreachable
        assert main([*asking, f"llm.base_url=http://me:{KEY}@127.0.0.1:9/v1", "out=out"]) == 1
        assert main([*asking, f"llm.base_url=http://127.0.0.1:9/v1?key={KEY}", "out=out"]) == 1
        assert main([*asking, f"llm.api_key_env={KEY}", "out=out"]) == 1  # the key in place of the variable's name
        assert main([*asking, f"llm.api_key={KEY}", "out=out"]) == 1
        assert main([*asking, f"+llm.api_key={KEY}", "out=out"]) == 1
    told = capfd.readouterr()
    assert "OPENAI_API_KEY" in told.err
    search(tmp_path, told.out + told.err)


def test_the_key_stands_in_nothing_that_a_killed_run_leaves(tmp_path, capfd):
    gate, rng = Gate(), random.Random(3)
    with LlmServer(api_key=KEY, latency_s=gate, faults={Fault.ECHO_KEY: 0.3}) as server:
        for number in range(2):
            gate.close_after(rng.randint(3, 12))
            process = start(
                [*with_key(words("ledma llm_only batch 1", server)), f"out=out{number}"], tmp_path / f"said{number}"
            )
            while not gate.held.wait(0.05):
                assert process.is_alive(), (tmp_path / f"said{number}").read_text()
                time.sleep(0.01)
            process.kill()
            process.join()
            assert list((tmp_path / f"out{number}").glob("*.running/transcript.jsonl"))
    search(tmp_path, "")
