"""What stands beside the records of an episode, and what must hold of both: nothing that the file says is believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from optisolve.core.documents import JsonObject, digest, document, plain, write_atomic
from optisolve.core.episode import Step, episode_steps, motion_of
from optisolve.core.errors import FieldProblem, OptisolveError, RecordError
from optisolve.core.problem import Problem
from optisolve.core.text import plain_slug
from optisolve.registry import PROBLEMS, Registry
from optisolve.run.fields import Count, Digest, Integer, Name, Number, Object, Part, Scenario
from optisolve.run.records import read_record
from optisolve.run.schema import BudgetPart, Record
from optisolve.study.episodes.chains import learn_record
from optisolve.study.episodes.course import EpisodeRun, step_seed
from optisolve.study.episodes.memory import Memory, Policy, room
from optisolve.study.episodes.scores import score_steps
from optisolve.study.lock import parse_part

__all__ = ["EPISODE_FILE", "EpisodeSummary", "check_episode", "read_summary", "save_episode"]

EPISODE_FILE = "episode.json"
_MOST_STEPS = 100_000
_SAME = 1e-9
"""Relative difference of scores that is none: rounding of a mean."""


class CoursePart(Part):
    """Which episode: family, scenario and numbers before anything moves, how it moves, and the seed of it all."""

    problem: str
    version: str
    scenario: Scenario
    params: Object
    motion: Object
    seed: Integer


class StepPart(Part):
    """One step: what happened before it, and its record."""

    events: list[str]
    record_id: Name
    result_hash: Digest
    loss: Number
    evaluations: Count


class ScoresPart(Part):
    """Scores of the whole; ``recoveries`` holds evaluations by step with events, None where it was not made good."""

    summed_loss: Number
    worst_loss: Number
    worst_step: Count
    mean_recovery: Number | None
    recoveries: dict[str, Count | None]


class EpisodeSummary(Part):
    """The file; ``sha256`` is over all that a repetition gives again: the course, who went through it, and every result."""

    layout: Literal["optisolve.episode/1"] = Field(alias="schema")
    course: CoursePart
    arm: str
    solver: str
    options: Object
    memory: Policy
    budget: BudgetPart
    seed: Integer
    steps: list[StepPart]
    scores: ScoresPart
    sha256: Digest

    def own_hash(self) -> str:
        """Hash of the course, the arm and the results; losses and scores depend on references, which get better."""
        told = self.to_json()
        kept = {key: told[key] for key in ("course", "solver", "options", "memory", "budget", "seed")}
        return digest({**kept, "results": [step.result_hash for step in self.steps]})


def save_episode(run: EpisodeRun, out: Path) -> Path:
    """Write the records of all steps and the summary beside them.

    Args:
        run: With references.
        out: Folder in which the episode's own folder is made.

    Returns:
        The episode's folder.

    Raises:
        RecordError: There are no references, so there are no losses.
        OSError: A file cannot be written.
    """
    summary = summarized(run)
    name = plain_slug(f"episode.{summary.course.scenario}.{summary.solver}.{summary.memory}.s{summary.seed}")
    folder = out / f"{name}-{summary.sha256[:12]}"
    for result in run.results:
        result.save(folder)
    write_atomic(folder / EPISODE_FILE, document(summary.to_json()))
    return folder


def summarized(run: EpisodeRun) -> EpisodeSummary:
    """The summary of an arm that went through an episode."""
    course, scores = run.course, run.scores
    origin = course.problem.instance(course.seed).origin
    steps = [
        StepPart(
            events=list(step.events),
            record_id=result.record.record_id,
            result_hash=result.record.result_hash,
            loss=loss,
            evaluations=used,
        )
        for step, result, loss, used in zip(course.steps, run.results, scores.losses, scores.evaluations, strict=False)
    ]
    made = EpisodeSummary(
        schema="optisolve.episode/1",
        course=CoursePart(
            problem=origin.problem,
            version=origin.version,
            scenario=origin.scenario,
            params=_object(origin.params),
            motion=course.motion.told(),
            seed=course.seed,
        ),
        arm=run.arm.name,
        solver=run.arm.solver.info.name,
        options=_object(run.arm.solver.options()),
        memory=run.arm.memory,
        budget=BudgetPart.model_validate(plain(run.arm.budget.options())),
        seed=run.seed,
        steps=steps,
        scores=_scores([result.record for result in run.results], [step.events for step in course.steps]),
        sha256="0" * 64,
    )
    return made.model_copy(update={"sha256": made.own_hash()})


def read_summary(file: Path) -> EpisodeSummary:
    """The summary of an episode.

    Args:
        file: ``episode.json`` or its folder.

    Raises:
        RecordError: It is no such file, with everything that is wrong with it.
    """
    path = file / EPISODE_FILE if file.is_dir() else file
    try:
        return parse_part(EpisodeSummary, path.read_bytes(), str(path))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}).") from error


def check_episode(file: Path, problems: Registry[Problem] = PROBLEMS) -> list[FieldProblem]:
    """What does not hold of an episode, beside what an audit of its records finds.

    The instances are drawn again from the course, what the memory handed on is worked out again from the records of earlier
    steps, and the scores are computed again from all of them; records are looked for beside the file.

    Args:
        file: ``episode.json`` or its folder.
        problems: Where to find the family.

    Raises:
        RecordError: The file, or a record that it names, cannot be read.
    """
    path = file / EPISODE_FILE if file.is_dir() else file
    summary = read_summary(path)
    if not 1 <= len(summary.steps) <= _MOST_STEPS:
        return [FieldProblem("steps", f"{len(summary.steps)} steps", f"1 to {_MOST_STEPS}")]
    found = list[FieldProblem]()
    if summary.sha256 != summary.own_hash():
        found.append(FieldProblem("sha256", summary.sha256, f"{summary.own_hash()} (hash of the content)"))
    records = [read_record(path.parent / step.record_id) for step in summary.steps]
    try:
        steps = _steps(summary, problems)
    except OptisolveError as error:
        return [*found, FieldProblem("course", summary.course.scenario, f"an episode that can be drawn again ({error})")]
    memory = Memory(summary.memory, room(summary.budget.limits()), summary.seed)
    for step, told, record in zip(steps, summary.steps, records, strict=True):
        found += _step_problems(summary, memory, step, told, record)
        learn_record(memory, step, record)
    if found:
        return found  # scores of other records say nothing
    return _score_problems(summary, records, steps)


def _steps(summary: EpisodeSummary, problems: Registry[Problem]) -> list[Step]:
    course = summary.course
    cls = problems.get(course.problem)
    if cls.version != course.version:
        raise RecordError(f"problem version {course.version}, this installation has {cls.version}")
    problem = cls.from_mapping({**course.params, "scenario": course.scenario}, title="course.params")
    return list(episode_steps(problem, motion_of(problem, course.motion), course.seed, len(summary.steps)))


def _step_problems(
    summary: EpisodeSummary, memory: Memory, step: Step, told: StepPart, record: Record
) -> Iterator[FieldProblem]:
    where, t = f"steps[{step.number}]", step.number
    start = memory.start(step)
    kept = summary.memory == "keep" and start is not None
    budget = summary.budget.limits()
    if kept and start is not None:
        budget = replace(budget, evaluations=len(start))
    pairs = (
        ("events", told.events, list(step.events)),
        ("record_id", told.record_id, record.record_id),
        ("result_hash", told.result_hash, record.result_hash),
        ("instance.sha256", record.instance.sha256, step.instance.sha256),
        ("instance.seed", record.instance.seed, t),
        ("solver.name", record.solver.name, "keep" if kept else summary.solver),
        ("solver.options", record.solver.options, {} if kept else summary.options),
        ("seed", record.seed, step_seed(summary.seed, t)),
        ("budget", record.budget.limits(), budget),
        ("notes", list(record.notes), [] if kept else list(memory.notes(step))),
    )
    for name, given, expected in pairs:
        if given != expected:
            yield FieldProblem(f"{where}.{name}", given, f"{expected}, as the course and the memory give it")
    handed = None if record.warm_start is None else np.array(record.warm_start, dtype=np.float64)
    same = handed is start if handed is None or start is None else np.array_equal(handed, start)
    if not same:
        count = "no points" if handed is None else f"{len(handed)} points"
        expected = "none" if start is None else f"the {len(start)} points that memory={summary.memory} hands on"
        yield FieldProblem(f"{where}.warm_start", count, expected)


def _score_problems(summary: EpisodeSummary, records: list[Record], steps: list[Step]) -> list[FieldProblem]:
    again, found = score_steps(records, [step.events for step in steps]), list[FieldProblem]()
    for t, (told, loss, used) in enumerate(zip(summary.steps, again.losses, again.evaluations, strict=True)):
        if told.loss != loss or told.evaluations != used:
            expected = f"loss {loss!r} after {used} evaluations, as its record says"
            found.append(FieldProblem(f"steps[{t}]", f"loss {told.loss!r} after {told.evaluations}", expected))
    wanted = _scores(records, [step.events for step in steps]).to_json()
    for name, given in summary.scores.to_json().items():
        right = wanted[name]
        numbers = isinstance(given, float | int) and isinstance(right, float | int)
        if not (abs(given - right) <= _SAME * max(1.0, abs(right)) if numbers else given == right):
            found.append(FieldProblem(f"scores.{name}", given, f"{right}, from the steps"))
    return found


def _scores(records: list[Record], events: list[tuple[str, ...]]) -> ScoresPart:
    made = score_steps(records, events[: len(records)])
    return ScoresPart(
        summed_loss=made.summed,
        worst_loss=made.losses[made.worst],
        worst_step=made.worst,
        mean_recovery=made.mean_recovery,
        recoveries={str(recovery.step): recovery.evaluations for recovery in made.recoveries},
    )


def _object(values: object) -> JsonObject:
    made = plain(values)
    assert isinstance(made, dict)
    return made
