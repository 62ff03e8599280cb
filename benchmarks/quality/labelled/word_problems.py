"""Labelled word problems without limit, each with its optimum from a direct method that knows no declarative model.

Numbers are drawn, the optimum is computed by a method of its own kind (linear programs on matrices, enumeration, dynamic
programs, the Hungarian method, water-filling), and the text is written last. Beside it stands a gold declarative model, which
the path from model to answer must bring to the same optimum. Amounts can be written in another unit than the limit they
count against; the gold model converts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from optisolve.core.arrays import FloatArray
from optisolve.core.seeds import generator
from optisolve.numerics.water_filling import water_fill

__all__ = ["WORD_PROBLEM_KINDS", "WordProblem", "generate_word_problems"]


@dataclass(frozen=True, slots=True)
class WordProblem:
    """One labelled problem.

    Attributes:
        text: The problem in words.
        kind: See `WORD_PROBLEM_KINDS`.
        variant: ``plain``, ``paraphrase`` or ``unit``.
        optimum: By a direct method.
        gold: A right declarative model, JSON-compatible.
    """

    text: str
    kind: str
    variant: str
    optimum: float
    gold: Mapping[str, Any]


_VARIANTS = ("plain", "paraphrase", "unit")


def generate_word_problems(count: int, *, seed: int = 0, kinds: Sequence[str] = ()) -> Iterator[WordProblem]:
    """Labelled problems, kinds in turn and variants in turn; the same seed gives the same problems.

    Args:
        count: How many.
        seed: Master seed.
        kinds: What to make; empty for all of `WORD_PROBLEM_KINDS`.
    """
    names = tuple(kinds) or tuple(WORD_PROBLEM_KINDS)
    for i in range(count):
        kind, variant = names[i % len(names)], _VARIANTS[(i // len(names)) % len(_VARIANTS)]
        rng = generator(seed, purpose="word_problems", index=i)
        text, optimum, gold = WORD_PROBLEM_KINDS[kind](rng, variant)
        yield WordProblem(text, kind, variant, optimum, gold)


_Made = tuple[str, float, dict[str, Any]]


def _whole(rng: np.random.Generator, low: int, high: int, shape: int | tuple[int, ...] = ()) -> Any:
    values = rng.integers(low, high + 1, shape)
    return int(values) if shape == () else values


def _model(variables: Mapping[str, str], sense: str, aim: str, rows: Mapping[str, str], **more: Any) -> dict[str, Any]:
    return {
        "variables": {name: {"kind": kind} for name, kind in variables.items()},
        "objective": {"sense": sense, "expression": aim},
        "constraints": [{"name": name, "relation": relation} for name, relation in rows.items()],
        **more,
    }


def _weighted(weights: Sequence[Any], names: Sequence[str]) -> str:
    return " + ".join(f"{w:g}*{name}" for w, name in zip(weights, names, strict=True))


def _pick(rng: np.random.Generator, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


# -- linear programs ------------------------------------------------------------------------------------------------------


def _linear(cost: Any, upper_rows: Any, upper: Any, *, integer: bool = False) -> float:
    """``min cost x`` with rows ``<= upper`` and x >= 0, by scipy on the matrices."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    found = milp(
        np.asarray(cost, dtype=np.float64),
        constraints=LinearConstraint(np.asarray(upper_rows, dtype=np.float64), ub=np.asarray(upper, dtype=np.float64)),
        bounds=Bounds(lb=0.0),
        integrality=np.full(len(cost), int(integer)),
        options={"mip_rel_gap": 0.0},
    )
    assert found.fun is not None, "the problems are made so that an optimum exists"
    return float(found.fun)


_GOODS = (("chairs", "tables"), ("lamps", "clocks"), ("caps", "scarves"), ("kayaks", "canoes"))


def _products(rng: np.random.Generator, variant: str, *, integer: bool) -> _Made:
    names = _pick(rng, _GOODS)
    profit, hours, wood = _whole(rng, 3, 40, 2), _whole(rng, 1, 8, 2), _whole(rng, 1, 9, 2)
    time, stock = _whole(rng, 30, 120), _whole(rng, 30, 120)
    optimum = -_linear(-profit, [hours, wood], [time, stock], integer=integer)
    one = [name.removesuffix("s").removesuffix("ve") + ("f" if name == "scarves" else "") for name in names]
    kind, whole = ("integer", " Only whole pieces can be sold.") if integer else ("real", "")
    written, factor, unit = (60 * hours, 60, "minutes") if variant == "unit" else (hours, 1, "hours")
    if variant == "paraphrase":
        text = (
            f"Our workshop turns out {names[0]} and {names[1]}. Each {one[0]} brings in {profit[0]} euros, each {one[1]} "
            f"{profit[1]}. A {one[0]} keeps the crew busy for {hours[0]} hours and swallows {wood[0]} kg of material; for a "
            f"{one[1]} it is {hours[1]} hours and {wood[1]} kg. This week the crew has {time} hours and the store "
            f"holds {stock} kg. "
            f"How should the week be planned to bring in the most?{whole}"
        )
    else:
        text = (
            f"A factory makes {names[0]} and {names[1]}. A {one[0]} earns {profit[0]}, takes {written[0]} {unit} "
            "of work and needs "
            f"{wood[0]} kg of material. A {one[1]} earns {profit[1]}, takes {written[1]} {unit} and needs "
            f"{wood[1]} kg. There are "
            f"{time} hours of work and {stock} kg of material. Maximize the earnings.{whole}"
        )
    limit = f"{time}*{factor}" if factor > 1 else f"{time}"
    rows = {"work": f"{_weighted(written, names)} <= {limit}", "material": f"{_weighted(wood, names)} <= {stock}"}
    return text, optimum, _model(dict.fromkeys(names, kind), "max", _weighted(profit, names), rows)


