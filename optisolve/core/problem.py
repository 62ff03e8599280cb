"""Problems and instances: what is solved, in the field's own names.

A `Problem` is a family bound to a scenario's numbers; `Problem.instance(seed)` draws one concrete case. Solvers see
only the `Instance`, which knows nothing about references.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, array_hash
from optisolve.core.errors import ProblemError
from optisolve.core.evaluation import (
    FAILED_VIOLATION,
    FEASIBILITY_TOLERANCE,
    Evaluation,
    HypervolumeBox,
    Objective,
    RunsIn,
    Sense,
    constraint_tolerances,
    looking,
    refuse_reference,
    unwatched,
    watched,
)
from optisolve.core.html import html_table
from optisolve.core.memory import no_room
from optisolve.core.options import Options
from optisolve.core.reference import Effort, Reference
from optisolve.core.source import Home
from optisolve.core.space import Space

if TYPE_CHECKING:
    import pymoo.core.problem
    from matplotlib.axes import Axes

    from optisolve.core.memory import no_room
from optisolve.core.motion import Motion

__all__ = [
    "FAILED_VIOLATION",
    "FEASIBILITY_TOLERANCE",
    "FROM_FILES",
    "Description",
    "Evaluation",
    "HypervolumeBox",
    "Instance",
    "Moved",
    "Objective",
    "Origin",
    "Problem",
    "RunsIn",
    "Sense",
]

FROM_FILES = {
    "instance_file": "instance_data",
    "users_file": "users_m",
    "network_file": "network_data",
    "demands_file": "network_data",
}
"""Parameters that name a file of data, and those that carry what was in it."""


_ROUNDING = 1e-7
"""Relative difference of two ways to compute the same."""

_LONGEST_BOX_S = 60.0
"""Seconds of evaluations above which no scoring box is worked out."""
_LONGEST_SHOWN = 60
"""Characters of a parameter in a notebook."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a person or a language model is told about an instance, in words.

    Args:
        summary: What is decided and why it is hard, two or three sentences.
        constraints: One sentence per kind of constraint.
        facts: Data of the instance worth knowing, one line each (positions, caps, ...).
        hints: Physical insight: what a change of a variable does to the objectives.
    """

    summary: str
    constraints: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an instance came from: enough to make it again.

    Args:
        problem: Registry name of the family.
        version: Version of the family's equations.
        scenario: Name of the scenario, e.g. ``"uav_isac/dense"``.
        params: All scenario parameters, JSON-compatible.
        seed: Instance seed.
        files: Files that parameters were read from, by parameter: ``name`` without its folder and ``sha256``. What was in
            them stands in `params`, where they were does not: it is no part of the instance.
    """

    problem: str
    version: str
    scenario: str
    params: Mapping[str, Any]
    seed: int
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Instance(ABC):
    """One concrete case of a problem; immutable and safe to share between solvers.

    Subclasses implement `_evaluate`, `describe` and `arrays`, and may override `_project`, `_equalities`, `features`,
    `null_policies` and `model`. A family has one evaluation, in numpy and written to be read; where that is too slow,
    `_evaluate` is a compiled kernel and the readable one stays as `_evaluate_twin`, which then verifies what the kernel says.

    Args:
        origin: How to make this instance again.
        space: The decision space.
        objectives: One or more objectives.
        constraint_names: Names of the columns of G.
        equality_names: Names of the columns of H.
        hypervolume_box: Scoring box of two or more objectives; None works it out, see `hypervolume_box`.
        tolerance: Largest violation of a (dimensionless) constraint that counts as feasible: one number for all, or numbers by
            name of constraint, the others keeping the usual 1e-8. Part of the instance: solvers, verification and audit use it.

    Attributes:
        tolerance: float64 [k + p], for the columns of G and H.
    """

    def __init__(
        self,
        *,
        origin: Origin,
        space: Space,
        objectives: tuple[Objective, ...],
        constraint_names: tuple[str, ...] = (),
        equality_names: tuple[str, ...] = (),
        hypervolume_box: HypervolumeBox | None = None,
        tolerance: float | Mapping[str, float] = FEASIBILITY_TOLERANCE,
    ) -> None:
        self.origin = origin
        self.space = space
        self.objectives = objectives
        self.constraint_names = constraint_names
        self.equality_names = equality_names
        self._given_box = hypervolume_box
        self.tolerance = constraint_tolerances(origin.problem, (*constraint_names, *equality_names), tolerance)
        signs = np.array([-1.0 if o.sense is Sense.MAXIMIZE else 1.0 for o in objectives])
        signs.setflags(write=False)
        self.signs: FloatArray = signs
        """float64 [m]: +1 to minimize, -1 to maximize; ``F * signs`` is to be minimized."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "arrays" in cls.__dict__:
            cls.arrays = _read_only(cls.arrays)  # type: ignore[method-assign]
        if "jacobian" in cls.__dict__:  # a capability, see `optisolve.core.capabilities.Jacobian`
            cls.jacobian = _charged(cls.__dict__["jacobian"])  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.origin.scenario} seed={self.origin.seed} d={self.space.dim}>"

    def _repr_html_(self) -> str:
        goals = "; ".join(f"{o.sense.value} {o.label.rpartition(' (')[0]}" for o in self.objectives)
        constraints = f"{len(self.constraint_names)} inequalities, {len(self.equality_names)} equalities"
        rows = [
            ("instance", f"{self.origin.scenario}, seed {self.origin.seed}"),
            ("objectives", goals),
            ("variables", repr(self.space).partition(" ")[2].rstrip(">")),
            ("constraints", constraints),
            ("SHA-256", self.sha256[:16]),
        ]
        return html_table(type(self).__name__, rows)

    on_failure: str = "penalize"
    """What a run does with a point that the model cannot evaluate (an exception, NaN or infinity): ``"penalize"`` counts it
    as a bad point, ``"skip"`` also gives its evaluation back to the budget, ``"stop"`` ends the run. Said by the class or
    by `__init__`."""

    evaluation_s: float = 0.0
    """Expected seconds of one evaluation of one point on one core, declared; 0 where evaluations are cheap."""

    runs_in: RunsIn = "vectorized"
    """How evaluations may run side by side, see `optisolve.core.evaluation.RunsIn`. Said, as `evaluation_s`, by the class or by
    `__init__`; neither is part of what the instance is."""

    agreement: float | FloatArray = _ROUNDING
    """Largest difference of `_evaluate` and `_evaluate_twin` that is none, relative to the largest value of a run: rounding, or
    more where both draw samples of their own; one number, or float64 [m], one per objective."""

    @property
    def costly(self) -> bool:
        """Whether every evaluation is a call of its own, also where nobody asked for workers."""
        return self.evaluation_s > 0.0 and self.runs_in != "vectorized"

    picture: str = "map"
    """What `draw` draws, and the name of the file: ``"map"``, or ``"powers"`` where there is no geography."""

    convex: bool = False
    """Declared where the feasible set is convex and the objective concave (to maximize) or convex (to minimize)."""

    # -- what solvers call ---------------------------------------------------------------------------------------

    def evaluate(self, X: npt.ArrayLike) -> Evaluation:
        """Objectives and constraints of a batch, by the compiled kernel where the family has one.

        Args:
            X: [n, d] or [d], inside the bounds of `space`.

        Returns:
            The evaluation, rows in the order of X.

        Raises:
            ProblemError: X has a wrong shape, a NaN or a value outside its bounds, or the result is not finite.
        """
        return self.evaluate_checked(self.space.require(X))

    def evaluate_checked(self, X: FloatArray) -> Evaluation:
        """The same as `evaluate` for points that `Space.require` has returned already; the evaluator calls it."""
        counted = watched(self)
        return self._checked(self._evaluate(X)) if counted is None else counted(X)

    def evaluate_twin(self, X: npt.ArrayLike) -> Evaluation:
        """The same as `evaluate` by the readable numpy equations; verification runs on this one."""
        points = self.space.require(X)
        counted = watched(self)
        return self._checked(self._evaluate_twin(points)) if counted is None else counted(points)

    @property
    def has_twin(self) -> bool:
        """Whether verification runs on other code than solvers do; without one only tests compare the equations with others."""
        return type(self)._evaluate_twin not in (Instance._evaluate_twin, type(self)._evaluate)

    def project(self, X: npt.ArrayLike) -> FloatArray:
        """Exact projection or repair towards the feasible set; at least a clip to the bounds.

        Without a `_project` of its own an instance's equalities are repaired (`optisolve.core.repair`): exactly where they are
        linear and the box holds a solution, integers included, else as far as a few Gauss-Newton steps lead. Inequalities are
        left to the solver.

        Args:
            X: Finite values [n, d] or [d], bounds may be violated.

        Returns:
            float64 [n, d], a new array inside the bounds. The problem's card says whether the result is always
            feasible.
        """
        array = np.atleast_2d(np.asarray(X, dtype=np.float64))
        if array.ndim != 2 or array.shape[1] != self.space.dim or not np.isfinite(array).all():
            raise ProblemError(f"project: X has shape {array.shape}; expected finite values [n, {self.space.dim}].")
        if self.equality_names and self.repairs_by_default:  # which rounds by what was wanted
            clipped = np.minimum(np.maximum(array, self.space.lower), self.space.upper)
        else:
            clipped = self.space.clip(array)
        # Clipped again: rounding in a repair must not leave the box by one ulp
        return self.space.clip(self._project(clipped))

    @property
    def repeats(self) -> bool:
        """Whether verification computes what a run computes, to rounding; otherwise it draws samples of its own."""
        return float(np.max(self.agreement)) <= _ROUNDING

    def spread(self, F: FloatArray) -> FloatArray:
        """Largest difference of a run's objectives and those of verification that is none, float64 [m]; see `agreement`.

        Args:
            F: float64 [n, m], values of the run or of verification.
        """
        return np.asarray(self.agreement * np.abs(F).max(axis=0, initial=0.0))

    def warm_up(self) -> None:  # noqa: B027  # most instances have nothing to do
        """Done once in every process that evaluates, before limits on the time of an evaluation count: compile, open, load."""

    @property
    def repairs_by_default(self) -> bool:
        """Whether `project` is the default repair of equalities, and no projection of the family's own."""
        return type(self)._project is Instance._project

    @property
    def repairs_integers(self) -> bool:
        """Whether the default repair has integers to round, so that points which were different may become equal."""
        return bool(self.equality_names) and self.repairs_by_default and self.space.has_integers

    @abstractmethod
    def describe(self) -> Description:
        """The instance in words."""

    @abstractmethod
    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """The data that define this instance, by name with unit suffix; hashed, exported, and read-only from then on."""

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """What a learned model is conditioned on; by default the defining arrays."""
        return self.arrays()

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Trivial answers by name, each float64 [n, d], printed beside every solver."""
        return {}

    def model(self, dialect: str) -> Any:
        """A modelling-layer object for solvers that need one, or None when the instance offers no such model.

        Args:
            dialect: ``"cvxpy"``, ``"cpsat"`` or ``"highs"``.
        """
        return None

    def offers(self, dialect: str) -> bool:
        """Whether there is such a model; a family whose models take long to build says so without building one.

        Args:
            dialect: As for `model`.
        """
        return self.model(dialect) is not None

    def to_pymoo(self) -> pymoo.core.problem.Problem:
        """This instance as a vectorized `pymoo.core.problem.Problem` (minimization form)."""
        from optisolve.core.pymoo_export import Exported

        counts = (len(self.objectives), len(self.constraint_names), len(self.equality_names))
        return Exported(self.evaluate, self.space, self.signs, *counts)

    def draw(self, axes: Axes, x: FloatArray) -> bool:
        """Draw one solution on matplotlib axes (a map, a bar chart, ...).

        Args:
            axes: Empty axes.
            x: float64 [d].

        Returns:
            False when the problem has no picture of its own.
        """
        return False

    @cached_property
    def hypervolume_box(self) -> HypervolumeBox | None:
        """The box of hypervolumes: what was given, else worked out when first asked for; None for one objective."""
        return self._given_box if self._given_box is not None or len(self.objectives) < 2 else self._own_box()

    @cached_property
    def usual_tolerance(self) -> bool:
        """Whether every constraint has the usual feasibility tolerance."""
        return bool((self.tolerance == FEASIBILITY_TOLERANCE).all())

    @cached_property
    def sha256(self) -> str:
        """Hash of all that defines the instance: family, scalars, arrays, decision space and objectives.

        Where a file was is not part of it; what was in the file stands in the arrays.
        """
        told = {
            "problem": self.origin.problem,
            "params": {
                name: value for name, value in self.origin.params.items() if name not in {*FROM_FILES, *FROM_FILES.values()}
            },
            "objectives": [[o.name, o.sense.value, o.unit] for o in self.objectives],
            "constraints": [*self.constraint_names, *self.equality_names],
            **({} if self.usual_tolerance else {"tolerance": self.tolerance.tolist()}),
        }
        arrays = {**self.arrays(), "__lower": self.space.lower, "__upper": self.space.upper}
        return array_hash(arrays, json.dumps(told, sort_keys=True, default=str))

    # -- what subclasses implement -------------------------------------------------------------------------------

    @abstractmethod
    def _evaluate(self, X: FloatArray) -> Evaluation:
        """Evaluation of checked points, float64 [n, d]."""

    def _evaluate_twin(self, X: FloatArray) -> Evaluation:
        """The same once more in plain numpy, written to be read, where `_evaluate` is a compiled kernel."""
        return self._evaluate(X)

    def _project(self, X: FloatArray) -> FloatArray:
        """Projection or repair of clipped points, float64 [n, d]; may write into X. By default equalities are repaired."""
        if not self.equality_names:
            return X
        from optisolve.core.repair import equality_repair

        return equality_repair(self)(X)

    def _equalities(self, X: FloatArray) -> FloatArray:
        """H alone, float64 [n, p], which the default repair looks at; NaN where the model cannot evaluate a point.

        By default the whole model is evaluated, and while a run is on every point is charged as an evaluation. Override it
        where the equalities can be had without the objectives; then looking at them costs no evaluations.
        """
        counted = looking(self)
        if counted is None:
            return self._evaluate(X).H
        made = counted(X, source="repair")
        return made.H if made.failed is None else np.where(made.failed[:, None], np.nan, made.H)

    def _own_box(self) -> HypervolumeBox:
        """The scoring box where none is given; a family that knows its fronts or bounds says better than random designs do."""
        from optisolve.core.scoring import BOX_SAMPLES, box_from_designs

        if self.evaluation_s * BOX_SAMPLES > _LONGEST_BOX_S:
            cost = f"one out takes {BOX_SAMPLES} evaluations of {self.evaluation_s:g} s"
            raise ProblemError(
                f"{self.origin.scenario}: several objectives and no scoring box; working {cost}. Give one (hypervolume_box, or "
                "box= of optisolve.problem): a reference point of worst values of interest, and an ideal point."
            )
        return box_from_designs(self)

    def _checked(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation with the instance's tolerances, all values finite."""
        for name, values in (("F", evaluation.F), ("G", evaluation.G), ("H", evaluation.H)):
            if values.size and not np.isfinite(values).all():
                row, column = (int(v) for v in np.argwhere(~np.isfinite(values))[0])
                where = f"{self.origin.scenario}: {name}[{row}, {column}]"
                raise ProblemError(f"{where} = {values[row, column]}; a model must return finite values.")
        return self.judged(evaluation)

    def judged(self, evaluation: Evaluation) -> Evaluation:
        """An evaluation of this instance's points, by its own tolerances."""
        return evaluation.within(None if self.usual_tolerance else self.tolerance)


