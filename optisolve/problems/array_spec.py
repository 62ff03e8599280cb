"""What arrays a family needs: their shapes and units, and which values they may have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.errors import FieldProblem

__all__ = ["ArraySpec", "axes", "shape_text", "span", "value_problems"]

LARGEST, SMALLEST = 1e75, 1e-75
"""Magnitudes of values other than 0; the square of a quotient of two of them is still a number."""


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One named array of an instance file.

    Args:
        name: Name with unit suffix, e.g. ``"gain"`` or ``"noise_w"``.
        shape: One letter or number per axis; equal letters must have equal lengths, e.g. ``("K", "K")``.
        unit: Unit as printed in errors, ``""`` when dimensionless.
        lower: Smallest allowed value, None for no limit.
        strict: Values must be larger than `lower`, not equal.
        upper: Largest allowed value, None for no limit.
        integer: Values must be whole numbers.
        meaning: What it is, one phrase.
        default: Value where a file leaves it out and the family has no setting of the same name; None makes it required.
        power_gain: It is the squared magnitude of a channel coefficient, which a file may hold in its place.
        columns: Headings that a table may have above it, () for any.
    """

    name: str
    shape: tuple[str | int, ...]
    unit: str = ""
    lower: float | None = None
    strict: bool = False
    upper: float | None = None
    integer: bool = False
    meaning: str = ""
    default: float | None = None
    power_gain: bool = False
    columns: tuple[str, ...] = ()


def axes(spec: ArraySpec, shape: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    """Letters of the axes and their lengths."""
    yield from ((axis, size) for axis, size in zip(spec.shape, shape, strict=True) if isinstance(axis, str))


def span(array: FloatArray) -> str:
    """Smallest and largest value, as text."""
    low, high = float(array.min()), float(array.max())
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def shape_text(spec: ArraySpec) -> str:
    """Axes and unit, as text."""
    return f"[{', '.join(str(axis) for axis in spec.shape)}]" + (f" in {spec.unit}" if spec.unit else "")


def value_problems(spec: ArraySpec, array: FloatArray) -> Iterator[FieldProblem]:
    """One per kind of fault, with the first place where it is."""
    unit = f" {spec.unit}" if spec.unit else ""
    if array.size == 0:
        yield FieldProblem(spec.name, "an empty array", f"at least one value {shape_text(spec)}")
        return
    finite = np.isfinite(array)
    checks = [(~finite, f"finite values{unit}")]
    if spec.lower is not None:
        low = array <= spec.lower if spec.strict else array < spec.lower
        decibels = spec.power_gain and float((low & finite).mean()) > 0.5
        hint = "; if these are dB, write 10**(dB/10)" if decibels else ""
        checks.append((low & finite, f"values {'>' if spec.strict else '>='} {spec.lower:g}{unit}{hint}"))
    size = np.abs(array)
    out_of_range = finite & ((size > LARGEST) | ((size < SMALLEST) & (size > 0.0)))
    checks.append((out_of_range, f"values of magnitude {SMALLEST:g} to {LARGEST:g}{unit}, or 0"))
    if spec.upper is not None:
        checks.append((finite & (array > spec.upper), f"values <= {spec.upper:g}{unit}"))
    if spec.integer:
        checks.append((finite & (array != np.rint(array)), "whole numbers"))
    for wrong, expected in checks:
        if wrong.any():
            index, many = tuple(int(i) for i in np.argwhere(wrong)[0]), int(wrong.sum())
            more = f" ({many} of {array.size} are not)" if many > 1 else ""
            yield FieldProblem(f"{spec.name}{list(index) if index else ''}", float(array[index]), expected + more)
