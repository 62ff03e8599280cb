"""An engine's state in words and integers: what a language model is told, in two styles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Instance, Objective
from optisolve.core.space import Kind, Space, Variable
from optisolve.llm.candidates import Grid, Row, design_keys, parse_points, parse_rows, points_form, table_grammar
from optisolve.llm.dialogue import worded
from optisolve.llm.forms import grammar_of, schema_of
from optisolve.llm.prompts import Prompt, named_prompt
from optisolve.llm.types import LlmRequest, PointsBehind
from optisolve.solvers.hybrid.state import State
from optisolve.solvers.ledma import words
from optisolve.solvers.ledma.words import Named, Parents

__all__ = ["STYLES", "Continuation", "Question", "Schema", "Style", "make_style"]

_SWAYING = 4
"""Variables that sway the objectives most, named one by one."""
_ROOM = 0.1
"""Value of the best line of a log, share of the range of all: the new line is promised less, and 0 has nothing below it."""


@dataclass(frozen=True, slots=True)
class Bare:
    """An instance without its words: variables x1, x2, ... and objectives f1, f2, ..., which keep their senses."""

    space: Space
    objectives: tuple[Objective, ...]

    @classmethod
    def of(cls, instance: Instance, grid: Grid) -> Bare:
        """The names that are left of an instance."""
        space = Space.of(
            Variable(f"x{i + 1}", 0.0, float(level), kind=Kind.INTEGER if discrete else Kind.REAL)
            for i, (level, discrete) in enumerate(zip(grid.levels.tolist(), instance.space.integer.tolist(), strict=True))
        )
        objectives = (replace(o, name=f"f{i + 1}", unit="", meaning="") for i, o in enumerate(instance.objectives))
        return cls(space, tuple(objectives))


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What a model is asked.

    Attributes:
        state: What the engine knows.
        errors: What was wrong with the previous answer.
    """

    state: State
    errors: tuple[str, ...] = ()


class Style(ABC):
    """One way to word a state and to read the answer.

    Args:
        instance: What is optimized.
        grid: Its variables as integers.
        prompt: The template.
        domain: With what the variables and objectives mean; otherwise numbers alone.
        n_best: Best points shown.
        n_last: Last points shown, those among the best left out.
    """

    name: ClassVar[str]

    def __init__(self, instance: Instance, grid: Grid, prompt: Prompt, *, domain: bool, n_best: int, n_last: int) -> None:
        self.prompt, self.grid = prompt, grid
        self._signs, self._n_best, self._n_last = instance.signs, n_best, n_last
        self._named: Named = instance if domain else Bare.of(instance, grid)
        self._levels = grid.levels.tolist()
        groups, order = self._variables()
        self._constant: dict[str, object] = {
            "problem": instance.describe() if domain else None,
            "objectives": words.objectives(self._named),
            "groups": groups,
            "order": order,
        }

    @abstractmethod
    def request(self, question: Question, *, tag: str, attempt: int, seed: int) -> LlmRequest:
        """The request for one point."""

    @abstractmethod
    def variables(self, question: Question) -> dict[str, object]:
        """Variables of the prompt."""

    @abstractmethod
    def parse(self, text: str) -> list[Row]:
        """The point in an answer."""

    def _variables(self) -> tuple[list[dict[str, str]], str]:
        """Groups of variables with what their integers mean, and their order."""
        return words.variable_groups(self._named, self._levels)

    def _shown(self, state: State) -> tuple[Parents, Parents]:
        """The last points in order, and the best ones from worst to best, each once on the grid."""
        numbers = self._numbers(state.points.X)
        best = self._distinct(numbers, state.order, self._n_best, set())
        taken = {numbers[i].tobytes() for i in best}
        last = self._distinct(numbers, np.arange(len(numbers))[::-1], self._n_last, taken)
        return self._parents(state, numbers, last[::-1]), self._parents(state, numbers, best[::-1])

    def _numbers(self, U: FloatArray) -> IntArray:
        return np.rint(U * self.grid.levels).astype(np.int64)

    @staticmethod
    def _distinct(numbers: IntArray, order: IntArray, most: int, taken: set[bytes]) -> list[int]:
        chosen: dict[bytes, int] = {}
        for i in order.tolist():
            key = numbers[i].tobytes()
            if key not in taken:
                chosen.setdefault(key, i)
            if len(chosen) == most:
                break
        return list(chosen.values())

    def _parents(self, state: State, numbers: IntArray, rows: list[int]) -> Parents:
        points = state.points
        return Parents(numbers[rows], points.F[rows] * self._signs, points.violation[rows], state.values[rows])

    def _state(self, state: State) -> dict[str, object]:
        """What the engine believes, in words."""
        names, grid = self._named.space.names, self.grid.levels
        sway = [] if state.sway is None else np.argsort(-state.sway, kind="stable")[:_SWAYING].tolist()
        expected = (
            () if state.expected is None else zip(self._named.objectives, *_told(state.expected, self._signs), strict=True)
        )
        return {
            "center": ", ".join(map(str, np.rint(state.mean * grid).astype(int).tolist())),
            "spread": ", ".join(f"{step:.2g}" for step in (state.spread * grid).tolist()),
            "expected": ", ".join(f"{o.name} {mean:.4g} +- {deviation:.2g}" for o, mean, deviation in expected),
            "sway": ", ".join(f"{names[i]} {float(state.sway[i]):.0%}" for i in sway if state.sway is not None),
            "links": ", ".join(f"{names[i]} with {names[j]} {c:+.1f}" for i, j, c in state.links),
            "left": str(state.left),
        }

    def _behind(self, best: Parents, targets: list[int] | None = None) -> PointsBehind:
        """The numbers behind the prompt, for the surrogate."""
        return PointsBehind(self._named.space.names, self._levels, 1, [best.numbers.tolist()], targets)