@dataclass(frozen=True)
class Problem(Options, ABC):
    """A family of instances bound to one scenario's numbers.

    Subclasses are frozen dataclasses whose fields are the scenario parameters, with unit suffixes in their names.
    The values live in ``problems/NAME.yaml``.

    Args:
        scenario: Name of the scenario these numbers come from; a label only.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    summary: ClassVar[str]
    evidence: ClassVar[str] = "none"
    """What its references prove, one phrase for tables."""
    calibrated: ClassVar[tuple[str, ...]] = ()
    """Parameters, None unless given, that a scenario chose for its own values of all others: when one of those changes they
    hold no longer, and the instance works them out (`optisolve.registry.make_problem`)."""

    portable: ClassVar[bool] = False
    """Its data and evaluations depend on no kernel of BLAS and on no number of threads; see `SolverInfo.portable`."""

    no_motion: ClassVar[str] = ""
    """Why `motions` may be empty for some of its scenarios, in words."""

    scenario: str = field(default="", kw_only=True)
    _home: Home | None = field(default=None, init=False, repr=False, compare=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "reference" in cls.__dict__:
            cls.reference = _outside_of_runs(cls.reference)  # type: ignore[method-assign]
        for name in ("instance", "reference"):
            if name in cls.__dict__:
                setattr(cls, name, _in_memory(cls.__dict__[name], name))

    def _repr_html_(self) -> str:
        rows = [(name, _shortened(value)) for name, value in self.options().items() if value is not None and name != "scenario"]
        return html_table(f"{self.scenario or self.name}: {self.summary}", rows)

    @abstractmethod
    def instance(self, seed: int = 0) -> Instance:
        """Draw one concrete case; the same seed gives the same case on every machine."""

    def reference(self, instance: Instance, effort: Effort = Effort.NORMAL) -> Reference | None:
        """The best known or certified answer, computed; None when the family has none.

        Args:
            instance: An instance of this problem.
            effort: How much work to spend.
        """
        return None

    def motions(self) -> tuple[type[Motion], ...]:
        """How its instances may move from step to step, the usual way first; see `optisolve.core.motion`."""
        return ()

    def moves(self, motion: Motion, seed: int) -> Iterator[Moved]:
        """Where the instance of a seed moves to, from step 0 on, without an end; families with `motions` implement it.

        Args:
            motion: One of `motions`.
            seed: Of the episode.
        """
        raise NotImplementedError(f"instances of {self.name} stand still")

    def origin(self, seed: int) -> Origin:
        """The origin to put into an instance made with `seed`."""
        params = self.options()
        params.pop("scenario")
        files = {} if self.home is None else {"problem": self.home.source}
        return Origin(self.name, self.version, self.scenario or self.name, params, seed, files)

    @property
    def home(self) -> Home | None:
        """The file of a user's own that the problem was loaded from; None for installed ones and for those made in Python."""
        return self._home

    def at(self, home: Home) -> Self:
        """The same problem, known to stand in a file."""
        object.__setattr__(self, "_home", home)
        return self

    def _title(self) -> str:
        return f"problem '{self.scenario or self.name}'"


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


