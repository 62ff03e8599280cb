"""cell_free: the order of users and access points means nothing; fewer users and another access point never hurt."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.registry import make_problem


def solved(beta, **changes):
    problem = make_problem("cell_free", {"instance_data": {"beta": np.asarray(beta).tolist()}, **changes})
    return problem.instance(), problem.reference(problem.instance())


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_users_and_access_points_means_nothing(seed):
    rng = np.random.default_rng(seed)
    beta = 10.0 ** rng.uniform(-13, -8, (6, 3))
    points, users = rng.permutation(6), rng.permutation(3)
    (here, one), (there, two) = solved(beta), solved(beta[points][:, users])
    X = here.project(here.space.sample(rng, 20))
    moved = X.reshape(20, 6, 3)[:, points][:, :, users].reshape(20, -1)
    np.testing.assert_allclose(there.evaluate_twin(moved).F, here.evaluate_twin(X).F, rtol=1e-12)
    assert one.evidence is two.evidence
    assert two.value == pytest.approx(one.value, abs=one.tie + two.tie)


@pytest.mark.parametrize("seed", range(3))
def test_fewer_users_another_access_point_and_longer_pilots_never_hurt(seed):
    rng = np.random.default_rng(seed)
    beta = 10.0 ** rng.uniform(-13, -8, (6, 3))
    _, base = solved(beta[:5])
    for easier, changes in ((beta[:5, :2], {}), (beta, {}), (beta[:5], {"pilot_symbols": 200})):
        _, other = solved(easier, **changes)
        assert other.dual_bound + other.slack >= base.value
