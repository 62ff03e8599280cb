"""Power control: conformance of every scenario, agreement of independent methods, published and recomputed anchors."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.core import Effort, Evidence
from optisolve.core.errors import OptionError, ProblemError
from optisolve.numerics.interference import balanced_sinr, balanced_sinr_bound, fixed_point, least_powers
from optisolve.numerics.mixed_monotonic import RateProgram, maximize_rate
from optisolve.problems.power_control.convex import balanced_sinr_gp, least_power_lp
from optisolve.problems.power_control.model import Goal
from optisolve.problems.power_control.reference import RATE_GAP, Work, rate
from optisolve.registry import make_problem
from optisolve.run.verify import verify_points
from optisolve.testing import ProblemConformance


class TestFloorsConform(ProblemConformance):
    """With minimum rates the repair is exact: every projected point is feasible."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("power_control/weighted_qos")


def _channel(rng, n_links, noise=0.1, cross=1.0):
    gain = rng.exponential(size=(n_links, n_links))
    gain = np.where(np.eye(n_links, dtype=bool), gain, cross * gain)
    return gain, np.full(n_links, noise), np.ones(n_links)


# -- least power ---------------------------------------------------------------------------------------------------


def test_two_symmetric_links_need_5_49_watt_each():
    """AlgoTune's 2x2 example: G = [[1, .1], [.1, 1]], noise 0.5, SINR 0.2 gives 5/49 each (solved by hand)."""
    gain = np.array([[1.0, 0.1], [0.1, 1.0]])
    found = least_powers(gain, np.full(2, 0.5), np.full(2, 0.2), np.ones(2))
    assert found.reason == ""
    np.testing.assert_allclose(found.powers_w, 5.0 / 49.0, rtol=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_linear_program_fixed_point_and_elimination_agree(seed):
    """Three independent ways to the least powers, on gains from 1e-12 to 1."""
    rng = np.random.default_rng(seed)
    gain, noise, p_max = _channel(rng, 8, cross=0.1)
    scale = 10.0 ** rng.uniform(-12.0, 0.0)
    gain, noise = gain * scale, noise * scale
    floor = 0.9 * np.diag(gain) / (noise + gain.sum(axis=1) - np.diag(gain))  # met at full power
    exact = least_powers(gain, noise, floor, p_max)
    assert exact.reason == ""
    program = least_power_lp(gain, noise, floor, p_max)
    assert program.status == "Optimal"
    np.testing.assert_allclose(program.powers_w, exact.powers_w, rtol=1e-7)
    np.testing.assert_allclose(fixed_point(gain, noise, floor), exact.powers_w, rtol=1e-9)
    assert program.dual_bound_w == pytest.approx(exact.powers_w.sum(), rel=1e-9)


def test_floors_that_no_power_meets_are_proven_by_the_spectral_radius():
    """Infeasible without caps: spectral radius >= 1, the LP agrees, the reference claims nothing."""
    problem = make_problem("power_control/min_power", {"min_rate_share": 0.0, "min_rate_bit_s_hz": 6.0})
    instance = problem.instance(0)
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_INFEASIBLE
    assert reference.X is None
    assert reference.value is None
    assert reference.dual_bound is None
    assert reference.detail.startswith("spectral radius")
    assert fixed_point(instance.gain, instance.noise_w, instance.sinr_floor) is None
    assert least_power_lp(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w).status == "Infeasible"


def test_floors_that_break_a_cap_are_proven_by_the_least_powers():
    """Feasible without caps, infeasible with them: the detail names the link and its cap."""
    problem = make_problem("power_control/min_power", {"p_max_w": 1e-3, "min_rate_share": 0.0, "min_rate_bit_s_hz": 0.1})
    instance = problem.instance(0)
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_INFEASIBLE
    assert reference.X is None
    assert "its cap is 0.001 W" in reference.detail
    assert least_power_lp(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w).status == "Infeasible"


@pytest.mark.parametrize("noise_w", [1.0, 1e-3, 1e-6, 1e-9])
def test_proven_lower_powers_bound_the_exact_solution(noise_w):
    """In rational arithmetic: what is proven is never above the solution, and as near as the conditioning allows."""
    from fractions import Fraction

    gain, noise, p_max = _channel(np.random.default_rng(3), 4, noise_w)
    floor = 0.999 * np.diag(gain) / (noise + gain.sum(axis=1) - np.diag(gain))
    exact = _rational_least_powers(gain, noise, floor)
    found = least_powers(gain, noise, floor, p_max)
    assert all(Fraction(low) <= value for low, value in zip(found.lower_w.tolist(), exact, strict=True))
    np.testing.assert_allclose(found.lower_w, [float(value) for value in exact], rtol=1e-8)
    assert (found.verified_lower_w < found.lower_w).all()


def _rational_least_powers(gain, noise, floor):
    """Solution of ``p_i = floor_i (noise_i + sum_j G_ij p_j) / G_ii`` without rounding."""
    from fractions import Fraction

    n = len(noise)
    rows = [
        [Fraction(1) if i == j else -Fraction(floor[i]) * Fraction(gain[i, j]) / Fraction(gain[i, i]) for j in range(n)]
        + [Fraction(floor[i]) * Fraction(noise[i]) / Fraction(gain[i, i])]
        for i in range(n)
    ]
    for k in range(n):
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(n):
            if i != k:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


# -- max-min -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_feasibility_geometric_program_and_perron_vector_agree(seed):
    """Three independent ways to the balanced SINR; any powers give a bound on it, the balanced ones the best."""
    rng = np.random.default_rng(seed)
    gain, noise, p_max = _channel(rng, 6, cross=0.3)
    value, powers = balanced_sinr(gain, noise, p_max)
    assert not least_powers(gain, noise, np.full(6, value * (1 - 1e-7)), p_max).reason
    assert least_powers(gain, noise, np.full(6, value * (1 + 1e-6)), p_max).reason
    assert balanced_sinr_bound(powers, gain, noise, p_max) == pytest.approx(value, rel=1e-12)
    for _ in range(100):
        assert balanced_sinr_bound(rng.random(6), gain, noise, p_max) >= value
    assert balanced_sinr_gp(gain, noise, p_max) == pytest.approx(value, rel=1e-6)
    assert powers.max() == pytest.approx(1.0)


def test_the_second_opinion_is_in_the_detail():
    """Beyond QUICK the geometric program is asked."""
    problem = make_problem("power_control/max_min")
    assert "geometric program agrees" in problem.reference(problem.instance(3), Effort.NORMAL).detail


# -- rates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_links", [2, 3, 4, 5])
@pytest.mark.parametrize("noise", [1.0, 0.1])
def test_branch_and_bound_agrees_with_enumeration(n_links, noise):
    """All on/off vectors and a grid of 11 (K <= 3: 21) levels: none is above the bound, the best on/off one is reached."""
    gain, noise_w, p_max = _channel(np.random.default_rng(n_links), n_links, noise)
    search = maximize_rate(RateProgram(gain, noise_w, p_max, np.ones(n_links), np.zeros(n_links)), gap=1e-6)
    assert search.closed
    levels = np.linspace(0.0, 1.0, {2: 101, 3: 41, 4: 17, 5: 9}[n_links])
    grid = np.array(list(itertools.product(levels, repeat=n_links)))
    own, cross = np.diag(gain), gain - np.diag(np.diag(gain))
    value = np.log2(1.0 + grid * own / (grid @ cross.T + noise_w)).sum(axis=1)
    assert value.max() <= search.dual_bound * (1 + 1e-12)
    assert value.max() <= search.value * (1 + 1e-9)
    on_off = value[np.isin(grid, (0.0, 1.0)).all(axis=1)]
    assert search.value == pytest.approx(on_off.max(), rel=1e-6)  # seen in every instance; a theorem for two links only


@pytest.mark.parametrize("scenario", ["power_control/weighted_qos", "power_control/energy_efficiency"])
def test_the_certified_bound_holds_against_many_random_points(scenario):
    """No repaired random point and no local ascent beats the bound; floors and ratio included."""
    problem = make_problem(scenario, {"n_links": 4})
    for seed in range(3):
        instance = problem.instance(seed)
        reference = problem.reference(instance, Effort.QUICK)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        X = instance.project(instance.space.sample(np.random.default_rng(seed), 2_000))
        evaluation = instance.evaluate(X)
        assert (evaluation.violation == 0.0).all()
        assert evaluation.F.max() <= reference.dual_bound
        assert reference.dual_bound - reference.value <= RATE_GAP * reference.dual_bound


def test_a_limited_search_keeps_a_valid_bound_and_claims_no_optimum():
    """Five boxes, or no time at all: evidence DUAL_BOUND, the bound above the proven optimum."""
    problem = make_problem("power_control/gaussian_k10_10db")
    instance = problem.instance(4)
    proven = problem.reference(instance, Effort.QUICK)
    assert proven.evidence is Evidence.PROVEN_OPTIMAL
    few_boxes = rate(instance, Work(max_nodes=5, n_starts=1, n_polished=1))
    no_time = rate(instance, Work(max_nodes=100_000, n_starts=1, n_polished=1), out_of_time=lambda: True)
    for limited in (few_boxes, no_time):
        assert limited.evidence is Evidence.DUAL_BOUND
        assert limited.dual_bound >= proven.value
        assert limited.value <= proven.dual_bound
        assert "stopped at a limit" in limited.detail


def test_infeasible_rate_floors_are_not_searched():
    """A sum rate with unreachable floors yields the certificate, by spectral radius and by branch and bound alike."""
    problem = make_problem("power_control/weighted_qos", {"min_rate_share": 0.0, "min_rate_bit_s_hz": 3.0})
    instance = problem.instance(0)
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_INFEASIBLE
    assert reference.X is None
    search = maximize_rate(
        RateProgram(instance.gain, instance.noise_w, instance.p_max_w, instance.weight, instance.sinr_floor), max_nodes=1000
    )
    assert search.closed
    assert search.powers_w is None
    assert search.dual_bound == -np.inf


def test_above_ten_links_there_is_a_value_and_a_valid_bound():
    """K = 20: evidence DUAL_BOUND, and the point survives verification."""
    problem = make_problem("power_control/gaussian_k20_0db")
    instance = problem.instance(0)
    reference = problem.reference(instance, Effort.QUICK)
    assert reference.evidence is Evidence.DUAL_BOUND
    assert reference.dual_bound > reference.value
    assert verify_points(instance, reference.X).feasible.all()


def test_single_link_efficiency_agrees_with_a_scalar_search():
    """K = 1 needs no branching: the certified optimum equals a bounded 1-D search by SciPy (quasi-concave ratio)."""
    from scipy.optimize import minimize_scalar

    for seed in range(5):
        instance = make_problem("power_control/energy_efficiency", {"n_links": 1}).instance(seed)
        snr = instance.gain[0, 0] / instance.noise_w[0]
        best = minimize_scalar(
            lambda p, snr=snr, slope=instance.power_slope: -np.log2(1.0 + snr * p) / (1.0 + slope * p),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-10},
        )
        found = rate(instance, Work(max_nodes=5000, n_starts=4, n_polished=2))
        assert found.evidence is Evidence.PROVEN_OPTIMAL
        assert found.value == pytest.approx(-best.fun, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(list(Goal)), st.floats(-6.0, 6.0))
