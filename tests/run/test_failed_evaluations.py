"""A model that cannot evaluate a point costs that point, by the problem's policy, and nothing else; all of it is recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.core.errors import ProblemError, SolverError
from optisolve.core.problem import FAILED_VIOLATION, Evaluation
from optisolve.core.status import PointStatus, Termination
from optisolve.trust.replay import replay

pytestmark = pytest.mark.usefixtures("plugins")

WAYS = ("nan", "raise", "timeout", "constraint")
SOLVERS = ("random_search", "moead", "moead_de", "nsga2", "cma_es", "scipy_local", "moe")


def run(solver="random_search", evaluations=300, **params):
    instance = optisolve.load_problem("fragile", **params).instance(0)
    return optisolve.solve(instance, solver, budget=optisolve.Budget(evaluations=evaluations), seed=1)


@pytest.mark.parametrize("fails", WAYS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_goes_on_and_its_record_holds(solver, fails, tmp_path):
    result = run(solver, fails=fails)
    used, told = result.record.used, result.record.provenance.failed
    assert result.termination is not Termination.ERROR, result.run.outcome.detail
    assert 0 < used.failed <= used.evaluations <= 300
    assert told.policy == "penalize"
    assert "x0 = 0.0" in told.first, "the point is named"
    assert told.first.isprintable()
    assert result.point_status is PointStatus.FEASIBLE
    assert (result.X[:, 0] >= 0.1).all(), "a failed point was returned"
    audit = optisolve.verify(result.save(tmp_path))
    assert audit, audit.problems


def test_two_objectives_keep_failed_points_out_of_the_front():
    result = run("moead_de", objectives=2, fails="raise", evaluations=600)
    assert (result.X[:, 0] >= 0.1).all()
    assert result.hypervolume > 0.3
    history = result.run.evaluator.history
    assert (history.violation == FAILED_VIOLATION).sum() == result.record.used.failed
    assert np.isfinite(history.F_min).all()


def test_one_bad_point_in_a_batch_costs_no_other_point_its_value():
    """An exception fails a whole call; the others of the batch are found out one by one."""
    whole, broken = run(fails="never"), run(fails="raise")
    fine = broken.run.evaluator.history.violation == 0.0
    assert 0 < (~fine).sum() < 60
    assert np.array_equal(whole.run.evaluator.history.F_min[fine], broken.run.evaluator.history.F_min[fine])


def test_what_is_skipped_costs_no_evaluation():
    result = run(policy="skip")
    assert result.record.used.evaluations == 300 == len(result.run.evaluator.history)
    assert result.record.used.failed > 10
    assert (result.run.evaluator.history.violation == 0.0).all()
    assert optisolve.verify(result.record)


def test_a_model_that_mostly_fails_cannot_be_skipped_for_ever():
    result = run(policy="skip", share=0.999, evaluations=2000)
    assert result.termination is Termination.LIMIT
    assert result.record.used.failed >= 2000
    assert result.record.used.evaluations < 20


def test_stop_names_problem_and_point():
    result = run(policy="stop", fails="raise", share=0.001, evaluations=5000)
    assert result.termination is Termination.ERROR
    detail = result.run.outcome.detail
    assert detail.startswith("fragile: the model cannot evaluate a point: RuntimeError: the simulator did not converge")
    assert "x0 = " in detail
    with pytest.raises(SolverError, match=r"fragile: .*F\[0\] = nan at x0 = "):
        run(policy="stop")


def test_a_model_that_never_works_is_an_error_with_its_own_words():
    with pytest.raises(SolverError, match="none of 300 points; the first: RuntimeError: the simulator"):
        run(fails="raise", share=2.0)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ProblemError, match=r"fragile: on_failure is 'ignore', expected one of .*'skip'"):
        run(policy="ignore")


def test_the_hash_repeats_and_a_replay_agrees(tmp_path):
    first, second = run("moead_de", fails="raise"), run("moead_de", fails="raise")
    assert first.result_hash == second.result_hash
    assert replay(first.save(tmp_path)).same


def test_the_screen_tells_how_many_failed_and_why(tmp_path, capsys):
    code = main(["run", "problem=fragile", "problem.fails=raise", "solver=random_search", "pictures=false", f"out={tmp_path}"])
    shown = capsys.readouterr().out
    assert code == 0
    assert "could not be evaluated by the model and count as bad points; the first: RuntimeError: the simulator did" in shown
    assert "\x1b[31m" not in shown


def test_a_forged_count_of_failures_is_refused():
    record = run().record.to_json()
    record["used"]["failed"] = 1000
    assert any(problem.field == "used.failed" for problem in optisolve.verify(record).problems)


# -- errors of ours ------------------------------------------------------------------------------------------------------


def test_a_kernel_that_is_not_its_twin_is_shown_and_claims_nothing(tmp_path, capsys):
    """As after an update under which a compiled kernel kept an old function."""
    words = [
        "run",
        "problem=fragile",
        "problem.fails=never",
        "problem.twin_factor=2.0",
        "solver=random_search",
        "pictures=false",
    ]
    assert main([*words, "budget.evaluations=200", f"out={tmp_path}"]) == 2
    assert "disagree on the returned points: f0 is" in capsys.readouterr().err
    (file,) = tmp_path.glob("*/record.json")
    record = json.loads(file.read_text("utf-8"))
    assert record["provenance"]["tier"] == "self_reported"
    assert "fragile disagree" in record["provenance"]["errors"][0]


def test_one_evaluation_that_does_not_repeat_itself_is_shown_and_claims_nothing(monkeypatch):
    """With no kernel there is no twin to compare with at run time; that its values change is seen all the same."""
    instance = optisolve.load_problem("parallel_channels").instance(0)
    assert not instance.has_twin
    original, calls = type(instance)._evaluate, []

    def drifting(self, X):
        calls.append(1)
        F, G, H = original(self, X)
        return Evaluation(F * (1.0 + 1e-3 * len(calls)), G, H)

    monkeypatch.setattr(type(instance), "_evaluate", drifting)
    result = optisolve.solve(instance, "moead_de", budget=optisolve.Budget(evaluations=200), seed=1)
    (text,) = result.record.provenance.errors
    assert "evaluating the returned points of parallel_channels again gives other values" in text
    assert result.record.provenance.tier == "self_reported"


def test_a_shipped_model_that_fails_is_an_error_of_ours_and_not_the_end(monkeypatch):
    problem = optisolve.load_problem("parallel_channels")
    instance = problem.instance(0)
    original = type(instance)._evaluate

    def sometimes(self, X):
        made = original(self, X)
        made.F[X[:, 0] > 0.3 * self.space.upper[0]] = np.nan
        return made

    monkeypatch.setattr(type(instance), "_evaluate", sometimes)
    result = optisolve.solve(instance, "moead_de", budget=optisolve.Budget(evaluations=400), seed=1)
    assert result.record.used.failed > 0
    assert result.record.provenance.tier == "self_reported"
    assert "parallel_channels, which comes with optisolve, could not evaluate" in result.record.provenance.errors[0]


def test_no_shipped_family_disagrees_with_itself():
    for name in ("uav_isac", "power_control", "noma_uav", "offloading", "nsp_utility", "pymoo"):
        instance = optisolve.load_problem(name).instance(0)
        result = optisolve.solve(instance, "moead_de", budget=optisolve.Budget(evaluations=200), seed=1)
        assert not result.record.provenance.errors, name
