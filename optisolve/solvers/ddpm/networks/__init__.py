"""Denoisers: small networks that guess the clean solution from a noisy one, as `diffusers` models.

All of them take a noisy batch ``[B, S, N, C]``: B instances, S samples each, N variables of C channels, and predict what the
chain asks for (the clean solution or the velocity) in the same shape. What depends on the instance alone is encoded once
for its S samples. No normalization runs across the batch, so an answer never depends on its batch mates.

The class names are part of the file format of saved weights. Training is done here, and sampling on a CUDA device; on a
processor the twins in `optisolve.solvers.ddpm.forward` compute the same numbers without torch (`HourGlass` has none: it belongs
to ``legacy_diffsg``).
"""

from optisolve.solvers.ddpm.networks.base import Condition, Denoiser, parameter_count, pick_device
from optisolve.solvers.ddpm.networks.film import FilmDenoiser
from optisolve.solvers.ddpm.networks.hourglass import HourGlass
from optisolve.solvers.ddpm.networks.interference import InterferenceDenoiser
from optisolve.solvers.ddpm.networks.placement import PlacementDenoiser
from optisolve.solvers.ddpm.networks.sets import SetDenoiser

__all__ = [
    "Condition",
    "Denoiser",
    "FilmDenoiser",
    "HourGlass",
    "InterferenceDenoiser",
    "PlacementDenoiser",
    "SetDenoiser",
    "parameter_count",
    "pick_device",
]
