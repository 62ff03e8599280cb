"""Means with intervals that cover what they say, or with ranges where there are too few observations for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError

__all__ = ["MIN_BLOCKS", "Estimate", "estimate", "mean_interval"]

MIN_BLOCKS = 10
"""Fewest independent observations for which an interval is given; of fewer, no usual interval covers what it says."""

_RESAMPLES = 5000

_ROUNDING = 1e-12
"""Relative differences up to this size are rounding."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and what may be said about it.

    Attributes:
        mean: Of the observations; NaN when one of them is not finite.
        low: Lower end of the 95 % interval of the mean; NaN where none is given (see `mean_interval`).
        high: Its upper end.
        least: Smallest observation.
        most: Largest observation.
        n: Independent observations (blocks).
    """

    mean: float
    low: float
    high: float
    least: float
    most: float
    n: int

    def told(self, write: Callable[[float], str], blocks: str = "") -> str:
        """Mean, interval in brackets or else range in parentheses, and always the number of blocks.

        Args:
            write: Puts one number into words.
            blocks: What the blocks are, where they are no instances.
        """
        if np.isnan(self.mean):
            return write(self.mean)
        n = f"n = {self.n} {blocks}".rstrip()
        if not np.isnan(self.low):
            return f"{write(self.mean)} [{write(self.low)}, {write(self.high)}], {n}"
        span = f"{write(self.least)} to {write(self.most)}, " if self.n > 1 else ""
        return f"{write(self.mean)} ({span}{n})"


def estimate(values: npt.ArrayLike, /, *, within: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """The mean of independent observations with its interval, or with their range where there are too few.

    Args:
        values: float64 [n]; an observation that is not finite leaves no mean.
        within: What the mean can be at all, e.g. (0, 1) for losses.
    """
    sample = _sample(values)
    if not np.isfinite(sample).all():
        return Estimate(*(float("nan"),) * 5, n=sample.size)
    interval = mean_interval(sample, within=within)
    return Estimate(float(sample.mean()), *interval, float(sample.min()), float(sample.max()), sample.size)


def mean_interval(
    values: npt.ArrayLike,
    /,
    *,
    within: tuple[float, float] = (-np.inf, np.inf),
    confidence: float = 0.95,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Confidence interval of a mean by the studentized bootstrap.

    Its coverage is measured by ``benchmarks/quality/interval_coverage.py``; docs/statistics.md has the table.

    Args:
        values: float64 [n], finite, independent observations.
        within: What the mean can be at all; the interval is cut there.
        confidence: Coverage in (0, 1).
        resamples: Bootstrap samples.
        seed: Same seed, same interval.

    Returns:
        (low, high); (NaN, NaN) where none can be given: fewer than `MIN_BLOCKS` observations, identical ones, or so few
        different ones that more resamples than the interval leaves out have no spread and no limit stops it.

    Raises:
        OptionError: No value, a value that is not finite, or a confidence outside (0, 1).

    Source:
        Efron 1981, doi 10.2307/3314608, section 9; Hall 1988, doi 10.1214/aos/1176350933 (why it beats percentile and BCa
        for a mean).
    """
    sample = _sample(values)
    if not np.isfinite(sample).all():
        _refuse("values", "not finite", "finite numbers; replace failures by the worst value first")
    if not 0.0 < confidence < 1.0:
        _refuse("confidence", confidence, "a number between 0 and 1, e.g. 0.95")
    n, nothing = sample.size, (float("nan"), float("nan"))
    if n < MIN_BLOCKS or np.ptp(sample) <= _ROUNDING * np.abs(sample).max():
        return nothing
    center, error = float(sample.mean()), float(sample.std(ddof=1)) / np.sqrt(n)
    drawn = sample[np.random.default_rng(seed).integers(0, n, (resamples, n))]
    shift, spread = drawn.mean(axis=1) - center, drawn.std(axis=1, ddof=1) / np.sqrt(n)
    still = spread <= _ROUNDING * error  # all observations of the resample are the same
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(still, np.where(np.abs(shift) <= _ROUNDING * error, 0.0, np.sign(shift) * np.inf), shift / spread)
    tail = 0.5 * (1.0 - confidence)
    first, last = np.quantile(t, (tail, 1.0 - tail), method="nearest")  # no interpolation between infinities
    low, high = max(within[0], center - last * error), min(within[1], center - first * error)
    return (float(low), float(high)) if np.isfinite([low, high]).all() else nothing


def _sample(values: npt.ArrayLike) -> FloatArray:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size == 0:
        _refuse("values", f"shape {sample.shape}", "a one-dimensional array with at least one value")
    return sample


def _refuse(field: str, given: object, expected: str) -> NoReturn:
    raise OptionError("The statistics' input", [FieldProblem(field, given, expected)])
