"""OPRO: a language model proposes whole solutions from the scored history, the simplest use of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from optisolve.core.arrays import FloatArray, IntArray
from optisolve.core.budget import spent_on_the_model
from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import FieldProblem
from optisolve.core.solver import Known, Outcome, SolverInfo, Task, is_start, require_stopping_rule, spent_limit
from optisolve.core.status import Termination
from optisolve.llm.prompts import StyleName, require_style, style_problems
from optisolve.llm.session import session_of
from optisolve.solvers.ledma.operator import LlmVariation, Operation
from optisolve.solvers.moead.scalarize import MIN_WEIGHT, front_nadir, front_width, tchebycheff
from optisolve.solvers.moead.variation import Proposals, Wave
from optisolve.solvers.moead.weights import weight_vectors
from optisolve.solvers.start import StartOptions, starting_points

__all__ = ["Opro"]

_HISTORY = {"schema": 20, "continuation": 10}
"""Solutions shown when the option leaves it open."""
_REFUSED = "refused"
"""Label of what stands in for a call that the budget did not allow; it is not evaluated."""


@dataclass(frozen=True, slots=True)
class Opro(StartOptions):
    """Optimization by prompting: the model sees the best solutions so far, from worst to best, and is asked for better ones.

    Every step sends `calls_per_step` questions about the same history. Nothing else makes points: when the language-model
    budget is spent the run ends, even if evaluations are left. With several objectives each call has a preference of its
    own, drawn in turn from evenly spread weights, and the history is ranked by its Tchebycheff value.

    Args:
        style: Prompt style: ``"schema"`` for chat models, ``"continuation"`` for small ones, ``"auto"`` asks the model.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"``; the name ends with its style. None means the style's own.
        history_size: Solutions shown; None means 20, and 10 in continuation style.
        history_tokens: Most tokens, estimated, of the solutions shown; the worst are left out, two stay.
        n_initial: Points of `init` evaluated first; those that the run has paid for already count.
        calls_per_step: Calls with the same history; all are in flight together.
        n_offspring: Solutions asked for per call, all of which are evaluated.
        n_preferences: Weight vectors that calls take turns with; several objectives only.
        max_reasks: Further questions after an answer without a usable solution; then one uniform random point, recorded
            as fallback.
        warn_share: Share of fallbacks above which the report holds a warning.
        repair: Project points with `Instance.project`; otherwise they are only clipped to the bounds.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="opro",
        version="2",
        summary="A language model proposes whole solutions from the scored history: the simplest baseline with a model.",
        uses_llm=True,
        citation="Yang et al. 2023, Large Language Models as Optimizers, arXiv 2309.03409",
    )
    style: StyleName = "auto"
    prompt: str | None = None
    history_size: Annotated[int, Ge(2)] | None = None
    history_tokens: Annotated[int, Ge(100)] = 3000
    n_initial: Annotated[int, Ge(2)] = 20
    calls_per_step: Annotated[int, Ge(1), Le(64)] = 8
    n_offspring: Annotated[int, Ge(1), Le(16)] = 1
    n_preferences: Annotated[int, Ge(1)] = 11
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1
    warn_share: Annotated[float, Ge(0), Le(1)] = 0.2
    repair: bool = True

    def _check(self) -> Iterable[FieldProblem]:
        yield from style_problems(self.style, self.prompt)

    def _solve(self, task: Task) -> Outcome:
        session_of(task)
        require_stopping_rule(task)
        search = _Search(task, self, self._operator(task))
        task.reporter = search.report
        search.initialize()
        while task.meter.remaining_evaluations > 0 and search.step():
            pass
        limit = spent_limit(task) if task.meter.remaining_evaluations <= 0 else spent_on_the_model(task.meter)
        return task.outcome(Termination.LIMIT, limit, report=search.report())

    def _operator(self, task: Task) -> LlmVariation:
        session = session_of(task)
        name = require_style(session, self.info.name, self.style, self.prompt)
        operation = Operation(
            style=self.style,
            prompt=self.prompt or f"opro_{name}",
            n_parents=self.history_size or _HISTORY[name],
            parent_tokens=self.history_tokens,
            n_offspring=self.n_offspring,
            max_reasks=self.max_reasks,
            project=self.repair,
            warn_share=self.warn_share,
        )
        return LlmVariation(session, task.instance, _Uniform(), operation, seed=task.seed)


