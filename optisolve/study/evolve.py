"""Search for a rule of a problem, and an honest answer to what it is worth.

Three sets of instances are drawn independently: programs are scored on the first, the one that is kept is chosen among the best
on the second, and what is told was measured on the third, which nothing has seen. The difference between the gain inside the
loop and the gain on the third set is the shrinkage.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from optisolve.core.arrays import FloatArray
from optisolve.core.budget import Budget
from optisolve.core.documents import Json, write_atomic
from optisolve.core.errors import SolverError, UnknownNameError
from optisolve.core.options import Options
from optisolve.core.problem import FEASIBILITY_TOLERANCE, Instance, Problem
from optisolve.core.status import PointStatus
from optisolve.programs.catalog import ANSWERING, SKELETONS
from optisolve.programs.program import Program
from optisolve.programs.search import Arm, Candidate, Search, SearchOptions
from optisolve.programs.skeleton import Answering, Skeleton
from optisolve.run.solve import solve
from optisolve.solvers.moead.programmed import MoeadRule

__all__ = ["Evolution", "EvolveOptions", "evolve", "skeleton_for"]

_CHOSEN_AMONG = 10
"""Best programs of the loop that the second set of instances decides between."""


@dataclass(frozen=True, slots=True)
class EvolveOptions(Options):
    """Settings of an experiment.

    Args:
        train: Instances on which programs are scored.
        validation: Instances that choose among the best ones.
        test: Instances on which the chosen one is measured.
        hand: The search begins with the rules of people.
        rounds: Steps, or improvements after the construction, of one answer.
        evaluations: Evaluations of one run of the engine, for the skeleton ``variation``.
    """

    train: Annotated[int, Ge(1)] = 48
    validation: Annotated[int, Ge(1)] = 48
    test: Annotated[int, Ge(2)] = 200
    hand: bool = False
    rounds: Annotated[int, Ge(1)] = 100
    evaluations: Annotated[int, Ge(10)] = 300


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """What a search found.

    Attributes:
        problem: Scenario.
        skeleton: Name of the skeleton.
        arm: How programs were made.
        seed: Of the search.
        baseline: Name of the hand rule that gains refer to.
        best: The chosen candidate.
        train_gain: Its mean gain over the baseline inside the loop, percent.
        validation_gain: On the second set.
        test_gain: On the third set.
        test_error: Standard error of that mean.
        hand: Mean gain of every hand rule on the third set.
        front: Best candidate of every size, small to large, each better than all smaller ones.
        trace: Candidates that were the best so far.
        evaluations: Programs that were evaluated.
        seconds: Processor time of the search.
    """

    problem: str
    skeleton: str
    arm: Arm
    seed: int
    baseline: str
    best: Candidate
    train_gain: float
    validation_gain: float
    test_gain: float
    test_error: float
    hand: Mapping[str, float]
    front: Sequence[Candidate]
    trace: Sequence[Candidate]
    evaluations: int
    seconds: float

    @property
    def shrinkage(self) -> float:
        """Gain inside the loop less gain on unseen instances, percentage points."""
        return self.train_gain - self.test_gain

    def document(self) -> dict[str, Json]:
        """All of it, for a file; the same seed gives the same but for the seconds."""
        return {
            "problem": self.problem,
            "skeleton": self.skeleton,
            "by": self.arm,
            "seed": self.seed,
            "baseline": self.baseline,
            **self.best.program.report(),
            "formula": self.best.program.formula,
            "made_by": self.best.made_by,
            "gain_percent": {
                "train": self.train_gain,
                "validation": self.validation_gain,
                "test": self.test_gain,
                "test_standard_error": self.test_error,
                "shrinkage": self.shrinkage,
            },
            "hand_rules_test_gain_percent": dict(self.hand),
            "front": [_told(candidate) for candidate in self.front],
            "trace": [_told(candidate) for candidate in self.trace],
            "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3),
        }

    def write(self, file: Path) -> None:
        """Write the document as JSON."""
        import json

        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, (json.dumps(self.document(), indent=1) + "\n").encode())


def _told(candidate: Candidate) -> dict[str, Json]:
    return {
        "evaluation": candidate.evaluation,
        "gain_percent": candidate.score,
        "nodes": candidate.program.codes.nodes,
        "program": candidate.program.text,
        "made_by": candidate.made_by,
    }


def skeleton_for(problem: Problem, name: str) -> type[Skeleton]:
    """The skeleton of a name that treats a problem.

    Raises:
        UnknownNameError: There is none of that name.
        SolverError: It does not treat the problem, with what it needs.
    """
    if name not in SKELETONS:
        raise UnknownNameError("skeleton", name, SKELETONS)
    instance = problem.instance(0)
    gap = ANSWERING[name].gap(instance) if name in ANSWERING else MoeadRule().skip(instance)
    if gap is not None:
        raise SolverError(f"skeleton={name} does not fit {problem.scenario or problem.name}: {gap}.")
    return SKELETONS[name]


def evolve(
    problem: Problem,
    skeleton: type[Skeleton],
    arm: Arm,
    *,
    evaluations: int,
    seconds: float | None = None,
    seed: int = 0,
    settings: EvolveOptions = EvolveOptions(),
    search: SearchOptions = SearchOptions(),  # noqa: B008
    told: Callable[[int, Candidate], bool] | None = None,
) -> Evolution:
    """Search for a rule, choose it on unseen instances and measure it on others.

    Args:
        problem: Where instances come from.
        skeleton: What the rule is the missing piece of.
        arm: How programs are made.
        evaluations: Programs that are evaluated at most.
        seconds: Processor time of the search; None for no limit.
        seed: Of the search and, with the set's name, of the instances.
        settings: Sizes of the three sets.
        search: Settings of the search.
        told: Called after every evaluation with their number and the best candidate; says True to stop.
    """
    baseline = next(iter(skeleton.hand))
    sets = {
        name: _Yardstick(_valued(skeleton, settings), problem, name, seed, size, skeleton.complete(baseline))
        for name, size in (("train", settings.train), ("validation", settings.validation), ("test", settings.test))
    }
    begun = time.process_time()
    founders = [skeleton.complete(name) for name in skeleton.hand] if settings.hand else []
    engine = Search(
        skeleton.features,
        sets["train"].gain,
        evaluations,
        seed,
        seconds=seconds,
        options=search,
        founders=founders,
        told=told,
    )
    ranked = engine.run(arm)
    took = time.process_time() - begun
    if not ranked:
        raise SolverError(f"no program was evaluated within {evaluations} evaluations and {seconds} s; give the search more.")
    finalists = ranked[:_CHOSEN_AMONG]
    checked = [sets["validation"].gain(candidate.program) for candidate in finalists]
    chosen = int(np.argmax(checked))
    best = finalists[chosen]
    gains = sets["test"].gains(best.program)
    return Evolution(
        problem=problem.scenario or problem.name,
        skeleton=skeleton.name,
        arm=arm,
        seed=seed,
        baseline=baseline,
        best=best,
        train_gain=best.score,
        validation_gain=checked[chosen],
        test_gain=float(gains.mean()),
        test_error=float(gains.std(ddof=1) / np.sqrt(gains.size)),
        hand={name: sets["test"].gain(skeleton.complete(name)) for name in skeleton.hand},
        front=_front(ranked),
        trace=engine.trace,
        evaluations=engine.evaluations,
        seconds=took,
    )


def _front(ranked: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate of every size that beats all smaller ones."""
    found = list[Candidate]()
    for candidate in sorted(ranked, key=lambda c: (c.program.codes.nodes, -c.score, c.program.text)):
        if np.isfinite(candidate.score) and (not found or candidate.score > found[-1].score):
            found.append(candidate)
    return found


