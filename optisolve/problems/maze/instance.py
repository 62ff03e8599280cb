"""One maze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, IntArray, frozen
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.numerics.grid_world import GridWorld, distances
from optisolve.problems.maze import model

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["MazeInstance"]


class MazeInstance(Instance):
    """A walk of at most T moves.

    Solvers may ask for the attributes below.

    Attributes:
        world: The grid with its walls, traps, prizes, start and goal.
        horizon: Moves at most.
        request: The task in words, as a user would say it.
    """

    def __init__(self, origin: Origin, cells: IntArray, horizon: int, *, ordered: bool) -> None:
        self.world, self.horizon = GridWorld(cells, ordered), horizon
        self.request = _request(int(self.world.prizes.size), ordered)
        super().__init__(
            origin=origin,
            space=Space.of(Variable(f"move{t}", 0.0, 4.0, "", Kind.INTEGER) for t in range(horizon)),
            objectives=(Objective("moves", Sense.MINIMIZE, "moves", "moves until the task is done"),),
            constraint_names=("trap", "prizes", "goal"),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Codes of the cells, bottom row first, the horizon, and whether the prizes have an order."""
        return {
            "cells": frozen(self.world.cells),
            "horizon": frozen(self.horizon),
            "ordered": frozen(float(self.world.ordered)),
        }

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """What kind of maze it is: size, shares of walls and traps, prizes, distance from start to goal over the size."""
        world, (height, width) = self.world, self.world.cells.shape
        sx, sy = world.place(world.start)
        gx, gy = world.place(world.goal)
        return {
            "size": np.array([width, height, self.horizon], dtype=np.float64),
            "shares": np.array([(world.cells == model.WALL).mean(), world.traps.mean()]),
            "prizes": np.array([float(world.prizes.size), float(world.ordered)]),
            "distance": np.array([(abs(sx - gx) + abs(sy - gy)) / (width + height)]),
        }

    def describe(self) -> Description:
        """The maze in words."""
        world, (height, width) = self.world, self.world.cells.shape
        at = world.place
        traps = ", ".join(str(at(int(cell))) for cell in np.flatnonzero(world.traps)[:40])
        walls = ", ".join(str(at(int(cell))) for cell in np.flatnonzero(world.cells.ravel() == model.WALL)[:40])
        facts = [
            f"The grid has {width} columns and {height} rows; cells are (column, row), (0, 0) is at the bottom left.",
            f"Start {at(world.start)}, goal {at(world.goal)}.",
            *(f"Prize {i + 1} lies at {at(int(cell))}." for i, cell in enumerate(world.prizes)),
        ]
        facts += [f"Traps: {traps}."] if traps else []
        facts += [f"Walls: {walls}."] if walls else []
        return Description(
            f"Walk through a grid in at most {self.horizon} moves, each of which is stay, up, down, left or right (0 to 4). "
            f"{self.request} Use as few moves as possible.",
            constraints=(
                "Never step on a trap: it ends the walk.",
                "Every prize is collected" + (", in the order of their numbers." if world.ordered else "."),
                "The walk ends on the goal.",
            ),
            facts=tuple(facts),
            hints=("A wall or the border holds the walker where it is and still costs the move.",),
        )

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Walks without a search over the whole task.

        ``legs_in_order`` takes the shortest safe way to every prize in the order of their numbers, then to the goal: exact when
        the prizes have an order. ``greedy`` goes one cell nearer to the next prize each time and never steps on a trap it can
        see from where it is; ``blind_rows`` and ``blind_columns`` do not look, and go up or down first, or left or right first.
        """
        return {
            "legs_in_order": self._legs()[None, :],
            "greedy": self._greedy(look=True, rows_first=True)[None, :],
            "blind_rows": self._greedy(look=False, rows_first=True)[None, :],
            "blind_columns": self._greedy(look=False, rows_first=False)[None, :],
        }

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """The grid with its cells and the walk."""
        from optisolve.plotting.style import ACCENT, INK, PALETTE, label_axes, text_size

        world, (height, width) = self.world, self.world.cells.shape
        shades = np.where(world.cells == model.WALL, 0.35, 1.0)
        axes.imshow(shades, origin="lower", cmap="gray", vmin=0.0, vmax=1.0)
        for cell, code in enumerate(world.cells.ravel().tolist()):
            text = {model.TRAP: "trap", model.START: "start", model.GOAL: "goal"}.get(code, "")
            text = f"prize {code - model.PRIZE + 1}" if code >= model.PRIZE else text
            if text:
                x_cell, y_cell = world.place(cell)
                color = ACCENT if text == "trap" else INK
                axes.text(
                    x_cell, y_cell + 0.14, text, ha="center", va="bottom", fontsize=text_size(axes), color=color, zorder=4
                )
        path = [world.place(cell) for cell in self._path(x)]
        axes.plot(*zip(*path, strict=True), color=PALETTE[0], linewidth=2.0, marker="o", markersize=4)
        axes.grid(visible=False)
        axes.set(xticks=range(width), yticks=range(height))
        label_axes(axes, x="Column", y="Row")
        return True

    def _path(self, x: FloatArray) -> list[int]:
        """Cells that a walk visits until it ends."""
        world, table = self.world, self.world.next_cells()
        cell, mask = world.start, 0
        path = [cell]
        for move in x.astype(np.int64).tolist():
            cell = int(table[cell, move])
            mask = world.collected(mask, cell)
            path.append(cell)
            if world.traps[cell] or (cell == world.goal and mask == (1 << world.prizes.size) - 1):
                break
        return path

    def _greedy(self, *, look: bool, rows_first: bool) -> FloatArray:
        world, table = self.world, self.world.next_cells()
        order = (1, 2, 3, 4) if rows_first else (3, 4, 1, 2)
        moves, cell, mask = np.zeros(self.horizon), world.start, 0
        prizes = world.prizes.tolist()
        for t in range(self.horizon):
            left = [p for i, p in enumerate(prizes) if not mask >> i & 1]
            near = left[0] if world.ordered and left else min(left, key=lambda p: self._apart(cell, p), default=world.goal)
            now = self._apart(cell, near)
            allowed = [m for m in order if not (look and world.traps[table[cell, m]])]
            better = [m for m in allowed if self._apart(int(table[cell, m]), near) < now]
            if not better:
                break  # stuck; the rest of the walk stays
            moves[t] = better[0]
            cell = int(table[cell, better[0]])
            mask = world.collected(mask, cell)
        return moves

    def _legs(self) -> FloatArray:
        world, table = self.world, self.world.next_cells()
        moves, cell, t = np.zeros(self.horizon), world.start, 0
        for target in [*world.prizes.tolist(), world.goal]:
            away = distances(world, target, safe=True)
            while cell != target and t < self.horizon and np.isfinite(away[cell]):
                moves[t] = move = next(m for m in (1, 2, 3, 4) if away[table[cell, m]] == away[cell] - 1.0)
                cell, t = int(table[cell, move]), t + 1
        return moves

    def _apart(self, one: int, other: int) -> int:
        (x, y), (u, v) = self.world.place(one), self.world.place(other)
        return abs(x - u) + abs(y - v)

    def _evaluate(self, X: FloatArray) -> Evaluation:
        from optisolve.problems.maze.kernels import evaluate

        world, width = self.world, self.world.cells.shape[1]
        (start_row, start_column), (goal_row, goal_column) = divmod(world.start, width), divmod(world.goal, width)
        F, G = np.empty((X.shape[0], 1)), np.empty((X.shape[0], 3))
        prizes = int(world.prizes.size)
        evaluate(world.cells, world.ordered, prizes, start_row, start_column, goal_row, goal_column, X, F, G)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        F, G = model.walk(self.world.cells, self.world.ordered, X)
        return Evaluation(F, G, np.empty((X.shape[0], 0)))


def _request(n_prizes: int, ordered: bool) -> str:
    """The task as a user would say it."""
    if n_prizes == 0:
        return "Arrive at the goal safely."
    if n_prizes == 1:
        return "Safely obtain the prize first, then arrive at the goal."
    if ordered:
        listed = ", then ".join(f"prize {i + 1}" for i in range(n_prizes))
        return f"Safely obtain {listed}, and finally arrive at the goal."
    return f"Safely obtain all {n_prizes} prizes in any order, then arrive at the goal."
