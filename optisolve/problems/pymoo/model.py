"""ZDT and DTLZ in plain numpy: the twins that verification runs on.

The first m - 1 variables are the position on the front (in ZDT the first variable alone, in ZDT5 the first 30 bits); all
others enter a distance g, whose smallest value is that of the front.

Sources: Zitzler, Deb and Thiele 2000, doi 10.1162/106365600568202 (ZDT); Deb, Thiele, Laumanns and Zitzler 2005,
doi 10.1007/1-84628-137-7_6 (DTLZ). Values agree with pymoo's functions of the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["ZDT5_BITS", "ZDT5_GROUP", "dtlz_twin", "zdt_twin"]

ZDT5_BITS = 30
"""Bits of the position of ZDT5."""
ZDT5_GROUP = 5
"""Bits of each further group of ZDT5."""
_DTLZ4_EXPONENT = 100.0


def zdt_twin(name: str, X: FloatArray) -> FloatArray:
    """Objectives of a ZDT function, float64 [n, 2].

    Args:
        name: ``"zdt1"`` to ``"zdt6"``.
        X: float64 [n, d].
    """
    return _ZDT[name](X)


def dtlz_twin(name: str, X: FloatArray, n_objectives: int) -> FloatArray:
    """Objectives of a DTLZ function, float64 [n, m].

    Args:
        name: ``"dtlz1"`` to ``"dtlz7"``.
        X: float64 [n, d].
        n_objectives: m.
    """
    return _DTLZ[name](X[:, : n_objectives - 1], X[:, n_objectives - 1 :])


def _linear_distance(X: FloatArray) -> FloatArray:
    """g = 1 + 9 times the mean of all variables but the first, float64 [n]."""
    return np.asarray(1.0 + 9.0 * X[:, 1:].mean(axis=1))


def _zdt1(X: FloatArray) -> FloatArray:
    f1, g = X[:, 0], _linear_distance(X)
    return np.column_stack([f1, g * (1.0 - np.sqrt(f1 / g))])


def _zdt2(X: FloatArray) -> FloatArray:
    f1, g = X[:, 0], _linear_distance(X)
    return np.column_stack([f1, g * (1.0 - (f1 / g) ** 2)])


def _zdt3(X: FloatArray) -> FloatArray:
    f1, g = X[:, 0], _linear_distance(X)
    return np.column_stack([f1, g * (1.0 - np.sqrt(f1 / g) - f1 / g * np.sin(10.0 * np.pi * f1))])


def _zdt4(X: FloatArray) -> FloatArray:
    f1, rest = X[:, 0], X[:, 1:]
    g = 1.0 + 10.0 * rest.shape[1] + (rest**2 - 10.0 * np.cos(4.0 * np.pi * rest)).sum(axis=1)
    return np.column_stack([f1, g * (1.0 - np.sqrt(f1 / g))])


def _zdt5(X: FloatArray) -> FloatArray:
    """With both objectives scaled to [0, 1] over the front's range, as pymoo does."""
    ones = X[:, :ZDT5_BITS].sum(axis=1)
    groups = X[:, ZDT5_BITS:].reshape(X.shape[0], -1, ZDT5_GROUP).sum(axis=2)  # [n, groups], ones in each
    n_groups = groups.shape[1]
    g = np.where(groups == ZDT5_GROUP, 1.0, groups + 2.0).sum(axis=1)  # a full group is best, an empty one deceives
    f1, f2 = 1.0 + ones, g / (1.0 + ones)
    least = n_groups / (1.0 + ZDT5_BITS)
    return np.column_stack([(f1 - 1.0) / ZDT5_BITS, (f2 - least) / (n_groups - least)])


def _zdt6(X: FloatArray) -> FloatArray:
    f1 = 1.0 - np.exp(-4.0 * X[:, 0]) * np.sin(6.0 * np.pi * X[:, 0]) ** 6
    g = 1.0 + 9.0 * X[:, 1:].mean(axis=1) ** 0.25
    return np.column_stack([f1, g * (1.0 - (f1 / g) ** 2)])


