"""The maze: conformance, walks by hand, the certified shortest walk against other searches."""

from __future__ import annotations

import numpy as np
import pytest

from optisolve.core import Evidence, PointStatus
from optisolve.core.errors import OptionError, ProblemError
from optisolve.numerics.grid_world import GridWorld, distances, shortest_walk
from optisolve.registry import make_problem
from optisolve.run.verify import verify_points

UP, DOWN, LEFT, RIGHT = 1, 2, 3, 4


def moves(instance, *walk):
    x = np.zeros(instance.horizon)
    x[: len(walk)] = walk
    return x


def test_the_shortest_walk_of_the_paper_has_nine_moves_on_42_states():
    """Golden values: 7 x 3 cells times prize or not, and 5 + 4 moves by hand, the walk of the paper's figure."""
    problem = make_problem("maze")
    instance = problem.instance(0)
    assert instance.world.size * 2 ** len(instance.world.prizes) == 42
    reference = problem.reference(instance)
    assert reference.evidence is Evidence.PROVEN_OPTIMAL
    assert reference.value == reference.dual_bound == 9.0
    figure = moves(instance, UP, UP, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, DOWN, DOWN)
    check = verify_points(instance, figure)
    assert check.point is PointStatus.FEASIBLE
    assert check.F[0, 0] == 9.0
    assert instance.request == "Safely obtain the prize first, then arrive at the goal."


@pytest.mark.parametrize(
    ("walk", "constraint", "value"),
    [
        ((RIGHT, RIGHT, RIGHT, UP), 0, 1.0),  # into the trap at (3, 1)
        ((RIGHT,) * 5, 1, 1.0),  # the goal without the prize
        ((RIGHT,) * 5, 2, 0.1),  # standing on the goal too early counts as one cell away
        ((LEFT, DOWN), 2, 0.5),  # against the border: 5 cells away of 10
        ((UP, UP, RIGHT, RIGHT, RIGHT), 1, 0.0),  # the prize is there
    ],
)
def test_what_a_failed_walk_misses(walk, constraint, value):
    instance = make_problem("maze").instance(0)
    evaluation = instance.evaluate(moves(instance, *walk))
    assert evaluation.F[0, 0] == instance.horizon
    assert evaluation.G[0, constraint] == pytest.approx(value)
    assert evaluation.violation[0] > 0.0


def test_what_comes_after_success_or_a_trap_does_not_count():
    instance = make_problem("maze").instance(0)
    done = (UP, UP, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, DOWN, DOWN)
    for tail in (UP, LEFT, DOWN):
        assert instance.evaluate(moves(instance, *done, *[tail] * 9)).F[0, 0] == 9.0
    dead = (RIGHT, RIGHT, RIGHT, UP, UP, RIGHT, RIGHT, DOWN, DOWN)
    assert instance.evaluate(moves(instance, *dead)).G[0].tolist() == [1.0, 1.0, 0.3]


def test_order_matters_only_where_it_is_asked_for():
    """Past prize 2 first: collected at once without an order, and not at all with one."""
    grid = ["s2.1.g"]
    told = {}
    for ordered in (True, False):
        problem = make_problem("maze", {"grid": grid, "ordered": ordered})
        instance = problem.instance(0)
        told[ordered] = instance.evaluate(moves(instance, *[RIGHT] * 5))
        assert problem.reference(instance).value == (5.0 if not ordered else 9.0)
    assert told[False].violation[0] == 0.0
    assert told[True].G[0, 1] == 0.5


@pytest.mark.parametrize("scenario", ["maze/random", "maze/ordered", "maze/unordered"])
def test_no_walk_of_many_is_shorter_than_the_reference_and_legs_are_exact_when_ordered(scenario):
    """The best order of shortest legs, by trying all orders, has the length that the search on the product proves."""
    from itertools import permutations

    problem = make_problem(scenario)
    for seed in range(6):
        instance = problem.instance(seed)
        reference = problem.reference(instance)
        assert reference.evidence is Evidence.PROVEN_OPTIMAL
        world = instance.world
        targets = world.prizes.tolist()
        orders = [targets] if world.ordered else list(permutations(targets))
        away = {target: distances(world, target, safe=True) for target in [*targets, world.goal]}
        lengths = [
            sum(away[b][a] for a, b in zip([world.start, *order], [*order, world.goal], strict=True)) for order in orders
        ]
        assert reference.value == min(lengths)
        legs = verify_points(instance, instance.null_policies()["legs_in_order"])
        if legs.point is PointStatus.FEASIBLE:
            assert legs.F[0, 0] >= reference.value
            assert not world.ordered or legs.F[0, 0] == reference.value


def test_seeds_draw_different_solvable_grids():
    problem = make_problem("maze/random")
    assert len({problem.instance(seed).sha256 for seed in range(5)}) == 5


def test_a_grid_without_a_walk_is_proven_to_have_none():
    closed = make_problem("maze", {"grid": ["st1.g"]})
    assert "no walk without a trap" in closed.reference(closed.instance(0)).detail
    short = make_problem("maze", {"horizon": 8})
    assert "has 9 moves, the horizon is 8" in short.reference(short.instance(0)).detail
    with pytest.raises(ProblemError, match="fewer traps"):
        make_problem("maze/random", {"width": 3, "height": 3, "n_traps": 3, "n_walls": 3, "horizon": 1}).instance(0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"grid": ["s..", ".g"]}, "equal length"),
        ({"grid": ["s.x", ".g."]}, "made of"),
        ({"grid": ["s.s", ".g."]}, "exactly one start"),
        ({"grid": ["s.2", ".g."]}, "without gaps"),
        ({"grid": [], "n_traps": 30}, "fit into width"),
    ],
)
def test_bad_grids_are_refused_by_name(change, words):
    with pytest.raises(OptionError, match=words):
        make_problem("maze", change)


def test_own_grids_come_from_arrays():
    data = {"cells": [[3, 0, 10], [2, 0, 4]], "horizon": 9, "ordered": 1}
    instance = make_problem("maze", {"instance_data": data}).instance(0)
    assert instance.evaluate(moves(instance, RIGHT, RIGHT, UP)).F[0, 0] == 3.0
    with pytest.raises(ProblemError, match="exactly one goal"):
        make_problem("maze", {"instance_data": {**data, "cells": [[3, 0, 10], [2, 0, 0]]}}).instance(0)


def test_distances_are_those_of_the_search():
    world = GridWorld(np.array([[3, 0, 0], [2, 1, 0], [4, 0, 0]]), True)
    assert shortest_walk(world).moves.size == distances(world, world.goal, safe=True)[world.start] == 6
    assert distances(world, world.goal)[world.start] == 2
