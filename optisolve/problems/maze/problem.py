"""The family `maze`: a drawn or a given grid, and its shortest safe walk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.errors import FieldProblem, ProblemError
from optisolve.core.problem import Instance, Origin
from optisolve.core.reference import Effort, Reference
from optisolve.modelling.answer import certify, proven_infeasible
from optisolve.numerics.grid_world import FREE, GOAL, PRIZE, START, TRAP, WALL, GridWorld, shortest_walk
from optisolve.problems.instance_file import ArrayProblem, ArraySpec
from optisolve.problems.maze.instance import MazeInstance

__all__ = ["Maze"]

_CODES = {".": FREE, "#": WALL, "t": TRAP, "s": START, "g": GOAL}
_MOST_PRIZES = 9
_DRAWS = 1000
"""Grids drawn until one has a walk within the horizon."""


@dataclass(frozen=True)
class Maze(ArrayProblem):
    """Collect prizes, avoid traps, reach the goal.

    Args:
        grid: Rows of a map, top row first, of ``.`` free, ``#`` wall, ``t`` trap, ``s`` start, ``g`` goal, ``1`` to ``9``
            prizes; empty draws one by the seed.
        width: Columns of a drawn grid.
        height: Rows of a drawn grid.
        n_prizes: Prizes of a drawn grid.
        n_traps: Traps of a drawn grid.
        n_walls: Walls of a drawn grid.
        horizon: Moves at most.
        ordered: Prizes count only in the order of their numbers.
    """

    name: ClassVar[str] = "maze"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Walk through a grid: collect prizes, avoid traps, reach the goal."
    evidence: ClassVar[str] = "proven optimal"
    portable: ClassVar[bool] = True
    ARRAYS: ClassVar[tuple[ArraySpec, ...]] = (
        ArraySpec(
            "cells",
            ("height", "width"),
            lower=0.0,
            upper=float(PRIZE + _MOST_PRIZES - 1),
            integer=True,
            meaning="codes of the cells, bottom row first: 0 free, 1 wall, 2 trap, 3 start, 4 goal, 10 + i prize i",
        ),
        ArraySpec("horizon", (), "moves", lower=1.0, integer=True, meaning="moves at most"),
        ArraySpec("ordered", (), lower=0.0, upper=1.0, integer=True, meaning="1 when prizes count in order only"),
    )

    grid: tuple[str, ...]
    width: Annotated[int, Ge(2), Le(64)]
    height: Annotated[int, Ge(2), Le(64)]
    n_prizes: Annotated[int, Ge(0), Le(_MOST_PRIZES)]
    n_traps: Annotated[int, Ge(0)]
    n_walls: Annotated[int, Ge(0)]
    horizon: Annotated[int, Ge(1), Le(2000)]
    ordered: bool = field(kw_only=True)

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """Breadth-first search on cells and sets of prizes: a shortest walk, or the proof that there is none."""
        if not isinstance(instance, MazeInstance):
            raise ProblemError(f"maze: got an instance of {type(instance).__name__}; draw it with instance(seed).")
        walk = shortest_walk(instance.world)
        if walk is None:
            return proven_infeasible("no walk without a trap reaches all prizes and the goal", solver="bfs")
        if walk.moves.size > instance.horizon:
            told = f"the shortest safe walk has {walk.moves.size} moves, the horizon is {instance.horizon}"
            return proven_infeasible(told, solver="bfs")
        x = np.zeros(instance.horizon)
        x[: walk.moves.size] = walk.moves
        return certify(
            instance,
            x,
            dual_bound=float(walk.moves.size),
            tolerance=0.0,
            slack=0.0,
            solver="bfs",
            detail=f"breadth-first search, {walk.expanded} states of the product of cells and prizes reached",
        )

    def _check(self) -> Iterable[FieldProblem]:
        if self.grid:
            yield from _grid_problems(self.grid)
        elif self.n_prizes + self.n_traps + self.n_walls + 2 > self.width * self.height:
            yield FieldProblem(
                "n_traps", self.n_traps, "start, goal, prizes, traps and walls that fit into width * height cells"
            )

    def _draw(self, rng: np.random.Generator) -> Mapping[str, npt.ArrayLike]:
        cells = _parsed(self.grid) if self.grid else self._drawn(rng)
        return {"cells": cells, "horizon": self.horizon, "ordered": float(self.ordered)}

    def _drawn(self, rng: np.random.Generator) -> IntArray:
        codes = [START, GOAL, *(PRIZE + i for i in range(self.n_prizes)), *[TRAP] * self.n_traps, *[WALL] * self.n_walls]
        for _ in range(_DRAWS):
            cells = np.zeros(self.height * self.width, dtype=np.int64)
            cells[rng.permutation(cells.size)[: len(codes)]] = codes
            grid = cells.reshape(self.height, self.width)
            walk = shortest_walk(GridWorld(grid, self.ordered))
            if walk is not None and walk.moves.size <= self.horizon:
                return grid
        raise ProblemError(
            f"{self.scenario or self.name}: none of {_DRAWS} drawn grids can be solved within {self.horizon} moves; "
            "ask for fewer traps and walls, or a longer horizon."
        )

    def _build(self, origin: Origin, arrays: Mapping[str, FloatArray]) -> Instance:
        cells = arrays["cells"].astype(np.int64)
        problems = list(_cell_problems(cells))
        if problems:
            raise ProblemError(f"{self.scenario or self.name}: cells: {'; '.join(problems)}.")
        cells.setflags(write=False)
        return MazeInstance(origin, cells, int(arrays["horizon"]), ordered=bool(arrays["ordered"]))


def _parsed(grid: tuple[str, ...]) -> IntArray:
    """Codes of a map, bottom row first."""
    return np.array([[_CODES[c] if c in _CODES else PRIZE + int(c) - 1 for c in row] for row in reversed(grid)], dtype=np.int64)


def _grid_problems(grid: tuple[str, ...]) -> Iterable[FieldProblem]:
    wrong = sorted({c for row in grid for c in row if c not in _CODES and c not in "123456789"})
    if wrong or len({len(row) for row in grid}) != 1 or not grid[0]:
        yield FieldProblem("grid", grid, "rows of equal length made of . # t s g and 1 to 9")
        return
    for told in _cell_problems(_parsed(grid)):
        yield FieldProblem("grid", grid, told)


def _cell_problems(cells: IntArray) -> Iterable[str]:
    for code, name in ((START, "start"), (GOAL, "goal")):
        if (cells == code).sum() != 1:
            yield f"exactly one {name}"
    prizes = np.sort(cells[cells >= PRIZE])
    if not np.array_equal(prizes, PRIZE + np.arange(prizes.size)):
        yield "prizes numbered 1, 2, ... without gaps or repetition"
