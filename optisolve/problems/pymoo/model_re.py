"""RE, real-world design problems, in plain numpy; pymoo does not have them.

All are without constraints: the published suite adds up the violations of the original constraints and makes the sum an
objective of its own.

Source: Tanabe and Ishibuchi 2020, doi 10.1016/j.asoc.2020.106078, arXiv 2009.12867, with the corrections published
until 2021; equations also as in jMetal's implementation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from optisolve.core.arrays import FloatArray, frozen

__all__ = ["REBAR_AREAS_IN2", "SMALLEST_RING_MM2", "WIRE_DIAMETERS_IN", "design_values"]

_REBARS = (
    "0.2 0.31 0.4 0.44 0.6 0.62 0.79 0.8 0.88 0.93 1 1.2 1.24 1.32 1.4 1.55 1.58 1.6 1.76 1.8 1.86 2 2.17 2.2 2.37 2.4 2.48 "
    "2.6 2.64 2.79 2.8 3 3.08 3.16 3.41 3.52 3.6 3.72 3.95 3.96 4 4.03 4.2 4.34 4.4 4.65 4.74 4.8 4.84 5 5.28 5.4 5.53 5.72 "
    "6 6.16 6.32 6.6 7.11 7.2 7.8 7.9 8 8.4 8.69 9 9.48 10 10.27 11 11.06 11.85 12 13 14 15"
)
_WIRES = (
    "0.009 0.0095 0.0104 0.0118 0.0128 0.0132 0.014 0.015 0.0162 0.0173 0.018 0.02 0.023 0.025 0.028 0.032 0.035 0.041 0.047 "
    "0.054 0.063 0.072 0.08 0.092 0.105 0.12 0.135 0.148 0.162 0.177 0.192 0.207 0.225 0.244 0.263 0.283 0.307 0.331 0.362 "
    "0.394 0.4375 0.5"
)
REBAR_AREAS_IN2 = frozen([float(v) for v in _REBARS.split()])
"""Steel areas of RE22, square inches; 10 stands where the handbook has 3.10, since all published programs read it so."""
WIRE_DIAMETERS_IN = frozen([float(v) for v in _WIRES.split()])
"""Wire diameters of RE25, inches."""
SMALLEST_RING_MM2 = 1e-9
"""RE33 divides by the difference of two squared radii; this takes its place when they are equal, mm^2."""


def design_values(name: str, X: FloatArray) -> FloatArray:
    """Objectives of an RE problem, float64 [n, m].

    Args:
        name: ``"re21"`` to ``"re25"`` or ``"re31"`` to ``"re37"``.
        X: float64 [n, d].
    """
    return np.column_stack(_RE[name](*X.T))


def _violation(*margins: FloatArray) -> FloatArray:
    """Sum of the negative parts, float64 [n]."""
    return np.asarray(sum(np.maximum(-margin, 0.0) for margin in margins))


def _nearest(values: FloatArray, listed: FloatArray) -> FloatArray:
    return np.asarray(listed[np.abs(listed[:, None] - values).argmin(axis=0)])


def _re21(x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray) -> list[FloatArray]:
    """Four-bar truss; force 10 kN, modulus 2e5 kN/cm^2, length 200 cm (Cheng and Li 1999)."""
    root2 = np.sqrt(2.0)
    volume = 200.0 * (2.0 * x1 + root2 * x2 + np.sqrt(x3) + x4)
    displacement = 10.0 * 200.0 / 2e5 * (2.0 / x1 + 2.0 * root2 / x2 - 2.0 * root2 / x3 + 2.0 / x4)
    return [volume, displacement]


def _re22(x1: FloatArray, x2: FloatArray, x3: FloatArray) -> list[FloatArray]:
    """Reinforced concrete beam (Amir and Hasegawa 1989)."""
    area = _nearest(x1, REBAR_AREAS_IN2)
    return [29.4 * area + 0.6 * x2 * x3, _violation(area * x3 - 7.735 * area**2 / x2 - 180.0, 4.0 - x3 / x2)]


def _re23(x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray) -> list[FloatArray]:
    """Pressure vessel, plates in sixteenths of an inch (Kannan and Kramer 1994)."""
    shell, head = 0.0625 * x1, 0.0625 * x2
    cost = 0.6224 * shell * x3 * x4 + 1.7781 * head * x3**2 + 3.1661 * shell**2 * x4 + 19.84 * shell**2 * x3
    content = np.pi * x3**2 * x4 + 4.0 / 3.0 * np.pi * x3**3
    return [cost, _violation(shell - 0.0193 * x3, head - 0.00954 * x3, content - 1296000.0)]


def _re24(x1: FloatArray, x2: FloatArray) -> list[FloatArray]:
    """Hatch cover; modulus 7e5 kg/cm^2 (Amir and Hasegawa 1989)."""
    bending, buckling = 4500.0 / (x1 * x2), 7e5 * x1**2 / 100.0
    shear, deflection = 1800.0 / x2, 56.2e4 / (7e5 * x1 * x2**2)
    margins = (1.0 - bending / 700.0, 1.0 - shear / 450.0, 1.0 - deflection / 1.5, 1.0 - bending / buckling)
    return [x1 + 120.0 * x2, _violation(*margins)]


def _re25(x1: FloatArray, x2: FloatArray, x3: FloatArray) -> list[FloatArray]:
    """Coil compression spring; load 1000 lb, preload 300 lb (Lampinen and Zelinka 1999)."""
    wire = _nearest(x3, WIRE_DIAMETERS_IN)
    ratio = x2 / wire
    wahl = (4.0 * ratio - 1.0) / (4.0 * ratio - 4.0) + 0.615 / ratio
    stiffness = 11.5e6 * wire**4 / (8.0 * x1 * x2**3)
    solid = 1.05 * (x1 + 2.0) * wire
    free = 1000.0 / stiffness + solid
    margins = (
        189000.0 - 8.0 * wahl * 1000.0 * x2 / (np.pi * wire**3),
        14.0 - free,
        ratio - 3.0,
        6.0 - 300.0 / stiffness,
        free - 300.0 / stiffness - 700.0 / stiffness - solid,
        1.25 - 700.0 / stiffness,
    )
    return [np.pi**2 * x2 * wire**2 * (x1 + 2.0) / 4.0, _violation(*margins)]


def _re31(x1: FloatArray, x2: FloatArray, x3: FloatArray) -> list[FloatArray]:
    """Two-bar truss (Coello Coello and Pulido 2005)."""
    volume = x1 * np.sqrt(16.0 + x3**2) + x2 * np.sqrt(1.0 + x3**2)
    stress, other = 20.0 * np.sqrt(16.0 + x3**2) / (x1 * x3), 80.0 * np.sqrt(1.0 + x3**2) / (x2 * x3)
    return [volume, stress, _violation(0.1 - volume, 1e5 - stress, 1e5 - other)]


def _re32(x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray) -> list[FloatArray]:
    """Welded beam; load 6000 lb, length 14 in (Ray and Liew 2002)."""
    load, length, modulus, shear_modulus = 6000.0, 14.0, 30e6, 12e6
    cost = 1.10471 * x1**2 * x2 + 0.04811 * x3 * x4 * (14.0 + x2)
    deflection = 4.0 * load * length**3 / (modulus * x4 * x3**3)
    arm = np.sqrt(x2**2 / 4.0 + ((x1 + x3) / 2.0) ** 2)
    inertia = 2.0 * np.sqrt(2.0) * x1 * x2 * (x2**2 / 12.0 + ((x1 + x3) / 2.0) ** 2)
    direct = load / (np.sqrt(2.0) * x1 * x2)
    twisting = load * (length + x2 / 2.0) * arm / inertia
    shear = np.sqrt(direct**2 + 2.0 * direct * twisting * x2 / (2.0 * arm) + twisting**2)
    bending = 6.0 * load * length / (x4 * x3**2)
    critical = 4.013 * modulus * np.sqrt(x3**2 * x4**6 / 36.0) / length**2
    critical = critical * (1.0 - x3 / (2.0 * length) * np.sqrt(modulus / (4.0 * shear_modulus)))
    return [cost, deflection, _violation(13600.0 - shear, 30000.0 - bending, x4 - x1, critical - load)]


def _re33(x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray) -> list[FloatArray]:
    """Disc brake (Ray and Liew 2002), with the difference of cubes divided by that of squares, which both vanish together."""
    squares = x2**2 - x1**2
    cubes_per_squares = (x1**2 + x1 * x2 + x2**2) / (x1 + x2)
    mass, time = 4.9e-5 * squares * (x4 - 1.0), 9.82e6 / (x3 * x4 * cubes_per_squares)
    ring = np.where(squares == 0.0, SMALLEST_RING_MM2, squares)
    margins = (
        x2 - x1 - 20.0,
        0.4 - x3 / (3.14 * ring),
        1.0 - 2.22e-3 * x3 * cubes_per_squares / ring,
        2.66e-2 * x3 * x4 * cubes_per_squares - 900.0,
    )
    return [mass, time, _violation(*margins)]


def _re34(x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray, x5: FloatArray) -> list[FloatArray]:
    """Vehicle crashworthiness, response surfaces (Liao et al. 2008)."""
    mass = 1640.2823 + 2.3573285 * x1 + 2.3220035 * x2 + 4.5688768 * x3 + 7.7213633 * x4 + 4.4559504 * x5
    acceleration = (
        6.5856 + 1.15 * x1 - 1.0427 * x2 + 0.9738 * x3 + 0.8364 * x4 - 0.3695 * x1 * x4 + 0.0861 * x1 * x5
        + 0.3628 * x2 * x4 - 0.1106 * x1**2 - 0.3437 * x3**2 + 0.1764 * x4**2
    )  # fmt: skip
    intrusion = (
        -0.0551 + 0.0181 * x1 + 0.1024 * x2 + 0.0421 * x3 - 0.0073 * x1 * x2 + 0.024 * x2 * x3 - 0.0118 * x2 * x4
        - 0.0204 * x3 * x4 - 0.008 * x3 * x5 - 0.0241 * x2**2 + 0.0109 * x4**2
    )  # fmt: skip
    return [mass, acceleration, intrusion]


def _re35(
    x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray, x5: FloatArray, x6: FloatArray, x7: FloatArray
) -> list[FloatArray]:
    """Speed reducer (Farhang-Mehr and Azarm 2002)."""
    weight = (
        0.7854 * x1 * x2**2 * (10.0 * x3**2 / 3.0 + 14.933 * x3 - 43.0934)
        - 1.508 * x1 * (x6**2 + x7**2)
        + 7.477 * (x6**3 + x7**3)
        + 0.7854 * (x4 * x6**2 + x5 * x7**2)
    )
    stress = np.sqrt((745.0 * x4 / (x2 * x3)) ** 2 + 1.69e7) / (0.1 * x6**3)
    other = np.sqrt((745.0 * x5 / (x2 * x3)) ** 2 + 1.575e8) / (0.1 * x7**3)
    margins = (
        1.0 / 27.0 - 1.0 / (x1 * x2**2 * x3),
        1.0 / 397.5 - 1.0 / (x1 * x2**2 * x3**2),
        1.0 / 1.93 - x4**3 / (x2 * x3 * x6**4),
        1.0 / 1.93 - x5**3 / (x2 * x3 * x7**4),
        40.0 - x2 * x3,
        12.0 - x1 / x2,
        x1 / x2 - 5.0,
        x4 - 1.5 * x6 - 1.9,
        x5 - 1.1 * x7 - 1.9,
        1300.0 - stress,
        1100.0 - other,
    )
    return [weight, stress, _violation(*margins)]


def _re36(x1: FloatArray, x2: FloatArray, x3: FloatArray, x4: FloatArray) -> list[FloatArray]:
    """Gear train (Deb and Srinivasan 2006)."""
    error = np.abs(6.931 - x3 * x4 / (x1 * x2))
    return [error, np.maximum(np.maximum(x1, x2), np.maximum(x3, x4)), _violation(0.5 - error / 6.931)]


def _re37(a: FloatArray, h: FloatArray, o: FloatArray, t: FloatArray) -> list[FloatArray]:
    """Rocket injector, response surfaces (Vaidyanathan et al. 2003): flow angle, hydrogen and oxygen area, tip thickness."""
    face = (
        0.692 + 0.477 * a - 0.687 * h - 0.080 * o - 0.0650 * t - 0.167 * a**2 - 0.0129 * h * a + 0.0796 * h**2
        - 0.0634 * o * a - 0.0257 * o * h + 0.0877 * o**2 - 0.0521 * t * a + 0.00156 * t * h + 0.00198 * t * o + 0.0184 * t**2
    )  # fmt: skip
    length = (
        0.153 - 0.322 * a + 0.396 * h + 0.424 * o + 0.0226 * t + 0.175 * a**2 + 0.0185 * h * a - 0.0701 * h**2
        - 0.251 * o * a + 0.179 * o * h + 0.0150 * o**2 + 0.0134 * t * a + 0.0296 * t * h + 0.0752 * t * o + 0.0192 * t**2
    )  # fmt: skip
    tip = (
        0.370 - 0.205 * a + 0.0307 * h + 0.108 * o + 1.019 * t - 0.135 * a**2 + 0.0141 * h * a + 0.0998 * h**2
        + 0.208 * o * a - 0.0301 * o * h - 0.226 * o**2 + 0.353 * t * a - 0.0497 * t * o - 0.423 * t**2
        + 0.202 * h * a**2 - 0.281 * o * a**2 - 0.342 * h**2 * a - 0.245 * h**2 * o + 0.281 * o**2 * h
        - 0.184 * t**2 * a - 0.281 * h * a * o
    )  # fmt: skip
    return [face, length, tip]


_RE: Mapping[str, Callable[..., list[FloatArray]]] = {
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
