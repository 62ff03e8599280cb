"""Where a population or a surrogate begins: starting points from several sources, and how many of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

import numpy as np
from annotated_types import Ge

from optisolve.content import only_shipped
from optisolve.core.arrays import BoolArray, FloatArray
from optisolve.core.budget import Budget
from optisolve.core.errors import FieldProblem, OptionError, OptisolveError, SolverError
from optisolve.core.options import Options, Resource
from optisolve.core.problem import Instance
from optisolve.core.solver import Known, Solver, Task
from optisolve.core.space import Space
from optisolve.solvers.space_filling import latin_hypercube, sobol, spread

__all__ = [
    "SAMPLES",
    "Init",
    "PopulationOptions",
    "Start",
    "StartOptions",
    "first_points",
    "population",
    "starting_points",
]

SAMPLES: Final = ("uniform", "latin_hypercube", "sobol")
"""Sources that know nothing of the instance."""
_SOURCES: Final = (*SAMPLES, "null", "ddpm", "file:PATH", "auto")
_SAMPLED: Final = 0.8, 200
"""Share of the evaluations, and most points, that a population with several objectives begins with where the sampler makes
them: while evaluations are few its points are worth more than offspring (docs/starting_points.md)."""
_RANDOM: Final = frozenset(f"start:{kind}" for kind in SAMPLES)
_FEWEST, _MOST = 10, 100
_DIGITS: Final = 9
"""Digits of variables scaled to [0, 1] to which points are the same point."""


@dataclass(frozen=True, slots=True)
class _Source:
    """One entry of `init`: a kind, the share of the points that it shall give (None: a part of what is left), a file."""

    kind: str
    share: float | None = None
    file: str = ""

    @classmethod
    def read(cls, text: str) -> _Source:
        """An entry as it is written, e.g. ``ddpm:0.5``.

        Raises:
            ValueError: It is none; the text says what was expected.
        """
        kind, _, rest = text.partition(":")
        if kind == "file":
            path, _, last = rest.rpartition(":")
            share = _number(last) if path else None
            path = rest if share is None else path
            if not path:
                raise ValueError(f"file:PATH with the path of a file or a run's folder, not '{text}'")
        elif kind in (*SAMPLES, "null", "ddpm", "auto"):
            share, path = (_number(rest) if rest else None), ""
            if rest and (share is None or kind == "auto"):
                raise ValueError(
                    f"a number after '{kind}:', its share, not '{text}'" if kind != "auto" else "auto without a share"
                )
        else:
            raise ValueError(f"{', '.join(_SOURCES)}, each with a share if need be (ddpm:0.5); '{text}' is none of them")
        if share is not None and not 0.0 < share <= 1.0:
            raise ValueError(f"a share above 0 and at most 1, not '{text}'")
        return cls(kind, share, path)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _entries(value: object) -> tuple[str, ...]:
    """The entries of `init` as they may be given: one or several; None is the word ``null`` as YAML reads it.

    Raises:
        ValueError: One of them is no source, or their shares exceed 1; the text says what was expected.
    """
    given = value if isinstance(value, (list, tuple)) else (value,)
    entries = tuple("null" if entry is None else str(entry) for entry in given)
    if not entries:
        raise ValueError(f"at least one of {', '.join(_SOURCES)}")
    total = sum(_Source.read(entry).share or 0.0 for entry in entries)
    if total > 1.0 + 1e-9:
        raise ValueError(f"shares that add up to at most 1, not {total:g}")
    return entries


def _no_file(entries: Sequence[str]) -> bool:
    return not any(entry.startswith("file:") for entry in entries)


Init = Annotated[tuple[str, ...], Resource(_no_file)]
"""Sources of starting points, as options have them."""


@dataclass(frozen=True, slots=True)
class StartOptions(Solver):
    """Base of solvers that begin with several points.

    Args:
        init: Where the first points come from: ``uniform``, ``latin_hypercube``, ``sobol``, ``null`` (the instance's trivial
            answers; beside other sources a quarter of the points at most where there are many), ``ddpm`` (the trained sampler),
            ``file:PATH`` (CSV, npy, record or run folder), ``auto`` (null, and ddpm where weights of the family are shipped,
            else uniform). A share may follow, ``ddpm:0.5``; sources without one divide what is left, and uniform points
            take the place of what a source cannot give.
    """

    fills: ClassVar[str] = "uniform"
    """Samples that ``auto`` ends with, and that take the place of what a source cannot give."""
    init: Init = ("uniform",)

    def __post_init__(self) -> None:
        problems = list[FieldProblem]()
        try:
            object.__setattr__(self, "init", _entries(self.init))  # one spelling, so that equal runs have equal options
        except ValueError as error:
            problems.append(FieldProblem("init", self.init, str(error)))
            object.__setattr__(self, "init", ())
        try:
            Options.__post_init__(self)
        except OptionError as error:
            problems += error.problems
        if problems:
            raise OptionError(self._title(), problems)

    def skip(self, instance: Instance) -> str | None:
        """Why this solver cannot treat an instance here; starting points that are not there are a reason."""
        return Solver.skip(self, instance) or _gap(self.init, instance)

    def takes_start(self, instance: Instance) -> bool:
        """The points that are given come first."""
        return True

    def checkpoint(self, instance: Instance) -> dict[str, str] | None:
        """The sampler's weights and the files of points, where they make starting points."""
        used = list[dict[str, str]]()
        if _asks_sampler(self.init, instance):
            from optisolve.solvers.ddpm.weights import weights_digest

            used += filter(None, [weights_digest("auto", instance.origin.problem)])
        for path in filter(None, (_Source.read(entry).file for entry in self.init)):
            from optisolve.solvers.point_files import file_digest

            used.append(file_digest(path))
        if len(used) < 2:
            return used[0] if used else None
        together = hashlib.sha256("".join(part["sha256"] for part in used).encode()).hexdigest()
        return {"name": " + ".join(part["name"] for part in used), "sha256": together}


