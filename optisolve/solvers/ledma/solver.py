"""LEDMA-style optimization: decomposition with a language model as variation operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from optisolve.core.arrays import IntArray
from optisolve.core.budget import Budget
from optisolve.core.controls import PLACEBO, SUBJECT, Arm
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.solver import Outcome, SolverInfo, Task
from optisolve.llm.candidates import Grid
from optisolve.llm.prompts import StyleName, refuse
from optisolve.llm.session import session_of
from optisolve.solvers.ledma.adaptive import HistoryDe, Inner, Screened, Seen
from optisolve.solvers.ledma.operator import LlmVariation, Operation
from optisolve.solvers.ledma.portfolio import Notes, Portfolio
from optisolve.solvers.ledma.prompts import prompt_problems
from optisolve.solvers.ledma.reflect import Reflection
from optisolve.solvers.ledma.shares import LLM, MIXES, Bandit, Chooser, paced, random_share, read_mix, spread
from optisolve.solvers.moead.engine import run
from optisolve.solvers.moead.solvers import DecompositionSolver, MutatingSolver
from optisolve.solvers.moead.variation import De, Gaussian, Sbx, Variation, Wave
from optisolve.solvers.start import Init

__all__ = ["LLM_START", "OPERATORS", "Ledma"]

LLM_START = 0.1
"""Share of the targets that the language model starts with in the adaptive mix, as far as its budget pays for it."""

OPERATORS = {
    "sbx": "SBX and mutation",
    "de": "DE and mutation",
    "linear": "published linear operator",
    "convex": "random convex combination and noise",
    "gaussian": "Gaussian step round the best parent",
    "zeros": "constant answer 0",
    "uniform": "uniform random points",
}
"""What `ledma_control` can put in the language model's place."""

_USUAL_PARENTS = {"schema": 10, "continuation": 5}
"""Parents that a question shows when the options leave it open."""


@dataclass(frozen=True, slots=True)
class BesideDe(MutatingSolver):
    """Base of `Ledma` and its controls: another operator serves some targets, DE the rest; it also is the fallback.

    Args:
        init: As for the rest of the family; ``auto`` unless something else is said, so `Ledma` and its controls begin with
            what is known of the instance. ``uniform`` is the published algorithm's first population.
        spread: Serve no more targets than the budget of calls (a control's ``max_targets``) lasts for when it is spread evenly
            over the run; means something where `mix` is a share.
        de_scale: Factor on the difference of two mates in DE.
        de_crossover: DE's chance per variable to take the new value; None means 1 for one objective and one half for several.
    """

    init: Init = ("auto",)
    spread: bool = False
    de_scale: Annotated[float, Gt(0), Le(2)] = 0.5
    de_crossover: Annotated[float, Ge(0), Le(1)] | None = None

    def _de(self) -> De:
        return De(self.de_scale, self.de_crossover, self._mutation())


