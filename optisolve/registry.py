"""Problems and solvers by name, from entry points, loaded only when asked for.

In-tree plug-ins are declared in ``pyproject.toml`` exactly as a third party declares hers. Scenarios
(``problems/NAME.yaml``) and presets (``solvers/NAME.yaml``) name the class they configure. A problem that nobody declares is
named by its file, ``FILE.py:NAME``, or by its module: a subclass of `Problem`, a problem, or a function that builds one. A file
is run because a user names it, on the command line, in Python, in a suite or in settings; never because a record does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from optisolve.content import is_file, load_yaml, names, parsed
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, RegistryError, UnknownNameError, nearest
from optisolve.core.problem import Instance, Problem
from optisolve.core.solver import Solver
from optisolve.core.source import Home, is_target, load_object

__all__ = [
    "PROBLEMS",
    "SOLVERS",
    "Registry",
    "able",
    "fits",
    "list_problems",
    "list_solvers",
    "load_problem",
    "load_solver",
    "make_problem",
    "make_solver",
    "named_problem",
    "problem_options",
    "solver_options",
]

T = TypeVar("T", Problem, Solver)

OWN = "own"
"""Name of the family of problems made of functions, `optisolve.problem`; their records say it."""


@dataclass(frozen=True, slots=True)
class Registry(Generic[T]):
    """One entry-point group.

    Args:
        kind: ``"problem"`` or ``"solver"``, for messages and for the content folder.
        group: Entry-point group.
        base: Class that every member derives from.
        own: Problems that nobody declares: ``FILE.py:NAME``, or a problem of this process; see `beside`.
    """

    kind: str
    group: str
    base: type[T]
    own: tuple[str | Problem, ...] = ()

    def beside(self, *own: str | Problem) -> Registry[T]:
        """The same, knowing problems that somebody names; their files are run when they are looked for."""
        return replace(self, own=(*self.own, *own))

    def targets(self) -> Mapping[str, str]:
        """Declared names and their ``module:Class``; nothing is imported.

        Raises:
            RegistryError: Two different plug-ins claim one name.
        """
        return _targets(self.group, self.kind)

    def get(self, name: str) -> type[T]:
        """Import the class behind a name.

        Raises:
            UnknownNameError: Nobody declares the name; the nearest one is suggested.
            RegistryError: The plug-in cannot be imported or is not of the right kind.
        """
        targets = self.targets()
        if name in targets:
            return load_target(targets[name], self.base, what=f"{self.kind} '{name}'")
        for problem in [named_problem(own) if isinstance(own, str) else own for own in self.own]:  # one class may have many
            if problem.name == name and isinstance(problem, self.base):
                return type(problem)
        if self.kind == "problem" and name == OWN:
            return _own_class()  # type: ignore[return-value]  # says itself which functions are missing
        raise UnknownNameError(self.kind, name, targets)

    def choices(self) -> tuple[str, ...]:
        """Everything that may be written behind ``problem=`` or ``solver=``: content files and bare plug-ins."""
        return tuple(sorted({*names(f"{self.kind}s"), *self.targets()}))


PROBLEMS = Registry("problem", "optisolve.problems", Problem)  # type: ignore[type-abstract]  # only a bound
SOLVERS = Registry("solver", "optisolve.solvers", Solver)  # type: ignore[type-abstract]


def load_target(target: str, base: type[T], *, what: str) -> type[T]:
    """Import ``module:Class`` and check that it derives from `base`.

    Raises:
        RegistryError: The text has no colon, the import fails, or the class is of another kind.
    """
    from importlib import import_module

    module_name, _, attribute = target.partition(":")
    if not attribute:
        raise RegistryError(f"{what}: '{target}' must have the form module:Class.")
    try:
        found = getattr(import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"{what}: cannot load '{target}': {error}.") from error
    if not (isinstance(found, type) and issubclass(found, base)):
        raise RegistryError(f"{what}: '{target}' is not a subclass of {base.__module__}.{base.__name__}.")
    return found


@cache
def _targets(group: str, kind: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for point in entry_points(group=group):
        if found.setdefault(point.name, point.value) != point.value:
            raise RegistryError(
                f"Two {kind} plug-ins are called '{point.name}': {found[point.name]} and {point.value}. "
                "Uninstall or rename one of them."
            )
    return found


def list_problems() -> tuple[str, ...]:
    """Names of all scenarios and problem plug-ins."""
    return PROBLEMS.choices()


def list_solvers() -> tuple[str, ...]:
    """Names of all presets and solver plug-ins."""
    return SOLVERS.choices()


def load_problem(name: str, **params: Any) -> Problem:
    """A problem by scenario name.

    Args:
        name: E.g. ``"uav_isac"`` or ``"uav_isac/dense"``, or a problem of your own, ``"FILE.py:NAME"`` or ``"module:NAME"``.
        **params: Parameters that replace the scenario's.

    Raises:
        UnknownNameError: No such scenario; the nearest name is suggested.
        RegistryError: The file cannot be run, or what it calls NAME is no problem.
        OptionError: Unknown or bad parameters, all in one message.
    """
    return named_problem(name, params)


def load_solver(name: str, **options: Any) -> Solver:
    """A solver by preset name; the errors are those of `load_problem`."""
    return make_solver(name, options)


def problem_options(name: str) -> tuple[type[Problem], dict[str, Any]]:
    """Class and parameters of what a user has named; a plug-in without a scenario file has its own defaults."""
    return _own_options(name) if is_target(name) else _configured(PROBLEMS, name)


def named_problem(name: str, overrides: Mapping[str, Any] | None = None) -> Problem:
    """The problem that a user has named: an installed one, or one of her own, whose file is run.

    Records name problems too, and may come from anybody: for those there is `make_problem`.

    Args:
        name: E.g. ``"uav_isac"``, ``"FILE.py:NAME"`` or ``"module:NAME"``.
        overrides: Parameters that replace the scenario's, or the own problem's.

    Raises:
        UnknownNameError: No such scenario.
        RegistryError: The file cannot be run, or what it calls NAME is no problem.
        OptionError: Unknown or bad parameters, all in one message.
    """
    return _own(name, overrides or {}) if is_target(name) else make_problem(name, overrides)


def solver_options(name: str) -> tuple[type[Solver], dict[str, Any]]:
    """Class and options of a preset; a solver without a preset file has its own defaults."""
    return _configured(SOLVERS, name)


def make_problem(name: str, overrides: Mapping[str, Any] | None = None) -> Problem:
    """Build an installed problem from a scenario name; nothing of a user's own is run.

    What a scenario chose for its own numbers (`Problem.calibrated`, a scoring box) holds for these numbers alone: where others
    are given it is left to the instance, unless it is given too.

    Args:
        name: E.g. ``"uav_isac"`` or ``"uav_isac/dense"``.
        overrides: Parameters that replace the scenario's.

    Raises:
        UnknownNameError: No such scenario.
        OptionError: Unknown or bad parameters, all in one message.
    """
    cls, params = _configured(PROBLEMS, name)
    title, numbers = f"problem '{name}'", {"scenario": name, **params}
    chosen = {key: numbers.pop(key) for key in cls.calibrated if key in numbers}
    given = {key: value for key, value in (overrides or {}).items() if key not in cls.calibrated or value is not None}
    changed = {**numbers, **{key: value for key, value in given.items() if key not in cls.calibrated}}
    holds = chosen if not chosen or _equal(cls, numbers, changed) else {}
    return cls.from_mapping({**changed, **holds, **given}, title=title)


def _equal(cls: type[Problem], first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two sets of parameters mean the same problem, however its numbers are written."""
    try:
        return first == second or cls.from_mapping(first) == cls.from_mapping(second)
    except OptionError:  # told where the problem itself is made
        return False


