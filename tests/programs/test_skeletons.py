"""Skeletons do what they say: rules of theirs are known methods, written anew here in numpy."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core.budget import Budget
from optisolve.core.status import Termination
from optisolve.numerics.wmmse import normalized_gain, wmmse
from optisolve.programs.catalog import ANSWERING
from optisolve.registry import make_problem
from optisolve.run.solve import solve

CHANNELS = ("power_control/gaussian_k20_0db", "power_control/weighted", "power_control/d2d50")
NETWORKS = ("user_association", "user_association/max_min", "user_association/sum_rate")


def answer(skeleton: str, program: str, instance, rounds: int = 100):  # type: ignore[no-untyped-def]
    made = ANSWERING[skeleton]
    assert made.gap(instance) is None
    return made.answer(made.complete(program), instance, rounds)


def value(instance, x) -> float:  # type: ignore[no-untyped-def]
    """The objective, larger is better, of a feasible point."""
    evaluation = instance.evaluate_twin(x[None, :])
    assert evaluation.violation[0] == 0.0
    return float(evaluation.F[0, 0])


@pytest.mark.parametrize("scenario", CHANNELS)
@pytest.mark.parametrize("program", ["steepest", "strongest", "balanced"])
def test_insertion_is_greedy_in_the_order_of_its_scores(scenario: str, program: str) -> None:
    """The same by whole evaluations of the instance: the best-scored link that raises the objective goes on."""
    instance = make_problem(scenario).instance(3)
    gain = normalized_gain(instance.gain, instance.noise_w, instance.p_max_w)
    cross, own = gain - np.diag(np.diag(gain)), np.diag(gain)
    on, refused, best = np.zeros(own.size), np.zeros(own.size, dtype=bool), 0.0
    while True:
        with_each = np.array([value(instance, np.maximum(on, row) * instance.p_max_w) for row in np.eye(own.size)])
        score = {
            "steepest": with_each,
            "strongest": instance.weight * own,
            "balanced": instance.weight * own / ((1.0 + cross @ on) * (1.0 + cross.T @ on)),
        }[program]
        for i in np.argsort(-score):
            if on[i] == 0.0 and not refused[i] and with_each[i] > best * (1.0 + 1e-12):
                on[i], best = 1.0, with_each[i]
                break
            refused[i] = True
        else:
            break
    np.testing.assert_array_equal(answer("insertion", program, instance), on * instance.p_max_w)


@pytest.mark.parametrize("scenario", CHANNELS)
def test_after_exchanges_no_switch_and_no_exchange_of_two_helps(scenario: str) -> None:
    instance = make_problem(scenario).instance(4)
    x = answer("exchange", "balanced", instance, 10_000)
    best = value(instance, x)
    assert best >= value(instance, answer("insertion", "balanced", instance))
    on = x > 0.0
    for i in range(x.size):
        for j in range(i + 1):
            flipped = on.copy()
            flipped[[i, j]] = ~flipped[[i, j]]
            if i == j or on[i] != on[j]:
                assert value(instance, flipped * instance.p_max_w) <= best * (1.0 + 1e-9)


@pytest.mark.parametrize("scenario", CHANNELS)
def test_the_program_of_wmmse_is_wmmse(scenario: str) -> None:
    """From full power, step by step; both stop within rounding of each other."""
    instance = make_problem(scenario).instance(5)
    gain = normalized_gain(instance.gain, instance.noise_w, instance.p_max_w)
    powers, _ = wmmse(
        gain[None], instance.weight[None], np.ones((1, 1, instance.space.dim)), max_iterations=60, tolerance=1e-300
    )
    expected = value(instance, powers[0, 0] * instance.p_max_w)
    assert value(instance, answer("update", "wmmse", instance, 60)) == pytest.approx(expected, rel=1e-9)


def test_an_update_answers_with_its_best_step() -> None:
    """A program that turns everybody off is no worse than where it began."""
    instance = make_problem(CHANNELS[0]).instance(0)
    np.testing.assert_array_equal(answer("update", "(* 0 p)", instance), instance.p_max_w)


def test_registers_are_carried_from_step_to_step() -> None:
    """The power counts steps, 0.02 each, whatever the channel; the last step is the best where links hear nothing."""
    problem = make_problem("power_control", {"n_links": 3, "cross_gain": 1e-9})
    program = "(do (set r1 (+ r1 0.02)) (+ (* 0 p) r1))"
    instance = problem.instance(0)
    full = answer("update", program, instance, 60)
    np.testing.assert_array_equal(full, instance.p_max_w)  # where it began is best
    assert value(instance, full) > value(instance, 0.5 * instance.p_max_w)


@pytest.mark.parametrize("scenario", NETWORKS)
def test_the_steepest_association_ends_where_no_move_helps(scenario: str) -> None:
    instance = make_problem(scenario).instance(2)
    x = answer("association", "steepest", instance, 10_000)
    best = value(instance, x)
    for user in range(x.size):
        for station in np.flatnonzero(instance.rate_mbps[user] > 0.0):
            moved = x.copy()
            moved[user] = station
            assert value(instance, moved) <= best + 1e-9 * max(1.0, abs(best))


@pytest.mark.parametrize("scenario", NETWORKS)
def test_the_change_that_an_association_reads_is_that_of_the_objective(scenario: str) -> None:
    """With one round, the steepest move is the best of all single moves from the construction."""
    instance = make_problem(scenario).instance(1)
    built = answer("association", "(+ (* (- 1 here) (+ change 1000)) 0)", instance, 1)
    two = answer("association", "(+ (* (- 1 here) (+ change 1000)) 0)", instance, 2)
    singles = []
    for user in range(built.size):
        for station in np.flatnonzero(instance.rate_mbps[user] > 0.0):
            moved = built.copy()
            moved[user] = station
            singles.append(value(instance, moved))
    assert value(instance, two) == pytest.approx(max(*singles, value(instance, built)), rel=1e-12)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [("power_control/min_power", "goal"), ("power_control/weighted_qos", "minimum rates"), ("beamforming", "capability")],
)
def test_skeletons_say_what_they_cannot_treat(scenario: str, words: str) -> None:
    instance = make_problem(scenario).instance(0)
    for made in ANSWERING.values():
        gap = made.gap(instance)
        assert gap is not None
        assert words in gap or "capability" in gap


def test_a_program_that_would_take_too_long_is_refused_before_it_runs() -> None:
    made = ANSWERING["update"]
    instance = make_problem("power_control", {"n_links": 300}).instance(0)
    heavy = made.complete("(sum (+ (* cross cross) (transpose (* cross (rows p)))))")
    assert made.cost_gap(heavy, instance, 10) is None
    assert "fewer rounds" in str(made.cost_gap(heavy, instance, 1_000_000))


OFFLOADINGS = ("offloading/n20", "offloading/multi_server")


def test_offloading_is_descent_in_the_order_of_its_scores() -> None:
    """Without exchanges, by whole evaluations of the instance: the move that saves most is made until none saves."""
    instance = make_problem("offloading/n10").instance(2)
    place, n = np.zeros(10, dtype=int), 10

    def cost(places) -> float:  # type: ignore[no-untyped-def]
        return float(instance.evaluate_twin(instance.complete(places)[None]).F[0, 0])

    while True:
        moves = [(cost(np.where(np.arange(n) == i, 1 - place[i], place)), i) for i in range(n)]
        best, i = min(moves)
        if best >= cost(place) * (1.0 - 1e-12):
            break
        place[i] = 1 - place[i]
    assert cost(np.zeros(n, dtype=int)) > cost(place) >= value(instance, answer("offload", "steepest", instance))


@pytest.mark.parametrize("scenario", OFFLOADINGS)
def test_after_offloading_no_move_and_no_exchange_on_a_server_helps(scenario: str) -> None:
    instance = make_problem(scenario).instance(1)
    x = answer("offload", "density", instance, 10_000)
    n = instance.space.dim // 2
    place, best = x[:n].astype(int), value(instance, x)
    servers = instance.root_cost.shape[1]
    for i in range(n):
        for j in range(servers + 1):
            moved = place.copy()
            moved[i] = j
            assert value(instance, instance.complete(moved)) >= best * (1.0 - 1e-9)
            for k in range(n) if place[i] > 0 and j != place[i] else ():
                if k != i and place[k] != place[i]:
                    exchanged = moved.copy()
                    exchanged[k] = place[i]
                    assert value(instance, instance.complete(exchanged)) >= best * (1.0 - 1e-9)


def test_offloading_refuses_deadlines() -> None:
    assert "deadlines" in str(ANSWERING["offload"].gap(make_problem("offloading/deadlines").instance(0)))


def test_stations_go_to_the_user_farthest_from_all_of_them() -> None:
    """Gonzalez's order by hand; the family's own repair of the same places gives the same point."""
    instance = make_problem("uav_isac").instance(2)
    users, chosen = instance.users_m, [0]
    while len(chosen) < instance.n_stations:
        apart = np.linalg.norm(users[:, None] - users[chosen], axis=2).min(axis=1)
        chosen.append(int(apart.argmax()))
    x = ANSWERING["placement"].answer(ANSWERING["placement"].complete("farthest"), instance, 100)
    np.testing.assert_array_equal(x, instance.placed(users[chosen]))


def test_a_placement_answers_for_several_preferences() -> None:
    instance, made = make_problem("uav_isac").instance(5), ANSWERING["placement"]
    X = made.answers(made.complete("blend"), instance, 100)
    assert 1 < len(X) <= 11
    assert len(np.unique(X, axis=0)) == len(X)
    assert (instance.evaluate_twin(X).violation == 0.0).all()
    whole, some = (solve(instance, "rule", skeleton="placement", budget=Budget(evaluations=n)) for n in (11, 2))
    assert whole.run.outcome.termination is Termination.CONVERGED
    assert some.run.outcome.termination is Termination.LIMIT
    assert len(X) >= len(whole.run.outcome.X) > 0
    blind = solve(instance, "random_search", budget=Budget(evaluations=11), seed=0)
    assert whole.hypervolume > blind.hypervolume


def wired(**settings):  # type: ignore[no-untyped-def]
    return make_problem("traffic_engineering/abilene", settings).instance(3)


def test_routing_in_detail_carries_what_the_instance_says() -> None:
    """Loads by target sum to the instance's; what passes the busiest link by pair is what the pairs send over it."""
    from optisolve.programs.weights import _Walk

    instance = wired()
    rng = np.random.default_rng(1)
    for _ in range(5):
        weight = rng.integers(1, 9, instance.space.dim).astype(float)
        walk = _Walk(ANSWERING["weights"].complete("room"), instance, 3)
        use = instance.link_loads(weight[None])[0] / instance.link_capacity
        walk._stand(weight, use, 1.0)
        np.testing.assert_allclose(walk._onto.sum(axis=0), use * instance.link_capacity, rtol=1e-9)
        _, _, passing, full, narrow = walk._by_pair
        sent = instance.demand_matrix()
        busiest = (sent * passing.T).sum()
        assert busiest == pytest.approx(use.max() * instance.link_capacity[use.argmax()])
        assert full.max() == pytest.approx(use.max())
        assert narrow.min() == instance.link_capacity.min()
        n = walk._n
        step, moved, relief, full, after = walk._told[[3, 5, 6, 7, 8], :n]
        assert (after >= full - 1e-12).all()
        assert (np.abs(relief) <= moved + 1e-12).all()
        assert (moved > 0.0).all()
        assert ((walk._told[4, :n] > 0.0) == (step < 0.0)).all()  # a smaller weight draws traffic onto the link


