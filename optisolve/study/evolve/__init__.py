"""Search for a rule of a problem, and an honest answer to what it is worth.

Three sets of instances are drawn independently: programs are scored on the first, the one that is kept is chosen among the best
on the second, and what is told was measured on the third, which nothing has seen. The difference between the gain inside the
loop and the gain on the third set is the shrinkage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from optisolve.core.documents import Json, canonical, plain, write_atomic
from optisolve.core.errors import SolverError, UnknownNameError
from optisolve.core.options import Options
from optisolve.core.problem import Problem
from optisolve.llm.dialogue import DialogueReport
from optisolve.llm.session import LlmSession, SessionReport
from optisolve.programs.catalog import ANSWERING, SKELETONS
from optisolve.programs.program import Program
from optisolve.programs.search import ARMS, Arm, Candidate, Search, SearchOptions
from optisolve.programs.skeleton import Skeleton
from optisolve.solvers.moead.programmed import MoeadRule
from optisolve.study.evolve.journal import Journal
from optisolve.study.evolve.writer import AskOptions, ModelWriter
from optisolve.study.evolve.yardstick import Yardstick, valued

__all__ = ["ASKING", "Evolution", "EvolveOptions", "evolve", "skeleton_for"]

ASKING: frozenset[Arm] = frozenset(arm for arm in ARMS if arm not in ("gp", "random"))
"""Arms that ask a language model."""

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
        seconds: Processor time of the search until its last program, a local model's, and waiting for any other.
        fates: What became of the texts that a language model wrote.
        tokens: Tokens of the language model when each candidate of the trace was evaluated.
        dialogue: What was asked; None where no model wrote.
        llm: Which model was asked; None where none was.
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
    fates: Mapping[str, int]
    tokens: Sequence[int]
    dialogue: DialogueReport | None = None
    llm: SessionReport | None = None

    @property
    def shrinkage(self) -> float:
        """Gain inside the loop less gain on unseen instances, percentage points."""
        return self.train_gain - self.test_gain

    def document(self) -> dict[str, Json]:
        """All of it, for a file; the same seed gives the same but for the seconds, and so does a replay of the conversation."""
        found = self._found()
        return {
            **found,
            "result_sha256": hashlib.sha256(canonical(found)).hexdigest(),
            "seconds": round(self.seconds, 3),
            "llm": plain(self.llm),
        }

    def _found(self) -> dict[str, Json]:
        """What is the same however often and wherever the search is repeated."""
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
            "trace": [{**_told(c), "tokens": tokens} for c, tokens in zip(self.trace, self.tokens, strict=True)],
            "evaluations": self.evaluations,
            "fates": dict(self.fates),
            "dialogue": None if self.dialogue is None else self.dialogue.plain(),
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
    session: LlmSession | None = None,
    ask: AskOptions = AskOptions(),  # noqa: B008
    journal: Journal | None = None,
) -> Evolution:
    """Search for a rule, choose it on unseen instances and measure it on others.

    Args:
        problem: Where instances come from.
        skeleton: What the rule is the missing piece of.
        arm: How programs are made.
        evaluations: Programs that are evaluated at most.
        seconds: Processor time of the search and of a model on this machine, and waiting for one elsewhere; None for no limit.
        seed: Of the search and, with the set's name, of the instances.
        settings: Sizes of the three sets.
        search: Settings of the search.
        told: Called after every evaluation with their number and the best candidate; says True to stop.
        session: The language model, for arms that ask one.
        ask: How it is asked.
        journal: Where candidates are noted; one that holds some already is gone on with.
    """
    journal = Journal() if journal is None else journal
    writer = None
    if arm in ASKING:
        if session is None:
            raise SolverError(f"by={arm} asks a language model; give one: llm=local, openai or replay.")
        writer = ModelWriter(session, problem, skeleton, arm, seed=seed, search=search, options=ask, journal=journal)
    score = valued(skeleton, settings.rounds, settings.evaluations)
    baseline = next(iter(skeleton.hand))
    sets = {
        name: Yardstick(score, problem, name, seed, size, skeleton.complete(baseline))
        for name, size in (("train", settings.train), ("validation", settings.validation), ("test", settings.test))
    }
    tokens = dict[int, int]()
    journal.begin()

    def scored(program: Program) -> float:
        known = journal.score(program.sha256)
        return sets["train"].gain(program) if known is None else known

    def note(candidate: Candidate) -> None:
        tokens[candidate.evaluation] = 0 if writer is None else writer.tokens
        journal.evaluated(candidate, tokens[candidate.evaluation])

    engine = Search(
        skeleton.features,
        scored,
        evaluations,
        seed,
        seconds=seconds,
        options=search,
        founders=[skeleton.complete(name) for name in skeleton.hand] if settings.hand else [],
        told=told,
        note=note,
        clock=journal.clock,
    )
    ranked = engine.run(arm, writer)
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
        seconds=journal.spent_s,
        fates=journal.fates,
        tokens=[tokens[candidate.evaluation] for candidate in engine.trace],
        dialogue=None if writer is None else writer.report(),
        llm=None if session is None else session.describe(),
    )


def _front(ranked: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate of every size that beats all smaller ones."""
    found = list[Candidate]()
    for candidate in sorted(ranked, key=lambda c: (c.program.codes.nodes, -c.score, c.program.text)):
        if np.isfinite(candidate.score) and (not found or candidate.score > found[-1].score):
            found.append(candidate)
    return found
