"""What a language model is asked for one or several sub-problems: two prompt styles over the same numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem
from optisolve.core.problem import Instance
from optisolve.llm.candidates import (
    Grid,
    Row,
    design_keys,
    parse_points,
    parse_rows,
    parse_tasks,
    points_form,
    table_grammar,
    task_keys,
)
from optisolve.llm.dialogue import worded
from optisolve.llm.forms import grammar_of, schema_of
from optisolve.llm.prompts import Prompt, StyleName, named_prompt, style_name, style_problems
from optisolve.llm.types import LlmRequest, PointsBehind
from optisolve.solvers.ledma import words
from optisolve.solvers.ledma.words import Parents

__all__ = ["STYLES", "Continuation", "Question", "Schema", "Style", "prompt_problems", "prompt_style"]

DEFAULT_PROMPTS = {"schema": "ledma_schema", "continuation": "ledma_continuation.v1"}
"""Prompt of each style when none is named: the newest, but for the table the first, which names no problem. With SmolLM2-135M
the second one, which does, was no better (see the card of ledma)."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What to ask about one sub-problem.

    Attributes:
        parents: The examples.
        weight: float64 [m], the sub-problem's weight vector.
        count: Offspring to ask for.
        gaps: How far the best parent is behind the best values seen, in words.
        errors: What was wrong with the previous answer.
    """

    parents: Parents
    weight: FloatArray
    count: int
    gaps: str = ""
    errors: tuple[str, ...] = ()


class Style(ABC):
    """One way to word questions and to read the answer.

    Args:
        instance: What is optimized.
        grid: Its variables as integers.
        prompt: The template.
        batched: One request holds several questions.
    """

    name: ClassVar[str]

    def __init__(self, instance: Instance, grid: Grid, prompt: Prompt, *, batched: bool) -> None:
        self._instance, self._grid, self.prompt, self._batched = instance, grid, prompt, batched

    @abstractmethod
    def request(self, questions: Sequence[Question], *, tag: str, attempt: int, seed: int, note: str = "") -> LlmRequest:
        """The request for some questions, one unless batched; the note is shown where the style has room for it."""

    @abstractmethod
    def variables(self, questions: Sequence[Question], note: str = "") -> dict[str, object]:
        """Variables of the prompt for some questions."""

    @abstractmethod
    def parse(self, text: str, questions: Sequence[Question]) -> list[list[Row]]:
        """Points in an answer, one list per question."""

    def _behind(self, questions: Sequence[Question], targets: Sequence[int] | None = None) -> PointsBehind:
        """The numbers behind the prompt, for the surrogate."""
        parents = [question.parents.numbers.tolist() for question in questions]
        names, levels = self._instance.space.names, self._grid.levels.tolist()
        return PointsBehind(names, levels, questions[0].count, parents, targets, self._batched)


class Schema(Style):
    """Chat with the problem in words; the answer is a JSON object with named keys."""

    name = "schema"

    def __init__(self, instance: Instance, grid: Grid, prompt: Prompt, *, batched: bool) -> None:
        super().__init__(instance, grid, prompt, batched=batched)
        self._levels = grid.levels.tolist()
        groups, order = words.variable_groups(instance, self._levels)
        self._constant = {
            "problem": instance.describe(),
            "objectives": words.objectives(instance),
            "variables": words.variables(instance, self._levels),
            "groups": groups,
            "order": order,
            "batched": batched,
        }

    def request(self, questions: Sequence[Question], *, tag: str, attempt: int, seed: int, note: str = "") -> LlmRequest:
        """One user message with everything in it, and the schema of the answer."""
        names, count = self._instance.space.names, questions[0].count
        n_tasks = len(questions) if self._batched else None
        per_point = sum(len(name.encode()) + 12 for name in names) + 32
        form = points_form(names, self._levels, count, n_tasks)
        return worded(
            self.prompt.render(**self.variables(questions, note)),
            self.name,
            tag=tag,
            attempt=attempt,
            seed=seed,
            max_tokens=64 + len(questions) * (count * per_point + 16 * self._batched),
            schema=schema_of(form),
            grammar=grammar_of(form),
            behind=self._behind(questions),
        )

    def parse(self, text: str, questions: Sequence[Question]) -> list[list[Row]]:
        """Points by name; arrays in the variables' order are understood, too."""
        names, count = self._instance.space.names, questions[0].count
        if not self._batched:
            return [parse_points(text, names, count)]
        return parse_tasks(text, names, task_keys(len(questions)), count)

    def variables(self, questions: Sequence[Question], note: str = "") -> dict[str, object]:
        """Variables of the prompt: version 1 takes one question by itself, later ones take a list of tasks."""
        count, designs = questions[0].count, design_keys(questions[0].count)
        tasks = [
            {
                "key": key,
                "preference": words.preference(self._instance, question.weight),
                "parents": words.examples(self._instance, question.parents),
                "gaps": question.gaps,
                "errors": list(question.errors),
            }
            for key, question in zip(task_keys(len(questions)), questions, strict=True)
        ]
        if "tasks" in self.prompt.variables:
            form = words.answer_form(self._instance.space.names, designs, task_keys(2) if self._batched else None)
            return {**self._constant, "count": count, "form": form, "note": note, "tasks": tasks}
        preference = words.preference_sentence(self._instance, questions[0].weight)
        return {**self._constant, "count": count, "keys": designs, **tasks[0], "preference": preference}


