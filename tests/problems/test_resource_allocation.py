"""OFDMA: conformance, brute force, agreement of water-filling, Hungarian, CP-SAT and HiGHS."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from optisolve.content import names
from optisolve.core import Evidence
from optisolve.core.errors import OptionError
from optisolve.modelling.cpsat import solve_cpsat
from optisolve.modelling.highs import solve_highs
from optisolve.numerics.tone_sharing import dual, fill
from optisolve.problems.resource_allocation.forms import cpsat_level_form
from optisolve.problems.resource_allocation.model import tone_rates
from optisolve.problems.resource_allocation.reference import LIMITS, Limits, solve_reference
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance

SCENARIOS = [name for name in names("problems") if name.split("/")[0] == "resource_allocation"]


class TestPowerProjectionIsExact(ProblemConformance):
    """Continuous powers always end within the budget."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("resource_allocation")


class TestQuotaRepairIsExact(ProblemConformance):
    """Owners always end within the quotas."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("resource_allocation/quota")


def best_of_all_owners(cell):
    """Every assignment of owners with powers by SLSQP: no code shared with the reference."""
    from scipy.optimize import minimize

    n_users, n_tones = cell.snr_per_w.shape
    best = -np.inf
    for owner in itertools.product(range(n_users), repeat=n_tones):
        snr = cell.snr_per_w[list(owner), range(n_tones)]
        weight = cell.weight[list(owner)] * cell.tone_mbps
        found = minimize(
            lambda p, snr=snr, weight=weight: -(weight * np.log2(1.0 + snr * p)).sum(),
            np.full(n_tones, cell.power_total_w / n_tones),
            jac=lambda p, snr=snr, weight=weight: -weight * snr / ((1.0 + snr * p) * np.log(2.0)),
            bounds=[(0.0, cell.tone_power_max_w)] * n_tones,
            constraints={"type": "ineq", "fun": lambda p: cell.power_total_w - p.sum(), "jac": lambda p: -np.ones(p.size)},
            options={"ftol": 1e-14, "maxiter": 300},
        )
        best = max(best, -found.fun)
    return best


@pytest.mark.parametrize("goal", ["sum_rate", "weighted_sum_rate"])
def test_the_dual_reference_equals_brute_force(goal):
    """K = 2, M = 4 at low SNR, where powers and owners interact; SLSQP over all 16 assignments."""
    small = {"goal": goal, "n_users": 2, "n_tones": 4, "tone_power_max_w": 0.5, "weight_min": 0.5, "weight_max": 2.0}
    problem = make_problem("resource_allocation/sum_rate", small)
    for seed in range(6):
        instance = problem.instance(seed)
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(best_of_all_owners(instance.cell), rel=1e-6)


def test_weighted_gaps_are_closed_by_elimination():
    """Where the Lagrangian dual has a gap, water-filling the surviving owners proves the optimum; enumeration agrees.

    Gaps are rare (about 4 in 360 small draws); the seeds are two that have one and two that have none.
    """
    change = {"goal": "weighted_sum_rate", "n_users": 6, "n_tones": 2, "weight_min": 0.1, "weight_max": 3.0}
    problem = make_problem("resource_allocation/sum_rate", {**change, "cell_radius_m": 1500.0})
    owners = np.array(list(itertools.product(range(6), repeat=2)))
    for seed, has_gap in ((17, True), (28, True), (0, False), (1, False)):
        instance = problem.instance(seed)
        cell = instance.cell
        optimum = max((cell.weight[o] * tone_rates(cell, o[None], fill(cell, o)[None])[0]).sum() for o in owners)
        bound = dual(cell)[0]
        assert bound >= optimum * (1.0 - 1e-12)
        assert (bound > optimum * (1.0 + 1e-6)) == has_gap
        reference = solve_reference(instance, LIMITS["normal"])
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(optimum, rel=1e-10)
        if has_gap:
            cut = solve_reference(instance, Limits(combinations=0, deterministic_time=0.0))
            assert cut.evidence is Evidence.DUAL_BOUND
            assert cut.dual_bound > cut.value


def test_filling_obeys_the_kkt_conditions():
    """Partly filled tones have equal marginal rates, capped ones larger, empty ones smaller; the power is spent."""
    problem = make_problem("resource_allocation/sum_rate", {"tone_power_max_w": 0.08, "goal": "weighted_sum_rate"})
    cell = problem.instance(2).cell
    owner = np.argmax(cell.snr_per_w * cell.weight[:, None], axis=0)
    power = fill(cell, owner)
    assert power.sum() == pytest.approx(cell.power_total_w, rel=1e-12)
    snr = cell.snr_per_w[owner, np.arange(owner.size)]
    slope = cell.weight[owner] * snr / (1.0 + snr * power)
    partly = (power > 0.0) & (power < cell.tone_power_max_w)
    np.testing.assert_allclose(slope[partly], slope[partly][0], rtol=1e-9)
    assert (slope[power == 0.0] <= slope[partly][0] * (1 + 1e-9)).all()
    assert (slope[power == cell.tone_power_max_w] >= slope[partly][0] * (1 - 1e-9)).all()


def test_hungarian_highs_and_cpsat_agree_on_quotas():
    """Three methods, one optimum; and all C(6; 2, 2, 2) = 90 assignments on a small case."""
    problem = make_problem("resource_allocation/quota")
    for seed in range(5):
        instance = problem.instance(seed)
        value = problem.reference(instance).value
        for answer in (solve_highs(instance.model("highs")), solve_cpsat(instance.model("cpsat"), deterministic_time=5.0)):
            assert instance.evaluate_twin(answer.x).F[0, 0] == pytest.approx(value, rel=1e-9)
    tiny = make_problem("resource_allocation/quota", {"n_users": 3, "n_tones": 6, "quota": 2})
    instance = tiny.instance(0)
    X = np.array(list(itertools.product(range(3), repeat=6)), dtype=np.float64)
    evaluation = instance.evaluate_twin(X)
    feasible = evaluation.violation <= 0.0
    assert feasible.sum() == 90
    assert tiny.reference(instance).value == pytest.approx(evaluation.F[feasible, 0].max(), rel=1e-12)


def test_minimum_rates_cpsat_highs_and_brute_force_agree():
    """K = 2, M = 3, L = 2: all 216 points; and CP-SAT against HiGHS at the scenario's size."""
    tiny = make_problem("resource_allocation/min_rates", {"n_users": 2, "n_tones": 3, "power_levels": 2, "power_total_w": 1.2})
    for seed in range(5):
        instance = tiny.instance(seed)
        X = np.array(
            [[*o, *p] for o in itertools.product((0, 1), repeat=3) for p in itertools.product((0, 1, 2), repeat=3)], float
        )
        evaluation = instance.evaluate_twin(X)
        feasible = evaluation.violation <= 0.0
        reference = tiny.reference(instance)
        if not feasible.any():
            assert reference.evidence is Evidence.PROVEN_INFEASIBLE
            continue
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        assert reference.value == pytest.approx(evaluation.F[feasible, 0].max(), rel=1e-9)
    problem = make_problem("resource_allocation/min_rates")
    for seed in range(3):
        instance = problem.instance(seed)
        answer = solve_highs(instance.model("highs"), node_limit=20_000)
        assert instance.evaluate_twin(answer.x).F[0, 0] == pytest.approx(problem.reference(instance).value, rel=1e-6)


