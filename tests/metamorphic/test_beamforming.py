"""beamforming: the order of users and antennas means nothing; fewer users, more power and less noise never hurt."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Effort
from optisolve.registry import make_problem

GOALS = ("min_power", "max_min", "weighted_sum_rate")


def problem(goal, data, **changes):
    return make_problem("beamforming", {"goal": goal, "instance_data": data, **changes})


def drawn(seed, K=4, M=5):
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((2, K, M)) * 10.0 ** rng.uniform(-2, 2, (1, K, 1))
    return {"h_re": h[0], "h_im": h[1], "weight": rng.uniform(0.5, 2.0, K), "sinr_target": 10.0 ** rng.uniform(-1, 1, K)}


def subset(data, users):
    return {name: array[users].tolist() for name, array in data.items()}


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_users_and_antennas_means_nothing(goal, seed):
    rng, data = np.random.default_rng(seed), drawn(seed)
    users, antennas = rng.permutation(4), rng.permutation(5)
    turned = {n: a[users][:, antennas] if a.ndim == 2 else a[users] for n, a in data.items()}
    here, there = (problem(goal, {n: a.tolist() for n, a in d.items()}, p_total_w=1e5) for d in (data, turned))
    X = here.instance().project(here.instance().space.sample(rng, 20))
    moved = X.reshape(20, 4, 5, 2)[:, users][:, :, antennas].reshape(20, -1)
    np.testing.assert_allclose(there.instance().evaluate_twin(moved).F, here.instance().evaluate_twin(X).F, rtol=1e-10)
    one, two = here.reference(here.instance(), Effort.QUICK), there.reference(there.instance(), Effort.QUICK)
    assert one.evidence is two.evidence
    assert two.dual_bound == pytest.approx(one.dual_bound, rel=1e-9 if goal != "weighted_sum_rate" else 1e-5)
    if goal != "weighted_sum_rate":  # local optima of the sum rate depend on the random starts
        assert two.value == pytest.approx(one.value, rel=1e-9)


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("seed", range(3))
def test_fewer_users_more_power_and_less_noise_never_hurt(goal, seed):
    data = drawn(seed)
    base = problem(goal, subset(data, np.arange(4)), p_total_w=1e5)
    easier = [
        problem(goal, subset(data, np.arange(3)), p_total_w=1e5),
        problem(goal, subset(data, np.arange(4)), p_total_w=1e5, noise_w=0.5),
        problem(goal, subset(data, np.arange(4)), p_total_w=2e5),
    ]
    # A sum of rates loses by a user that is left out
    told = base.reference(base.instance(), Effort.QUICK)
    for case in easier[1:] if goal == "weighted_sum_rate" else easier:
        other = case.reference(case.instance(), Effort.QUICK)
        sign = float(case.instance().signs[0])
        assert sign * other.dual_bound <= sign * told.dual_bound + 1e-6 * abs(told.dual_bound)
