"""The MW functions in plain numpy: a distance, a shape in objective space, and limits on the objectives.

Every MW function is built the same way: position variables and the distance g give the objectives (`mw_shape`), and the
constraints depend on the objectives alone (`mw_limits`). `fronts` relies on that.

Source: Ma and Wang 2019, doi 10.1109/TEVC.2019.2896967. Values agree with pymoo's functions of the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from optisolve.core.arrays import FloatArray

__all__ = ["mw_best_distances", "mw_distance", "mw_limits", "mw_shape", "mw_twin"]

_DISTANCE = {1: (1, 4, 5, 9, 12), 2: (2, 6, 8, 10, 13), 3: (3, 7, 11, 14)}
_DISTANCE_OF = {f"mw{number}": kind for kind, numbers in _DISTANCE.items() for number in numbers}


def mw_twin(name: str, X: FloatArray, n_objectives: int) -> tuple[FloatArray, FloatArray]:
    """Objectives float64 [n, m] and constraints float64 [n, k] of an MW function.

    Args:
        name: ``"mw1"`` to ``"mw14"``.
        X: float64 [n, d].
        n_objectives: m.
    """
    g = mw_distance(name, X, n_objectives)
    F = mw_shape(name, X[:, : n_objectives - 1], g, X.shape[1])
    return F, mw_limits(name, F)


def mw_distance(name: str, X: FloatArray, n_objectives: int) -> FloatArray:
    """Distance g >= 1, float64 [n]; 1 on the front that the functions would have without constraints."""
    rest, d = X[:, n_objectives - 1 :], X.shape[1]
    i = np.arange(n_objectives - 1, d)
    kind = _DISTANCE_OF[name]
    if kind == 1:
        z = rest ** (d - n_objectives)
        return np.asarray(1.0 + (1.0 - np.exp(-10.0 * (z - 0.5 - i / (2.0 * d)) ** 2)).sum(axis=1))
    if kind == 2:
        z = 1.0 - np.exp(-10.0 * (rest - i / d) ** 2)
        return np.asarray(1.0 + (0.1 / d * z**2 + 1.5 - 1.5 * np.cos(2.0 * np.pi * z)).sum(axis=1))
    before = X[:, n_objectives - 2 : -1]
    return np.asarray(1.0 + 2.0 * ((rest + (before - 0.5) ** 2 - 1.0) ** 2).sum(axis=1))


def mw_best_distances(name: str, position: FloatArray, d: int) -> FloatArray:
    """Distance variables with g = 1 for given positions, float64 [n, d - m + 1].

    Args:
        name: Name of the function.
        position: float64 [n, m - 1].
        d: Number of variables.
    """
    n, first = position.shape
    i = np.arange(first, d)
    kind = _DISTANCE_OF[name]
    if kind == 1:
        return np.tile((0.5 + i / (2.0 * d)) ** (1.0 / (d - first - 1)), (n, 1))
    if kind == 2:
        return np.tile(i / d, (n, 1))
    chain = [position[:, -1]]
    for _ in i:  # each variable's best value depends on the one before it
        chain.append(1.0 - (chain[-1] - 0.5) ** 2)
    return np.column_stack(chain[1:])


def mw_shape(name: str, position: FloatArray, g: FloatArray, d: int) -> FloatArray:
    """Objectives float64 [n, m] at positions float64 [n, m - 1] and distances g float64 [n]."""
    p = position**d if name == "mw10" else position
    return _SHAPE[name](p, g[:, None])


def mw_limits(name: str, F: FloatArray) -> FloatArray:
    """Constraints float64 [n, k], satisfied when <= 0, of objectives float64 [n, m]."""
    return np.column_stack(_LIMITS[name](F))


# -- shapes: position [n, m - 1] and g [n, 1] to objectives [n, m] ---------------------------------------------------


def _line(slope: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    return lambda p, g: np.hstack([p, g - slope * p])


def _circle(radius_squared: float) -> Callable[[FloatArray, FloatArray], FloatArray]:
    # The bound of the position may lie above the radius by rounding.
    return lambda p, g: g * np.hstack([p, np.sqrt(np.maximum(radius_squared - p**2, 0.0))])


def _simplex(p: FloatArray, g: FloatArray) -> FloatArray:
    return g * _products(1.0 - p, p)


def _sphere(p: FloatArray, g: FloatArray) -> FloatArray:
    return g * _products(np.cos(0.5 * np.pi * p), np.sin(0.5 * np.pi * p))


def _products(first: FloatArray, second: FloatArray) -> FloatArray:
    """Columns prod a, prod_{i < m - 2} a_i b_{m - 2}, ..., a_0 b_1, b_0; [n, m] from a and b [n, m - 1]."""
    ones = np.ones((first.shape[0], 1))
    running = np.hstack([ones, np.cumprod(first, axis=1)])[:, ::-1]
    return running * np.hstack([ones, second[:, ::-1]])


def _mw9_shape(p: FloatArray, g: FloatArray) -> FloatArray:
    return g * np.hstack([p, 1.0 - p**0.6])


def _mw10_shape(p: FloatArray, g: FloatArray) -> FloatArray:
    return g * np.hstack([p, 1.0 - p**2])


def _mw12_shape(p: FloatArray, g: FloatArray) -> FloatArray:
    return g * np.hstack([p, 0.85 - 0.8 * p - 0.08 * np.abs(np.sin(3.2 * np.pi * p))])


def _mw13_shape(p: FloatArray, g: FloatArray) -> FloatArray:
    return g * np.hstack([p, 5.0 - np.exp(p) - np.abs(0.5 * np.sin(3.0 * np.pi * p))])


def _mw14_shape(p: FloatArray, g: FloatArray) -> FloatArray:
    height = 6.0 - np.exp(p) - 1.5 * np.sin(1.1 * np.pi * p**2)
    return np.hstack([p, g * height.mean(axis=1, keepdims=True)])


# -- limits: objectives [n, m] to one array [n] per constraint --------------------------------------------------------


def _mw1_limits(F: FloatArray) -> list[FloatArray]:
    f1, f2 = F.T
    return [f1 + f2 - 1.0 - 0.5 * np.sin(2.0 * np.pi * np.sqrt(2.0) * (f2 - f1)) ** 8]


def _mw2_limits(F: FloatArray) -> list[FloatArray]:
    f1, f2 = F.T
    return [f1 + f2 - 1.0 - 0.5 * np.sin(3.0 * np.pi * np.sqrt(2.0) * (f2 - f1)) ** 8]


def _mw3_limits(F: FloatArray) -> list[FloatArray]:
    f1, f2 = F.T
    wave = np.sin(0.75 * np.pi * np.sqrt(2.0) * (f2 - f1))
    return [f1 + f2 - 1.05 - 0.45 * wave**6, 0.85 - f1 - f2 + 0.3 * wave**2]


def _mw4_limits(F: FloatArray) -> list[FloatArray]:
    difference = F[:, -1] - F[:, :-1].sum(axis=1)
    return [F.sum(axis=1) - 1.0 - 0.4 * np.sin(2.5 * np.pi * difference) ** 8]


def _mw5_limits(F: FloatArray) -> list[FloatArray]:
    square, angle = (F**2).sum(axis=1), np.arctan2(F[:, 1], F[:, 0])
    ripple = np.sin(6.0 * (0.5 * np.pi - 2.0 * np.abs(angle - 0.25 * np.pi)) ** 3)
    return [
        square - (1.7 - 0.2 * np.sin(2.0 * angle)) ** 2,
        (1.0 + 0.5 * ripple) ** 2 - square,
        (1.0 - 0.45 * ripple) ** 2 - square,
    ]


def _mw6_limits(F: FloatArray) -> list[FloatArray]:
    bump = np.cos(6.0 * np.arctan2(F[:, 1], F[:, 0]) ** 4) ** 10
    return [(F[:, 0] / (1.0 + 0.15 * bump)) ** 2 + (F[:, 1] / (1.0 + 0.75 * bump)) ** 2 - 1.0]


def _mw7_limits(F: FloatArray) -> list[FloatArray]:
    square, ripple = (F**2).sum(axis=1), np.sin(4.0 * np.arctan2(F[:, 1], F[:, 0]))
    return [square - (1.2 + 0.4 * ripple**16) ** 2, (1.15 - 0.2 * ripple**8) ** 2 - square]


def _mw8_limits(F: FloatArray) -> list[FloatArray]:
    square = (F**2).sum(axis=1)
    return [square - (1.25 - 0.5 * np.sin(6.0 * np.arcsin(F[:, -1] / np.sqrt(square))) ** 2) ** 2]


def _mw9_limits(F: FloatArray) -> list[FloatArray]:
    f1, f2 = F.T
    near = (1.0 - 0.64 * f1**2 - f2) * (1.0 - 0.36 * f1**2 - f2)
    far = (1.35**2 - (f1 + 0.35) ** 2 - f2) * (1.15**2 - (f1 + 0.15) ** 2 - f2)
    return [np.minimum(near, far)]


def _mw10_limits(F: FloatArray) -> list[FloatArray]:
    s, f2 = F[:, 0] ** 2, F[:, 1]
    return [
        -(2.0 - 4.0 * s - f2) * (2.0 - 8.0 * s - f2),
        (2.0 - 2.0 * s - f2) * (2.0 - 16.0 * s - f2),
        (1.0 - s - f2) * (1.2 - 1.2 * s - f2),
    ]


def _mw11_limits(F: FloatArray) -> list[FloatArray]:
    s, f2 = F[:, 0] ** 2, F[:, 1]
    return [
        -(3.0 - s - f2) * (3.0 - 2.0 * s - f2),
        (3.0 - 0.625 * s - f2) * (3.0 - 7.0 * s - f2),
        -(1.62 - 0.18 * s - f2) * (1.125 - 0.125 * s - f2),
        (2.07 - 0.23 * s - f2) * (0.63 - 0.07 * s - f2),
    ]


def _mw12_limits(F: FloatArray) -> list[FloatArray]:
    f1, f2 = F.T

    def wave(height: float, slope: float, period1: float) -> FloatArray:
        return np.asarray(height - slope * f1 - f2 + 0.08 * np.sin(2.0 * np.pi * (f2 / height - f1 / period1)))

    return [
        -wave(1.0, 0.625, 1.6) * wave(1.4, 0.875, 1.6),
        wave(1.0, 0.8, 1.5) * wave(1.8, 1.125, 1.6),
    ]


def _mw13_limits(F: FloatArray) -> list[FloatArray]:
    f1, f2 = F.T
    above = 5.0 - 0.5 * np.sin(3.0 * np.pi * f1) - f2
    return [
        -(above - (1.0 + f1 + 0.5 * f1**2)) * (above - (1.0 + 0.7 * f1)),
        (above - np.exp(f1)) * (above - (1.0 + 0.4 * f1)),
    ]


def _mw14_limits(F: FloatArray) -> list[FloatArray]:
    p = F[:, :-1]
    roof = 6.1 - (1.0 + p + 0.5 * p**2 + 1.5 * np.sin(1.1 * np.pi * p**2))
    return [F[:, -1] - roof.mean(axis=1)]


_SHAPE: Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "mw1": _line(0.85),
    "mw2": _line(1.0),
    "mw3": _line(1.0),
    "mw4": _simplex,
    "mw5": _circle(1.0),
    "mw6": _circle(1.1 * 1.1),
    "mw7": _circle(1.0),
    "mw8": _sphere,
    "mw9": _mw9_shape,
    "mw10": _mw10_shape,
    "mw11": _circle(2.0),
    "mw12": _mw12_shape,
    "mw13": _mw13_shape,
    "mw14": _mw14_shape,
}
_LIMITS: Mapping[str, Callable[[FloatArray], list[FloatArray]]] = {
    "mw1": _mw1_limits,
    "mw2": _mw2_limits,
    "mw3": _mw3_limits,
    "mw4": _mw4_limits,
    "mw5": _mw5_limits,
    "mw6": _mw6_limits,
    "mw7": _mw7_limits,
    "mw8": _mw8_limits,
    "mw9": _mw9_limits,
    "mw10": _mw10_limits,
    "mw11": _mw11_limits,
    "mw12": _mw12_limits,
    "mw13": _mw13_limits,
    "mw14": _mw14_limits,
}
