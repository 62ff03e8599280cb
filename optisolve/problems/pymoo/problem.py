"""Third-party test functions as a family."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Interval

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.errors import FieldProblem, ProblemError, nearest
from optisolve.core.evaluation import corner_problems
from optisolve.core.problem import HypervolumeBox, Instance, Origin, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import generator
from optisolve.problems.pymoo.designs import FUNCTIONS
from optisolve.problems.pymoo.instance import PymooInstance

__all__ = ["PymooFunction"]

_SHIFT_RANGE = (0.2, 0.8)
"""Shifts are uniform between these shares of a variable's range."""


@dataclass(frozen=True)
class PymooFunction(Problem):
    """A test function of the literature: ZDT, DTLZ, MW or RE.

    Args:
        function: Lower-case name, e.g. ``"zdt1"``.
        n_variables: Number of variables d.
        n_objectives: Number of objectives m.
        hypervolume_reference: Bad corner of the scoring box, length m; None makes the box from the front, ideal + 1.1 (nadir -
            ideal), or from random designs where no front is known.
        hypervolume_ideal: Good corner of the scoring box, length m; both corners are given, or none.
        shifted: Move the optimum by a shift that the instance seed draws; the front stays. Without it every seed
            gives the same instance.
    """

    name: ClassVar[str] = "pymoo"
    version: ClassVar[str] = "2"
    summary: ClassVar[str] = "Test functions of the literature: ZDT, DTLZ, MW and the RE design problems, optionally shifted."
    evidence: ClassVar[str] = "analytic front (RE: best known)"
    calibrated: ClassVar[tuple[str, ...]] = ("hypervolume_reference", "hypervolume_ideal")

    function: str
    n_variables: Annotated[int, Ge(2)]
    n_objectives: Annotated[int, Interval(ge=2, le=12)]
    hypervolume_reference: tuple[float, ...] | None = None
    hypervolume_ideal: tuple[float, ...] | None = None
    shifted: bool = False

    def instance(self, seed: int = 0) -> PymooInstance:
        """The function; `seed` draws the shift, if there is one.

        Args:
            seed: Instance seed.
        """
        function = FUNCTIONS[self.function]
        first = function.n_position(self.n_objectives)
        shift = frozen([])
        if self.shifted:
            space = function.space(self.n_variables, self.n_objectives)
            shift = frozen(
                _drawn(generator(seed, problem=self.name, purpose="shift"), space.lower[first:], space.upper[first:])
            )
            if function.binary:
                shift = frozen(np.rint(shift))
        box = HypervolumeBox.given(self.hypervolume_reference, self.hypervolume_ideal)
        bind = partial(PymooInstance, self.origin(seed), function, self.n_variables, self.n_objectives, shift)
        if box is not None:
            return bind(box)
        from optisolve.problems.pymoo.fronts import front_box

        return bind(front_box(bind(None)))

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The Pareto front: analytic, or for RE the published one; None where neither is known.

        Args:
            instance: An instance of this family.
            effort: Has no influence.

        Raises:
            ProblemError: The instance belongs to another family.
            RecordError: A published front of an RE problem cannot be trusted.
        """
        from optisolve.problems.pymoo.fronts import reference

        if not isinstance(instance, PymooInstance):
            raise ProblemError(f"pymoo: cannot give a reference for {instance!r}; pass an instance of this family.")
        return reference(instance)

    def origin(self, seed: int) -> Origin:
        """The origin, with lists instead of tuples, as JSON has them."""
        origin = super().origin(seed)
        corners = {name: origin.params[name] for name in self.calibrated}
        told = {name: None if corner is None else list(corner) for name, corner in corners.items()}
        return dataclasses.replace(origin, params={**origin.params, **told})

    def _check(self) -> Iterable[FieldProblem]:
        function = FUNCTIONS.get(self.function)
        if function is None:
            guess = nearest(self.function, FUNCTIONS)
            hint = f"; did you mean '{guess}'?" if guess else ""
            yield FieldProblem("function", self.function, f"one of {', '.join(FUNCTIONS)}{hint}")
            return
        wrong = function.why_not(self.n_variables, self.n_objectives)
        if wrong is not None:
            yield FieldProblem(wrong[0], getattr(self, wrong[0]), wrong[1])
        if self.shifted and function.variables:
            yield FieldProblem("shifted", True, f"false, since the variables of {self.function} have a meaning")
        if wrong is None:
            objectives = function.named_objectives(self.n_objectives)
            yield from corner_problems(self.hypervolume_reference, self.hypervolume_ideal, objectives)


def _drawn(rng: np.random.Generator, lower: FloatArray, upper: FloatArray) -> FloatArray:
    share = rng.uniform(*_SHIFT_RANGE, lower.size)
    return np.asarray(lower + share * (upper - lower))