def _multimodal(rest: FloatArray) -> FloatArray:
    """Distance of DTLZ1 and DTLZ3 with 11^k - 1 local fronts, float64 [n]."""
    off = rest - 0.5
    return np.asarray(100.0 * (rest.shape[1] + (off**2 - np.cos(20.0 * np.pi * off)).sum(axis=1)))


def _unimodal(rest: FloatArray) -> FloatArray:
    return np.asarray(((rest - 0.5) ** 2).sum(axis=1))


def _products(first: FloatArray, second: FloatArray) -> FloatArray:
    """Columns prod_{i < m - 1} a_i, prod_{i < m - 2} a_i b_{m - 2}, ..., a_0 b_1, b_0; [n, m] from a and b [n, m - 1]."""
    n, last = first.shape
    columns = [np.ones(n) if j == last else first[:, : last - j].prod(axis=1) for j in range(last + 1)]
    factors = [np.ones(n), *(second[:, last - j] for j in range(1, last + 1))]
    return np.column_stack([a * b for a, b in zip(columns, factors, strict=True)])


def _dtlz1(position: FloatArray, rest: FloatArray) -> FloatArray:
    g = _multimodal(rest)
    return 0.5 * (1.0 + g)[:, None] * _products(position, 1.0 - position)


def _on_sphere(angle: FloatArray, g: FloatArray) -> FloatArray:
    """Points on the sphere of radius 1 + g, float64 [n, m], from angles [n, m - 1] in units of a right angle."""
    radians = 0.5 * np.pi * angle
    return (1.0 + g)[:, None] * _products(np.cos(radians), np.sin(radians))


def _dtlz2(position: FloatArray, rest: FloatArray) -> FloatArray:
    return _on_sphere(position, _unimodal(rest))


def _dtlz3(position: FloatArray, rest: FloatArray) -> FloatArray:
    return _on_sphere(position, _multimodal(rest))


def _dtlz4(position: FloatArray, rest: FloatArray) -> FloatArray:
    return _on_sphere(position**_DTLZ4_EXPONENT, _unimodal(rest))


def _on_curve(position: FloatArray, g: FloatArray) -> FloatArray:
    """As `_on_sphere`, with all angles but the first drawn to 45 degrees the smaller g is."""
    drawn = (1.0 + 2.0 * g[:, None] * position[:, 1:]) / (2.0 * (1.0 + g[:, None]))
    return _on_sphere(np.column_stack([position[:, :1], drawn]), g)


def _dtlz5(position: FloatArray, rest: FloatArray) -> FloatArray:
    return _on_curve(position, _unimodal(rest))


def _dtlz6(position: FloatArray, rest: FloatArray) -> FloatArray:
    return _on_curve(position, np.asarray((rest**0.1).sum(axis=1)))


def _dtlz7(position: FloatArray, rest: FloatArray) -> FloatArray:
    g = 1.0 + 9.0 * rest.mean(axis=1)
    waves = position * (1.0 + np.sin(3.0 * np.pi * position))  # [n, m - 1]
    last = (1.0 + g) * (position.shape[1] + 1) - waves.sum(axis=1)
    return np.column_stack([position, last])


_ZDT: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "zdt1": _zdt1,
    "zdt2": _zdt2,
    "zdt3": _zdt3,
    "zdt4": _zdt4,
    "zdt5": _zdt5,
    "zdt6": _zdt6,
}
_DTLZ: Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "dtlz1": _dtlz1,
    "dtlz2": _dtlz2,
    "dtlz3": _dtlz3,
    "dtlz4": _dtlz4,
    "dtlz5": _dtlz5,
    "dtlz6": _dtlz6,
    "dtlz7": _dtlz7,
}
