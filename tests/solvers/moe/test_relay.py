"""The chain for several objectives: nothing is paid twice, a stage's failure is its own, small budgets and clocks are kept."""

from __future__ import annotations

import dataclasses
import re
import time

import numpy as np
import pytest

import optisolve
from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import SolverError
from optisolve.core.solver import Task
from optisolve.core.status import Termination
from optisolve.run.evaluator import Evaluator
from optisolve.solvers.ddpm import start as sampler
from optisolve.solvers.moe import stages
from optisolve.solvers.moe.page import explanation_page
from optisolve.solvers.moe.paid import Paid
from optisolve.solvers.moe.relay import Relay
from optisolve.solvers.moe.stages import Account, Stage, predicted_share, share_of
from optisolve.testing.toys import toy_instances
from tests.solvers.moe.toys import Breaks


@pytest.fixture(scope="module")
def uavs():
    return optisolve.load_problem("uav_isac").instance(21)


def task_for(instance, evaluations=200, seconds=None, seed=3):
    meter = BudgetMeter(Budget(evaluations=evaluations, seconds=seconds))
    evaluator = Evaluator(instance, meter, keep=True)
    return Task(instance=instance, evaluate=evaluator, recorder=evaluator, meter=meter, seed=seed, solver_name="moe")


def chain(instance, evaluations, seed=1, **options):
    return optisolve.solve(instance, "moe", budget=Budget(evaluations=evaluations), seed=seed, reference=None, **options)


def facts(result, step):
    return [entry["facts"] for entry in result.record.used.report["explanation"] if entry["step"] == step]


@pytest.mark.parametrize("evaluations", [1, 2, 3, 5, 20])
def test_the_smallest_budgets_are_spent_and_answered(uavs, evaluations):
    for instance in (uavs, toy_instances()[0]):
        result = chain(instance, evaluations)
        assert result.record.used.evaluations == evaluations
        assert len(result.X) >= 1


def test_stages_stand_in_their_order_and_their_credit_adds_up_to_the_hypervolume(uavs):
    result = chain(uavs, 120)
    ran = facts(result, "stage")
    assert [f["stage"] for f in ran][:3] == ["null", "ddpm", "front_descent"]
    assert sum(f["evaluations"] for f in ran) == 120
    assert ran[-1]["after"] == pytest.approx(result.hypervolume, rel=1e-9)
    credit = facts(result, "chain")[0]["credit"]
    assert sum(part["gain"] for part in credit.values()) == pytest.approx(result.hypervolume, rel=1e-9)
    report = result.record.used.report["stages"]
    assert {name: part["evaluations"] for name, part in credit.items()} == {n: p["evaluations"] for n, p in report.items()}


def test_credit_adds_up_where_the_first_points_miss_the_scoring_box():
    result = chain(optisolve.load_problem("pymoo/zdt2_shifted", n_variables=3).instance(20), 30)
    first, *_ = facts(result, "stage")
    assert first["stage"] == "null"
    assert first["after"] > result.hypervolume > 0.0, "the trivial answers were not measured in another box"
    credit = facts(result, "chain")[0]["credit"]
    assert credit["null"]["gain"] == 0.0
    assert all(part["gain"] >= 0.0 for part in credit.values()), credit
    assert sum(part["gain"] for part in credit.values()) == pytest.approx(result.hypervolume, rel=1e-9)
    assert all(f["gain"] == pytest.approx(f["after"] - f["before"]) for f in facts(result, "stage"))


@pytest.mark.parametrize(("evaluations", "most"), [(5, 1), (50, 3), (200, 8)])
def test_trivial_answers_are_of_every_policy_and_no_population(evaluations, most):
    function = optisolve.load_problem("pymoo/zdt2_shifted").instance(20)
    count = stages.trivial_count(function, evaluations, sampled=False)
    assert count == most
    X = stages.trivial_points(function, count)
    assert len(X) == most
    if most >= 3:
        policies = list(function.null_policies().values())
        assert all(any((x == np.atleast_2d(policy)).all(axis=1).any() for x in X) for policy in policies)