def make_solver(name: str, overrides: Mapping[str, Any] | None = None) -> Solver:
    """Build a solver from a preset name; see `make_problem` for the errors."""
    kept = parsed("solvers", name)
    known, made = _PRESETS.get(name, (None, None))
    if not overrides and made is not None and kept is known:
        return made
    cls, options = solver_options(name)
    solver = cls.from_mapping({**options, **(overrides or {})}, title=f"solver '{name}'")
    if not overrides and (kept := parsed("solvers", name)) is not None:
        _PRESETS[name] = kept, solver
    return solver


_PRESETS: dict[str, tuple[Mapping[str, Any], Solver]] = {}
"""Solvers with just the options of a preset's file, by its name, with what the file held; they are frozen, so one will do."""


def fits(instance: Instance) -> dict[str, str | None]:
    """What every solver says of an instance.

    Args:
        instance: What is to be solved.

    Returns:
        By name of the preset: None when the solver can treat it, else its reason why not.
    """
    told: dict[str, str | None] = {}
    for name in SOLVERS.choices():
        try:
            told[name] = make_solver(name).skip(instance)
        except OptisolveError as error:  # a plug-in that is broken, or has options without defaults
            told[name] = str(error)
    return told


def able(instance: Instance) -> str:
    """A sentence that names solvers that can treat an instance, for the error of one that cannot."""
    can = [name for name, reason in fits(instance).items() if reason is None]
    if not can:
        return "No solver here can; a problem's card says what it needs."
    scenario = instance.origin.scenario
    more = f"; optisolve list --for problem={scenario} says why" if scenario in PROBLEMS.choices() else ""
    return f"Solvers that can: {', '.join(can)}{more}."


