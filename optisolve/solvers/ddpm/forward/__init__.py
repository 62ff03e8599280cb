"""Forward passes of the denoisers in numpy: what sampling on a processor needs, without torch.

One class per network of `optisolve.solvers.ddpm.networks`, which is where they are trained; both compute the same numbers.
"""

from __future__ import annotations

from optisolve.core.errors import SolverError
from optisolve.solvers.ddpm.forward.base import Estimator, Forward, Parts
from optisolve.solvers.ddpm.forward.film import FilmForward
from optisolve.solvers.ddpm.forward.interference import InterferenceForward
from optisolve.solvers.ddpm.forward.placement import PlacementForward
from optisolve.solvers.ddpm.forward.sets import SetForward

__all__ = ["NETWORKS", "Estimator", "Forward", "Parts", "forward_of"]

_FORWARDS: dict[str, type[Forward]] = {
    "InterferenceDenoiser": InterferenceForward,
    "SetDenoiser": SetForward,
    "FilmDenoiser": FilmForward,
    "PlacementDenoiser": PlacementForward,
}

NETWORKS = tuple(_FORWARDS)
"""Classes that saved weights of ``ddpm`` may name."""


def forward_of(parts: Parts) -> Forward:
    """The forward pass of some weights.

    Raises:
        SolverError: Weights and configuration do not fit each other.
    """
    prediction = parts.config.get("prediction", "sample")
    if prediction not in ("sample", "velocity"):
        raise SolverError(f"ddpm: {parts.source}: config.json: prediction is {prediction!r}; expected 'sample' or 'velocity'.")
    return _FORWARDS[parts.kind](parts, str(prediction))
