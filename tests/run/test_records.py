"""Records: same seed same hash, nothing lost, forgeries named."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import ClassVar

import joblib
import numpy as np
import pytest

import optisolve
from optisolve.core import Budget, Limit, Outcome, PointStatus, Solver, SolverInfo, Task, Termination
from optisolve.core.errors import (
    BudgetExhausted,
    FieldProblem,
    MissingDependency,
    OptionError,
    RecordError,
    SolverError,
    UnknownNameError,
)
from optisolve.registry import Registry
from optisolve.run.records import build_record, read_record
from optisolve.testing.toys import ShiftedZdt1, SumCapSphere
from optisolve.trust.audit import audit_record
from tests.forging import seal


class ToyRegistry(Registry):
    def get(self, name):
        return {"toy_zdt1": ShiftedZdt1, "toy_sphere": SumCapSphere}[name]


TOYS = ToyRegistry("problem", "none", ShiftedZdt1)


@dataclass(frozen=True, slots=True)
class Sampler(Solver):
    info: ClassVar[SolverInfo] = SolverInfo("sampler", "1", "uniform samples, then something goes wrong if asked")
    then: str = "stop"

    def _solve(self, task: Task) -> Outcome:
        rng = task.rng()
        while task.meter.remaining_evaluations >= 50:
            task.evaluate(task.instance.project(task.instance.space.sample(rng, 50)), source="random")
            if task.meter.evaluations >= 100 and self.then != "stop":
                self._misbehave(task)
        return task.outcome(Termination.LIMIT, Limit.EVALUATIONS)

    def _misbehave(self, task: Task) -> None:
        if self.then == "interrupt":
            raise KeyboardInterrupt
        if self.then == "overspend":
            task.evaluate(task.instance.space.sample(task.rng(), 10_000))
        raise ZeroDivisionError("a bug of the plug-in")


def run(then="stop", seed=3, problem=None, **kwargs):
    instance = (problem or ShiftedZdt1()).instance(2)
    return optisolve.solve(instance, Sampler(then=then), budget=Budget(evaluations=400), seed=seed, **kwargs)


def test_same_seed_same_result_hash_another_seed_another_one():
    assert run().result_hash == run().result_hash
    assert run(seed=4).result_hash != run().result_hash


def test_record_id_tells_two_runs_apart_run_id_does_not():
    first, second = run().record, run().record
    assert first.provenance.run_id == second.provenance.run_id
    assert first.record_id != second.record_id


@pytest.mark.parametrize(
    ("then", "termination", "limit"),
    [("interrupt", "interrupted", None), ("overspend", "limit", "evaluations"), ("bug", "error", None)],
)
def test_what_was_evaluated_is_kept_whatever_happens(then, termination, limit):
    result = run(then)
    assert result.record.termination.status == termination
    assert result.record.termination.limit == limit
    assert result.point_status is PointStatus.FEASIBLE
    assert result.record.used.evaluations == 100
    assert audit_record(result.record, TOYS)


def test_an_interrupt_that_foreign_code_swallows_still_stops_the_run():
    @dataclass(frozen=True, slots=True)
    class Swallower(Sampler):
        def _misbehave(self, task: Task) -> None:
            with contextlib.suppress(KeyboardInterrupt):  # as a callback of a compiler would
                signal.raise_signal(signal.SIGINT)

    result = optisolve.solve(ShiftedZdt1().instance(2), Swallower(then="x"), budget=Budget(evaluations=400))
    assert result.termination is Termination.INTERRUPTED
    assert result.record.used.evaluations == 100
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_solver_that_breaks_at_once_is_an_error_not_an_empty_record():
    @dataclass(frozen=True, slots=True)
    class Broken(Solver):
        info: ClassVar[SolverInfo] = SolverInfo("broken", "1", "raises")

        def _solve(self, task: Task) -> Outcome:
            raise ValueError("no")

    with pytest.raises(SolverError, match="broke before its first evaluation"):
        optisolve.solve(ShiftedZdt1().instance(0), Broken(), budget=Budget(evaluations=5))


@pytest.mark.parametrize("budget", [Budget(), Budget(llm_calls=optisolve.UNLIMITED)])
def test_a_run_without_any_limit_is_refused(budget):
    with pytest.raises(SolverError, match=r"budget\.evaluations"):
        optisolve.solve(ShiftedZdt1().instance(0), Sampler(), budget=budget)


def test_gains_by_source_add_up():
    multi, single = run(), run(problem=SumCapSphere())
    assert multi.record.used.by_source["random"].hypervolume_gain == pytest.approx(multi.hypervolume)
    values = single.trace["closeness"].dropna()
    gain = single.record.used.by_source["random"].objective_gain
    assert gain == pytest.approx(values.iloc[-1] - values.iloc[0])


def test_saved_records_come_back_as_a_table_and_parquet(tmp_path):
    import pandas as pd

    result = run()
    folder = result.save(tmp_path)
    assert folder.name == result.record.record_id
    assert (folder / "record.json").read_bytes() == result.record.to_bytes()
    assert read_record(folder) == result.record
    table = optisolve.load_records(tmp_path)
    assert table.loc[0, "scores.hypervolume"] == result.hypervolume
    front = pd.read_parquet(folder / "front.parquet")
    assert np.array_equal(front[list(result.instance.space.names)].to_numpy(), result.front[list(result.instance.space.names)])
    assert list(pd.read_parquet(folder / "trace.parquet").columns) == ["evaluations", "seconds", "hypervolume", "violation"]


def test_a_folder_without_records_and_a_damaged_record_are_clear_errors(tmp_path):
    with pytest.raises(RecordError, match=r"no record\.json"):
        optisolve.load_records(tmp_path)
    (tmp_path / "record.json").write_text('{"schema": "optisolve.record/1", "seed": NaN}')
    with pytest.raises(RecordError, match="not valid JSON"):
        optisolve.load_records(tmp_path)
    (tmp_path / "record.json").write_text('{"schema": "other"}')
    with pytest.raises(RecordError, match="schema"):
        optisolve.load_records(tmp_path)


def _set(record, path, value):
    *parents, last = path.split(".")
    for key in parents:
        record = record[int(key)] if isinstance(record, list) else record[key]
    record[int(last) if isinstance(record, list) else last] = value


FORGERIES = {
    "verified.F.0.1": 0.0,
    "verified.point": "infeasible",
    "verified.max_violation": 0.5,
    "scores.hypervolume": 0.99,
    "scores.box": {"reference": [9.0, 9.0], "ideal": [0.0, 0.0]},
    "solutions.x.0.1": 0.123,
    "solutions.x.0.0": float("1e9"),
    "instance.seed": 99,
    "instance.params.n_variables": 7,
    "instance.version": "0",
    "instance.sha256": "0" * 64,
    "used.evaluations": 401,
    "used.llm_calls": -1,
    "budget.evaluations": 1,
    "seed": "three",
    "trace": None,
    "solutions.x": "many",
}


@pytest.mark.parametrize("path", FORGERIES)
def test_a_forged_field_is_found_even_when_the_hashes_were_made_anew(path):
    forged = run().record.to_json()
    _set(forged, path, FORGERIES[path])
    with contextlib.suppress(TypeError, KeyError):  # not even hashable: the audit must still answer
        forged = seal(forged)
    audit = audit_record(forged, TOYS)
    assert not audit
    assert audit.problems[0].field


def test_an_edited_record_no_longer_fits_its_hashes():
    forged = run().record.to_json()
    forged["seed"] = 77
    fields = {problem.field for problem in audit_record(forged, TOYS).problems}
    assert {"result_hash", "record_id", "provenance.run_id"} <= fields


def test_a_genuine_record_passes_after_a_round_trip_through_json():
    for problem in (ShiftedZdt1(), SumCapSphere(), SumCapSphere(integers=True)):
        assert audit_record(json.loads(run(problem=problem).record.to_bytes()), TOYS)


def test_points_to_start_from_stand_in_the_record_and_are_part_of_what_was_asked(tmp_path):
    instance, budget = optisolve.load_problem("uav_isac", n_uavs=1, n_users=3).instance(0), Budget(evaluations=120)
    cold = optisolve.solve(instance, "moead_de", budget=budget, pop_size=12, n_neighbors=6)
    warm = optisolve.solve(instance, "moead_de", budget=budget, pop_size=12, n_neighbors=6, warm_start=cold.X[:5])
    assert cold.record.warm_start is None
    assert b"warm_start" not in cold.record.to_bytes()
    np.testing.assert_array_equal(warm.record.warm_start, cold.X[:5])
    assert warm.result_hash != cold.result_hash
    assert warm.record.provenance.run_id != cold.record.provenance.run_id
    folder = warm.save(tmp_path)
    again = optisolve.replay(folder)
    assert again.same, again.reason
    assert optisolve.verify(folder, reproduce=True).tier == "reproduced"


def test_a_start_from_no_points_is_no_warm_start():
    instance, budget = optisolve.load_problem("uav_isac", n_uavs=1, n_users=3).instance(0), Budget(evaluations=60)
    empty = optisolve.solve(instance, "moead_de", budget=budget, warm_start=np.empty((0, instance.space.dim)))
    assert empty.result_hash == optisolve.solve(instance, "moead_de", budget=budget).result_hash


@pytest.mark.parametrize("bad", [[[0.0]], "points", [[float("nan")] * 3], np.zeros((2, 2, 2))])
def test_points_to_start_from_that_do_not_fit_are_refused_before_the_run(bad):
    with pytest.raises(SolverError, match="warm_start"):
        optisolve.solve(optisolve.load_problem("uav_isac"), "random_search", warm_start=bad)


def test_a_folder_inside_of_the_run_s_own_is_refused(tmp_path):
    scratch = tmp_path / "run"
    scratch.mkdir()
    result = optisolve.solve(
        optisolve.load_problem("parallel_channels").instance(0), "random_search", budget=Budget(evaluations=20), scratch=scratch
    )
    for inside in (scratch, scratch / "records"):
        with pytest.raises(RecordError, match="beside it"):
            result.save(inside)
    assert result.save(tmp_path / "records").is_dir()


def _solved(seed):
    return optisolve.solve(
        optisolve.load_problem("power_control").instance(0), "wmmse", budget=Budget(evaluations=60), seed=seed
    )


class Fussy(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


@dataclass(frozen=True, slots=True)
class Breaks(Sampler):
    def _misbehave(self, task: Task) -> None:
        raise Fussy("one", "two")


@pytest.mark.parametrize("copies", ["pickle", "deepcopy", "cloudpickle", "processes", "joblib"])
def test_a_result_can_be_copied_and_sent_to_another_process(copies, tmp_path):
    """As from a process pool that runs many seeds, which is how people do statistics of their own."""
    here = _solved(3)
    if copies == "processes":
        with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
            (there,) = pool.map(_solved, [3])
    elif copies == "joblib":
        (there,) = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(_solved)(seed) for seed in [3])
    elif copies == "cloudpickle":
        there = pickle.loads(pytest.importorskip("cloudpickle", reason="needs the extra [mlflow]").dumps(here))
    else:
        there = copy.deepcopy(here) if copies == "deepcopy" else pickle.loads(pickle.dumps(here))
    assert there.result_hash == here.result_hash
    assert np.array_equal(there.X, here.X)
    assert there.front.equals(here.front)
    assert optisolve.verify(there.save(tmp_path))
    there.run.meter.settle(there.run.meter.reserve(tokens=1, usd=0.0, paid=True), tokens_in=1, tokens_out=0, usd=0.0)


def test_a_result_with_a_foreign_exception_can_be_copied():
    result = optisolve.solve(ShiftedZdt1().instance(0), Breaks(then="break"), budget=Budget(evaluations=400))
    assert str(pickle.loads(pickle.dumps(result)).run.error) == "Fussy: one and two"


def test_errors_survive_copies():
    for error in (
        BudgetExhausted(Limit.TIME, "2 s"),
        UnknownNameError("solver", "moad", ["moead"]),
        MissingDependency("torch", extra="diffusion"),
        OptionError("solver", [FieldProblem("a", 1, "2")]),
    ):
        again = copy.deepcopy(error)
        assert (type(again), str(again)) == (type(error), str(error))
        assert set(again.__dict__) == set(error.__dict__)


def test_a_record_is_made_once_when_somebody_asks_and_says_when_the_run_ended(monkeypatch):
    made = []

    def counted(*args, **kwargs):
        made.append(kwargs["ended"])
        return build_record(*args, **kwargs)

    monkeypatch.setattr("optisolve.run.solve.build_record", counted)
    result = optisolve.solve(optisolve.load_problem("power_control", n_links=3).instance(1), "null")
    assert (result.X.shape, result.feasible, made) == ((1, 3), True, [])
    assert result.record is result.record
    assert result.record.used.peak_mb == made[0].peak_mb
    assert len(made) == 1
