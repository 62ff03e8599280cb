"""Was the language model needed? A controlled experiment: one engine, one chooser, one budget, many operators.

Every arm solves the same instances from the same first populations with the same number of evaluations; the arms differ
in nothing but who makes the offspring of the chosen targets. See `optisolve.study.ablation.verdict` for the rules by
which the question is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, nearest
from optisolve.core.problem import Instance, Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.solver import Solver
from optisolve.llm.config import AutoLlm, LlmConfig
from optisolve.run.execution import Progress
from optisolve.run.schema import Record
from optisolve.solvers.ledma.controls import LedmaControl
from optisolve.solvers.ledma.solver import Ledma
from optisolve.study.ablation.runs import Asked, finished_run, perform

__all__ = [
    "ARMS",
    "LLM",
    "PLACEBO",
    "Ablation",
    "Arm",
    "Cell",
    "Plan",
    "finished_cells",
    "make_plan",
    "planned_share",
    "run_plan",
]

LLM, PLACEBO = "llm", "placebo"

ARMS: Mapping[str, str] = {
    LLM: "the language model",
    PLACEBO: "same model, parents shuffled (placebo)",
    "sbx": "SBX and mutation",
    "de": "DE and mutation",
    "linear": "published linear operator",
    "convex": "random convex combination and noise",
    "gaussian": "Gaussian step round the best parent",
    "zeros": "constant answer 0",
    "uniform": "uniform random points",
}
"""Every arm and what proposes its offspring; the first two ask the language model."""

_SURROGATE_LABELS = {LLM: "surrogate, no language model", PLACEBO: "surrogate, parents shuffled (placebo)"}

_SEEDS_PER_INSTANCE = 1000
"""Run seeds are instance * 1000 + seed, so no two pairs share their random streams."""

_SCHEMA_PARENTS, _CONTINUATION_PARENTS = 10, 5
"""Parents that `Ledma` shows by itself in its two prompt styles."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One competitor.

    Args:
        name: Short name, a key of `ARMS` for the built-in ones.
        label: What proposes its offspring, for tables.
        solver: Who runs.
        asks_llm: It asks the language model.
    """

    name: str
    label: str
    solver: Solver
    asks_llm: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of the experiment.

    Attributes:
        arm: Who runs.
        instance: Instance seed.
        seed: Number of the repetition on this instance.
    """

    arm: Arm
    instance: int
    seed: int

    @property
    def run_seed(self) -> int:
        """The run's own seed, the same for all arms of a pair."""
        return self.instance * _SEEDS_PER_INSTANCE + self.seed

    @property
    def key(self) -> tuple[str, int, int]:
        """Arm, instance and repetition."""
        return (self.arm.name, self.instance, self.seed)


@dataclass(frozen=True, slots=True)
class Plan:
    """The experiment before it starts.

    Attributes:
        problem: What is solved.
        arms: The competitors; the first one is the subject.
        instances: Number of instances, seeds 0, 1, ...
        seeds: Repetitions per instance.
        budget: Limits of every run; those on the language model bind its arms only.
        share: Share of the targets that the arms' operators serve; DE serves the rest.
        llm: The language model; None when no arm asks one.
        notice: Which stand-in will be used and why, or "".
    """

    problem: Problem
    arms: tuple[Arm, ...]
    instances: int
    seeds: int
    budget: Budget
    share: float
    llm: LlmConfig | None
    notice: str = ""

    @property
    def cells(self) -> Iterator[Cell]:
        """All runs, pair by pair, so that what is there when it is cut short can be compared."""
        for instance, seed in self.pairs:
            for arm in self.arms:
                yield Cell(arm, instance, seed)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Instance and repetition of every pair, one repetition of all instances after the other."""
        return [(instance, seed) for seed in range(self.seeds) for instance in range(self.instances)]

    @property
    def surrogate(self) -> bool:
        """True when a stand-in answers in the language model's place."""
        return self.llm is not None and self.llm.kind == "surrogate"

    @property
    def single_objective(self) -> bool:
        """True when gaps are compared, not hypervolumes."""
        return len(self.problem.instance(0).objectives) == 1


