"""The RE design problems again, point by point in plain loops; see `tests.independent.families.pymoo`.

Source: Tanabe and Ishibuchi 2020, doi 10.1016/j.asoc.2020.106078; the smaller domains of `re22` and `re33`: the card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

__all__ = ["RE"]

Point = Sequence[float]
PI = math.pi

REBARS = """
0.20 0.31 0.40 0.44 0.60 0.62 0.79 0.80 0.88 0.93 1.00 1.20 1.24 1.32 1.40 1.55 1.58 1.60 1.76 1.80 1.86 2.00 2.17 2.20 2.37
2.40 2.48 2.60 2.64 2.79 2.80 3.00 3.08 10.0 3.16 3.41 3.52 3.60 3.72 3.95 3.96 4.00 4.03 4.20 4.34 4.40 4.65 4.74 4.80 4.84
5.00 5.28 5.40 5.53 5.72 6.00 6.16 6.32 6.60 7.11 7.20 7.80 7.90 8.00 8.40 8.69 9.00 9.48 10.27 11.00 11.06 11.85 12.00
13.00 14.00 15.00
"""
WIRES = """
0.009 0.0095 0.0104 0.0118 0.0128 0.0132 0.014 0.015 0.0162 0.0173 0.018 0.020 0.023 0.025 0.028 0.032 0.035 0.041 0.047
0.054 0.063 0.072 0.080 0.092 0.105 0.120 0.135 0.148 0.162 0.177 0.192 0.207 0.225 0.244 0.263 0.283 0.307 0.331 0.362
0.394 0.4375 0.500
"""


def _closest(text: str, value: float) -> float:
    return min(sorted(float(word) for word in text.split()), key=lambda listed: abs(listed - value))


def _broken(*margins: float) -> float:
    """Constraints are written as margins >= 0; what is missing is added up."""
    return math.fsum(-margin for margin in margins if margin < 0.0)


def _re21(x1: float, x2: float, x3: float, x4: float) -> list[float]:
    force, modulus, length, root2 = 10.0, 2e5, 200.0, math.sqrt(2.0)
    joint = force * length / modulus * (2.0 / x1 + 2.0 * root2 / x2 - 2.0 * root2 / x3 + 2.0 / x4)
    return [length * (2.0 * x1 + root2 * x2 + math.sqrt(x3) + x4), joint]


def _re22(steel: float, width: float, depth: float) -> list[float]:
    area = _closest(REBARS, steel)
    return [29.4 * area + 0.6 * width * depth, _broken(depth * area - 7.735 * area * area / width - 180.0, 4.0 - depth / width)]


def _re23(n1: float, n2: float, radius: float, length: float) -> list[float]:
    shell, head = n1 / 16.0, n2 / 16.0
    cost = 0.6224 * shell * radius * length + 1.7781 * head * radius**2
    cost += 3.1661 * shell**2 * length + 19.84 * shell**2 * radius
    volume = PI * radius**2 * length + 4.0 * PI * radius**3 / 3.0
    return [cost, _broken(shell - 0.0193 * radius, head - 0.00954 * radius, volume - 1_296_000.0)]


def _re24(flange: float, beam: float) -> list[float]:
    modulus = 700_000.0
    bending, shear = 4500.0 / (flange * beam), 1800.0 / beam
    deflection, critical = 56.2 * 10_000.0 / (modulus * flange * beam**2), modulus * flange**2 / 100.0
    rules = _broken(1.0 - bending / 700.0, 1.0 - shear / 450.0, 1.0 - deflection / 1.5, 1.0 - bending / critical)
    return [flange + 120.0 * beam, rules]


def _re25(coils: float, winding: float, thickness: float) -> list[float]:
    wire = _closest(WIRES, thickness)
    index = winding / wire
    correction = (4.0 * index - 1.0) / (4.0 * index - 4.0) + 0.615 * wire / winding
    rate = 11.5e6 * wire**4 / (8.0 * coils * winding**3)
    preload, most = 300.0, 1000.0
    closed = 1.05 * (coils + 2.0) * wire
    free = most / rate + closed
    rules = [
        189_000.0 - 8.0 * correction * most * winding / (PI * wire**3),
        14.0 - free,
        index - 3.0,
        6.0 - preload / rate,
        free - preload / rate - (most - preload) / rate - closed,
        (most - preload) * -1.0 / rate + 1.25,
    ]
    return [PI**2 * winding * wire**2 * (coils + 2.0) / 4.0, _broken(*rules)]


def _re31(x1: float, x2: float, x3: float) -> list[float]:
    long, short = math.sqrt(16.0 + x3 * x3), math.sqrt(1.0 + x3 * x3)
    volume, stress = x1 * long + x2 * short, 20.0 * long / (x1 * x3)
    return [volume, stress, _broken(0.1 - volume, 1e5 - stress, 1e5 - 80.0 * short / (x2 * x3))]


def _re32(h: float, l: float, t: float, b: float) -> list[float]:  # noqa: E741 - as the paper calls them
    load, beam, young, shear_modulus = 6000.0, 14.0, 30e6, 12e6
    cost = 1.10471 * h * h * l + 0.04811 * t * b * (14.0 + l)
    deflection = 4.0 * load * beam**3 / (young * b * t**3)
    lever = math.sqrt(l * l / 4.0 + ((h + t) / 2.0) ** 2)
    polar = 2.0 * (math.sqrt(2.0) * h * l * (l * l / 12.0 + ((h + t) / 2.0) ** 2))
    primary, secondary = load / (math.sqrt(2.0) * h * l), load * (beam + l / 2.0) * lever / polar
    shear = math.sqrt(primary**2 + 2.0 * primary * secondary * l / (2.0 * lever) + secondary**2)
    buckling = 4.013 * young * math.sqrt(t * t * b**6 / 36.0) / beam**2
    buckling *= 1.0 - t / (2.0 * beam) * math.sqrt(young / (4.0 * shear_modulus))
    bending = 6.0 * load * beam / (b * t * t)
    return [cost, deflection, _broken(13600.0 - shear, 30000.0 - bending, b - h, buckling - load)]


def _re33(inner: float, outer: float, force: float, surfaces: float) -> list[float]:
    """A ring without width keeps the ratio of cubes to squares, 3/2 of the radius, and has the area that the card states."""
    ring, cubes = outer**2 - inner**2, outer**3 - inner**3
    ratio = (
        cubes / ring
        if abs(outer - inner) > 1e-4 * outer
        else 1.5 * 0.5 * (inner + outer) * (1.0 + (outer - inner) ** 2 / (3.0 * (inner + outer) ** 2))
    )
    area = ring if ring != 0.0 else 1e-9
    rules = [
        outer - inner - 20.0,
        0.4 - force / (3.14 * area),
        1.0 - 2.22e-3 * force * ratio / area,
        2.66e-2 * force * surfaces * ratio - 900.0,
    ]
    return [4.9e-5 * ring * (surfaces - 1.0), 9.82e6 / (force * surfaces * ratio), _broken(*rules)]


def _polynomial(terms: Mapping[tuple[int, ...], float], x: Point) -> float:
    """Coefficients by the variables that are multiplied, numbered from 1."""
    return math.fsum(c * math.prod(x[i - 1] for i in factors) for factors, c in terms.items())


CRASH = (
    {(): 1640.2823, (1,): 2.3573285, (2,): 2.3220035, (3,): 4.5688768, (4,): 7.7213633, (5,): 4.4559504},
    {(): 6.5856, (1,): 1.15, (2,): -1.0427, (3,): 0.9738, (4,): 0.8364, (1, 4): -0.3695, (1, 5): 0.0861, (2, 4): 0.3628}
    | {(1, 1): -0.1106, (3, 3): -0.3437, (4, 4): 0.1764},
    {(): -0.0551, (1,): 0.0181, (2,): 0.1024, (3,): 0.0421, (1, 2): -0.0073, (2, 3): 0.0240, (2, 4): -0.0118}
    | {(3, 4): -0.0204, (3, 5): -0.008, (2, 2): -0.0241, (4, 4): 0.0109},
)
INJECTOR = (
    {(): 0.692, (1,): 0.477, (2,): -0.687, (3,): -0.080, (4,): -0.0650, (1, 1): -0.167, (1, 2): -0.0129, (2, 2): 0.0796}
    | {(1, 3): -0.0634, (2, 3): -0.0257, (3, 3): 0.0877, (1, 4): -0.0521, (2, 4): 0.00156, (3, 4): 0.00198, (4, 4): 0.0184},
    {(): 0.153, (1,): -0.322, (2,): 0.396, (3,): 0.424, (4,): 0.0226, (1, 1): 0.175, (1, 2): 0.0185, (2, 2): -0.0701}
    | {(1, 3): -0.251, (2, 3): 0.179, (3, 3): 0.0150, (1, 4): 0.0134, (2, 4): 0.0296, (3, 4): 0.0752, (4, 4): 0.0192},
    {(): 0.370, (1,): -0.205, (2,): 0.0307, (3,): 0.108, (4,): 1.019, (1, 1): -0.135, (1, 2): 0.0141, (2, 2): 0.0998}
    | {(1, 3): 0.208, (2, 3): -0.0301, (3, 3): -0.226, (1, 4): 0.353, (3, 4): -0.0497, (4, 4): -0.423, (1, 1, 2): 0.202}
    | {(1, 1, 3): -0.281, (1, 2, 2): -0.342, (2, 2, 3): -0.245, (2, 3, 3): 0.281, (1, 4, 4): -0.184, (1, 2, 3): -0.281},
)


def _re35(x1: float, x2: float, x3: float, x4: float, x5: float, x6: float, x7: float) -> list[float]:
    weight = math.fsum(
        [
            0.7854 * x1 * x2**2 * (10.0 * x3**2 / 3.0 + 14.933 * x3 - 43.0934),
            -1.508 * x1 * (x6**2 + x7**2),
            7.477 * (x6**3 + x7**3),
            0.7854 * (x4 * x6**2 + x5 * x7**2),
        ]
    )
    first = math.sqrt((745.0 * x4 / (x2 * x3)) ** 2 + 1.69e7) / (0.1 * x6**3)
    second = math.sqrt((745.0 * x5 / (x2 * x3)) ** 2 + 1.575e8) / (0.1 * x7**3)
    rules = [
        1.0 / 27.0 - 1.0 / (x1 * x2**2 * x3),
        1.0 / 397.5 - 1.0 / (x1 * x2**2 * x3**2),
        1.0 / 1.93 - x4**3 / (x2 * x3 * x6**4),
        1.0 / 1.93 - x5**3 / (x2 * x3 * x7**4),
        40.0 - x2 * x3,
        12.0 - x1 / x2,
        x1 / x2 - 5.0,
        x4 - 1.9 - 1.5 * x6,
        x5 - 1.9 - 1.1 * x7,
        1300.0 - first,
        1100.0 - second,
    ]
    return [weight, first, _broken(*rules)]


def _re36(x1: float, x2: float, x3: float, x4: float) -> list[float]:
    error = abs(6.931 - x3 / x1 * (x4 / x2))
    return [error, max(x1, x2, x3, x4), _broken(0.5 - error / 6.931)]


RE: Mapping[str, Callable[..., list[float]]] = {
    "re21": _re21,
    "re22": _re22,
    "re23": _re23,
    "re24": _re24,
    "re25": _re25,
    "re31": _re31,
    "re32": _re32,
    "re33": _re33,
    "re34": lambda *x: [_polynomial(terms, x) for terms in CRASH],
    "re35": _re35,
    "re36": _re36,
    "re37": lambda *x: [_polynomial(terms, x) for terms in INJECTOR],
}
