"""What the order and the number of agents, branches and sellers may do to games and to the service utility."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Evidence
from optisolve.registry import make_problem


def test_agents_of_the_power_game_may_come_in_any_order() -> None:
    """And one agent less, or a lower threshold, needs no more power."""
    base = make_problem("power_game", {"power_saving_w": 0.0}).instance(0)
    arrays = {name: np.asarray(values) for name, values in base.arrays().items()}

    def least(order: list[int], ease: float = 1.0) -> float:
        data = {name: (values[order] if values.ndim else values) for name, values in arrays.items()}
        data["rate_threshold_bit_s"] = data["rate_threshold_bit_s"] * ease
        problem = make_problem("power_game", {"instance_data": {name: v.tolist() for name, v in data.items()}})
        reference = problem.reference(problem.instance(0))
        assert reference is not None
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        return float(reference.value or 0.0)

    assert least([3, 1, 0, 2]) == pytest.approx(least([0, 1, 2, 3]), rel=1e-10)
    for gone in range(4):
        assert least([k for k in range(4) if k != gone]) < least([0, 1, 2, 3])
    assert least([0, 1, 2, 3], 0.99) < least([0, 1, 2, 3])


@pytest.mark.parametrize("scenario", ["nsp_utility/rate", "nsp_utility/bep", "nsp_utility/energy", "nsp_utility/throughput16"])
def test_branches_may_come_in_any_order_and_better_ones_never_hurt(scenario: str) -> None:
    problem = make_problem(scenario)
    gain = problem.instance(0).arrays()["gain"]

    def optimum(gains: np.ndarray) -> tuple[float, float]:
        other = make_problem(scenario, {"instance_data": {"gain": gains.tolist()}})
        instance = other.instance(0)
        found = other.reference(instance)
        assert found is not None
        assert found.evidence is Evidence.PROVEN_OPTIMAL
        return float(found.value or 0.0) * -float(instance.signs[0]), 2.0 * found.tie

    (plain, room), (turned, _), (better, _) = optimum(gain), optimum(gain[::-1]), optimum(1.1 * gain)
    assert turned == pytest.approx(plain, abs=room)
    assert better > plain - room


def test_sellers_may_come_in_any_order_and_money_has_no_unit() -> None:
    """Prices in another currency: the same quantities, profits converted; bids and worths in any unit: the same shares."""
    for seed in range(3):
        one = make_problem("market_game/cournot").instance(seed)
        prices = {"intercept": 1e8, "slope": 1e6, "cost_low": 1e7, "cost_high": 3e7}
        other = make_problem("market_game/cournot", prices).instance(seed)
        X = one.space.sample(np.random.default_rng(seed), 50)
        np.testing.assert_allclose(other.evaluate_twin(X).F, 1e6 * one.evaluate_twin(X).F, rtol=1e-9, atol=1e-3)
        order = np.random.default_rng(seed).permutation(5)
        costs = one.arrays()["cost"]
        price = float(one.arrays()["intercept"]) - float(one.arrays()["slope"]) * X[:, order].sum(axis=1)
        profit = ((price[:, None] - costs[order]) * X[:, order]).sum(axis=1)
        np.testing.assert_allclose(one.evaluate_twin(X).F[:, 0], profit, rtol=1e-9, atol=1e-9)