def test_impossible_demands_are_proven_infeasible():
    """Rates beyond reach and quotas below the number of tones give a reason instead of a number."""
    for scenario, change in (("min_rates", {"rate_min_bps": 5e7}), ("quota", {"quota": 1})):
        problem = make_problem(f"resource_allocation/{scenario}", change)
        reference = problem.reference(problem.instance(0))
        assert reference.X is None
        assert reference.value is None
        assert reference.evidence is Evidence.PROVEN_INFEASIBLE


def test_a_limited_search_gives_a_bound_and_no_proof():
    """CP-SAT stopped at once: no point or a feasible one, and never a proof."""
    problem = make_problem("resource_allocation/min_rates", {"n_users": 6, "n_tones": 16})
    reference = solve_reference(problem.instance(0), Limits(combinations=0, deterministic_time=1e-3))
    assert reference.evidence is Evidence.DUAL_BOUND
    assert reference.dual_bound is not None
    assert reference.value is None or reference.value < reference.dual_bound


def test_the_tight_model_never_misses_a_rate():
    """Rounded the safe way, every point that CP-SAT returns is feasible by the twin."""
    problem = make_problem("resource_allocation/min_rates")
    for seed in range(3):
        instance = problem.instance(seed)
        answer = solve_cpsat(cpsat_level_form(instance, tight=True), deterministic_time=2.0)
        assert instance.evaluate_twin(answer.x).violation[0] == 0.0


def test_minimum_rates_need_levels():
    with pytest.raises(OptionError, match="power_levels"):
        make_problem("resource_allocation/min_rates", {"power_levels": 0})


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_torch_objective_equals_the_twin(scenario):
    torch = pytest.importorskip("torch", reason="needs the extra [diffusion]")
    instance = make_problem(scenario).instance(0)
    X = instance.space.sample(np.random.default_rng(0), 16)
    x = torch.tensor(X, dtype=torch.float64)
    np.testing.assert_allclose(instance.objective_torch(x).numpy(), instance.evaluate_twin(X).F, rtol=1e-12)


def test_a_nearly_silent_cell_is_evaluated_and_proven_to_its_last_digits():
    """SNRs of 1e-13 and below: no digit lost in kernel and twin, and a tolerance that shrinks with the value."""
    problem = make_problem("resource_allocation/sum_rate", {"power_total_w": 1e-12, "tone_power_max_w": 1e-12})
    instance = problem.instance(0)
    cell = instance.cell
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    snr = cell.snr_per_w.max() * 1e-12
    assert snr < 1e-3
    assert reference.tie <= 2e-8 * reference.value
    x = reference.X[0]
    owner, power = x[: instance.n_tones].astype(int), x[instance.n_tones :]
    exact = cell.tone_mbps * np.log1p(power * cell.snr_per_w[owner, np.arange(owner.size)]).sum() / np.log(2.0)
    for evaluation in (instance.evaluate(x), instance.evaluate_twin(x)):
        assert evaluation.F[0, 0] == pytest.approx(exact, rel=1e-13)
    assert instance.objectives[0].gap_scale(0.0) <= reference.value


