"""Instances that a goal can be put on, and an instance with a goal on top: the same space, other objective, more constraints.

Families opt in by deriving their instance from `MeasuredInstance`. They express common goals natively, so that their exact
solvers apply; everything else becomes a `GoalInstance`, which any general solver can treat. Its equations are the base
instance's numpy metrics.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray
from optisolve.core.documents import Json
from optisolve.core.errors import FieldProblem, OptionError, ProblemError
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Sense
from optisolve.goals.metric import Bound, Feasibility, Metric
from optisolve.goals.units import format_si

if TYPE_CHECKING:
    from optisolve.goals.goal import Goal, GoalObjective

__all__ = [
    "GoalInstance",
    "MeasuredInstance",
    "bound_scales",
    "bound_text",
    "goal_origin",
    "measured",
    "shortfall",
    "with_goal",
]


class MeasuredInstance(Instance):
    """An instance that documents quantities which a goal may speak about.

    Subclasses implement `metrics` and `metric_values` and, as far as they can, `own_bounds`, `satisfiable`, `goal_model` and
    `_native_goal`.
    """

    @abstractmethod
    def metrics(self) -> tuple[Metric, ...]:
        """Quantities that a goal may speak about."""

    @abstractmethod
    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """All metrics at checked points float64 [n, d], by numpy equations: float64 [n], or [n, users]; SI units."""

    def own_bounds(self) -> tuple[Bound, ...]:
        """The scenario's own requirements as bounds on metrics, for those that a goal may replace."""
        return ()

    def satisfiable(self, bounds: tuple[Bound, ...]) -> Feasibility:
        """Whether bounds can be met together on this instance's space; undecided unless the family has a procedure."""
        return Feasibility(None)

    def goal_model(self, dialect: str, goal: Goal, bounds: tuple[Bound, ...]) -> Any:
        """A modelling-layer object for a goal without a native instance, or None."""
        return None

    def _native_goal(self, goal: Goal, bounds: tuple[Bound, ...]) -> Instance | None:
        """The family's own instance for a goal, or None."""
        return None

    def with_goal(self, goal: Goal) -> Instance:
        """`optisolve.goals.with_goal` of this instance."""
        return with_goal(self, goal)


def measured(instance: Instance, others: str = "") -> MeasuredInstance:
    """The same instance, which must document metrics.

    Args:
        instance: Any instance.
        others: What to say about families that do, for the message.

    Raises:
        OptionError: It documents none.
    """
    if isinstance(instance, MeasuredInstance):
        return instance
    expected = (
        f"none: {instance.origin.problem} documents no metrics, so no goal can speak about it{others}; a family opts in by "
        "optisolve.goals.MeasuredInstance"
    )
    raise OptionError("goal", [FieldProblem("goal", "a goal", expected)])


def with_goal(instance: Instance, goal: Goal) -> Instance:
    """An instance with a goal on top: a native instance of the family where it has one, else a general one.

    Wishes (soft clauses) are settled first, see `optisolve.goals.wishes`.

    Args:
        instance: A `MeasuredInstance`.
        goal: Refers to its metrics.

    Raises:
        OptionError: The goal does not fit this instance; every problem is listed.
    """
    base = measured(instance)
    from optisolve.goals.goal import require_goal
    from optisolve.goals.wishes import settle_wishes

    require_goal(goal, base.metrics())
    goal = settle_wishes(base, goal)
    bounds = require_goal(goal, base.metrics())
    native = base._native_goal(goal, bounds)
    return GoalInstance(base, goal, bounds) if native is None else native


def goal_origin(base: Instance, goal: Goal) -> Origin:
    """The origin of an instance with a goal: the family ``goal`` makes it again from the base's own parameters."""
    origin = base.origin
    label = {} if origin.scenario == origin.problem else {"scenario": origin.scenario}  # else it would be lost on the way
    params: dict[str, Json] = {"problem": origin.problem, "params": {**origin.params, **label}, "goal": goal.plain()}
    return Origin("goal", "2", f"{origin.scenario}+goal", params, origin.seed, origin.files)


def shortfall(values: Mapping[str, FloatArray], bounds: Sequence[Bound], scales: FloatArray) -> FloatArray:
    """Relative violation of bounds, float64 [n, k]; <= 0 where a bound holds.

    Args:
        values: Metrics by name, float64 [n] or [n, users], SI.
        bounds: k bounds.
        scales: float64 [k], what each distance is divided by, see `bound_scales`.
    """
    columns = []
    for bound, scale in zip(bounds, scales.tolist(), strict=True):
        value = values[bound.metric] if bound.user is None else values[bound.metric][:, bound.user]
        columns.append((value - bound.value) / scale if bound.upper else (bound.value - value) / scale)
    n = next(iter(values.values())).shape[0]
    return np.column_stack(columns) if columns else np.empty((n, 0))


def bound_scales(base: MeasuredInstance, bounds: Sequence[Bound]) -> FloatArray:
    """What the distance from each bound is divided by, float64 [k], > 0, in the metric's unit.

    That is the bound itself; a bound of 0 is measured by the metric at a few points of the space, so that it changes with the
    unit like everything else.

    Args:
        base: What the metrics are about.
        bounds: k bounds.
    """
    if all(bound.value != 0.0 for bound in bounds):
        return np.array([abs(bound.value) for bound in bounds])
    values = base.metric_values(_landmarks(base))
    told = [values[b.metric] if b.user is None else values[b.metric][:, b.user] for b in bounds]
    return np.array([abs(b.value) or _size(v) for b, v in zip(bounds, told, strict=True)])


def _landmarks(base: Instance) -> FloatArray:
    """Points that tell how large a metric is, float64 [3, d]: the upper corner of the space and two towards the lower one."""
    low, high = base.space.lower, base.space.upper
    X = np.array([low + share * (high - low) for share in (1.0, 0.5, 0.01)])
    return np.where(base.space.integer, np.rint(X), X)


