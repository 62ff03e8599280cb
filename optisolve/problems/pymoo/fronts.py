"""Pareto-optimal points of the unshifted functions, by analysis; and the references made of them and of published fronts (RE).

* ZDT1, 2, 4, 6, DTLZ1 to 6: every position at the best distance is optimal.
* ZDT3, DTLZ7: of those positions the ones where the last objective reaches a record; the objectives separate, so this is exact.
* MW: constraints depend on objectives only and no objective falls when the distance grows, so the optimum at a position
  has the smallest distance that the constraints allow; what is dominated by other positions is dropped.
* RE21: both objectives are convex and separate once the third area is at its bound, so weighted sums give every optimum.
* RE36: all pairs of wheels are tried; the violation only grows with the error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations

import numpy as np

from optisolve.core.arrays import BoolArray, FloatArray, IntArray
from optisolve.core.evaluation import HypervolumeBox, unwatched
from optisolve.core.reference import Reference
from optisolve.core.scoring import box_around
from optisolve.core.status import Evidence
from optisolve.problems.front_file import cached_front
from optisolve.problems.pymoo.instance import PymooInstance, restored
from optisolve.problems.pymoo.literature import ZDT5_BITS, mw_at_distance, mw_best_distances, mw_distance

__all__ = ["front_box", "optimal_points", "reference"]

_BOX_DIGITS = 4
"""Digits of the width of a box made from a front."""
_CURVE = 500
"""Points of a front with two objectives."""
_LATTICE = 60
"""Divisions of a front with three objectives: 1,891 points."""
_LATTICE_MANY = 8
"""Divisions of a front with more."""
_GRID = 200_001
"""Samples that a record is first looked for on."""
_FARTHEST = 2.5
"""Largest distance that is tried at a position of an MW function."""
_STEPS = 1001
"""Distances tried between 1 and the farthest, before bisection."""
_BISECTIONS = 60
_HALVINGS = 24
_BLOCK = 256
"""Positions treated at once; bounds the memory."""
_WORTH_A_LOOK = 1e-2
"""Excess of a valley between two steps above which the constraints cannot meet there."""
_JUST_MET = 1e-9
"""Excess that counts as met where two constraints touch, below the feasibility tolerance."""


@lru_cache(maxsize=64)
def optimal_points(name: str, n_variables: int, n_objectives: int, upper: float) -> FloatArray | None:
    """Points of the Pareto set, float64 [n, d], not to be written; None when it is not known by analysis.

    Args:
        name: Name of the function.
        n_variables: d.
        n_objectives: m.
        upper: Upper bound of the position variables.
    """
    if name in _DESIGNS:
        return _DESIGNS[name]()
    if name.startswith("re") or (n_objectives > 3 and name in ("dtlz5", "dtlz6", "dtlz7", "mw14")):
        return None
    if name.startswith("mw"):
        return _constrained(name, _mw_positions(name, n_objectives, n_variables, upper), n_variables)
    position = _zdt_positions(name) if name.startswith("zdt") else _dtlz_positions(name, n_objectives)
    best = {"zdt5": 1.0}.get(name, 0.5 if name in ("dtlz1", "dtlz2", "dtlz3", "dtlz4", "dtlz5") else 0.0)
    return np.hstack([position, np.full((len(position), n_variables - position.shape[1]), best)])


# -- positions -------------------------------------------------------------------------------------------------------


def _zdt_positions(name: str) -> FloatArray:
    if name == "zdt3":
        return _on_records(lambda x: 1.0 - np.sqrt(x) - x * np.sin(10.0 * np.pi * x), _CURVE)[:, None]
    if name == "zdt5":
        return np.tri(ZDT5_BITS + 1, ZDT5_BITS, -1)
    if name == "zdt6":
        return _zdt6_positions()[:, None]
    return np.linspace(0.0, 1.0, _CURVE)[:, None]


def _zdt6_positions() -> FloatArray:
    """Positions of evenly spread first objectives; on the way to its first valley f1 takes all of its values."""

    def f1(x: FloatArray) -> FloatArray:
        return np.asarray(1.0 - np.exp(-4.0 * x) * np.sin(6.0 * np.pi * x) ** 6)

    valley = np.arctan(9.0 * np.pi) / (6.0 * np.pi)  # where the derivative vanishes
    wanted = np.linspace(1.0, float(f1(np.array(valley))), _CURVE)
    low, high = np.zeros(_CURVE), np.full(_CURVE, valley)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        above = f1(middle) > wanted
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def _dtlz_positions(name: str, m: int) -> FloatArray:
    if name in ("dtlz5", "dtlz6"):
        return np.column_stack([np.linspace(0.0, 1.0, _CURVE), np.full((_CURVE, m - 2), 0.5)])
    if name == "dtlz7":
        each = _on_records(lambda x: -x * (1.0 + np.sin(3.0 * np.pi * x)), _CURVE if m == 2 else 30)
        return _product(each, m - 1)
    share = _shares(_lattice(m) if name == "dtlz1" else _lattice(m) ** 2)
    if name == "dtlz1":
        return 1.0 - share
    angle = 2.0 / np.pi * np.arcsin(np.sqrt(share))
    return np.asarray(angle**0.01) if name == "dtlz4" else angle


def _mw_positions(name: str, m: int, d: int, upper: float) -> FloatArray:
    if name == "mw14":
        return _product(np.linspace(0.0, upper, _CURVE if m == 2 else 60), m - 1)
    if name == "mw4":
        return _shares(_lattice(m))
    if name == "mw8":
        return np.asarray(2.0 / np.pi * np.arcsin(np.sqrt(_shares(_lattice(m) ** 2))))
    even = np.linspace(0.0, 1.0, 2 * _CURVE + 1)  # with the middle, where MW11 has a front of a single point
    if name in ("mw5", "mw6", "mw7", "mw11"):
        return np.asarray(upper * np.sin(0.5 * np.pi * even))[:, None]
    return np.asarray(even ** (1.0 / d) if name == "mw10" else upper * even)[:, None]


def _lattice(m: int) -> FloatArray:
    """Evenly spread weights that sum to 1, float64 [n, m] (Das and Dennis 1998)."""
    h = _CURVE - 1 if m == 2 else _LATTICE if m == 3 else _LATTICE_MANY
    bars = np.array(list(combinations(range(h + m - 1), m - 1)))
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), h + m - 1)])
    return np.asarray((np.diff(edges, axis=1) - 1) / h)


def _shares(weights: FloatArray) -> FloatArray:
    """Column k: what the last but k-th weight is of itself and all before it, float64 [n, m - 1]; 0 of nothing is 0."""
    running = np.cumsum(weights, axis=1)[:, :0:-1]
    return np.asarray(weights[:, :0:-1] / np.where(running > 0.0, running, 1.0))


def _product(axis: FloatArray, times: int) -> FloatArray:
    return np.column_stack([a.ravel() for a in np.meshgrid(*[axis] * times, indexing="ij")])


def _on_records(height: Callable[[FloatArray], FloatArray], n: int) -> FloatArray:
    """About n points x in [0, 1], evenly spread over where `height` is below all of its values to the left."""
    x = np.linspace(0.0, 1.0, _GRID)
    h = height(x)
    before = np.concatenate([[np.inf], np.minimum.accumulate(h)[:-1]])
    record = h < before
    edges = np.flatnonzero(np.diff(np.concatenate([[False], record, [False]]).astype(int)))
    runs = [(_start(height, x, before, int(first)), _lowest(height, x, int(end) - 1)) for first, end in edges.reshape(-1, 2)]
    total = sum(b - a for a, b in runs)
    return np.concatenate([np.linspace(a, b, max(2, round(n * (b - a) / total))) for a, b in runs])


def _start(height: Callable[[FloatArray], FloatArray], x: FloatArray, before: FloatArray, i: int) -> float:
    """Where `height` falls below what was lowest before, found by bisection from its right."""
    if i == 0:
        return 0.0
    low, high = float(x[i - 1]), float(x[i])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if height(np.array(middle)) < before[i] else (middle, high)
    return high


def _lowest(height: Callable[[FloatArray], FloatArray], x: FloatArray, i: int) -> float:
    """The local minimum near sample i."""
    from scipy.optimize import minimize_scalar

    if i in (0, x.size - 1):
        return float(x[i])
    found = minimize_scalar(lambda v: float(height(np.array(v))), bounds=(x[i - 1], x[i + 1]), options={"xatol": 1e-14})
    return float(found.x)


# -- constraints -----------------------------------------------------------------------------------------------------


def _constrained(name: str, position: FloatArray, d: int) -> FloatArray:
    """Optimal points of an MW function at some of the given positions, and with two objectives at some between them.

    Several MW fronts have pieces of no length, where the smallest distance has a valley, and pieces that end between two
    positions: valleys are searched for their lowest point, gaps at an end are halved again and again.
    """
    g = _smallest_allowed(name, position, d)
    if position.shape[1] == 1:
        position, g = _with(name, position, g, _lowest_positions(name, position, g, d), d)
        for _ in range(_HALVINGS):
            middle = 0.5 * (position[:-1] + position[1:])[_near_an_end(_kept(name, position, g, d))]
            position, g = _with(name, position, g, middle, d)
    kept = _kept(name, position, g, d)
    return _at_distance(name, position[kept], g[kept], d)


def _with(name: str, position: FloatArray, g: FloatArray, more: FloatArray, d: int) -> tuple[FloatArray, FloatArray]:
    """Positions and smallest distances with some more, in ascending order."""
    position, g = np.concatenate([position, more]), np.concatenate([g, _smallest_allowed(name, more, d)])
    order = np.argsort(position[:, 0], kind="stable")
    return position[order], g[order]


def _kept(name: str, position: FloatArray, g: FloatArray, d: int) -> BoolArray:
    """Which positions are not dominated by another one, bool [n]."""
    from moocore import is_nondominated

    kept = np.isfinite(g)
    kept[kept] = is_nondominated(mw_at_distance(name, position[kept], g[kept], d)[0], keep_weakly=False)
    return kept


def _near_an_end(kept: BoolArray) -> BoolArray:
    """Which gaps between neighbors lie where kept ones begin or end, or next to such a gap, bool [n - 1]."""
    end = np.pad(kept[1:] != kept[:-1], 1)
    return np.asarray(end[1:-1] | end[:-2] | end[2:])


def _lowest_positions(name: str, position: FloatArray, g: FloatArray, d: int) -> FloatArray:
    """Positions between the given ones where the smallest allowed distance has a valley, float64 [v, 1]."""
    valley = 1 + np.flatnonzero((g[1:-1] < g[:-2]) & (g[1:-1] <= g[2:]) & np.isfinite(g[1:-1]))
    at, _ = _valleys(lambda p: _smallest_allowed(name, p[:, None], d), position[valley - 1, 0], position[valley + 1, 0], 40)
    return at[:, None]


def _smallest_allowed(name: str, position: FloatArray, d: int) -> FloatArray:
    """Smallest distance >= 1 that the constraints allow at each position, float64 [n]; infinite when there is none."""
    blocks = np.array_split(np.arange(len(position)), max(1, len(position) // _BLOCK))
    return np.concatenate([_smallest_of_block(name, position[block], d) for block in blocks])


def _smallest_of_block(name: str, position: FloatArray, d: int) -> FloatArray:
    steps = np.linspace(1.0, _FARTHEST, _STEPS)
    excess = _excess(name, np.repeat(position, _STEPS, axis=0), np.tile(steps, len(position)), d).reshape(-1, _STEPS)
    met = excess <= 0.0
    first = np.where(met.any(axis=1), met.argmax(axis=1), _STEPS)  # [n]
    g = np.where(excess[:, 0] <= _JUST_MET, 1.0, np.inf)
    row, step = _near_misses(excess, first)
    valley, least = _valleys(lambda v: _excess(name, position[row], v, d), steps[step - 1], steps[step + 1], 80)
    np.minimum.at(g, row[least <= _JUST_MET], valley[least <= _JUST_MET])
    crossed = np.flatnonzero(np.isinf(g) & (first < _STEPS))
    inside = least < 0.0  # a strip thinner than a step: it is entered before its valley
    row = np.concatenate([row[inside], crossed])
    low = np.concatenate([steps[step[inside] - 1], steps[first[crossed] - 1]])
    high = np.concatenate([valley[inside], steps[first[crossed]]])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        allowed = _excess(name, position[row], middle, d) <= 0.0
        low, high = np.where(allowed, low, middle), np.where(allowed, middle, high)
    np.minimum.at(g, row, high)
    return g


def _excess(name: str, position: FloatArray, g: FloatArray, d: int) -> FloatArray:
    """Largest constraint at positions float64 [n, m - 1] and distances float64 [n], float64 [n]."""
    return np.asarray(mw_at_distance(name, position, g, d)[1].max(axis=1)) if g.size else np.empty(0)


def _near_misses(excess: FloatArray, first: IntArray) -> tuple[IntArray, IntArray]:
    """Rows and steps of valleys before the first allowed step where two constraints may just meet."""
    inner = excess[:, 1:-1]
    valley = (inner <= excess[:, :-2]) & (inner <= excess[:, 2:]) & (inner > 0.0) & (inner < _WORTH_A_LOOK)
    row, step = np.nonzero(valley)
    before = step + 1 < first[row]
    return row[before], step[before] + 1


def _valleys(
    height: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray, rounds: int
) -> tuple[FloatArray, FloatArray]:
    """Places and heights of the lowest points of intervals with one valley each, often a kink, by golden section.

    Args:
        height: From one place per interval, float64 [n], to its height, float64 [n].
        low: float64 [n].
        high: float64 [n].
        rounds: Each shrinks the intervals by 0.618.
    """
    ratio = 0.5 * (5.0**0.5 - 1.0)
    for _ in range(rounds if low.size else 0):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        down = height(left) < height(right)
        low, high = np.where(down, low, left), np.where(down, right, high)
    middle = 0.5 * (low + high)
    return middle, height(middle)


def _at_distance(name: str, position: FloatArray, g: FloatArray, d: int) -> FloatArray:
    """Points with given positions and distances: all distance variables on the way from their best value to 0."""
    best = mw_best_distances(name, position, d)
    m = position.shape[1] + 1

    def at(t: FloatArray) -> FloatArray:
        return np.hstack([position, best * (1.0 - t[:, None])])

    needed = g > 1.0
    steps = np.linspace(0.0, 1.0, 512)
    gone = np.stack([mw_distance(name, at(np.full(len(g), t)), m) for t in steps])  # [steps, n]
    first = (gone >= g).argmax(axis=0)  # [n]
    if not (gone.max(axis=0) >= g)[needed].all():
        raise AssertionError(f"{name}: a distance on the front cannot be reached")
    low, high = steps[np.maximum(first - 1, 0)], steps[first]
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        enough = mw_distance(name, at(middle), m) >= g
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return at(np.where(needed, high, 0.0))


# -- designs ---------------------------------------------------------------------------------------------------------


def _four_bar_truss() -> FloatArray:
    """Stationary areas of volume + lambda displacement are t, sqrt(2) t and sqrt(2) t, cut at their bounds."""
    root2 = np.sqrt(2.0)
    t = np.linspace(1.0 / root2, 3.0, _CURVE)
    return np.column_stack(
        [np.clip(t, 1.0, 3.0), np.clip(root2 * t, root2, 3.0), np.full(_CURVE, root2), np.clip(root2 * t, 1.0, 3.0)]
    )


def _gear_train() -> FloatArray:
    """For every largest wheel the numbers of teeth with the smallest error, as long as a larger wheel makes it smaller."""
    pairs = np.array([(a, b) for a in range(12, 61) for b in range(a, 61)], dtype=np.float64)  # [p, 2]
    product, largest = pairs.prod(axis=1), pairs[:, 1]
    error = np.abs(6.931 - product[None, :] / product[:, None])  # [driving, driven]
    found, least = [], np.inf
    for wheel in range(12, 61):
        allowed = np.flatnonzero(largest <= wheel)
        block = error[np.ix_(allowed, allowed)]
        i, j = np.unravel_index(int(block.argmin()), block.shape)
        if block[i, j] < least:
            least = block[i, j]
            found.append(np.concatenate([pairs[allowed[i]], pairs[allowed[j]]]))
    return np.array(found)


_DESIGNS: dict[str, Callable[[], FloatArray]] = {"re21": _four_bar_truss, "re36": _gear_train}


VERSION = "2"
_HOW = {"re36": "all of it, by enumeration"}
FORGIVEN = {"mw9": 1e-4}
"""How far verified points may lie beyond a front with constraints, in every objective at once, because they may violate each
constraint by 1e-8; 2e-8 where nothing is said. Both factors of MW9's constraint vanish at the front, hence the root of 1e-8."""