def _blend(rng: np.random.Generator, variant: str) -> _Made:
    names = _pick(rng, (("oats", "bran", "corn"), ("rice", "beans", "nuts"), ("barley", "peas", "hay")))
    price, protein, fat = _whole(rng, 2, 12, 3), _whole(rng, 2, 20, 3), _whole(rng, 1, 9, 3)
    need, least = _whole(rng, 60, 200), _whole(rng, 30, 90)
    optimum = _linear(price, [-protein, -fat], [-need, -least])
    parts = [
        f"{n} cost {p} per kg and hold {a} g of protein and {b} g of fat per kg"
        for n, p, a, b in zip(names, price, protein, fat, strict=True)
    ]
    told = _listed(parts)
    if variant == "paraphrase":
        text = (
            f"What is the least money that feeds the herd? {told[0].upper()}{told[1:]}. The animals must not get "
            f"less than {need} g "
            f"of protein, nor less than {least} g of fat."
        )
        rows = {"protein": f"{_weighted(protein, names)} >= {need}", "fat": f"{_weighted(fat, names)} >= {least}"}
    elif variant == "unit":
        text = (
            f"A mix of feed is wanted. {told[0].upper()}{told[1:]}. At least {need / 1000:g} kg of protein "
            f"and {least} g of fat "
        )
        text += "are required. Minimize the cost."
        rows = {"protein": f"{_weighted(protein, names)} >= 1000*{need / 1000:g}", "fat": f"{_weighted(fat, names)} >= {least}"}
    else:
        text = (
            f"A mix of feed is wanted. {told[0].upper()}{told[1:]}. At least {need} g of protein and at least "
            f"{least} g of fat are "
        )
        text += "required. Minimize the cost."
        rows = {"protein": f"{_weighted(protein, names)} >= {need}", "fat": f"{_weighted(fat, names)} >= {least}"}
    return text, optimum, _model(dict.fromkeys(names, "real"), "min", _weighted(price, names), rows)


def _transport(rng: np.random.Generator, variant: str) -> _Made:
    cost, supply = _whole(rng, 2, 15, (2, 2)), _whole(rng, 30, 60, 2)
    demand = np.array([_whole(rng, 10, 30), _whole(rng, 10, 30)])
    rows = [[1, 1, 0, 0], [0, 0, 1, 1], [-1, 0, -1, 0], [0, -1, 0, -1]]
    optimum = _linear(cost.ravel(), rows, [*supply, *-demand])
    c, s, d = cost.tolist(), supply.tolist(), demand.tolist()
    if variant == "paraphrase":
        text = (
            f"Two depots feed two towns. The northern depot has {s[0]} pallets in stock, the southern one {s[1]}; "
            "the harbor town "
            f"waits for {d[0]} pallets, the mountain town for {d[1]}. Driving a pallet from north to harbor costs "
            f"{c[0][0]}, from north "
            f"to mountain {c[0][1]}, from south to harbor {c[1][0]}, and from south to mountain {c[1][1]}. Which "
            "plan is cheapest?"
        )
    else:
        stock = [f"{v * 1000} kg" if variant == "unit" else f"{v} t" for v in s]
        text = (
            f"Plants A and B supply shops X and Y. Plant A has {stock[0]}, plant B has {stock[1]}. Shop X needs "
            f"at least {d[0]} t, "
            f"shop Y at least {d[1]} t. A ton costs {c[0][0]} from A to X, {c[0][1]} from A to Y, {c[1][0]} from B to X and "
            f"{c[1][1]} from B to Y. Minimize the cost of transport."
        )
    factor = 1000 if variant == "unit" else 1
    gold = {
        "sets": {"plant": 2, "shop": 2},
        "parameters": {
            "cost": {"over": ["plant", "shop"], "value": c},
            "supply": {"over": ["plant"], "value": [v * factor for v in s]},
            "demand": {"over": ["shop"], "value": d},
        },
        "variables": {"ship": {"over": ["plant", "shop"]}},
        "objective": {"sense": "min", "expression": "sum(i in plant, j in shop, cost[i,j]*ship[i,j])"},
        "constraints": [
            {"name": "stock", "relation": f"sum(j in shop, ship[i,j])*{factor} <= supply[i]", "for_all": {"i": "plant"}},
            {"name": "need", "relation": "sum(i in plant, ship[i,j]) >= demand[j]", "for_all": {"j": "shop"}},
        ],
    }
    return text, optimum, gold


