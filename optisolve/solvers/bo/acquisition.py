"""What botorch says a point is worth, and where it is worth most; imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from botorch.acquisition.analytic import LogExpectedImprovement
from botorch.acquisition.logei import qLogNoisyExpectedImprovement, qLogProbabilityOfFeasibility
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.multi_objective.parego import qLogNParEGO
from botorch.acquisition.objective import GenericMCObjective
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.hypervolume import infer_reference_point
from botorch.utils.multi_objective.pareto import is_non_dominated
from torch import Tensor

from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.solvers.parego.acquisition import Acquisition

__all__ = ["Effort", "maximizers", "reference_point"]


@dataclass(frozen=True, slots=True)
class Effort:
    """Settings of botorch's search.

    Args:
        mc_samples: Quasi-random draws of the posterior that an expectation is taken over.
        num_restarts: Local searches of an acquisition function.
        raw_samples: Points that their beginnings are chosen among.
        maxiter: Iterations of a local search.
        seconds: Where the run's time is limited, what is left of it.
    """

    mc_samples: int
    num_restarts: int
    raw_samples: int
    maxiter: int
    seconds: float | None


def maximizers(
    model: Any,
    U: FloatArray,
    Y: FloatArray,
    feasible: BoolArray,
    count: int,
    *,
    n_objectives: int,
    kind: Acquisition,
    effort: Effort,
    corner: FloatArray | None,
    foreseen: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
) -> FloatArray:
    """Points of the unit box with the largest acquisition, one after the other, each pending for the next.

    Args:
        model: Fitted processes: objectives to be maximized, then constraints, at most 0 when met.
        U: float64 [n, d], known points.
        Y: float64 [n, m + k], their outcomes.
        feasible: bool [n].
        count: Points wanted.
        n_objectives: m.
        kind: What is to be improved, of several objectives.
        effort: Settings of the search.
        corner: float64 [m], where hypervolumes are counted from, to be maximized; None means that of `reference_point`.
        foreseen: Where a point would be evaluated.
        rng: Source of randomness.

    Returns:
        float64 [count, d].
    """
    made = partial(_acquisition, model, U, Y, feasible, n_objectives, kind, effort, corner, analytic=count == 1)
    several = kind == "tchebycheff" and n_objectives > 1 and count > 1  # a preference per point
    functions = [made(rng=rng) for _ in range(count if several else 1)]

    def repaired(X: Tensor) -> Tensor:
        flat = X.detach().reshape(-1, X.shape[-1]).numpy()
        return torch.from_numpy(foreseen(flat)).reshape(X.shape)

    d = U.shape[1]
    candidates, _ = optimize_acqf(
        None if several else functions[0],
        bounds=torch.stack([torch.zeros(d, dtype=torch.double), torch.ones(d, dtype=torch.double)]),
        q=count,
        num_restarts=effort.num_restarts,
        raw_samples=effort.raw_samples,
        options={"maxiter": effort.maxiter, "seed": int(rng.integers(2**31))},
        post_processing_func=repaired,
        sequential=count > 1,
        timeout_sec=effort.seconds,
        acq_function_sequence=functions if several else None,
    )
    found: FloatArray = candidates.detach().numpy()
    return found


def _acquisition(
    model: Any,
    U: FloatArray,
    Y: FloatArray,
    feasible: BoolArray,
    m: int,
    kind: Acquisition,
    effort: Effort,
    corner: FloatArray | None,
    *,
    analytic: bool,
    rng: np.random.Generator,
) -> Any:
    """The acquisition function for what is known."""
    X, outcomes = torch.from_numpy(U), torch.from_numpy(Y)
    sampler = SobolQMCNormalSampler(torch.Size([effort.mc_samples]), seed=int(rng.integers(2**31)))
    constraints = [partial(_outcome, j) for j in range(m, Y.shape[1])]
    if constraints and not feasible.any():
        return qLogProbabilityOfFeasibility(model, constraints=constraints, sampler=sampler)
    if m == 1:
        if analytic and not constraints:
            return LogExpectedImprovement(model, best_f=outcomes.max())
        return qLogNoisyExpectedImprovement(
            model,
            X_baseline=X,
            sampler=sampler,
            objective=GenericMCObjective(_first),
            constraints=constraints or None,
            prune_baseline=True,
        )
    objective = IdentityMCMultiOutputObjective(outcomes=list(range(m)))
    if kind == "tchebycheff":
        return qLogNParEGO(
            model,
            X_baseline=X,
            scalarization_weights=torch.from_numpy(rng.dirichlet(np.ones(m))),
            sampler=sampler,
            objective=objective,
            constraints=constraints or None,
            prune_baseline=True,
        )
    return qLogNoisyExpectedHypervolumeImprovement(
        model,
        ref_point=reference_point(Y[feasible if feasible.any() else slice(None), :m], corner),
        X_baseline=X,
        sampler=sampler,
        objective=objective,
        constraints=constraints or None,
        prune_baseline=True,
    )


def _outcome(j: int, Z: Tensor) -> Tensor:
    """Outcome j of samples [..., k]."""
    return Z[..., j]


def _first(Z: Tensor, X: Tensor | None = None) -> Tensor:  # noqa: ARG001 - botorch hands the points over by name
    return Z[..., 0]


def reference_point(Y: FloatArray, corner: FloatArray | None) -> Sequence[float]:
    """Where hypervolumes are counted from: the scoring box's corner, as in `parego`; without one a tenth of the front's range
    below its worst values, botorch's rule.

    Args:
        Y: float64 [n, m], to be maximized.
        corner: float64 [m] or None.

    Returns:
        Length m.
    """
    if corner is not None:
        return [float(value) for value in corner]
    values = torch.from_numpy(Y)
    point: list[float] = infer_reference_point(values[is_non_dominated(values)]).tolist()
    return point
