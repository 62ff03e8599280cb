"""RE, real-world design problems, in numba, one loop over points each; `model_re` holds the readable equations."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

from optisolve.numerics.compiled import njit
from optisolve.problems.pymoo.model_re import REBAR_AREAS_IN2, SMALLEST_RING_MM2, WIRE_DIAMETERS_IN

__all__ = ["RE_KERNELS"]

_kernel: Any = njit(cache=True, nogil=True, error_model="numpy")


@_kernel
def _short(margin):  # type: ignore[no-untyped-def]
    """How much a margin lacks of being non-negative."""
    return -margin if margin < 0.0 else 0.0


@_kernel
def _snap(value, listed):  # type: ignore[no-untyped-def]
    best = listed[0]
    for candidate in listed:
        if abs(candidate - value) < abs(best - value):
            best = candidate
    return best


@_kernel
def _re21(X, F):  # type: ignore[no-untyped-def]
    root2 = sqrt(2.0)
    for s in range(X.shape[0]):
        a, b, c, d = X[s, 0], X[s, 1], X[s, 2], X[s, 3]
        F[s, 0] = 200.0 * (2.0 * a + root2 * b + sqrt(c) + d)
        F[s, 1] = 0.02 * (1.0 / a + root2 / b - root2 / c + 1.0 / d)


@_kernel
def _re22(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        steel, width, depth = _snap(X[s, 0], REBAR_AREAS_IN2), X[s, 1], X[s, 2]
        F[s, 0] = 29.4 * steel + 0.6 * width * depth
        F[s, 1] = _short(steel * depth - 7.735 * (steel * steel / width) - 180.0) + _short(4.0 - depth / width)


@_kernel
def _re23(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        shell, head, radius, length = 0.0625 * X[s, 0], 0.0625 * X[s, 1], X[s, 2], X[s, 3]
        F[s, 0] = (
            0.6224 * shell * radius * length
            + 1.7781 * head * radius * radius
            + shell * shell * (3.1661 * length + 19.84 * radius)
        )
        content = pi * radius * radius * (length + 4.0 / 3.0 * radius)
        F[s, 1] = _short(shell - 0.0193 * radius) + _short(head - 0.00954 * radius) + _short(content - 1296000.0)


@_kernel
def _re24(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        flange, beam = X[s, 0], X[s, 1]
        bending = 4500.0 / (flange * beam)
        total = _short(1.0 - bending / 700.0) + _short(1.0 - 4.0 / beam)
        total += _short(1.0 - 562.0 / (1050.0 * flange * beam * beam))
        F[s, 0] = flange + 120.0 * beam
        F[s, 1] = total + _short(1.0 - bending / (7000.0 * flange * flange))


@_kernel
def _re25(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        coils, winding, wire = X[s, 0], X[s, 1], _snap(X[s, 2], WIRE_DIAMETERS_IN)
        ratio = winding / wire
        wahl = (4.0 * ratio - 1.0) / (4.0 * ratio - 4.0) + 0.615 / ratio
        soft = 8.0 * coils * winding**3 / (11.5e6 * wire**4)  # inverse stiffness, in/lb
        solid = 1.05 * (coils + 2.0) * wire
        free = 1000.0 * soft + solid
        total = _short(189000.0 - 8000.0 * wahl * winding / (pi * wire**3))
        total += _short(14.0 - free) + _short(ratio - 3.0) + _short(6.0 - 300.0 * soft)
        total += _short(free - 300.0 * soft - 700.0 * soft - solid) + _short(1.25 - 700.0 * soft)
        F[s, 0] = pi * pi * winding * wire * wire * (coils + 2.0) / 4.0
        F[s, 1] = total


@_kernel
def _re31(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        a, b, y = X[s, 0], X[s, 1], X[s, 2]
        long, short = sqrt(16.0 + y * y), sqrt(1.0 + y * y)
        volume, stress = a * long + b * short, 20.0 * long / (a * y)
        F[s, 0], F[s, 1] = volume, stress
        F[s, 2] = _short(0.1 - volume) + _short(1e5 - stress) + _short(1e5 - 80.0 * short / (b * y))


@_kernel
def _re32(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        h, w, t, b = X[s, 0], X[s, 1], X[s, 2], X[s, 3]
        half = 0.25 * (h + t) * (h + t)
        arm = sqrt(0.25 * w * w + half)
        direct = 6000.0 / (sqrt(2.0) * h * w)
        twisting = 6000.0 * (14.0 + 0.5 * w) * arm / (2.0 * sqrt(2.0) * h * w * (w * w / 12.0 + half))
        shear = sqrt(direct * direct + direct * twisting * w / arm + twisting * twisting)
        critical = 4.013 * 30e6 / 196.0 * t * b * b * b / 6.0 * (1.0 - t / 28.0 * sqrt(30.0 / 48.0))
        F[s, 0] = 1.10471 * h * h * w + 0.04811 * t * b * (14.0 + w)
        F[s, 1] = 2.1952 / (b * t * t * t)
        F[s, 2] = _short(13600.0 - shear) + _short(30000.0 - 504000.0 / (b * t * t)) + _short(b - h) + _short(critical - 6000.0)


@_kernel
def _re33(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        inner, outer, force, plates = X[s, 0], X[s, 1], X[s, 2], X[s, 3]
        ring = outer * outer - inner * inner
        mean = (inner * inner + inner * outer + outer * outer) / (inner + outer)
        F[s, 0] = 4.9e-5 * ring * (plates - 1.0)
        F[s, 1] = 9.82e6 / (force * plates * mean)
        if ring == 0.0:
            ring = SMALLEST_RING_MM2
        F[s, 2] = (
            _short(outer - inner - 20.0)
            + _short(0.4 - force / (3.14 * ring))
            + _short(1.0 - 2.22e-3 * force * mean / ring)
            + _short(2.66e-2 * force * plates * mean - 900.0)
        )


@_kernel
def _re34(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        a, b, c, d, e = X[s, 0], X[s, 1], X[s, 2], X[s, 3], X[s, 4]
        F[s, 0] = 1640.2823 + 2.3573285 * a + 2.3220035 * b + 4.5688768 * c + 7.7213633 * d + 4.4559504 * e
        F[s, 1] = 6.5856 + a * (1.15 - 0.1106 * a - 0.3695 * d + 0.0861 * e) - b * (1.0427 - 0.3628 * d)
        F[s, 1] += c * (0.9738 - 0.3437 * c) + d * (0.8364 + 0.1764 * d)
        F[s, 2] = -0.0551 + 0.0181 * a + b * (0.1024 - 0.0073 * a + 0.024 * c - 0.0118 * d - 0.0241 * b)
        F[s, 2] += c * (0.0421 - 0.0204 * d - 0.008 * e) + 0.0109 * d * d


@_kernel
def _re35(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        face, module, teeth, l1, l2, d1, d2 = X[s, 0], X[s, 1], X[s, 2], X[s, 3], X[s, 4], X[s, 5], X[s, 6]
        weight = 0.7854 * face * module * module * (teeth * (10.0 * teeth / 3.0 + 14.933) - 43.0934)
        weight += d1 * d1 * (7.477 * d1 - 1.508 * face + 0.7854 * l1)
        weight += d2 * d2 * (7.477 * d2 - 1.508 * face + 0.7854 * l2)
        pitch = module * teeth
        stress = 10.0 * sqrt((745.0 * l1 / pitch) ** 2 + 1.69e7) / d1**3
        other = 10.0 * sqrt((745.0 * l2 / pitch) ** 2 + 1.575e8) / d2**3
        total = _short(1.0 / 27.0 - 1.0 / (face * module * pitch)) + _short(1.0 / 397.5 - 1.0 / (face * pitch * pitch))
        total += _short(1.0 / 1.93 - l1**3 / (pitch * d1**4)) + _short(1.0 / 1.93 - l2**3 / (pitch * d2**4))
        total += _short(40.0 - pitch) + _short(12.0 - face / module) + _short(face / module - 5.0)
        total += _short(l1 - 1.5 * d1 - 1.9) + _short(l2 - 1.1 * d2 - 1.9)
        F[s, 0], F[s, 1] = weight, stress
        F[s, 2] = total + _short(1300.0 - stress) + _short(1100.0 - other)


@_kernel
def _re36(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        error = abs(6.931 - X[s, 2] * X[s, 3] / (X[s, 0] * X[s, 1]))
        F[s, 0] = error
        F[s, 1] = max(X[s, 0], X[s, 1], X[s, 2], X[s, 3])
        F[s, 2] = _short(0.5 - error / 6.931)


@_kernel
def _re37(X, F):  # type: ignore[no-untyped-def]
    for s in range(X.shape[0]):
        a, h, o, t = X[s, 0], X[s, 1], X[s, 2], X[s, 3]
        face = 0.692 + a * (0.477 - 0.167 * a - 0.0129 * h - 0.0634 * o - 0.0521 * t)
        face += h * (-0.687 + 0.0796 * h - 0.0257 * o + 0.00156 * t)
        F[s, 0] = face + o * (-0.080 + 0.0877 * o + 0.00198 * t) + t * (0.0184 * t - 0.0650)
        length = 0.153 + a * (-0.322 + 0.175 * a + 0.0185 * h - 0.251 * o + 0.0134 * t)
        length += h * (0.396 - 0.0701 * h + 0.179 * o + 0.0296 * t)
        F[s, 1] = length + o * (0.424 + 0.0150 * o + 0.0752 * t) + t * (0.0226 + 0.0192 * t)
        tip = 0.370 + a * (-0.205 + 0.0141 * h + 0.208 * o + 0.353 * t - 0.281 * h * o - 0.342 * h * h - 0.184 * t * t)
        tip += a * a * (0.202 * h - 0.281 * o - 0.135) + h * (0.0307 + 0.0998 * h - 0.0301 * o - 0.245 * h * o + 0.281 * o * o)
        F[s, 2] = tip + o * (0.108 - 0.226 * o - 0.0497 * t) + t * (1.019 - 0.423 * t)


RE_KERNELS = {
    "re21": _re21,
    "re22": _re22,
    "re23": _re23,
    "re24": _re24,
    "re25": _re25,
    "re31": _re31,
    "re32": _re32,
    "re33": _re33,
    "re34": _re34,
    "re35": _re35,
    "re36": _re36,
    "re37": _re37,
}
