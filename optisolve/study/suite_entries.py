"""What may stand in a suite's YAML file, and the checks that name every bad field with its path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, MinLen

from optisolve.core.documents import Json, JsonObject
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, UnknownNameError
from optisolve.core.options import Options
from optisolve.core.text import is_safe_name, plain_slug, require_encodable
from optisolve.run.fields import Object

__all__ = [
    "Columns",
    "EpisodeEntry",
    "Header",
    "Limits",
    "Override",
    "ProblemEntry",
    "SolverEntry",
    "collect",
    "entries",
    "merged",
    "overrides",
    "read",
    "unknown",
]

Instances = Annotated[int, Ge(1)] | Annotated[list[Annotated[int, Ge(0)]], MinLen(1)]
"""A number of instances that the suite's seed draws, or the list of their seeds."""
ReferenceWork = Literal["none", "quick", "normal", "thorough"]
Llm = str | Object
"""Kind of language model, or a mapping with ``kind`` and its options."""


@dataclass(frozen=True, slots=True)
class Limits(Options):
    """What one unit may take before its process is killed; a budget, in contrast, ends a run in good order.

    Args:
        seconds: Wall-clock time of one unit, its reference included, s.
        memory_mb: Resident memory of the unit's process, MB.
    """

    seconds: Annotated[float, Gt(0)] = 600.0
    memory_mb: Annotated[float, Gt(0)] = 4000.0


@dataclass(frozen=True, slots=True)
class Columns(Options):
    """What stands under ``columns``: figures that a leaderboard shows of this suite beside the loss.

    They say how runs are shown and shape none of them, so they stand in no lock.

    Args:
        loss_at_ms: Times after which the loss of what a run knew by then is shown and ranked, ms, ascending.
        solved: Shows the share of runs whose loss is 0: that reach the reference up to its tolerance.
    """

    loss_at_ms: list[Annotated[float, Gt(0)]] = field(default_factory=list)
    solved: bool = False

    def _check(self) -> Iterable[FieldProblem]:
        if self.loss_at_ms != sorted(set(self.loss_at_ms)):
            yield FieldProblem("loss_at_ms", self.loss_at_ms, "times in ms, ascending, each once")

    def __bool__(self) -> bool:
        """Whether a suite states any; with them its seconds are shown, too."""
        return bool(self.loss_at_ms) or self.solved


@dataclass(frozen=True, slots=True)
class Header(Options):
    """Top level of the file; see ``docs/benchmark.md``."""

    version: Annotated[str, MinLen(1)] = ""
    seed: Annotated[int, Ge(0)] = 0
    problems: Annotated[list[Any], MinLen(1)] = field(default_factory=list)
    solvers: Annotated[list[Any], MinLen(1)] = field(default_factory=list)
    budget: Object = field(default_factory=dict)
    instances: Instances = 1
    repetitions: Annotated[int, Ge(1)] = 1
    reference: ReferenceWork = "quick"
    limits: Object = field(default_factory=dict)
    llm: Llm | None = None
    overrides: list[Any] = field(default_factory=list)
    open: bool = False
    columns: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProblemEntry(Options):
    """One entry under ``problems``."""

    problem: str = ""
    label: str = ""
    params: Object = field(default_factory=dict)
    instances: Instances | None = None
    reference: ReferenceWork | None = None
    budget: Object = field(default_factory=dict)
    limits: Object = field(default_factory=dict)
    solvers: list[str] | None = None
    episode: Object | None = None
    admit: str = ""


@dataclass(frozen=True, slots=True)
class EpisodeEntry(Options):
    """What stands under ``episode`` of a problem: its instances are the steps, in their order.

    Args:
        steps: How many.
        seed: Of the first instance and all that happens to it.
        motion: ``kind`` and settings, see `optisolve.core.motion`.
    """

    steps: Annotated[int, Ge(1)] = 1
    seed: Annotated[int, Ge(0)] = 0
    motion: Object = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SolverEntry(Options):
    """One entry under ``solvers``."""

    solver: str = ""
    label: str = ""
    options: Object = field(default_factory=dict)  # type: ignore[assignment]  # the key of the file
    llm: Llm | None = None
    memory: Literal["", "warm", "retrieve", "notes", "placebo"] = ""
    budget: Object = field(default_factory=dict)
    limits: Object = field(default_factory=dict)
    repetitions: Annotated[int, Ge(1)] | None = None


