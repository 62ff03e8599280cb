"""What a language model is asked for one sub-problem: two prompt styles over the same numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.problem import Instance
from optisolve.core.space import Kind
from optisolve.llm.candidates import Row, parse_points, parse_rows
from optisolve.llm.prompts import Prompt, load_prompt
from optisolve.llm.scale import Grid
from optisolve.llm.schema import candidate_keys, continuation_grammar, point_schema, schema_grammar
from optisolve.llm.types import LlmRequest, Message

__all__ = ["Continuation", "Parents", "Question", "Schema", "Style", "prompt_style"]

TARGET_FACTOR = 0.9
"""A continued row is promised this share of the value of the row above it."""


@dataclass(frozen=True, slots=True, eq=False)
class Parents:
    """Parents of one sub-problem, worst to best, without duplicates after rounding.

    Attributes:
        numbers: int64 [l, d], on the grid.
        F: float64 [l, m], objectives in their own senses.
        violation: float64 [l], total constraint violation.
        values: float64 [l], scalarized value, lower is better.
    """

    numbers: IntArray
    F: FloatArray
    violation: FloatArray
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What to ask about one sub-problem.

    Attributes:
        parents: The examples.
        weight: float64 [m], the sub-problem's weight vector.
        count: Offspring to ask for.
    """

    parents: Parents
    weight: FloatArray
    count: int


class Style(ABC):
    """One way to word a question and to read the answer.

    Args:
        instance: What is optimized.
        grid: Its variables as integers.
    """

    name: str

    def __init__(self, instance: Instance, grid: Grid) -> None:
        self._instance, self._grid = instance, grid
        self.prompt: Prompt = load_prompt(f"ledma_{self.name}")

    @abstractmethod
    def request(self, question: Question, *, tag: str, attempt: int, seed: int, errors: Sequence[str]) -> LlmRequest:
        """The request for a question; `errors` say what was wrong with the previous answer."""

    @abstractmethod
    def parse(self, text: str, count: int) -> list[Row]:
        """Points in an answer."""

    def _context(self, question: Question, **more: Any) -> dict[str, Any]:
        return {
            "style": self.name,
            "names": self._instance.space.names,
            "levels": self._grid.levels.tolist(),
            "parents": question.parents.numbers.tolist(),
            "count": question.count,
            **more,
        }


class Schema(Style):
    """Chat with the problem in words; the answer is a JSON object with named keys."""

    name = "schema"

    def __init__(self, instance: Instance, grid: Grid) -> None:
        super().__init__(instance, grid)
        self._levels = grid.levels.tolist()
        self._words = instance.describe()
        self._variables = _variables(instance, self._levels)
        self._objectives = [
            {"sense": str(o.sense), "name": o.name, "unit": f" [{o.unit}]" if o.unit else "", "meaning": o.meaning}
            for o in instance.objectives
        ]

    def request(self, question: Question, *, tag: str, attempt: int, seed: int, errors: Sequence[str]) -> LlmRequest:
        """One user message with everything in it, and the schema of the answer."""
        names = self._instance.space.names
        text = self.prompt.render(
            problem=self._words,
            variables=self._variables,
            objectives=self._objectives,
            preference=_preference(self._instance, question.weight),
            parents=self._examples(question.parents),
            count=question.count,
            keys=candidate_keys(question.count),
            errors=list(errors),
        )
        per_point = sum(len(name.encode()) + 12 for name in names) + 32
        return LlmRequest(
            tag=tag,
            attempt=attempt,
            seed=seed,
            messages=(Message("user", text),),
            max_tokens=64 + question.count * per_point,
            schema=point_schema(names, self._levels, question.count),
            grammar=schema_grammar(names, self._levels, question.count),
            context=self._context(question),
        )

    def parse(self, text: str, count: int) -> list[Row]:
        """Points by name; arrays in the variables' order are understood, too."""
        return parse_points(text, self._instance.space.names, count)

    def _examples(self, parents: Parents) -> list[dict[str, str]]:
        objectives = self._instance.objectives
        return [
            {
                "point": ", ".join(map(str, numbers)),
                "objectives": ", ".join(f"{o.name} {value:.4g}" for o, value in zip(objectives, row, strict=True)),
                "violation": f"{violation:.3g}" if violation > 0 else "",
            }
            for numbers, row, violation in zip(
                parents.numbers.tolist(), parents.F.tolist(), parents.violation.tolist(), strict=True
            )
        ]


