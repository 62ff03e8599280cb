"""Independent verification and scores; nothing here believes a solver."""

from optisolve.scoring.indicators import hypervolume, hypervolume_gains, hypervolume_trace, igd_plus, normalize, score
from optisolve.scoring.verify import Verification, verify_points

__all__ = [
    "Verification",
    "hypervolume",
    "hypervolume_gains",
    "hypervolume_trace",
    "igd_plus",
    "normalize",
    "score",
    "verify_points",
]