@dataclass(frozen=True, slots=True)
class Override(Options):
    """One entry under ``overrides``: settings of the cells that match; a name that is absent matches everything."""

    problem: str | None = None
    solver: str | None = None
    options: Object = field(default_factory=dict)  # type: ignore[assignment]  # the key of the file
    budget: Object = field(default_factory=dict)
    limits: Object = field(default_factory=dict)
    repetitions: Annotated[int, Ge(1)] | None = None
    skip: str | None = None

    def matches(self, problem: str, solver: str) -> bool:
        """True for a cell that these settings apply to."""
        return self.problem in (None, problem) and self.solver in (None, solver)


def read(path: Path) -> tuple[Header, str]:
    """Top level of a suite's file, and the line of comment that it begins with.

    Raises:
        OptisolveError: The file cannot be read, is no YAML, or has wrong fields.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
        require_encodable(data)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise OptisolveError(f"suite {path}: cannot be read as YAML ({error}).") from error
    if not isinstance(data, dict):
        raise OptisolveError(f"suite {path}: must hold a mapping with version, seed, budget, problems and solvers.")
    if isinstance(data.get("version"), (int, float)):  # `version: 1` is what people write
        data["version"] = str(data["version"])
    first = text.partition("\n")[0]
    return Header.from_mapping(data, title=f"suite {path}"), first.lstrip("# ").strip() if first.startswith("#") else ""


def entries(found: list[FieldProblem], group: str, key: str, given: Iterable[Any], kind: type[Any]) -> list[Any]:
    """Entries of a list; a bare name stands for ``{key: name}``. Labels default to names and must differ.

    Args:
        found: Gets the bad fields.
        group: ``"problems"`` or ``"solvers"``.
        key: ``"problem"`` or ``"solver"``.
        given: What stands in the file.
        kind: `ProblemEntry` or `SolverEntry`.
    """
    made: list[Any] = []
    for i, item in enumerate(given):
        values = {key: item} if isinstance(item, str) else item
        if not isinstance(values, Mapping):
            found.append(FieldProblem(f"{group}[{i}]", item, f"a name, or a mapping with '{key}'"))
            continue
        entry = collect(found, f"{group}[{i}]", partial(kind.from_mapping, values))
        if entry is None:
            continue
        entry = entry if entry.label else replace(entry, label=getattr(entry, key).rpartition(":")[2])  # NAME of FILE.py:NAME
        if not all(map(is_safe_name, entry.label.split("/") if kind is ProblemEntry else [entry.label])):
            found.append(FieldProblem(f"{group}[{i}].label", entry.label, "a name of letters, digits, '_', '-', '.', '+'"))
        if plain_slug(entry.label) in {plain_slug(other.label) for other in made}:
            found.append(FieldProblem(f"{group}[{i}].label", entry.label, "a label that no other entry has"))
        made.append(entry)
    return made


def overrides(found: list[FieldProblem], given: Iterable[Any], problems: set[str], solvers: set[str]) -> list[Override]:
    """The overrides, with labels that exist.

    Args:
        found: Gets the bad fields.
        given: What stands in the file.
        problems: Labels of all problems.
        solvers: Labels of all solvers.
    """
    made = []
    for i, item in enumerate(given):
        where = f"overrides[{i}]"
        if not isinstance(item, Mapping):
            found.append(FieldProblem(where, item, "a mapping with problem, solver and what changes"))
            continue
        entry = collect(found, where, partial(Override.from_mapping, item))
        if entry is not None:
            found += unknown(f"{where}.problem", [entry.problem] if entry.problem else [], problems)
            found += unknown(f"{where}.solver", [entry.solver] if entry.solver else [], solvers)
            made.append(entry)
    return made


def unknown(where: str, given: Iterable[str], known: set[str]) -> list[FieldProblem]:
    """Labels that nothing has."""
    return [FieldProblem(where, name, f"one of {', '.join(sorted(known))}") for name in given if name not in known]


def merged(parts: Iterable[JsonObject]) -> dict[str, Json]:
    """Mappings laid over each other; later ones win, key by key."""
    return {key: value for part in parts for key, value in part.items()}


def collect(found: list[FieldProblem], where: str, make: Callable[[], Any], *, name: str = "") -> Any:
    """The made object, or None after its bad fields were added with their full path.

    Args:
        found: Gets the bad fields.
        where: Path of the fields.
        make: Makes the object.
        name: Path of the field that holds the object's name, when it is another one.
    """
    try:
        return make()
    except OptionError as error:
        found.extend(FieldProblem(f"{where}.{p.field}", p.given, p.expected) for p in error.problems)
    except UnknownNameError as error:
        guess = str(error).partition("Did you mean ")[2].partition("?")[0]
        expected = f"the name of a {error.kind}" + (f"; did you mean {guess}?" if guess else "")
        found.append(FieldProblem(name or where, error.name, expected))
    except (OptisolveError, TypeError) as error:
        found.append(FieldProblem(where, "(values)", str(error)))
    return None
