"""What is drawn: runs of a solver, what they are measured against, and the words that stand at the axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.evaluation import HypervolumeBox, Objective, Sense
from optisolve.core.reference import Reference
from optisolve.core.status import Evidence
from optisolve.numerics.indicators import hypervolume

__all__ = ["Series", "Setting", "Shot", "axis_text", "number", "words_of"]

_LONGEST_WORDS = 48
"""Characters of an objective's description up to which it is a name for an axis."""


@dataclass(frozen=True, eq=False, slots=True)
class Shot:
    """One run.

    Attributes:
        F: float64 [n, m], verified feasible objectives in the problem's own senses.
        at: float64 [t], evaluations.
        value: float64 [t], best value or hypervolume after so many evaluations; NaN before the first feasible point.
        score: Hypervolume, or the best value; NaN without a feasible point.
        seed: The run's.
    """

    F: FloatArray
    at: FloatArray
    value: FloatArray
    score: float
    seed: int


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """Runs that differ in their seed alone.

    Attributes:
        label: What the legend calls them.
        shots: One per seed.
    """

    label: str
    shots: tuple[Shot, ...]

    @property
    def seeds(self) -> int:
        """How many runs there are."""
        return len(self.shots)

    def middle(self, setting: Setting) -> Shot:
        """The run with the median score, the lower one of two; a run without a feasible point counts as worst."""
        sign = -1.0 if setting.larger_is_better else 1.0
        order = sorted(self.shots, key=lambda shot: (np.inf if np.isnan(shot.score) else sign * shot.score, shot.seed))
        return order[len(order) // 2]


@dataclass(frozen=True, eq=False, slots=True)
class Setting:
    """The instance that all series of a plot are about.

    Attributes:
        name: Scenario and instance.
        objectives: Names, units, senses, words.
        box: Scoring box; None for one objective.
        reference: What scores refer to; None when there is none.
        target: Hypervolume of the reference front, where the front itself is not at hand; NaN for none.
    """

    name: str
    objectives: tuple[Objective, ...]
    box: HypervolumeBox | None = None
    reference: Reference | None = None
    target: float = np.nan

    @property
    def several(self) -> bool:
        """More than one objective."""
        return len(self.objectives) > 1

    @property
    def signs(self) -> FloatArray:
        """float64 [m], +1 to minimize, -1 to maximize."""
        return np.array([-1.0 if o.sense is Sense.MAXIMIZE else 1.0 for o in self.objectives])

    @property
    def larger_is_better(self) -> bool:
        """Of the value of a curve."""
        return self.several or self.objectives[0].sense is Sense.MAXIMIZE

    @property
    def front(self) -> FloatArray | None:
        """Reference front, float64 [r, m]; None where none is known."""
        return None if self.reference is None else self.reference.F

    @property
    def proven(self) -> bool:
        """The reference is an optimum."""
        return self.reference is not None and self.reference.evidence is Evidence.PROVEN_OPTIMAL

    def marks(self) -> dict[str, float]:
        """Values that curves are compared with, by what the legend calls them."""
        told = self.reference
        if self.several:
            best = self.target
            if self.front is not None and self.box is not None:
                best = hypervolume(self.front, self.box)
            return {self.front_words: best} if np.isfinite(best) else {}
        if told is None:
            return {}
        marks = {}
        if told.value is not None:
            local = "stationary point, nothing proven"
            marks["certified optimum" if self.proven else local if told.evidence is Evidence.LOCAL else "best known"] = (
                told.value
            )
        if told.dual_bound is not None and not self.proven:
            marks["proven bound"] = told.dual_bound
        return marks

    @property
    def front_words(self) -> str:
        """What the legend calls the reference front."""
        return "true front" if self.proven else "best known front"


def words_of(objective: Objective) -> str:
    """An objective in a few words: its name for axes, the beginning of its description, or its name."""
    said = objective.axis
    if not said:
        clause = objective.meaning.strip()
        for stop in (": ", "; ", ". ", " ("):
            clause = clause.partition(stop)[0]
        clause = clause.rstrip(".")
        plain = objective.name.replace("_", " ")
        said = clause if 0 < len(clause) <= _LONGEST_WORDS and not plain[-1:].isdigit() else plain
    return said[:1].upper() + said[1:] if len(said.split()[0]) > 2 else said


def axis_text(objective: Objective, *, width: int = 0) -> str:
    """What stands at an axis: words, unit, and the direction that is better.

    Args:
        objective: Of the axis.
        width: Characters of a line; 0 for one line.
    """
    words = words_of(objective)
    unit = f" in\u00a0{objective.unit}" if objective.unit and objective.unit not in words.lower().split() else ""
    return _wrapped(f"{words}{unit}", objective.sense is Sense.MAXIMIZE, width)


def _wrapped(words: str, larger: bool, width: int = 0) -> str:
    arrow = "→" if larger else "←"  # a y axis turns its text, so that the same arrow points up or down
    lines = textwrap.wrap(words, width) if width else [words]
    tail = f"({arrow}\u00a0better)"
    if width and len(lines[-1]) + len(tail) + 1 > width:
        return "\n".join([*lines, tail])
    return "\n".join([*lines[:-1], f"{lines[-1]} {tail}"])


def measure_text(setting: Setting, *, width: int = 0) -> str:
    """What stands at the axis of the value of a curve."""
    if not setting.several:
        return axis_text(setting.objectives[0], width=width)
    return _wrapped("Hypervolume, share of the scoring box", True, width)


def seeds_text(series: Sequence[Series]) -> str:
    """``3 seeds``, or ``3 to 5 seeds`` where solvers differ; "" for single runs."""
    counts = sorted({s.seeds for s in series})
    if counts[-1:] in ([], [1]):
        return ""
    return f"{counts[-1]} seeds" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def number(value: float) -> str:
    """A value in a legend or beside a point, five digits."""
    return f"{value:.5g}"