def test_seconds_stand_by_source_and_outside_of_the_hash(uavs):
    used = chain(uavs, 60).record.used
    assert set(used.seconds_by_source) == set(used.by_source)
    assert 0.0 < sum(used.seconds_by_source.values()) <= used.wall_s + 0.01


def test_the_chain_is_better_than_its_parts_alone(uavs):
    reached = chain(uavs, 100).hypervolume
    for solver in ("ddpm", "moead_de", "nsga2"):
        alone = optisolve.solve(uavs, solver, budget=Budget(evaluations=100), seed=1, reference=None).hypervolume
        assert reached > alone, solver


def test_same_seed_same_hash_and_another_seed_another_one(uavs):
    first, second, other = chain(uavs, 80), chain(uavs, 80), chain(uavs, 80, seed=2)
    assert first.result_hash == second.result_hash != other.result_hash


def test_no_point_is_paid_for_twice(uavs):
    """Values once, and slopes once beside them."""
    task = task_for(uavs, 250)
    from optisolve.core.evaluation import watching

    with watching(uavs, task.evaluate):
        Relay(task).run()
    X = np.concatenate([points for points, *_ in task.evaluate.history.points])
    labels = np.array(task.evaluate.history.sources)[task.evaluate.history.source]
    slopes = np.array([label.endswith("jacobian") for label in labels])
    for part in (X[slopes], X[~slopes]):
        assert len(np.unique(part, axis=0)) == len(part) > 0
    assert task.meter.evaluations == len(X) == 250


def test_what_is_known_is_answered_from_memory_and_a_look_costs_once_more():
    instance = toy_instances()[0]
    task = task_for(instance)
    paid = Paid(task)
    X = instance.project(instance.space.sample(np.random.default_rng(0), 4))
    first = paid(X)
    assert paid.price(X, looks=False) == 0
    assert np.array_equal(paid(np.concatenate([X[2:], X[:1], X[:1]])).F, first.F[[2, 3, 0, 0]])
    assert task.meter.evaluations == len(paid) == 4
    assert paid.price(X[:2], looks=True) == 2
    paid.look(X[:2])
    paid.look(X[:2])
    assert (task.meter.evaluations, len(paid)) == (6, 4)
    assert np.array_equal(paid.known().X, X)


def test_who_asks_for_known_points_for_ever_is_stopped():
    instance = toy_instances()[0]
    paid = Paid(task_for(instance))
    X = instance.project(instance.space.sample(np.random.default_rng(0), 3))
    paid(X)
    assert sum(paid.price(X, looks=False) for _ in range(100)) > 100


def test_a_stage_that_breaks_is_on_the_log_and_the_chain_goes_on(monkeypatch):
    instance = toy_instances()[0]
    broken = (Stage("null", "trivial"), Stage("parego", "surrogate", Breaks()), Stage("moead_de", "evolution", _de()))
    monkeypatch.setattr("optisolve.solvers.moe.relay.find_stages", lambda *a, **k: (broken, {}))
    result = chain(instance, 60)
    ran = facts(result, "stage")
    failed = [f for f in ran if f["ended"] == "error"]
    assert len(failed) == 1
    assert "ZeroDivisionError" in failed[0]["detail"]
    assert ran[-1]["stage"] == "moead_de"
    assert result.record.used.evaluations == 60
    assert "it brought nothing" in explanation_page(result.record.used.report["explanation"])


def test_weights_that_cannot_be_read_are_on_the_log_and_the_chain_goes_on(uavs, monkeypatch):
    def unreadable(*arguments):
        raise OSError("weights are torn")

    monkeypatch.setattr(sampler, "sampled_points", unreadable)
    for evaluations in (2, 60):
        result = chain(uavs, evaluations)
        told = next(f for f in facts(result, "stage") if f["stage"] == "ddpm")
        assert "weights are torn" in told["detail"]
        assert result.record.used.evaluations == evaluations


