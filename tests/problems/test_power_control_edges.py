"""Power control at the edge of what floating point and tolerances allow: tight floors, tiny and huge ratios."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Effort, Evidence
from optisolve.core.errors import OptisolveError
from optisolve.numerics.interference import balanced_sinr, least_powers
from optisolve.numerics.mixed_monotonic import RateProgram
from optisolve.registry import make_problem
from optisolve.run.verify import confront, verify_points


def _channel(rng, n_links, noise):
    return rng.exponential(size=(n_links, n_links)), np.full(n_links, noise), np.ones(n_links)


def _with_arrays(scenario, gain, noise, p_max, min_rate):
    arrays = {"gain": gain, "noise_w": noise, "p_max_w": p_max, "weight": np.ones(len(noise)), "min_rate_bit_s_hz": min_rate}
    data = {name: np.asarray(values).tolist() for name, values in arrays.items()}
    return make_problem(scenario, {"instance_data": data, "min_rate_share": 0.0, "n_links": len(noise)})


@pytest.mark.parametrize(("noise_w", "n_links"), [(1.0, 30), (1e-3, 30), (1e-6, 3), (1e-6, 10), (1e-9, 3), (1e-9, 10)])
@pytest.mark.parametrize("scenario", ["power_control/min_power", "power_control/weighted_qos"])
def test_floors_that_full_power_meets_are_never_called_infeasible(scenario, noise_w, n_links):
    """Floors equal to the rates at full power: full power is a witness, however ill-conditioned the floors are."""
    problem = make_problem(scenario, {"min_rate_share": 1.0, "noise_w": noise_w, "n_links": n_links})
    for seed in range(12):
        instance = problem.instance(seed)
        assert verify_points(instance, instance.p_max_w).feasible.all()
        proof = least_powers(instance.gain, instance.noise_w, instance.sinr_floor, instance.p_max_w).reason
        assert proof == "", f"seed {seed}: {proof}"
    if scenario == "power_control/min_power":
        assert problem.reference(instance, Effort.QUICK).X is not None


def test_powers_that_use_the_tolerance_stay_within_bound_and_slack():
    """60 dB, floors 1e-7 below the balanced rate: lowering every floor by 0.99e-8 saves a percent, and the slack says so."""
    rng = np.random.default_rng(17)
    gain, noise, p_max = _channel(rng, 10, noise=1e-6)
    balanced, _ = balanced_sinr(gain, noise, p_max)
    min_rate = np.full(10, np.log2(1.0 + balanced) * (1.0 - 1e-7))
    problem = _with_arrays("power_control/min_power", gain, noise, p_max, min_rate)
    instance = problem.instance(0)
    reference = problem.reference(instance)
    cheap = least_powers(gain, noise, np.expm1(min_rate * (1.0 - 0.99e-8) * np.log(2.0)), p_max).powers_w
    assert verify_points(instance, cheap).feasible.all()
    saved = reference.value - cheap.sum()
    assert saved > 0.01 * reference.value
    assert reference.dual_bound - cheap.sum() <= reference.tie
    kept = confront(instance, reference, verify_points(instance, cheap))
    assert (kept.evidence, kept.note) == (reference.evidence, "")


def test_the_slack_of_an_ordinary_instance_is_small():
    """Shipped least-power instances: verified points may gain less than 1e-6 of the bound."""
    problem = make_problem("power_control/min_power")
    for seed in range(10):
        reference = problem.reference(problem.instance(seed))
        assert 0.0 < reference.slack < 1e-6 * reference.dual_bound


@pytest.mark.parametrize("scenario", ["power_control/max_min", "power_control/energy_efficiency", "power_control"])
@pytest.mark.parametrize("noise_w", [1e-12, 1.0, 1e20, 1e40])
def test_bounds_hold_at_any_signal_to_noise_ratio(scenario, noise_w):
    """Rates of 1e-20 and of 40 bit/s/Hz alike are proven, and no note says that a bound was withdrawn."""
    problem = make_problem(scenario, {"noise_w": noise_w, "n_links": 4})
    instance = problem.instance(111)
    reference = problem.reference(instance, Effort.QUICK)
    assert (reference.evidence, reference.note) == (Evidence.PROVEN_OPTIMAL, "")
    assert reference.value > 0.0
    assert instance.objectives[0].gap_scale(reference.value) == reference.value


def test_the_kernel_keeps_ratios_below_one_unit_in_the_last_place():
    """At a signal to noise ratio of 1e-20 the kernel says what the twin says."""
    instance = make_problem("power_control/energy_efficiency", {"noise_w": 1e20}).instance(0)
    X = instance.space.sample(np.random.default_rng(0), 8)
    np.testing.assert_allclose(instance.evaluate(X).F, instance.evaluate_twin(X).F, rtol=1e-12)
    assert (instance.evaluate(X).F > 0.0).all()


@pytest.mark.parametrize("exponent", [-20, -18, -16, -14, -12, -10, -5, 0, 12])
def test_the_concave_bound_of_a_box_holds_at_any_ratio(exponent):
    """Between -190 and -90 dB the rounding of its terms is larger than the rates; the bound carries it."""
    from tests.numerics.mixed_monotonic_in_numpy import concave_bound, objective

    for seed in range(10):
        rng = np.random.default_rng(seed)
        gain = rng.exponential(size=(4, 4)) * 10.0 ** rng.uniform(-3.0, 3.0, (4, 4))
        data = RateProgram(gain, np.full(4, 10.0**-exponent), np.ones(4), np.ones(4), np.zeros(4)).scaled()
        bound, _ = concave_bound(np.zeros(4), np.ones(4), data, 0.0, 4, -np.inf)
        assert all(objective(p, data) <= bound for p in np.vstack([rng.random((50, 4)), np.eye(4), np.ones((1, 4))]))


@pytest.mark.parametrize(
    ("overrides", "named"),
    [({"noise_w": 1e-70}, "noise_w"), ({"p_max_w": 1e250}, "p_max_w"), ({"noise_w": 1e70}, "noise_w")],
)
def test_ratios_beyond_float64_are_refused_by_name(overrides, named):
    """One clear error before anything is computed."""
    with pytest.raises(OptisolveError, match=named):
        make_problem("power_control", overrides).instance(0)


def test_a_wmmse_run_does_not_stop_at_once_where_rates_are_small():
    """Rates of 1e-6 bit/s/Hz are improved like large ones: the limit does not depend on their size."""
    from optisolve.numerics.wmmse import wmmse
    from tests.numerics.channels_in_numpy import wmmse_in_numpy

    gain = np.array([[1.0, 50.0], [50.0, 2.0]]) * 1e-9
    start = np.full(2, 0.01)
    powers, steps = wmmse(gain[None], np.ones((1, 2)), start[None, None])
    _, slow = wmmse_in_numpy(gain, np.ones(2), start)
    assert steps[0, 0] > 1
    assert abs(int(steps[0, 0]) - slow) <= 1
    assert powers[0, 0].max() > 0.5


def test_a_share_of_a_tiny_rate_is_still_a_floor():
    """At a signal to noise ratio of 1e-20 half the rate at full power is asked, and the least power is about half of it."""
    problem = make_problem("power_control/min_power", {"noise_w": 1e20, "min_rate_share": 0.5})
    instance = problem.instance(0)
    assert len(instance.constraint_names) == instance.space.dim
    assert problem.reference(instance).value == pytest.approx(0.5 * instance.p_max_w.sum(), rel=1e-9)