def _configured(registry: Registry[T], name: str) -> tuple[type[T], dict[str, Any]]:
    folder = f"{registry.kind}s"
    if is_file(folder, name):
        values = load_yaml(folder, name)
        plug_in = values.pop("name", None)
        if not isinstance(plug_in, str):
            problem = FieldProblem("name", plug_in, f"the registry name of a {registry.kind}")
            raise OptionError(f"{folder}/{name}.yaml", [problem])
        return registry.get(plug_in), values
    if name in registry.targets():
        return registry.get(name), {}
    raise UnknownNameError(registry.kind, name, registry.choices())


# -- problems of a user's own ------------------------------------------------------------------------------------------


def _own(target: str, overrides: Mapping[str, Any]) -> Problem:
    """The problem that a file or a module calls so."""
    found, home = load_object(target)
    title = f"problem '{target}'"
    if isinstance(found, Problem):
        made = found if not overrides else found.with_option(**overrides)
    elif isinstance(found, type) and issubclass(found, Problem):
        made = found.from_mapping(overrides, title=title)
    else:
        return _built(_builder(found, target), home, overrides)
    if made.name in PROBLEMS.targets() and PROBLEMS.get(made.name) is not type(made):
        raise RegistryError(f"{target}: '{made.name}' is the name of an installed problem; give your class another 'name'.")
    return made.at(home)


def _builder(found: object, target: str) -> Callable[..., object]:
    """A function that can be called with settings by name, or with none."""
    what = f"a {type(found).__name__}"
    if callable(found) and not isinstance(found, type):
        needed = [p.name for p in inspect.signature(found).parameters.values() if p.default is p.empty and p.kind not in (2, 4)]
        if not needed:
            return found
        what = f"a function that needs {', '.join(needed)}"
    raise RegistryError(
        f"{target} is {what}; expected a problem (optisolve.problem(fun, lower, upper, ...) or a subclass of Problem), or a "
        "function without required parameters that returns one."
    )


def _built(build: Callable[..., object], home: Home, settings: Mapping[str, Any]) -> Problem:
    from optisolve.core.functional import OwnProblem, remember_builder

    known = _defaults(build)
    wanted = {key: value for key, value in settings.items() if key not in ("scenario", "definition")}
    unknown = [FieldProblem(key, wanted[key], _expected(key, known)) for key in wanted if key not in known]
    if unknown:
        raise OptionError(f"problem '{home.target}'", unknown)
    try:
        made = build(**wanted)
    except OptisolveError:
        raise
    except Exception as error:  # a stranger's function may raise anything
        told = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
        raise RegistryError(
            f"{home.target}: {home.name.rpartition(':')[2]}({told}) raised {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, Problem):
        raise RegistryError(f"{home.target}: the function returned a {type(made).__name__}; expected a Problem.")
    if not isinstance(made, OwnProblem):
        return made.at(home)
    remember_builder(home.target, partial(_built, build, home))
    own = made.at(home, {**known, **wanted})
    if settings.get("definition", own.definition.key) != own.definition.key:
        raise RegistryError(f"{home.target}: with these settings its functions say something else than those of the run did.")
    return own


def _own_options(target: str) -> tuple[type[Problem], dict[str, Any]]:
    """Class and parameters of a problem of a user's own, as `problem_options` gives them."""
    found, _ = load_object(target)
    made = _own(target, {})
    if isinstance(found, Problem):
        return type(made), {key: value for key, value in made.options().items() if key not in ("scenario", "definition")}
    return type(made), {} if isinstance(found, type) else _defaults(_builder(found, target))


def _defaults(build: Callable[..., object]) -> dict[str, Any]:
    return {p.name: p.default for p in inspect.signature(build).parameters.values() if p.default is not p.empty}


def _expected(key: str, known: Mapping[str, Any]) -> str:
    guess = nearest(key, known)
    hint = f"; did you mean '{guess}'?" if guess else ""
    return (f"one of {', '.join(known)}" if known else "nothing: this problem has no settings") + hint


def _own_class() -> type[Problem]:
    from optisolve.core.functional import OwnProblem

    return OwnProblem
