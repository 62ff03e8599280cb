"""Problems made of functions: `optisolve.problem` takes an objective, bounds and constraints, and gives a `Problem`.

What such a problem *is* cannot be read from its code: a function sees data around it, and the same equations can be written in
many ways. So it is known by what it says: the functions are evaluated at a few fixed points, and the SHA-256 of names, bounds,
senses and these values (to nine digits) is its identity. It covers data in closures, does not change with a comment, and is
the same however the functions are written; the hash of the file that they stand in is told beside it (`Origin.files`). Two
functions that differ at none of these points count as one.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, array_hash
from optisolve.core.documents import Json, plain
from optisolve.core.errors import OptisolveError, ProblemError, RegistryError
from optisolve.core.evaluation import FEASIBILITY_TOLERANCE, HypervolumeBox, constraint_tolerances
from optisolve.core.functions import Arguments, Function, Functions, call, column_names, identity_arrays, probed
from optisolve.core.problem import Description, Evaluation, Instance, Objective, Origin, Problem, RunsIn, Sense
from optisolve.core.seeds import generator
from optisolve.core.source import Home, load_object
from optisolve.core.space import Space
from optisolve.core.text import is_safe_name

__all__ = ["Definition", "OwnInstance", "OwnProblem", "problem", "remember_builder"]


def problem(
    fun: Function,
    lower: npt.ArrayLike,
    upper: npt.ArrayLike,
    *,
    integer: npt.ArrayLike | None = None,
    eq: Functions = None,
    ineq: Functions = None,
    sense: str | Sequence[str] = "min",
    names: Sequence[str] | None = None,
    units: str | Sequence[str] = "",
    objectives: Sequence[str | Objective] | None = None,
    vectorized: bool = False,
    name: str | None = None,
    summary: str = "",
    project: Function | None = None,
    null_policies: Mapping[str, npt.ArrayLike] | None = None,
    box: tuple[Sequence[float], Sequence[float]] | None = None,
    tolerance: float | Mapping[str, float] = FEASIBILITY_TOLERANCE,
    on_failure: str = "penalize",
    evaluation_s: float = 0.0,
    runs_in: RunsIn | None = None,
    probes: int = 8,
) -> OwnProblem:
    """A problem made of functions, to be used like every other one.

    The functions get one point, ``x`` float64 [d], and return a number or an array; with ``vectorized=True`` they get many,
    ``X`` float64 [n, d], and return an array [n] or [n, k]. They must return the same whenever they are called; a point at
    which one raises or returns NaN counts as a bad point and ends nothing.

    Args:
        fun: The objective, or several: one number per objective.
        lower: Smallest values of the variables, [d], or one number for all.
        upper: Largest values, likewise. All bounds are finite.
        integer: Which variables are whole numbers: bool [d], or their indices; True for all.
        eq: Equalities h(x) = 0: a function that returns one or several h, a list of functions, or functions by name.
        ineq: Inequalities g(x) <= 0, likewise. Divide both by their own right-hand side, see `tolerance`.
        sense: ``"min"`` or ``"max"``, one for all objectives or one each.
        names: Names of the variables, ``x0``, ``x1``, ... unless given.
        units: Unit of all variables, or one each.
        objectives: Names of the objectives, or `Objective`, which also says sense, unit and meaning.
        vectorized: The functions take many points at once.
        name: Name in records and tables; that of the function unless given.
        summary: What is decided, one sentence for people and language models; the function's docstring unless given.
        project: Repairs points towards the feasible set, x to x, or X to X when vectorized. Without one equalities are repaired
            by the library, integers included; looking at ``eq`` for that costs no evaluations.
        null_policies: Trivial answers by name, each [d] or [n, d]; printed beside every solver.
        box: Reference point and ideal point between which hypervolume is measured, for several objectives; None works it out
            from random designs, which count towards no budget.
        tolerance: Largest violation of a constraint that counts as none: one number, or numbers by name of constraint.
        on_failure: What becomes of a point that cannot be evaluated, see `Instance.on_failure`.
        evaluation_s: Expected seconds of one evaluation; 0 for cheap ones.
        runs_in: How evaluations may run side by side, see `optisolve.core.evaluation.RunsIn`; None means ``"vectorized"`` for
            functions that are, else ``"process"``.
        probes: Points at which the functions are called now, to learn how many values they return, and to know them again.

    Returns:
        A `Problem` whose instance is the same for every seed; random instances are drawn by a class of your own.

    Raises:
        OptionError: Bad arguments, all of them listed.
        ProblemError: A function can be evaluated at none of the probes, or returns something else than numbers.
    """
    called = getattr(fun, "__name__", "") if name is None else name
    given = Arguments(called if name is not None or is_safe_name(called) else OwnProblem.name)
    space = given.space(lower, upper, integer, names, units)
    inequalities, equalities = given.functions("ineq", ineq), given.functions("eq", eq)
    given.check(fun, project, on_failure, probes)
    runs = given.how(evaluation_s, runs_in, vectorized)
    space = given.whole(space)
    points = space.sample(generator(0, purpose="probes"), probes)
    groups = [
        [(label, probed(given.name, label, function, points, vectorized)) for label, function in group.items()]
        for group in ({"fun": fun}, inequalities, equalities)
    ]
    repaired = [] if project is None else [probed(given.name, "project", project, points, vectorized, space.dim)]
    told = given.objectives(groups[0][0][1].shape[1], sense, objectives)
    policies = {key: given.points(f"null_policies.{key}", X, space) for key, X in (null_policies or {}).items()}
    corners = given.box(box, told)
    given.whole(space)
    definition = Definition(
        name=given.name,
        space=space,
        objectives=told,
        functions=((fun,), tuple(inequalities.values()), tuple(equalities.values())),
        widths=tuple(tuple(values.shape[1] for _, values in group) for group in groups),
        vectorized=vectorized,
        project=project,
        constraint_names=column_names(groups[1]),
        equality_names=column_names(groups[2]),
        summary=" ".join((summary or getattr(fun, "__doc__", None) or "").split()),
        null_policies=policies,
        box=corners,
        tolerance=constraint_tolerances(given.name, (*column_names(groups[1]), *column_names(groups[2])), tolerance),
        on_failure=on_failure,
        evaluation_s=float(evaluation_s),
        runs_in=runs,
        arrays=identity_arrays(
            points, np.concatenate([*(values for group in groups for _, values in group), *repaired], axis=1)
        ),
    )
    _KNOWN[definition.key] = definition
    made = OwnProblem.of(definition)
    made.instance()  # tells now what is wrong with names and tolerances
    return made


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Definition:
    """What `problem` was given, checked, and what the functions say at the probes.

    Attributes:
        functions: The objective, the inequalities, the equalities.
        widths: Columns of what each function returns.
        arrays: Probes and values, which are what the problem is known by.
        home: Where it stands, None while only this process knows it.
        settings: What the function that built it was called with.
    """

    name: str
    space: Space
    objectives: tuple[Objective, ...]
    functions: tuple[tuple[Function, ...], ...]
    widths: tuple[tuple[int, ...], ...]
    vectorized: bool
    project: Function | None
    constraint_names: tuple[str, ...]
    equality_names: tuple[str, ...]
    summary: str
    null_policies: Mapping[str, FloatArray]
    box: HypervolumeBox | None
    tolerance: FloatArray
    on_failure: str
    arrays: Mapping[str, FloatArray]
    evaluation_s: float = 0.0
    runs_in: RunsIn = "vectorized"
    home: Home | None = None
    settings: Mapping[str, Json] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The identity, 64 hexadecimal digits."""
        told = {
            "name": self.name,
            "variables": [*zip(self.space.names, self.space.units, self.space.kinds, strict=True)],
            "objectives": [[o.name, o.sense, o.unit, o.scale, o.interval] for o in self.objectives],
            "constraints": [self.constraint_names, self.equality_names],
            **({} if (self.tolerance == FEASIBILITY_TOLERANCE).all() else {"tolerance": self.tolerance.tolist()}),
            "box": plain(self.box),
            "on_failure": self.on_failure,
        }
        policies = {f"policy {name}": X for name, X in self.null_policies.items()}
        bounds = {"lower": self.space.lower, "upper": self.space.upper}
        return array_hash({**self.arrays, **policies, **bounds}, json.dumps(told))

    def columns(self, group: int, X: FloatArray) -> FloatArray:
        """What the functions of a group say, float64 [n, k]; 0 is the objective, 1 are inequalities, 2 equalities."""
        pairs = zip(self.functions[group], self.widths[group], strict=True)
        parts = [call(f"{self.name}: a function", function, X, self.vectorized, width) for function, width in pairs]
        return np.concatenate(parts, axis=1) if parts else np.empty((X.shape[0], 0))

    def __deepcopy__(self, _memo: object) -> Definition:
        """Nothing in it changes, and functions of this process cannot be pickled as other copies are."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes, which load the file again, or import functions that modules have by name."""
        if self.home is not None:
            return _loaded_again, (self.home.target, dict(self.settings), self.key)
        try:
            pickle.dumps((self.functions, self.project))
        except Exception as error:  # pickle raises very different things
            raise ProblemError(
                f"problem '{self.name}' is made of functions that only this process knows ({error}); another one cannot be "
                "given them. Put it into a file and load it from there: optisolve.load_problem('FILE.py:NAME')."
            ) from error
        return self.with_functions()

    def with_functions(self) -> tuple[Any, ...]:
        """As `__reduce__`, with the functions themselves: nothing is loaded and probed again where they arrive."""
        return _arrived, tuple(getattr(self, f.name) for f in fields(self))


