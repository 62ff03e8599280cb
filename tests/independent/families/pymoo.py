"""The test functions again, point by point in plain loops, from the definitions in the papers that the card names.

ZDT: Zitzler, Deb and Thiele 2000. DTLZ: Deb, Thiele, Laumanns and Zitzler 2005. MW: Ma and Wang 2019. RE: Tanabe and Ishibuchi
2020. Shifts and the smaller domains of `re22` and `re33`: the card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.independent.designs import RE
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