class Continuation(Style):
    """A ranked table, value first, that the model continues; suits small models without a chat template."""

    name = "continuation"

    def request(self, question: Question, *, tag: str, attempt: int, seed: int, errors: Sequence[str]) -> LlmRequest:
        """The table up to the first new row's value; errors cannot be told in this style, another seed is drawn."""
        values = _table_values(question.parents)
        targets = _targets(int(values[-1]), question.count)
        dim = self._instance.space.dim
        rows = [
            {"value": int(value), "point": ",".join(map(str, numbers))}
            for value, numbers in zip(values, question.parents.numbers.tolist(), strict=True)
        ]
        text = self.prompt.render(
            title=self._instance.origin.problem.replace("_", " "), dim=dim, parents=rows, target=targets[0]
        )
        return LlmRequest(
            tag=tag,
            attempt=attempt,
            seed=seed,
            prompt=text,
            max_tokens=8 + question.count * (5 * dim + 10),
            grammar=continuation_grammar(self._grid.levels.tolist(), targets),
            context=self._context(question, targets=targets),
        )

    def parse(self, text: str, count: int) -> list[Row]:
        """Points by line."""
        return parse_rows(text, self._instance.space.dim, count)


def prompt_style(wanted: Literal["auto", "schema", "continuation"], preferred: str, instance: Instance, grid: Grid) -> Style:
    """The style to use: the wanted one, or with ``"auto"`` the one that the model prefers."""
    name = preferred if wanted == "auto" else wanted
    return Continuation(instance, grid) if name == "continuation" else Schema(instance, grid)


def _variables(instance: Instance, levels: Sequence[int]) -> list[dict[str, str]]:
    space = instance.space
    notes = {Kind.REAL: "", Kind.INTEGER: " (integer)", Kind.BINARY: " (off or on)"}
    return [
        {
            "name": space.names[i],
            "lower": f"{space.lower[i]:.6g}",
            "upper": f"{space.upper[i]:.6g}",
            "unit": f" {space.units[i]}" if space.units[i] else "",
            "levels": str(levels[i]),
            "note": notes[space.kinds[i]],
        }
        for i in range(space.dim)
    ]


def _preference(instance: Instance, weight: FloatArray) -> str:
    """The weight vector in words and numbers."""
    objectives = instance.objectives
    if len(objectives) == 1:
        return f"{objectives[0].sense} {objectives[0].name}."
    shares = weight / weight.sum()
    order = np.argsort(-shares, kind="stable")
    words = [f"{objectives[i].name} {_strength(float(shares[i]))} (weight {shares[i]:.2f})" for i in order]
    return "; ".join(words) + ". Weights apply to objectives scaled to the range of the designs found so far."


def _strength(share: float) -> str:
    for limit, words in ((0.75, "matters most"), (0.4, "matters much"), (0.15, "matters some"), (0.02, "matters little")):
        if share >= limit:
            return words
    return "hardly matters"


def _table_values(parents: Parents) -> IntArray:
    """Values of a table, worst to best: up to 1000 when feasible, 1001 to 2000 by violation otherwise, int64 [l]."""
    feasible = parents.violation <= 0.0
    values = parents.values - min(0.0, float(parents.values.min()))
    top = float(values[feasible].max()) if feasible.any() else 0.0
    worst = float(parents.violation.max())
    by_value = 1000.0 * values / top if top > 0.0 else np.full_like(values, 1000.0)
    by_violation = 1001.0 + 999.0 * parents.violation / worst if worst > 0.0 else by_value
    return np.rint(np.where(feasible, by_value, by_violation)).astype(np.int64)


def _targets(best: int, count: int) -> list[int]:
    """Values promised to the new rows, each below the one above it as long as integers allow."""
    targets = []
    for _ in range(count):
        best = max(0, min(best - 1, int(TARGET_FACTOR * best)))
        targets.append(best)
    return targets
