"""The language model's part: it is told a state and asked for a point, and every answer has a fate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from optisolve.core.arrays import IntArray
from optisolve.core.documents import Json, JsonObject
from optisolve.core.seeds import generator
from optisolve.core.solver import Task
from optisolve.llm.candidates import Candidate, Grid, judge
from optisolve.llm.dialogue import BUDGET, Dialogue, Turn, Verdict
from optisolve.llm.prompts import StyleName, require_style
from optisolve.llm.session import session_of
from optisolve.llm.types import LlmRequest
from optisolve.solvers.hybrid.loop import Made
from optisolve.solvers.hybrid.state import State
from optisolve.solvers.hybrid.words import Question, make_style
from optisolve.solvers.ledma.operator import Offspring, usable_points

__all__ = ["Adviser", "Manner"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is told a state.

    Attributes:
        style: Prompt style; ``"auto"`` takes the one that the model prefers.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; None means the style's own.
        n_best: Best points shown.
        n_last: Last points shown.
        resolution: Largest integer that a variable is written as.
        domain: With what the variables and objectives mean.
        placebo: Scores are shuffled.
        max_reasks: Further questions after an unusable answer.
        warn_share: Share of unanswered questions above which the report holds a warning.
        project: Points are projected as they will be evaluated.
    """

    style: StyleName
    prompt: str | None
    n_best: int
    n_last: int
    resolution: int
    domain: bool
    placebo: bool
    max_reasks: int
    warn_share: float
    project: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question, its number in the run, and the points that the answer must differ from, int64 [p, d] on the grid."""

    number: int
    question: Question
    known: IntArray


class Adviser:
    """Asks a language model for points; all questions of one step are in flight together.

    Labels of the points: ``"llm"`` used as given; ``"repaired"`` clipped, rounded or projected to be usable; ``"fallback"`` the
    engine's own point, because the model failed; the engine's own label where the budget allowed no call. Whatever is drawn
    at random depends on the run's seed and the question's number alone.
    """

    def __init__(self, task: Task, manner: Manner) -> None:
        session, self._manner, self._task = session_of(task), manner, task
        name = require_style(session, "hybrid", manner.style, manner.prompt)
        self._style = make_style(
            name,
            manner.prompt,
            task.instance,
            Grid(task.instance.space, manner.resolution),
            domain=manner.domain,
            n_best=manner.n_best,
            n_last=manner.n_last,
        )
        self._dialogue = Dialogue(session, max_reasks=manner.max_reasks)
        self._numbers = 0

    def make(self, states: Sequence[State]) -> list[Made]:
        """A point per state, as far as the model gives them."""
        turns = [Turn[_Asked, Offspring](self._asked(state)) for state in states]
        self._dialogue.ask(turns, lambda group, attempt: self._request(group[0], attempt), self._judge)
        return [self._made(turn) for turn in turns]

    def report(self) -> JsonObject:
        """Figures of the dialogue."""
        share, asked = self._dialogue.fallback_share, self._dialogue.targets > 0
        told = f"the engine answered {share:.0%} of the language model's questions ({self._dialogue.failures})"
        report = self._dialogue.report(
            style=self._style.name if asked else "",
            prompts=self._style.prompt.describe() if asked else {},
            warning=told if share > self._manner.warn_share else "",
        )
        operator: Json = report.plain()
        return {"operator": operator}

    def _rng(self, number: int, purpose: str, attempt: int = 0) -> np.random.Generator:
        return generator(self._task.seed, operator="hybrid", purpose=purpose, question=number, attempt=attempt)

    def _asked(self, state: State) -> _Asked:
        number, self._numbers = self._numbers, self._numbers + 1
        shown = state.shuffled(self._rng(number, "placebo")) if self._manner.placebo else state
        known = np.rint(state.points.X * self._style.grid.levels).astype(np.int64)
        return _Asked(number, Question(shown), known)

    def _request(self, turn: Turn[_Asked, Offspring], attempt: int) -> LlmRequest:
        asked = turn.question
        return self._style.request(
            replace(asked.question, errors=turn.errors),
            tag=f"question={asked.number}",
            attempt=attempt,
            seed=int(self._rng(asked.number, "sampling", attempt).integers(2**31)),
        )

    def _judge(self, group: Sequence[Turn[_Asked, Offspring]], texts: tuple[str, ...]) -> list[Verdict[Offspring]]:
        (turn,) = group
        grid = self._style.grid
        candidates: list[Candidate] = judge(self._style.parse(texts[0]), 1, grid.levels, turn.question.known)
        return [usable_points(candidates, self._task.instance, grid, project=self._manner.project)]

    @staticmethod
    def _made(turn: Turn[_Asked, Offspring]) -> Made:
        if turn.answer is not None:
            return Made(turn.answer.X[0], turn.answer.labels[0])
        return Made(None, "" if turn.failure == BUDGET else "fallback")