# -- whole numbers --------------------------------------------------------------------------------------------------------


def _knapsack(rng: np.random.Generator, variant: str) -> _Made:
    names = ("rope", "stove", "tent", "camera", "lamp")[: _whole(rng, 4, 5)]
    weight, value = _whole(rng, 2, 9, len(names)), _whole(rng, 3, 30, len(names))
    limit = int(weight.sum()) // 2
    best = np.zeros(limit + 1, dtype=np.int64)  # dynamic program over the weight in use
    for w, v in zip(weight, value, strict=True):
        for room in range(limit, int(w) - 1, -1):
            best[room] = max(best[room], best[room - w] + v)
    unit, factor = ("g", 1000) if variant == "unit" else ("kg", 1)
    parts = [f"the {n} weighs {w * factor} {unit} and is worth {v}" for n, w, v in zip(names, weight, value, strict=True)]
    if variant == "paraphrase":
        text = f"Somebody packs for a tour and may carry {limit} kg, not more. As to the gear, {_listed(parts)}. "
        text += "Every piece exists once. What goes along so that its worth is greatest?"
    else:
        text = f"A bag holds at most {limit} kg. {_listed(parts)[0].upper()}{_listed(parts)[1:]}. "
        text += "Each item is taken or left. Maximize the total worth."
    rows = {"bag": f"{_weighted(weight * factor, names)} <= {limit}" + (f"*{factor}" if factor > 1 else "")}
    return text, float(best[-1]), _model(dict.fromkeys(names, "binary"), "max", _weighted(value, names), rows)


def _assignment(rng: np.random.Generator, variant: str) -> _Made:
    from scipy.optimize import linear_sum_assignment

    cost = _whole(rng, 2, 20, (3, 3))
    optimum = float(cost[linear_sum_assignment(cost)].sum())
    people = _pick(rng, (("Ana", "Ben", "Cleo"), ("Ida", "Max", "Tom")))
    written, unit = (60 * cost, "minutes") if variant == "unit" else (cost, "hours")
    parts = [f"{who} needs {_listed([f'{v}' for v in row])} {unit}" for who, row in zip(people, written.tolist(), strict=True)]
    if variant == "paraphrase":
        text = f"Painting, wiring and cleaning have to be done, each by somebody else. In this order, {_listed(parts)}. "
        text += "How are the jobs shared out so that the hours add up to as few as possible?"
    else:
        text = (
            "Three workers do three jobs, one each. For painting, wiring and cleaning, in this order, "
            f"{_listed(parts)}. Minimize the total number of hours."
        )
    gold = {
        "sets": {"worker": 3, "job": 3},
        "parameters": {"time": {"over": ["worker", "job"], "value": written.tolist()}},
        "variables": {"x": {"over": ["worker", "job"], "kind": "binary"}},
        "objective": {
            "sense": "min",
            "expression": "sum(i in worker, j in job, time[i,j]*x[i,j])" + ("/60" if variant == "unit" else ""),
        },
        "constraints": [
            {"name": "worker_once", "relation": "sum(j in job, x[i,j]) == 1", "for_all": {"i": "worker"}},
            {"name": "job_once", "relation": "sum(i in worker, x[i,j]) == 1", "for_all": {"j": "job"}},
        ],
    }
    return text, optimum, gold


def _covering(rng: np.random.Generator, variant: str) -> _Made:
    seats, cost = np.array([_whole(rng, 20, 40), _whole(rng, 45, 70)]), np.array([_whole(rng, 3, 6), _whole(rng, 6, 11)]) * 100
    people, drivers = _whole(rng, 150, 400), _whole(rng, 8, 14)
    options = [
        (int(cost @ (a, b))) for a, b in product(range(drivers + 1), repeat=2) if a + b <= drivers and seats @ (a, b) >= people
    ]
    if not options:
        return _covering(rng, variant)
    s, c = seats.tolist(), cost.tolist()
    price = [f"{v / 1000:g} thousand" if variant == "unit" else f"{v}" for v in c]
    if variant == "paraphrase":
        text = (
            f"For an outing of {people} people one hires vans, which take {s[0]} and cost {price[0]} each, and "
            "coaches, which take "
            f"{s[1]} and cost {price[1]} each. No more than {drivers} drivers can be found. How is it done for "
            "the least money?"
        )
    else:
        text = (
            f"At least {people} people travel. A van has {s[0]} seats and costs {price[0]}, a coach has {s[1]} "
            "seats and costs "
            f"{price[1]}. There are {drivers} drivers. How many vans and coaches, whole ones, cost least in total?"
        )
    names = ("vans", "coaches")
    rows = {"seats": f"{_weighted(s, names)} >= {people}", "drivers": f"vans + coaches <= {drivers}"}
    aim = f"1000*({_weighted([v / 1000 for v in c], names)})" if variant == "unit" else _weighted(c, names)
    return text, float(min(options)), _model(dict.fromkeys(names, "integer"), "min", aim, rows)