def test_kernel_and_twin_agree_on_any_channel(seed, goal, log_noise):
    """Random gains over six decades, any noise level, any goal, with and without floors: 1e-12 relative."""
    rng = np.random.default_rng(seed)
    share = 0.0 if goal is Goal.MAX_MIN else 0.7
    weights = {"weight_low": 0.1, "weight_high": 2.0} if seed % 2 else {}
    overrides = {"goal": goal.value, "n_links": 1 + seed % 7, "noise_w": 10.0**log_noise, "min_rate_share": share, **weights}
    instance = make_problem("power_control", overrides).instance(seed)
    X = instance.space.sample(rng, 8) * 10.0 ** rng.uniform(-3.0, 0.0, (8, 1))
    fast, slow = instance.evaluate(X), instance.evaluate_twin(X)
    np.testing.assert_allclose(fast.F, slow.F, rtol=1e-12)
    np.testing.assert_allclose(fast.G, slow.G, rtol=1e-12, atol=1e-12)


# -- interface -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["power_control", "power_control/max_min", "power_control/energy_efficiency"])
def test_torch_objective_has_the_twin_s_values(scenario):
    """Same values as the numpy twin, and a finite gradient."""
    torch = pytest.importorskip("torch", reason="needs the extra [diffusion]")
    instance = make_problem(scenario).instance(0)
    X = instance.space.sample(np.random.default_rng(0), 16)
    x = torch.tensor(X, dtype=torch.float64, requires_grad=True)
    value = instance.objective_torch(x)
    np.testing.assert_allclose(value.detach().numpy(), instance.evaluate_twin(X).F, rtol=1e-12)
    value.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_all_contradictions_of_a_scenario_are_listed():
    """A geometric channel without its numbers and two kinds of floors: one error names everything."""
    with pytest.raises(OptionError) as caught:
        make_problem("power_control", {"channel": "geometric", "min_rate_share": 0.5, "min_rate_bit_s_hz": 0.1})
    text = str(caught.value)
    assert "area_side_m" in text
    assert "snr_gap_db" in text
    assert "min_rate_bit_s_hz" in text


