"""Gaussian processes of botorch, fitted to values of any scale; imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelListGP, SingleTaskGP
from gpytorch.constraints import Interval
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

from optisolve.core.arrays import FloatArray

__all__ = ["Fitted", "State", "bilog", "fitted", "gains", "lengthscales"]

_FENCE = 1.5
"""Values beyond so many interquartile ranges above the upper quartile are bad enough to count as equally bad."""

State = dict[str, Tensor]


class Fitted:
    """Processes of all outcomes with what a later fit begins from.

    Attributes:
        model: One process per outcome.
        states: Their hyperparameters.
        failures: Fits that found no optimum; the process keeps the hyperparameters that it began with.
    """

    def __init__(self, processes: Sequence[Any], failures: int) -> None:
        self.model: Any = ModelListGP(*processes)
        self.states: list[State] = [process.state_dict() for process in processes]
        self.failures = failures


def fitted(U: FloatArray, Y: FloatArray, states: Sequence[State], *, tolerance: float, local: bool) -> Fitted:
    """Fit a process per outcome, hyperparameters by the largest marginal likelihood.

    Args:
        U: float64 [n, d], in the unit box.
        Y: float64 [n, k], outcomes of a scale near 1.
        states: Hyperparameters of the fit before, where the search begins; none the first time.
        tolerance: Relative gain of the likelihood at which the search ends.
        local: Kernel of TuRBO (Matern 5/2, lengths in [0.005, 4]); else botorch's own default.
    """
    X, processes, failures = torch.from_numpy(U), [], 0
    for j in range(Y.shape[1]):
        kernel = _local_kernel(U.shape[1]) if local else None
        process = SingleTaskGP(X, torch.from_numpy(Y[:, [j]]), covar_module=kernel, outcome_transform=None)
        if j < len(states):
            process.load_state_dict(states[j])
        begun = {name: value.clone() for name, value in process.state_dict().items()}
        try:
            likelihood = ExactMarginalLogLikelihood(process.likelihood, process)
            fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"ftol": tolerance}})
        except (ModelFittingError, NanError, NotPSDError):
            process.load_state_dict(begun)
            process.eval()
            failures += 1
        processes.append(process)
    return Fitted(processes, failures)


def _local_kernel(d: int) -> Any:
    return ScaleKernel(MaternKernel(nu=2.5, ard_num_dims=d, lengthscale_constraint=Interval(0.005, 4.0)))


def lengthscales(model: Any) -> FloatArray:
    """Lengths of the kernels of the first outcomes, float64 [k, d]."""
    kernels = [getattr(process.covar_module, "base_kernel", process.covar_module) for process in model.models]
    return np.stack([kernel.lengthscale.detach().numpy().reshape(-1) for kernel in kernels])


def gains(F: FloatArray, judged: FloatArray, corner: FloatArray | None = None) -> tuple[FloatArray, FloatArray | None]:
    """Objectives to be maximized, of mean 0 and deviation 1, the bad tail cut, float64 [n, m]; and a corner in the same units.

    Args:
        F: float64 [n, m], to be minimized.
        judged: float64 [q, m], the rows that say what is usual.
        corner: float64 [m], to be minimized; None for none.
    """
    low, high = np.quantile(judged, (0.25, 0.75), axis=0)
    fence = np.where(high > low, high + _FENCE * (high - low), np.inf)
    cut = np.minimum(F, fence)
    width = np.ptp(cut, axis=0)
    width = np.where(width > 0.0, width, 1.0)
    unit = (cut - cut.min(axis=0)) / width  # first, so that squares neither overflow nor vanish
    spread = unit.std(axis=0)
    middle, spread = unit.mean(axis=0), np.where(spread > 0.0, spread, 1.0)
    gain: FloatArray = (middle - unit) / spread
    if corner is None:
        return gain, None
    return gain, (middle - (np.minimum(corner, fence) - cut.min(axis=0)) / width) / spread


def bilog(G: FloatArray) -> FloatArray:
    """Constraints with logarithmic tails and 0 kept, of a scale near 1, float64 [n, k].

    Source: Eriksson & Poloczek 2021, arXiv 2002.08526, section 3.
    """
    typical = np.abs(G).mean(axis=0)
    Z = G / np.where(typical > 0.0, typical, 1.0)
    return np.sign(Z) * np.log1p(np.abs(Z))
