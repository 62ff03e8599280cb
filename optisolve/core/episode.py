"""The steps of an episode: which motion, and the instances that come of it one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.motion import MOTION_SETTINGS, Motion
from optisolve.core.problem import Instance, Problem

__all__ = ["Step", "episode_steps", "motion_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """One step of an episode.

    Attributes:
        number: From 0.
        time_s: Since step 0, s.
        problem: The family bound to the numbers of this step; knows the reference.
        instance: What is solved; its seed is the step's number.
        state: float64 [s], see `Moved`.
        events: What happened since the last step, in words.
    """

    number: int
    time_s: float
    problem: Problem
    instance: Instance
    state: FloatArray
    events: tuple[str, ...]


def motion_of(problem: Problem, settings: Mapping[str, object]) -> Motion:
    """A motion of a family from its settings by name; ``kind`` may be left out or ``"auto"``, and None is the kind's own.

    Raises:
        OptionError: The family has no episodes, or not of this kind, or a setting is not one of this kind or out of range.
    """
    kinds, told = problem.motions(), dict(settings)
    name = problem.scenario or problem.name
    if not kinds:
        expected = f"a family whose instances can move; {problem.no_motion or f'those of {problem.name} stand still'}"
        raise OptionError("The episode", [FieldProblem("problem", name, expected)])
    asked = told.pop("kind", "auto")
    cls = kinds[0] if asked in ("auto", None) else next((kind for kind in kinds if kind.kind == asked), None)
    if cls is None:
        expected = f"{' or '.join(kind.kind for kind in kinds)}, which is how instances of {name} move"
        raise OptionError("The episode", [FieldProblem("motion.kind", asked, expected)])
    own = {f.name for f in dataclasses.fields(cls)}
    given = {key: value for key, value in told.items() if value is not None}
    if foreign := [key for key in given if key in MOTION_SETTINGS and key not in own]:
        expected = f"nothing: {cls.kind} has {', '.join(sorted(own))}"
        raise OptionError("The episode", [FieldProblem(f"motion.{key}", given[key], expected) for key in foreign])
    try:
        return cls.from_mapping(given)
    except OptionError as error:
        found = [FieldProblem(f"motion.{p.field}", p.given, p.expected) for p in error.problems]
        raise OptionError("The episode", found) from None


def episode_steps(problem: Problem, motion: Motion, seed: int, n_steps: int) -> Iterator[Step]:
    """The instances of an episode, one after the other; step 0 is where `Problem.instance` of the same seed begins.

    Args:
        problem: Family and scenario.
        motion: From `motion_of`.
        seed: Of the episode: it draws the first instance and all that happens to it.
        n_steps: How many, at least 1.

    Raises:
        OptionError: Fewer steps than one.
    """
    if n_steps < 1:
        raise OptionError("The episode", [FieldProblem("episode", n_steps, "a number of steps, at least 1")])
    for number, moved in zip(range(n_steps), problem.moves(motion, seed), strict=False):
        instance = moved.problem.instance(number)
        yield Step(number, number * motion.step_s, moved.problem, instance, moved.state, moved.events)
