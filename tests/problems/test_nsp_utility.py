"""nsp_utility: conformance, certified optima against closed forms and local search, bounds that hold everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optisolve import solve
from optisolve.content import names
from optisolve.core import Budget, Evidence
from optisolve.core.errors import OptionError, ProblemError
from optisolve.problems.nsp_utility.certificate import cut
from optisolve.problems.nsp_utility.convex import NspModel
from optisolve.problems.nsp_utility.model import availability_exponent
from optisolve.problems.nsp_utility.reference import reference
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance

SCENARIOS = [name for name in names("problems") if name.split("/")[0] == "nsp_utility"]


class TestProjectionIsExact(ProblemConformance):
    """Without floors, and with floors that full power always meets, every projected point is feasible."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("nsp_utility")


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reference_is_proven_and_no_expert_beats_it(scenario, seed):
    """U* is at least the value of every null policy and of every single-intent expert's answer, where feasible."""
    problem = make_problem(scenario)
    instance = problem.instance(seed)
    found = problem.reference(instance)
    assert found.evidence is Evidence.PROVEN_OPTIMAL
    experts = [reference(make_problem(f"nsp_utility/{goal}").instance(seed)).X for goal in ("rate", "availability", "bep")]
    answers = [*instance.null_policies().values(), *(X for X in experts if X.shape[1] == instance.space.dim)]
    evaluation = instance.evaluate_twin(instance.space.clip(np.concatenate(answers)))
    sign = float(instance.signs[0])
    assert (evaluation.F[evaluation.violation == 0.0, 0] * sign >= found.value * sign - found.tolerance).all()


@pytest.mark.parametrize("scenario", ["nsp_utility", "nsp_utility/energy_bep", "nsp_utility/rate_outage", "nsp_utility/energy"])
def test_local_search_agrees_with_the_convex_optimum(scenario):
    """SLSQP, which knows nothing of convexity, ends within 1e-5 of the certified value and never beyond the bound."""
    problem = make_problem(scenario)
    instance = problem.instance(2)
    found = problem.reference(instance)
    run = solve(instance, "scipy_local", budget=Budget(evaluations=4000), seed=0, gradient="finite_differences")
    best = run.record.scores.objective
    assert best == pytest.approx(found.value, rel=1e-5)
    # A feasible point may use the feasibility tolerance, 1e-8 of each floor
    assert (found.dual_bound - best) * -instance.signs[0] >= -1e-6 * abs(found.value)


def test_rate_with_a_price_is_water_filling_at_a_known_level():
    """Closed form: p_m = [payment B / (price ln 2) - noise / g_m]^+ while the cap is slack."""
    problem = make_problem("nsp_utility/rate")
    instance = problem.instance(3)
    c = instance.constants
    level = c.payment * 1e-6 * c.bandwidth_hz / (c.price_per_w * math.log(2.0))
    expected = np.maximum(level - c.noise_w / instance.gain, 0.0)
    assert expected.sum() < c.p_total_w
    np.testing.assert_allclose(problem.reference(instance).X[0], expected, atol=1e-5)


def test_availability_has_a_closed_form():
    """p is proportional to 1/sqrt(g): A(P) = exp(-S^2 / P); the best P solves payment A S^2 / P^2 = price."""
    problem = make_problem("nsp_utility/availability")
    instance = problem.instance(3)
    c, found = instance.constants, problem.reference(instance)
    s2 = np.sqrt(c.snr_threshold * c.noise_w / instance.gain).sum() ** 2
    P = np.linspace(0.5, c.p_total_w, 200_001)
    assert found.value == pytest.approx((c.payment * np.exp(-s2 / P) - c.price_per_w * P).max(), abs=1e-4)
    root = instance.gain**-0.5
    np.testing.assert_allclose(found.X[0] / found.X.sum(), root / root.sum(), rtol=1e-3)


def test_log_availability_is_concave():
    """Golden item of the notes: -log A is convex along random segments."""
    instance = make_problem("nsp_utility").instance(0)
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0.01, 2.0, (2, 500, instance.space.dim))

    def exponent(X):
        return availability_exponent(instance.constants, X * instance.gain / instance.constants.noise_w)

    assert (exponent(0.5 * (a + b)) <= 0.5 * (exponent(a) + exponent(b)) + 1e-12).all()


def test_gdmopt_anchors():
    """Optimum near 50 log2(1 + 0.06 13.5) = 42.8 bit; uniform power reaches 0.576 (100 channels) and 0.787 (10) of it.

    The notes' ratios are means over draws: 20 draws agree within 0.003, and 100 draws within 0.01.
    """
    problem, ratios = make_problem("nsp_utility/gdmopt"), []
    for seed in range(20):
        instance = problem.instance(seed)
        best = problem.reference(instance).value
        assert best == pytest.approx(42.8, abs=0.3)
        ratios.append(instance.evaluate(instance.null_policies()["uniform"]).F[0, 0] / best)
    assert np.mean(ratios) == pytest.approx(0.576, abs=0.003)
    small, ratios = make_problem("nsp_utility/gdmopt10"), []
    for seed in range(100):
        instance = small.instance(seed)
        ratios.append(instance.evaluate(instance.null_policies()["uniform"]).F[0, 0] / small.reference(instance).value)
    assert np.mean(ratios) == pytest.approx(0.787, abs=0.01)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_cuts_hold_for_any_point_and_multipliers(scenario):
    """The bound behind every proof: for arbitrary z and mu it holds at random feasible points."""
    instance = make_problem(scenario).instance(0)
    inner, rng = NspModel(instance.constants, instance.gain).inner, np.random.default_rng(1)
    M = instance.gain.size
    Q = rng.dirichlet(np.ones(M), 200) * rng.uniform(0.3, 1.0, (200, 1))
    feasible = [q for q in Q if all(floor.value <= 0.0 for floor in inner.floors(q).values())]
    for trial in range(20):
        multipliers = {name: rng.exponential() * 10.0 ** rng.uniform(-3, 1) for name in ("outage", "bep", "rate")}
        found = cut(inner, rng.dirichlet(np.ones(M)), multipliers, 1.0)
        for q in feasible[trial::20]:
            value = inner.objective(np.maximum(q, 1e-12)).value
            assert value <= found.alpha + found.nu * q.sum() + 1e-9 * max(1.0, abs(value))


