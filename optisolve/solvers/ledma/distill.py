"""Distillation: the white-box operator behind a language model's answers, fitted while the run goes on.

The operator is that of MOEA/D-LO (Liu et al. 2023, arXiv 2310.12541) with its parts fitted instead of chosen, and one
part more: a coordinate keeps the best parent's value with probability 1 - mask; of the others some repeat another parent's
value, and the rest are a weighted sum of the parents by rank plus normal noise. Weights come from least squares without
intercept, and the operator uses a cubic of the rank, both as in the paper: single weights of parents that hardly differ are
poorly determined, their trend is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.documents import JsonObject
from optisolve.llm.candidates import Grid
from optisolve.solvers.moead.variation import Proposals, Wave

__all__ = ["MIN_OFFSPRING", "Distilled", "LinearFit", "Samples"]

MIN_OFFSPRING = 20
"""Offspring of the model from which on a fit is made."""
_MIN_SPAN = 10
"""Grid steps that the parents must span in a coordinate, or its whole range: below that, copies happen by rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearFit:
    """A fitted operator and how well it describes the answers.

    Rates are over the coordinates in which the parents differ by ten grid steps or more.

    Attributes:
        weights: float64 [l], least squares, of the parents from worst to best; they need not sum to one.
        smooth: float64 [l], the weights on a cubic of the rank, fitted to the same answers; what the operator uses.
        noise: Standard deviation round the weighted sum, in units of the parents' range in that coordinate.
        mask: Share of the coordinates that do not keep the best parent's value.
        copies: Share of those that repeat another parent's value.
        r2: Coefficient of determination of the weighted sum, over the coordinates that repeat no parent's value.
        residual_sd: Standard deviation of what is left, in units of the variable's range.
        copy_rate: Share of the coordinates that repeat some parent's value.
        outside_rate: Share of the coordinates outside the range of the parents.
        offspring: Number of offspring.
        coordinates: Number of coordinates.
    """

    weights: FloatArray
    smooth: FloatArray
    noise: float
    mask: float
    copies: float
    r2: float
    residual_sd: float
    copy_rate: float
    outside_rate: float
    offspring: int
    coordinates: int

    def report(self) -> JsonObject:
        """JSON-compatible, rounded to six digits."""
        figures = {
            name: round(float(getattr(self, name)), 6)
            for name in ("noise", "mask", "copies", "r2", "residual_sd", "copy_rate", "outside_rate")
        }
        weights = {name: getattr(self, name).round(6).tolist() for name in ("weights", "smooth")}
        return {"offspring": self.offspring, "coordinates": self.coordinates, **weights, **figures}


