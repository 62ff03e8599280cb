"""ZDT and DTLZ in numba, one loop over points each; `model` holds the readable equations."""

from __future__ import annotations

from math import cos, exp, pi, sin, sqrt
from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["DTLZ_KERNELS", "ZDT_KERNELS", "bend_and_fold"]

_kernel: Any = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def bend_and_fold(X, lower, upper, shift, fold, Y):  # type: ignore[no-untyped-def]
    """See `shift.moved`.

    Args:
        X: float64 [n, d].
        lower: float64 [d].
        upper: float64 [d].
        shift: float64 [k], of the last k variables.
        fold: Fold at the shift instead of bending there.
        Y: float64 [n, d], written.
    """
    n, d = X.shape
    first = d - shift.size
    for s in range(n):
        for j in range(d):
            x = X[s, j]
            if j >= first:
                low, high, knot = lower[j], upper[j], shift[j - first]
                if fold:
                    y = low + (high - low) * abs(x - knot) / max(knot - low, high - knot)
                else:
                    middle = 0.5 * (low + high)
                    if x <= knot:
                        y = low + (middle - low) * ((x - low) / (knot - low))
                    else:
                        y = middle + (high - middle) * ((x - knot) / (high - knot))
                x = min(max(y, low), high)
            Y[s, j] = x


@_kernel
def _mean_of_rest(X, s):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(1, X.shape[1]):
        total += X[s, j]
    return total / (X.shape[1] - 1)


@_kernel
def _zdt1(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        g = 1.0 + 9.0 * _mean_of_rest(X, s)
        F[s, 0] = X[s, 0]
        F[s, 1] = g - sqrt(X[s, 0] * g)


@_kernel
def _zdt2(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        g = 1.0 + 9.0 * _mean_of_rest(X, s)
        F[s, 0] = X[s, 0]
        F[s, 1] = g - X[s, 0] * X[s, 0] / g


@_kernel
def _zdt3(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x = X[s, 0]
        g = 1.0 + 9.0 * _mean_of_rest(X, s)
        F[s, 0] = x
        F[s, 1] = g - sqrt(x * g) - x * sin(10.0 * pi * x)


@_kernel
def _zdt4(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        g = 1.0
        for j in range(1, X.shape[1]):
            x = X[s, j]
            g += 10.0 + x * x - 10.0 * cos(4.0 * pi * x)
        F[s, 0] = X[s, 0]
        F[s, 1] = g - sqrt(X[s, 0] * g)


@_kernel
def _zdt5(X, F):  # type: ignore[no-untyped-def]
    n_groups = (X.shape[1] - 30) // 5
    least = n_groups / 31.0
    for s in range(X.shape[0]):
        ones = 0.0
        for j in range(30):
            ones += X[s, j]
        g = 0.0
        for k in range(n_groups):
            count = 0.0
            for j in range(30 + 5 * k, 35 + 5 * k):
                count += X[s, j]
            g += 1.0 if count == 5.0 else count + 2.0
        F[s, 0] = ones / 30.0
        F[s, 1] = (g / (1.0 + ones) - least) / (n_groups - least)


@_kernel
def _zdt6(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        cube = sin(6.0 * pi * X[s, 0]) ** 3
        f1 = 1.0 - exp(-4.0 * X[s, 0]) * cube * cube
        g = 1.0 + 9.0 * sqrt(sqrt(_mean_of_rest(X, s)))
        F[s, 0] = f1
        F[s, 1] = g - f1 * f1 / g


@_kernel
def _many_fronts(X, s, first):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(first, X.shape[1]):
        off = X[s, j] - 0.5
        total += 1.0 + off * off - cos(20.0 * pi * off)
    return 100.0 * total


@_kernel
def _bowl(X, s, first):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(first, X.shape[1]):
        total += (X[s, j] - 0.5) * (X[s, j] - 0.5)
    return total


@_kernel
def _unroll(angle, radius, F, s):  # type: ignore[no-untyped-def]
    """Write the point of a sphere with these angles, in right angles, into row s of F, last objective first."""
    m = F.shape[1]
    rest = radius
    for k in range(m - 1):
        radians = 0.5 * pi * angle[k]
        F[s, m - 1 - k] = rest * sin(radians)
        rest *= cos(radians)
    F[s, 0] = rest


@_kernel
def _dtlz1(X, F):  # type: ignore[no-untyped-def]
    m = F.shape[1]
    for s in range(X.shape[0]):
        rest = 0.5 * (1.0 + _many_fronts(X, s, m - 1))
        for k in range(m - 1):
            F[s, m - 1 - k] = rest * (1.0 - X[s, k])
            rest *= X[s, k]
        F[s, 0] = rest


@_kernel
def _dtlz2(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        _unroll(X[s], 1.0 + _bowl(X, s, F.shape[1] - 1), F, s)


@_kernel
def _dtlz3(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        _unroll(X[s], 1.0 + _many_fronts(X, s, F.shape[1] - 1), F, s)


@_kernel
def _dtlz4(X, F):  # type: ignore[no-untyped-def]
    angle = X[0].copy() if X.shape[0] else X.ravel()
    for s in range(X.shape[0]):
        for k in range(F.shape[1] - 1):
            angle[k] = X[s, k] ** 100.0
        _unroll(angle, 1.0 + _bowl(X, s, F.shape[1] - 1), F, s)


@_kernel
def _draw_in(X, s, g, angle):  # type: ignore[no-untyped-def]
    angle[0] = X[s, 0]
    for k in range(1, angle.size):
        angle[k] = (0.5 + g * X[s, k]) / (1.0 + g)


@_kernel
def _dtlz5(X, F):  # type: ignore[no-untyped-def]
    angle = X[0, : F.shape[1] - 1].copy() if X.shape[0] else X.ravel()
    for s in range(X.shape[0]):
        g = _bowl(X, s, F.shape[1] - 1)
        _draw_in(X, s, g, angle)
        _unroll(angle, 1.0 + g, F, s)


@_kernel
def _dtlz6(X, F):  # type: ignore[no-untyped-def]
    angle = X[0, : F.shape[1] - 1].copy() if X.shape[0] else X.ravel()
    for s in range(X.shape[0]):
        g = 0.0
        for j in range(F.shape[1] - 1, X.shape[1]):
            g += X[s, j] ** 0.1
        _draw_in(X, s, g, angle)
        _unroll(angle, 1.0 + g, F, s)


@_kernel
def _dtlz7(X, F):  # type: ignore[no-untyped-def]
    m = F.shape[1]
    for s in range(X.shape[0]):
        g = 0.0
        for j in range(m - 1, X.shape[1]):
            g += X[s, j]
        last = m * (2.0 + 9.0 * g / (X.shape[1] - m + 1))
        for k in range(m - 1):
            F[s, k] = X[s, k]
            last -= X[s, k] * (1.0 + sin(3.0 * pi * X[s, k]))
        F[s, m - 1] = last


ZDT_KERNELS = {"zdt1": _zdt1, "zdt2": _zdt2, "zdt3": _zdt3, "zdt4": _zdt4, "zdt5": _zdt5, "zdt6": _zdt6}
DTLZ_KERNELS = {
    "dtlz1": _dtlz1,
    "dtlz2": _dtlz2,
    "dtlz3": _dtlz3,
    "dtlz4": _dtlz4,
    "dtlz5": _dtlz5,
    "dtlz6": _dtlz6,
    "dtlz7": _dtlz7,
}
