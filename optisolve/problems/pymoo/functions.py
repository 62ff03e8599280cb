"""What is fixed about a test function: bounds, numbers of objectives and constraints, names and words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from optisolve.core.problem import Description, Objective, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.problems.pymoo.literature import ZDT5_BITS, ZDT5_GROUP

__all__ = ["Function"]

Family = Literal["zdt", "dtlz", "mw", "re"]
_ORDINALS = ("first", "second", "third")


@dataclass(frozen=True, slots=True)
class Function:
    """What is fixed about one function.

    Args:
        name: Lower-case name.
        family: Which set it belongs to.
        n_constraints: Number of constraints.
        many: The number of objectives is free (2 and more), not two.
        lower: Lower bound of the distance variables.
        upper: Upper bound of the distance variables.
        position_upper: Upper bound of the position variables, whose lower bound is 0.
        fold: The best distance lies on a bound, so a shift folds; otherwise it bends.
        variables: The variables of an RE problem.
        objectives: The objectives of an RE problem.
        words: What an RE problem is about.
        constraint_words: What the constraints of an MW function mean.
    """

    name: str
    family: Family
    n_constraints: int = 0
    many: bool = False
    lower: float = 0.0
    upper: float = 1.0
    position_upper: float = 1.0
    fold: bool = False
    variables: tuple[Variable, ...] = ()
    objectives: tuple[Objective, ...] = ()
    words: Description | None = None

    @property
    def binary(self) -> bool:
        """All variables are bits."""
        return self.name == "zdt5"

    def n_position(self, n_objectives: int) -> int:
        """How many variables set the position on the front."""
        return ZDT5_BITS if self.binary else n_objectives - 1

    def space(self, n_variables: int, n_objectives: int) -> Space:
        """The decision space; RE problems have one only."""
        if self.variables:
            return Space.of(self.variables)
        kind = Kind.BINARY if self.binary else Kind.REAL
        first = self.n_position(n_objectives)
        bounds = [(0.0, self.position_upper)] * first + [(self.lower, self.upper)] * (n_variables - first)
        return Space.of(Variable(f"x{i + 1}", low, high, kind=kind) for i, (low, high) in enumerate(bounds))

    def why_not(self, n_variables: int, n_objectives: int) -> tuple[str, str] | None:
        """Field and expectation when these numbers do not fit, else None."""
        if self.variables:
            wanted = (len(self.variables), len(self.objectives))
            if n_variables != wanted[0]:
                return "n_variables", f"{wanted[0]}, as {self.name} has"
        else:
            wanted = (0, n_objectives if self.many else 2)
        if n_objectives != wanted[1]:
            return "n_objectives", f"{wanted[1]}, as {self.name} has"
        fewest = self.n_position(n_objectives) + (2 if self.family == "mw" else 1)
        if self.binary and (n_variables <= ZDT5_BITS or (n_variables - ZDT5_BITS) % ZDT5_GROUP):
            return "n_variables", f"{ZDT5_BITS} and a multiple of {ZDT5_GROUP} more"
        if not self.variables and n_variables < fewest:
            return "n_variables", f"at least {fewest} for {n_objectives} objectives of {self.name}"
        return None

    def named_objectives(self, n_objectives: int) -> tuple[Objective, ...]:
        """The objectives, all minimized."""
        if self.objectives:
            return self.objectives
        return tuple(
            Objective(f"f{j + 1}", Sense.MINIMIZE, meaning=f"the {_ordinal(j)} of {n_objectives} conflicting functions")
            for j in range(n_objectives)
        )

    def describe(self, n_variables: int, n_objectives: int) -> Description:
        """The function in words that neither name it nor tell where its optimum lies."""
        if self.words is not None:
            return self.words
        first = self.n_position(n_objectives)
        position = "The first variable sets" if first == 1 else f"The first {first} variables set"
        kind = "on/off variables" if self.binary else "variables"
        summary = (
            f"Minimize {n_objectives} conflicting functions of {n_variables} {kind}, known by their values only. "
            f"{position} the balance between the functions; the other {n_variables - first} together set how far a point is "
            "from the best trade-offs, the same way for every balance or nearly so."
        )
        constraints = (
            (f"{self.n_constraints} condition(s) on the values of the functions cut holes into the set of allowed trade-offs.",)
            if self.n_constraints
            else ()
        )
        hints = (
            "Better values of the variables behind the balance improve all functions at once.",
            "Along the best trade-offs no function improves without another one getting worse.",
        )
        return Description(summary, constraints=constraints, hints=hints)


def _ordinal(j: int) -> str:
    return _ORDINALS[j] if j < len(_ORDINALS) else f"number {j + 1}"
