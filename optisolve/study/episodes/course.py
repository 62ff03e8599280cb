"""The steps of an episode with their references, and arms that solve them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from optisolve.core.budget import Budget
from optisolve.core.episode import Step, episode_steps, motion_of
from optisolve.core.errors import FieldProblem, OptionError, SolverError
from optisolve.core.motion import Motion
from optisolve.core.problem import Problem
from optisolve.core.reference import Effort, Reference
from optisolve.core.seeds import derive
from optisolve.core.solver import Solver
from optisolve.core.status import Termination
from optisolve.core.workers import Workers
from optisolve.registry import make_solver
from optisolve.run.execution import Callback
from optisolve.run.solve import DEFAULT_BUDGET, Result, solve, solver_of
from optisolve.study.episodes.memory import Memory, Policy, room
from optisolve.study.episodes.scores import EpisodeScores, score_steps
from optisolve.study.loss import loss_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ORACLE", "Arm", "Course", "EpisodeRun", "arms_of", "episode", "run_arm", "step_seed"]

ORACLE = 20
"""How many times the evaluations of a step the oracle has."""


@dataclass(frozen=True, eq=False, slots=True)
class Course:
    """An episode: its steps and what each is measured to.

    Attributes:
        problem: Family and scenario.
        motion: How instances move.
        seed: Of the episode.
        steps: In order.
        references: One per step.
    """

    problem: Problem
    motion: Motion
    seed: int
    steps: tuple[Step, ...]
    references: tuple[Reference | None, ...]

    @classmethod
    def of(
        cls,
        problem: Problem,
        n_steps: int,
        *,
        motion: Mapping[str, object] | None = None,
        seed: int = 0,
        effort: Effort | None = Effort.QUICK,
        on_step: Callable[[int], None] | None = None,
    ) -> Course:
        """Make all instances of an episode, and their references.

        Args:
            problem: Family and scenario.
            n_steps: How many steps.
            motion: ``kind`` and settings, see `optisolve.core.motion`; None takes the family's usual motion.
            seed: Draws the first instance and all that happens to it.
            effort: Work on every reference; None for none, then there are no losses.
            on_step: Told after every reference how many there are.

        Raises:
            OptionError: The family has no episodes or not of this kind, or there are no steps.
        """
        moving = motion_of(problem, motion or {})
        steps = tuple(episode_steps(problem, moving, seed, n_steps))
        references = list[Reference | None]()
        for step in steps:
            references.append(None if effort is None else step.problem.reference(step.instance, effort))
            if on_step is not None:
                on_step(len(references))
        return cls(problem, moving, seed, steps, tuple(references))


@dataclass(frozen=True, slots=True)
class Arm:
    """One way through an episode.

    Attributes:
        name: For tables.
        solver: Who solves the steps.
        memory: What it is handed.
        budget: Of every step.
    """

    name: str
    solver: Solver
    memory: Policy
    budget: Budget


@dataclass(frozen=True, eq=False, slots=True)
class EpisodeRun:
    """An arm that has gone through an episode.

    Attributes:
        course: The episode.
        arm: The arm.
        seed: Of its runs.
        results: One per step; fewer where it was interrupted.
    """

    course: Course
    arm: Arm
    seed: int
    results: tuple[Result, ...]
    _scores: list[EpisodeScores] = field(default_factory=list)

    def __repr__(self) -> str:
        n, name = len(self.results), self.course.problem.scenario or self.course.problem.name
        return f"<EpisodeRun {self.arm.name} on {name}, {n} steps>"

    @property
    def steps(self) -> pd.DataFrame:
        """A row per step: number, time, s, what happened before it, loss (NaN without a reference), evaluations, best score."""
        import pandas as pd

        rows = [
            {
                "step": step.number,
                "time_s": step.time_s,
                "events": "; ".join(step.events),
                "loss": loss_of(result.record).value,
                "evaluations": result.record.used.evaluations,
                "hypervolume": result.hypervolume,
                "objective": result.record.scores.objective,
            }
            for step, result in zip(self.course.steps, self.results, strict=False)
        ]
        return pd.DataFrame(rows)

    @property
    def complete(self) -> bool:
        """Every step has a result."""
        return len(self.results) == len(self.course.steps)

    @property
    def scores(self) -> EpisodeScores:
        """Scores of the steps that there are.

        Raises:
            RecordError: There are no references.
        """
        if not self._scores:
            steps = self.course.steps[: len(self.results)]
            self._scores.append(score_steps([r.record for r in self.results], [step.events for step in steps]))
        return self._scores[0]


def episode(
    problem: Problem,
    solver: str | Solver = "auto",
    *,
    steps: int,
    memory: Policy = "warm",
    motion: Mapping[str, object] | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    instance: int = 0,
    llm: Any = "auto",
    reference: Effort | str | None = Effort.QUICK,
    workers: int | None = None,
    **options: Any,
) -> EpisodeRun:
    """Solve an instance that moves, step by step.

    Args:
        problem: Family and scenario, one whose instances can move.
        solver: A preset name or a solver object; ``"auto"`` takes the default for the first step.
        steps: How many.
        memory: What a step is handed of earlier ones, see `optisolve.study.episodes.memory.Policy`.
        motion: ``kind`` and settings, see `optisolve.core.motion`; None takes the family's usual motion.
        budget: Of every step; default 5,000 evaluations.
        seed: Of the runs.
        instance: Seed of the episode: of the first instance and all that happens to it.
        llm: As for `optisolve.solve`.
        reference: Work on the reference of every step; None for none, then there are no losses.
        workers: Evaluations at a time; the result is the same for any number.
        **options: Options that replace the preset's.

    Returns:
        The run, with a result per step and scores.

    Raises:
        OptisolveError: The family's instances stand still, bad settings, or a memory that the solver would not read.
    """
    effort = None if reference is None else Effort(reference)
    course = Course.of(problem, steps, motion=motion, seed=instance, effort=effort)
    method = solver_of(solver, options, course.steps[0].instance, llm)
    limits = DEFAULT_BUDGET if budget is None else budget
    arm = Arm(f"{method.info.name}, {memory}", method, memory, limits)
    return run_arm(course, arm, seed=seed, llm=llm, workers=Workers(workers))


def arms_of(solver: Solver, memory: Policy, budget: Budget, *, controls: bool) -> tuple[Arm, ...]:
    """The arm that was asked for and, with controls, those that it is printed beside.

    Args:
        solver: Who solves.
        memory: Its memory.
        budget: Of every step.
        controls: Also the same solver cold, the first answer kept, an oracle with `ORACLE` times the evaluations; and for notes
            the same start without notes and with notes that tell nothing.

    Raises:
        OptionError: No limit on evaluations that an oracle could have more of.
    """
    first = Arm(f"{solver.info.name}, {memory}", solver, memory, budget)
    if not controls:
        return (first,)
    if budget.evaluations is None:
        expected = "a number, of which the oracle of controls=true has more"
        raise OptionError("The episode", [FieldProblem("budget.evaluations", None, expected)])
    more = replace(budget, evaluations=ORACLE * budget.evaluations)
    others: list[Policy] = ["warm", "placebo"] if memory == "notes" else []
    names: Mapping[Policy, str] = {"none": "cold start every step", "keep": "keep the first answer"}
    arms = [first, *(Arm(f"{solver.info.name}, {policy}", solver, policy, budget) for policy in others)]
    plain: tuple[Policy, ...] = ("none", "keep")
    arms += [Arm(names[policy], solver, policy, budget) for policy in plain if policy != memory]
    return (*arms, Arm(f"oracle: {ORACLE} x the evaluations", solver, "none", more))


def run_arm(
    course: Course,
    arm: Arm,
    *,
    seed: int = 0,
    llm: Any = "auto",
    workers: Workers | None = None,
    callback: Callback | None = None,
    on_step: Callable[[int], None] | None = None,
    scratch: Callable[[int], Any] | None = None,
) -> EpisodeRun:
    """Go through an episode: every step is an ordinary run, with what the memory hands it.

    Args:
        course: The episode.
        arm: Solver, memory, budget.
        seed: Of all runs; every step has its own, see `step_seed`.
        llm: As for `optisolve.solve`.
        workers: As for `optisolve.solve`; the result is the same for any number.
        callback: As for `optisolve.solve`, for every step.
        on_step: Told after every step how many are done.
        scratch: Folder for the transcript of a step, by its number.

    Raises:
        OptisolveError: The solver cannot treat an instance, or has no use for the memory.
    """
    require_use(arm, course.steps[0])
    memory, keep, results = Memory(arm.memory, room(arm.budget), seed), make_solver("keep"), list[Result]()
    for step, reference in zip(course.steps, course.references, strict=True):
        start = memory.start(step)
        kept = arm.memory == "keep" and start is not None
        result = solve(
            step.instance,
            keep if kept else arm.solver,
            budget=replace(arm.budget, evaluations=len(start)) if kept and start is not None else arm.budget,
            seed=step_seed(seed, step.number),
            llm=llm,
            reference=reference,
            warm_start=start,
            callback=callback,
            workers=workers,
            notes=() if kept else memory.notes(step),
            scratch=None if scratch is None or kept else scratch(step.number),
        )
        results.append(result)
        if on_step is not None:
            on_step(len(results))
        if result.termination in (Termination.INTERRUPTED, Termination.STOPPED):
            break
        found = result.verification
        memory.learn(step, found.X[found.feasible], found.F[found.feasible])
    return EpisodeRun(course, arm, seed, tuple(results))


def step_seed(seed: int, number: int) -> int:
    """Seed of the run of a step: that of the whole for step 0, its own for all others."""
    return seed if number == 0 else int(derive(seed, purpose="episode step", step=number).generate_state(1)[0])


def require_use(arm: Arm, step: Step) -> None:
    """Refuse a memory that a solver would not read.

    Raises:
        OptionError: The solver and what to do.
        SolverError: The solver cannot treat the first instance.
    """
    name = arm.solver.info.name
    if reason := arm.solver.skip(step.instance):
        raise SolverError(f"{name} cannot solve {step.instance.origin.scenario}: {reason}.")
    wants_points, wants_words = arm.memory in ("warm", "retrieve", "notes", "placebo"), arm.memory in ("notes", "placebo")
    if wants_points and not arm.solver.takes_start(step.instance):
        expected = f"none or keep: {name} does not begin with points that it is given here (try weight_search, wmmse, moead_de)"
        raise OptionError("The episode", [FieldProblem("memory", arm.memory, expected)])
    if wants_words and not arm.solver.info.uses_llm:
        expected = f"warm or retrieve: {name} asks no language model that could read notes (try solver=hybrid)"
        raise OptionError("The episode", [FieldProblem("memory", arm.memory, expected)])
