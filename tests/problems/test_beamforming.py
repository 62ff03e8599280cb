"""beamforming: conformance, duality against the SOCP, bounds that hold everywhere, orthogonal channels in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve import solve
from optisolve.content import names
from optisolve.core import Budget, Effort, Evidence, Termination
from optisolve.problems.beamforming import duality, model, sum_rate
from optisolve.problems.beamforming.reference import reference
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance, check_problem

SCENARIOS = [name for name in names("problems") if name.split("/")[0] == "beamforming"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_conforms(scenario):
    """All properties of the conformance kit, for every scenario file."""
    failed = [result for result in check_problem(make_problem(scenario)) if result.outcome != "passed"]
    assert not failed


class TestProjectionIsExact(ProblemConformance):
    """The power ball is the only constraint of the sum rate and of the balanced SINR."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("beamforming/max_min")


@pytest.mark.parametrize("scenario", ["beamforming", "beamforming/overloaded", "beamforming/max_min"])
@pytest.mark.parametrize("seed", range(5))
def test_duality_and_socp_agree(scenario, seed):
    """Two independent methods give one optimum within 2e-6, each with a bound that the other's point respects."""
    problem = make_problem(scenario)
    instance = problem.instance(seed)
    found, answer = problem.reference(instance), instance.model("cvxpy").solve()
    assert found.evidence is Evidence.PROVEN_OPTIMAL
    assert answer.termination is Termination.OPTIMAL
    value = instance.evaluate_twin(instance.space.clip(answer.x[None])).F[0, 0]
    assert value == pytest.approx(found.value, rel=2e-6)
    slack = found.slack
    sign = float(instance.signs[0])
    assert sign * (value - found.dual_bound) >= -slack
    assert sign * (found.value - answer.dual_bound) >= -slack


def test_thorough_references_are_cross_checked():
    """With THOROUGH the SOCP runs as well and agrees, for 64 antennas and 16 users too."""
    problem = make_problem("beamforming/massive")
    assert problem.reference(problem.instance(1), Effort.THOROUGH).evidence is Evidence.PROVEN_OPTIMAL


def test_orthogonal_channels_have_closed_forms():
    """With orthogonal channels: p_k = gamma_k sigma^2 / |h_k|^2; balanced SINR = P / sum of those; capacity bound is tight."""
    scale = np.array([1.0, 2.0, 0.5])
    data = {"h_re": (np.eye(3, 4) * scale[:, None]).tolist(), "h_im": np.zeros((3, 4)).tolist()}
    data |= {"weight": [1.0, 1.0, 1.0], "sinr_target": [2.0, 1.0, 3.0]}
    least = np.array([2.0, 1.0, 3.0]) / scale**2

    def found(goal):
        problem = make_problem("beamforming", {"goal": goal, "instance_data": data})
        return problem.reference(problem.instance())

    assert found("min_power").value == pytest.approx(least.sum(), rel=1e-9)
    assert found("max_min").value == pytest.approx(100.0 / least.sum(), rel=1e-9)
    rate = found("weighted_sum_rate")
    assert rate.dual_bound == pytest.approx(rate.value, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_dual_bounds_hold_for_any_uplink_powers(seed):
    """Whatever uplink powers are tried, the bounds stay on the right side of the optimum."""
    rng = np.random.default_rng(seed)
    for scenario in ("beamforming", "beamforming/max_min"):
        problem = make_problem(scenario)
        instance = problem.instance(seed)
        c = instance.constants
        best, uplink = problem.reference(instance).value, duality.Uplink(c)
        for _ in range(30):
            powers = rng.exponential(1.0, c.weight.size) * 10.0 ** rng.uniform(-2, 2)
            if scenario == "beamforming":
                raised = duality.least_power(uplink, c.sinr_target, start=powers / c.p_total_w, max_rounds=0)
                assert raised.bound * c.p_total_w <= best
            else:
                assert duality.balance(uplink, c.sinr_target, start=powers, max_rounds=1).bound >= best


@pytest.mark.parametrize("scenario", ["beamforming/sum_rate", "beamforming/weighted"])
def test_no_precoder_beats_the_capacity_bound(scenario):
    """WMMSE from many starts, zero forcing and random points stay below the bound; WMMSE beats the null policies."""
    problem = make_problem(scenario)
    for seed in range(5):
        instance = problem.instance(seed)
        found = problem.reference(instance, Effort.QUICK)
        assert found.evidence is Evidence.DUAL_BOUND
        tried = np.concatenate([*instance.null_policies().values(), instance.project(instance.space.sample(_rng(), 500))])
        assert instance.evaluate(tried).F.max() <= found.value <= found.dual_bound


def test_wmmse_never_loses_rate():
    """Rounds raise the weighted sum rate, and the rate reported is that of the precoders at full power."""
    c = make_problem("beamforming/weighted").instance(0).constants
    rng = _rng()
    starts = rng.standard_normal((6, 12, 12)) + 1j * rng.standard_normal((6, 12, 12))
    rates = []
    for rounds in (1, 5, 50):
        W, rate = sum_rate.wmmse(c, starts, max_rounds=rounds)
        X = model.to_points(W)
        np.testing.assert_allclose(model.evaluate(c, X)[0][:, 0], rate, rtol=1e-9)
        np.testing.assert_allclose((X * X).sum(axis=1), c.p_total_w, rtol=1e-12)
        rates.append(rate)
    assert (np.diff(rates, axis=0) >= -1e-9).all()


def test_a_local_method_reaches_the_balanced_optimum_from_below():
    """SLSQP on the sum rate equals WMMSE's value on a small case: same local optimum by unrelated code."""
    problem = make_problem("beamforming/sum_rate", {"n_antennas": 3, "n_users": 2})
    instance = problem.instance(1)
    found = problem.reference(instance)
    run = solve(instance, "scipy_local", budget=Budget(evaluations=4000), seed=0, gradient="finite_differences")
    assert run.record["scores"]["objective"] == pytest.approx(found.value, rel=1e-6)


def test_infeasible_and_limited_cases_say_so():
    """Targets out of reach are proven by duality and by the SOCP; too few rounds leave a bound."""
    crowded = make_problem("beamforming", {"n_antennas": 3, "n_users": 8, "sinr_target_db": 6.0})
    instance = crowded.instance(1)
    found = crowded.reference(instance)
    assert (found.evidence, found.X) == (Evidence.PROVEN_INFEASIBLE, None)
    answer = instance.model("cvxpy").solve()
    assert answer.termination is Termination.INFEASIBLE
    assert answer.x is None
    # More power than the cap, though not out of reach in principle
    poor = make_problem("beamforming", {"p_total_w": 1.0})
    assert poor.reference(poor.instance(1)).evidence is Evidence.PROVEN_INFEASIBLE
    assert poor.instance(1).model("cvxpy").solve().termination is Termination.INFEASIBLE
    for scenario in ("beamforming", "beamforming/max_min"):
        limited = reference(make_problem(scenario).instance(1), Effort.QUICK, max_rounds=2)
        assert limited.evidence is Evidence.DUAL_BOUND
        late = make_problem(scenario).instance(1).model("cvxpy").solve(time_limit_s=1e-9)
        assert late.termination is Termination.LIMIT
        assert late.x is None


def _rng():
    return np.random.default_rng(0)