class Schema(Style):
    """Chat with everything in words; the answer is a JSON object with named keys."""

    name = "schema"

    def request(self, question: Question, *, tag: str, attempt: int, seed: int) -> LlmRequest:
        """One user message, and the schema of the answer."""
        names = self._named.space.names
        form = points_form(names, self._levels, 1)
        return worded(
            self.prompt.render(**self.variables(question)),
            self.name,
            tag=tag,
            attempt=attempt,
            seed=seed,
            max_tokens=96 + sum(len(name.encode()) + 12 for name in names),
            schema=schema_of(form),
            grammar=grammar_of(form),
            behind=self._behind(self._shown(question.state)[1]),
        )

    def variables(self, question: Question) -> dict[str, object]:
        """Variables of the prompt."""
        state = question.state
        last, best = self._shown(state)
        return {
            **self._constant,
            "form": words.answer_form(self._named.space.names, design_keys(1), None),
            "preference": words.preference(self._named, state.weight),
            "state": self._state(state),
            "last": words.examples(self._named, last),
            "best": words.examples(self._named, best),
            "errors": list(question.errors),
        }

    def parse(self, text: str) -> list[Row]:
        """The point by name; an array in the variables' order is understood, too."""
        return parse_points(text, self._named.space.names, 1)


class Continuation(Style):
    """A log that the model continues, value first; suits small models without a chat template."""

    name = "continuation"

    def request(self, question: Question, *, tag: str, attempt: int, seed: int) -> LlmRequest:
        """The log up to the new line's value; errors cannot be told in this style, another seed is drawn."""
        last, best = self._shown(question.state)
        targets = self._targets(last, best)
        return worded(
            self.prompt.render(**self.variables(question)),
            self.name,
            tag=tag,
            attempt=attempt,
            seed=seed,
            max_tokens=18 + 5 * self._named.space.dim,
            grammar=table_grammar(self._levels, targets),
            behind=self._behind(best, targets),
        )

    def variables(self, question: Question) -> dict[str, object]:
        """Variables of the prompt."""
        last, best = self._shown(question.state)
        values = words.table_values(_joined(last, best)).tolist()
        points = [",".join(map(str, row)) for row in [*last.numbers.tolist(), *best.numbers.tolist()]]
        rows = [{"value": value, "point": point} for value, point in zip(values, points, strict=True)]
        return {
            **self._constant,
            "dim": self._named.space.dim,
            "preference": words.preference(self._named, question.state.weight),
            "state": self._state(question.state),
            "last": rows[: last.numbers.shape[0]],
            "best": rows[last.numbers.shape[0] :],
            "target": self._targets(last, best)[0],
        }

    def parse(self, text: str) -> list[Row]:
        """The point of the first line."""
        return parse_rows(text, self._named.space.dim, 1)

    def _variables(self) -> tuple[list[dict[str, str]], str]:
        """Where several things have the same variables they are named once, since a small model reads slowly."""
        return _told_once(self._named.space, self._levels) or Style._variables(self)

    def _targets(self, last: Parents, best: Parents) -> list[int]:
        return words.table_targets(int(words.table_values(_joined(last, best))[-1]), 1)


STYLES: dict[str, type[Style]] = {"schema": Schema, "continuation": Continuation}
"""Every style by its name."""


def make_style(
    name: str, prompt: str | None, instance: Instance, grid: Grid, *, domain: bool, n_best: int, n_last: int
) -> Style:
    """The style of that name with its prompt, the newest of its own where none is named."""
    return STYLES[name](instance, grid, named_prompt(prompt or f"hybrid_{name}"), domain=domain, n_best=n_best, n_last=n_last)


def _told_once(space: Space, levels: Sequence[int]) -> tuple[list[dict[str, str]], str] | None:
    """Groups and order with ``x_m`` for ``uav0.x_m``, ``uav1.x_m``, ...; None where things differ in their variables."""
    split = [name.rpartition(".") for name in space.names]
    owners = [*dict.fromkeys(owner for owner, _, _ in split)]
    size = len(split) // len(owners)
    columns = zip(
        (name for _, _, name in split), space.lower.tolist(), space.upper.tolist(), space.units, space.kinds, strict=True
    )
    told = [(Variable(*column), level) for column, level in zip(columns, levels, strict=True)]
    if len(owners) < 2 or told != told[:size] * len(owners) or len({variable.name for variable, _ in told}) < size:
        return None
    if [owner for owner, _, _ in split] != [owner for owner in owners for _ in range(size)]:
        return None
    one = Space.of(variable for variable, _ in told[:size])
    groups, order = words.variable_groups(Bare(one, ()), levels[:size])
    return groups, f"{order or words.listed(one.names)} of {owners[0]}, then of {words.listed(owners[1:])}"


def _joined(last: Parents, best: Parents) -> Parents:
    """All rows of the log, with values that leave room below the best one."""
    numbers, F, violation, values = (
        np.concatenate([getattr(last, field), getattr(best, field)]) for field in ("numbers", "F", "violation", "values")
    )
    seen = values[violation <= 0.0] if (violation <= 0.0).any() else values
    return Parents(numbers, F, violation, np.maximum(values - seen.min(), 0.0) + _ROOM * np.ptp(seen))


def _told(expected: FloatArray, signs: FloatArray) -> tuple[list[float], list[float]]:
    """Means in the objectives' own senses, and deviations."""
    return (expected[0] * signs).tolist(), expected[1].tolist()
