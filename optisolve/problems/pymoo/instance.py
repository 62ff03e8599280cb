"""One test function, with its shift if it has one: the optimum leaves the places where a program that prints zeros or halves
would find it.

Only the distance variables move. Where their best value lies on a bound (ZDT1, 2, 3, 5, 6, DTLZ6, 7) the axis is folded
at the shift s, elsewhere it is bent so that s takes the place of the middle c:

.. math::
    \\text{fold:}\\; y = l + (u - l) \\frac{|x - s|}{\\max(s - l, u - s)}, \\qquad
    \\text{bend:}\\; y = l + (c - l) \\frac{x - l}{s - l} \\;(x \\le s), \\quad c + (u - c) \\frac{x - s}{u - s} \\;(x > s).

Both map the bounds onto all of the bounds, so every distance that could be reached before can be reached after, and
the front, being made of objectives, is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.problem import Description, Evaluation, HypervolumeBox, Instance, Origin
from optisolve.problems.pymoo.functions import Function
from optisolve.problems.pymoo.literature import values
from optisolve.problems.pymoo.model_re import design_values

__all__ = ["PymooInstance", "moved", "restored"]

_SWEPT = 21
"""Positions of a null policy for two objectives."""
_SWEPT_EACH = 6
"""Positions per axis of a null policy for more."""


class PymooInstance(Instance):
    """A test function on its box.

    Attributes:
        function: What is fixed about it.
        shift: float64 [k], where the last k variables are folded or bent; empty when the function is not shifted.
    """

    def __init__(
        self,
        origin: Origin,
        function: Function,
        n_variables: int,
        n_objectives: int,
        shift: FloatArray,
        box: HypervolumeBox | None,
    ) -> None:
        self.function = function
        self.shift = shift
        super().__init__(
            origin=origin,
            space=function.space(n_variables, n_objectives),
            objectives=function.named_objectives(n_objectives),
            constraint_names=tuple(f"g{i + 1}" for i in range(function.n_constraints)),
            hypervolume_box=box,
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The function's name in ASCII codes, its number of objectives, and the shift."""
        return {
            "function_ascii": np.frombuffer(self.function.name.encode(), dtype=np.uint8),
            "n_objectives": np.frombuffer(bytes([len(self.objectives)]), dtype=np.uint8),
            "shift": self.shift,
        }

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """Nothing that tells where the optimum is: name, number of objectives and of variables."""
        known = {name: values for name, values in self.arrays().items() if name != "shift"}
        return {**known, "n_variables": np.array([self.space.dim])}

    def describe(self) -> Description:
        """The function in words that neither name it nor tell where its optimum lies."""
        return self.function.describe(self.space.dim, len(self.objectives))

    def null_policies(self) -> Mapping[str, FloatArray]:
        """What a program earns that prints one number: all variables but the position at a bound or in the middle.

        The position is swept evenly, so that on an unshifted function whose optimum sits at such a place the whole front
        is hit. Functions with constraints have none, since such points violate them.
        """
        if self.constraint_names:
            return {}
        lower, upper = self.space.lower, self.space.upper
        places = {"lower_bounds": lower, "middle": 0.5 * (lower + upper), "upper_bounds": upper}
        return {name: self.space.clip(self._swept(place)) for name, place in places.items()}

    def inner(self, X: FloatArray) -> FloatArray:
        """What the unshifted function sees of points float64 [n, d]."""
        if not self.shift.size:
            return X
        return moved(X, self.space.lower, self.space.upper, self.shift, self.function.fold)

    def _swept(self, place: FloatArray) -> FloatArray:
        """Copies of a point with the position swept, float64 [n, d]; an RE problem has no position."""
        if self.function.family == "re":
            return place[None, :]
        first = self.function.n_position(len(self.objectives))
        if self.function.binary:
            position = np.tri(first + 1, first, -1)  # 0, 1, 2, ... leading ones
        elif first == 1:
            position = np.linspace(0.0, self.space.upper[0], _SWEPT)[:, None]
        else:
            axes = np.meshgrid(*[np.linspace(0.0, high, _SWEPT_EACH) for high in self.space.upper[:first]], indexing="ij")
            position = np.column_stack([axis.ravel() for axis in axes])
        return np.hstack([position, np.tile(place[first:], (len(position), 1))])

    def _evaluate(self, X: FloatArray) -> Evaluation:
        Y, n = self.inner(X), X.shape[0]
        if self.function.family == "re":
            F, G = design_values(self.function.name, Y), np.empty((n, 0))
        else:
            F, G = values(self.function.name, Y, len(self.objectives))
        return Evaluation(F, G, np.empty((n, 0)))


def moved(X: FloatArray, lower: FloatArray, upper: FloatArray, shift: FloatArray, fold: bool) -> FloatArray:
    """What the unshifted function sees, float64 [n, d].

    Args:
        X: float64 [n, d].
        lower: float64 [d].
        upper: float64 [d].
        shift: float64 [k], strictly inside the bounds of the last k variables (for binary ones on a bound).
        fold: Fold at the shift instead of bending there.
    """
    low, high, x = lower[-shift.size :], upper[-shift.size :], X[:, -shift.size :]
    middle = 0.5 * (low + high)
    if fold:
        y = low + (high - low) * np.abs(x - shift) / np.maximum(shift - low, high - shift)
    else:
        below = low + (middle - low) * ((x - low) / (shift - low))
        above = middle + (high - middle) * ((x - shift) / (high - shift))
        y = np.where(x <= shift, below, above)
    return np.hstack([X[:, : -shift.size], np.clip(y, low, high)])


def restored(Y: FloatArray, lower: FloatArray, upper: FloatArray, shift: FloatArray, fold: bool) -> FloatArray:
    """A point X with ``moved(X) = Y``, float64 [n, d]; of the two that a fold offers the one on the longer side."""
    low, high, y = lower[-shift.size :], upper[-shift.size :], Y[:, -shift.size :]
    middle = 0.5 * (low + high)
    if fold:
        step = (y - low) / (high - low) * np.maximum(shift - low, high - shift)
        x = np.where(shift - low >= high - shift, shift - step, shift + step)
    else:
        below = low + (shift - low) * ((y - low) / (middle - low))
        above = shift + (high - shift) * ((y - middle) / (high - middle))
        x = np.where(y <= middle, below, above)
    return np.hstack([Y[:, : -shift.size], np.clip(x, low, high)])