class Samples:
    """Parents and offspring of a language model's answers, on the grid of its prompt.

    Args:
        grid: The grid.
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._pairs: list[tuple[IntArray, IntArray]] = []
        self.offspring = 0

    def add(self, parents: IntArray, numbers: FloatArray) -> None:
        """Note an answer: parents [l, d], worst to best, and the usable offspring [k, d] as given."""
        self._pairs.append((np.asarray(parents, dtype=np.int64), np.asarray(numbers, dtype=np.int64)))
        self.offspring += numbers.shape[0]

    def fit(self) -> LinearFit | None:
        """The operator that describes the answers so far; None while there are too few, or the parents too much alike."""
        if self.offspring < MIN_OFFSPRING:
            return None
        size = max(parents.shape[0] for parents, _ in self._pairs)
        rows = [self._rows(parents, numbers, size) for parents, numbers in self._pairs]
        P = np.concatenate([part[0] for part in rows])  # [n, l], unit coordinates of the parents
        y, copied, best, outside = (np.concatenate([part[i] for part in rows]) for i in range(1, 5))
        moved = ~copied
        if np.count_nonzero(moved) < 2 * size:
            return None
        A, b = P[moved], y[moved]
        cubic = np.vander(np.arange(size, 0, -1) / size, min(4, size))  # [l, 4], rank 1 is the worst
        smooth = cubic @ np.linalg.lstsq(A @ cubic, b, rcond=1e-8)[0]
        residual = b - A @ smooth
        squares = float(residual @ residual)
        spread = np.ptp(A, axis=1)
        total = float(((b - b.mean()) ** 2).sum())
        return LinearFit(
            weights=np.linalg.lstsq(A, b, rcond=1e-8)[0],
            smooth=smooth,
            noise=float(np.sqrt(squares / (spread @ spread))),
            mask=float(1.0 - best.mean()),
            copies=float((copied & ~best).sum() / (~best).sum()),
            r2=1.0 - squares / total if total > 0.0 else 0.0,
            residual_sd=float(np.sqrt(squares / max(1, b.size - size))),
            copy_rate=float(copied.mean()),
            outside_rate=float(outside.mean()),
            offspring=self.offspring,
            coordinates=int(y.size),
        )

    def report(self) -> JsonObject:
        """The fit's figures; only the number of offspring while there are too few."""
        fitted = self.fit()
        return {"offspring": self.offspring} if fitted is None else fitted.report()

    def _rows(self, parents: IntArray, numbers: IntArray, size: int) -> tuple[FloatArray, ...]:
        """One row per coordinate that counts: parents' values, offspring's value, copied, copied from the best, outside."""
        levels = self._grid.levels
        low, high = parents.min(axis=0), parents.max(axis=0)
        counts = (levels > 0) & (high - low >= np.minimum(_MIN_SPAN, np.maximum(levels, 1)))
        scale, numbers = levels[counts].astype(np.float64), numbers[:, counts]
        P = np.tile((spread_over_ranks(parents, size)[:, counts] / scale).T, (numbers.shape[0], 1))  # [k * d, l]
        copied = (numbers[:, None, :] == parents[None, :, counts]).any(axis=1)
        outside = (numbers < low[counts]) | (numbers > high[counts])
        best = numbers == parents[-1, counts]
        return P, (numbers / scale).ravel(), copied.ravel(), best.ravel(), outside.ravel()


class Distilled:
    """The fitted operator in the place of the language model.

    Args:
        fit: What it does.
        grid: The grid of the model's prompt.
    """

    def __init__(self, fit: LinearFit, grid: Grid) -> None:
        self.fit, self._grid = fit, grid

    def propose(self, wave: Wave) -> Proposals:
        """One child for every target, from the parents that the model would be shown."""
        levels = np.maximum(self._grid.levels, 1)
        size = (wave.targets.size, levels.size)
        Z, U, V = wave.rng.standard_normal(size), wave.rng.random(size), wave.rng.random((2, *size))
        children = np.empty(size)
        for row in range(size[0]):
            parents, _, _ = ranked_parents(wave, row, self.fit.weights.size, self._grid)
            spread = np.ptp(parents, axis=0)
            center = self.fit.smooth @ spread_over_ranks(parents, self.fit.smooth.size)
            other = (V[0, row] * max(1, parents.shape[0] - 1)).astype(np.int64)  # of the parents below the best
            copy = np.take_along_axis(parents, other[None, :], axis=0)[0]
            made = np.where(V[1, row] < self.fit.copies, copy, center + self.fit.noise * spread * Z[row])
            children[row] = np.where(U[row] < self.fit.mask, made, parents[-1])
        X = self._grid.decode(np.clip(children, 0.0, levels))
        return Proposals(wave.instance.space.clip(X), wave.targets, "distilled")

    def report(self) -> JsonObject:
        """The fit's figures."""
        return self.fit.report()


def ranked_parents(wave: Wave, row: int, count: int, grid: Grid) -> tuple[IntArray, IntArray, FloatArray]:
    """The best incumbents of a target's pool, worst to best, feasible ones last; of points equal on the grid the best one.

    Returns:
        On the grid int64 [l, d], l at most count; their sub-problems int64 [l]; their scalarized values float64 [l].
    """
    pool, first = np.unique(wave.mates[row], return_index=True)
    values = wave.values[row][first]
    order = np.lexsort((pool, values, wave.violation[pool]))[:count]
    numbers = grid.encode(wave.X[pool[order]])  # best first
    _, kept = np.unique(numbers, axis=0, return_index=True)
    kept = np.sort(kept)[::-1]
    return numbers[kept], pool[order[kept]], values[order[kept]]


def spread_over_ranks(parents: IntArray, size: int) -> IntArray:
    """Exactly `size` parents from fewer, each standing for several neighboring ranks, int64 [size, d]."""
    ranks = np.arange(size) * parents.shape[0] // size
    spread: IntArray = parents[ranks]
    return spread