def front_box(instance: PymooInstance) -> HypervolumeBox | None:
    """From the ideal point to ideal + 1.1 (nadir - ideal) of the front, as in the scenarios; None where no front is known."""
    with unwatched():
        known = reference(instance)
    if known is None or known.F is None:
        return None
    ideal, nadir = known.F.min(axis=0), known.F.max(axis=0)
    return box_around(ideal + 1.1 * (nadir - ideal), ideal, instance.signs, digits=_BOX_DIGITS)


def reference(instance: PymooInstance) -> Reference | None:
    """The Pareto front of an instance, points and objectives; see `PymooFunction.reference`."""
    function, space = instance.function, instance.space
    Y = optimal_points(function.name, space.dim, len(instance.objectives), function.position_upper)
    if Y is None:
        published = cached_front(instance)
        if published is None:
            return None
        X, F = published
        solver, detail = "published_front", f"published front of {len(X)} points from long evolutionary runs; re-verified"
        return Reference(Evidence.BEST_KNOWN, X=X, F=F, solver=solver, solver_version=VERSION, detail=detail)
    X = restored(Y, space.lower, space.upper, instance.shift, function.fold) if instance.shift.size else Y
    X = space.clip(X)
    how = _HOW.get(function.name, "optimal by analysis")
    if instance.constraint_names:
        beyond = FORGIVEN.get(function.name, 2e-8)
        how += f"; verified points may lie up to {beyond:.0e} beyond it, within the feasibility tolerance"
    return Reference(
        Evidence.BEST_KNOWN,
        X=X,
        F=instance.evaluate_twin(X).F,
        solver="analysis",
        solver_version=VERSION,
        detail=f"{len(X)} points of the Pareto front, {how}",
    )
