"""The nearest point of a box that solves linear equations, for many points at once; integers stay integers.

Reals alone are projected exactly: the projection of x on {y: A y = b, lower <= y <= upper} is clip(x + W A' m) for the right
multipliers m, which a semismooth Newton method on the concave dual function finds. With integers the relaxed projection is
rounded, unit steps take away what rounding has left over (for one sum this is the method of largest remainders), and the
reals close the rest. What neither solves goes to HiGHS, one point at a time.

Source: Qi & Sun 1993, doi 10.1007/BF01581275 (semismooth Newton); Balinski & Young 1982 (largest remainders).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray

__all__ = ["AffineSystem", "nearest"]

_NEWTON_STEPS = 60
_HALVINGS = 40
_GOLDEN = 0.6180339887498949
_MOST_PAIRED = 16
_MOST_TRIED = 4_000_000
"""Numbers that one block of tried steps may hold."""
_NODES = 200
"""Nodes of one search by HiGHS; a number and no time, so that the answer is the same on a slow machine."""


def nearest(
    X: FloatArray, A: FloatArray, b: FloatArray, lower: FloatArray, upper: FloatArray, weight: FloatArray, goal: FloatArray
) -> tuple[FloatArray, BoolArray]:
    """The points of a box that solve linear equations and are nearest to given ones.

    .. math:: \\min_y \\sum_j (y_j - x_j)^2 / w_j \\quad\\text{s.t.}\\quad A y = b,\\; l \\le y \\le u

    Args:
        X: float64 [n, d], inside the box.
        A: float64 [p, d], or [n, p, d] with equations of its own for every point.
        b: float64 [p] or [n, p].
        lower: float64 [d] or [n, d]; a variable with lower = upper stays.
        upper: float64 [d] or [n, d].
        weight: float64 [d], > 0: how easily a variable moves, its range squared.
        goal: float64 [p], largest misses that count as solved.

    Returns:
        float64 [n, d], and bool [n], which points solve their equations; a point that does when given is not changed.
    """
    n, d = X.shape
    p = A.shape[-2]
    rows, sides = np.broadcast_to(A, (n, p, d)), np.broadcast_to(b, (n, p))
    low, high = np.broadcast_to(lower, (n, d)), np.broadcast_to(upper, (n, d))
    Y = X.copy()
    solved = (np.abs(np.einsum("npd,nd->np", rows, X) - sides) <= goal).all(axis=1)
    left = np.flatnonzero(~solved)
    if left.size and p:
        dual = _Dual(X[left], rows[left], sides[left], low[left], high[left], weight)
        Y[left], misses = dual.solve(goal)
        solved[left] = (np.abs(misses) <= goal).all(axis=1)
    return Y, solved


class _Dual:
    """The dual function of the projection, of every point its own; what is solved leaves the iteration."""

    def __init__(
        self, X: FloatArray, rows: FloatArray, sides: FloatArray, low: FloatArray, high: FloatArray, weight: FloatArray
    ) -> None:
        # Rows of length 1 in the scaled variables, so that one small number regularizes all of them
        length = np.sqrt(np.einsum("npd,d->np", rows**2, weight))
        self._length = np.where(length > 0.0, length, 1.0)
        self._X, self._low, self._high, self._weight = X, low, high, weight
        self._rows, self._sides = rows / self._length[:, :, None], sides / self._length

    def solve(self, goal: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Points float64 [n, d] and what their equations miss, float64 [n, p]."""
        n, p = self._sides.shape
        M = np.zeros((n, p))
        Y, misses, value = self._at(M, np.arange(n))
        best, least = Y.copy(), misses.copy()
        going = np.arange(n)
        for _ in range(_NEWTON_STEPS):
            going = going[(np.abs(misses[going] * self._length[going]) > goal).any(axis=1)]
            if not going.size:
                break
            step = self._newton(Y[going], misses[going], going)
            moved = self._climb(M, Y, misses, value, step, going)
            better = np.abs(misses[going]).max(axis=1) < np.abs(least[going]).max(axis=1)
            best[going[better]], least[going[better]] = Y[going[better]], misses[going[better]]
            going = going[moved]
        return best, least * self._length

    def _at(self, M: FloatArray, at: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Points, misses and dual values at multipliers float64 [k, p]."""
        X = self._X[at]
        pull = np.einsum("npd,np->nd", self._rows[at], M) * self._weight
        Y = np.minimum(np.maximum(X + pull, self._low[at]), self._high[at])
        misses = np.einsum("npd,nd->np", self._rows[at], Y) - self._sides[at]
        return Y, misses, 0.5 * ((Y - X) ** 2 / self._weight).sum(axis=1) - (M * misses).sum(axis=1)

    def _newton(self, Y: FloatArray, misses: FloatArray, at: IntArray) -> FloatArray:
        """The Newton step of the multipliers, float64 [k, p]."""
        free = (self._low[at] < Y) & (self._high[at] > Y)
        rows = self._rows[at]
        curvature = np.einsum("npd,nqd->npq", rows * (free * self._weight)[:, None, :], rows)
        ridge = 1e-10 + 1e-3 * np.minimum(1.0, np.abs(misses).max(axis=1)) * ~free.any(axis=1)
        curvature += ridge[:, None, None] * np.eye(rows.shape[1])
        step: FloatArray = -np.linalg.solve(curvature, misses[:, :, None])[:, :, 0]
        return step

    def _climb(
        self, M: FloatArray, Y: FloatArray, misses: FloatArray, value: FloatArray, step: FloatArray, at: IntArray
    ) -> BoolArray:
        """Go along the steps as far as the dual function rises; writes M, Y, misses and value, tells who moved, bool [k]."""
        slope = -(misses[at] * step).sum(axis=1)  # of the dual function, >= 0
        waiting = np.arange(at.size)
        length = 1.0
        for _ in range(_HALVINGS):
            here = at[waiting]
            tried = M[here] + length * step[waiting]
            points, missed, reached = self._at(tried, here)
            rounding = 1e-15 * (np.abs(value[here]) + np.abs(reached))
            rises = reached >= value[here] + 1e-4 * length * slope[waiting] - rounding
            closer = np.abs(missed).max(axis=1) < 0.5 * np.abs(misses[here]).max(axis=1)  # at the end rounding hides the rise
            taken = rises | closer
            won = here[taken]
            M[won], Y[won], misses[won], value[won] = tried[taken], points[taken], missed[taken], reached[taken]
            waiting = waiting[~taken]
            if not waiting.size:
                break
            length *= 0.5
        moved = np.ones(at.size, dtype=bool)
        moved[waiting] = False
        return moved


@dataclass(frozen=True, eq=False)
class AffineSystem:
    """Linear equations on a box with integers.

    Attributes:
        A: float64 [p, d].
        b: float64 [p], A x = b.
        lower: float64 [d], whole numbers where `integer`.
        upper: float64 [d].
        integer: bool [d].
        goal: float64 [p], largest misses that count as solved.
    """

    A: FloatArray
    b: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    goal: FloatArray

    @property
    def weight(self) -> FloatArray:
        """How easily variables move, float64 [d]."""
        width = self.upper - self.lower
        return np.where(width > 0.0, width, 1.0) ** 2

    def misses(self, X: FloatArray) -> FloatArray:
        """What the equations miss, float64 [n, p]."""
        missed: FloatArray = X @ self.A.T - self.b
        return missed

    def solve(self, X: FloatArray) -> FloatArray:
        """Near points that solve the equations wherever a point of the box does, float64 [n, d].

        Args:
            X: float64 [n, d], inside the box; fractions of integers say how they are best rounded.
        """
        if not self.A.shape[0]:
            return X
        Y = self._integers(X) if self.integer.any() else X
        Y, solved = self._reals(Y)
        for i in np.flatnonzero(~solved):
            found = self._searched(X[i])
            if found is None:
                continue
            # From the point's own reals, or from those of HiGHS where a corner is all there is
            Z, done = self._reals(np.stack([np.where(self.integer, found, Y[i]), found]))
            if done.any():
                Y[i] = Z[np.argmax(done)]
        return Y

    def _reals(self, X: FloatArray) -> tuple[FloatArray, BoolArray]:
        """The nearest points with these integers; which of them solve everything, bool [n]."""
        held = self.integer
        mixed = (self.A[:, ~held] != 0.0).any(axis=1)
        lower, upper = np.where(held, X, self.lower), np.where(held, X, self.upper)
        Y, _ = nearest(X, self.A[mixed], self.b[mixed], lower, upper, self.weight, self.goal[mixed])
        return Y, np.asarray((np.abs(self.misses(Y)) <= self.goal).all(axis=1))

    # -- integers --------------------------------------------------------------------------------------------------

    def _integers(self, X: FloatArray) -> FloatArray:
        """The points with integers that the reals can complete, as far as unit steps lead there, float64 [n, d]."""
        low, high = self.lower[self.integer], self.upper[self.integer]
        Y = X.copy()
        Y[:, self.integer] = np.minimum(np.maximum(np.rint(X[:, self.integer]), low), high)
        wrong = np.flatnonzero(self._gap(Y[:, self.integer]).any(axis=1))
        if wrong.size:
            relaxed, _ = nearest(X[wrong], self.A, self.b, self.lower, self.upper, self.weight, self.goal)
            wanted = relaxed[:, self.integer]
            start = np.minimum(np.maximum(np.rint(wanted), low), high)
            Y[wrong] = np.where(self.integer, Y[wrong], relaxed)
            Y[np.ix_(wrong, self.integer)] = self._stepped(start, wanted, _drawn(X[wrong]))
        return Y

    def _gap(self, Z: FloatArray) -> FloatArray:
        """What the reals cannot close, float64 [n, p], in the size of each equation's largest coefficient of an integer.

        Args:
            Z: float64 [n, z], the integers.
        """
        return self._unclosed(self.b - Z @ self.A[:, self.integer].T)

    def _unclosed(self, needed: FloatArray) -> FloatArray:
        """The same from what the equations need of the reals, float64 [..., p]."""
        least, most, size = self._reach
        gap = np.maximum(needed - most, 0.0) + np.maximum(least - needed, 0.0)
        closed: FloatArray = np.where(gap > self.goal, gap, 0.0) / size
        return closed

    @cached_property
    def _reach(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Least and most that the reals bring to each equation, and the size of its integers' coefficients, float64 [p]."""
        A_real, low, high = self.A[:, ~self.integer], self.lower[~self.integer], self.upper[~self.integer]
        least = np.where(A_real > 0.0, A_real * low, A_real * high).sum(axis=1)
        most = np.where(A_real > 0.0, A_real * high, A_real * low).sum(axis=1)
        size = np.abs(self.A[:, self.integer]).max(axis=1)
        return least, most, np.where(size > 0.0, size, 1.0)

    def _stepped(self, Z: FloatArray, wanted: FloatArray, tie: FloatArray) -> FloatArray:
        """Unit steps, each the one after which least is missing; of equals the one nearest to what was wanted.

        Where no step of one variable helps, steps of two are tried; beyond `_MOST_PAIRED` variables these are too many.

        Args:
            Z: float64 [k, z], whole numbers.
            wanted: float64 [k, z].
            tie: float64 [k], in [0, 1): who goes first where steps are equally near, so that no variable always does.
        """
        Z, z = Z.copy(), Z.shape[1]
        single = np.arange(2 * z)[:, None]  # up by one, then down by one
        paired = np.stack(np.triu_indices(2 * z if z <= _MOST_PAIRED else 0, 1), axis=1)
        paired = paired[paired[:, 0] % z != paired[:, 1] % z]
        going = np.arange(Z.shape[0])
        for _ in range(4 * z + 4):
            going = going[self._gap(Z[going]).any(axis=1)]
            if not going.size:
                break
            moved = self._step(Z, wanted, tie, single, going)
            stuck = self._step(Z, wanted, tie, paired, going[~moved])
            moved[~moved] = stuck
            going = going[moved]
        return Z

    def _step(self, Z: FloatArray, wanted: FloatArray, tie: FloatArray, moves: IntArray, at: IntArray) -> BoolArray:
        """The best of some moves for every row that it helps; writes Z, tells which rows moved, bool [g].

        Args:
            moves: int64 [moves, 1 or 2], which of the 2 z unit steps are made together.
        """
        if not at.size or not moves.shape[0]:
            return np.zeros(at.size, dtype=bool)
        block = max(1, _MOST_TRIED // (moves.shape[0] * self.b.size))
        if at.size > block:
            parts = [at[i : i + block] for i in range(0, at.size, block)]
            return np.concatenate([self._step(Z, wanted, tie, moves, part) for part in parts])
        A, low, high = self.A[:, self.integer], self.lower[self.integer], self.upper[self.integer]
        here, off = Z[at], Z[at] - wanted[at]
        needed = self.b - here @ A.T  # [g, p]
        brought = np.concatenate([A.T, -A.T])[moves].sum(axis=1)  # [moves, p]
        gap = self._unclosed(needed[:, None, :] - brought).sum(axis=2)  # [g, moves]
        barred = np.concatenate([here + 1.0 > high, here - 1.0 < low], axis=1)[:, moves].any(axis=2)
        farther = np.concatenate([2.0 * off + 1.0, 1.0 - 2.0 * off], axis=1)[:, moves].sum(axis=2)  # of squared distance
        gap = np.where(barred, np.inf, np.round(gap, 9))  # equal in exact arithmetic, so that rounding decides nothing
        turn = (tie[at][:, None] + _GOLDEN * np.arange(moves.shape[0])) % 1.0
        rows, chosen = np.arange(at.size), np.lexsort((turn, np.round(farther, 9), gap), axis=1)[:, 0]
        gains: BoolArray = gap[rows, chosen] < self._unclosed(needed).sum(axis=1) - 1e-9
        unit = np.concatenate([np.eye(here.shape[1]), -np.eye(here.shape[1])])[moves].sum(axis=1)
        Z[at[gains]] += unit[chosen[gains]]
        return gains

    def _searched(self, x: FloatArray) -> FloatArray | None:
        """A point near x that solves the equations, by HiGHS, float64 [d]; None where it finds none."""
        if not self._solvable:
            return None
        return self._milp(x)

    @cached_property
    def _solvable(self) -> bool:
        """Whether any point of the box solves the equations, asked once; otherwise every point would ask again."""
        return self._milp(0.5 * (self.lower + self.upper)) is not None

    def _milp(self, x: FloatArray) -> FloatArray | None:
        """A point whose integers are near those of x and whose reals solve the equations, by HiGHS, float64 [d]."""
        from scipy import optimize, sparse

        whole = np.flatnonzero(self.integer)
        d, z = x.size, whole.size
        # Variables y and t >= |y - x| of the integers, each in its range; the sum of t is smallest
        picked = sparse.csr_matrix((np.ones(z), (np.arange(z), whole)), shape=(z, d))
        widths = sparse.diags(np.sqrt(self.weight[whole]))
        equations = optimize.LinearConstraint(
            sparse.hstack([sparse.csr_matrix(self.A), sparse.csr_matrix((self.b.size, z))]), self.b, self.b
        )
        nearby = [
            optimize.LinearConstraint(sparse.hstack([sign * picked, -widths]), -np.inf, sign * x[whole]) for sign in (1.0, -1.0)
        ]
        found = optimize.milp(
            np.concatenate([np.zeros(d), np.ones(z)]),
            integrality=np.concatenate([self.integer.astype(int), np.zeros(z, dtype=int)]),
            bounds=optimize.Bounds(np.concatenate([self.lower, np.zeros(z)]), np.concatenate([self.upper, np.full(z, np.inf)])),
            constraints=[equations, *(nearby if z else [])],
            options={"node_limit": _NODES, "mip_rel_gap": 0.05},
        )
        if found.x is None:
            return None
        y = np.where(self.integer, np.rint(found.x[:d]), found.x[:d])
        return np.minimum(np.maximum(y, self.lower), self.upper)


def _drawn(X: FloatArray) -> FloatArray:
    """A number in [0, 1) that a point determines and that looks random, float64 [n]."""
    drawn: FloatArray = (1e3 * (X @ (1.0 + _GOLDEN * np.arange(X.shape[1]) % 1.0))) % 1.0
    return drawn