@dataclass(slots=True)
class Ablation:
    """The experiment as far as it came.

    Attributes:
        plan: What was to be done.
        instances: The instances by seed.
        references: What gaps and IGD+ refer to, by instance seed; None where the problem has none.
        records: Records of the finished runs by `Cell.key`.
        folders: Their folders.
        reused: Runs that were there before.
        stopped: Why it ended early, "" when it is complete.
    """

    plan: Plan
    instances: dict[int, Instance]
    references: dict[int, Reference | None]
    records: dict[tuple[str, int, int], Record] = field(default_factory=dict)
    folders: dict[tuple[str, int, int], Path] = field(default_factory=dict)
    reused: int = 0
    stopped: str = ""

    @property
    def complete_pairs(self) -> list[tuple[int, int]]:
        """Pairs of which every arm is there."""
        return [p for p in self.plan.pairs if all((arm.name, *p) in self.records for arm in self.plan.arms)]

    @property
    def partial(self) -> bool:
        """True when a run is missing."""
        return len(self.complete_pairs) < len(self.plan.pairs)


def make_plan(
    problem: Problem,
    solver: Ledma,
    *,
    arms: Sequence[str] = tuple(ARMS),
    instances: int = 3,
    seeds: int = 3,
    budget: Budget,
    mix: float = 1.0,
    llm: LlmConfig | None = None,
) -> Plan:
    """Give `Ledma` and its controls one engine, one chooser and one budget.

    Args:
        problem: What is solved.
        solver: The subject; its engine settings hold for all arms.
        arms: Keys of `ARMS`; the language model always takes part.
        instances: Number of instances.
        seeds: Repetitions per instance.
        budget: Limits of every run; evaluations are required, seconds are refused.
        mix: Share of the targets that the arms' operators serve.
        llm: The language model; None means `AutoLlm`.

    Raises:
        OptionError: Bad arms, or a budget that does not fit; all of them listed.
    """
    found = [*_check_arms(arms, solver), *_check_mix(solver), *_check_budget(budget, solver)]
    if not 0.0 < mix <= 1.0:
        found.append(FieldProblem("mix", mix, "a share of the targets, above 0 and at most 1"))
    if found:
        raise OptionError("The ablation's configuration", found)
    config, notice = llm or AutoLlm(), ""
    if isinstance(config, AutoLlm):
        config, notice = config.resolve()
    share = planned_share(budget, solver, mix)
    subject = solver.with_option(**_subject_options(solver, config, share))
    names = [LLM, *(name for name in ARMS if name in arms and name != LLM)]
    labels = {**ARMS, **_SURROGATE_LABELS} if config.kind == "surrogate" else ARMS
    served = None if budget.llm_calls is None else budget.llm_calls * solver.batch_subproblems
    made = tuple(_arm(name, labels[name], subject, share, served) for name in names)
    return Plan(problem, made, instances, seeds, budget, share, config, notice)


def finished_cells(plan: Plan, out: Path) -> dict[tuple[str, int, int], Record]:
    """Records of the runs that are there already, by `Cell.key`."""
    instances = {seed: plan.problem.instance(seed) for seed in range(plan.instances)}
    found = {cell.key: finished_run(_asked(plan, cell, instances[cell.instance], out)) for cell in plan.cells}
    return {key: run[0] for key, run in found.items() if run is not None}


def planned_share(budget: Budget, solver: Ledma, mix: float) -> float:
    """Share of the targets that makes the budget of calls last for the whole run, at most `mix`.

    With share p a wave of n targets costs p n / b calls, b targets per call, and brings n (p s + 1 - p) offspring, s per
    served target; so c calls on E offspring mean p = b c / (E - b c (s - 1)).
    """
    assert budget.evaluations is not None
    if budget.llm_calls is None:
        return mix
    offspring, served = budget.evaluations - solver.pop_size, budget.llm_calls * solver.batch_subproblems
    if served * solver.n_offspring >= offspring:
        return mix
    return min(mix, served / (offspring - served * (solver.n_offspring - 1)))