def test_own_gains_come_from_a_file_and_bad_ones_are_named(tmp_path):
    """An npz file with the five arrays replaces the drawn channel; a dead direct link is refused by index."""
    rng = np.random.default_rng(0)
    gain, noise, p_max = _channel(rng, 3)
    arrays = {"gain": gain, "noise_w": noise, "p_max_w": p_max, "weight": np.ones(3), "min_rate_bit_s_hz": np.zeros(3)}
    np.savez(tmp_path / "own.npz", **arrays)
    problem = make_problem("power_control", {"instance_file": str(tmp_path / "own.npz")})
    np.testing.assert_array_equal(problem.instance(0).gain, gain)
    assert problem.reference(problem.instance(0), Effort.QUICK).evidence is Evidence.PROVEN_OPTIMAL
    gain[1, 1] = 0.0
    np.savez(tmp_path / "dead.npz", **arrays)
    with pytest.raises(ProblemError, match=r"gain\[1, 1\]"):
        make_problem("power_control", {"instance_file": str(tmp_path / "dead.npz")}).instance(0)


# -- anchors: recomputed for this project with an independent implementation, not taken from papers ------------------


@pytest.mark.slow
def test_ten_link_references_are_proven_on_many_seeds():
    """Default effort closes the gap to 1e-4 on 20 seeds at 0 and 10 dB, and the optimum is on/off in every one."""
    for scenario in ("power_control", "power_control/gaussian_k10_10db"):
        problem = make_problem(scenario)
        for seed in range(20):
            reference = problem.reference(problem.instance(seed))
            assert reference.evidence is Evidence.PROVEN_OPTIMAL
            assert (np.minimum(reference.X, 1.0 - reference.X) < 1e-3).all()
