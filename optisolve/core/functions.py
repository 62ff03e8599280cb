"""What `optisolve.problem` is given: arguments that are checked together, and functions that are called with points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import FloatArray, frozen
from optisolve.core.errors import BudgetExhausted, FieldProblem, OptionError, ProblemError, short
from optisolve.core.evaluation import HypervolumeBox, Objective, RunsIn, Sense
from optisolve.core.space import Kind, Space, Variable
from optisolve.core.text import is_safe_name

__all__ = ["Arguments", "Function", "Functions", "call", "column_names", "identity_arrays", "probed"]

Function: TypeAlias = Callable[[FloatArray], npt.ArrayLike]
Functions: TypeAlias = Function | Sequence[Function] | Mapping[str, Function] | None
T = TypeVar("T")

_DIGITS = 9
"""Digits of a value that make an identity; processors differ in later ones."""

_SENSES = {"min": Sense.MINIMIZE, "max": Sense.MAXIMIZE, "minimize": Sense.MINIMIZE, "maximize": Sense.MAXIMIZE}


class Arguments:
    """Arguments of `problem`; what is wrong with them is collected and told at once.

    Args:
        name: Name of the problem.
    """

    def __init__(self, name: str) -> None:
        self.name, self._wrong = name, list[FieldProblem]()
        self._require(is_safe_name(name), "name", name, "a name of letters, digits, '_', '-', '.', '+'")

    def whole(self, made: T | None) -> T:
        """The object when nothing is bad.

        Raises:
            OptionError: All that is bad.
        """
        if self._wrong or made is None:
            raise OptionError(f"problem '{self.name}'", self._wrong)
        return made

    def check(self, fun: object, project: object, on_failure: object, probes: object) -> None:
        """The arguments that are what they are."""
        self._require(callable(fun), "fun", fun, "a function of a point")
        self._require(project is None or callable(project), "project", project, "a function from point to point")
        self._require(on_failure in ("penalize", "skip", "stop"), "on_failure", on_failure, "penalize, skip or stop")
        self._require(isinstance(probes, int) and probes >= 1, "probes", probes, "a number of points, 1 or more")

    def how(self, evaluation_s: object, runs_in: RunsIn | None, vectorized: bool) -> RunsIn:
        """How evaluations may run side by side, and whether what they cost is a number."""
        seconds = isinstance(evaluation_s, int | float) and 0.0 <= evaluation_s < float("inf")
        self._require(seconds, "evaluation_s", evaluation_s, "seconds of one evaluation, 0 or more")
        known = runs_in is None or runs_in in get_args(RunsIn)
        self._require(known, "runs_in", runs_in, f"one of {', '.join(get_args(RunsIn))}")
        return runs_in or ("vectorized" if vectorized else "process")

    def space(
        self,
        lower: npt.ArrayLike,
        upper: npt.ArrayLike,
        integer: npt.ArrayLike | None,
        names: Sequence[str] | None,
        units: str | Sequence[str],
    ) -> Space | None:
        """The space; None when an argument is bad."""
        low, high = self._numbers("lower", lower), self._numbers("upper", upper)
        if low is None or high is None:
            return None
        d = max(low.size, high.size, 1 if names is None else len(_listed(names)))
        whole = self._mask(integer, d)
        labels = self._texts("names", [f"x{i}" for i in range(d)] if names is None else names, d)
        told_units = self._texts("units", [units] * d if isinstance(units, str) else units, d)
        for field, values in (("lower", low), ("upper", high)):
            self._require(values.size in (1, d), field, f"{values.size} numbers", f"one number, or {d} of them")
        if self._wrong or whole is None or labels is None or told_units is None:
            return None
        bounds = zip(np.broadcast_to(low, d).tolist(), np.broadcast_to(high, d).tolist(), strict=True)
        for name, (a, b), is_whole in zip(labels, bounds, whole, strict=True):
            fits = np.isfinite(a) and np.isfinite(b) and a <= b and (not is_whole or np.ceil(a) <= np.floor(b))
            room = "with a whole number between them" if is_whole else "both finite"
            self._require(bool(fits), f"bounds of {name}", [a, b], f"lower <= upper, {room}")
        if self._wrong:
            return None
        kinds = [Kind.INTEGER if is_whole else Kind.REAL for is_whole in whole]
        edges = zip(labels, np.broadcast_to(low, d).tolist(), np.broadcast_to(high, d).tolist(), told_units, kinds, strict=True)
        return Space.of(Variable(*edge) for edge in edges)

    def functions(self, field: str, given: object) -> dict[str, Function]:
        """Functions by name, which is the function's own where none is given."""
        named: dict[str, object] = dict(given) if isinstance(given, Mapping) else {}
        several = list(given) if isinstance(given, list | tuple) else [] if given is None or named else [given]
        for i, function in enumerate(several):
            called = getattr(function, "__name__", "")
            fallback = field if len(several) == 1 else f"{field}{i}"
            named[called if is_safe_name(called) and called not in named else fallback] = function
        for name, function in named.items():
            self._require(callable(function), name, function, "a function of a point, a list of them, or functions by name")
        return {str(name): function for name, function in named.items() if callable(function)}

    def objectives(
        self, count: int, sense: str | Sequence[str], given: Sequence[str | Objective] | None
    ) -> tuple[Objective, ...]:
        """As many objectives as `fun` returns values."""
        labels = _listed(given)
        if given is None:
            labels = ["f"] if count == 1 else [f"f{i + 1}" for i in range(count)]
        senses = [sense] * count if isinstance(sense, str) else _listed(sense)
        returns = f"fun returns values, {count}"
        self._require(len(labels) == count, "objectives", labels, f"as many names as {returns}")
        self._require(len(senses) == count, "sense", senses, f"one sense, or as many as {returns}")
        known = all(isinstance(one, str) and one in _SENSES for one in senses)
        self._require(known, "sense", sense, "min or max, for all objectives or one each")
        names: list[object] = [o.name if isinstance(o, Objective) else o for o in labels]
        self._require(
            len({*names}) == len(names) and all(isinstance(n, str) and n for n in names), "objectives", names, "names"
        )
        if self._wrong:
            return ()
        return tuple(
            o
            if isinstance(o, Objective)
            else Objective(str(o), _SENSES[str(one)], meaning=f"what the functions of {self.name} call {o}")
            for o, one in zip(labels, senses, strict=True)
        )

    def points(self, field: str, given: npt.ArrayLike, space: Space) -> FloatArray:
        """Points inside the bounds, float64 [n, d]."""
        try:
            return frozen(space.require(np.asarray(given, dtype=np.float64), what=field))
        except (ProblemError, TypeError, ValueError) as error:
            self._wrong.append(FieldProblem(field, short(given), f"points [n, {space.dim}] ({error})"))
            return np.empty((0, space.dim))

    def box(
        self, given: tuple[Sequence[float], Sequence[float]] | None, objectives: tuple[Objective, ...]
    ) -> HypervolumeBox | None:
        """The scoring box."""
        if given is None or self._wrong:
            return None
        try:
            reference, ideal = (tuple(float(value) for value in corner) for corner in given)
        except (TypeError, ValueError):
            reference, ideal = (), ()
        m = len(objectives)
        fits = len(reference) == len(ideal) == m
        fits = fits and all(o.shortfall(bad, good) > 0.0 for o, bad, good in zip(objectives, reference, ideal, strict=True))
        self._require(fits, "box", given, f"(reference, ideal), {m} numbers each, the reference worse in every objective")
        return HypervolumeBox(reference, ideal) if fits else None

    def _require(self, holds: bool, field: str, given: object, expected: str) -> None:
        if not holds:
            self._wrong.append(FieldProblem(field, short(given), expected))

    def _numbers(self, field: str, given: npt.ArrayLike) -> FloatArray | None:
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            values = np.empty((0, 0))
        fits = values.ndim <= 1 and values.size > 0
        self._require(fits, field, given, "a number, or a list of numbers [d]")
        return np.atleast_1d(values) if fits else None

    def _mask(self, given: npt.ArrayLike | None, d: int) -> list[bool] | None:
        values = np.asarray([] if given is None else given)
        if given is None or values.size == 0:
            return [False] * d
        if values.dtype == bool and values.shape in ((), (d,)):
            return [bool(whole) for whole in np.broadcast_to(values, d)]
        indices = values.ndim == 1 and np.issubdtype(values.dtype, np.integer)
        if indices and ((values >= 0) & (values < d)).all():
            return [i in values for i in range(d)]
        self._require(False, "integer", given, f"bool [{d}], or indices from 0 to {d - 1}")
        return None

    def _texts(self, field: str, given: object, d: int) -> list[str] | None:
        texts = _listed(given)
        fits = len(texts) == d and all(isinstance(text, str) for text in texts) and (d == 1 or not isinstance(given, str))
        fits = fits and (field != "names" or (len({*texts}) == d and all(texts)))
        self._require(fits, field, given, f"{d} text{'s' * (d > 1)}, one per variable{', all different' * (field == 'names')}")
        return [str(text) for text in texts] if fits else None