_KNOWN: WeakValueDictionary[str, Definition] = WeakValueDictionary()
"""Definitions of this process by identity: a record holds the identity, and functions cannot be made from it."""

_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Problem]] = {}
"""By target, functions of files that build a problem from settings."""


def remember_builder(target: str, build: Callable[[Mapping[str, Any]], Problem]) -> None:
    """Let problems be found again that a function of a file builds.

    Args:
        target: ``FILE.py:NAME``.
        build: Settings to problem.
    """
    _BUILDERS[target] = build


def _arrived(*values: Any) -> Definition:
    definition = Definition(*values)
    _KNOWN[definition.key] = definition
    return definition


def _loaded_again(target: str, settings: Mapping[str, Any], key: str) -> Definition:
    found, _ = load_object(target)
    made = found if isinstance(found, OwnProblem) else found(**settings) if callable(found) else None
    if not isinstance(made, OwnProblem) or made.definition.key != key:
        raise RegistryError(f"{target}: is not the problem any more that another process was told of; it was changed.")
    return made.definition


@dataclass(frozen=True)
class OwnProblem(Problem):
    """A problem made of functions; `optisolve.problem` makes it."""

    name: ClassVar[str] = "own"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Functions of your own: optisolve.problem(fun, lower, upper, ...)."

    definition: Definition = field(init=False, repr=False)

    @classmethod
    def of(cls, definition: Definition) -> Self:
        """The problem of a definition."""
        made = cls(scenario=definition.name)
        object.__setattr__(made, "definition", definition)
        return made

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, title: str | None = None) -> Self:  # noqa: ARG003  # as the base
        """A problem that this process knows, by its identity and by what the function that built it was called with.

        Raises:
            RegistryError: No such problem was made here.
        """
        settings = {key: value for key, value in values.items() if key not in ("scenario", "definition")}
        key, called = str(values.get("definition", "")), str(values.get("scenario", ""))
        made = [_KNOWN[key]] if key in _KNOWN else []
        for build in [] if made else [*_BUILDERS.values()]:
            with suppress(OptisolveError):
                own = build(settings)
                made += [own.definition] if isinstance(own, OwnProblem) and own.definition.key == key else []
        if not made:
            told = f"problem '{called}' is made of functions, and none that was loaded here says what that one said"
            raise RegistryError(f"{told} (definition {key[:16]}); name its file, as it was then: problem=FILE.py:NAME.")
        return cls.of(made[0] if made[0].settings == settings else replace(made[0], settings=settings))

    def at(self, home: Home, settings: Mapping[str, Any] | None = None) -> Self:
        """The same problem, known to stand in a file, and to be built with settings."""
        object.__setattr__(self.definition, "home", home)
        object.__setattr__(self.definition, "settings", {str(key): plain(value) for key, value in (settings or {}).items()})
        return self

    def options(self) -> dict[str, Any]:
        """The identity, and what the function that built it was called with."""
        return {"scenario": self.definition.name, "definition": self.definition.key, **self.definition.settings}

    @property
    def home(self) -> Home | None:
        """Where the functions stand."""
        return self.definition.home

    def instance(self, seed: int = 0) -> Instance:
        """The same instance for every seed."""
        return OwnInstance(self.definition, self.origin(seed))


