"""The power game: conformance, closed form against two other methods, golden values of Zou et al.'s instance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from optisolve.core import Evidence
from optisolve.core.errors import OptionError
from optisolve.numerics.interference import fixed_point, foschini_miljanic, least_powers
from optisolve.problems.power_game.model import least_bandwidth, least_powers_closed_form, rates
from optisolve.registry import make_problem
from optisolve.run.verify import confront, verify_points
from optisolve.testing import ProblemConformance


class TestRepairIsExact(ProblemConformance):
    """Thresholds and the intent hold after `project`."""

    projection_is_exact = True

    def make_problem(self):
        return make_problem("power_game/zou_hard")


def test_least_bandwidth_of_the_published_thresholds():
    """Derived golden value: feasible exactly above 13.0107 kHz."""
    thresholds = make_problem("power_game").instance(0).cell.rate_threshold_bit_s
    assert least_bandwidth(thresholds) == pytest.approx(13010.7, abs=0.05)


def test_least_powers_at_15_khz():
    """Derived golden value: p* = (1.1938, 2.4936, 3.0685, 3.3603), total 10.1163 W; all three methods agree."""
    problem = make_problem("power_game/zou_15khz")
    instance = problem.instance(0)
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    np.testing.assert_allclose(reference.X[0], (1.1938, 2.4936, 3.0685, 3.3603), atol=5e-5)
    assert reference.value == pytest.approx(10.1163, abs=5e-5)
    arrays = (instance.gain, instance.noise_w, instance.sinr_floor)
    np.testing.assert_allclose(fixed_point(*arrays), reference.X[0], rtol=1e-10)
    np.testing.assert_allclose(least_powers(*arrays, instance.p_max_w).powers_w, reference.X[0], rtol=1e-12)


def test_rates_at_the_initial_powers():
    """Derived: at 15 kHz and noise 1 the initial powers give (3.77, 16.39, 4.60, 1.14) kbit/s."""
    cell = make_problem("power_game").instance(0).cell
    np.testing.assert_allclose(rates(cell.initial_power_w[None, :], cell)[0] / 1e3, (3.77, 16.39, 4.60, 1.14), atol=5e-3)


def test_foschini_miljanic_trace():
    """Derived golden trace of total power after 1, 2, 3, 5, 10, 20, 40 rounds; every round meets all thresholds."""
    instance = make_problem("power_game").instance(0)
    trace = foschini_miljanic(
        instance.cell.initial_power_w, instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w, 40
    )
    golden = {1: 15.626, 2: 14.767, 3: 14.008, 5: 12.856, 10: 11.255, 20: 10.313, 40: 10.122}
    for rounds, total in golden.items():
        assert trace[rounds].sum() == pytest.approx(total, abs=5e-4)
    assert verify_points(instance, trace[1:]).feasible.all()


@pytest.mark.parametrize(
    ("bandwidth_hz", "noise_w", "total_w", "proportional_works", "equal_works"),
    [(14000.0, 0.5, 10.24, True, False), (14500.0, 1.0, 13.56, False, False)],
)
def test_naive_cuts_as_derived(bandwidth_hz, noise_w, total_w, proportional_works, equal_works):
    """Which of the two naive 5 % cuts keeps all thresholds, and what the optimum is."""
    problem = make_problem("power_game", {"bandwidth_hz": bandwidth_hz, "noise_w": noise_w})
    instance = problem.instance(0)
    assert problem.reference(instance).value == pytest.approx(total_w, abs=5e-3)
    policies = instance.null_policies()
    assert verify_points(instance, policies["cut_in_proportion"]).feasible[0] == proportional_works
    assert verify_points(instance, policies["cut_equally"]).feasible[0] == equal_works


def test_thresholds_that_the_initial_powers_miss_can_still_be_met_within_the_intent():
    """Derived: at 14 kHz and noise 0.75 the initial powers fail, the optimum 15.36 W meets the intent."""
    problem = make_problem("power_game", {"bandwidth_hz": 14000.0, "noise_w": 0.75})
    instance = problem.instance(0)
    start = instance.cell.initial_power_w[None, :]
    assert (rates(start, instance.cell)[0] < instance.cell.rate_threshold_bit_s).any()
    assert problem.reference(instance).value == pytest.approx(15.36, abs=5e-3)


def test_three_kinds_of_infeasibility_are_told_apart():
    """Too little bandwidth, a cap, and an intent that asks too much: no value, no bound, the proof in words."""
    cases = {
        "total load": {"bandwidth_hz": 13000.0},
        "its cap is 3 W": {"p_max_w": 3.0},
        "the intent allows": {"power_saving_w": 7.0},
    }
    for words, overrides in cases.items():
        problem = make_problem("power_game", overrides)
        reference = problem.reference(problem.instance(0))
        assert reference.evidence is Evidence.PROVEN_INFEASIBLE
        assert reference.X is None
        assert reference.value is None
        assert reference.dual_bound is None
        assert words in reference.detail


def test_just_above_the_least_bandwidth_powers_are_finite():
    """One hertz decides between no powers and very large ones."""
    cell = make_problem("power_game").instance(0).cell
    edge = least_bandwidth(cell.rate_threshold_bit_s)
    below = make_problem("power_game", {"bandwidth_hz": edge - 1.0, "p_max_w": 1e9}).instance(0).cell
    above = make_problem("power_game", {"bandwidth_hz": edge + 1.0, "p_max_w": 1e9}).instance(0).cell
    assert least_powers_closed_form(below)[0] is None
    powers, load = least_powers_closed_form(above)
    assert load < 1.0
    assert powers.sum() > 1e3


def test_gain_spread_makes_a_family():
    """With a spread, seeds differ; without, they do not."""
    spread, fixed = make_problem("power_game/zou_spread"), make_problem("power_game")
    assert spread.instance(0).sha256 != spread.instance(1).sha256
    assert fixed.instance(0).sha256 == fixed.instance(1).sha256


@pytest.mark.parametrize(
    "overrides",
    [{}, {"bandwidth_hz": 14500.0}, {"bandwidth_hz": 13010.75, "p_max_w": 1e12, "power_saving_w": 0.0}],
)
def test_points_that_use_the_tolerance_stay_within_bound_and_slack(overrides):
    """Thresholds lowered by 0.99e-8: verified, cheaper, no further beyond the bound than the slack says."""
    problem = make_problem("power_game", overrides)
    instance = problem.instance(0)
    reference = problem.reference(instance)
    cell = dataclasses.replace(instance.cell, rate_threshold_bit_s=instance.cell.rate_threshold_bit_s * (1.0 - 0.99e-8))
    cheap = least_powers_closed_form(cell)[0]
    told = verify_points(instance, cheap)
    assert told.feasible.all()
    assert cheap.sum() < reference.value
    assert reference.dual_bound - cheap.sum() <= reference.tie
    assert confront(instance, reference, told).evidence is Evidence.PROVEN_OPTIMAL
    assert reference.slack < 2e-3 * reference.dual_bound
    if not overrides:
        assert reference.slack < 1e-7 * reference.dual_bound
    assert instance.objectives[0].gap_scale(reference.value) == reference.value  # whatever the caps are


@pytest.mark.parametrize(("share", "infeasible"), [(1e-9, False), (1e-8, False), (1e-6, True)])
def test_a_cap_just_below_the_need_is_infeasible_only_beyond_the_tolerance(share, infeasible):
    """What verification accepts is never proven not to exist."""
    free = make_problem("power_game")
    need = free.reference(free.instance(0)).X[0]
    problem = make_problem("power_game", {"p_max_w": float(need.max()) * (1.0 - share)})
    instance = problem.instance(0)
    reference = problem.reference(instance)
    assert (reference.evidence is Evidence.PROVEN_INFEASIBLE) == infeasible
    capped = verify_points(instance, np.minimum(need, instance.p_max_w))
    assert capped.feasible.all() == (not infeasible)


def test_a_threshold_beyond_any_signal_is_refused_by_name():
    """1,000 bit/s/Hz would overflow every SINR."""
    with pytest.raises(OptionError, match="bandwidth_hz"):
        make_problem("power_game", {"bandwidth_hz": 10.0})
