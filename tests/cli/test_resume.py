"""A run that was killed goes on, a finished one is not repeated, and a dry run sends nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from optisolve.cli.main import main
from optisolve.core.errors import OptisolveError
from optisolve.run.jobs import find_finished, identity, join_job, open_job, read_job, unfinished
from optisolve.run.records import iter_records
from optisolve.testing.llm_server import LlmServer

SMALL = ["pictures=false", "print=json", "solver.pop_size=12", "solver.n_neighbors=6"]
BUDGET = ["budget.evaluations=60", "budget.llm_calls=12"]


def run(*arguments):
    return main(["run", *arguments])


def record_of(capsys):
    return json.loads(capsys.readouterr().out)


def asking(server):
    return [f"llm.base_url={server.base_url}", f"llm.model={server.model}", "llm.api_key_env=''"]


def wait_for_calls(server, count, process):
    deadline = time.monotonic() + 300.0
    while server.calls < count:
        assert process.poll() is None, "the run ended before it asked that often"
        assert time.monotonic() < deadline, "the run did not get that far"
        time.sleep(0.005)


def test_a_finished_run_is_reported_and_not_repeated(tmp_path, capsys):
    words = [*SMALL, *BUDGET, "llm=surrogate", f"resume={tmp_path}"]
    assert run(*words) == 0
    first = record_of(capsys)
    assert run(*words) == 0
    assert record_of(capsys) == first
    assert len(list(iter_records(tmp_path))) == 1
    assert run(*words, "seed=1") == 0  # another run
    assert record_of(capsys)["seed"] == 1
    assert len(list(iter_records(tmp_path))) == 2


def test_a_record_s_folder_says_that_its_run_is_finished_and_starts_nothing_in_it(tmp_path, capsys):
    words = ["problem=power_control", "solver=random_search", "budget.evaluations=60", "pictures=false", "reference=none"]
    assert run(*words, f"out={tmp_path}") == 0
    (folder,) = tmp_path.iterdir()
    before = sorted(path.name for path in folder.iterdir())
    capsys.readouterr()
    assert run(f"resume={folder}") == 0
    shown = capsys.readouterr().out
    assert f"already finished: {folder}" in shown
    assert f"resume={folder} budget.evaluations=N with N above 60" in shown
    assert sorted(path.name for path in folder.iterdir()) == before
    assert list(tmp_path.iterdir()) == [folder]
    assert run(f"resume={folder}", "budget.evaluations=50") == 1
    assert "by a larger budget, not by budget.evaluations=50 (it had 60)" in capsys.readouterr().err
    assert run(f"resume={folder}", "seed=4", "budget.evaluations=90") == 1
    assert "another seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problem", "solver"),
    [("power_control", "random_search"), ("power_control", "cma_es"), ("pymoo", "nsga2"), ("pymoo", "moead_de")],
)
def test_a_larger_budget_prolongs_a_finished_run_as_a_record_that_names_it(tmp_path, capsys, problem, solver):
    words = [f"problem={problem}", f"solver={solver}", "pictures=false", "reference=none", "print=json"]
    assert run(*words, "budget.evaluations=250", f"out={tmp_path}/a") == 0
    short = record_of(capsys)
    folder = tmp_path / "a" / short["record_id"]
    assert run(f"resume={folder}", "budget.evaluations=600", *words[2:]) == 0
    long = record_of(capsys)
    assert long["budget"]["evaluations"] == 600
    assert long["provenance"]["continues"] == {
        "record_id": short["record_id"],
        "result_hash": short["result_hash"],
        "evaluations": 250,
        "agree": 250,
    }
    assert run(*words, "budget.evaluations=600", f"out={tmp_path}/b") == 0
    assert record_of(capsys)["result_hash"] == long["result_hash"], "the same seed and budget give the same hash"
    assert run(f"resume={folder}", "budget.evaluations=600", *words[2:]) == 0  # and it is done once
    assert record_of(capsys) == long
    assert main(["verify", "--reproduce", str(tmp_path / "a")]) == 0


def test_a_run_that_ended_by_itself_is_not_prolonged(tmp_path, capsys):
    words = ["pictures=false", "reference=none"]
    assert run("problem=power_control", "solver=wmmse", *words, f"out={tmp_path}") == 0
    (folder,) = tmp_path.iterdir()
    capsys.readouterr()
    assert run(f"resume={folder}", "budget.evaluations=90000", *words) == 0
    assert "it ended by itself (converged), so a larger budget would change nothing" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("mix", ["fixed(0.5)", "auto"])
def test_a_prolonged_run_does_not_pay_again_for_the_replies_it_has(tmp_path, capsys, mix):
    """`auto` plans by its budget: what it does not ask again leaves its transcript, which verifies."""
    with LlmServer() as server:
        words = [*SMALL, "solver=ledma", f"solver.mix={mix}", "llm=openai", *asking(server)]
        assert run(*words, "budget.evaluations=60", "budget.llm_calls=40", f"out={tmp_path}") == 0
        short = record_of(capsys)
        paid = server.calls
        folder = tmp_path / short["record_id"]
        more = ["budget.evaluations=120", "budget.llm_calls=80", "llm=openai", *asking(server)]
        assert run(f"resume={folder}", *more, *SMALL[:2]) == 0
        long = record_of(capsys)
    assert long["used"]["llm_calls"] > short["used"]["llm_calls"] > 0
    again = long["used"]["llm_calls"] - short["used"]["llm_calls"]
    assert server.calls - paid <= (again + 5 if mix == "fixed(0.5)" else long["used"]["llm_calls"])
    assert long["provenance"]["continues"]["agree"] >= (40 if mix == "fixed(0.5)" else 12)
    assert main(["verify", str(tmp_path)]) == 0
    assert main(["replay", str(tmp_path / long["record_id"])]) == 0


def test_a_killed_run_goes_on_to_the_same_hash_without_asking_again(tmp_path, capsys):
    held: set[int] = set()  # numbers of calls that are never answered, so that the run is killed while it waits
    with LlmServer(latency_s=lambda number: 3600.0 if number in held else 0.0) as server:
        words = [*SMALL, *BUDGET, "solver.mix=auto", "llm=openai", *asking(server), "llm.max_concurrency=1"]
        assert run(*words, f"out={tmp_path / 'whole'}") == 0
        whole = record_of(capsys)
        asked = server.calls
        held.add(asked + 3)
        out = tmp_path / "killed"
        command = [sys.executable, "-m", "optisolve", "run", *words, f"resume={out}"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_calls(server, asked + 4, process)
        process.kill()
        process.wait()
        (folder,) = unfinished(out)
        assert not list(iter_records(out))
        before = server.calls
        assert run("pictures=false", "print=json", f"resume={folder}") == 0  # its own settings
        assert record_of(capsys)["result_hash"] == whole["result_hash"]
        assert server.calls - before <= asked - 3  # at most the one in flight was asked twice
    assert not unfinished(out)
    (file,) = iter_records(out)
    assert main(["verify", str(file)]) == 0
    assert main(["replay", str(file)]) == 0


def test_a_stopped_run_goes_on_from_its_replies(tmp_path, capsys):
    with LlmServer(latency_s=lambda number: 3600.0 if number == 2 else 0.0) as server:  # the third call is never answered
        words = [
            *SMALL,
            *BUDGET,
            "solver.mix=auto",
            "llm=openai",
            *asking(server),
            "llm.max_concurrency=1",
            f"resume={tmp_path}",
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "optisolve", "run", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for_calls(server, 3, process)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=150) == 130
        assert run(*words) == 0
        record = record_of(capsys)
        assert server.calls <= record["used"]["llm_calls"] + 1
    assert record["termination"]["status"] == "limit"
    assert len(list(iter_records(tmp_path))) == 2  # the stopped one stays


def test_a_run_that_another_process_is_at_is_waited_for(tmp_path):
    settings = {"seed": 1}
    first = join_job(tmp_path, "a", settings)
    assert not isinstance(join_job(tmp_path, "a", {"seed": 2}), Path)  # another run has nothing to wait for
    told = []

    def give_up(folder):
        told.append(folder)
        first.release()

    second = join_job(tmp_path, "a", settings, on_wait=give_up)
    assert (second.path, second.resumed) == (first.path, True)
    assert told == [first.path]
    assert find_finished(tmp_path, identity(settings)) is None


def test_several_unfinished_runs_must_be_told_apart(tmp_path):
    for seed in (1, 2):
        open_job(tmp_path, f"s{seed}", {"seed": seed}).release()
    with pytest.raises(OptisolveError, match="unfinished runs"):
        _resolve(tmp_path)


def test_settings_that_differ_from_the_unfinished_run_are_named(tmp_path, capsys):
    words = [*SMALL, "budget.evaluations=60", "solver=moead_de"]
    assert run(*words, f"out={tmp_path}") == 0
    (folder,) = tmp_path.iterdir()
    held = open_job(tmp_path, "x", read_job(folder))
    held.release()
    capsys.readouterr()
    assert run(*words, "seed=5", f"resume={held.path}") == 1
    assert "another seed" in capsys.readouterr().err
    assert run(*words, f"resume={held.path}", "out=elsewhere") == 1
    assert "leave out away" in capsys.readouterr().err
    assert run(f"resume={tmp_path / 'none.running'}") == 1
    assert "job.json" in capsys.readouterr().err


def test_a_dry_run_tells_calls_tokens_and_dollars_and_sends_nothing(tmp_path, capsys):
    with LlmServer() as server:
        words = [*SMALL, *BUDGET, "solver.mix=0.3", "llm=openai", *asking(server), f"out={tmp_path / 'out'}"]
        prices = ["llm.usd_per_million_in=1", "llm.usd_per_million_out=2"]
        assert run(*words, *prices, "dry_run=true") == 0
        told = record_of(capsys)
        assert server.calls == 0
        assert not (tmp_path / "out").exists()
        assert run(*words, *prices) == 0
        used = record_of(capsys)["used"]
    assert told["calls"] == used["llm_calls"]
    assert told["usd"] == pytest.approx((told["tokens_in"] + 2 * told["tokens_out"]) / 1e6)
    assert told["tokens_in"] + told["tokens_out"] < told["worst_tokens"]
    assert told["usd"] < told["worst_usd"]
    assert run(*SMALL[:2], "solver=moead_de", "dry_run=true") == 0
    assert "0 calls" in capsys.readouterr().out


def _resolve(folder):
    from optisolve.cli.job import Asked
    from optisolve.cli.resume import resolve
    from optisolve.cli.settings import Choice

    settings = {"resume": str(folder), "out": "runs", "seed": 0, "instance": 0}
    return resolve(Asked(Choice("uav_isac"), Choice("ledma"), Choice("auto"), {}, settings, ("resume",)))
