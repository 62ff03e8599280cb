"""Instances whose values are measured elsewhere and told: a simulator in another process, a laboratory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem, OptionError, ProblemError
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE, HypervolumeBox, Objective, Sense
from optisolve.core.problem import Description, Evaluation, Instance, Origin
from optisolve.core.space import Space
from optisolve.core.text import is_safe_name

__all__ = ["ToldInstance"]

Box = HypervolumeBox | tuple[Sequence[float], Sequence[float]]


class ToldInstance(Instance):
    """An instance of which nothing is known but what it was told.

    Args:
        space: The decision space.
        objectives: One or more objectives.
        constraints: Names of the inequalities G <= 0.
        equalities: Names of the equalities H == 0.
        box: Reference point and ideal point between which hypervolume is measured, for several objectives.
        tolerance: Violation of a constraint that still counts as feasible, for all or by name.
        name: What it is called in records.
        about: What is decided, for language models and people.
        on_failure: What becomes of a point without usable values, see `Instance.on_failure`.

    Raises:
        OptionError: Bad arguments, all of them listed.
    """

    def __init__(
        self,
        space: Space,
        objectives: Sequence[Objective],
        *,
        constraints: Sequence[str] = (),
        equalities: Sequence[str] = (),
        box: Box | None = None,
        tolerance: float | Mapping[str, float] = FEASIBILITY_TOLERANCE,
        name: str = "told",
        about: str = "",
        on_failure: str = "penalize",
    ) -> None:
        _require(objectives, constraints, equalities, box, name, on_failure)
        self.on_failure, self._about = on_failure, about
        self._values: dict[bytes, tuple[FloatArray, FloatArray, FloatArray]] = {}
        if box is not None and not isinstance(box, HypervolumeBox):
            box = HypervolumeBox(*(tuple(float(value) for value in corner) for corner in box))
        variables = zip(space.names, space.lower.tolist(), space.upper.tolist(), space.units, space.kinds, strict=True)
        params: dict[str, Json] = {
            "variables": [[*variable[:4], variable[4].value] for variable in variables],
            "objectives": [[o.name, o.sense.value, o.unit] for o in objectives],
            "constraints": [*constraints],
            "equalities": [*equalities],
        }
        super().__init__(
            origin=Origin("told", "1", name, params, 0),
            space=space,
            objectives=tuple(objectives),
            constraint_names=tuple(constraints),
            equality_names=tuple(equalities),
            hypervolume_box=box,
            tolerance=tolerance,
        )

    def tell(self, X: FloatArray, evaluation: Evaluation) -> None:
        """Remember values of points, float64 [n, d]."""
        for x, *values in zip(X, *evaluation, strict=True):
            self._values[_key(x)] = tuple(values)

    def describe(self) -> Description:
        """The words that were given, and what is optimized."""
        aims = [f"{'maximize' if o.sense is Sense.MAXIMIZE else 'minimize'} {o.name}" for o in self.objectives]
        aim = f"{' and '.join(aims)} over {self.space.dim} bounded variables; values are measured, nothing else is known."
        limits = (f"{name} must be at most 0." for name in self.constraint_names)
        exact = (f"{name} must be 0." for name in self.equality_names)
        return Description(f"{self._about} {aim[0].upper()}{aim[1:]}".strip(), (*limits, *exact))

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The bounds."""
        return {"lower": self.space.lower, "upper": self.space.upper}

    def _evaluate(self, X: FloatArray) -> Evaluation:
        found = [self._values.get(_key(x)) for x in X]
        if None in found:
            raise ProblemError(f"{self.origin.scenario}: values were not told of a point that is looked at.")
        widths = (len(self.objectives), len(self.constraint_names), len(self.equality_names))
        parts = zip(*(values for values in found if values is not None), strict=True)
        return Evaluation(*(np.array(part).reshape(len(found), width) for part, width in zip(parts, widths, strict=True)))


def _key(x: FloatArray) -> bytes:
    return (x + 0.0).tobytes()  # -0.0 is 0.0


def _require(
    objectives: Sequence[Objective],
    constraints: Sequence[str],
    equalities: Sequence[str],
    box: Box | None,
    name: str,
    on_failure: str,
) -> None:
    m, wrong = len(objectives), list[FieldProblem]()

    def require(holds: bool, field: str, given: object, expected: str) -> None:
        if not holds:
            wrong.append(FieldProblem(field, given, expected))

    named = not isinstance(constraints, str) and not isinstance(equalities, str)
    names = [*constraints, *equalities] if named else []
    require(m > 0 and all(isinstance(o, Objective) for o in objectives), "objectives", objectives, "one Objective or more")
    require(named and all(isinstance(n, str) for n in names), "constraints", constraints, "a list of names of constraints")
    require(is_safe_name(name), "name", name, "a name of letters, digits, '_', '-', '.', '+'")
    require(on_failure in ("penalize", "skip", "stop"), "on_failure", on_failure, "penalize, skip or stop")
    corners = [box.reference, box.ideal] if isinstance(box, HypervolumeBox) else [*(box or ())]
    fits = len(corners) == 2 and all(len(corner) == m for corner in corners)
    told = f"for {m} objectives: (reference, ideal), {m} numbers each, between which their hypervolume is measured"
    require(fits if m > 1 else box is None, "box", box, told if m > 1 else "none for one objective")
    if wrong:
        raise OptionError("The run that waits for values", wrong)
