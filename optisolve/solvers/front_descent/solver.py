"""Front steepest descent with restarts: when to take steps, and when to look elsewhere."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from annotated_types import Ge, Gt, Le

from optisolve.core.budget import Budget
from optisolve.core.capabilities import Jacobian
from optisolve.core.solver import Feature, Outcome, SolverInfo, Task, require_stopping_rule, spent_limit
from optisolve.core.status import Termination
from optisolve.solvers.front_descent.descent import Descent
from optisolve.solvers.start import Init, PopulationOptions

__all__ = ["FrontDescent"]

_FEWEST: Final = 15
"""Starting points of a short run."""
_WORTH: Final = 0.2
"""Steps go on while they gain more than this share of what an evaluation gained on average."""
_WAVES: Final = 4
"""Waves over which that is measured."""
_AFTERWARDS: Final = 3
"""Waves after a point was found elsewhere, before it is asked again whether steps are worth it."""


@dataclass(frozen=True, slots=True)
class FrontDescent(PopulationOptions):
    """Improve all points of a front along the slopes of the objectives; where that gains little, shake them and descend.

    Every point has a linear model of the objectives, a trust radius, and a step for each of some weights of the objectives:
    corners of the weights spread the front, the others push it forward. Of all steps, repaired by the instance, those are
    evaluated that gain most hypervolume by the models, together and beside what is there; what came of them sets the radii.
    Once a wave gains less than a fifth of what an evaluation gained on average, points of the front are shaken, and the
    nearest miss descends on its own.

    A look at the slopes of a point is charged as one evaluation, beside the one of its values.

    Args:
        n_directions: Weights of the objectives tried at every point.
        wave_size: Steps evaluated at once; slopes are looked at for twice as many points.
        radius: First trust radius, a length in variables scaled to [0, 1].
        n_shaken: Shaken points evaluated at once; 0 ends the run when no step gains anything.
        shake: Standard deviation of shaking, a share of the variables' ranges; one variable in four is shaken, at least one.
    """

    info: ClassVar[SolverInfo] = SolverInfo(
        name="front_descent",
        version="1",
        summary="Front steepest descent: trust-region steps by exact slopes, chosen by hypervolume gain, with restarts.",
        supports=frozenset({Feature.MULTI_OBJECTIVE, Feature.INEQUALITY, Feature.EQUALITY, Feature.REAL, Feature.INTEGER}),
        requires=(Jacobian,),
        citation="Cocchi et al. 2020, doi 10.1007/s10589-020-00192-0; hypervolume gradient: Emmerich & Deutz, EVOLVE III, 2014",
    )
    init: Init = ("auto",)
    n_directions: Annotated[int, Ge(2)] = 5
    wave_size: Annotated[int, Ge(1)] = 4
    radius: Annotated[float, Gt(0), Le(0.5)] = 0.05
    n_shaken: Annotated[int, Ge(0)] = 40
    shake: Annotated[float, Gt(0), Le(1)] = 0.3

    def population(self, budget: Budget) -> int:
        """Starting points: a tenth of the evaluations, 15 to 100; slopes make more of few good ones than many do."""
        few = budget.evaluations is not None and budget.evaluations < 10 * _FEWEST
        return _FEWEST if self.pop_size is None and few else PopulationOptions.population(self, budget)

    def _solve(self, task: Task) -> Outcome:
        require_stopping_rule(task)
        descent = Descent(task, self.n_directions, self.radius)
        task.reporter = descent.report
        descent.begin(self, self.population(task.meter.budget))
        pace = _Pace()
        while (left := task.meter.remaining_evaluations) > 0:
            if pace.stepping:
                moved = descent.wave(self.wave_size)
                spent = left - task.meter.remaining_evaluations
                pace.waved(descent.take_gain(), spent, moved=moved, restarts=self.n_shaken > 0)
                if not (moved or self.n_shaken):
                    return task.outcome(Termination.CONVERGED, detail="no step gains anything", report=descent.report())
            else:
                found = descent.look_elsewhere(self.n_shaken, self.shake)
                pace.looked_elsewhere(descent.take_gain(), left - task.meter.remaining_evaluations, found=found)
        return task.outcome(Termination.LIMIT, spent_limit(task), report=descent.report())


class _Pace:
    """Whether to step on or to look elsewhere: by what the last waves gained, measured by the average of the run.

    Attributes:
        stepping: Steps are worth their evaluations.
    """

    def __init__(self) -> None:
        self.stepping = True
        self._recent: deque[tuple[float, int]] = deque(maxlen=_WAVES)
        self._gained, self._spent = 0.0, 0
        self._owed = _WAVES

    def waved(self, gain: float, spent: int, *, moved: bool, restarts: bool) -> None:
        """Account for a wave of steps; without restarts steps go on."""
        self._count(gain, spent)
        self._recent.append((gain, spent))
        self._owed -= 1
        last = sum(gain for gain, _ in self._recent) * max(self._spent, 1)
        poor = last <= _WORTH * self._gained * sum(spent for _, spent in self._recent)
        self.stepping = not restarts or (moved and (self._owed > 0 or not poor))

    def looked_elsewhere(self, gain: float, spent: int, *, found: bool) -> None:
        """Account for a restart; steps follow where it found something."""
        self._count(gain, spent)
        if found:
            self.stepping, self._owed = True, _AFTERWARDS
            self._recent.clear()

    def _count(self, gain: float, spent: int) -> None:
        self._gained += gain
        self._spent += spent