def _read_only(arrays: Callable[..., Mapping[str, npt.ArrayLike]]) -> Callable[..., Mapping[str, npt.NDArray[Any]]]:
    """A method `arrays` whose data nobody can write any more, which the instance need not see to itself."""

    @wraps(arrays)
    def told(self: Instance) -> Mapping[str, npt.NDArray[Any]]:
        found = {name: np.asarray(values) for name, values in arrays(self).items()}
        for values in found.values():
            values.flags.writeable = False
        return found

    return told


def _charged(jacobian: Callable[..., FloatArray]) -> Callable[..., FloatArray]:
    """A method `jacobian` whose looks are evaluations of their points while a run is on."""

    @wraps(jacobian)
    def told(self: Instance, X: npt.ArrayLike) -> FloatArray:
        points = self.space.require(X)
        if (counted := looking(self)) is not None:
            counted(points, source="jacobian")
        with unwatched():
            return jacobian(self, points)

    return told


def _shortened(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _outside_of_runs(reference: Callable[..., Reference | None]) -> Callable[..., Reference | None]:
    """A reference method that a solver cannot call while it solves."""

    @wraps(reference)
    def made(self: Problem, *args: Any, **kwargs: Any) -> Reference | None:
        refuse_reference(self.name)
        return reference(self, *args, **kwargs)

    return made


def _in_memory(make: Callable[..., Any], what: str) -> Callable[..., Any]:
    """A method of a problem that finds no memory says so in words, with the problem's sizes."""

    @wraps(make)
    def made(self: Problem, *args: Any, **kwargs: Any) -> Any:
        try:
            return make(self, *args, **kwargs)
        except MemoryError as error:
            raise no_room(f"{what} of {self.scenario or self.name}", self.options(), error) from error

    return made
