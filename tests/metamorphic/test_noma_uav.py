"""noma_uav: order and reflection mean nothing; lower minimum rates and more power never hurt."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Effort
from optisolve.registry import make_problem


def solved(users, rates, **changes):
    data = {"users_m": np.asarray(users).tolist(), "min_rate_bps_hz": np.asarray(rates).tolist()}
    problem = make_problem("noma_uav", {"instance_data": data, **changes})
    return problem.instance(), problem.reference(problem.instance(), Effort.NORMAL)


@pytest.mark.parametrize("noise_w", [1e-14, 1e-6])
@pytest.mark.parametrize("seed", range(3))
def test_order_and_reflection_mean_nothing(seed, noise_w):
    rng = np.random.default_rng(seed)
    users, rates = rng.uniform(0, 400, (4, 2)), rng.uniform(0, 0.5, 4) * (noise_w < 1e-10)
    turn = rng.permutation(4)
    (here, one), (there, two) = (
        solved(u, r, noise_w=noise_w) for u, r in ((users, rates), (400.0 - users[turn][:, ::-1], rates[turn]))
    )
    X = here.project(here.space.sample(rng, 20))
    moved = np.concatenate([400.0 - X[:, 1::-1], X[:, 2:][:, turn]], axis=1)
    np.testing.assert_allclose(there.evaluate_twin(moved).F, here.evaluate_twin(X).F, rtol=1e-9)
    assert one.evidence is two.evidence
    assert two.value == pytest.approx(one.value, abs=one.tie + two.tie)


@pytest.mark.parametrize("seed", range(3))
def test_lower_minimum_rates_and_more_power_never_hurt(seed):
    rng = np.random.default_rng(seed)
    users, rates = rng.uniform(0, 400, (4, 2)), rng.uniform(0.1, 0.6, 4)
    _, base = solved(users, rates)
    for easier, changes in ((0.5 * rates, {}), (0.0 * rates, {}), (rates, {"p_total_w": 0.05}), (rates, {"noise_w": 5e-15})):
        _, other = solved(users, easier, **changes)
        assert other.dual_bound + other.slack >= base.value
