"""The test functions again, point by point in plain loops, from the definitions in the papers that the card names.

ZDT: Zitzler, Deb and Thiele 2000. DTLZ: Deb, Thiele, Laumanns and Zitzler 2005. MW: Ma and Wang 2019. RE: Tanabe and Ishibuchi
2020. Shifts and the smaller domains of `re22` and `re33`: the card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.protocol import Scaling, scenarios

Point = Sequence[float]
SCALINGS: dict[str, Scaling] = {}
"""The functions have no unit that could be changed."""
FOLDED = ("zdt1", "zdt2", "zdt3", "zdt5", "zdt6", "dtlz6", "dtlz7")
UPPER = {"mw6": 1.1, "mw11": math.sqrt(2.0), "mw13": 1.5, "mw14": 1.5}
PI = math.pi


def evaluate(
    params: Mapping[str, Any], arrays: Mapping[str, np.ndarray], x: Sequence[float]
) -> tuple[list[float], list[float], list[float]]:
    """The named function at the point that is left when the shift is undone."""
    name, m = str(params["function"]), int(params["n_objectives"])
    shift = arrays["shift"].tolist() if params["shifted"] else []
    y = list(x[: len(x) - len(shift)]) + [_unshifted(name, v, s) for v, s in zip(x[len(x) - len(shift) :], shift, strict=True)]
    if name.startswith("zdt"):
        return ZDT[name](y), [], []
    if name.startswith("dtlz"):
        return DTLZ[name](y, m), [], []
    if name.startswith("mw"):
        F = MW_SHAPE[name](y, m)
        return F, MW_LIMITS[name](F), []
    return RE[name](*y), [], []


def _unshifted(name: str, x: float, s: float) -> float:
    low, high = (-5.0, 5.0) if name == "zdt4" else (0.0, UPPER.get(name, 1.0))
    if name in FOLDED:
        return low + (high - low) * abs(x - s) / max(s - low, high - s)
    middle = 0.5 * (low + high)
    if x <= s:
        return low + (middle - low) * (x - low) / (s - low)
    return middle + (high - middle) * (x - s) / (high - s)


# -- ZDT -------------------------------------------------------------------------------------------------------------


def _zdt(shape: Callable[[float, float], float], distance: Callable[[Point], float]) -> Callable[[Point], list[float]]:
    def function(x: Point) -> list[float]:
        g = distance(x[1:])
        return [x[0], g * shape(x[0], g)]

    return function


def _mean(rest: Point) -> float:
    return 1.0 + 9.0 * math.fsum(rest) / len(rest)


def _rastrigin(rest: Point) -> float:
    return 1.0 + 10.0 * len(rest) + math.fsum(v * v - 10.0 * math.cos(4.0 * PI * v) for v in rest)


def _zdt5(x: Point) -> list[float]:
    """Both objectives scaled to [0, 1] over the front: f1 from 1 to 31, f2 from groups / 31 to groups."""
    strings = [x[:30]] + [x[i : i + 5] for i in range(30, len(x), 5)]
    ones = [sum(bit == 1.0 for bit in string) for string in strings]
    f1 = 1 + ones[0]
    g = sum(1 if u == 5 else 2 + u for u in ones[1:])
    groups = len(ones) - 1
    return [(f1 - 1) / 30, (g / f1 - groups / 31) / (groups - groups / 31)]


def _zdt6(x: Point) -> list[float]:
    f1 = 1.0 - math.exp(-4.0 * x[0]) * math.sin(6.0 * PI * x[0]) ** 6
    g = 1.0 + 9.0 * (math.fsum(x[1:]) / (len(x) - 1)) ** 0.25
    return [f1, g * (1.0 - (f1 / g) ** 2)]


ZDT: Mapping[str, Callable[[Point], list[float]]] = {
    "zdt1": _zdt(lambda f, g: 1.0 - math.sqrt(f / g), _mean),
    "zdt2": _zdt(lambda f, g: 1.0 - (f / g) ** 2, _mean),
    "zdt3": _zdt(lambda f, g: 1.0 - math.sqrt(f / g) - f / g * math.sin(10.0 * PI * f), _mean),
    "zdt4": _zdt(lambda f, g: 1.0 - math.sqrt(f / g), _rastrigin),
    "zdt5": _zdt5,
    "zdt6": _zdt6,
}

# -- DTLZ ------------------------------------------------------------------------------------------------------------


def _g_many(rest: Point) -> float:
    return 100.0 * (len(rest) + math.fsum((v - 0.5) ** 2 - math.cos(20.0 * PI * (v - 0.5)) for v in rest))


def _g_one(rest: Point) -> float:
    return math.fsum((v - 0.5) ** 2 for v in rest)


def _sphere(angles: Point, radius: float) -> list[float]:
    """Objective j: the cosines of all angles but the last j, times the sine of the next one."""
    last = len(angles)
    F = []
    for j in range(last + 1):
        value = radius
        for angle in angles[: last - j]:
            value *= math.cos(angle)
        F.append(value * (math.sin(angles[last - j]) if j else 1.0))
    return F


def _plane(position: Point, scale: float) -> list[float]:
    last = len(position)
    F = []
    for j in range(last + 1):
        value = scale
        for v in position[: last - j]:
            value *= v
        F.append(value * (1.0 - position[last - j] if j else 1.0))
    return F


def _curve(position: Point, g: float) -> list[float]:
    return _sphere([position[0] * PI / 2.0, *(PI / (4.0 * (1.0 + g)) * (1.0 + 2.0 * g * v) for v in position[1:])], 1.0 + g)


def _dtlz7(x: Point, m: int) -> list[float]:
    rest = x[m - 1 :]
    g = 1.0 + 9.0 / len(rest) * math.fsum(rest)
    h = m - math.fsum(f / (1.0 + g) * (1.0 + math.sin(3.0 * PI * f)) for f in x[: m - 1])
    return [*x[: m - 1], (1.0 + g) * h]


DTLZ: Mapping[str, Callable[[Point, int], list[float]]] = {
    "dtlz1": lambda x, m: _plane(x[: m - 1], 0.5 * (1.0 + _g_many(x[m - 1 :]))),
    "dtlz2": lambda x, m: _sphere([v * PI / 2.0 for v in x[: m - 1]], 1.0 + _g_one(x[m - 1 :])),
    "dtlz3": lambda x, m: _sphere([v * PI / 2.0 for v in x[: m - 1]], 1.0 + _g_many(x[m - 1 :])),
    "dtlz4": lambda x, m: _sphere([v**100 * PI / 2.0 for v in x[: m - 1]], 1.0 + _g_one(x[m - 1 :])),
    "dtlz5": lambda x, m: _curve(x[: m - 1], _g_one(x[m - 1 :])),
    "dtlz6": lambda x, m: _curve(x[: m - 1], math.fsum(v**0.1 for v in x[m - 1 :])),
    "dtlz7": _dtlz7,
}

# -- MW --------------------------------------------------------------------------------------------------------------


def _g1(x: Point, m: int) -> float:
    n, g = len(x), 1.0
    for i in range(m, n + 1):
        z = x[i - 1] ** (n - m)
        g += 1.0 - math.exp(-10.0 * (z - 0.5 - (i - 1) / (2.0 * n)) ** 2)
    return g


def _g2(x: Point, m: int) -> float:
    n, g = len(x), 1.0
    for i in range(m, n + 1):
        z = 1.0 - math.exp(-10.0 * (x[i - 1] - (i - 1) / n) ** 2)
        g += 1.5 + 0.1 / n * z * z - 1.5 * math.cos(2.0 * PI * z)
    return g


def _g3(x: Point, m: int) -> float:
    g = 1.0
    for i in range(m, len(x) + 1):
        g += 2.0 * (x[i - 1] + (x[i - 2] - 0.5) ** 2 - 1.0) ** 2
    return g


def _over(distance: Callable[[Point, int], float], height: Callable[[float], float]) -> Callable[[Point, int], list[float]]:
    """f1 = g x1, f2 = g times a height over x1."""

    def function(x: Point, m: int) -> list[float]:
        g = distance(x, m)
        return [g * x[0], g * height(x[0])]

    return function


def _line(distance: Callable[[Point, int], float], slope: float) -> Callable[[Point, int], list[float]]:
    """f1 = x1, f2 = g (1 - slope f1 / g)."""

    def function(x: Point, m: int) -> list[float]:
        g = distance(x, m)
        return [x[0], g * (1.0 - slope * x[0] / g)]

    return function


def _root(value: float) -> float:
    return math.sqrt(max(0.0, value))


def _mw10(x: Point, m: int) -> list[float]:
    g, p = _g2(x, m), x[0] ** len(x)
    return [g * p, g * (1.0 - p * p)]


def _mw14(x: Point, m: int) -> list[float]:
    heights = [6.0 - math.exp(f) - 1.5 * math.sin(1.1 * PI * f * f) for f in x[: m - 1]]
    return [*x[: m - 1], _g3(x, m) / (m - 1) * math.fsum(heights)]


MW_SHAPE: Mapping[str, Callable[[Point, int], list[float]]] = {
    "mw1": _line(_g1, 0.85),
    "mw2": _line(_g2, 1.0),
    "mw3": _line(_g3, 1.0),
    "mw4": lambda x, m: _plane([1.0 - v for v in x[: m - 1]], _g1(x, m)),
    "mw5": _over(_g1, lambda p: _root(1.0 - p * p)),
    "mw6": _over(_g2, lambda p: _root(1.1**2 - p * p)),
    "mw7": _over(_g3, lambda p: _root(1.0 - p * p)),
    "mw8": lambda x, m: _sphere([v * PI / 2.0 for v in x[: m - 1]], _g2(x, m)),
    "mw9": _over(_g1, lambda p: 1.0 - p**0.6),
    "mw10": _mw10,
    "mw11": _over(_g3, lambda p: _root(2.0 - p * p)),
    "mw12": _over(_g1, lambda p: 0.85 - 0.8 * p - 0.08 * abs(math.sin(3.2 * PI * p))),
    "mw13": _over(_g2, lambda p: 5.0 - math.exp(p) - abs(0.5 * math.sin(3.0 * PI * p))),
    "mw14": _mw14,
}


def _bump(size: float, frequency: float, power: int, theta: float) -> float:
    """The function LA of the paper, for C = 1."""
    return float(size * math.sin(frequency * theta) ** power)


def _c3(F: list[float]) -> list[float]:
    f1, f2 = F
    l = math.sqrt(2.0) * f2 - math.sqrt(2.0) * f1  # noqa: E741 - as the paper calls it
    return [f1 + f2 - 1.05 - _bump(0.45, 0.75 * PI, 6, l), 0.85 - f1 - f2 + _bump(0.3, 0.75 * PI, 2, l)]


def _c5(F: list[float]) -> list[float]:
    square, angle = F[0] ** 2 + F[1] ** 2, math.atan2(F[1], F[0])
    turned = 0.5 * PI - 2.0 * abs(angle - 0.25 * PI)
    outer = square - (1.7 - 0.2 * math.sin(2.0 * angle)) ** 2
    return [
        outer,
        (1.0 + 0.5 * math.sin(6.0 * turned**3)) ** 2 - square,
        (1.0 - 0.45 * math.sin(6.0 * turned**3)) ** 2 - square,
    ]


def _c6(F: list[float]) -> list[float]:
    wave = math.cos(6.0 * math.atan2(F[1], F[0]) ** 4) ** 10
    return [(F[0] / (1.0 + 0.15 * wave)) ** 2 + (F[1] / (1.0 + 0.75 * wave)) ** 2 - 1.0]


def _c7(F: list[float]) -> list[float]:
    square, angle = F[0] ** 2 + F[1] ** 2, math.atan2(F[1], F[0])
    outer, inner = 1.2 + abs(_bump(0.4, 4.0, 16, angle)), 1.15 - _bump(0.2, 4.0, 8, angle)
    return [square - outer**2, inner**2 - square]


def _c8(F: list[float]) -> list[float]:
    square = math.fsum(f * f for f in F)
    return [square - (1.25 - _bump(0.5, 6.0, 2, math.asin(F[-1] / math.sqrt(square)))) ** 2]


def _c9(F: list[float]) -> list[float]:
    f1, f2 = F
    near = (1.0 - 0.64 * f1**2 - f2) * (1.0 - 0.36 * f1**2 - f2)
    far = (1.35**2 - (f1 + 0.35) ** 2 - f2) * (1.15**2 - (f1 + 0.15) ** 2 - f2)
    return [min(near, far)]


def _parabolas(F: list[float], *pairs: tuple[float, float, float, float, float]) -> list[float]:
    """sign (a - b f1^2 - f2) (c - d f1^2 - f2)."""
    return [s * (a - b * F[0] ** 2 - F[1]) * (c - d * F[0] ** 2 - F[1]) for s, a, b, c, d in pairs]


def _c12(F: list[float]) -> list[float]:
    f1, f2 = F

    def edge(a: float, b: float, period: float) -> float:
        return a - b * f1 - f2 + 0.08 * math.sin(2.0 * PI * (f2 / a - f1 / period))

    return [-edge(1.0, 0.625, 1.6) * edge(1.4, 0.875, 1.6), edge(1.0, 0.8, 1.5) * edge(1.8, 1.125, 1.6)]


def _c13(F: list[float]) -> list[float]:
    f1, f2 = F
    wave = 0.5 * math.sin(3.0 * PI * f1)
    quadratic, steep = 5.0 - (1.0 + f1 + 0.5 * f1**2) - wave - f2, 5.0 - (1.0 + 0.7 * f1) - wave - f2
    growth, flat = 5.0 - math.exp(f1) - wave - f2, 5.0 - (1.0 + 0.4 * f1) - wave - f2
    return [-quadratic * steep, growth * flat]


def _c14(F: list[float]) -> list[float]:
    roofs = [6.1 - (1.0 + f + 0.5 * f * f + 1.5 * math.sin(1.1 * PI * f * f)) for f in F[:-1]]
    return [F[-1] - math.fsum(roofs) / len(roofs)]


MW_LIMITS: Mapping[str, Callable[[list[float]], list[float]]] = {
    "mw1": lambda F: [F[0] + F[1] - 1.0 - _bump(0.5, 2.0 * PI, 8, math.sqrt(2.0) * (F[1] - F[0]))],
    "mw2": lambda F: [F[0] + F[1] - 1.0 - _bump(0.5, 3.0 * PI, 8, math.sqrt(2.0) * (F[1] - F[0]))],
    "mw3": _c3,
    "mw4": lambda F: [math.fsum(F) - 1.0 - _bump(0.4, 2.5 * PI, 8, F[-1] - math.fsum(F[:-1]))],
    "mw5": _c5,
    "mw6": _c6,
    "mw7": _c7,
    "mw8": _c8,
    "mw9": _c9,
    "mw10": lambda F: _parabolas(F, (-1.0, 2.0, 4.0, 2.0, 8.0), (1.0, 2.0, 2.0, 2.0, 16.0), (1.0, 1.0, 1.0, 1.2, 1.2)),
    "mw11": lambda F: _parabolas(
        F,
        (-1.0, 3.0, 1.0, 3.0, 2.0),
        (1.0, 3.0, 0.625, 3.0, 7.0),
        (-1.0, 1.62, 0.18, 1.125, 0.125),
        (1.0, 2.07, 0.23, 0.63, 0.07),
    ),
    "mw12": _c12,
    "mw13": _c13,
    "mw14": _c14,
}

# -- RE --------------------------------------------------------------------------------------------------------------

REBARS = """0.20 0.31 0.40 0.44 0.60 0.62 0.79 0.80 0.88 0.93 1.00 1.20 1.24 1.32 1.40 1.55 1.58 1.60 1.76 1.80 1.86 2.00 2.17 2.20
2.37 2.40 2.48 2.60 2.64 2.79 2.80 3.00 3.08 10.0 3.16 3.41 3.52 3.60 3.72 3.95 3.96 4.00 4.03 4.20 4.34 4.40 4.65 4.74 4.80 4.84
5.00 5.28 5.40 5.53 5.72 6.00 6.16 6.32 6.60 7.11 7.20 7.80 7.90 8.00 8.40 8.69 9.00 9.48 10.27 11.00 11.06 11.85 12.00 13.00
14.00 15.00"""
WIRES = """0.009 0.0095 0.0104 0.0118 0.0128 0.0132 0.014 0.015 0.0162 0.0173 0.018 0.020 0.023 0.025 0.028 0.032 0.035 0.041 0.047
0.054 0.063 0.072 0.080 0.092 0.105 0.120 0.135 0.148 0.162 0.177 0.192 0.207 0.225 0.244 0.263 0.283 0.307 0.331 0.362 0.394
0.4375 0.500"""


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

# -- the rest of the protocol ----------------------------------------------------------------------------------------

MANY = (*(f"dtlz{i}" for i in range(1, 8)), "mw4", "mw8", "mw14")


def fuzz(rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
    """Any function, shifted or not, of other sizes and with more objectives where the function has them."""
    scenario = str(rng.choice([name for name in scenarios("pymoo") if "/" in name]))
    name = scenario.split("/")[1].removesuffix("_shifted")
    if name.startswith("re"):
        return scenario, {}
    if name == "zdt5":
        return scenario, {"n_variables": 30 + 5 * int(rng.integers(1, 12))}
    m = int(rng.integers(2, 7)) if name in MANY else 2
    box = {"hypervolume_reference": [1e9] * m, "hypervolume_ideal": [-1e9] * m}
    return scenario, {"n_objectives": m, "n_variables": m + 1 + int(rng.integers(0, 20)), **box}


def attack(instance: Any, reference: Any, rng: np.random.Generator) -> np.ndarray:
    """Fronts have no single bound to pass; `tests/problems/test_pymoo_functions.py` looks for points that dominate them."""
    return np.empty((0, instance.space.dim))
