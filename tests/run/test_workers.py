"""Evaluations side by side: the result is that of one worker, and no evaluation, whatever it does, is the end of a run."""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time

import numpy as np
import pytest

import optisolve
from optisolve.cli import progress
from optisolve.cli.main import main
from optisolve.core.errors import OptionError, OptisolveError, SolverError
from optisolve.core.problem import FAILED_VIOLATION
from optisolve.core.status import Limit, PointStatus, Termination
from optisolve.core.workers import Workers
from optisolve.run.evaluating import packed, unpacked
from optisolve.run.records import iter_records, read_record
from optisolve.trust.replay import replay
from tests.run import troubles
from tests.run.troubles import began, problem_that


def solved(problem, evaluations=24, solver="random_search", seed=1, **settings):
    return optisolve.solve(problem, solver, budget=optisolve.Budget(evaluations=evaluations), seed=seed, **settings)


@pytest.mark.parametrize("solver", ["moead_de", "parego"])
def test_the_hash_is_that_of_one_worker_with_any_number_of_them(solver, tmp_path):
    problem = problem_that(troubles.raises, tmp_path)
    ways = [
        {},
        {"workers": 1},
        {"workers": 2, "executor": "thread"},
        {"workers": 2, "executor": "process"},
        {"workers": 8, "executor": "process"} if solver == "moead_de" else {"workers": 2},
    ]
    found = [solved(problem, 40 if solver == "moead_de" else 24, solver, **way) for way in ways]
    assert len({result.result_hash for result in found}) == 1
    assert found[0].record.used.failed > 0
    told = found[3].record.provenance.workers
    assert (told.executor, told.workers, told.redone) == ("process", 2, 0)


def test_a_family_that_takes_whole_batches_is_the_same_point_by_point():
    instance = optisolve.load_problem("parallel_channels").instance(0)
    whole, spread = solved(instance, 60, "moead_de"), solved(instance, 60, "moead_de", workers=2)
    assert whole.record.provenance.workers is None
    assert spread.record.provenance.workers.executor == "process"
    assert np.allclose(whole.F, spread.F, rtol=1e-12)


TROUBLES = {
    "raises": "RuntimeError: the mesh did not converge at x0 = ",
    "is_nan": r"F\[0\] = nan at x0 = ",
    "is_wide": r"returned an array of shape \(3,\); expected 1 number.* at x0 = ",
    "finds_no_memory": "out of memory: 4 TiB for a matrix at x0 = ",
    "prints_megabytes": "RuntimeError: after five megabytes at x0 = ",
    "dies": "its process was killed by SIGSEGV, a fault in compiled code, 3 times in a row.* at x0 = ",
    "exits": r"ended with exit code 3, 3 times in a row \(it printed: the licence server is gone\) at x0 = ",
    "hangs": r"killed after 0\.5 s, the limit of an evaluation \(evaluation_limit_s\) at x0 = ",
    "grows": r"killed above 250 MB of memory, the limit of an evaluation \(evaluation_limit_mb\) at x0 = ",
}
LIMITS = {"hangs": {"evaluation_limit_s": 0.5}, "grows": {"evaluation_limit_mb": 250.0}}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_evaluation_in_trouble_is_a_recorded_bad_point_and_nothing_else(trouble, tmp_path):
    """Random points above 0.6 are in trouble; all others have their values, and the record says what the first one did."""
    problem = problem_that(getattr(troubles, trouble), tmp_path)
    result = solved(problem, 12, workers=2, executor="process", **LIMITS.get(trouble, {}))
    record = result.record
    assert result.termination is Termination.LIMIT
    assert result.point_status is PointStatus.FEASIBLE
    assert 0 < record.used.failed < record.used.evaluations == 12
    assert record.provenance.failed.policy == "penalize"

    assert re.search(TROUBLES[trouble], record.provenance.failed.first), record.provenance.failed.first
    bad = result.run.evaluator.history.violation == FAILED_VIOLATION
    assert bad.sum() == record.used.failed


