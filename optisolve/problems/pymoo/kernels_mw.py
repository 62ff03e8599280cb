"""The MW functions in numba, one loop over points each; `model_mw` holds the readable equations."""

from __future__ import annotations

from math import asin, atan2, cos, exp, pi, sin, sqrt
from typing import Any

from optisolve.numerics.compiled import njit

__all__ = ["MW_KERNELS"]

_kernel: Any = njit(cache=True, nogil=True, error_model="numpy")

_ROOT2 = sqrt(2.0)


@_kernel
def _g1(X, s, first):  # type: ignore[no-untyped-def]
    d = X.shape[1]
    total = 1.0
    for j in range(first, d):
        off = X[s, j] ** (d - first - 1) - 0.5 - j / (2.0 * d)
        total += 1.0 - exp(-10.0 * off * off)
    return total


@_kernel
def _g2(X, s, first):  # type: ignore[no-untyped-def]
    d = X.shape[1]
    total = 1.0
    for j in range(first, d):
        off = X[s, j] - j / d
        z = 1.0 - exp(-10.0 * off * off)
        total += 0.1 / d * z * z + 1.5 - 1.5 * cos(2.0 * pi * z)
    return total


@_kernel
def _g3(X, s, first):  # type: ignore[no-untyped-def]
    total = 1.0
    for j in range(first, X.shape[1]):
        off = X[s, j] + (X[s, j - 1] - 0.5) * (X[s, j - 1] - 0.5) - 1.0
        total += 2.0 * off * off
    return total


