"""noma_uav: conformance, exact split against brute force, certified positions, anchors of DiffSG's NU set."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve import solve
from optisolve.core import Budget, Effort, Evidence
from optisolve.core.errors import OptionError, ProblemError
from optisolve.numerics import noma_position_kernels as kernels
from optisolve.problems.noma_uav import model
from optisolve.problems.noma_uav.reference import reference
from optisolve.registry import make_problem


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_exact_split_beats_a_fine_grid_of_splits(seed, ordered):
    """No split on a 100-step grid that meets all rules is better, and the split itself meets them."""
    rate = 0.4 if ordered else 1.0
    instance = make_problem("noma_uav", {"power_order": ordered, "min_rate_bps_hz": rate}).instance(seed)
    c = instance.constants
    L = instance.users_m.mean(axis=0)
    noise = model.noise_over_gain_w(c, instance.users_m, L[None])[0]
    power = model.best_split(c, noise, instance.min_rate)
    steps = np.arange(101)
    i, j = (grid.ravel() for grid in np.meshgrid(steps, steps))
    share = np.column_stack([i, j, 100 - i - j])[i + j <= 100] / 100.0
    X = np.column_stack([np.tile(L, (share.shape[0], 1)), share * c.p_total_w])
    tried = instance.evaluate_twin(X)
    mine = instance.evaluate_twin(np.concatenate([L, power]))
    assert mine.max_violation[0] <= 1e-9
    assert mine.F[0, 0] >= tried.F[tried.violation == 0.0, 0].max()
    assert mine.F[0, 0] <= tried.F[tried.violation <= 0.2, 0].max() * 1.05  # and it is not from another problem


def test_kernel_split_and_twin_split_agree():
    """Two implementations of the recursion, 200 random channels, with and without the order rule."""
    rng = np.random.default_rng(0)
    for ordered in (False, True):
        for _ in range(100):
            noise, rates = 10.0 ** rng.uniform(-4, -2, 4), np.full(4, rng.uniform(0.0, 1.2))
            constants = model.Constants(150.0, 1e-8, 0.02, ordered)
            expected, power = model.best_split(constants, noise, rates), np.empty(4)
            value = kernels.split(noise, rates, 0.02, ordered, power)
            assert (value < 0.0) == (expected is None)
            if expected is not None:
                np.testing.assert_allclose(power, expected, atol=1e-14)


@pytest.mark.parametrize("scenario", ["noma_uav", "noma_uav/crowd", "noma_uav/diffsg"])
def test_no_position_on_a_grid_beats_the_bound(scenario):
    """Independent of the branch and bound: exact splits on a 5 m grid never exceed the dual bound and nearly reach it."""
    problem = make_problem(scenario)
    instance = problem.instance(2)
    found = problem.reference(instance, Effort.NORMAL)
    assert found.evidence is Evidence.PROVEN_OPTIMAL
    c, axis = instance.constants, np.arange(0.0, instance.area_m + 1.0, 5.0)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    noise, power = model.noise_over_gain_w(c, instance.users_m, points), np.empty(instance.users_m.shape[0])
    best = max(kernels.split(row, instance.min_rate, c.p_total_w, c.power_order, power) for row in noise)
    assert found.value * 0.999 <= best <= found.dual_bound


def test_a_local_method_agrees():
    """SLSQP over position and powers together reaches the certified value from below, within the gap."""
    problem = make_problem("noma_uav")
    instance = problem.instance(4)
    found = problem.reference(instance, Effort.THOROUGH)
    result = solve(instance, "scipy_local", budget=Budget(evaluations=3000), seed=0, gradient="finite_differences")
    best = result.record.scores.objective
    assert found.value * (1.0 - 1e-6) <= best <= found.dual_bound * (1.0 + 1e-8)


def test_minimum_rates_make_the_split_matter():
    """Equal power misses a minimum rate in the default scenario; in the published one equal power is the exact split."""
    instance = make_problem("noma_uav").instance(1)
    assert instance.evaluate(instance.null_policies()["centroid_equal_power"]).violation[0] > 0.0
    published = make_problem("noma_uav/diffsg").instance(1)
    policies = published.null_policies()
    np.testing.assert_allclose(policies["centroid_exact_split"], policies["centroid_equal_power"], rtol=1e-12)


def test_infeasible_and_limited_cases_say_so():
    """Rates out of reach are proven so; too few cells give a bound, not a proof."""
    impossible = make_problem("noma_uav", {"min_rate_bps_hz": 3.0})
    found = impossible.reference(impossible.instance(1))
    assert (found.evidence, found.X, found.dual_bound) == (Evidence.PROVEN_INFEASIBLE, None, None)
    limited = reference(make_problem("noma_uav").instance(1), Effort.THOROUGH, max_cells=300)
    assert limited.evidence is Evidence.DUAL_BOUND
    assert limited.dual_bound > limited.value * 1.0001


def test_published_anchors():
    """Centroid with equal power and the random-point sampler against the notes' re-evaluation of DiffSG's NU labels.

    The labels stood at 1/1.0072 of the optimum; the notes give 0.922 for the centroid and (0.918, 0.952, 0.977, 0.992, 0.999,
    1.003) for the best of 1, 2, 4, ..., 32 random points in the triangle, all relative to the labels. Their test rows are
    rotated copies of 2,500 layouts; 150 fresh layouts of the same law agree within 0.015 (standard error 0.006).
    """
    problem, rng = make_problem("noma_uav/diffsg"), np.random.default_rng(0)
    centroid, sampler = [], []
    for seed in range(150):
        instance = problem.instance(seed)
        optimum = problem.reference(instance, Effort.QUICK).value
        centroid.append(instance.evaluate(instance.null_policies()["centroid_equal_power"]).F[0, 0] / optimum)
        points = rng.dirichlet(np.ones(3), 32) @ instance.users_m
        F = instance.evaluate(np.column_stack([points, np.full((32, 3), 6.0)])).F[:, 0]
        sampler.append(np.maximum.accumulate(F)[[0, 1, 3, 7, 15, 31]] / optimum)
    assert np.mean(centroid) * 1.0072 == pytest.approx(0.922, abs=0.015)
    np.testing.assert_allclose(np.mean(sampler, axis=0) * 1.0072, (0.918, 0.952, 0.977, 0.992, 0.999, 1.003), atol=0.015)


def test_user_files_are_checked():
    """A user outside the area and unlike rates under the order rule are refused by name."""
    data = {"users_m": [[10.0, 20.0], [500.0, 0.0]], "min_rate_bps_hz": [0.5, 1.0]}
    with pytest.raises(ProblemError, match="users_m"):
        make_problem("noma_uav", {"instance_data": data}).instance()
    data["users_m"][1][0] = 300.0
    with pytest.raises(ProblemError, match="power_order"):
        make_problem("noma_uav", {"instance_data": data, "power_order": True}).instance()
    data["users_m"][0] = [10.0]
    with pytest.raises(OptionError, match="users_m"):
        make_problem("noma_uav", {"instance_data": data}).instance()


def test_powers_far_below_the_noise_are_not_lost():
    """At -110 dB and less: equal powers over one user are feasible, and no bound is below what they reach."""
    changed = {"n_users": 2, "area_m": 1e5, "p_total_w": 1e-9, "noise_w": 1e-8, "min_rate_bps_hz": 0.0, "power_order": True}
    problem = make_problem("noma_uav", {**changed, "layout": "uniform"})
    instance = problem.instance(120)
    X = np.column_stack([instance.users_m, np.full((2, 2), 0.5e-9)])
    told = instance.evaluate_twin(X)
    assert told.max_violation.max() == 0.0
    for effort in Effort:
        found = problem.reference(instance, effort)
        assert found.evidence is Evidence.PROVEN_OPTIMAL
        assert told.F.max() <= found.dual_bound
        assert told.F.max() <= found.value * 1.01


@pytest.mark.parametrize("noise_w", [1e-5, 1e-2, 1.0, 10.0, 1e4])
def test_bounds_hold_when_the_noise_drowns_the_signal(noise_w):
    """The default geometry in more and more noise: the whole power to the user below stays under the bound."""
    problem = make_problem("noma_uav", {"noise_w": noise_w, "min_rate_bps_hz": 0.0})
    instance = problem.instance(1)
    found = problem.reference(instance, Effort.THOROUGH)
    X = np.column_stack([instance.users_m, np.eye(3) * 0.018])
    best = instance.evaluate_twin(X).F.max()
    assert found.evidence is Evidence.PROVEN_OPTIMAL
    assert found.dual_bound * (1.0 - 1e-4) <= best <= found.dual_bound + found.slack


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_does_not_share_the_rates_of_the_evaluator(seed):
    """The telescoped ceiling is never below the sum of rates of any admissible split, by a hair above it at the exact one."""
    rng = np.random.default_rng(seed)
    for _ in range(200):
        K = int(rng.integers(1, 6))
        noise, rates = 10.0 ** rng.uniform(-9, 9, K), rng.uniform(0.0, 1.0, K) * 10.0 ** -rng.uniform(0, 12)
        share, lost, power = np.exp2(-rates), -np.expm1(-rates * np.log(2.0)), np.empty(K)
        value = kernels.split(noise, rates, 1.0, False, power)
        ceiling = kernels.ceiling(noise, share, lost, 1.0, False, 0.0)
        if value < 0.0:
            continue
        by_twin = model.rates(noise[None], power[None])[0].sum()
        assert by_twin <= ceiling <= by_twin * (1.0 + 1e-12)


def test_minimum_rates_at_the_very_edge():
    """A rate that only the slack of verification allows is no proof of infeasibility; one beyond it is."""
    data = {"users_m": [[200.0, 200.0], [200.0, 200.0]]}
    noise = 1e-14 / 1e-6 * 150.0**2
    fits = 0.5 * np.log2(1.0 + 0.018 / noise)  # two users at one place share the capacity of one
    for factor, expected in ((1.0 - 1e-9, False), (1.0 + 2e-9, False), (1.0 + 1e-6, True)):
        case = {**data, "min_rate_bps_hz": [fits * factor] * 2}
        problem = make_problem("noma_uav", {"instance_data": case})
        found = problem.reference(problem.instance(0), Effort.QUICK)
        assert (found.evidence is Evidence.PROVEN_INFEASIBLE) is expected, factor
        if factor < 1.0:
            assert found.X is not None or found.dual_bound is not None


@pytest.mark.parametrize("p_total_w", [1e-9, 0.018, 3e7])
def test_projections_stay_in_the_box(p_total_w):
    """Repaired powers never pass the total by one unit in the last place, and general solvers run to their end."""
    for scenario in ("noma_uav", "noma_uav/crowd"):
        changed = {"p_total_w": p_total_w, "noise_w": 1e-14 * p_total_w / 0.018}
        instance = make_problem(scenario, changed).instance(0)
        rng = np.random.default_rng(0)
        X = np.concatenate(
            [instance.space.sample(rng, 3000), np.where(rng.random((3000, instance.space.dim)) < 0.5, 0.0, 1e99)]
        )
        X[:1000, 2:] *= 10.0 ** -rng.uniform(0, 17, (1000, instance.space.dim - 2))
        X[:1000, 2 + rng.integers(0, 3)] = p_total_w
        fixed = instance.project(X)
        assert (fixed >= instance.space.lower).all()
        assert (fixed <= instance.space.upper).all()
        run = solve(instance, "cma_es", budget=Budget(evaluations=400), seed=1)
        assert run.record.scores is not None
        assert run.termination.value != "numerical_error"


def test_a_repaired_power_is_never_an_ulp_above_the_total():
    """Two powers that add up to a hair more than the total, in noise far above both: what is given to one user still fits."""
    changed = {"n_users": 2, "area_m": 1e5, "p_total_w": 1e-9, "noise_w": 1e4, "min_rate_bps_hz": 0.0, "layout": "uniform"}
    instance = make_problem("noma_uav", changed).instance(0)
    rng, P = np.random.default_rng(0), 1e-9
    small = P * 10.0 ** -rng.uniform(3, 11.9, 4000)
    large = (P - small) * (1.0 + 2.3e-16 * rng.integers(0, 8, 4000))
    powers = np.where(rng.random((4000, 1)) < 0.5, np.column_stack([small, large]), np.column_stack([large, small]))
    fixed = instance.project(np.column_stack([instance.space.sample(rng, 4000)[:, :2], powers]))
    instance.evaluate(fixed)  # refuses what is outside
    assert (fixed[:, 2:] <= P).all()