def test_the_bound_of_the_combinations_does_not_trust_the_filling(monkeypatch):
    """With a filling that wastes the power the bound stays a bound, and nothing is called optimal."""
    from optisolve.numerics import tone_sharing as module

    change = {"goal": "weighted_sum_rate", "n_users": 6, "n_tones": 2, "weight_min": 0.1, "weight_max": 3.0}
    problem = make_problem("resource_allocation/sum_rate", {**change, "cell_radius_m": 1500.0})
    for seed in (17, 28):
        instance = problem.instance(seed)
        optimum = problem.reference(instance).value
        with monkeypatch.context() as patch:
            patch.setattr(module, "fill", lambda cell, owner: 0.25 * fill(cell, owner))
            reference = solve_reference(instance, LIMITS["normal"])
        assert reference.dual_bound >= optimum * (1.0 - 1e-12)
        assert reference.evidence is Evidence.DUAL_BOUND


def test_a_point_within_the_feasibility_tolerance_does_not_pass_bound_and_slack():
    """0.99e-8 of the budget on top is verified; what it gains is at most the stated slack, and more than the tolerance."""
    problem = make_problem("resource_allocation/sum_rate", {"power_total_w": 1e-2, "tone_power_max_w": 4e-3})
    for seed in range(3):
        instance = problem.instance(seed)
        reference = problem.reference(instance)
        x = reference.X[0].copy()
        power = x[instance.n_tones :]  # a view: two tones at their cap, the last fifth goes to one that has room
        power[np.argmax((power > 0.0) * (power < 3.9e-3))] += 0.99e-8 * 1e-2
        evaluation = instance.evaluate_twin(x)
        assert evaluation.max_violation[0] <= 1e-8
        beyond = evaluation.F[0, 0] - reference.dual_bound
        assert reference.tolerance < beyond <= reference.tie


def test_integer_models_with_many_steps_lose_no_optimum(monkeypatch):
    """CP-SAT 9.15 lost the optima of 10 of 40 draws in its presolve once coefficients reached 1e8; HiGHS finds them."""
    from optisolve.problems.resource_allocation import forms

    monkeypatch.setattr(forms, "_STEPS", 1e8)
    problem = make_problem("resource_allocation/min_rates")
    for seed in (2, 3, 5):
        instance = problem.instance(seed)
        best = instance.evaluate_twin(solve_highs(instance.model("highs"), node_limit=20_000).x).F[0, 0]
        answer = solve_cpsat(instance.model("cpsat"), deterministic_time=5.0)
        assert answer.dual_bound >= best
        assert answer.dual_bound <= best * (1.0 + 1e-6)


def test_a_rate_that_only_the_tolerance_reaches_is_not_proven_infeasible():
    """A minimum rate 5e-9 above what full power gives: verification accepts it, so no proof may exclude it."""
    change = {"n_users": 1, "n_tones": 2, "power_levels": 2, "power_total_w": 0.2, "tone_power_max_w": 0.1}
    problem = make_problem("resource_allocation/min_rates", change)
    instance = problem.instance(0)
    full = instance.evaluate_twin([0.0, 0.0, 2.0, 2.0]).F[0, 0]
    for excess, evidence in ((5e-9, Evidence.PROVEN_OPTIMAL), (2e-7, Evidence.PROVEN_INFEASIBLE)):
        arrays = {name: values.tolist() for name, values in instance.arrays().items()}
        arrays["rate_min_bps"] = [full * 1e6 * (1.0 + excess)]
        tight = make_problem("resource_allocation/min_rates", {**change, "instance_data": arrays})
        assert tight.reference(tight.instance(0)).evidence is evidence


def test_numbers_beyond_computing_are_refused_by_name():
    for field, value in (("power_total_w", 1e-300), ("tone_hz", 1e200), ("noise_dbm_per_hz", 1e4), ("distance_min_m", 1e-200)):
        with pytest.raises(OptionError, match=field):
            make_problem("resource_allocation", {field: value})


def test_a_hopeless_minimum_rate_is_a_proof_and_no_error():
    """Rates 40 decades above what there is: HiGHS must not be handed an infinite bound, CP-SAT no number beyond 64 bits."""
    change = {"n_users": 2, "n_tones": 3, "power_total_w": 1e-30, "tone_power_max_w": 1e-30, "rate_min_bps": 1e25}
    problem = make_problem("resource_allocation/min_rates", change)
    instance = problem.instance(0)
    assert problem.reference(instance).evidence is Evidence.PROVEN_INFEASIBLE
    assert solve_highs(instance.model("highs")).x is None
