"""The classical power solvers: conformance, what they prove, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Budget, Effort, Limit, PointStatus, Termination
from optisolve.core.errors import SolverError
from optisolve.registry import make_problem, make_solver
from optisolve.run.solve import solve
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances

POWER_SOLVERS = ("branch_and_bound", "foschini_miljanic", "water_filling", "wmmse")


def _instances(*scenarios):
    return [make_problem(name).instance(1) for name in scenarios]


@pytest.mark.wmmse
class TestWmmse(SolverConformance):
    def make_solver(self):
        return make_solver("wmmse")

    def make_instances(self):
        return [*_instances("power_control", "power_control/weighted", "power_control/d2d50"), *toy_instances()]


@pytest.mark.branch_and_bound
class TestBranchAndBound(SolverConformance):
    def make_solver(self):
        return make_solver("branch_and_bound", {"max_nodes": 2000})

    def make_instances(self):
        names = ("gaussian_k5_10db", "weighted_qos", "energy_efficiency", "gaussian_k20_0db")
        return [*_instances(*(f"power_control/{name}" for name in names)), *toy_instances()]


@pytest.mark.foschini_miljanic
class TestFoschiniMiljanic(SolverConformance):
    def make_solver(self):
        return make_solver("foschini_miljanic")

    def make_instances(self):
        return [*_instances("power_control/min_power", "power_game", "power_game/zou_spread"), *toy_instances()]


@pytest.mark.water_filling
class TestWaterFilling(SolverConformance):
    def make_solver(self):
        return make_solver("water_filling")

    def make_instances(self):
        return [*_instances("parallel_channels", "parallel_channels/gdmopt100"), *toy_instances()]


@pytest.mark.parametrize("name", POWER_SOLVERS)
def test_presets_hold_the_class_defaults(name):
    """The preset file shows every option with its default value."""
    preset = make_solver(name)
    assert preset == type(preset)()


def test_branch_and_bound_proves_what_the_reference_proves():
    """Same optimum within the gap, with a dual bound in the record."""
    problem = make_problem("power_control/gaussian_k5_10db")
    instance = problem.instance(7)
    reference = problem.reference(instance, Effort.QUICK)
    result = solve(instance, "branch_and_bound", reference=reference)
    assert result.termination is Termination.OPTIMAL
    assert result.run.outcome.dual_bound >= reference.value * (1 - 1e-12)
    assert float(result.verification.F[0, 0]) == pytest.approx(reference.value, rel=1e-4)


def test_branch_and_bound_at_its_node_limit_says_so():
    """K = 20: LIMIT(NODES), a feasible point and a valid bound above it."""
    instance = make_problem("power_control/gaussian_k20_0db").instance(0)
    result = solve(instance, "branch_and_bound", max_nodes=50)
    assert (result.termination, result.run.outcome.limit) == (Termination.LIMIT, Limit.NODES)
    assert result.point_status is PointStatus.FEASIBLE
    assert result.run.outcome.dual_bound > float(result.verification.F[0, 0])


def test_branch_and_bound_at_its_time_limit_keeps_what_it_has():
    """A budget of no time at all still returns the start and the root's bound."""
    instance = make_problem("power_control/gaussian_k20_0db").instance(0)
    result = solve(instance, "branch_and_bound", budget=Budget(seconds=1e-6, evaluations=100))
    assert (result.termination, result.run.outcome.limit) == (Termination.LIMIT, Limit.TIME)
    assert result.point_status is PointStatus.FEASIBLE
    assert result.run.outcome.dual_bound > float(result.verification.F[0, 0])


def test_branch_and_bound_proves_infeasible_floors():
    """Termination INFEASIBLE, no point, no bound."""
    problem = make_problem("power_control/weighted_qos", {"min_rate_share": 0.0, "min_rate_bit_s_hz": 3.0})
    result = solve(problem.instance(0), "branch_and_bound")
    assert result.termination is Termination.INFEASIBLE
    assert result.point_status is PointStatus.NONE
    assert result.run.outcome.dual_bound is None


def test_more_wmmse_starts_never_hurt():
    """The full-power start comes first, so a small budget gives a subset of a large one's answers."""
    instance = make_problem("power_control").instance(3)
    values = [float(solve(instance, "wmmse", budget=Budget(evaluations=n)).verification.F[0, 0]) for n in (1, 8, 33)]
    assert values == sorted(values)


def test_wmmse_improves_a_warm_start():
    """A warm start is one of the starts; its answer is at least as good as itself."""
    instance = make_problem("power_control").instance(3)
    warm = instance.null_policies()["best_link_alone"] * 0.9 + 0.01
    result = solve(instance, "wmmse", warm_start=warm, budget=Budget(evaluations=1))
    assert float(result.verification.F[0, 0]) >= float(instance.evaluate(warm).F[0, 0])


def test_foschini_miljanic_reaches_the_optimum_from_the_initial_powers():
    """Zou's game: the golden total after 20 rounds, the closed form at the end."""
    problem = make_problem("power_game")
    instance = problem.instance(0)
    early = solve(instance, "foschini_miljanic", budget=Budget(evaluations=21))
    assert early.termination is Termination.LIMIT
    assert float(early.verification.F[0, 0]) == pytest.approx(10.313, abs=5e-4)
    done = solve(instance, "foschini_miljanic")
    assert done.termination is Termination.CONVERGED
    assert float(done.verification.F[0, 0]) == pytest.approx(problem.reference(instance).value, rel=1e-8)


