"""A price on power: conformance, the balanced equilibrium without it, and what it is worth."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Effort, Evidence
from optisolve.core.errors import OptionError, ProblemError
from optisolve.numerics.priced_links import enclosed_value, upper_bound
from optisolve.registry import make_problem
from tests.problems.pricing_in_numpy import equilibrium, total_utility


def sinrs(instance, powers):
    up = instance.uplink
    heard = up.noise_w + (up.gain * powers).sum() - up.gain * powers
    return up.processing_gain * up.gain * powers / heard


@pytest.mark.parametrize(
    ("changes", "seed"), [({}, 0), ({}, 5), ({"p_max_w": 0.02}, 1), ({"n_links": 16}, 2), ({"frame_bits": 20}, 3)]
)
def test_compiled_loops_and_numpy_settle_at_the_same_powers(changes, seed):
    """Golden: `pricing_in_numpy`, which plays all prices at once; caps that bind, a full receiver, short frames."""
    instance = make_problem("pricing_game", changes).instance(seed)
    X = instance.space.sample(np.random.default_rng(seed), 100)
    powers = equilibrium(10.0 ** X[:, 0], instance.uplink)
    np.testing.assert_allclose(np.array([instance.powers(x) for x in X]), powers, rtol=1e-9)
    np.testing.assert_allclose(instance.evaluate(X).F[:, 0], total_utility(powers, instance.uplink), rtol=1e-9)


def test_without_a_price_all_links_end_at_the_balanced_sinr():
    """Golden value 6.210 for M = 80 (Goodman and Mandayam: f'(g) g = f(g)), whatever the distances."""
    problem = make_problem("pricing_game", {"log10_price_low": -30.0})
    instance = problem.instance(2)
    powers = instance.powers(instance.space.lower)
    assert (powers < instance.uplink.p_max_w).all()
    np.testing.assert_allclose(sinrs(instance, powers), 6.210, atol=6e-4)


def test_a_price_lets_selfish_links_deliver_more_per_joule():
    """The best price beats no price by more than 5 % and the largest one, and every link that sends uses less power."""
    problem = make_problem("pricing_game")
    instance = problem.instance(0)
    reference = problem.reference(instance, Effort.QUICK)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    null = {name: float(instance.evaluate(X).F[0, 0]) for name, X in instance.null_policies().items()}
    assert reference.value > 1.05 * null["no_price"]
    assert reference.value >= max(null.values())
    assert (instance.powers(reference.X[0]) <= instance.powers(instance.space.lower) + 1e-12).all()


@pytest.mark.parametrize("seed", [0, 3])
def test_no_price_of_a_dense_grid_beats_the_certified_one(seed):
    """Golden: 3,001 prices by the numpy equations, which share no code with the enclosures."""
    problem = make_problem("pricing_game")
    instance = problem.instance(seed)
    reference = problem.reference(instance, Effort.QUICK)
    grid = np.linspace(instance.space.lower[0], instance.space.upper[0], 3_001)[:, None]
    best = float(total_utility(equilibrium(10.0 ** grid[:, 0], instance.uplink), instance.uplink).max())
    assert best <= reference.dual_bound
    assert best == pytest.approx(reference.value, rel=3e-3)
    assert reference.value <= reference.dual_bound <= reference.value * (1.0 + 1.01e-4)


@pytest.mark.parametrize(
    ("changes", "seed"), [({}, 0), ({}, 5), ({"p_max_w": 0.02}, 1), ({"n_links": 16}, 2), ({"frame_bits": 20}, 3)]
)
def test_enclosures_hold_for_every_price_between(changes, seed):
    """Intervals of all widths, with and without links that leave inside; caps that bind, a full receiver, short frames."""
    instance = make_problem("pricing_game", changes).instance(seed)
    rng, left = np.random.default_rng(seed), 0
    for _ in range(12):
        low = rng.uniform(6.0, 11.0)
        high = min(11.0, low + 10.0 ** rng.uniform(-6.0, 0.3))
        inside = np.concatenate([[low, high], rng.uniform(low, high, 14)])[:, None]
        values = instance.evaluate(inside).F[:, 0]
        assert values.max() <= enclosed_value(instance.uplink, low, high) * (1.0 + 1e-9)
        silent = [(instance.powers(np.array([x])) <= 0.0).sum() for x in (low, high)]
        left += silent[0] != silent[1]
    assert left > 0


def test_narrow_intervals_are_enclosed_closely():
    """The width of an enclosure vanishes with that of the interval, so that halving ends."""
    instance = make_problem("pricing_game").instance(1)
    excess = []
    for width in (1e-2, 1e-3, 1e-4):
        value = float(instance.evaluate(np.array([[9.0]])).F[0, 0])
        excess.append(enclosed_value(instance.uplink, 9.0, 9.0 + width) / value - 1.0)
    assert 0.0 < excess[2] < 0.2 * excess[1] < 0.04 * excess[0]


def test_a_proof_that_is_cut_short_says_so():
    instance = make_problem("pricing_game").instance(0)

    def value_at(x: float) -> float:
        return float(instance.evaluate(np.array([[x]])).F[0, 0])

    short = upper_bound(instance.uplink, 6.0, 11.0, value_at, 6.0, rtol=1e-6, most_cells=0)
    more = upper_bound(instance.uplink, 6.0, 11.0, value_at, 6.0, rtol=1e-6, most_cells=100)
    assert short.bound == np.inf
    assert more.value < more.bound < np.inf
    assert more.bound > more.value * (1.0 + 1e-6)


@pytest.mark.parametrize("frame_bits", [2, 1000, 100_000])
def test_frames_of_any_length_are_played(frame_bits):
    """The balanced SINR solves M g = exp(g) - 1 in logarithms, and the plain equilibrium reaches it."""
    instance = make_problem("pricing_game", {"frame_bits": frame_bits, "n_links": 3}).instance(0)
    top = instance.uplink.balanced_sinr
    assert np.log1p(frame_bits * top) == pytest.approx(top, rel=1e-12)
    assert top > np.log(frame_bits)
    np.testing.assert_allclose(sinrs(instance, instance.powers(instance.space.lower)), top, rtol=1e-3)


@pytest.mark.parametrize(
    ("overrides", "named"), [({"frame_bits": 10**9}, "frame_bits"), ({"log10_price_high": 400.0}, "log10_price_high")]
)
def test_numbers_that_cannot_be_computed_are_refused_by_name(overrides, named):
    """No overflow on the way."""
    with pytest.raises(OptionError, match=named):
        make_problem("pricing_game", overrides)


def test_a_signal_that_float64_cannot_hold_is_refused_by_name():
    """Ratios of signal and noise beyond 1e20."""
    with pytest.raises(ProblemError, match="noise_w"):
        make_problem("pricing_game", {"noise_w": 1e-30, "p_max_w": 1e20}).instance(0)