def test_changes_of_a_weight_are_the_ones_at_which_a_link_carries_something_else() -> None:
    """Two ways of two links each: the first ties at 3, so 2 takes all of it, 3 half, and 4 nothing."""
    from optisolve.programs.weights_kernels import _next_values

    values = np.empty(6)
    for now, ties, expected in [
        (2.0, [3.0], [3.0, 4.0]),
        (3.0, [3.0], [4.0, 2.0]),
        (9.0, [3.0], [3.0, 2.0]),
        (4.0, [3.0, 4.0, 6.0], [5.0, 6.0, 7.0, 3.0, 2.0]),
        (1.0, [1.0], [2.0]),
    ]:
        n = _next_values(np.array(ties), len(ties), now, 100.0, values)
        assert values[:n].tolist() == expected


def test_a_search_over_weights_is_no_worse_than_its_starts_and_keeps_its_looks() -> None:
    instance = wired()
    trivial = min(float(instance.evaluate(x).F[0, 0]) for x in instance.null_policies().values())
    for looks in (1, 5, 60):
        result = solve(instance, "rule", skeleton="weights", rounds=1000, budget=Budget(evaluations=looks))
        assert result.record.used.evaluations <= looks
        assert result.run.outcome.termination is Termination.LIMIT
    assert float(result.F.min()) < trivial
    whole = solve(instance, "rule", rounds=20)
    assert whole.run.outcome.termination is Termination.CONVERGED
    assert whole.record.used.evaluations <= 21


def test_a_search_over_weights_wants_one_objective() -> None:
    assert "one objective" in str(ANSWERING["weights"].gap(make_problem("traffic_engineering/delay").instance(0)))
    assert "capability" in str(ANSWERING["weights"].gap(make_problem("traffic_engineering/split").instance(0)))
