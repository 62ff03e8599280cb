"""Typed goals on instances: native where the family can, verified by its equations, contradictions with computed ways out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import optisolve
from optisolve.core.errors import OptionError
from optisolve.core.reference import Effort
from optisolve.core.status import Evidence
from optisolve.goals import with_goal
from optisolve.goals.goal import Goal, bounds_of, goal_from
from optisolve.goals.goal_instance import GoalInstance
from optisolve.registry import make_problem
from optisolve.words.ask.requests import ask, check_clauses, goal_families
from optisolve.words.ask.satisfy import check_satisfiable

ROOT = Path(__file__).parents[3]
GAME = "power_game"
SAVE = {"metric": "total_power", "op": ">=", "value": 5, "unit": "%", "change": "saving"}
MIN_POWER = {"sense": "min", "terms": [{"metric": "total_power"}]}


def rate(value, unit, *users):
    return {"metric": "rate", "op": ">=", "value": value, "unit": unit, "users": list(users)}


def solved(problem, goal, seed=0):
    made = optisolve.load_problem("goal", problem=problem, goal=goal)
    instance = made.instance(seed)
    return made, instance, made.reference(instance, Effort.QUICK)


def test_a_saving_in_percent_is_a_bound_on_the_present_total():
    instance = optisolve.load_problem(GAME).instance(0)
    bound = bounds_of(goal_from({"constraints": [SAVE]}), instance.metrics())[0]
    assert (bound.metric, bound.upper, bound.value) == ("total_power", True, pytest.approx(0.95 * 17.0))


def test_the_zou_intent_is_native_and_its_optimum_the_closed_form():
    _, instance, reference = solved(GAME, {"constraints": [SAVE, rate(15.8, "kbps", 2)]})
    assert not isinstance(instance, GoalInstance)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert reference.value == pytest.approx(10.1163, abs=1e-4)
    assert np.allclose(reference.X[0], [1.1938, 2.4936, 3.0685, 3.3603], atol=1e-4)


CASES = {
    "game": (GAME, {"objective": MIN_POWER, "constraints": [rate(10, "kbps", 2)]}),
    "game max-min": (GAME, {"objective": {"sense": "maxmin", "terms": [{"metric": "rate"}]}, "keep": False}),
    "links": ("power_control/gaussian_k5_10db", {"objective": MIN_POWER, "constraints": [rate(0.2, "bit/s/Hz", 1, 3)]}),
    "links capped": (
        "power_control/gaussian_k5_10db",
        {"constraints": [{"metric": "total_power", "op": "<=", "value": 2, "unit": "W"}]},
    ),
    "nsp": ("nsp_utility", {"objective": MIN_POWER, "constraints": [rate(20, "Mbps")]}),
    "channels": (
        "parallel_channels",
        {"objective": MIN_POWER, "constraints": [{"metric": "sum_rate", "op": ">=", "value": 8, "unit": "bit/s/Hz"}]},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_fast_and_readable_evaluation_agree_and_records_are_verified(case):
    problem, goal = CASES[case]
    _, instance, reference = solved(problem, goal)
    X = instance.space.sample(np.random.default_rng(0), 40)
    fast, twin = instance.evaluate(X), instance.evaluate_twin(X)
    assert np.allclose(fast.F, twin.F, rtol=1e-12)
    assert np.allclose(fast.G, twin.G, rtol=1e-10, atol=1e-12)
    result = optisolve.solve(instance, "cma_es", budget=optisolve.Budget(evaluations=150), reference=reference)
    assert optisolve.verify(result.record)  # the family `goal` makes the same instance again


@pytest.mark.parametrize("case", ["game", "links", "nsp", "channels"])
def test_certified_optima_meet_every_clause_of_the_goal(case):
    problem, goal = CASES[case]
    _, _, reference = solved(problem, goal)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    base = optisolve.load_problem(problem).instance(0)
    checks = check_clauses(base, goal_from(goal), reference.X[0])
    assert checks
    assert all(check.holds for check in checks)


def test_a_goal_replaces_what_it_speaks_about_and_keeps_the_rest():
    base = optisolve.load_problem(GAME).instance(0)
    _, kept, reference = solved(GAME, {"constraints": [rate(10, "kbps", 2)]})
    thresholds = kept.cell.rate_threshold_bit_s
    assert thresholds.tolist() == [3500.0, 10_000.0, 4400.0, 1000.0]
    _, dropped, _ = solved(GAME, {"constraints": [rate(10, "kbps", 2)], "keep": False})
    assert dropped.cell.rate_threshold_bit_s.tolist() == [0.0, 10_000.0, 0.0, 0.0]
    assert reference.value < 10.1163  # a lower threshold needs less power
    assert base.cell.rate_threshold_bit_s[1] == 15_800.0  # the instance itself is left untouched


@pytest.mark.parametrize(
    ("goal", "told"),
    [
        ({"constraints": [rate(5, "kbps", 9)]}, "users 1 to 4"),
        ({"constraints": [{"metric": "delay", "op": "<=", "value": 1, "unit": "s"}]}, "one of rate, total_power, power"),
        ({"constraints": [{"metric": "total_power", "op": "<=", "value": 30, "unit": "dB"}]}, "dBm or dBW"),
        ({"constraints": [{"metric": "total_power", "op": "<=", "value": 5, "unit": "%"}]}, "% of what"),
        ({"constraints": [{**SAVE, "value": 200}]}, "more than the present"),
        ({"constraints": [{**rate(5, "kbps", 1), "change": "saving"}]}, "no present value"),
        ({"objective": {"sense": "maxmin", "terms": [{"metric": "total_power"}]}}, "one value per user"),
        ({"constraints": [rate(float("nan"), "kbps", 1)]}, "finite"),
        ({"constraints": [rate(1e40, "kbps", 1)]}, "less than or equal"),
        ({"nonsense": 1}, "one of objective, constraints, keep"),
        ({"constraints": [{**rate(5, "kbps", 1), "usres": [1]}]}, "did you mean 'users'"),
        ({"problem": GAME, "goal": {}}, "stands under 'goal:', in a file of its own"),
        ({"ambiguities": ["whose rate?"], "constraints": [rate(5, "kbps", 1)]}, "ambiguities"),
    ],
)
def test_a_goal_that_does_not_fit_names_the_field(goal, told):
    instance = optisolve.load_problem(GAME).instance(0)
    with pytest.raises(OptionError, match=told):
        instance.with_goal(goal_from(goal))


def test_all_problems_of_a_goal_are_listed_at_once():
    instance = optisolve.load_problem(GAME).instance(0)
    goal = goal_from({"constraints": [rate(5, "kbps", 9), {"metric": "delay", "op": "<=", "value": 1, "unit": "s"}]})
    with pytest.raises(OptionError) as raised:
        instance.with_goal(goal)
    assert len(raised.value.problems) == 2


def test_a_family_without_metrics_refuses_goals_and_ask_names_those_that_have_some():
    offloading = optisolve.load_problem("offloading/n10").instance(0)
    with pytest.raises(OptionError, match="documents no metrics"):
        with_goal(offloading, Goal())
    with pytest.raises(OptionError) as raised:
        ask("minimize the delay", "offloading/n10", parser="rules")
    families = goal_families()
    assert f"Families that do: {', '.join(families)};" in str(raised.value)
    told = re.search(r"Families that answer requests(.*?);", (ROOT / "docs" / "ask.md").read_text("utf-8"), re.DOTALL)
    assert re.findall(r"`(\w+)`", told[1]) == list(families)


def test_uav_isac_takes_goals_about_what_its_objectives_are_made_of():
    """The objectives from metrics, and rate and error of one user by the textbook lines of the model card."""
    instance = optisolve.load_problem("uav_isac").instance(3)
    X = instance.project(instance.space.sample(np.random.default_rng(0), 20))
    values = instance.metric_values(X)
    assert np.stack([values["utility"], values["error_bound"]], axis=1) == pytest.approx(instance.evaluate(X).F, rel=1e-9)
    c, uavs, user = instance.constants, X[0].reshape(-1, 3), instance.users_m[5]
    dx, dy = (user - uavs[:, :2]).T
    squared = dx**2 + dy**2 + c.altitude_m**2
    received = uavs[:, 2] / squared / c.noise_over_gain
    best = int(np.argmax(received))
    serving = [
        int(np.argmax(uavs[:, 2] / (((uavs[:, :2] - who) ** 2).sum(axis=1) + c.altitude_m**2))) for who in instance.users_m
    ]
    sinr = received[best] / (received.sum() - received[best] + 1.0)
    assert values["rate"][0, 5] == pytest.approx(c.bandwidth_hz / serving.count(best) * np.log2(1.0 + sinr), rel=1e-9)
    weight = c.ranging_per_w * uavs[:, 2] / squared**3 + 8.0 / squared**2
    information = c.prior_per_m2 * np.eye(2) + np.einsum("m,mi,mj->ij", weight, np.stack([dx, dy], 1), np.stack([dx, dy], 1))
    assert values["location_error"][0, 5] == pytest.approx(np.sqrt(np.trace(np.linalg.inv(information))), rel=1e-6)
    assert values["total_power"][0] == pytest.approx(uavs[:, 2].sum(), rel=1e-12)


def test_the_sum_rate_of_uav_isac_is_asked_for_in_words():
    request = "maximize the sum rate within 60 s while the mean location error is at most 20 m"
    answer = ask(request, "uav_isac", parser="rules", solver="moead_de", budget=optisolve.Budget(evaluations=600), seed=1)
    assert answer.status == "verified"
    assert answer.parsed.goal.deadline_s == 60.0
    base = optisolve.load_problem("uav_isac").instance(0)
    values = base.metric_values(answer.result.X)
    assert values["error_bound"][0] <= 20.0
    assert values["sum_rate"][0] == pytest.approx(answer.result.scores["objective"], rel=1e-12)


CONTRADICTIONS = {
    "saving": (GAME, {"constraints": [{**SAVE, "value": 60}]}),
    "load": (GAME, {"constraints": [rate(40, "kbps", 2)]}),
    "links": ("power_control/gaussian_k5_10db", {"constraints": [rate(1.2, "bit/s/Hz")]}),
    "nsp": ("nsp_utility", {"constraints": [{"metric": "outage", "op": "<=", "value": 0.1, "unit": "%"}]}),
    "channels": (
        "parallel_channels",
        {"constraints": [{"metric": "sum_rate", "op": ">=", "value": 99, "unit": "bit/s/Hz"}]},
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_the_smallest_relaxation_is_feasible_and_nothing_smaller_is(case):
    problem, goal = CONTRADICTIONS[case]
    instance = optisolve.load_problem(problem).instance(0)
    checked = check_satisfiable(instance, goal_from(goal))
    assert checked.verdict.answer is False
    assert checked.verdict.proof
    assert checked.relaxations
    for way in checked.relaxations:
        assert instance.satisfiable(way.bounds).answer is True
        tighter = tuple(
            type(new)(new.metric, new.user, new.upper, new.value + 1e-4 * (old.value - new.value), new.clause)
            for old, new in zip(checked.bounds, way.bounds, strict=True)
        )
        assert instance.satisfiable(tighter).answer is not True


def test_bounds_that_cross_are_a_contradiction_in_every_family():
    instance = optisolve.load_problem(GAME).instance(0)
    goal = {"constraints": [rate(5, "kbps", 1), {"metric": "rate", "op": "<=", "value": 4, "unit": "kbps", "users": [1]}]}
    checked = check_satisfiable(instance, goal_from(goal))
    assert checked.verdict.answer is False
    assert "contradicts" in checked.verdict.proof


@pytest.mark.parametrize(
    ("problem", "field"), [(GAME, "rate_threshold_bit_s"), ("power_control/min_power", "min_rate_bit_s_hz")]
)
def test_shadow_prices_are_the_slopes_of_the_certified_optimum(problem, field):
    """Against finite differences: every threshold is lowered by 0.01 % and the optimum computed again."""
    instance = optisolve.load_problem(problem).instance(0)
    made = optisolve.load_problem(problem)
    x = made.reference(instance, Effort.QUICK).X[0]
    prices = instance.shadow_prices(x)
    rates = getattr(instance.cell if problem == GAME else instance.links, field)
    unit = "bit/s" if problem == GAME else "bit/s/Hz"
    for k in range(len(rates)):
        lowered = instance.with_goal(goal_from({"constraints": [rate(float(rates[k]) * (1 - 1e-4), unit, k + 1)]}))
        saved = float(x.sum() - made.reference(lowered, Effort.QUICK).value)
        name = instance.constraint_names[k]
        assert prices[name] == pytest.approx(100.0 * saved, rel=1e-2)


def _silenced(unit_w: float) -> GoalInstance:
    """The power game in another unit of power, with user 1 silenced and its rate unconstrained."""
    base = make_problem("power_game").instance(0)
    a = base.arrays()
    scaled = {name: (a[name] * unit_w).tolist() for name in ("initial_power_w", "p_max_w", "noise_w", "power_saving_w")}
    data = {**{name: values.tolist() for name, values in a.items()}, **scaled}
    goal = goal_from(
        {
            "objective": {"sense": "max", "terms": [{"metric": "rate", "users": [2, 3]}]},
            "constraints": [{"metric": "power", "op": "<=", "value": 0.0, "unit": "W", "users": [1]}],
            "keep": False,
        }
    )
    instance = make_problem("power_game", {"instance_data": data}).instance(0).with_goal(goal)
    assert isinstance(instance, GoalInstance)
    return instance


@pytest.mark.parametrize("unit_w", [1e-12, 1.0, 1e12])
def test_a_bound_of_zero_and_a_goals_scale_follow_the_unit(unit_w):
    """Half the power of a user that shall be silent is the same violation in every unit, and so is the scale of a gap."""
    instance, plain = _silenced(unit_w), _silenced(1.0)
    X = 0.5 * instance.space.upper[None, :]
    column = instance.constraint_names.index("goal0.power")
    assert instance.evaluate_twin(X).G[0, column] == pytest.approx(0.5, rel=1e-9)
    assert instance.objectives[0].scale == pytest.approx(plain.objectives[0].scale, rel=1e-9)
    X[0, 0] = 1e-9 * instance.space.upper[0]
    assert instance.evaluate_twin(X).max_violation[0] <= 1e-8


def test_a_convex_goal_tells_what_the_tolerance_can_save():
    """Least power for a sum rate: a point that misses the rate by 0.99e-8 is cheaper, and within the slack."""
    goal = {
        "objective": {"sense": "min", "terms": [{"metric": "total_power"}]},
        "constraints": [{"metric": "sum_rate", "op": ">=", "value": 8.0, "unit": "bit/s/Hz"}],
    }
    problem = make_problem("goal", {"problem": "parallel_channels", "goal": goal})
    instance = problem.instance(3)
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert 0.0 < reference.slack < 1e-6 * reference.dual_bound
    cheaper = reference.X * (1.0 - 10.0 ** -np.linspace(7.0, 10.0, 60))[:, None]
    evaluation = instance.evaluate_twin(cheaper)
    reached = evaluation.F[evaluation.max_violation <= 1e-8, 0].min()
    assert reached < reference.value
    assert reference.dual_bound - reached <= reference.tie