# -- networks -------------------------------------------------------------------------------------------------------------


def _bandwidth(rng: np.random.Generator, variant: str) -> _Made:
    names = ("video", "voice", "data")
    worth, least = _whole(rng, 2, 9, 3), np.array([_whole(rng, 5, 15), _whole(rng, 1, 5), _whole(rng, 2, 10)])
    cap, total = least + _whole(rng, 10, 40, 3), int(least.sum()) + _whole(rng, 20, 60)
    given, left = least.astype(np.int64), total - int(least.sum())
    for k in np.argsort(-worth, kind="stable"):  # the rest goes to the worthiest first, up to its cap
        step = min(left, int(cap[k] - least[k]))
        given[k], left = given[k] + step, left - step
    parts = [f"{n} needs at least {a} and can use at most {b} MHz" for n, a, b in zip(names, least, cap, strict=True)]
    room = f"{total / 1000:g} GHz" if variant == "unit" else f"{total} MHz"
    pay = [f"{w} per MHz of {n}" for n, w in zip(names, worth, strict=True)]
    if variant == "paraphrase":
        text = f"Three services share a band of {room}. {_listed(parts)[0].upper()}{_listed(parts)[1:]}. The customers pay "
        text += f"{_listed(pay)}. Split the band so that the income is highest."
    else:
        text = f"A band of {room} is divided among video, voice and data. {_listed(parts)[0].upper()}{_listed(parts)[1:]}. "
        text += f"The revenue is {_listed(pay)}. Maximize the revenue."
    rows = {"band": "video + voice + data <= " + (f"1000*{total / 1000:g}" if variant == "unit" else f"{total}")}
    rows |= {f"least_{n}": f"{n} >= {a}" for n, a in zip(names, least, strict=True)}
    rows |= {f"most_{n}": f"{n} <= {b}" for n, b in zip(names, cap, strict=True)}
    return text, float(worth @ given), _model(dict.fromkeys(names, "real"), "max", _weighted(worth, names), rows)


def _power(rng: np.random.Generator, variant: str) -> _Made:
    gain: FloatArray = np.round(rng.uniform(0.2, 3.0, 3), 2)
    total = _whole(rng, 3, 20)
    powers, _ = water_fill(gain, np.ones(3), float(total))
    optimum = float(np.log2(1.0 + gain * powers).sum())
    budget = f"{total * 1000} mW" if variant == "unit" else f"{total} W"
    listed = _listed([f"{g:g}" for g in gain])
    if variant == "paraphrase":
        text = (
            f"A transmitter with {budget} feeds three channels of gains {listed} per watt. A channel that "
            "gets p watts carries log2 of "
        )
        text += "one plus gain times p. How is the power divided so that all channels together carry most?"
    else:
        text = f"Three channels have gains {listed} per W. The rate of a channel is log2(1 + gain * power in W). "
        text += f"The total power is at most {budget}. Maximize the sum of the rates."
    gold = {
        "sets": {"channel": 3},
        "parameters": {"gain": {"over": ["channel"], "value": gain.tolist()}},
        "variables": {"p": {"over": ["channel"], "unit": "W"}},
        "objective": {"sense": "max", "expression": "sum(i in channel, log2(1 + gain[i]*p[i]))"},
        "constraints": [
            {
                "name": "budget",
                "relation": "sum(i in channel, p[i])" + (f"*1000 <= {total * 1000}" if variant == "unit" else f" <= {total}"),
            }
        ],
    }
    return text, optimum, gold


WORD_PROBLEM_KINDS: Mapping[str, Callable[[np.random.Generator, str], _Made]] = {
    "lp": lambda rng, variant: _products(rng, variant, integer=False),
    "blend": _blend,
    "milp": lambda rng, variant: _products(rng, variant, integer=True),
    "knapsack": _knapsack,
    "assignment": _assignment,
    "transport": _transport,
    "covering": _covering,
    "bandwidth": _bandwidth,
    "power": _power,
}
"""Kinds of problems and how each is made."""
