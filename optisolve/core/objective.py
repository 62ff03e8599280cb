"""What is measured at a point: objectives, constraints, and how much of a constraint may be missed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray

__all__ = ["FAILED_VIOLATION", "FEASIBILITY_TOLERANCE", "Evaluation", "HypervolumeBox", "Objective", "Sense"]

FEASIBILITY_TOLERANCE = 1e-8
"""Largest violation of a (dimensionless) constraint that still counts as feasible."""

FAILED_VIOLATION = 1e9
"""What a point counts as violating that the model could not evaluate."""


class Sense(StrEnum):
    """Direction of an objective."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective.

    Args:
        name: Column name, e.g. ``"utility"``.
        sense: Minimize or maximize.
        unit: Unit as printed to people.
        meaning: One plain sentence; shown to people and to language models.
        scale: Smallest magnitude by which gaps are divided, in `unit`, so that a reference near 0 gives no huge gap. It
            follows from the instance's data: in other units of power or rate it changes with them.
        interval: The zero of the scale means nothing (a sum of logarithms): gaps are divided by `scale` alone.
    """

    name: str
    sense: Sense
    unit: str = ""
    meaning: str = ""
    scale: float = 1.0
    interval: bool = False

    def shortfall(self, value: float, target: float) -> float:
        """How much worse a value is than a target, in `unit`; negative when it is better."""
        return target - value if self.sense is Sense.MAXIMIZE else value - target

    def gap_scale(self, target: float) -> float:
        """What a distance to this target is divided by, so that it becomes a relative gap; in `unit`, above 0."""
        return self.scale if self.interval else max(abs(target), self.scale)

    @property
    def label(self) -> str:
        """Name with unit and direction, for axes and table heads."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.name}{unit} ({'max' if self.sense is Sense.MAXIMIZE else 'min'})"


@dataclass(frozen=True, slots=True)
class HypervolumeBox:
    """Fixed box of a scenario in which hypervolume and IGD+ are measured, in the objectives' own senses.

    Args:
        reference: The bad corner, length m.
        ideal: The good corner, length m; scores are normalized to reference - ideal.
    """

    reference: tuple[float, ...]
    ideal: tuple[float, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Evaluation:
    """Objectives and constraints of a batch of n points.

    Attributes:
        F: float64 [n, m], in the problem's own senses and units.
        G: float64 [n, k], inequality constraints, feasible when <= 0, dimensionless.
        H: float64 [n, p], equality constraints, feasible when == 0, dimensionless.
        failed: bool [n], points that the model could not evaluate (`Instance.on_failure`); None when there are none.
    """

    F: FloatArray
    G: FloatArray
    H: FloatArray
    failed: BoolArray | None = None

    def __iter__(self) -> Iterator[FloatArray]:
        """So that ``F, G, H = instance.evaluate(X)`` works."""
        return iter((self.F, self.G, self.H))

    @property
    def violation(self) -> FloatArray:
        """Total constraint violation, float64 [n]; values within the feasibility tolerance count as 0."""
        total = np.zeros(self.F.shape[0])
        for part in (self.G, np.abs(self.H)):
            if part.shape[1]:
                total += np.where(part > FEASIBILITY_TOLERANCE, part, 0.0).sum(axis=1)
        return total if self.failed is None else np.where(self.failed, FAILED_VIOLATION, total)

    @property
    def max_violation(self) -> FloatArray:
        """Largest single violation, float64 [n], without tolerance."""
        worst = np.zeros(self.F.shape[0])
        for part in (self.G, np.abs(self.H)):
            if part.shape[1]:
                worst = np.maximum(worst, part.max(axis=1))
        return worst if self.failed is None else np.where(self.failed, FAILED_VIOLATION, worst)
