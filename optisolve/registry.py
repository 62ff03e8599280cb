"""Problems and solvers by name, from entry points, loaded only when asked for.

In-tree plug-ins are declared in ``pyproject.toml`` exactly as a third party declares hers. Scenarios
(``problems/NAME.yaml``) and presets (``solvers/NAME.yaml``) name the class they configure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from optisolve.content import load_yaml, names
from optisolve.core.errors import FieldProblem, OptionError, RegistryError, UnknownNameError
from optisolve.core.problem import Problem
from optisolve.core.solver import Solver

__all__ = [
    "PROBLEMS",
    "SOLVERS",
    "Registry",
    "list_problems",
    "list_solvers",
    "load_problem",
    "load_solver",
    "make_problem",
    "make_solver",
    "problem_options",
    "solver_options",
]

T = TypeVar("T", Problem, Solver)


@dataclass(frozen=True, slots=True)
class Registry(Generic[T]):
    """One entry-point group.

    Args:
        kind: ``"problem"`` or ``"solver"``, for messages and for the content folder.
        group: Entry-point group.
        base: Class that every member derives from.
    """

    kind: str
    group: str
    base: type[T]

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
        if name not in targets:
            raise UnknownNameError(self.kind, name, targets)
        return load_target(targets[name], self.base, what=f"{self.kind} '{name}'")

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
        name: E.g. ``"uav_isac"`` or ``"uav_isac/dense"``.
        **params: Parameters that replace the scenario's.

    Raises:
        UnknownNameError: No such scenario; the nearest name is suggested.
        OptionError: Unknown or bad parameters, all in one message.
    """
    return make_problem(name, params)


def load_solver(name: str, **options: Any) -> Solver:
    """A solver by preset name; the errors are those of `load_problem`."""
    return make_solver(name, options)


def problem_options(name: str) -> tuple[type[Problem], dict[str, Any]]:
    """Class and parameters of a scenario; a plug-in without a scenario file has its own defaults."""
    return _configured(PROBLEMS, name)


def solver_options(name: str) -> tuple[type[Solver], dict[str, Any]]:
    """Class and options of a preset; a solver without a preset file has its own defaults."""
    return _configured(SOLVERS, name)


def make_problem(name: str, overrides: Mapping[str, Any] | None = None) -> Problem:
    """Build a problem from a scenario name.

    What a scenario chose for its own numbers (`Problem.calibrated`, a scoring box) holds for these numbers alone: where others
    are given it is left to the instance, unless it is given too.

    Args:
        name: E.g. ``"uav_isac"`` or ``"uav_isac/dense"``.
        overrides: Parameters that replace the scenario's.

    Raises:
        UnknownNameError: No such scenario.
        OptionError: Unknown or bad parameters, all in one message.
    """
    cls, params = problem_options(name)
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
    cls, options = solver_options(name)
    return cls.from_mapping({**options, **(overrides or {})}, title=f"solver '{name}'")


def _configured(registry: Registry[T], name: str) -> tuple[type[T], dict[str, Any]]:
    folder = f"{registry.kind}s"
    if name in names(folder):
        values = load_yaml(folder, name)
        plug_in = values.pop("name", None)
        if not isinstance(plug_in, str):
            problem = FieldProblem("name", plug_in, f"the registry name of a {registry.kind}")
            raise OptionError(f"{folder}/{name}.yaml", [problem])
        return registry.get(plug_in), values
    if name in registry.targets():
        return registry.get(name), {}
    raise UnknownNameError(registry.kind, name, registry.choices())