def run_plan(
    plan: Plan,
    out: Path,
    *,
    on_cell: Callable[[Cell, bool], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Ablation:
    """Perform what is not there yet; Ctrl-C and errors keep what is finished.

    Args:
        plan: The experiment.
        out: Its folder; records lie below ``runs``.
        on_cell: Called before every run that is performed, and with True after every run, also one found again.
        on_progress: State of the current run, a few times a second.

    Raises:
        OptisolveError: Nothing could be run at all.
    """
    instances = {seed: plan.problem.instance(seed) for seed in range(plan.instances)}
    references = {seed: plan.problem.reference(case, Effort.QUICK) for seed, case in instances.items()}
    ablation = Ablation(plan, instances, references)
    try:
        for cell in plan.cells:
            _one_cell(ablation, cell, out, on_cell, on_progress)
    except KeyboardInterrupt:
        ablation.stopped = "stopped by the user"
    except OptisolveError as error:
        if not ablation.records:
            raise
        ablation.stopped = str(error)
    return ablation


def _one_cell(
    ablation: Ablation,
    cell: Cell,
    out: Path,
    on_cell: Callable[[Cell, bool], None] | None,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    asked = _asked(ablation.plan, cell, ablation.instances[cell.instance], out)
    found = finished_run(asked)
    if found is None:
        if on_cell is not None:
            on_cell(cell, False)
        found = perform(asked, reference=ablation.references[cell.instance], on_progress=on_progress)
    else:
        ablation.reused += 1
    ablation.records[cell.key], ablation.folders[cell.key] = found
    if on_cell is not None:
        on_cell(cell, True)


def _asked(plan: Plan, cell: Cell, instance: Instance, out: Path) -> Asked:
    return Asked(
        folder=out / "runs" / f"i{cell.instance}-s{cell.seed}",
        name=cell.arm.name,
        instance=instance,
        solver=cell.arm.solver,
        seed=cell.run_seed,
        budget=_budget_of(cell.arm, plan.budget),
        llm=plan.llm if cell.arm.asks_llm else None,
    )


def _budget_of(arm: Arm, budget: Budget) -> Budget:
    """Limits on the language model would only blur the settings by which a control's run is found again."""
    return budget if arm.asks_llm else Budget(evaluations=budget.evaluations)


def _arm(name: str, label: str, subject: Ledma, share: float, served: int | None) -> Arm:
    if name == LLM:
        return Arm(name, label, subject, asks_llm=True)
    if name == PLACEBO:
        return Arm(name, label, subject.with_option(placebo=True), asks_llm=True)
    own = {"operator": name, "mix": share, "max_targets": served}
    shared = {f.name for f in fields(LedmaControl)} - set(own)
    engine = {key: value for key, value in subject.options().items() if key in shared}
    return Arm(name, label, LedmaControl.from_mapping({**engine, **own}))


def _subject_options(solver: Ledma, config: LlmConfig, share: float) -> dict[str, Any]:
    style = solver.style
    if style == "auto":
        style = "continuation" if config.kind == "local" else "schema"
    usual = _CONTINUATION_PARENTS if style == "continuation" else _SCHEMA_PARENTS
    parents = solver.n_parents or min(usual, solver.n_neighbors)
    return {"mix": share, "n_parents": parents, "placebo": False}


def _check_arms(arms: Sequence[str], solver: Ledma) -> Iterator[FieldProblem]:
    if PLACEBO in arms and solver.reflect_every is not None:
        expected = (
            "other arms: with solver.reflect_every the model's notes would tell a placebo what its shuffled examples hide"
        )
        yield FieldProblem("arms", PLACEBO, expected)
    for name in arms:
        if name not in ARMS:
            guess = nearest(name, list(ARMS))
            hint = f"; did you mean '{guess}'?" if guess else ""
            yield FieldProblem("arms", name, f"one of {', '.join(ARMS)}{hint}")
    if not set(arms) - {LLM}:
        yield FieldProblem("arms", ", ".join(arms), "at least one arm beside llm to compare with")


def _check_mix(solver: Ledma) -> Iterator[FieldProblem]:
    if isinstance(solver.mix, float):  # a mix with a name, the default among them, gives way to the ablation's share
        expected = "nothing here, and mix=SHARE beside it: all arms serve the same targets, whatever their operators gain"
        yield FieldProblem("solver.mix", solver.mix, expected)
    if solver.distill:
        yield FieldProblem("solver.distill", True, "false: the fitted operator would replace the model in its own arm")


def _check_budget(budget: Budget, solver: Ledma) -> Iterator[FieldProblem]:
    if budget.seconds is not None:
        expected = "no limit on seconds: the arms are compared at equal evaluations"
        yield FieldProblem("budget.seconds", budget.seconds, expected)
    if budget.evaluations is None or budget.evaluations <= solver.pop_size:
        expected = f"more evaluations than the first population has points (solver.pop_size = {solver.pop_size})"
        yield FieldProblem("budget.evaluations", budget.evaluations, expected)
    if budget.llm_calls is not None and budget.llm_calls < 1:
        yield FieldProblem("budget.llm_calls", budget.llm_calls, "at least one call per run, or none given for all targets")
