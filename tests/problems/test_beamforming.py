"""beamforming: conformance, duality against the SOCP, bounds that hold everywhere, orthogonal channels in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve import solve
from optisolve.core import Budget, Effort, Evidence, Termination
from optisolve.core.errors import OptionError, ProblemError
from optisolve.numerics import precoding as sum_rate
from optisolve.numerics import uplink_duality as duality
from optisolve.problems.beamforming import model
from optisolve.problems.beamforming.reference import reference
from optisolve.registry import make_problem
from optisolve.testing import ProblemConformance


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
        best, uplink = problem.reference(instance).value, duality.Uplink(c.h, c.noise_w, c.p_total_w)
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
    assert run.record.scores.objective == pytest.approx(found.value, rel=1e-6)


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


@pytest.mark.parametrize("noise_w", [1e-4, 1e-6, 1e-8, 1e-11, 1e-14, 1e-18])
def test_balanced_bounds_hold_at_high_signal_to_noise_ratios(noise_w):
    """From 50 to 190 dB no verified point passes the bound, and value and bound still meet."""
    problem = make_problem("beamforming/max_min", {"noise_w": noise_w})
    for seed in range(6):
        instance = problem.instance(seed)
        found = problem.reference(instance, Effort.QUICK)
        assert found.evidence is Evidence.PROVEN_OPTIMAL, found.note
        tried = np.concatenate(list(instance.null_policies().values()))
        assert max(found.value, instance.evaluate_twin(tried).F.max()) <= found.dual_bound + found.slack
        assert found.slack <= (3e-8 + 1e-12 * noise_w**-0.5) * found.dual_bound
        assert solve(instance, "random_search", budget=Budget(evaluations=50), reference=found).record.reference.note == ""


def test_a_spread_of_100_db_leaves_finite_bounds():
    """Two users whose gains differ by 100 dB: the bound is finite, is met, and zero forcing does not beat it."""
    changed = {
        "n_antennas": 4,
        "n_users": 2,
        "noise_w": 1e-14,
        "p_total_w": 1.0,
        "sinr_target_db": -20.0,
        "gain_spread_db": 100.0,
    }
    for goal in ("min_power", "max_min", "weighted_sum_rate"):
        problem = make_problem("beamforming", {**changed, "goal": goal})
        for seed in (0, 1, 134):
            instance = problem.instance(seed)
            found = problem.reference(instance, Effort.QUICK)
            assert np.isfinite(found.dual_bound), (goal, seed)
            assert not found.note
            if goal != "weighted_sum_rate":
                assert found.evidence is Evidence.PROVEN_OPTIMAL
            best = instance.signs * instance.evaluate_twin(instance.null_policies()["zf"]).F[0]
            assert best >= instance.signs * found.dual_bound - found.tie


@pytest.mark.parametrize(("antennas", "users"), [(1, 6), (2, 5), (6, 6)])
def test_wmmse_solves_every_shape_and_spread(antennas, users):
    """More users than antennas, gains 100 dB apart, no noise to speak of or nothing else: a point, a bound, no traceback."""
    for noise_w in (1e-16, 1e-8, 1.0, 1e10):
        changed = {"n_antennas": antennas, "n_users": users, "noise_w": noise_w, "gain_spread_db": 100.0, "weight_high": 5.0}
        problem = make_problem("beamforming/sum_rate", changed)
        for seed in range(3):
            instance = problem.instance(seed)
            found = problem.reference(instance, Effort.QUICK)
            assert found.evidence in {Evidence.DUAL_BOUND, Evidence.PROVEN_OPTIMAL}
            alone = np.log2(1.0 + 10.0 / noise_w * (np.abs(instance.constants.h) ** 2).sum(axis=1).max())
            assert found.value >= alone * (1.0 - 1e-6) or noise_w < 1.0
            assert found.dual_bound <= 60.0 * found.value


@pytest.mark.parametrize("noise_w", [1e-20, 1e-10, 1e-4, 1.0])
@pytest.mark.parametrize("scenario", ["beamforming", "beamforming/max_min"])
def test_cvxpy_claims_an_optimum_only_where_it_is_one(scenario, noise_w):
    """Whatever the unit of power is, OPTIMAL means optimal, and the gap shown is the true one."""
    problem = make_problem(scenario, {"noise_w": noise_w})
    for seed in (0, 1):
        instance = problem.instance(seed)
        found = problem.reference(instance, Effort.QUICK)
        run = solve(instance, "cvxpy", reference=found)
        off = abs(run.scores["objective"] / found.value - 1.0)
        assert run.termination is Termination.OPTIMAL
        assert off <= 1e-5
        assert abs(run.scores["gap"]) == pytest.approx(off, abs=1e-9)


@pytest.mark.parametrize("scenario", ["beamforming", "beamforming/max_min", "beamforming/sum_rate"])
def test_one_user_gets_its_matched_filter(scenario):
    """Nobody interferes: closed forms, by the reference and by the SOCP."""
    problem = make_problem(scenario, {"n_users": 1})
    instance = problem.instance(0)
    found, c = problem.reference(instance), instance.constants
    gain = float((np.abs(c.h) ** 2).sum()) / c.noise_w
    expected = {
        "min_power": float(c.sinr_target[0]) / gain,
        "max_min": c.p_total_w * gain / float(c.sinr_target[0]),
        "weighted_sum_rate": np.log2(1.0 + c.p_total_w * gain),
    }[c.goal]
    assert found.evidence is Evidence.PROVEN_OPTIMAL
    assert found.value == pytest.approx(expected, rel=1e-9)
    if c.goal != "weighted_sum_rate":
        assert solve(instance, "cvxpy", reference=found).termination is Termination.OPTIMAL


def test_targets_at_the_very_edge_are_not_called_infeasible():
    """A cap a hair below the least power: no proof of infeasibility while a verified point exists; far below, one."""
    problem = make_problem("beamforming", {"sinr_target_db": 10.0})
    least = problem.reference(problem.instance(0)).value
    for missing, expected in ((1e-9, False), (5e-9, False), (1e-6, True)):
        tight = make_problem("beamforming", {"p_total_w": least * (1.0 - missing)})
        instance = tight.instance(0)
        found = tight.reference(instance)
        assert (found.evidence is Evidence.PROVEN_INFEASIBLE) is expected
        if not expected:
            assert instance.evaluate_twin(found.X).max_violation[0] <= 1e-8
        answer = instance.model("cvxpy").solve()
        assert (answer.termination is Termination.INFEASIBLE) is expected


@pytest.mark.parametrize("scenario", ["beamforming", "beamforming/overloaded", "beamforming/max_min"])
def test_slack_covers_points_that_use_the_feasibility_tolerance(scenario):
    """Every constraint missed by 0.99e-8 gains something, and no more than the stated slack."""
    problem = make_problem(scenario)
    for seed in range(3):
        instance = problem.instance(seed)
        c = instance.constants
        found = problem.reference(instance)
        W = model.precoders(c, found.X)[0]
        if c.goal == "min_power":
            power = model.power_control(c, W, c.sinr_target * (1.0 - 0.99e-8))
        else:
            power = model.power_control(c, W, c.sinr_target * found.value)
            power *= c.p_total_w * (1.0 + 0.99e-8) / power.sum()
        X = model.to_points((W * np.sqrt(power)[:, None] / np.linalg.norm(W, axis=1, keepdims=True))[None])
        told = instance.evaluate_twin(X)
        assert told.max_violation[0] <= 1e-8
        gained = -instance.objectives[0].shortfall(float(told.F[0, 0]), found.dual_bound)
        assert 0.1 * found.slack < gained <= found.slack
        assert found.slack < 1e-6 * abs(found.value)


def test_ranges_that_cannot_be_computed_are_refused_by_name():
    """Power, noise, targets and channels outside of what a double holds end in one clear error."""
    for field, value in (("noise_w", 0.0), ("noise_w", 1e-200), ("p_total_w", 1e200), ("sinr_target_db", 4000.0)):
        with pytest.raises(OptionError, match=field):
            make_problem("beamforming", {field: value})
    data = {"h_re": [[1.0, 0.0], [0.0, 0.0]], "h_im": [[0.0, 0.0], [0.0, 0.0]], "weight": [1.0, 1.0], "sinr_target": [1.0, 1.0]}
    with pytest.raises(ProblemError, match="user 1 has a signal-to-noise ratio of 0"):
        make_problem("beamforming", {"instance_data": data}).instance()