class _Search:
    """One run: everything evaluated so far, and the steps that add to it."""

    def __init__(self, task: Task, options: Opro, operator: LlmVariation) -> None:
        self._task, self._options, self._operator = task, options, operator
        space, m = task.instance.space, len(task.instance.objectives)
        self._X, self._F, self._violation = np.empty((0, space.dim)), np.empty((0, m)), np.empty(0)
        self._preferences = weight_vectors(m, options.n_preferences if m > 1 else 1)  # [p, m]
        self._turn = np.empty(0, dtype=np.int64)  # preferences not yet taken in this round
        self._order = task.rng(purpose="preferences")
        self._steps = 0
        self._offspring: Counter[str] = Counter()

    def initialize(self) -> None:
        """Evaluate the warm start, all of it, and as many other points as are missing."""
        task, n = self._task, max(self._options.n_initial, self._task.start.shape[0])
        start = starting_points(task, self._options, n)
        if start.known is not None:
            self._remember(start.known)
        if start.source:
            self._evaluate(start.X, start.source)

    def step(self) -> bool:
        """Ask about the history and evaluate what comes; False when the budget allowed no call at all."""
        made = self._operator.propose(self._wave())
        labels = made.labels
        kept = [i for i, label in enumerate(labels) if label != _REFUSED]
        self._steps += bool(kept)
        if kept:
            self._evaluate(made.X[kept], [labels[i] for i in kept])
        return bool(kept)

    def report(self) -> dict[str, Json]:
        """Deterministic figures of the run so far, JSON-compatible."""
        offspring = dict(sorted(self._offspring.items()))
        return {"steps": self._steps, "offspring": offspring, "operator": self._operator.report()}

    def _evaluate(self, X: FloatArray, source: list[str]) -> None:
        task, left = self._task, self._task.meter.remaining_evaluations
        X, source = X[:left], source[:left]
        X = task.instance.project(X) if self._options.repair else task.instance.space.clip(X)
        evaluation = task.evaluate(X, source=source)
        self._offspring.update(label for label in source if not is_start(label))
        self._remember(Known(X, evaluation))

    def _remember(self, points: Known) -> None:
        values = points.evaluation
        self._X = np.concatenate([self._X, points.X])
        self._F = np.concatenate([self._F, values.F * self._task.instance.signs])
        self._violation = np.concatenate([self._violation, values.violation])

    def _wave(self) -> Wave:
        """The history as the operator wants it: one target per call, whose mates are the best solutions for it."""
        task, options = self._task, self._options
        calls = min(options.calls_per_step, max(1, task.meter.remaining_evaluations // options.n_offspring))
        weights = self._preferences[self._next_preferences(calls)]  # [c, m]
        feasible = self._violation <= 0.0
        ideal = (self._F[feasible] if feasible.any() else self._F).min(axis=0)
        nadir = front_nadir(self._F, self._violation)
        f_hat = (self._F - ideal) / front_width(self._F, ideal, nadir)  # [n, m]
        values = tchebycheff(f_hat[None, :, :], np.maximum(weights, MIN_WEIGHT)[:, None, :])  # [c, n]
        violation = np.broadcast_to(self._violation, values.shape)
        best = np.lexsort((values, violation), axis=1)[:, : options.history_size or max(_HISTORY.values())]  # [c, k]
        return Wave(
            index=self._steps,
            targets=np.arange(calls),
            mates=best,
            X=self._X,
            F=self._F,
            violation=self._violation,
            weights=weights,
            ideal=ideal,
            nadir=nadir,
            values=np.take_along_axis(values, best, axis=1),
            rng=task.rng(step=self._steps, purpose="operator"),
            instance=task.instance,
        )

    def _next_preferences(self, count: int) -> IntArray:
        """Rows of the preferences for the next calls; each is taken once per round, in an order of its own."""
        while self._turn.size < count:
            self._turn = np.concatenate([self._turn, self._order.permutation(len(self._preferences))])
        taken, self._turn = self._turn[:count], self._turn[count:]
        return taken


class _Uniform:
    """One random point per target."""

    def propose(self, wave: Wave) -> Proposals:
        """Uniform samples of the space, under a label that says that no model made them."""
        return Proposals(wave.instance.space.sample(wave.rng, wave.targets.size), wave.targets, _REFUSED)

    def report(self) -> JsonObject:
        """Nothing to report."""
        return {}
