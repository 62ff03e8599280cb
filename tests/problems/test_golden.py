"""Golden values that belong to no single family: games, the maze and the trap of averaging decisions."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest

import optisolve
from optisolve.numerics.games import equilibrium_sinr


def test_averaging_two_good_decisions_can_halve_the_rate():
    """Two links, all gains 1, noise 0.1: (1, 0) and (0, 1) give log2(11) each, their average 2 log2(1 + 5/6)."""
    data = {name: values.tolist() for name, values in optisolve.load_problem("power_control").instance(0).arrays().items()}
    data |= {"gain": [[1.0, 1.0], [1.0, 1.0]]}
    for name, values in data.items():
        if name != "gain" and isinstance(values, list):
            data[name] = values[:2]
    data["noise_w"] = [0.1, 0.1] if isinstance(data["noise_w"], list) else 0.1
    problem = optisolve.load_problem("power_control", instance_data=data)
    F = problem.instance(0).evaluate([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]).F[:, 0]
    assert F[:2] == pytest.approx(np.log2(11.0), abs=1e-9)
    assert F[2] == pytest.approx(1.7489, abs=5e-5)
    reference = problem.reference(problem.instance(0))
    assert reference is not None
    assert reference.value == pytest.approx(3.4594, abs=5e-4)


@pytest.mark.parametrize(("bits", "slope", "sinr"), [(100, 1.0, 6.475), (80, 1.0, 6.210), (80, 0.5, 12.420)])
def test_equilibrium_of_the_energy_efficiency_game(bits, slope, sinr):
    """Values of the research note, derived there by another program; the definition f'(g) g = f(g) is checked too."""
    found = equilibrium_sinr(bits, slope=slope)
    assert found == pytest.approx(sinr, abs=6e-4)
    step = 1e-6

    def log_f(g: float) -> float:
        return bits * np.log1p(-np.exp(-slope * g))

    assert (log_f(found + step) - log_f(found - step)) / (2 * step) * found == pytest.approx(1.0, abs=1e-6)


def test_the_shortest_safe_walk_of_the_maze_study_has_nine_moves():
    """7 x 3 grid of the mixture-of-experts paper: prize first, then the goal, never the trap; 5 + 4 by hand."""
    start, goal, trap, prize = (0, 0), (5, 0), (3, 1), (3, 2)
    queue, seen = deque([(start, False, 0)]), {(start, False)}
    while queue:
        (x, y), has_prize, moves = queue.popleft()
        if (x, y) == goal and has_prize:
            break
        for place in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
            state = (place, has_prize or place == prize)
            if 0 <= place[0] < 7 and 0 <= place[1] < 3 and place != trap and state not in seen:
                seen.add(state)
                queue.append((*state, moves + 1))
    assert moves == 9