def _valued(skeleton: type[Skeleton], settings: EvolveOptions) -> Callable[[Program, Instance], float]:
    """What a program is worth on an instance, larger is better; NaN where it leads to nothing feasible."""

    def of_answer(program: Program, instance: Instance) -> float:
        assert issubclass(skeleton, Answering)
        evaluation = instance.evaluate(skeleton.answer(program, instance, settings.rounds)[None, :])
        feasible = evaluation.max_violation[0] <= FEASIBILITY_TOLERANCE
        return float(-instance.signs[0] * evaluation.F[0, 0]) if feasible else float("nan")

    def of_run(program: Program, instance: Instance) -> float:
        result = solve(instance, MoeadRule(program=program.text), budget=Budget(evaluations=settings.evaluations), seed=0)
        if result.hypervolume is not None:
            return result.hypervolume
        feasible = result.point_status is PointStatus.FEASIBLE
        return float(-instance.signs[0] * result.verification.F[0, 0]) if feasible else float("nan")

    return of_answer if issubclass(skeleton, Answering) else of_run


class _Yardstick:
    """Gains over a hand rule on a set of instances that belongs to a purpose.

    Args:
        valued: What a program is worth on an instance.
        problem: Where instances come from.
        purpose: Name of the set: sets of different names share no instance.
        seed: Of the experiment.
        size: Number of instances.
        baseline: The hand rule.
    """

    def __init__(
        self,
        valued: Callable[[Program, Instance], float],
        problem: Problem,
        purpose: str,
        seed: int,
        size: int,
        baseline: Program,
    ) -> None:
        self._valued = valued
        first = 1_000_000 * (1 + ("train", "validation", "test").index(purpose) + 3 * seed)
        self._instances = [problem.instance(seed=first + i) for i in range(size)]
        self._base = self._values(baseline)
        several = len(self._instances[0].objectives) > 1
        scales = [1e-6 if several else i.objectives[0].gap_scale(b) for i, b in zip(self._instances, self._base, strict=True)]
        self._per = np.maximum(np.abs(self._base), scales) if several else np.array(scales)

    def gains(self, program: Program) -> FloatArray:
        """Percent of the hand rule's value by which a program is better, float64 [n]; -100 where it breaks a constraint.

        Where the objective has no natural zero, percent of its scale.
        """
        gains: FloatArray = 100.0 * (self._values(program) - self._base) / self._per
        return np.where(np.isfinite(gains), gains, -100.0)

    def gain(self, program: Program) -> float:
        """Their mean."""
        return float(self.gains(program).mean())

    def _values(self, program: Program) -> FloatArray:
        return np.array([self._valued(program, instance) for instance in self._instances])