def test_the_points_of_a_killed_worker_are_done_again_and_counted_once(tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    (calm / "dead").touch()
    expected = solved(problem_that(troubles.died_once, calm), 20, workers=1)
    result = solved(problem_that(troubles.died_once, killed), 20, workers=2, executor="process")
    assert result.result_hash == expected.result_hash
    assert result.record.used.evaluations == 20 == len(result.run.evaluator.history)
    assert result.record.used.failed == 0
    assert result.record.provenance.workers.redone == 1
    assert len(began(killed)) == len(began(calm)) + 1


def test_a_worker_killed_by_somebody_else_costs_nothing(tmp_path):
    """Not from inside: the process vanishes while it evaluates, as by the kernel or an operator."""

    def waits(_folder, _x):
        time.sleep(0.05)

    problem, killed = problem_that(waits, tmp_path), threading.Event()

    def kill():
        while not killed.is_set():
            for file in tmp_path.glob("calls-*"):
                pid = int(file.name.partition("-")[2])
                if pid != os.getpid():
                    os.kill(pid, signal.SIGKILL)
                    killed.set()
                    return
            time.sleep(0.01)

    killer = threading.Thread(target=kill, daemon=True)
    expected = solved(problem, 40)
    for file in tmp_path.glob("calls-*"):
        file.unlink()
    killer.start()
    result = solved(problem, 40, workers=2, executor="process")
    killer.join(timeout=10.0)
    assert killed.is_set()
    assert result.result_hash == expected.result_hash


@pytest.mark.parametrize("policy", ["skip", "stop"])
def test_policies_hold_for_evaluations_that_break_a_limit(policy, tmp_path):
    problem = problem_that(troubles.hangs, tmp_path, on_failure=policy)
    result = solved(problem, 8, workers=2, evaluation_limit_s=0.5)
    assert result.record.provenance.workers.executor == "process", "a limit needs a process, without saying so"
    if policy == "skip":
        assert result.record.used.evaluations == 8 == len(result.run.evaluator.history)
        assert result.record.used.failed > 0
    else:
        assert result.termination is Termination.ERROR
        assert 0 < result.record.used.evaluations == len(result.run.evaluator.history) < 8, "the others are kept"
        assert "killed after 0.5 s" in result.run.outcome.detail


def test_a_model_that_is_always_wrong_is_one_error():
    state = {"broken": False}

    def sometimes(x):
        return None if state["broken"] else float(x[0])

    problem = optisolve.problem(sometimes, 0.0, 1.0, name="bad", probes=1)
    state["broken"] = True
    with pytest.raises(SolverError, match=r"none of 6 points; .* returned None; expected numbers"):
        solved(problem, 6)


def test_seconds_end_a_run_in_the_middle_of_a_batch_and_keep_what_was_evaluated(tmp_path):
    def waits(_folder, _x):
        time.sleep(0.1)

    problem = problem_that(waits, tmp_path, evaluation_s=0.1)
    budget = optisolve.Budget(evaluations=10_000, seconds=0.4)
    result = optisolve.solve(problem, "random_search", budget=budget, seed=1, workers=2, executor="thread")
    assert (result.termination, result.limit) == (Termination.LIMIT, Limit.TIME)
    assert 2 < result.record.used.evaluations == len(result.run.evaluator.history) < 250
    assert result.record.used.wall_s < 5.0


def test_an_interrupt_keeps_what_was_evaluated_of_a_batch(tmp_path):
    def interrupted(folder, _x):
        if not (folder / "sent").exists():
            (folder / "sent").touch()
            os.kill(os.getppid(), signal.SIGINT)
        time.sleep(600)

    begun = time.perf_counter()
    result = solved(problem_that(interrupted, tmp_path), 64, workers=2, executor="process")
    assert result.termination is Termination.INTERRUPTED
    assert 0 < result.record.used.evaluations == len(result.run.evaluator.history) < 64
    assert result.point_status is PointStatus.FEASIBLE
    assert time.perf_counter() - begun < 30.0


def interrupts_verification(folder, often):
    """Trouble of the one point that is evaluated again: the answer, for the record."""

    def trouble(_folder, x):
        seen = folder / x.tobytes().hex()
        if seen.exists() and not (folder / "sent").exists():
            (folder / "sent").touch()
            for _ in range(often):
                os.kill(os.getppid(), signal.SIGINT)
                time.sleep(0.3)
            time.sleep(600.0 * (often > 1))
        seen.touch()

    return trouble


def test_an_interrupt_while_the_answer_is_verified_loses_nothing(tmp_path):
    """Where evaluations cost seconds verification takes long; what it is about is found and paid for."""
    problem = problem_that(interrupts_verification(tmp_path, 1), tmp_path, everywhere=True)
    handler = signal.getsignal(signal.SIGINT)
    result = solved(problem, 8, workers=2, executor="process")
    assert (tmp_path / "sent").exists()
    assert result.run.meter.interrupted, "whoever started it can tell"
    assert result.termination is Termination.LIMIT
    assert result.point_status is PointStatus.FEASIBLE
    assert optisolve.verify(result.record)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_interrupt_ends_a_verification_that_hangs(tmp_path):
    begun = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        solved(problem_that(interrupts_verification(tmp_path, 2), tmp_path, everywhere=True), 8, workers=2, executor="process")
    assert time.perf_counter() - begun < 60.0


@pytest.mark.parametrize("stop", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_stopped_command_says_what_it_waits_for_and_keeps_the_points(stop, tmp_path, capsys, monkeypatch):
    """In the middle of the first batch, with the other worker at a point that takes ten minutes."""
    monkeypatch.setattr(progress, "_FIRST_S", 0.05)
    file = tmp_path / "mine.py"
    file.write_text(
        "import os\nimport time\nfrom pathlib import Path\n\nimport optisolve\n\n\n"
        "def f(x):\n    if Path('sent').exists():\n        time.sleep(0.5)\n    elif len(list(Path().glob('done-*'))) > 3:\n"
        f"        Path('sent').touch()\n        os.kill(os.getppid(), {int(stop)})\n        time.sleep(600)\n"
        "    Path(f'done-{time.monotonic_ns()}').touch()\n    return float(x @ x)\n\n\n"
        "mine = optisolve.problem(f, [0.0] * 2, [1.0] * 2, name='mine', probes=1)\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    words = ["run", f"problem={file}:mine", "solver=random_search", "budget.evaluations=40", "pictures=false", "progress=lines"]
    begun = time.perf_counter()
    assert main([*words, "workers=2", "executor=process", "out=runs"]) == 130
    assert time.perf_counter() - begun < 60.0
    told = capsys.readouterr()
    assert re.search(r"interrupted after \d evaluations; what it found is evaluated again for the record", told.err), told.err
    (record,) = [read_record(path) for path in iter_records(tmp_path / "runs")]
    assert record.termination.status == "interrupted"
    assert 0 < record.used.evaluations < 40
    assert record.verified.point == "feasible"


def test_functions_of_this_process_alone_reach_the_workers():
    """As in a notebook: no module has these functions by name."""
    factor = 3.0
    problem = optisolve.problem(lambda x: factor * float(x @ x), [-1.0] * 2, [1.0] * 2, name="cell", probes=1)
    assert solved(problem, 10, workers=2).result_hash == solved(problem, 10).result_hash


def test_what_cannot_be_given_to_a_process_is_one_error():
    lock = threading.Lock()

    def held(x):
        with lock:
            return float(x[0])

    problem = optisolve.problem(held, 0.0, 1.0, name="held", probes=1)
    with pytest.raises(OptisolveError, match=r"held cannot be given to another process .*executor=thread"):
        solved(problem, 4, workers=2, executor="process")
    assert solved(problem, 4, workers=2, executor="thread").record.used.evaluations == 4


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"workers": 0}, "workers: got 0"),
        ({"executor": "threads"}, "executor: got 'threads'"),
        ({"executor": "serial", "workers": 4}, "workers: got 4, expected 1 with executor=serial"),
        (
            {"executor": "thread", "evaluation_limit_s": 1.0},
            "evaluation_limit_s: got 1.0, expected no limit with executor=thread",
        ),
        ({"evaluation_limit_s": -1.0}, "evaluation_limit_s: got -1.0"),
        ({"address": "auto"}, "address: got 'auto', expected executor=ray beside it"),
        ({"asynchronous": True}, "workers: got None, expected 2 or more with asynchronous=true"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, told):
    with pytest.raises(OptionError) as error:
        Workers(**settings)
    assert told in str(error.value)


def test_several_objectives_that_cost_seconds_need_a_box():
    def two(x):
        return [x[0], 1.0 - x[0]]

    slow = optisolve.problem(two, 0.0, 1.0, name="slow", probes=1, evaluation_s=2.0)
    with pytest.raises(OptisolveError, match=r"no scoring box; working one out takes 128 evaluations"):
        solved(slow, 4)
    boxed = optisolve.problem(two, 0.0, 1.0, name="slow", probes=1, evaluation_s=2.0, box=((2.0, 2.0), (0.0, 0.0)))
    assert solved(boxed, 4).hypervolume > 0.0


def test_the_command_line_takes_the_same_settings(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "import time\nimport optisolve\n\n\ndef f(x):\n    if x[0] > 0.8:\n        time.sleep(600)\n"
        "    return float(x @ x)\n\n\n"
        "mine = optisolve.problem(f, [0.0] * 2, [1.0] * 2, name='mine', probes=1)\n",
        encoding="utf-8",
    )
    words = ["run", f"problem={file}:mine", "solver=random_search", "budget.evaluations=10", "pictures=false", "seed=1"]
    code = main([*words, "workers=2", "evaluation_limit_s=0.5", f"out={tmp_path / 'runs'}"])
    shown = capsys.readouterr().out
    assert code == 0
    assert "could not be evaluated by the model and count as bad points; the first: killed after 0.5 s" in " ".join(
        shown.split()
    )
    assert main([*words, "executor=serial", "workers=3", f"out={tmp_path / 'runs'}"]) == 1
    assert "workers: got 3, expected 1 with executor=serial" in " ".join(capsys.readouterr().err.split())


# -- asynchronous runs ---------------------------------------------------------------------------------------------------


def uneven(_folder, x):
    """The time of an evaluation depends on the point; a batch of four waits for the slowest of them."""
    time.sleep(0.3 if x[0] > 0.5 else 0.02)


@pytest.mark.parametrize("solver", ["random_search", "moead", "moead_de", "moead_lo", "parego"])
def test_an_asynchronous_run_spends_its_budget_says_so_and_verifies(solver, tmp_path):
    problem = problem_that(troubles.is_nan, tmp_path)
    result = solved(problem, 60, solver, workers=3, executor="thread", asynchronous=True)
    record = result.record
    assert (result.termination, result.limit) == (Termination.LIMIT, Limit.EVALUATIONS)
    assert record.used.evaluations == 60 == len(result.run.evaluator.history)
    assert record.provenance.workers.asynchronous
    assert "the same seed gives another result" in record.provenance.notice
    assert result.point_status is PointStatus.FEASIBLE
    audit = optisolve.verify(record)
    assert audit, audit.problems


@pytest.mark.slow
@pytest.mark.parametrize("objectives", [1, 2])
def test_asynchronous_runs_search_as_well_as_those_in_batches(objectives):
    """No worker's freedom costs the search its sense: far better than random points, with a quarter of the steps."""

    def both(x):
        return [float(((x - c) ** 2).sum()) for c in (0.2, 0.6)][:objectives]

    box = None if objectives == 1 else ((2.0, 2.0), (0.0, 0.0))
    problem = optisolve.problem(both, [0.0] * 4, [1.0] * 4, name="bowls", probes=1, box=box)
    for solver, evaluations in (("moead_de", 800), ("parego", 60)):
        far = solved(problem, evaluations, solver, workers=4, executor="thread", asynchronous=True)
        blind = solved(problem, evaluations, "random_search")
        if objectives == 1:
            assert far.F.min() < 0.3 * blind.F.min(), solver
        else:
            assert far.hypervolume > blind.hypervolume, solver


def test_an_asynchronous_run_does_not_wait_for_the_slowest_of_a_batch(tmp_path):
    problem = problem_that(uneven, tmp_path, everywhere=True)
    together = solved(problem, 48, batch_size=4, workers=4, executor="thread")
    apart = solved(problem, 48, batch_size=4, workers=4, executor="thread", asynchronous=True)
    assert apart.record.used.wall_s < 0.8 * together.record.used.wall_s


def test_a_solver_that_works_in_batches_is_refused_with_the_names_of_those_that_do_not(tmp_path):
    with pytest.raises(SolverError, match=r"nsga2 works in whole batches.*moead_de.*parego"):
        solved(problem_that(troubles.raises, tmp_path), 20, "nsga2", workers=2, asynchronous=True)


def test_an_asynchronous_run_that_is_stopped_leaves_closed_accounts(tmp_path):
    problem = problem_that(uneven, tmp_path, everywhere=True)
    result = solved(problem, 400, workers=3, executor="process", asynchronous=True, callback=lambda p: p.evaluations > 20)
    assert result.termination is Termination.STOPPED
    assert result.record.used.evaluations == len(result.run.evaluator.history) < 30


def test_an_asynchronous_record_is_not_replayed(tmp_path):
    result = solved(problem_that(troubles.raises, tmp_path), 20, workers=2, executor="thread", asynchronous=True)
    with pytest.raises(OptisolveError, match="the run was asynchronous, so its seed does not repeat it"):
        replay(result.save(tmp_path / "runs"))


@pytest.mark.slow
def test_a_solver_that_verifies_on_its_way_does_it_in_the_workers(tmp_path):
    """`moe` evaluates answers of its experts once more; where that hangs, the limit holds there, too."""
    problem = problem_that(troubles.hangs, tmp_path)
    result = solved(problem, 40, "moe", workers=2, evaluation_limit_s=0.5)
    assert result.termination is not Termination.ERROR
    assert result.point_status is PointStatus.FEASIBLE
    mine = tmp_path / f"calls-{os.getpid()}"
    assert len(mine.read_text("utf-8").split()) == 1, "this process has made the problem, and evaluated nothing since"


def test_a_copy_that_comes_back_does_not_push_the_original_out():
    """A problem is found again by what it says, also after an instance has been packed and unpacked in this process."""
    problem = optisolve.problem(lambda x: float(x[0]), 0.0, 1.0, name="original", probes=1)
    unpacked(packed(problem.instance()))
    gc.collect()
    assert type(problem).from_mapping(problem.options()).instance().sha256 == problem.instance().sha256
