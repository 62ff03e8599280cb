"""Episodes: how the instances of a family move, step by step, and the sequence that comes of it.

A step is an ordinary instance of its family whose parameters carry what has moved (positions, gains, a network), so that a
record of a step is made, verified and replayed like any other. Which steps follow each other is decided by the family's
scenario, the kind of motion, and the episode's seed, and by nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le, Lt

from optisolve.core.documents import Json, plain
from optisolve.core.errors import FieldProblem
from optisolve.core.options import Options

__all__ = [
    "MOTIONS",
    "MOTION_SETTINGS",
    "DailyDemands",
    "Fading",
    "GaussMarkov",
    "Motion",
    "RandomWaypoint",
    "Walking",
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
