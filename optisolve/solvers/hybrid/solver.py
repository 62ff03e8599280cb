"""An engine whose state a language model is told in words, so that it makes a share of the points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from optisolve.core.budget import Budget
from optisolve.core.controls import PLACEBO, SUBJECT, WORDLESS, Arm
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.llm.prompts import StyleName, style_problems
from optisolve.solvers.hybrid.adviser import Adviser, Manner
from optisolve.solvers.hybrid.controls import OPERATORS
from optisolve.solvers.hybrid.loop import EngineOptions, run

__all__ = ["Hybrid"]


@dataclass(frozen=True, slots=True)
class Hybrid(EngineOptions):
    """An engine for few evaluations whose points are made by a language model now and then.

    Before each of the model's points it is told what the engine knows: where it looks and how widely, what it expects there,
    which variables matter or move together, its best points and its last ones, and what the variables mean. The engine learns
    from the model's points as from its own.

    Args:
        style: Prompt style: ``"schema"`` for chat models, ``"continuation"`` for small ones, ``"auto"`` asks the model.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; the name ends with its style. None means the style's own.
        n_best: Best points shown.
        n_last: Last points shown, those among the best left out.
        resolution: Largest integer that a variable is written as; integer variables with fewer values have one each.
        domain: Tell what variables, objectives and constraints mean; otherwise the model sees numbers alone.
        max_reasks: Further questions after an unusable answer; then the engine's own point, recorded as fallback.
        warn_share: Share of fallbacks above which the report holds a warning.
        placebo: Shuffle the scores in every question: a control that asks the same model as often but tells it nothing, see
            `controls`.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="hybrid",
        version="1",
        summary="parego or CMA-ES, whose state a language model is told in words; it makes a share of the points.",
        uses_llm=True,
        citation="setting after CENTAUR, arXiv 2603.24647 (CMA-ES, 30 % of the trials); engines, words and controls are ours",
    )
    style: StyleName = "auto"
    prompt: str | None = None
    n_best: Annotated[int, Ge(1), Le(50)] = 5
    n_last: Annotated[int, Ge(0), Le(200)] = 20
    resolution: Annotated[int, Gt(1), Le(10_000)] = 100
    domain: bool = True
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1
    warn_share: Annotated[float, Ge(0), Le(1)] = 0.2
    placebo: bool = False

    def _check(self) -> Iterable[FieldProblem]:
        yield from style_problems(self.style, self.prompt)

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        """The same engine, first points, places in the run and preferences; the arms differ in who makes the share.

        With a limit on calls the controls make as many points as there are calls.
        """
        if self.share == 0.0:
            expected = "a share above 0: otherwise nobody is asked"
            raise OptionError("The ablation's configuration", [FieldProblem("solver.share", self.share, expected)])
        subject = {**self.options(), "placebo": False, "domain": True}
        shared = {name: subject[name] for name in ("init", "engine", "share", "n_initial", "batch_size", "repair")}
        return [
            Arm(SUBJECT, "the language model", self.info.name, subject),
            Arm(PLACEBO, "same model, scores shuffled (placebo)", self.info.name, {**subject, "placebo": True}),
            Arm(WORDLESS, "same model, numbers without words", self.info.name, {**subject, "domain": False}),
            *(
                Arm(name, label, "hybrid_control", {**shared, "operator": name, "max_points": budget.llm_calls})
                for name, label in OPERATORS.items()
            ),
        ]

    def _solve(self, task: Task) -> Outcome:
        manner = Manner(
            style=self.style,
            prompt=self.prompt,
            n_best=self.n_best,
            n_last=self.n_last,
            resolution=self.resolution,
            domain=self.domain,
            placebo=self.placebo,
            max_reasks=self.max_reasks,
            warn_share=self.warn_share,
            project=self.repair,
        )
        return run(task, self, Adviser(task, manner))