class Continuation(Style):
    """A ranked table, value first, that the model continues; suits small models without a chat template."""

    name = "continuation"

    def request(self, questions: Sequence[Question], *, tag: str, attempt: int, seed: int, note: str = "") -> LlmRequest:
        """The table up to the first new row's value; errors cannot be told in this style, another seed is drawn."""
        (question,) = questions
        dim, targets = self._instance.space.dim, self._targets(question)
        return worded(
            self.prompt.render(**self.variables(questions)),
            self.name,
            tag=tag,
            attempt=attempt,
            seed=seed,
            max_tokens=8 + question.count * (5 * dim + 10),
            grammar=table_grammar(self._grid.levels.tolist(), targets),
            behind=self._behind(questions, targets),
        )

    def variables(self, questions: Sequence[Question], note: str = "") -> dict[str, object]:
        """Variables of the prompt."""
        (question,) = questions
        rows = zip(words.table_values(question.parents).tolist(), question.parents.numbers.tolist(), strict=True)
        return {
            "title": self._instance.origin.problem.replace("_", " "),
            "objectives": words.objectives(self._instance),
            "dim": self._instance.space.dim,
            "parents": [{"value": value, "point": ",".join(map(str, numbers))} for value, numbers in rows],
            "target": self._targets(question)[0],
        }

    def _targets(self, question: Question) -> list[int]:
        return words.table_targets(int(words.table_values(question.parents)[-1]), question.count)

    def parse(self, text: str, questions: Sequence[Question]) -> list[list[Row]]:
        """Points by line."""
        return [parse_rows(text, self._instance.space.dim, questions[0].count)]


STYLES: dict[str, type[Style]] = {"schema": Schema, "continuation": Continuation}
"""Every style by its name."""


def prompt_problems(
    wanted: StyleName, prompt: str | None, *, batch: int, reflect_every: int | None, preferred: str = "auto"
) -> Iterator[FieldProblem]:
    """What does not fit together among style, prompt, batches and notes.

    Args:
        wanted: Option of the solver.
        prompt: Prompt named by the user, or None.
        batch: Questions per request.
        reflect_every: Waves between notes, or None.
        preferred: What the model prefers; ``"auto"`` while that is unknown, and then less can be said.
    """
    name, problems = style_name(wanted, prompt, preferred), list(style_problems(wanted, prompt, preferred))
    if problems or name == "auto":
        yield from problems
        return
    uses = named_prompt(prompt or DEFAULT_PROMPTS[name]).variables
    why = f"the {name} style" if name == "continuation" else f"the prompt {prompt}"
    cure = "style=schema with its newest prompt"
    if batch > 1 and "tasks" not in uses:
        yield FieldProblem("batch_subproblems", batch, f"1, because {why} asks about one sub-problem per call; or {cure}")
    if reflect_every is not None and "note" not in uses:
        yield FieldProblem("reflect_every", reflect_every, f"null, because {why} has no room for a note; or {cure}")


def prompt_style(name: str, prompt: str | None, instance: Instance, grid: Grid, *, batched: bool = False) -> Style:
    """The style of that name with its prompt.

    Args:
        name: ``"schema"`` or ``"continuation"``.
        prompt: ``"NAME.vVERSION"``, ``"NAME"``, or None for the style's own.
        instance: What is optimized.
        grid: Its variables as integers.
        batched: One request holds several questions.
    """
    return STYLES[name](instance, grid, named_prompt(prompt or DEFAULT_PROMPTS[name]), batched=batched)
