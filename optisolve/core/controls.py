"""Controls: what a solver with a language model is compared with when somebody asks whether the model was needed.

A solver of anybody's that asks a model may say what belongs in the model's place:

    def controls(self, *, budget, model):
        return [
            Arm(SUBJECT, "the language model", self.info.name, self.options()),
            Arm("rule", "the same plan by rule", "my_solver_control", {"depth": self.depth}),
        ]

Without the method `optisolve ablate` compares with random search at the same budget and repair, and with the instance's
trivial answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from optisolve.core.budget import Budget
from optisolve.core.solver import Solver

__all__ = ["ASKING", "PLACEBO", "SUBJECT", "WORDLESS", "Arm", "HasControls", "HasPlainRuns"]

SUBJECT = "llm"
"""Name of the arm that is the solver itself."""

PLACEBO = "placebo"
"""Name of the arm that asks the same model as often, but tells it nothing."""

WORDLESS = "wordless"
"""Name of the arm that asks the same model as often and shows it the same numbers, but not what they mean."""

ASKING = frozenset({SUBJECT, PLACEBO, WORDLESS})
"""Names of the arms that may ask the language model; all others are controls without one."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One competitor: a solver by name, with options, as a suite lists it.

    Args:
        name: Short name, different from the other arms'.
        label: Who does the work here, in words for tables.
        solver: Registry name; a solver that asks a language model gets the one that is asked about.
        options: Its options; what is left out has the solver's default.
        memory: What a step of an episode is handed of earlier ones, see `optisolve.study.episodes.memory`; "" for nothing.
    """

    name: str
    label: str
    solver: str
    options: Mapping[str, object] = field(default_factory=dict)
    memory: str = ""


@runtime_checkable
class HasControls(Protocol):
    """A solver that names its own controls."""

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        """The solver itself, called `SUBJECT`, as it takes part; then the same with something else in the model's place.

        Args:
            budget: Limits of every run of the subject; controls get its evaluations.
            model: Kind of the language model, a key of `optisolve.llm.config.LLM_KINDS`.

        Raises:
            OptionError: Options or limits with which the comparison would mean nothing.
        """
        ...


@runtime_checkable
class HasPlainRuns(Protocol):
    """A solver with a language model that can also do without, and is printed beside itself (``controls=true``)."""

    def plain_runs(self) -> Mapping[str, Solver]:
        """The same solver as it runs with ``llm=none``, by what is special about it; one change from each to the next."""
        ...
