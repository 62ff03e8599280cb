"""Reference answers: what solvers are scored against, never visible to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from optisolve.core.arrays import FloatArray
from optisolve.core.status import Evidence

__all__ = ["STOPPED", "Effort", "Reference"]

STOPPED = "stopped: limit"
"""How the detail of a reference says that there was no more time."""


class Effort(StrEnum):
    """How much work a reference may cost."""

    QUICK = "quick"
    NORMAL = "normal"
    THOROUGH = "thorough"


@dataclass(frozen=True, eq=False, slots=True)
class Reference:
    """The best known or certified answer to one instance.

    Args:
        evidence: What is proven.
        X: float64 [n, d]; one point, or a front for several objectives. None when only a bound is known.
        value: Objective value of the point, in the problem's own sense and unit; None for several objectives.
        dual_bound: Bound on the optimum in the problem's own sense; None when there is none.
        F: float64 [n, m], the reference front in the problem's own senses; None for one objective.
        tolerance: |value - dual_bound| up to which the point counts as optimal, in the objective's unit.
        slack: How much better than `dual_bound` a verified point may be because verification lets every constraint be
            violated by the feasibility tolerance, in the objective's unit; 0 where no constraint can be used that way.
        solver: Name of the method.
        solver_version: Version of the method or of its back end.
        detail: How it was made, one sentence.
        note: What was withdrawn and why: an error of ours that the reader must see; "" when nothing was.
        ideal_bound: One dual bound per objective, each in its own sense and unit, for several objectives: no feasible
            point is better than entry i in objective i. None when nothing is proven. It bounds the ideal point, not the
            front between the extremes.
    """

    evidence: Evidence
    X: FloatArray | None = None
    value: float | None = None
    dual_bound: float | None = None
    F: FloatArray | None = None
    tolerance: float = 0.0
    slack: float = 0.0
    solver: str = ""
    solver_version: str = ""
    detail: str = ""
    note: str = ""
    ideal_bound: tuple[float, ...] | None = None

    @property
    def tie(self) -> float:
        """Distance that this reference cannot tell from zero, in the objective's unit: tolerance plus slack."""
        return self.tolerance + self.slack

    def withdrawn(self, note: str) -> Reference:
        """The same without bound or proof: what is left is the best known point.

        Args:
            note: Why; it is added to the notes.
        """
        kept = Evidence.NONE if self.X is None else Evidence.BEST_KNOWN
        notes = f"{self.note} {note}".strip()
        return replace(self, evidence=kept, dual_bound=None, ideal_bound=None, tolerance=0.0, slack=0.0, note=notes)
