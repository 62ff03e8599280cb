"""Which kernel treats a batch."""

from __future__ import annotations

from optisolve.core.arrays import FloatArray
from optisolve.problems.uav_isac.kernels import evaluate_serial

__all__ = ["evaluate"]


def evaluate(X: FloatArray, users: FloatArray, constants: FloatArray, F: FloatArray, G: FloatArray) -> None:
    """Evaluate a batch; arguments as in `kernels.evaluate_serial`."""
    evaluate_serial(X, users, constants, F, G)
