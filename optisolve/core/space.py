"""The decision space: named, bounded variables with units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from optisolve.core.arrays import BoolArray, FloatArray, frozen
from optisolve.core.errors import ProblemError
from optisolve.core.html import html_table

__all__ = ["Kind", "Space", "Variable"]

_SHOWN = 4
"""Names in the text that stands for a space."""
_ROWS = 20
"""Rows of its table in a notebook."""
_COLUMNS = ("variable", "kind", "lower", "upper", "unit")


class Kind(StrEnum):
    """What values a variable takes."""

    REAL = "real"
    INTEGER = "integer"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Variable:
    """One decision variable.

    Args:
        name: Unique name, part of the interface, e.g. ``"uav0.x_m"``.
        lower: Smallest allowed value, in `unit`.
        upper: Largest allowed value, in `unit`.
        unit: Unit as printed to people, ``""`` when dimensionless.
        kind: Real, integer or binary.
    """

    name: str
    lower: float
    upper: float
    unit: str = ""
    kind: Kind = Kind.REAL


@dataclass(frozen=True, eq=False, repr=False)
class Space:
    """A box of named variables; build it with `Space.of`.

    Attributes:
        names: Variable names, length d.
        units: Units, length d.
        kinds: Kinds, length d.
        lower: float64 [d], read-only.
        upper: float64 [d], read-only.
        integer: bool [d], true for integer and binary variables.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    kinds: tuple[Kind, ...]
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray = field(init=False)
    has_integers: bool = field(init=False)

    def __post_init__(self) -> None:
        mask = np.array([kind is not Kind.REAL for kind in self.kinds], dtype=bool)
        mask.setflags(write=False)
        object.__setattr__(self, "integer", mask)
        object.__setattr__(self, "has_integers", bool(mask.any()))
        if len(set(self.names)) != len(self.names):
            raise ProblemError(f"Variable names must be unique, got {self.names}.")
        bad = np.flatnonzero(~(self.lower <= self.upper) | ~np.isfinite(self.lower) | ~np.isfinite(self.upper))
        if bad.size:
            i = int(bad[0])
            raise ProblemError(
                f"Variable '{self.names[i]}' has bounds [{self.lower[i]}, {self.upper[i]}]; expected finite lower <= upper."
            )

    def __repr__(self) -> str:
        shown = self.names if len(self.names) <= _SHOWN else (*self.names[: _SHOWN - 1], "…", self.names[-1])
        return f"<Space d={self.dim} ({self._counted()}): {', '.join(shown)}>"

    def _repr_html_(self) -> str:
        columns = zip(self.names, self.kinds, self.lower, self.upper, self.units, strict=True)
        rows: list[tuple[object, ...]] = [
            (name, kind.value, float(low), float(high), unit) for name, kind, low, high, unit in columns
        ]
        if len(rows) > _ROWS:
            rows = [*rows[: _ROWS - 2], (f"… {len(rows) - _ROWS + 1} more", "", "", "", ""), rows[-1]]
        return html_table(f"Space of {self.dim} variables ({self._counted()})", rows, heads=_COLUMNS)

    def _counted(self) -> str:
        counts = {kind.value: self.kinds.count(kind) for kind in Kind}
        return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)

    @classmethod
    def of(cls, variables: Iterable[Variable]) -> Space:
        """Build a space from variables in order."""
        items = tuple(variables)
        return cls(
            names=tuple(v.name for v in items),
            units=tuple(v.unit for v in items),
            kinds=tuple(v.kind for v in items),
            lower=frozen([v.lower for v in items]),
            upper=frozen([v.upper for v in items]),
        )

    @property
    def dim(self) -> int:
        """Number of variables d."""
        return len(self.names)

    def sample(self, rng: np.random.Generator, n: int) -> FloatArray:
        """Draw n points uniformly, float64 [n, d]; integer variables are uniform over their values."""
        U = rng.random((n, self.dim))  # [n, d]
        X = self.denormalize(U)
        if self.has_integers:
            low, high = np.ceil(self.lower), np.floor(self.upper)
            X[:, self.integer] = np.floor(low + U * (high - low + 1.0))[:, self.integer]
            np.clip(X, self.lower, self.upper, out=X)
        return X

    def clip(self, X: FloatArray) -> FloatArray:
        """Clip to the box and round integer variables; returns a new float64 [n, d]."""
        if self.has_integers:
            X = np.where(self.integer, np.rint(X), X)
        return np.minimum(np.maximum(X, self.lower), self.upper)

    def normalize(self, X: FloatArray) -> FloatArray:
        """Map the box to [0, 1]; variables with lower = upper map to 0."""
        width = self.upper - self.lower
        return (X - self.lower) / np.where(width > 0, width, 1.0)

    def denormalize(self, U: FloatArray) -> FloatArray:
        """Map [0, 1] to the box, never past a bound."""
        X: FloatArray = np.minimum(np.maximum(self.lower + U * (self.upper - self.lower), self.lower), self.upper)
        return X

    def require(self, X: npt.ArrayLike, *, what: str = "X") -> FloatArray:
        """Check a batch of points and return it as contiguous float64 [n, d].

        Args:
            X: Array-like [n, d] or [d].
            what: Name used in the error message.

        Returns:
            float64 [n, d]; the same memory when X already is one.

        Raises:
            ProblemError: Wrong shape, NaN or infinity, a value outside its bounds, or a fraction where an integer
                is expected; the text names the variable and the row.
        """
        array = np.ascontiguousarray(X, dtype=np.float64)
        if array.ndim == 1:
            array = array[None, :]
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise ProblemError(f"{what} has shape {array.shape}; expected [n, {self.dim}], one column per variable.")
        inside = array >= self.lower  # false for NaN
        inside &= array <= self.upper
        if not inside.all():
            row, column = (int(v) for v in np.argwhere(~inside)[0])
            raise ProblemError(self._bad_value(what, array[row, column], row, column))
        if self.has_integers:
            part = array[:, self.integer]
            if not np.array_equal(part, np.rint(part)):
                row, k = (int(v) for v in np.argwhere(part != np.rint(part))[0])
                column = int(np.flatnonzero(self.integer)[k])
                raise ProblemError(f"{what}[{row}] '{self.names[column]}' = {array[row, column]}; expected an integer.")
        return array

    def _bad_value(self, what: str, value: float, row: int, column: int) -> str:
        unit = f" {self.units[column]}" if self.units[column] else ""
        expected = f"a finite value in [{self.lower[column]:g}, {self.upper[column]:g}]{unit}"
        return f"{what}[{row}] '{self.names[column]}' = {value}; expected {expected}."
