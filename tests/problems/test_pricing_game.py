"""A price on power: conformance, the balanced equilibrium without it, and what it is worth."""

from __future__ import annotations

import numpy as np

from optisolve.core import Effort, Evidence
from optisolve.registry import make_problem
from optisolve.testing import check_problem


def sinrs(instance, powers):
    up = instance.uplink
    heard = up.noise_w + (up.gain * powers).sum() - up.gain * powers
    return up.processing_gain * up.gain * powers / heard


def test_the_family_conforms():
    failed = [result for result in check_problem(make_problem("pricing_game")) if result.outcome != "passed"]
    assert not failed


def test_without_a_price_all_links_end_at_the_balanced_sinr():
    """Golden value 6.210 for M = 80 (Goodman and Mandayam: f'(g) g = f(g)), whatever the distances."""
    problem = make_problem("pricing_game", {"log10_price_low": -30.0})
    instance = problem.instance(2)
    powers = instance.powers(instance.space.lower)
    assert (powers < instance.uplink.p_max_w).all()
    np.testing.assert_allclose(sinrs(instance, powers), 6.210, atol=6e-4)


def test_a_price_lets_selfish_links_deliver_more_per_joule():
    """The best known price beats no price by more than 5 % and the largest one, and every link that sends uses less power."""
    problem = make_problem("pricing_game")
    instance = problem.instance(0)
    reference = problem.reference(instance, Effort.QUICK)
    assert reference.evidence is Evidence.BEST_KNOWN
    null = {name: float(instance.evaluate(X).F[0, 0]) for name, X in instance.null_policies().items()}
    assert reference.value > 1.05 * null["no_price"]
    assert reference.value >= max(null.values())
    assert (instance.powers(reference.X[0]) <= instance.powers(instance.space.lower) + 1e-12).all()
