"""Episodes: how the instances of a family move, step by step, and the sequence that comes of it.

A step is an ordinary instance of its family whose parameters carry what has moved (positions, gains, a network), so that a
record of a step is made, verified and replayed like any other. Which steps follow each other is decided by the family's
scenario, the kind of motion, and the episode's seed, and by nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json, plain
from optisolve.core.errors import FieldProblem, OptionError
from optisolve.core.options import Options

if TYPE_CHECKING:
    from optisolve.core.problem import Instance, Problem

__all__ = [
    "MOTIONS",
    "MOTION_SETTINGS",
    "DailyDemands",
    "Fading",
    "GaussMarkov",
    "Motion",
    "Moved",
    "RandomWaypoint",
    "Step",
    "Walking",
    "episode_steps",
    "motion_of",
]


@dataclass(frozen=True, slots=True)
class Motion(Options):
    """How instances move.

    Args:
        step_s: Time from one step to the next, s.
    """

    kind: ClassVar[str]
    step_s: Annotated[float, Gt(0)] = 1.0

    def told(self) -> dict[str, Json]:
        """Kind and settings as plain JSON."""
        return {"kind": self.kind, **{name: plain(value) for name, value in self.options().items()}}


@dataclass(frozen=True, slots=True)
class Walking(Motion):
    """Users or links that move in a square, and are replaced by others now and then.

    Args:
        session_s: Mean time, s, after which a user or link leaves and a new one appears elsewhere, exponentially distributed;
            None where nobody leaves.
        shadowing_m: Distance, m, over which shadowing loses all but 1/e of its correlation; for links.
    """

    session_s: Annotated[float, Gt(0)] | None = 300.0
    shadowing_m: Annotated[float, Gt(0)] = 20.0

    @property
    def typical_m_s(self) -> float:
        """Speed of the size that they have, m/s."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class GaussMarkov(Walking):
    """Velocities that forget themselves slowly: v' = a v + sqrt(1 - a^2) w with a = exp(-step / memory).

    Who would leave the area turns round. Defaults are those of pedestrians; an assumption.

    Args:
        speed_m_s: Root mean square speed, m/s.
        memory_s: Time, s, after which a velocity keeps 1/e of itself.

    Source: Liang and Haas, INFOCOM 1999 (mean velocity zero); Camp, Boleng and Davies 2002, doi 10.1002/wcm.72.
    """

    kind: ClassVar[str] = "gauss_markov"
    speed_m_s: Annotated[float, Ge(0), Le(1e5)] = 1.5
    memory_s: Annotated[float, Gt(0)] = 20.0

    @property
    def typical_m_s(self) -> float:
        """The root mean square speed, m/s."""
        return self.speed_m_s


@dataclass(frozen=True, slots=True)
class RandomWaypoint(Walking):
    """Straight to a point drawn uniformly, at a speed drawn uniformly, then a pause, then to the next one.

    Args:
        speed_min_m_s: Slowest, m/s; above 0, or mean speeds would sink for ever.
        speed_max_m_s: Fastest, m/s.
        pause_s: Time at each point, s.

    Source: Johnson and Maltz 1996; Camp, Boleng and Davies 2002, doi 10.1002/wcm.72; Yoon, Liu and Noble, INFOCOM 2003
    (speeds above 0).
    """

    kind: ClassVar[str] = "random_waypoint"
    speed_min_m_s: Annotated[float, Gt(0), Le(1e5)] = 0.5
    speed_max_m_s: Annotated[float, Gt(0), Le(1e5)] = 2.0
    pause_s: Annotated[float, Ge(0)] = 10.0

    @property
    def typical_m_s(self) -> float:
        """The middle of the speeds, m/s."""
        return 0.5 * (self.speed_min_m_s + self.speed_max_m_s)

    def _check(self) -> Iterable[FieldProblem]:
        if self.speed_max_m_s < self.speed_min_m_s:
            yield FieldProblem("speed_max_m_s", self.speed_max_m_s, f"at least speed_min_m_s = {self.speed_min_m_s:g}")


@dataclass(frozen=True, slots=True)
class Fading(Motion):
    """Rayleigh fading that goes on: h' = r h + sqrt(1 - r^2) w with r = J0(2 pi doppler_hz step_s).

    Args:
        step_s: Time from one step to the next, s.
        doppler_hz: Largest Doppler shift, Hz; 10 Hz are 5 km/h at 2.1 GHz.
        session_s: Mean time, s, after which a link is replaced by another one, exponentially distributed; None for never.

    Source: Jakes 1974 for the correlation in time; the recursion of first order is what learned power controllers are
    measured on (Nasir and Guo 2019, doi 10.1109/JSAC.2019.2933973).
    """

    kind: ClassVar[str] = "fading"
    step_s: Annotated[float, Gt(0)] = 0.005
    doppler_hz: Annotated[float, Ge(0), Le(1e6)] = 10.0
    session_s: Annotated[float, Gt(0)] | None = 1.0


@dataclass(frozen=True, slots=True)
class DailyDemands(Motion):
    """Demands that rise and fall by the day, and lines that fail and return.

    A demand goes with 1 + swing sin(2 pi t / day + phase of its sender) times a log-normal factor that forgets itself slowly;
    at step 0 it has the volume of the scenario. A line is up and down for exponentially distributed times; one that would cut
    a demand off stays up. All numbers are assumptions.

    Args:
        step_s: Time from one step to the next, s.
        swing: Half the difference of the most and the least of a day, relative to the mean.
        phase_h: Standard deviation of the hour at which the nodes are busiest, h.
        noise: Standard deviation of the factor's logarithm.
        noise_memory_h: Time, h, after which that logarithm keeps 1/e of itself.
        up_h: Mean time until a line fails, h; None where none fails.
        down_h: Mean time until it returns, h.

    Source: Tune and Roughan 2015, doi 10.1145/2829988.2787471 (sinusoid times log-normal noise over a gravity model).
    """

    kind: ClassVar[str] = "daily_demands"
    step_s: Annotated[float, Gt(0)] = 900.0
    swing: Annotated[float, Ge(0), Lt(1)] = 0.5
    phase_h: Annotated[float, Ge(0), Le(12)] = 1.5
    noise: Annotated[float, Ge(0), Le(3)] = 0.2
    noise_memory_h: Annotated[float, Gt(0)] = 2.0
    up_h: Annotated[float, Gt(0)] | None = 80.0
    down_h: Annotated[float, Gt(0)] = 1.5


MOTIONS: Mapping[str, type[Motion]] = {cls.kind: cls for cls in (GaussMarkov, RandomWaypoint, Fading, DailyDemands)}
"""Kinds of motion by name."""

MOTION_SETTINGS: tuple[str, ...] = tuple(dict.fromkeys(f.name for cls in MOTIONS.values() for f in dataclasses.fields(cls)))
"""Settings of all kinds, each once."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a family's instance has moved to.

    Attributes:
        problem: The family bound to the numbers of this step.
        state: float64 [s], what tells how alike two steps of an episode are: positions, gains in dB, demands.
        events: What happened since the last step, in words.
    """

    problem: Problem
    state: FloatArray
    events: tuple[str, ...] = ()


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