def test_foschini_miljanic_recognizes_infeasible_floors():
    """It settles at the caps with links below their floors, which proves infeasibility."""
    problem = make_problem("power_control/min_power", {"min_rate_share": 0.0, "min_rate_bit_s_hz": 6.0})
    result = solve(problem.instance(0), "foschini_miljanic")
    assert result.termination is Termination.INFEASIBLE
    assert result.point_status is PointStatus.INFEASIBLE


def test_water_filling_is_optimal_in_one_evaluation():
    """Value, bound and reference meet."""
    problem = make_problem("parallel_channels/msr80")
    instance = problem.instance(5)
    result = solve(instance, "water_filling")
    value = float(result.verification.F[0, 0])
    assert result.termination is Termination.OPTIMAL
    assert result.record.used.evaluations == 1
    assert value == pytest.approx(problem.reference(instance, Effort.QUICK).value, rel=1e-12)
    assert result.run.outcome.dual_bound == pytest.approx(value, rel=1e-9)


def test_the_modelling_layers_agree_with_the_classical_solvers():
    """HiGHS on the least power, CVXPY on the parallel channels: the same optimum, by way of the instance's own model."""
    for solver, scenario in (("highs", "power_control/min_power"), ("cvxpy", "parallel_channels")):
        problem = make_problem(scenario)
        instance = problem.instance(2)
        result = solve(instance, solver)
        assert result.termination is Termination.OPTIMAL
        assert result.point_status is PointStatus.FEASIBLE
        assert float(result.verification.F[0, 0]) == pytest.approx(problem.reference(instance, Effort.QUICK).value, rel=1e-6)


@pytest.mark.parametrize(
    ("solver", "scenario", "word"),
    [
        ("wmmse", "power_control/weighted_qos", "inequality"),
        ("wmmse", "power_control/min_power", "inequality"),
        ("wmmse", "power_control/energy_efficiency", "goal"),
        ("branch_and_bound", "power_control/max_min", "goal"),
        ("branch_and_bound", "parallel_channels", "WeightedChannel"),
        ("foschini_miljanic", "power_control", "goal"),
        ("water_filling", "power_control", "ParallelChannels"),
        ("water_filling", "power_game", "p_total_w"),
    ],
)
def test_unfit_instances_are_skipped_with_a_reason(solver, scenario, word):
    """The reason names what is missing, and solving raises it."""
    instance = make_problem(scenario).instance(0)
    reason = make_solver(solver).skip(instance)
    assert reason is not None
    assert word in reason
    with pytest.raises(SolverError, match=r"cannot solve .* Solvers that can: "):
        solve(instance, solver)


def test_importing_families_and_solvers_loads_no_heavy_package():
    """numba, cvxpy, highspy, scipy.optimize and torch are imported where they are used."""
    import subprocess
    import sys

    modules = [f"optisolve.problems.{name}" for name in ("power_control", "parallel_channels", "power_game")]
    modules += [f"optisolve.solvers.{name}" for name in POWER_SOLVERS]
    code = (
        f"import sys, {', '.join(modules)}; print([m for m in ('numba','cvxpy','highspy','scipy','torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numerics_twins_agree_on_random_instances():
    """WMMSE and branch and bound: numba against plain numpy, same values to 1e-9."""
    from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
    from optisolve.numerics.wmmse import wmmse
    from tests.numerics.channels_in_numpy import wmmse_in_numpy
    from tests.numerics.mixed_monotonic_in_numpy import search

    for seed in range(6):
        rng = np.random.default_rng(seed)
        n_links = 3 + seed % 3
        gain = rng.exponential(size=(n_links, n_links)) * 10.0
        weight, start = rng.uniform(0.2, 1.0, n_links), rng.random(n_links)
        fast, steps = wmmse(gain[None], weight[None], start[None, None])
        slow, slow_steps = wmmse_in_numpy(gain, weight, start)
        assert steps[0, 0] == slow_steps
        np.testing.assert_allclose(fast[0, 0], slow, rtol=1e-9, atol=1e-12)

        own = np.diag(gain)
        floor = 0.3 * (seed % 2) * own / (1.0 + gain.sum(axis=1) - own)
        slope = 2.5 * (seed % 3 == 0)
        program = RateProgram(gain, np.ones(n_links), np.ones(n_links), weight, floor, 1.0, slope)
        kernel = maximize_rate(program, gap=1e-3, max_nodes=4000)
        _, value, bound, nodes = search(program.scaled(), np.zeros(n_links), gap=1e-3, max_nodes=4000, rounds=2)
        assert kernel.value == pytest.approx(value / np.log(2.0), rel=1e-3)  # both proven to that gap
        assert kernel.dual_bound == pytest.approx(bound / np.log(2.0), rel=2e-3)
        assert abs(kernel.nodes - nodes) <= 0.05 * nodes + 5
