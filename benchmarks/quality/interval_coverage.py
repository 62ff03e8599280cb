"""How often the intervals of `optisolve.study.intervals` hold the mean that they are about, by simulation.

    python benchmarks/quality/interval_coverage.py [--trials 4000]

Samples of known mean are drawn from distributions that losses look like, an interval is made of each, and it is counted how
often one is given, how often it holds the mean, and how wide it is. Beside it stands what was given before: the BCa bootstrap.
The table stands in docs/statistics.md.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

from optisolve.core.arrays import FloatArray
from optisolve.study.intervals import mean_interval

__all__ = ["SHAPES", "Shape", "coverage"]

BLOCKS = (10, 15, 30)


@dataclass(frozen=True, slots=True)
class Shape:
    """A distribution of known mean.

    Args:
        draw: (generator, size) to float64 [size].
        mean: Its mean.
        within: What a mean of such values can be at all.
    """

    draw: Callable[[np.random.Generator, int], FloatArray]
    mean: float
    within: tuple[float, float] = (-math.inf, math.inf)


LOSS = (0.0, 1.0)
SHAPES = {
    "normal": Shape(lambda rng, n: rng.normal(size=n), 0.0),
    "exponential": Shape(lambda rng, n: rng.exponential(size=n), 1.0),
    "lognormal, sigma 1": Shape(lambda rng, n: rng.lognormal(size=n), math.exp(0.5)),
    "Beta(0.3, 2), a loss": Shape(lambda rng, n: rng.beta(0.3, 2.0, n), 0.3 / 2.3, LOSS),
    "half zeros, else exponential": Shape(lambda rng, n: rng.exponential(size=n) * (rng.random(n) < 0.5), 0.5),
    "five values, many ties": Shape(lambda rng, n: rng.binomial(4, 0.2, n) / 4, 0.2, LOSS),
    "30 % failures, else small": Shape(lambda rng, n: np.where(rng.random(n) < 0.3, 1.0, 0.05 * rng.random(n)), 0.3175, LOSS),
}


def coverage(
    shape: Shape, n: int, trials: int, interval: Callable[[FloatArray, int], tuple[float, float]], seed: int = 0
) -> tuple[float, float, float]:
    """How often an interval is given, how often those that are hold the mean, and their median width.

    Args:
        shape: What is drawn.
        n: Blocks per sample.
        trials: Samples.
        interval: Makes an interval of a sample and its number.
        seed: Of the samples.
    """
    rng = np.random.default_rng([seed, n])
    ends = np.array([interval(shape.draw(rng, n), i) for i in range(trials)])
    given = ends[np.isfinite(ends).all(axis=1)]
    if not len(given):
        return 0.0, math.nan, math.nan
    held = (given[:, 0] <= shape.mean) & (shape.mean <= given[:, 1])
    return len(given) / trials, float(held.mean()), float(np.median(given[:, 1] - given[:, 0]))


def _bca(sample: FloatArray, number: int) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = bootstrap((sample,), np.mean, n_resamples=500, method="BCa", random_state=np.random.default_rng(number))
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=4000)
    options = parser.parse_args()
    print("| distribution | blocks | given | covers | median width | BCa covers |\n|---|---:|---:|---:|---:|---:|")
    for name, shape in SHAPES.items():
        for n in (3, *BLOCKS):
            own = lambda sample, number, w=shape.within: mean_interval(sample, within=w, resamples=1000, seed=number)  # noqa: E731
            given, held, width = coverage(shape, n, options.trials, own)
            before = coverage(shape, n, options.trials // 4, _bca)[1]
            shown = ("none", "–", "–") if not given else (f"{given:.0%}", f"{held:.1%}", f"{width:.2f}")
            print(f"| {name} | {n} | {' | '.join(shown)} | {before:.1%} |", flush=True)


if __name__ == "__main__":
    main()
