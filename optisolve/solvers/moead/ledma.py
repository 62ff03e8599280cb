"""LEDMA-style optimization: decomposition with a language model as variation operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import IntArray
from optisolve.core.budget import BudgetMeter
from optisolve.core.errors import FieldProblem, OptionError, SolverError
from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.llm.session import LlmSession
from optisolve.solvers.moead.engine import run
from optisolve.solvers.moead.llm_operator import LlmVariation
from optisolve.solvers.moead.llm_prompts import StyleName, prompt_problems
from optisolve.solvers.moead.llm_reflect import Reflection
from optisolve.solvers.moead.mixture import Chooser, Mixture, random_share
from optisolve.solvers.moead.operators import De, Mutation
from optisolve.solvers.moead.solvers import DecompositionSolver
from optisolve.solvers.moead.variation import Feedback, Proposals, Variation, Wave

__all__ = ["Ledma", "paced"]


@dataclass(frozen=True, slots=True)
class Ledma(DecompositionSolver):
    """Decomposition MOEA whose offspring come from a language model, and from DE where the budget allows no call.

    Args:
        style: Prompt style: ``"schema"`` for chat models, ``"continuation"`` for small ones, ``"auto"`` asks the model.
        prompt: Prompt to use, ``"NAME.vVERSION"`` or ``"NAME"`` for its newest version; the name ends with its style. None
            means the style's own.
        n_parents: Parents l shown per question, the best of the pool, worst to best; None means 10, and 5 in
            continuation style.
        parent_tokens: Most tokens, estimated, of the parents shown per question; the worst are left out, two stay.
        n_offspring: Offspring s asked for per question, all of which are evaluated.
        batch_subproblems: Sub-problems per call, each with its own preference, parents and offspring. Takes the schema
            style: a table that is continued has one order only.
        max_reasks: Further questions after an answer without a usable candidate; then the recorded fallback.
        llm_share: Share of the targets that the model serves; ``"auto"`` spreads the language-model budget evenly over
            the run, and means all targets when that budget is unlimited.
        reflect_every: Waves after which one more call asks the model for a note on what became of its offspring; the note is
            quoted in later questions. None asks for no notes. Takes the schema style.
        note_tokens: Most tokens of a note, estimated.
        warn_share: Share of fallbacks above which the report holds a warning.
        placebo: Shuffle the parents against their values in every question: a control that asks the same model as often
            but tells it nothing, see `optisolve.bench.ablation`.
        de_scale: Factor on the difference of two mates in the other operator, DE, which also is the fallback.
        de_crossover: Its chance per variable to take the new value.
        mutation_eta: Distribution index of its mutation.
        mutation_probability: Its chance per variable; None means 1 / number of variables.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="ledma",
        version="1",
        summary="Decomposition MOEA with a language model as variation operator; DE makes the rest, everything labelled.",
        uses_llm=True,
        citation="LEDMA-style after Li et al. 2024, arXiv 2410.05062; the letter's constants and prompts were not available",
    )
    style: StyleName = "auto"
    prompt: str | None = None
    n_parents: Annotated[int, Ge(2)] | None = None
    parent_tokens: Annotated[int, Ge(100)] = 3000
    n_offspring: Annotated[int, Ge(1), Le(16)] = 2
    batch_subproblems: Annotated[int, Ge(1), Le(64)] = 1
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1
    llm_share: Literal["auto"] | Annotated[float, Ge(0), Le(1)] = "auto"
    reflect_every: Annotated[int, Ge(1)] | None = None
    note_tokens: Annotated[int, Ge(20), Le(2000)] = 120
    warn_share: Annotated[float, Ge(0), Le(1)] = 0.2
    placebo: bool = False
    de_scale: Annotated[float, Gt(0), Le(2)] = 0.5
    de_crossover: Annotated[float, Ge(0), Le(1)] = 1.0
    mutation_eta: Annotated[float, Ge(0)] = 20.0
    mutation_probability: Annotated[float, Ge(0), Le(1)] | None = None

    def _check(self) -> Iterable[FieldProblem]:
        if self.n_parents is not None and self.n_parents > self.n_neighbors:
            yield FieldProblem("n_parents", self.n_parents, f"at most n_neighbors = {self.n_neighbors}")
        yield from self._prompt_problems()

    def _prompt_problems(self, preferred: str = "auto") -> Iterable[FieldProblem]:
        if self.placebo and self.reflect_every is not None:
            yield FieldProblem("reflect_every", self.reflect_every, "null with placebo=true, whose questions must tell nothing")
        yield from prompt_problems(
            self.style, self.prompt, batch=self.batch_subproblems, reflect_every=self.reflect_every, preferred=preferred
        )

    def _solve(self, task: Task) -> Outcome:
        return run(task, self, self._variation(task))

    def _variation(self, task: Task) -> Variation:
        if task.llm is None:
            raise SolverError("ledma asks a language model; run it with llm=auto, local, openai, surrogate or replay.")
        problems = list(self._prompt_problems(task.llm.preferred_style))
        if problems:  # what the options alone could not tell: the model decides the style
            raise OptionError(f"ledma with the model '{task.llm.model}'", problems)
        de = De(self.de_scale, self.de_crossover, Mutation(self.mutation_eta, self.mutation_probability))
        llm = LlmVariation(
            task.llm,
            de,
            seed=task.seed,
            style=self.style,
            prompt=self.prompt,
            n_parents=self.n_parents,
            parent_tokens=self.parent_tokens,
            n_offspring=self.n_offspring,
            batch=self.batch_subproblems,
            max_reasks=self.max_reasks,
            project=self.repair,
            warn_share=self.warn_share,
            placebo=self.placebo,
            reflection=self._reflection(task.llm, task.seed),
        )
        chooser = (
            paced(task.meter, self.pop_size, self.n_offspring, self.batch_subproblems)
            if self.llm_share == "auto"
            else random_share(self.llm_share)
        )
        return _LlmMixture(llm, de, chooser, task.meter)

    def _reflection(self, session: LlmSession, seed: int) -> Reflection | None:
        if self.reflect_every is None:
            return None
        return Reflection(session, seed=seed, every=self.reflect_every, note_tokens=self.note_tokens)