def population(evaluations: int | None) -> int:
    """How many points a population holds that a run of so many evaluations is spent on.

    Args:
        evaluations: Evaluations of the run; None where only seconds limit it.
    """
    return _MOST if evaluations is None else max(_FEWEST, min(_MOST, round(1.2 * evaluations**0.5)))


@dataclass(frozen=True, slots=True)
class PopulationOptions(StartOptions):
    """Base of solvers with a population.

    Args:
        pop_size: Points of the population; None follows the evaluations: 1.2 times their square root, 10 to 100.
    """

    pop_size: Annotated[int, Ge(2)] | None = None

    def population(self, budget: Budget) -> int:
        """Points of the population under a budget."""
        return population(budget.evaluations) if self.pop_size is None else self.pop_size


def first_points(task: Task, options: StartOptions, n: int) -> int:
    """How many points a population of n begins with, of which it keeps the best n.

    More than n where the sampler makes points for several objectives, unless `pop_size` says how many there are, a random
    source shall give some of them, or the run has points already.
    """
    budget, instance = task.meter.budget, task.instance
    says = getattr(options, "pop_size", None) is not None or not {"auto", "ddpm"}.issuperset({*options.init} - {"null"})
    if says or task.known is not None or budget.evaluations is None or len(instance.objectives) == 1:
        return n
    share, most = _SAMPLED
    return max(n, min(most, int(share * budget.evaluations))) if _asks_sampler(options.init, instance) else n


@dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Where a run begins.

    Attributes:
        X: float64 [k, d], points still to be evaluated, inside the box.
        source: Their labels, for ``task.evaluate(source=...)``.
        known: All points that the run has paid for already (`Task.known`); None for a run that begins.
    """

    X: FloatArray
    source: list[str]
    known: Known | None

    @property
    def random(self) -> bool:
        """True when nothing is known of any of the points."""
        return self.known is None and all(label in _RANDOM for label in self.source)


def starting_points(task: Task, options: StartOptions, n: int) -> Start:
    """What to evaluate before n points are there.

    Known points count. First come the user's own (``warm_start``, at most n), then the sources of ``init``; a point that is
    known already is not asked for again.

    Args:
        task: The run.
        options: Its `init`.
        n: Points wanted, those that are known included.

    Raises:
        SolverError: ``init`` names a sampler that is not there or a file that holds no points of this problem.
    """
    instance, known = task.instance, task.known
    n_known = 0 if known is None else min(n, known.X.shape[0])
    seen = _Seen(instance.space)
    if known is not None:
        seen.fresh(known.X)
    warm = task.start[:n]
    warm = warm[seen.new(warm)]  # a user's own points may be equal to each other
    seen.fresh(warm)
    wanted = n - n_known - warm.shape[0]
    parts, labels = [warm], ["warm_start"] * warm.shape[0]
    for kind, X in _drawn(task, options, wanted, seen):
        parts.append(X)
        labels += [f"start:{kind}"] * X.shape[0]
    return Start(np.concatenate(parts), labels, known)


def _drawn(task: Task, options: StartOptions, wanted: int, seen: _Seen) -> Iterator[tuple[str, FloatArray]]:
    """Points of every source, `wanted` in all."""
    instance, left = task.instance, wanted
    if reason := _gap(options.init, instance):
        raise SolverError(f"{task.solver_name}: {reason}.")
    sources = [source for entry in options.init for source in _meant(entry, instance, options.fills)]
    files = _file_points(sources, instance)
    rng = task.rng(operator="initial")
    if wanted <= 0:
        return
    given = {
        "null": _null_points(instance, wanted, alone=len(sources) == 1),
        **{f"file:{path}": X for path, X in files.items()},
    }
    counts = _counts(sources, wanted, {name: X.shape[0] for name, X in given.items()})
    for source, planned in zip(sources, counts, strict=True):
        count = min(planned, left)
        if count <= 0:
            continue
        if source.kind in SAMPLES:
            X = _samples(source.kind, instance.space, rng, count)
        elif source.kind == "ddpm":
            X = seen.fresh(_sampled(task, count))
        else:
            X = seen.fresh(given["null" if source.kind == "null" else f"file:{source.file}"])
            X = X[np.arange(count) * X.shape[0] // count] if count < X.shape[0] and source.kind == "null" else X[:count]
        left -= X.shape[0]
        yield source.kind, X
    if left > 0:
        yield options.fills, _samples(options.fills, instance.space, rng, left)


def _samples(kind: str, space: Space, rng: np.random.Generator, n: int) -> FloatArray:
    """Points that know nothing of the problem, float64 [n, d]."""
    if kind == "uniform":
        return space.sample(rng, n)
    return latin_hypercube(space, rng, n) if kind == "latin_hypercube" else spread(space, sobol(rng, space.dim, n))


def _meant(entry: str, instance: Instance, fills: str) -> list[_Source]:
    """The sources of an entry; several for ``auto``."""
    source = _Source.read(entry)
    if source.kind != "auto":
        return [source]
    return [_Source("null"), _Source("ddpm" if _asks_sampler((entry,), instance) else fills)]


def _counts(sources: Sequence[_Source], wanted: int, given: dict[str, int]) -> list[int]:
    """Points of every source: shares first, all trivial answers, and equal parts of what is left for the others."""
    counts = [0] * len(sources)
    for i, source in enumerate(sources):
        if source.share is not None:
            counts[i] = round(source.share * wanted)
        elif source.kind == "null":
            counts[i] = given["null"]
    open_ones = [i for i, source in enumerate(sources) if source.share is None and source.kind != "null"]
    left = max(0, wanted - sum(counts))
    # Files first: what one of them lacks goes to the others.
    for rank, i in enumerate(sorted(open_ones, key=lambda i: (sources[i].kind != "file", i))):
        part = -(-left // (len(open_ones) - rank))
        counts[i] = min(part, given[f"file:{sources[i].file}"]) if sources[i].kind == "file" else part
        left -= counts[i]
    return counts


class _Seen:
    """Points that are there already.

    Args:
        space: The decision space.
    """

    def __init__(self, space: Space) -> None:
        self._space, self._keys = space, set[bytes]()

    def new(self, X: FloatArray) -> BoolArray:
        """Which points are not there, bool [n]."""
        return np.array([key not in self._keys for key in self._names(X)], dtype=np.bool_)

    def fresh(self, X: FloatArray) -> FloatArray:
        """The points that were not there, each once; they are there from now on."""
        names = self._names(X)
        first = {key: i for i, key in reversed(list(enumerate(names))) if key not in self._keys}
        self._keys.update(names)
        return X[sorted(first.values())]

    def _names(self, X: FloatArray) -> list[bytes]:
        return [u.tobytes() for u in np.round(self._space.normalize(X), _DIGITS) + 0.0]  # -0.0 is 0.0


# -- sources -----------------------------------------------------------------------------------------------------------


def _null_points(instance: Instance, wanted: int, *, alone: bool) -> FloatArray:
    """The trivial answers, float64 [n, d]; none where the instance offers none.

    Beside other sources they are an evenly spaced part where they are more than one per policy and more than a quarter of
    the points: what lies in the corners of the box (test functions have a hundred such points) is no population.
    """
    policies = [np.atleast_2d(X) for X in instance.null_policies().values()]
    X = np.concatenate([np.empty((0, instance.space.dim)), *policies])
    most = wanted if alone else max(len(policies), -(-wanted // 4))
    if X.shape[0] > most:
        X = X[np.linspace(0, X.shape[0] - 1, most).round().astype(np.int64)]
    return instance.space.clip(X)


def _sampled(task: Task, count: int) -> FloatArray:
    from optisolve.solvers.ddpm.start import sampled_points

    X = sampled_points(task, count, task.seed)
    return np.empty((0, task.instance.space.dim)) if X is None else task.instance.space.clip(X)


def _asks_sampler(init: Sequence[str], instance: Instance) -> bool:
    """Whether the sampler makes starting points of this instance."""
    if {_Source.read(entry).kind for entry in init}.isdisjoint({"ddpm", "auto"}):
        return False
    from optisolve.solvers.ddpm.start import has_sampler

    return has_sampler(instance)


def _file_points(sources: Sequence[_Source], instance: Instance) -> dict[str, FloatArray]:
    """Points of the files among sources, by path."""
    paths = [source.file for source in sources if source.file]
    if not paths:
        return {}
    from optisolve.solvers.point_files import read_points

    return {path: read_points(path, instance) for path in paths}


def _gap(init: Sequence[str], instance: Instance) -> str | None:
    """Why starting points that were asked for by name cannot be had; while a record is audited no file is opened for it."""
    sources = [_Source.read(entry) for entry in init]
    if any(source.kind == "ddpm" for source in sources) and not _asks_sampler(init, instance):
        return f"init=ddpm needs a trained sampler, and none is shipped for {instance.origin.problem}; init=auto goes without"
    try:
        _file_points(sources if not only_shipped() else (), instance)
    except OptisolveError as error:
        return str(error).removesuffix(".")
    return None