@dataclass(frozen=True, slots=True)
class Ledma(BesideDe):
    """Decomposition MOEA whose offspring come from a language model and from classical operators.

    With ``llm=none`` it is the classical operators alone, each by its credit.

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
        mix: Who serves the targets. ``"adaptive"``: the model, DE, and DE, DE with success history and normal noise whose
            children a cheap model looks at first, each by the hypervolume that its offspring gained per cost; the language
            model starts at 10 %. ``"auto"``: the model as often as its
            budget lasts when spread evenly over the run (always when that budget is unlimited), DE the rest.
            ``"llm_only"``: the model, and DE where the budget allows no call. A number, or ``"fixed(0.3)"``: the model's
            share, DE the rest.
        llm_call_cost: What a call costs when credit is computed, in evaluations, beside those of its offspring.
        distill: Fit the white-box operator to the model's answers while the run goes on, and let it take the model's place
            once its credit matches the model's; see `optisolve.solvers.ledma.portfolio.Portfolio`.
        reflect_every: Waves after which one more call asks the model for a note on what became of its offspring; the note is
            quoted in later questions. None asks for no notes. Takes the schema style.
        note_tokens: Most tokens of a note, estimated.
        warn_share: Share of fallbacks above which the report holds a warning.
        placebo: Shuffle the parents against their values in every question: a control that asks the same model as often
            but tells it nothing, see `controls`.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="ledma",
        version="8",
        summary="Decomposition MOEA with a language model among its variation operators, each used by its credit.",
        uses_llm=True,
        needs_llm=False,
        citation="LEDMA-style after Li et al. 2024, arXiv 2410.05062; the letter's constants and prompts were not available",
    )
    style: StyleName = "auto"
    prompt: str | None = None
    n_parents: Annotated[int, Ge(2)] | None = None
    parent_tokens: Annotated[int, Ge(100)] = 3000
    n_offspring: Annotated[int, Ge(1), Le(16)] = 2
    batch_subproblems: Annotated[int, Ge(1), Le(64)] = 1
    max_reasks: Annotated[int, Ge(0), Le(10)] = 1
    mix: str | float = "adaptive"
    llm_call_cost: Annotated[float, Ge(0)] = 1.0
    distill: bool = False
    reflect_every: Annotated[int, Ge(1)] | None = None
    note_tokens: Annotated[int, Ge(20), Le(2000)] = 120
    warn_share: Annotated[float, Ge(0), Le(1)] = 0.2
    placebo: bool = False

    def __post_init__(self) -> None:
        BesideDe.__post_init__(self)
        object.__setattr__(self, "mix", read_mix(self.mix))  # one spelling per mix, so that equal runs have equal options

    def _check(self) -> Iterable[FieldProblem]:
        if read_mix(self.mix) is None:
            yield FieldProblem("mix", self.mix, f"{', '.join(MIXES)}, a share from 0 to 1, or fixed(SHARE)")
        if self.n_parents is not None and self.n_parents > self.n_neighbors:
            yield FieldProblem("n_parents", self.n_parents, f"at most n_neighbors = {self.n_neighbors}")
        yield from self._prompt_problems()

    def _prompt_problems(self, preferred: str = "auto") -> Iterable[FieldProblem]:
        if self.placebo and self.reflect_every is not None:
            yield FieldProblem("reflect_every", self.reflect_every, "null with placebo=true, whose questions must tell nothing")
        yield from prompt_problems(
            self.style, self.prompt, batch=self.batch_subproblems, reflect_every=self.reflect_every, preferred=preferred
        )

    def controls(self, *, budget: Budget, model: str) -> Sequence[Arm]:
        """The same engine, first populations and chosen targets; the arms differ in nothing but who makes the offspring.

        The model serves a fixed share of the targets: `mix` where it is a number, else all of them, and in both cases no
        more than the budget of calls lasts for when it is spread over the run (`spread`). The controls serve as many.
        """
        wrong = list(self._uncontrolled(budget))
        if wrong:
            raise OptionError("The ablation's configuration", wrong)
        style = self.style if self.style != "auto" else "continuation" if model == "local" else "schema"
        parents = self.n_parents or min(_USUAL_PARENTS[style], self.n_neighbors)
        share = self.mix if isinstance(self.mix, float) else 1.0
        subject = {**self.options(), "mix": share, "spread": True, "n_parents": parents, "placebo": False}
        served = None if budget.llm_calls is None else budget.llm_calls * self.batch_subproblems
        engine = {f.name for f in fields(DecompositionSolver)} | {
            "n_offspring",
            "n_parents",
            "de_scale",
            "de_crossover",
            "spread",
        }
        shared = {key: subject[key] for key in subject if key in engine or key.startswith("mutation_")}
        return [
            Arm(SUBJECT, "the language model", self.info.name, subject),
            Arm(PLACEBO, "same model, parents shuffled (placebo)", self.info.name, {**subject, "placebo": True}),
            *(
                Arm(name, label, "ledma_control", {**shared, "operator": name, "mix": share, "max_targets": served})
                for name, label in OPERATORS.items()
            ),
        ]

    def plain_runs(self) -> Mapping[str, Ledma]:
        """Without a language model, whose targets go to the other operators; then the same from random points."""
        mix = "adaptive" if self.mix == "adaptive" else 0.0
        plain = self.with_option(mix=mix, distill=False, placebo=False, reflect_every=None)
        return {"ledma, no model": plain, "ledma, random start": plain.with_option(init=("uniform",))}

    def _uncontrolled(self, budget: Budget) -> Iterable[FieldProblem]:
        if self.mix == 0.0:
            yield FieldProblem("solver.mix", self.mix, "a share of the targets above 0, or a mix with a name")
        if self.distill:
            yield FieldProblem("solver.distill", True, "false: the fitted operator would replace the model in its own arm")
        size = self.population(budget)
        if budget.evaluations is None or budget.evaluations <= size:
            expected = f"more evaluations than the first population has points (solver.pop_size = {size})"
            yield FieldProblem("budget.evaluations", budget.evaluations, expected)

    def _solve(self, task: Task) -> Outcome:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1, user_api="blas"):  # another number of threads rounds differently
            return run(task, self, self._variation(task))

    def _without_model(self) -> Iterable[FieldProblem]:
        """Options that say nothing without a language model."""
        told = "a run without a language model (llm=none)"
        if self.mix == "llm_only" or (isinstance(self.mix, float) and self.mix > 0.0):
            yield FieldProblem("mix", self.mix, f"adaptive, auto or 0 in {told}")
        for name, idle in (("distill", False), ("placebo", False), ("reflect_every", None)):
            if getattr(self, name) != idle:
                yield FieldProblem(name, getattr(self, name), f"{'null' if idle is None else 'false'} in {told}")

    def _variation(self, task: Task) -> Variation:
        if task.llm is None:
            if wrong := list(self._without_model()):
                raise OptionError("solver 'ledma'", wrong)
            return self._portfolio(task, None, self._de(), Notes(Grid(task.instance.space)))
        session = session_of(task)
        refuse(session, "ledma", self._prompt_problems(session.preferred_style))
        de = self._de()
        notes = Notes(Grid(task.instance.space))
        operation = Operation(
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
        )
        every, note_tokens = self.reflect_every, self.note_tokens
        reflection = None if every is None else Reflection(session, seed=task.seed, every=every, note_tokens=note_tokens)
        llm = LlmVariation(session, task.instance, de, operation, seed=task.seed, notes=notes, reflection=reflection)
        return self._portfolio(task, llm, de, notes)

    def _portfolio(self, task: Task, llm: LlmVariation | None, de: De, notes: Notes) -> Variation:
        others: dict[str, Variation] = {"de": de}
        seen: Seen | None = None
        if self.mix == "adaptive":
            seen = Seen(task.instance.space)
            if task.known is not None:
                evaluation = task.known.evaluation
                seen.begin(task.known.X, evaluation.F * task.instance.signs, evaluation.violation)
            learning: dict[str, Inner] = {"screened_de": de, "adaptive_de": HistoryDe(de.mutation), "gaussian": Gaussian()}
            if len(task.instance.objectives) > 1:
                others["sbx"] = Sbx(mutation=de.mutation)
            others |= {name: Screened(operator, seen, name) for name, operator in learning.items()}
        model = 0.0 if llm is None else LLM_START
        start = {name: (1.0 - model) / len(others) for name in others}
        bandit = Bandit(start if llm is None else {LLM: model, **start})
        return Portfolio(
            llm,
            others,
            fallback="de",
            chooser=_nobody if llm is None else self._chooser(task, bandit),
            bandit=bandit,
            meter=task.meter,
            notes=notes,
            call_cost=self.llm_call_cost,
            seen=seen,
            distill=self.distill,
            mix=str(self.mix),
        )

    def _chooser(self, task: Task, bandit: Bandit) -> Chooser:
        if isinstance(self.mix, float):
            calls = task.meter.budget.llm_calls
            served = None if calls is None or not self.spread else calls * self.batch_subproblems
            return random_share(self.mix) if served is None else spread(self.mix, served, task.meter, self.n_offspring)
        if self.mix == "llm_only":
            return random_share(1.0)
        adaptive = bandit if self.mix == "adaptive" else None
        return paced(task.meter, self.n_offspring, self.batch_subproblems, bandit=adaptive)


def _nobody(wave: Wave) -> IntArray:
    """The model's targets where there is none."""
    return wave.targets[:0]