def test_infeasible_and_limited_cases_say_so():
    """Floors that exclude each other are proven so; without time there is neither a value nor a claim."""
    impossible = make_problem("nsp_utility/rate_outage", {"outage_max": 1e-4})
    found = impossible.reference(impossible.instance(1))
    assert (found.evidence, found.X) == (Evidence.PROVEN_INFEASIBLE, None)
    mixed = make_problem("nsp_utility", {"outage_max": 0.1, "rate_min_mbps": 500.0})
    assert mixed.reference(mixed.instance(1)).evidence is Evidence.PROVEN_INFEASIBLE
    for scenario in ("nsp_utility", "nsp_utility/gdmopt"):
        limited = reference(make_problem(scenario).instance(1), time_limit_s=1e-9)
        assert limited.evidence is Evidence.NONE
        assert limited.value is None


def test_bad_gain_groups_are_named():
    """All bad groups are listed at once."""
    with pytest.raises(OptionError, match=r"gain_groups\[1\]"):
        make_problem("nsp_utility", {"gain_groups": [[2, 0.0, 1.0], [0, 2.0, 1.0]]})


def test_a_base_payment_that_swamps_the_quality_kills_no_run():
    """Payment 1e-6 on a base of -1e6: one unit in the last place is more than the tolerance, and the bound carries it."""
    power = {"p_total_w": 0.20944757994113222, "noise_w": 0.058816917845065, "price_per_w": 1.625262405551331e-07}
    payment = {"payment": 1e-6, "payment_base": -1107765.9734587157}
    problem = make_problem("nsp_utility/bep", {**payment, **power})
    for seed in (0, 1, 24):
        found = problem.reference(problem.instance(seed))
        assert found.note == ""
        assert found.dual_bound >= found.value
        assert found.tolerance < 1e-11


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_tolerances_and_scales_follow_the_payment(factor):
    """Other money, the same relative tolerance and the same gap scale."""
    plain, other = (
        make_problem("nsp_utility/rate"),
        make_problem("nsp_utility/rate", {"payment": factor, "price_per_w": 6.0 * factor}),
    )
    one, two = plain.reference(plain.instance(0)), other.reference(other.instance(0))
    assert two.evidence is one.evidence is Evidence.PROVEN_OPTIMAL
    assert two.tolerance == pytest.approx(factor * one.tolerance, rel=1e-9)
    assert other.instance(0).objectives[0].scale == pytest.approx(factor * plain.instance(0).objectives[0].scale, rel=1e-9)


@pytest.mark.parametrize("scenario", ["nsp_utility/energy", "nsp_utility/energy_outage", "nsp_utility/rate_outage"])
def test_points_that_use_the_tolerance_do_not_pass_the_bound(scenario):
    """Optimum of the problem with every floor missed by 0.9e-8: verified, and within the bound, which needs no slack."""
    problem = make_problem(scenario)
    instance = problem.instance(2)
    found = problem.reference(instance)
    shrunk = found.X * (1.0 + np.array([-1.0, 1.0])[:, None] * 10.0 ** -np.linspace(7.0, 12.0, 40)).reshape(-1, 1)
    evaluation = instance.evaluate_twin(instance.space.clip(shrunk))
    reached = evaluation.F[evaluation.max_violation <= 1e-8, 0]
    assert reached.size
    beyond = -np.array([instance.objectives[0].shortfall(float(v), found.dual_bound) for v in reached])
    assert beyond.max() <= found.tie


def test_energy_without_a_floor_is_nothing():
    """No power is the answer, and it is proven."""
    problem = make_problem("nsp_utility/energy", {"rate_min_mbps": None, "p_circuit_w": 0.0})
    found = problem.reference(problem.instance(0))
    assert (found.evidence, found.value) == (Evidence.PROVEN_OPTIMAL, 0.0)


@pytest.mark.parametrize(
    ("overrides", "named"), [({"outage_max": 1e-300}, "outage_max"), ({"snr_threshold_db": 1e4}, "snr_threshold_db")]
)
def test_numbers_that_cannot_be_computed_are_refused_by_name(overrides, named):
    """No overflow on the way."""
    with pytest.raises(OptionError, match=named):
        make_problem("nsp_utility", overrides)


def test_branches_that_float64_cannot_hold_are_refused_by_name():
    """An SNR of 1e-40 with all power."""
    with pytest.raises(ProblemError, match="noise_w"):
        make_problem("nsp_utility", {"noise_w": 1e45}).instance(0)