def _size(values: FloatArray) -> float:
    """Largest finite magnitude, 1 when there is none above 0."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0)) or 1.0


def bound_text(bound: Bound, metrics: Sequence[Metric]) -> str:
    """One bound in words, e.g. ``rate of user 2 at least 15.8 kbit/s``."""
    metric = next(m for m in metrics if m.name == bound.metric)
    who = "" if bound.user is None else f" of user {bound.user + 1}"
    return f"{metric.name}{who} at {'most' if bound.upper else 'least'} {format_si(bound.value, metric.unit)}"


class GoalInstance(MeasuredInstance):
    """A base instance with a goal.

    Args:
        base: What the goal is about.
        goal: The goal.
        bounds: Its requirements in SI.
    """

    def __init__(self, base: MeasuredInstance, goal: Goal, bounds: Sequence[Bound]) -> None:
        self.base, self.typed_goal, self.bounds = base, goal, tuple(bounds)
        self.on_failure = base.on_failure
        if len(base.objectives) != 1 and goal.objective is None:
            raise ProblemError(f"{base.origin.scenario} has several objectives; the goal must name one.")
        metrics = {metric.name: metric for metric in base.metrics()}
        self._scales = bound_scales(base, self.bounds)
        super().__init__(
            origin=goal_origin(base, goal),
            space=base.space,
            objectives=(base.objectives[0] if goal.objective is None else _objective(goal.objective, metrics, base),),
            constraint_names=(*base.constraint_names, *(f"goal{i}.{b.metric}" for i, b in enumerate(self.bounds))),
            equality_names=base.equality_names,
            tolerance=dict(zip((*base.constraint_names, *base.equality_names), base.tolerance.tolist(), strict=True)),
        )

    def metrics(self) -> tuple[Metric, ...]:
        """Those of the base."""
        return self.base.metrics()

    def metric_values(self, X: FloatArray) -> Mapping[str, FloatArray]:
        """Those of the base."""
        return self.base.metric_values(X)

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The base's arrays and the bounds."""
        rows = [[hash_free_index(b.metric), -1 if b.user is None else b.user, float(b.upper), b.value] for b in self.bounds]
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 4)
        table.setflags(write=False)
        return {**self.base.arrays(), "goal_bounds": table}

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """The base's features."""
        return self.base.features()

    def describe(self) -> Description:
        """The base in words, with the goal's requirements."""
        told = self.base.describe()
        extra = tuple(bound_text(b, self.base.metrics()).capitalize() + "." for b in self.bounds)
        objective = self.objectives[0]
        aim = "" if self.typed_goal.objective is None else f" Here the aim is to {objective.sense} {objective.meaning}."
        return Description(told.summary + aim, (*told.constraints, *extra), told.facts, told.hints)

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Those of the base."""
        return self.base.null_policies()

    def model(self, dialect: str) -> Any:
        """What the base offers for this goal."""
        return self.base.goal_model(dialect, self.typed_goal, self.bounds)

    @property
    def has_twin(self) -> bool:
        """Whether the base has one; metrics have one implementation."""
        return self.base.has_twin

    @property
    def repairs_by_default(self) -> bool:
        """As the base does."""
        return self.base.repairs_by_default

    def _evaluate(self, X: FloatArray) -> Evaluation:
        return self._combined(X, self.base.evaluate_checked(X))

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        return self._combined(X, self.base.evaluate_twin(X))

    def _combined(self, X: FloatArray, own: Evaluation) -> Evaluation:
        values = self.base.metric_values(X)
        F = own.F if self.typed_goal.objective is None else objective_value(self.typed_goal.objective, values)[:, None]
        return Evaluation(F, np.hstack([own.G, shortfall(values, self.bounds, self._scales)]), own.H)

    def _project(self, X: FloatArray) -> FloatArray:
        if self.repairs_by_default:
            return super()._project(X)  # the default repair evaluates, and what a run evaluates is this instance
        return self.base.project(X)

    def _equalities(self, X: FloatArray) -> FloatArray:
        if type(self.base)._equalities is Instance._equalities:
            return super()._equalities(X)
        return self.base._equalities(X)


def objective_value(objective: GoalObjective, values: Mapping[str, FloatArray]) -> FloatArray:
    """The goal's objective, float64 [n], from metric values."""
    total: FloatArray | float = 0.0
    for term in objective.terms:
        value = values[term.metric]
        if value.ndim == 2:
            part = value[:, [u - 1 for u in term.users]] if term.users else value
            value = part.min(axis=1) if objective.sense == "maxmin" else part.sum(axis=1)
        total = total + (term.weight * value if objective.sense != "maxmin" else value)
    return np.asarray(total, dtype=np.float64)


def hash_free_index(name: str) -> float:
    """A number that stands for a metric's name in an array, the same everywhere."""
    return float(int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big"))


def _objective(objective: GoalObjective, metrics: Mapping[str, Metric], base: MeasuredInstance) -> Objective:
    names = [term.metric for term in objective.terms]
    first = metrics[names[0]]
    unit = first.unit if len({metrics[name].unit for name in names}) == 1 else ""
    name = f"worst_{names[0]}" if objective.sense == "maxmin" else "+".join(dict.fromkeys(names))
    meaning = (
        f"the worst user's {first.meaning}" if objective.sense == "maxmin" else " plus ".join(metrics[n].meaning for n in names)
    )
    sense = Sense.MINIMIZE if objective.sense == "min" else Sense.MAXIMIZE
    scale = 1e-6 * _size(objective_value(objective, base.metric_values(_landmarks(base))))
    return Objective(name, sense, unit, meaning, scale)