class _LlmMixture(Mixture):
    """The mixture, careful with what was paid for: at the end of a run DE's offspring make room for the model's."""

    def __init__(self, llm: LlmVariation, de: De, chooser: Chooser, meter: BudgetMeter) -> None:
        super().__init__(llm, de, chooser)
        self._llm, self._meter = llm, meter

    def learn(self, feedback: Feedback) -> None:
        """Tell the model's operator what became of its offspring."""
        self._llm.learn(feedback)

    def propose(self, wave: Wave) -> Proposals:
        """Offspring of both operators, as many as may still be evaluated."""
        made = super().propose(wave)
        surplus = made.owner.size - self._meter.remaining_evaluations
        if surplus <= 0 or isinstance(made.source, str):
            return made
        free = [i for i, label in enumerate(made.source) if label == "de"][-surplus:]
        keep = np.setdiff1d(np.arange(made.owner.size), free)
        return Proposals(made.X[keep], made.owner[keep], [made.source[i] for i in keep])

    def report(self) -> Mapping[str, Any]:
        """The language model's figures, and the other operator's under ``secondary``."""
        return {**self.primary.report(), "secondary": dict(self.secondary.report())}


def paced(meter: BudgetMeter, n_first: int, n_offspring: int = 1, batch: int = 1) -> Chooser:
    """A chooser that spends a language-model budget in step with the evaluations.

    After a share t of the run, about a share t of each limited resource (calls, tokens, dollars) is spent. Without any
    limit on them the model serves every target.

    Args:
        meter: The run's meter.
        n_first: Evaluations of the first population, before the first wave.
        n_offspring: Offspring per target; no more targets are served than their offspring can still be evaluated.
        batch: Targets per call.
    """

    def choose(wave: Wave) -> IntArray:
        room = max(1, meter.remaining_evaluations // n_offspring)
        count = min(wave.targets.size, room, batch * _affordable(meter, n_first, wave.targets.size))
        return np.sort(wave.rng.permutation(wave.targets)[:count])

    return choose


def _affordable(meter: BudgetMeter, n_first: int, wave_size: int) -> int:
    """Calls that keep the spending in step when this wave is over."""
    budget = meter.budget
    progress = _progress(meter, n_first, wave_size)
    tokens = meter.tokens_in + meter.tokens_out
    calls = max(meter.llm_calls, 1)
    counts = [2**31]
    for limit, used, cost in (
        (budget.llm_calls, meter.llm_calls, 1.0),
        (budget.llm_tokens, tokens, tokens / calls),
        (budget.usd, meter.usd, meter.usd / calls),
    ):
        if limit is not None:
            left = limit * progress - used
            # Before the first call its cost is unknown: one call will tell.
            counts.append(int(left / cost + 1e-9) if cost > 0 else int(meter.llm_calls == 0) or wave_size)
    return max(0, min(counts))


def _progress(meter: BudgetMeter, n_first: int, wave_size: int) -> float:
    """Share of the run that will be over after this wave, 0 to 1."""
    limit = meter.budget.evaluations
    if limit is not None:
        return min(1.0, max(0.0, meter.evaluations - n_first + wave_size) / max(1, limit - n_first))
    seconds = meter.budget.seconds
    return min(1.0, meter.elapsed_s / seconds) if seconds else 1.0
