"""Grid worlds with walls, traps, prizes and a goal: moves, tabular transitions, shortest safe walks.

Cells are (row, column) with row 0 at the bottom, so that moving up raises the row. A cell's index is ``row * width + column``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import BoolArray, IntArray

__all__ = ["FREE", "GOAL", "MOVES", "PRIZE", "START", "TRAP", "WALL", "GridWorld"]

FREE, WALL, TRAP, START, GOAL, PRIZE = 0, 1, 2, 3, 4, 10
"""Codes of cells; prize i is `PRIZE` + i."""
MOVES = ("stay", "up", "down", "left", "right")
"""Names of the moves 0 to 4."""
_STEPS = ((0, 0), (1, 0), (-1, 0), (0, -1), (0, 1))


@dataclass(frozen=True, eq=False)
class GridWorld:
    """One grid.

    Attributes:
        cells: int64 [height, width], codes.
        ordered: Prizes count only in the order of their numbers.
    """

    cells: IntArray
    ordered: bool

    @property
    def size(self) -> int:
        """Number of cells."""
        return int(self.cells.size)

    @property
    def start(self) -> int:
        """Index of the start cell."""
        return int(np.flatnonzero(self.cells == START)[0])

    @property
    def goal(self) -> int:
        """Index of the goal cell."""
        return int(np.flatnonzero(self.cells == GOAL)[0])

    @property
    def prizes(self) -> IntArray:
        """Indices of the prizes' cells in the order of their numbers, int64 [P]."""
        codes = self.cells.ravel()
        found = np.flatnonzero(codes >= PRIZE)
        return found[np.argsort(codes[found], kind="stable")].astype(np.int64)

    @property
    def traps(self) -> BoolArray:
        """True where a cell is a trap, bool [size]."""
        return np.asarray(self.cells.ravel() == TRAP)

    def place(self, cell: int) -> tuple[int, int]:
        """Column and row of a cell, as the case study writes them."""
        row, column = divmod(cell, self.cells.shape[1])
        return column, row

    def next_cells(self) -> IntArray:
        """Where every move leads from every cell, int64 [size, 5]; walls and the border leave one where one is."""
        height, width = self.cells.shape
        table = np.empty((self.size, len(_STEPS)), dtype=np.int64)
        for cell in range(self.size):
            row, column = divmod(cell, width)
            for move, (up, right) in enumerate(_STEPS):
                r, c = row + up, column + right
                inside = 0 <= r < height and 0 <= c < width and self.cells[r, c] != WALL
                table[cell, move] = r * width + c if inside else cell
        return table

    def collected(self, mask: int, cell: int) -> int:
        """The set of prizes (one bit each) after stepping on a cell."""
        for i, prize in enumerate(self.prizes.tolist()):
            if prize == cell and (not self.ordered or mask == (1 << i) - 1):
                return mask | (1 << i)
        return mask
