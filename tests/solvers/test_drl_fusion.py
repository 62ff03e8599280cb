"""Trained experts in numpy: what they reach alone, what averaging them is worth, damaged files."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

import optisolve
from optisolve.content import content_dir
from optisolve.core import Budget, Effort, PointStatus
from optisolve.core.errors import OptionError, SolverError
from optisolve.registry import make_problem, make_solver
from optisolve.solvers.drl_fusion import EXPERTS, DrlFusion, average_powers, expert_powers, intent_weights, load_policy
from optisolve.solvers.drl_fusion.policy import least_total, policy_file, powers_of
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances

SEEDS = range(3000, 3006)


class TestDrlFusion(SolverConformance):
    evaluations = 4

    def make_solver(self):
        return DrlFusion()

    def make_instances(self):
        names = ("nsp_utility", "nsp_utility/rate", "nsp_utility/rate_outage", "nsp_utility/energy_outage")
        return [make_problem(name).instance(1) for name in names] + toy_instances()


def solve(scenario, seed, **options):
    problem = make_problem(scenario)
    instance = problem.instance(seed)
    reference = problem.reference(instance, Effort.QUICK)
    result = optisolve.solve(instance, make_solver("drl_fusion", options), budget=Budget(evaluations=10), reference=reference)
    return result, reference


def share(result, reference):
    """Of the optimum, 1 at best, whatever the sense."""
    ratio = result.F[0, 0] / reference.value
    return 1.0 / ratio if result.instance.constants.goal == "energy" else ratio


@pytest.mark.parametrize("training", ["ppo", "sac"])
@pytest.mark.parametrize("intent", EXPERTS)
def test_every_expert_masters_its_own_intent_on_gains_it_never_saw(intent, training):
    """At least 99.5 % of the certified optimum with PPO and 98 % with SAC, never above it."""
    for seed in SEEDS:
        result, reference = solve(f"nsp_utility/{intent}", seed, fusion="best_of", training=training)
        assert {"ppo": 0.995, "sac": 0.98}[training] < share(result, reference) <= 1.0 + 1e-6


@pytest.mark.parametrize("scenario", ["nsp_utility/rate_outage", "nsp_utility/energy", "nsp_utility/energy_outage"])
@pytest.mark.parametrize("fusion", ["average", "best_of"])
def test_floors_hold_whatever_the_experts_say(scenario, fusion):
    """Powers are scaled to the floors: every answer is feasible, and near the optimum of a compound intent, too."""
    for seed in SEEDS:
        result, reference = solve(scenario, seed, fusion=fusion)
        assert result.point_status is PointStatus.FEASIBLE
        assert 0.96 < share(result, reference) <= 1.0 + 1e-6


def test_the_energy_expert_needs_a_floor_and_says_so():
    assert "energy" not in expert_powers(make_problem("nsp_utility").instance(1))
    both, _ = solve("nsp_utility", 1, weights={"rate": 1.0, "energy": 1.0}, fusion="average")
    alone, _ = solve("nsp_utility", 1, weights={"rate": 1.0}, fusion="average")
    np.testing.assert_array_equal(both.X, alone.X)
    assert both.record.used.report["no_answer"] == ["energy"]
    with pytest.raises(SolverError, match="needs a floor"):
        solve("nsp_utility", 1, weights={"energy": 1.0})


def test_the_least_total_meets_the_floor_and_no_less_does():
    instance = make_problem("nsp_utility/energy_outage").instance(4)
    least = least_total(instance, np.arange(1.0, 9.0))
    np.testing.assert_allclose(least / least.sum(), np.arange(1.0, 9.0) / 36.0, rtol=1e-9)
    violation = instance.evaluate(np.stack([least, 0.9999 * least])).violation
    assert violation[0] <= 1e-9
    assert violation[1] > 1e-6


def test_averaging_experts_is_worse_than_the_better_one_for_the_compound_intent():
    """Throughput is not concave: the mean of two experts loses a tenth and more against the availability expert, and to
    uniform power as well. Picking the best of them is safe."""
    for seed in SEEDS:
        mean, reference = solve("nsp_utility", seed, fusion="average")
        best, _ = solve("nsp_utility", seed, fusion="best_of")
        safe, _ = solve("nsp_utility", seed, fusion="safe")
        uniform = float(best.instance.evaluate(best.instance.null_policies()["uniform"]).F[0, 0])
        assert mean.F[0, 0] < 0.9 * best.F[0, 0]
        assert mean.F[0, 0] < uniform
        assert safe.F[0, 0] == best.F[0, 0] <= reference.value * (1.0 + 1e-6)
        assert safe.record.used.report["synergy"] < 0.0


@pytest.mark.parametrize("training", ["ppo", "sac"])
def test_the_certified_optimum_is_at_least_any_experts_utility(training):
    """Golden property of the study, for every expert, goal and their mean; energy is to be small."""
    for scenario in ("nsp_utility", *(f"nsp_utility/{name}" for name in (*EXPERTS, "rate_outage", "energy_outage"))):
        problem = make_problem(scenario)
        instance = problem.instance(7)
        reference = problem.reference(instance, Effort.QUICK)
        powers = expert_powers(instance, training)
        mean = average_powers(instance, {name: 1.0 / len(powers) for name in powers}, powers)
        evaluation = instance.evaluate(np.stack([*powers.values(), mean]))
        values = (evaluation.F * instance.signs)[evaluation.violation <= 0.0, 0]
        assert values.size >= 1
        assert values.min() >= instance.signs[0] * reference.dual_bound - reference.tolerance


def test_compound_intents_are_made_of_primitive_ones():
    scenarios = ("", "/bep", "/rate_outage", "/energy", "/energy_outage")
    told = {name: intent_weights(make_problem(f"nsp_utility{name}").instance(0)) for name in scenarios}
    assert told[""] == {"rate": 0.5, "availability": 0.5}
    assert told["/bep"] == {"bep": 1.0}
    assert told["/rate_outage"] == {"rate": 0.5, "availability": 0.5}
    assert told["/energy"] == {"energy": 1.0}
    assert told["/energy_outage"] == {"energy": 0.5, "availability": 0.5}


def test_a_gate_sets_the_weights():
    one, _ = solve("nsp_utility", 1, weights={"availability": 2.0}, fusion="average")
    two, _ = solve("nsp_utility", 1, weights={"availability": 1.0, "rate": 0.0}, fusion="best_of")
    np.testing.assert_array_equal(one.X, two.X)
    for wrong in ({"speed": 1.0}, {"rate": 0.0}, {"rate": -1.0, "bep": 2.0}):
        with pytest.raises(OptionError, match="weights"):
            DrlFusion(weights=wrong)


def test_powers_stay_below_the_cap_whatever_the_network_says():
    raw = np.array([[1e3, -1e3, 0.0, 40.0], [0.0, 0.0, 0.0, 0.0]])
    P = powers_of(raw, 10.0)
    assert (P >= 0.0).all()
    assert (P.sum(axis=1) <= 10.0).all()
    np.testing.assert_allclose(P[1], 5.0 / 3.0)


def test_one_evaluation_is_enough_for_an_answer():
    result = optisolve.solve(make_problem("nsp_utility").instance(0), DrlFusion(), budget=Budget(evaluations=1))
    assert result.point_status is PointStatus.FEASIBLE


def test_cards_tell_how_the_policies_were_made_and_damaged_files_are_refused(monkeypatch, tmp_path):
    for name, training in product(EXPERTS, ("ppo", "sac")):
        card = json.loads((content_dir("solvers") / "drl_fusion" / policy_file(name, training)).read_text())
        assert card["scenario"] == f"nsp_utility/{name}"
        assert card["share_of_optimum"] > {"ppo": 0.999, "sac": 0.99}[training]
        assert training.upper() in card["algorithm"]
    (tmp_path / "drl_fusion").mkdir()
    bad = {"layers": [{"weight": [[1.0, 2.0]], "bias": [0.0]}, {"weight": [[1.0]], "bias": [0.0]}]}
    for name, text in (("rate", "{"), ("bep", json.dumps(bad))):
        (tmp_path / "drl_fusion" / f"{name}.json").write_text(text)
    monkeypatch.setattr("optisolve.solvers.drl_fusion.policy.content_dir", lambda kind: tmp_path)
    load_policy.cache_clear()
    try:
        for name in EXPERTS:
            with pytest.raises(SolverError, match=r"nsp_experts\.py"):
                load_policy(name)
    finally:
        load_policy.cache_clear()


def test_other_sizes_and_problems_are_refused_in_words():
    assert "8 branches, this instance has 16" in DrlFusion().skip(make_problem("nsp_utility/throughput16").instance(0))
    assert "IntentBranches" in DrlFusion().skip(make_problem("power_game").instance(0))
    assert make_solver("drl_fusion") == DrlFusion()