@_kernel
def _mw1(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        a = X[s, 0]
        b = _g1(X, s, 1) - 0.85 * a
        F[s, 0], F[s, 1] = a, b
        G[s, 0] = a + b - 1.0 - 0.5 * sin(2.0 * pi * _ROOT2 * (b - a)) ** 8


@_kernel
def _mw2(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        a = X[s, 0]
        b = _g2(X, s, 1) - a
        F[s, 0], F[s, 1] = a, b
        G[s, 0] = a + b - 1.0 - 0.5 * sin(3.0 * pi * _ROOT2 * (b - a)) ** 8


@_kernel
def _mw3(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        a = X[s, 0]
        b = _g3(X, s, 1) - a
        F[s, 0], F[s, 1] = a, b
        wave = sin(0.75 * pi * _ROOT2 * (b - a))
        G[s, 0] = a + b - 1.05 - 0.45 * wave**6
        G[s, 1] = 0.85 - a - b + 0.3 * wave**2


@_kernel
def _mw4(X, F, G):  # type: ignore[no-untyped-def]
    m = F.shape[1]
    for s in range(X.shape[0]):
        g = _g1(X, s, m - 1)
        rest = g
        for k in range(m - 1):
            F[s, m - 1 - k] = rest * X[s, k]
            rest *= 1.0 - X[s, k]
        F[s, 0] = rest
        others = 0.0
        for k in range(m - 1):
            others += F[s, k]
        last = F[s, m - 1]
        G[s, 0] = others + last - 1.0 - 0.4 * sin(2.5 * pi * (last - others)) ** 8


@_kernel
def _mw5(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x, g = X[s, 0], _g1(X, s, 1)
        a, b = g * x, g * sqrt(max(0.0, 1.0 - x * x))
        F[s, 0], F[s, 1] = a, b
        square, angle = a * a + b * b, atan2(b, a)
        t = 0.5 * pi - 2.0 * abs(angle - 0.25 * pi)
        ripple = sin(6.0 * t * t * t)
        G[s, 0] = square - (1.7 - 0.2 * sin(2.0 * angle)) ** 2
        G[s, 1] = (1.0 + 0.5 * ripple) ** 2 - square
        G[s, 2] = (1.0 - 0.45 * ripple) ** 2 - square


@_kernel
def _mw6(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x, g = X[s, 0], _g2(X, s, 1)
        a, b = g * x, g * sqrt(max(0.0, 1.1 * 1.1 - x * x))
        F[s, 0], F[s, 1] = a, b
        bump = cos(6.0 * atan2(b, a) ** 4) ** 10
        u, v = a / (1.0 + 0.15 * bump), b / (1.0 + 0.75 * bump)
        G[s, 0] = u * u + v * v - 1.0


@_kernel
def _mw7(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x, g = X[s, 0], _g3(X, s, 1)
        a, b = g * x, g * sqrt(max(0.0, 1.0 - x * x))
        F[s, 0], F[s, 1] = a, b
        ripple = sin(4.0 * atan2(b, a)) ** 8
        G[s, 0] = a * a + b * b - (1.2 + 0.4 * ripple * ripple) ** 2
        G[s, 1] = (1.15 - 0.2 * ripple) ** 2 - a * a - b * b


@_kernel
def _mw8(X, F, G):  # type: ignore[no-untyped-def]
    m = F.shape[1]
    for s in range(X.shape[0]):
        rest = _g2(X, s, m - 1)
        for k in range(m - 1):
            F[s, m - 1 - k] = rest * sin(0.5 * pi * X[s, k])
            rest *= cos(0.5 * pi * X[s, k])
        F[s, 0] = rest
        square = 0.0
        for k in range(m):
            square += F[s, k] * F[s, k]
        wave = sin(6.0 * asin(min(1.0, F[s, m - 1] / sqrt(square))))
        G[s, 0] = square - (1.25 - 0.5 * wave * wave) ** 2


@_kernel
def _mw9(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        g = _g1(X, s, 1)
        a, b = g * X[s, 0], g * (1.0 - X[s, 0] ** 0.6)
        F[s, 0], F[s, 1] = a, b
        near = (1.0 - 0.64 * a * a - b) * (1.0 - 0.36 * a * a - b)
        far = (1.35 * 1.35 - (a + 0.35) * (a + 0.35) - b) * (1.15 * 1.15 - (a + 0.15) * (a + 0.15) - b)
        G[s, 0] = min(near, far)


@_kernel
def _mw10(X, F, G):  # type: ignore[no-untyped-def]
    d = X.shape[1]
    for s in range(X.shape[0]):
        g, y = _g2(X, s, 1), X[s, 0] ** d
        a, b = g * y, g * (1.0 - y * y)
        F[s, 0], F[s, 1] = a, b
        q = a * a
        G[s, 0] = (4.0 * q + b - 2.0) * (2.0 - 8.0 * q - b)
        G[s, 1] = (2.0 - 2.0 * q - b) * (2.0 - 16.0 * q - b)
        G[s, 2] = (1.0 - q - b) * (1.2 - 1.2 * q - b)


@_kernel
def _mw11(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x, g = X[s, 0], _g3(X, s, 1)
        a, b = g * x, g * sqrt(max(0.0, 2.0 - x * x))
        F[s, 0], F[s, 1] = a, b
        q = a * a
        G[s, 0] = (q + b - 3.0) * (3.0 - 2.0 * q - b)
        G[s, 1] = (3.0 - 0.625 * q - b) * (3.0 - 7.0 * q - b)
        G[s, 2] = (0.18 * q + b - 1.62) * (1.125 - 0.125 * q - b)
        G[s, 3] = (2.07 - 0.23 * q - b) * (0.63 - 0.07 * q - b)


@_kernel
def _mw12(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x, g = X[s, 0], _g1(X, s, 1)
        a, b = g * x, g * (0.85 - 0.8 * x - 0.08 * abs(sin(3.2 * pi * x)))
        F[s, 0], F[s, 1] = a, b
        p = 1.0 - 0.625 * a - b + 0.08 * sin(2.0 * pi * (b - a / 1.6))
        q = 1.4 - 0.875 * a - b + 0.08 * sin(2.0 * pi * (b / 1.4 - a / 1.6))
        u = 1.0 - 0.8 * a - b + 0.08 * sin(2.0 * pi * (b - a / 1.5))
        v = 1.8 - 1.125 * a - b + 0.08 * sin(2.0 * pi * (b / 1.8 - a / 1.6))
        G[s, 0] = -p * q
        G[s, 1] = u * v


@_kernel
def _mw13(X, F, G):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        x, g = X[s, 0], _g2(X, s, 1)
        a, b = g * x, g * (5.0 - exp(x) - abs(0.5 * sin(3.0 * pi * x)))
        F[s, 0], F[s, 1] = a, b
        top = 5.0 - 0.5 * sin(3.0 * pi * a) - b
        G[s, 0] = (1.0 + a + 0.5 * a * a - top) * (top - 1.0 - 0.7 * a)
        G[s, 1] = (top - exp(a)) * (top - 1.0 - 0.4 * a)


@_kernel
def _mw14(X, F, G):  # type: ignore[no-untyped-def]
    m = F.shape[1]
    for s in range(X.shape[0]):
        height, roof = 0.0, 0.0
        for k in range(m - 1):
            x = X[s, k]
            F[s, k] = x
            wave = 1.5 * sin(1.1 * pi * x * x)
            height += 6.0 - exp(x) - wave
            roof += 5.1 - x - 0.5 * x * x - wave
        F[s, m - 1] = _g3(X, s, m - 1) * height / (m - 1)
        G[s, 0] = F[s, m - 1] - roof / (m - 1)


MW_KERNELS = {
    "mw1": _mw1,
    "mw2": _mw2,
    "mw3": _mw3,
    "mw4": _mw4,
    "mw5": _mw5,
    "mw6": _mw6,
    "mw7": _mw7,
    "mw8": _mw8,
    "mw9": _mw9,
    "mw10": _mw10,
    "mw11": _mw11,
    "mw12": _mw12,
    "mw13": _mw13,
    "mw14": _mw14,
}