def _listed(given: object) -> list[object]:
    """A list of what may be one thing or several."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def call(what: str, function: Function, X: FloatArray, vectorized: bool, width: int | None) -> FloatArray:
    """What a function says at points, float64 [n, width].

    Args:
        what: Its name, for errors.
        function: Takes one point or many.
        X: float64 [n, d]; the function gets copies, so that it may write into them.
        vectorized: Whether it takes many.
        width: Values per point; None for what the first point gives.

    Raises:
        ProblemError: It returns something else than so many numbers.
    """
    if vectorized:
        return _shaped(what, function(X.copy()), X, width)
    rows = [_row(what, function(x.copy()), x, width) for x in X]
    return np.array(rows) if rows else np.empty((0, width or 0))


def _array(what: str, given: object) -> FloatArray:
    try:
        values = None if given is None else np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        values = None
    if values is None:
        forgot = "; is a return missing?" if given is None else ""
        raise ProblemError(f"{what} returned {short(given)!r}; expected numbers{forgot}")
    return values


def _row(what: str, given: npt.ArrayLike, x: FloatArray, width: int | None) -> FloatArray:
    values = _array(what, given)
    if values.ndim > 1 or (width is not None and values.size != width) or values.size == 0:
        count = "one number, or a list of them" if width is None else f"{width} number{'s' * (width != 1)}"
        hint = "; if it takes many points at once, say vectorized=True" if values.ndim > 1 else ""
        raise ProblemError(
            f"{what} of one point x [{x.size}] returned an array of shape {values.shape}; expected {count}{hint}."
        )
    return values.reshape(-1)


def _shaped(what: str, given: npt.ArrayLike, X: FloatArray, width: int | None) -> FloatArray:
    values, n = _array(what, given), X.shape[0]
    columns = values[:, None] if values.ndim == 1 else values
    if columns.ndim != 2 or columns.shape[0] != n or (width is not None and columns.shape[1] != width) or columns.size == 0:
        expected = f"[{n}, {'k' if width is None else width}]" + f" or [{n}]" * (width in (None, 1))
        returned = f"{what} of {n} points X {list(X.shape)} returned an array of shape {values.shape}"
        raise ProblemError(f"{returned}; expected {expected}. If it takes one point at a time, leave vectorized=True away.")
    return np.ascontiguousarray(columns)


def probed(
    problem: str, what: str, function: Function, X: FloatArray, vectorized: bool, width: int | None = None
) -> FloatArray:
    """What a function says at the probes, float64 [n, k]; NaN at those where it fails.

    Raises:
        ProblemError: It fails at all of them, returns something else than numbers, or treats a point in a batch otherwise.
    """
    what = f"problem '{problem}': {what}"
    rows: list[FloatArray | None] = []
    first: Exception | None = None
    for x in X:
        try:
            rows.append(call(what, function, x[None], vectorized, width)[0])
        except (MemoryError, BudgetExhausted, ProblemError):
            raise
        except Exception as error:  # a stranger's function may raise anything; at one point that is a bad point
            first, rows = first or error, [*rows, None]
    widths = {row.size for row in rows if row is not None}
    if not widths:
        way = "all points X [n, d] at once" if vectorized else "one point x [d] at a time"
        cure = "leave vectorized=True away if it takes one" if vectorized else "say vectorized=True if it takes many"
        told = f"{type(first).__name__}: {first}"
        raise ProblemError(f"{what} fails at all {len(X)} points inside the bounds ({told}). It gets {way}; {cure}.") from first
    if len(widths) > 1:
        raise ProblemError(f"{what} returns {sorted(widths)} values at different points; expected equally many at every point.")
    values = np.array([np.full(next(iter(widths)), np.nan) if row is None else row for row in rows])
    if vectorized and first is None and len(X) > 1:
        together = call(what, function, X, True, values.shape[1])
        size = np.abs(values).max(axis=0, initial=0.0) + np.abs(together).max(axis=0, initial=0.0)
        if not np.allclose(together, values, rtol=0.0, atol=1e-9 * float(size.max(initial=0.0)), equal_nan=True):
            raise ProblemError(
                f"{what} gives a point in a batch X [n, d] other values than alone; every row must count for itself."
            )
    return values


def column_names(probes: Sequence[tuple[str, FloatArray]]) -> tuple[str, ...]:
    """Names of constraints: that of the function, with a number where it returns several values."""
    return tuple(label if values.shape[1] == 1 else f"{label}{i}" for label, values in probes for i in range(values.shape[1]))


def identity_arrays(X: FloatArray, values: FloatArray) -> dict[str, FloatArray]:
    """Probes and what the functions say there, as they are hashed: relative to each column's size, rounded.

    Args:
        X: float64 [n, d].
        values: float64 [n, m + k + p]; not finite where a function failed.
    """
    finite = np.isfinite(values)
    size = np.abs(np.where(finite, values, 0.0)).max(axis=0, initial=0.0)
    size = np.array([float(f"{s:.{_DIGITS}g}") for s in size])
    share = np.round(np.where(finite, values, 0.0) / np.where(size > 0.0, size, 1.0), _DIGITS) + 0.0  # no -0.0
    told = {"probe_x": X, "probe_share": share, "probe_size": size, "probe_finite": finite.astype(np.float64)}
    return {name: frozen(array) for name, array in told.items()}