class OwnInstance(Instance):
    """The instance of a problem made of functions.

    Args:
        definition: What it is.
        origin: How to make it again.
    """

    def __init__(self, definition: Definition, origin: Origin) -> None:
        self._definition = definition
        self.on_failure = definition.on_failure
        self.evaluation_s, self.runs_in = definition.evaluation_s, definition.runs_in
        super().__init__(
            origin=origin,
            space=definition.space,
            objectives=definition.objectives,
            constraint_names=definition.constraint_names,
            equality_names=definition.equality_names,
            hypervolume_box=definition.box,
            tolerance=dict(
                zip((*definition.constraint_names, *definition.equality_names), definition.tolerance.tolist(), strict=True)
            ),
        )

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """What the functions say at the probes: nothing else of them can be written down."""
        return self._definition.arrays

    def features(self) -> Mapping[str, npt.NDArray[Any]]:
        """The bounds; values at probes would teach a model nothing."""
        return {"lower": self.space.lower, "upper": self.space.upper}

    def describe(self) -> Description:
        """The words that were given, and what is optimized."""
        aims = [f"{'maximize' if o.sense is Sense.MAXIMIZE else 'minimize'} {o.name}" for o in self.objectives]
        aim = f"{' and '.join(aims)} over {self.space.dim} bounded variables; only values of the functions are known."
        limits = [f"{name} must be at most 0." for name in self.constraint_names]
        limits += [f"{name} must be 0." for name in self.equality_names]
        return Description(f"{self._definition.summary} {aim[0].upper()}{aim[1:]}".strip(), tuple(limits))

    def null_policies(self) -> Mapping[str, FloatArray]:
        """Those that were given."""
        return self._definition.null_policies

    def _evaluate(self, X: FloatArray) -> Evaluation:
        F, G, H = (self._definition.columns(group, X) for group in range(3))
        return Evaluation(F, G, H)

    def _equalities(self, X: FloatArray) -> FloatArray:
        """H alone, which costs no evaluation of the objective."""
        return self._definition.columns(2, X)

    @property
    def repairs_by_default(self) -> bool:
        """Whether no projection was given."""
        return self._definition.project is None

    def _project(self, X: FloatArray) -> FloatArray:
        if self._definition.project is None:
            return super()._project(X)
        return call("project", self._definition.project, X, self._definition.vectorized, self.space.dim)
