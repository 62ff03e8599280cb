"""The maze again, from `problems/maze/README.md` alone."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling

WALL, TRAP, START, GOAL, PRIZE = 1, 2, 3, 4, 10
STEPS = {0: (0, 0), 1: (1, 0), 2: (-1, 0), 3: (0, -1), 4: (0, 1)}
SCALINGS: dict[str, Scaling] = {}
"""Moves and cells have no unit."""


def _grid(arrays: Mapping[str, np.ndarray]) -> tuple[list[list[int]], int, bool]:
    cells = [[int(code) for code in row] for row in arrays["cells"].tolist()]
    return cells, sum(code >= PRIZE for row in cells for code in row), bool(arrays["ordered"])


def _find(cells: list[list[int]], code: int) -> tuple[int, int]:
    return next((r, c) for r, row in enumerate(cells) for c, value in enumerate(row) if value == code)


def _step(cells: list[list[int]], place: tuple[int, int], move: int) -> tuple[int, int]:
    row, column = place[0] + STEPS[move][0], place[1] + STEPS[move][1]
    outside = row < 0 or column < 0 or row >= len(cells) or column >= len(cells[0])
    return place if outside or cells[row][column] == WALL else (row, column)


def _collect(have: frozenset[int], code: int, ordered: bool) -> frozenset[int]:
    due = code >= PRIZE and (not ordered or all(i in have for i in range(code - PRIZE)))
    return have | {code - PRIZE} if due else have


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """Walk until success or a trap; moves, trap, share of prizes left, distance to the goal over width + height."""
    cells, n_prizes, ordered = _grid(arrays)
    place, goal = _find(cells, START), _find(cells, GOAL)
    have: frozenset[int] = frozenset()
    moves, trapped, done = float(len(x)), False, False
    for t, move in enumerate(x):
        place = _step(cells, place, int(move))
        code = cells[place[0]][place[1]]
        have = _collect(have, code, ordered)
        trapped = code == TRAP
        done = place == goal and len(have) == n_prizes
        if trapped or done:
            moves = float(t + 1) if done else moves
            break
    away = 0 if done else max(1, abs(place[0] - goal[0]) + abs(place[1] - goal[1]))
    missing = 1.0 - len(have) / n_prizes if n_prizes else 0.0
    return [moves], [float(trapped), missing, away / (len(cells) + len(cells[0]))], []


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Drawn grids, and given ones in which nothing sees to it that the task can be done."""
    width, height = int(rng.integers(2, 9)), int(rng.integers(2, 9))
    n_prizes = int(rng.integers(0, min(5, width * height - 2)))
    horizon = int(rng.integers(1, 60))
    drawn = {"width": width, "height": height, "n_prizes": n_prizes, "horizon": horizon, "ordered": bool(rng.random() < 0.5)}
    letters = ["s", "g", *(str(i + 1) for i in range(n_prizes))]
    letters += rng.choice([".", ".", ".", "#", "t"], width * height - len(letters)).tolist()
    letters = [str(letter) for letter in rng.permutation(letters)]
    grid = ["".join(letters[row * width : (row + 1) * width]) for row in range(height)]
    return "maze", {**drawn, "grid": grid, "n_traps": 0, "n_walls": 0}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """A shortest walk by Dijkstra's method on places and sets of prizes, filled up with staying."""
    arrays = instance.arrays()
    cells, n_prizes, ordered = _grid(arrays)
    horizon, goal = int(arrays["horizon"]), _find(cells, GOAL)
    queue: list[tuple[int, int, tuple[int, int], frozenset[int], list[int]]] = [(0, 0, _find(cells, START), frozenset(), [])]
    seen, count = set(), 0
    while queue:
        cost, _, place, have, walk = heapq.heappop(queue)
        if (place, have) in seen:
            continue
        seen.add((place, have))
        if place == goal and len(have) == n_prizes and walk:
            return np.array([walk + [0] * (horizon - len(walk))], dtype=np.float64)
        for move in STEPS:
            after = _step(cells, place, move)
            code = cells[after[0]][after[1]]
            if code != TRAP and cost < horizon:
                count += 1
                heapq.heappush(queue, (cost + 1, count, after, _collect(have, code, ordered), [*walk, move]))
    return np.empty((0, horizon))
