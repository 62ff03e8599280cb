"""Portfolios: the single best solver, the virtual best solver, and what each solver is worth to the set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Portfolio", "portfolio"]


@dataclass(frozen=True, eq=False, slots=True)
class Portfolio:
    """Single solvers beside a perfect choice among them.

    Attributes:
        single_best: The solver with the smallest mean loss; the first by name on ties.
        single_best_loss: Its mean loss.
        virtual_best_loss: Mean loss of choosing the best solver of the portfolio on every instance, at no cost.
        table: A row per solver: ``solver``, ``loss`` (mean), ``closed_gap`` (0 is the single best solver, 1 the virtual best
            one, negative is worse than no choice; NaN when the two coincide), ``alone`` (share of instances on which it is
            better than every other by more than a tie), ``marginal`` (loss that the virtual best solver would gain without
            it) and ``shapley`` (its fair share of the loss that the virtual best solver saves against failing everywhere);
            both NaN for solvers outside the portfolio.
    """

    single_best: str
    single_best_loss: float
    virtual_best_loss: float
    table: pd.DataFrame


def portfolio(
    losses: pd.DataFrame, /, *, members: list[str] | None = None, worst: float = 1.0, tolerance: npt.ArrayLike = 0.0
) -> Portfolio:
    """Compare solvers with the best single one and with a perfect choice.

    The single best solver is chosen on the very instances it is judged on, as the virtual one is; for the claim that a
    selector generalizes, choose it on other instances.

    Args:
        losses: float64 [n instances, k solvers], finite, smaller is better.
        members: Solvers of the portfolio; None for all. A selector is judged against the solvers it selects from.
        worst: Loss of an empty portfolio.
        tolerance: Differences up to this size are ties; one number, or float64 [n instances].

    Raises:
        OptionError: No instance, no member, or a loss that is not finite.

    Source:
        Closed gap: Lindauer, van Rijn and Kotthoff 2019, Artificial Intelligence 272 (arXiv 1805.01214); marginal
        contribution: Xu et al. 2012, SAT; Shapley value: Fréchette et al. 2016, AAAI; its closed form for a maximum:
        Littlechild and Owen 1973, doi 10.1287/mnsc.20.3.370.
    """
    import pandas as pd

    inside = [str(name) for name in losses.columns] if members is None else list(members)
    values = losses.to_numpy(dtype=np.float64)
    if not inside or values.size == 0 or not np.isfinite(values).all():
        given = f"{values.shape[0]} instances, {len(inside)} members, finite: {bool(np.isfinite(values).all())}"
        expected = "at least one instance and one member, and finite losses (a failure is the worst loss)"
        raise OptionError("The portfolio", [FieldProblem("losses", given, expected)])
    L = losses[inside].to_numpy(dtype=np.float64)  # [n, k]
    means = L.mean(axis=0)
    best = min(range(len(inside)), key=lambda i: (means[i], inside[i]))
    single, virtual = float(means[best]), float(L.min(axis=1).mean())
    marginal = dict(zip(inside, _marginal(L, worst), strict=True))
    shapley = dict(zip(inside, _shapley(worst - L), strict=True))
    rows = []
    for name in sorted(str(column) for column in losses.columns):
        own = losses[name].to_numpy(dtype=np.float64)
        others = losses.drop(columns=name).to_numpy(dtype=np.float64).min(axis=1, initial=np.inf)
        closed = (single - own.mean()) / (single - virtual) if single > virtual else float("nan")
        alone = float((own < others - np.asarray(tolerance)).mean())
        row = {"solver": name, "loss": float(own.mean()), "closed_gap": float(closed), "alone": alone}
        rows.append({**row, "marginal": marginal.get(name, float("nan")), "shapley": shapley.get(name, float("nan"))})
    return Portfolio(inside[best], single, virtual, pd.DataFrame(rows))


def _marginal(L: FloatArray, worst: float) -> FloatArray:
    """Growth of the virtual best solver's mean loss when a solver leaves, float64 [k]."""
    virtual = L.min(axis=1)
    without = [np.delete(L, i, axis=1).min(axis=1, initial=worst) for i in range(L.shape[1])]
    return np.array([float((rest - virtual).mean()) for rest in without])


def _shapley(Q: FloatArray) -> FloatArray:
    """Shapley value of the game v(S) = mean over instances of max(0, max of Q over S), float64 [k].

    In ascending order of quality, the step from one solver to the next is shared equally by all that reach it.

    Args:
        Q: float64 [n, k], quality; 0 is what an empty portfolio has.
    """
    n, k = Q.shape
    order = np.argsort(Q, axis=1, kind="stable")
    steps = np.diff(np.take_along_axis(np.maximum(Q, 0.0), order, axis=1), axis=1, prepend=0.0)  # [n, k], all >= 0
    shares = np.cumsum(steps / np.arange(k, 0, -1), axis=1)
    value = np.empty((n, k))
    np.put_along_axis(value, order, shares, axis=1)
    mean: FloatArray = value.mean(axis=0)
    return mean
