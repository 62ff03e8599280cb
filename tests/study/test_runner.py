"""The runner: the same results whoever runs them, one record per unit whatever happens to its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError
from optisolve.registry import PROBLEMS, SOLVERS
from optisolve.study.runner import plan_suite, run_suite
from optisolve.study.runner.child import carry_out
from optisolve.study.runner.plan import StaleWorker
from optisolve.study.runner.worker import Worker
from optisolve.study.suite import load_suite
from optisolve.trust.audit import Auditor, SuiteBook


def hashes(folder):
    table = optisolve.load_records(folder)
    assert len(set(table.record_id)) == len(table)
    return set(table.result_hash)


def unit_folders(folder):
    return {path.parent.name for path in Path(folder).glob("*/[!.]*/record.json")}  # published ones


def failing(*ways):
    return [{"solver": "misbehaving", "label": way, "options": {"then": way}, "repetitions": 1} for way in ways]


def test_results_do_not_depend_on_executor_workers_threads_or_order(suite_of, tmp_path, monkeypatch):
    path = suite_of(solvers=["moead_de", "nsga2", "ledma", "scipy_local"], reference="quick")
    one = run_suite(path, tmp_path / "serial", executor="serial")
    two = run_suite(path, tmp_path / "joblib", executor="joblib", workers=2)
    many = run_suite(path, tmp_path / "threads", executor="serial", threads=2, only="solver:moead_de,solver:scipy_local")
    assert one.executed == two.executed == len(one.finished) == 28
    assert hashes(tmp_path / "serial") == hashes(tmp_path / "joblib") >= hashes(tmp_path / "threads")
    assert many.executed == 12
    for unit in plan_suite(path, "instance:1,repetition:1").units:  # in this process, without any pinning
        here = optisolve.run.records.read_record(carry_out(unit, tmp_path / "here"))
        assert here.result_hash in hashes(tmp_path / "serial")


def test_a_solver_that_may_ask_a_model_runs_without_one(suite_of, tmp_path):
    alone = [{"solver": "ledma", "llm": "none", "repetitions": 1}]
    done = run_suite(suite_of(solvers=alone), tmp_path, executor="serial", only="problem:toy_zdt1")
    records = [record for _, record in done.records()]
    assert records
    assert all(record.termination.status != "error" and record.used.llm_calls == 0 for record in records)


def test_a_record_says_which_unit_of_which_suite_it_is(suite_of, tmp_path):
    done = run_suite(suite_of(solvers=["moead_de"]), tmp_path, executor="serial", only="problem:toy_zdt1")
    for unit, record in done.records():
        assert record.suite.to_json() == {
            **unit.suite,
            "unit": unit.id,
            "problem": "toy_zdt1",
            "solver": "moead_de",
            "instance": str(unit.index),
            "repetition": str(unit.repetition),
        }
        assert record.seed == unit.seed
        assert record.instance.sha256 == unit.instance_sha256
        assert {"record.json", "front.parquet", "trace.parquet"} <= {p.name for p in (tmp_path / "tiny" / unit.id).iterdir()}
    manifest = json.loads((tmp_path / "tiny" / "suite.json").read_text())
    assert manifest["units"] == [unit.id for unit in done.finished]
    assert manifest["suite"] == dict(done.finished[0].suite)


def test_a_second_run_does_nothing_and_a_missing_unit_is_made_again(suite_of, tmp_path):
    path = suite_of()
    first = run_suite(path, tmp_path / "out", workers=2)
    before = hashes(tmp_path / "out")
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").rglob("record.json")}
    assert run_suite(path, tmp_path / "out").executed == 0
    gone = first.finished[3].id
    (tmp_path / "out" / "tiny" / gone / "record.json").unlink()
    again = run_suite(path, tmp_path / "out")
    assert again.executed == 1
    assert hashes(tmp_path / "out") == before
    kept = {p: p.stat().st_mtime_ns for p in stamps if p.parent.name != gone}
    assert kept == {p: stamp for p, stamp in stamps.items() if p.parent.name != gone}


def test_parts_of_a_suite_add_up_to_the_whole(suite_of, tmp_path):
    path = suite_of()
    run_suite(path, tmp_path / "parts", executor="serial", only="solver:moead_de")
    rest = run_suite(path, tmp_path / "parts", executor="serial")
    run_suite(path, tmp_path / "whole", executor="serial")
    assert rest.executed == 8
    assert hashes(tmp_path / "parts") == hashes(tmp_path / "whole")
    assert len(json.loads((tmp_path / "parts" / "tiny" / "suite.json").read_text())["units"]) == 16


def test_two_runs_never_mix(suite_of, tmp_path):
    path = suite_of()
    run_suite(path, tmp_path / "out", executor="serial", only="solver:random_search")
    with pytest.raises(OptisolveError, match="resume=false would mix"):
        run_suite(path, tmp_path / "out", resume=False)
    with pytest.raises(OptisolveError, match=r"tiny 1 .*, but this is suite tiny 2(.|\n)*version: 1 in the lock, 2 now"):
        run_suite(suite_of(version="2"), tmp_path / "out")
    run_suite(path, tmp_path / "fresh", executor="serial", resume=False, only="solver:random_search,repetition:0")


WAYS = {
    "segfault": ("died", "SIGSEGV"),
    "kill": ("died", "SIGKILL"),
    "exit": ("died", "exit code 3"),
    "hang": ("time", "killed after 6 s"),
    "memory": ("memory", "killed above 900 MB"),
    "raise": ("error", "a bug of the plug-in"),
}


def test_a_unit_that_dies_is_a_record_and_harms_no_other(suite_of, tmp_path):
    path = suite_of(
        instances=1,
        problems=["toy_zdt1"],
        limits={"seconds": 600, "memory_mb": 900},
        solvers=[*failing(*WAYS), {"solver": "random_search", "repetitions": 4}],
        overrides=[{"solver": "hang", "limits": {"seconds": 6}}],
    )
    done = run_suite(path, tmp_path / "out", workers=2)
    records = {(unit.label, unit.repetition): record for unit, record in done.records()}
    auditor = Auditor(PROBLEMS, SOLVERS, suites=SuiteBook({"tiny": load_suite(tmp_path / "out" / "tiny" / "tiny.yaml")}))
    assert len(records) == len(WAYS) + 4
    for way, (kind, words) in WAYS.items():
        record = records[way, 0]
        assert record.termination.status == "error"
        assert words in record.termination.detail
        assert record.used.report["failure"] == kind
        assert record.verified.point == "none"
        assert record.solutions.x == []
        assert record.scores.hypervolume == 0.0  # of no points at all
        assert all(record.scores.values()[key] is None for key in ("igd_plus", "objective", "gap", "bound_gap"))
        assert auditor.record(record), str(auditor.record(record))
    assert all(records["random_search", r].termination.status == "limit" for r in range(4))
    assert {(unit.label, detail) for unit, detail in done.failures} == {(w, records[w, 0].termination.detail) for w in WAYS}
    table = optisolve.load_records(tmp_path / "out")
    assert (table.point == "none").sum() == len(WAYS)
    assert b"Segmentation fault" in (tmp_path / "out" / "tiny" / records["segfault", 0].suite.unit / "log.txt").read_bytes()


def test_failures_are_kept_until_they_are_tried_again_on_purpose(suite_of, tmp_path):
    path = suite_of(instances=1, problems=["toy_zdt1"], solvers=[*failing("kill", "raise"), "random_search"])
    run_suite(path, tmp_path / "out", executor="serial")
    assert run_suite(path, tmp_path / "out", executor="serial").executed == 0
    before = hashes(tmp_path / "out")
    again = run_suite(path, tmp_path / "out", executor="serial", retry=True)
    assert again.executed == 2
    assert hashes(tmp_path / "out") == before


def test_a_worker_is_used_again_and_has_one_thread(suite_of, tmp_path):
    path = suite_of(problems=["toy_zdt1"], solvers=failing("tell"), instances=6)
    for threads in (1, 2):
        done = run_suite(path, tmp_path / f"threads{threads}", executor="serial", threads=threads)
        reports = [record.used.report for _, record in done.records()]
        assert len({report["pid"] for report in reports}) == 1
        assert {value for report in reports for value in report["threads"].values()} == {str(threads)}
        assert reports[0]["pid"] != os.getpid()


def test_what_a_solver_prints_stands_beside_its_record_and_nowhere_else(suite_of, tmp_path, capfd, monkeypatch):
    path = suite_of(problems=["toy_zdt1"], instances=1, solvers=failing("print", "stop"))
    done = run_suite(path, tmp_path, executor="serial")
    logs = {u.label: tmp_path / "tiny" / u.id / "log.txt" for u in done.finished}
    assert logs["print"].read_text() == "words on standard output\nwords on standard error\n"
    assert not logs["stop"].exists()
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("SOME_API_KEY", "words on standard error")  # a plug-in that prints what it reads
    run_suite(path, tmp_path / "again", executor="serial", only="solver:print")
    (log,) = (tmp_path / "again").rglob("log.txt")
    assert log.read_text() == "words on standard output\n[redacted]\n"


def test_a_worker_of_another_version_stops_the_run_instead_of_failing_units(suite_of, tmp_path):
    from dataclasses import replace

    (unit, *_) = plan_suite(suite_of()).units
    worker = Worker()
    try:
        with pytest.raises(StaleWorker, match="planned with 0"):
            worker.run(replace(unit, solver_version="0"), tmp_path / "scratch")
        with pytest.raises(StaleWorker, match="the suite was planned with abc"):
            worker.run(replace(unit, instance_sha256="abc"), tmp_path / "scratch")
    finally:
        worker.close()
    assert not (tmp_path / "scratch").exists()


def test_a_full_worker_is_replaced_before_it_counts_against_the_next_unit(suite_of, tmp_path):
    from dataclasses import replace

    first, second, *_ = plan_suite(suite_of(solvers=["random_search"])).units
    worker = Worker()
    try:
        worker.run(first, tmp_path / "a")
        pid = worker.pid
        worker.run(second, tmp_path / "b")
        assert worker.pid == pid
        worker.run(replace(second, limits={"seconds": 600, "memory_mb": 190}), tmp_path / "c")
        assert worker.pid != pid
    finally:
        worker.close()


class Started:
    """``optisolve bench`` in a process of its own, with a solver that waits and leaves signs of life."""

    def __init__(self, suite_of, tmp_path, seconds=1.0, **changes):
        self.signs, self.out = tmp_path / "signs", tmp_path / "out"
        self.signs.mkdir()
        options = {"seconds": seconds, "sign": str(self.signs)}
        patient = [{"solver": "patient", "options": options}]
        self.path = suite_of(problems=["toy_zdt1"], solvers=patient, instances=4, **changes)
        self.process = self.start()

    def start(self):
        command = [sys.executable, "-m", "optisolve", "bench", f"suite={self.path}", f"out={self.out}", "workers=2"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_signs(self, count):
        deadline = time.monotonic() + 300
        while len(self.begun()) < count:
            assert time.monotonic() < deadline, "the run did not get that far"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)

    def wait_for_kept(self, count):
        deadline = time.monotonic() + 300
        while len(unit_folders(self.out)) < count:
            assert time.monotonic() < deadline, "no record was kept"
            time.sleep(0.01)

    def begun(self):
        return [path.name.split("-") for path in self.signs.iterdir()]

    def workers_left(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            left = {pid for _, pid in self.begun() if Path(f"/proc/{pid}/statm").exists() and not _zombie(pid)}
            if not left:
                return set()
            time.sleep(0.05)
        return left


def _zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_finished_units_and_leaves_nothing_behind(suite_of, tmp_path, number):
    run = Started(suite_of, tmp_path)
    run.wait_for_signs(4)  # two finished, two running
    run.wait_for_kept(2)
    run.process.send_signal(number)
    stdout, stderr = run.process.communicate(timeout=300)
    assert run.process.returncode == 130, stderr
    assert "interrupted" in stdout
    assert run.workers_left() == set()
    kept = unit_folders(run.out)
    assert 2 <= len(kept) < 8
    assert {p.name for p in (run.out / "tiny").iterdir()} == {*kept, "suite.json", "tiny.yaml", ".lock"}
    run.process = run.start()
    run.process.communicate(timeout=300)
    assert run.process.returncode == 0
    assert len(unit_folders(run.out)) == len(hashes(run.out)) == 8
    assert len(run.begun()) <= 8 + 4  # only what ran, or was on its way to the disk, ran twice


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts processes in /proc")
def test_a_run_that_is_killed_leaves_no_process_and_goes_on_where_it_was(suite_of, tmp_path):
    run = Started(suite_of, tmp_path)
    run.wait_for_signs(4)
    run.process.kill()
    run.process.communicate()
    assert run.workers_left() == set()
    finished = unit_folders(run.out)
    assert 1 <= len(finished) < 8
    run.process = run.start()
    stdout, _ = run.process.communicate(timeout=300)
    assert run.process.returncode == 0
    assert f"{8 - len(finished)} run now, {len(finished)} kept" in stdout
    assert len(unit_folders(run.out)) == len(hashes(run.out)) == 8
    assert not list((run.out / "tiny").glob(".running-*"))


def test_two_runs_into_one_folder_at_a_time_are_refused(suite_of, tmp_path):
    run = Started(suite_of, tmp_path, seconds=3.0)
    try:
        run.wait_for_signs(1)
        with pytest.raises(OptisolveError, match="Another run writes"):
            run_suite(run.path, run.out)
    finally:
        run.process.kill()
        run.process.communicate()


def test_replies_of_a_language_model_outlive_a_killed_unit_and_are_not_asked_for_again(suite_of, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    path = suite_of(
        problems=["toy_zdt1"],
        instances=1,
        repetitions=1,
        solvers=[{"solver": "asking", "options": {"gate": str(gate)}}],
    )
    done = run_suite(path, tmp_path / "out", executor="serial")
    ((unit, _),) = done.failures
    transcript = tmp_path / "out" / "tiny" / unit.id / "transcript.jsonl"
    first = transcript.read_text()
    assert first.count('"type":"call"') == 1
    gate.unlink()
    again = run_suite(path, tmp_path / "out", executor="serial", retry=True)
    assert not again.failures
    assert transcript.read_text().startswith(first)
    assert transcript.read_text().count('"type":"call"') == 2
    assert '"type":"resumed"' in transcript.read_text()


def test_records_go_to_any_url(suite_of, tmp_path):
    fsspec = pytest.importorskip("fsspec", reason="needs the extra [ray]")
    path, url = suite_of(instances=1, solvers=[*failing("raise"), "random_search"]), "memory://bucket/runs"
    first = run_suite(path, url, executor="serial", only="solver:random_search")
    rest = run_suite(path, url, executor="serial")
    assert (first.executed, rest.executed) == (4, 2)
    run_suite(path, tmp_path / "local", executor="serial")
    assert {record.result_hash for _, record in rest.records()} == hashes(tmp_path / "local")
    assert run_suite(path, url, executor="serial", retry=True).executed == 2
    names = {name.rsplit("/", 1)[1] for name in fsspec.filesystem("memory").find("/bucket/runs")}
    assert names == {"record.json", "front.parquet", "trace.parquet", "suite.json", "tiny.yaml"}


def test_a_solver_from_elsewhere_runs_beside_the_suite(suite_of, tmp_path):
    path = suite_of(solvers=["random_search"])
    run_suite(path, tmp_path, executor="serial")
    done = run_suite(path, tmp_path, executor="serial", solvers=[{"solver": "nsga2", "label": "mine"}])
    table = optisolve.load_records(tmp_path)
    assert done.executed == 8
    assert len(table) == 16
    assert len({record.suite.sha256 for record in table.record}) == 1
    assert {record.suite.solver for record in table.record} == {"random_search", "mine"}


def test_progress_is_told_at_the_start_and_after_every_unit(suite_of, tmp_path):
    seen = []
    path = suite_of(instances=1, problems=["toy_zdt1"], solvers=[*failing("raise"), "random_search"])
    run_suite(path, tmp_path, executor="serial", on_progress=lambda p: seen.append((p.done, p.total, p.failed)))
    assert seen == [(0, 3, 0), (1, 3, 1), (2, 3, 1), (3, 3, 1)]


def test_bad_settings_are_one_error(suite_of, tmp_path, capsys):
    with pytest.raises(OptionError) as raised:
        run_suite(suite_of(), tmp_path, executor="slurm", workers=0, threads=0)
    assert {p.field for p in raised.value.problems} == {"executor", "workers", "threads"}
    assert main(["bench", f"suite={suite_of()}", "exeutor=ray", "workers=two", "resume=perhaps", "fast"]) == 1
    told = capsys.readouterr().err
    for needle in ("did you mean 'executor'", "workers: got 'two'", "resume: got 'perhaps'", "fast"):
        assert needle in told, needle
    assert main(["bench", "out=x"]) == 1
    assert "suite: got None, expected one of" in capsys.readouterr().err
    assert main(["bench", f"suite={suite_of()}", "llm=local"]) == 1
    assert "solvers=NAME@LABEL" in capsys.readouterr().err


def test_the_command_line_runs_resumes_and_reports_failures(suite_of, tmp_path, capsys):
    path = suite_of(instances=1, solvers=["random_search", "cma_es"])
    arguments = ["bench", f"suite={path}", f"out={tmp_path / 'out'}", "workers=2"]
    assert main([*arguments, "dry_run=true"]) == 0
    shown = capsys.readouterr().out
    assert "6 of 6 units; at most 360 evaluations" in shown
    assert "several objectives" in shown
    assert not (tmp_path / "out").exists()
    assert main(arguments) == 0
    assert "6 run now, 0 kept" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "0 run now, 6 kept" in capsys.readouterr().out
    assert main(["bench", f"suite={path}", "lock=true"]) == 0
    assert main(arguments) == 0
    path = suite_of("other", instances=1, problems=["toy_zdt1"], solvers=failing("raise"))
    assert main(["bench", f"suite={path}", f"out={tmp_path / 'out'}"]) == 1
    shown = capsys.readouterr()
    assert "a bug of the plug-in" in shown.err
    assert "retry=true" in shown.out


def test_suites_are_listed_without_any_argument(capsys):
    assert main(["bench"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("smoke", "exact", "llm", "functions"))


@pytest.mark.slow
def test_the_smoke_suite_takes_less_than_a_minute_and_its_second_run_does_nothing(tmp_path):
    command = [sys.executable, "-m", "optisolve", "bench", "suite=smoke", f"out={tmp_path}", "workers=2"]
    start = time.perf_counter()
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 60
    assert " 0 left, 0 failed" in first.stdout
    assert optisolve.load_records(tmp_path).record_id.is_unique
    second = subprocess.run([*command, "resume=true"], capture_output=True, text=True, check=True)
    assert "units: 0 run now" in second.stdout


@pytest.mark.parametrize("executor", ["serial", "joblib"])
def test_a_child_that_is_killed_while_it_starts_is_started_again(suite_of, tmp_path, monkeypatch, executor):
    """As by a system that is short of memory for a moment; a child that is killed every time ends the run with its reason."""
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    for name in ("first", "second"):
        (tokens / name).touch()
    monkeypatch.setenv("KILLED_AT_START", str(tokens))
    done = run_suite(suite_of(instances=1), tmp_path / "runs", executor=executor)
    assert not list(tokens.iterdir())
    assert (done.missing, len(done.failures)) == (0, 0)


def test_a_child_that_never_starts_is_an_error_with_its_reason(suite_of, tmp_path, monkeypatch):
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    for name in range(5):
        (tokens / str(name)).touch()
    monkeypatch.setenv("KILLED_AT_START", str(tokens))
    with pytest.raises(OptisolveError, match=r"cannot be started: its process was killed by SIGKILL.*3 times in a row"):
        run_suite(suite_of(), tmp_path / "runs", executor="serial")