def test_nobody_who_can_go_on_ends_the_run_before_its_budget(monkeypatch):
    instance = toy_instances()[0]
    monkeypatch.setattr(
        "optisolve.solvers.moe.relay.find_stages", lambda *a, **k: ((Stage("parego", "surrogate", Breaks()),), {})
    )
    result = chain(instance, 60)
    assert result.termination is Termination.LIMIT
    assert "brings anything new" in result.record.termination.detail


def test_a_limit_on_seconds_holds_without_one_on_evaluations(uavs):
    start = time.perf_counter()
    result = optisolve.solve(uavs, "moe", budget=Budget(seconds=1.0), seed=1, reference=None)
    assert time.perf_counter() - start < 6.0
    assert result.record.used.evaluations > 20


def test_a_user_s_own_function_goes_without_sampler_and_slopes():
    def two(x):
        return np.array([x[0], 1.0 - x[0] + float((x[1:] ** 2).sum())])

    problem = optisolve.problem(two, 0.0, 1.0, names=list("abc"), objectives=["f", "g"], name="own")
    result = chain(problem.instance(0), 40)
    assert set(result.record.used.report["stages"]) == {"null", "parego"}
    assert result.record.used.evaluations == 40
    assert "Jacobian" in facts(result, "stages")[0]["left_out"]["front_descent"]


def test_the_gate_is_reached_by_naming_it_or_its_experts(uavs):
    for options in ({"several": "gate"}, {"gate": "rule"}, {"experts": ("moead_de",)}):
        assert "gate" in chain(uavs, 40, **options).record.used.report
    assert "stages" in chain(uavs, 40, several="chain", experts=("null", "ledma")).record.used.report


def test_a_chain_of_strangers_is_one_clear_error(uavs):
    with pytest.raises(SolverError, match=r"stages null, ddpm.*nsga2 can be experts with several=gate"):
        chain(uavs, 40, several="chain", experts=("nsga2",))
    with pytest.raises(SolverError, match="no stage searches here"):
        chain(uavs, 40, several="chain", experts=("null",))


def test_stages_are_left_out_by_name(uavs):
    result = chain(uavs, 60, without=("ddpm", "front_descent"))
    assert list(result.record.used.report["stages"]) == ["null", "parego"]
    assert result.record.solver.checkpoint is None
    assert chain(uavs, 5).record.solver.checkpoint is not None


def test_evolution_is_worth_asking_for_long_shares_only():
    evolution, descent = Stage("e", "evolution"), Stage("d", "gradient")
    worn = Account(rate=1e-4, fresh=1000, slices=1)
    for left, first in ((200, descent), (20_000, evolution)):
        asked = share_of(evolution, Account(), 1000, left, refined=True)
        worth = {evolution: predicted_share(evolution, Account(), 1000, left, asked)}
        usual = Account(rate=5e-3, fresh=1000, slices=1)
        worth[descent] = predicted_share(descent, usual if left == 200 else worn, 1000, left, left)
        assert max(worth, key=worth.get) is first
    assert share_of(Stage("s", "surrogate"), Account(), stages.SURROGATE_UNTIL, 100, refined=False) == 0


def test_every_number_of_the_page_traces_to_its_entry(uavs):
    entries = chain(uavs, 120).record.used.report["explanation"]
    page = explanation_page(entries)
    assert "**front_descent** (PREDICTED_GAIN)" in page
    for line in page.splitlines():
        match = re.search(r"(.*) \[(\d+)\]$", line)
        if match is None:
            continue
        known = [float(n) for n in re.findall(r"-?\d+\.?\d*(?:e[-+]?\d+)?", str(entries[int(match[2])]["facts"]))]
        for number in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[-+]?\d+)?(?![\w])", match[1]):
            assert any(abs(float(number) - k) <= 1e-2 * max(abs(k), 1e-9) for k in known), (number, line)


def _de():
    return dataclasses.replace(optisolve.load_solver("moead_de"), pop_size=10)
