"""uav_isac: order of UAVs and users and reflection mean nothing; bounds move with the power the right way."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.problems.uav_isac.reference.bounds import ideal_bound
from optisolve.registry import make_problem


def instance(users, **changes):
    values = {"n_users": len(users), "users_m": [list(map(float, u)) for u in users], **changes}
    return make_problem("uav_isac", values).instance()


@pytest.mark.parametrize("seed", range(3))
def test_order_and_reflection_mean_nothing(seed):
    rng = np.random.default_rng(seed)
    users = rng.uniform(0, 1500, (7, 2))
    here, there = instance(users), instance(1500.0 - users[rng.permutation(7)][:, ::-1])
    X = here.project(here.space.sample(rng, 30))
    uavs = X.reshape(30, 4, 3)[:, rng.permutation(4)]
    moved = np.concatenate([1500.0 - uavs[:, :, 1::-1], uavs[:, :, 2:]], axis=2).reshape(30, -1)
    np.testing.assert_allclose(there.evaluate_twin(moved).F, here.evaluate_twin(X).F, rtol=1e-9)
    np.testing.assert_allclose(ideal_bound(there), ideal_bound(here), rtol=1e-2)


@pytest.mark.parametrize("seed", range(3))
def test_more_total_power_never_tightens_a_bound(seed):
    users = np.random.default_rng(seed).uniform(0, 1500, (7, 2))
    little, much = (ideal_bound(instance(users, p_total_w=total)) for total in (0.05, 0.3))
    assert much[0] >= little[0] - 0.05  # the multipliers are searched, so each bound is good to a few hundredths of a nat
    assert much[1] <= little[1] * (1.0 + 1e-2)
