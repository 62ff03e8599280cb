"""Capabilities: what an instance may offer beyond evaluation, and solvers ask for by `isinstance`.

A family offers a capability by having its members under these names; it imports nothing for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from optisolve.core.arrays import FloatArray

__all__ = ["ShadowPrices"]


@runtime_checkable
class ShadowPrices(Protocol):
    """Multipliers known in closed form."""

    def shadow_prices(self, x: FloatArray) -> Mapping[str, float]:
        """What the optimum gains, in the objective's unit, when a constraint is relaxed by 1 %; by constraint name.

        Args:
            x: float64 [d], an optimum.
        """
        ...
