"""A model in other units is the same model: its status and its relative answer stay; what is certified is met."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest

from optisolve.cli.main import main
from optisolve.core.errors import OptionError
from optisolve.numerics.water_filling import water_fill
from optisolve.words.freeform import free_model, solve_free
from optisolve.words.freeform import solve as solving
from optisolve.words.freeform.linear import form_of, misses

FREE = {"lower": None}
WHOLE = {"kind": "integer"}
MODELS = {  # variables, aim, rows, optimum; where no source is given, by hand
    "linear": ({"x": {}, "y": {}}, "max 3*{x} + 5*{y}", ["{x} <= 4", "2*{y} <= 12", "3*{x} + 2*{y} <= 18"], 36),
    "equality": ({"x": FREE, "y": FREE}, "min {x} - 2*{y}", ["{x} + {y} == 3", "{x} - {y} >= -7"], -12),
    "zeros": ({"x": {}, "y": {}, "z": {}}, "min {x} + {y} + {z}", ["{x} >= {y}", "{y} >= {z}", "{x} + {y} >= 2*{z}"], 0),
    "contradiction": ({"x": {}, "y": {}}, "max {x} + {y}", ["{x} + {y} <= 4", "{x} + 2*{y} >= 9"], "infeasible"),
    "no limit": ({"x": {}, "y": {}}, "max 3*{x} + 5*{y}", ["{x} - {y} <= 4"], "unbounded"),
    "mixed": ({"x": {}, "n": WHOLE}, "max 3*{x} + 2*n", ["{x} <= 1.5*n", "{x} + n <= 7.3"], 18.9),
    "whole": ({"n": WHOLE, "m": WHOLE}, "min 2*n + 3*m", ["4*n + 3*m >= 30", "n + 4*m >= 20"], 22),  # enumeration
    "water": ({"x": {}, "y": {}}, "max log2(1 + 1.2*{x}) + log2(1 + 2*{y})", ["{x} + {y} <= 3"], None),
    "cone": ({"x": {}, "y": {}, "t": {}}, "min {t}", ["norm({x}, {y}) <= {t}", "{x} + 2*{y} >= 5"], np.sqrt(5)),
    "perfect fit": ({"x": FREE, "y": FREE}, "min square({x} - 3) + square({x} + {y} - 7)", [], 0),
    "perfect norm": ({"x": FREE, "y": FREE}, "min norm({x} - 3, {x} + {y} - 7, {x} - 2*{y} + 5)", [], 0),
    "fit": ({"x": FREE, "y": FREE}, "min square({x} - 3) + square({x} + {y} - 7) + square({y} - 5)", ["{x} <= 4"], 1 / 3),
    "inverse": ({"x": {}, "y": {}}, "min 4/{x} + 9/{y}", ["{x} + {y} <= 5"], 5),  # (2 + 3)^2 / 5
    "square over linear": ({"x": {}, "t": {}}, "min ({x}^2 + 1)/{t} + {t}", ["{x} >= 2"], 2 * np.sqrt(5)),
    "utility": ({"x": {}, "y": {}}, "max sqrt({x}) + log({y})", ["{x} + {y} <= 8"], 2 + np.log(4)),
    "least": ({"x": {}, "y": {}}, "max min(2*{x} + 1, {y})", ["{x} + {y} <= 8"], 17 / 3),
    "corners": ({"x": FREE, "y": FREE}, "min abs({x} - 3) + 2*abs({y} + {x}) + max({x}, {y}, 1)", [], 3),
    "exponential": ({"x": {}, "y": {}}, "min exp({x}) + exp(2*{y})", ["{x} + {y} >= 3"], None),
    "power": ({"x": {}, "y": {}}, "min {x}^3 + {y}^3", ["{x} + {y} >= 2"], 2),
    "curved contradiction": ({"x": {}, "y": {}}, "min {x}", ["norm({x}, {y}) <= 1", "{x} + {y} >= 2"], "infeasible"),
    "curved without limit": ({"x": {}, "y": {}}, "max {x} + sqrt({y})", ["norm({x} - {y}) <= 1"], "unbounded"),
}
CHANGES = ("rows", "units", "aim", "both")


def in_units(name, change="", k=0):
    """The model with its rows or its objective times 10^k, or with real variables that count units of 10^k."""
    variables, aim, rows, _ = MODELS[name]
    unit = {"units": k, "both": -k}.get(change, 0)
    read = {v: f"(1e{unit}*{v})" if unit and "kind" not in told else v for v, told in variables.items()}
    sense, _, expression = aim.format(**read).partition(" ")
    factor = f"1e{k}*" if change in ("rows", "both") else ""
    sides = [re.split("(<=|>=|==)", row.format(**read)) for row in rows]
    return {
        "variables": variables,
        "objective": {"sense": sense, "expression": f"1e{k}*({expression})" if change == "aim" else expression},
        "constraints": [
            {"name": f"r{i}", "relation": f"{factor}({a}) {op} {factor}({b})"} for i, (a, op, b) in enumerate(sides)
        ],
    }


def same_in_other_units(name, change, k):
    usual, told = solve_free(in_units(name)), solve_free(in_units(name, change, k))
    assert told.status == usual.status, (told, usual)
    if usual.objective is not None:
        value = told.objective / (10.0**k if change == "aim" else 1.0)
        assert value == pytest.approx(usual.objective, rel=1e-6, abs=1e-8 if MODELS[name][3] == 0 else 0.0)


@pytest.mark.parametrize("name", MODELS)
def test_optimum_and_status_are_those_derived_by_hand(name):
    answer, optimum = solve_free(in_units(name)), MODELS[name][3]
    assert answer.accepted == (not isinstance(optimum, str)), answer
    if isinstance(optimum, str):
        assert answer.status == optimum
    elif optimum is not None:
        assert answer.objective == pytest.approx(optimum, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_a_change_of_units_changes_no_status_and_no_relative_value(name):
    rng = np.random.default_rng(sorted(MODELS).index(name))
    for change in CHANGES:
        same_in_other_units(name, change, int(rng.integers(1, 13)) * (-1 if rng.random() < 0.5 else 1))


@pytest.mark.slow
@pytest.mark.parametrize("k", [k for k in range(-12, 13) if k])
@pytest.mark.parametrize("name", MODELS)
def test_no_change_of_units_at_all_changes_a_status_or_a_relative_value(name, k):
    for change in CHANGES:
        same_in_other_units(name, change, k)


def spread(values, units, unknowns):
    """``values @ unknowns`` with every unknown in a unit of its own; signs are written as the grammar wants them."""
    terms = [f"{float(v)!r}*{u!r}*{x}" for v, u, x in zip(values, units, unknowns, strict=True) if v]
    return "".join(f" {'-' if t.startswith('-') else '+'} {t.lstrip('-')}" for t in terms).removeprefix(" +") or "0"


@pytest.mark.parametrize("seed", range(25))
def test_linear_models_whose_rows_and_variables_all_have_units_of_their_own_agree_with_scipy(seed):
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    n, m = rng.integers(2, 6, 2)
    A, b, c = rng.integers(-3, 9, (m, n)), rng.integers(-10, 40, m), rng.integers(-3, 9, n)
    most = rng.integers(1, 20, n)
    units, rows, names = (
        (10.0 ** rng.integers(-8, 9, n)).tolist(),
        10.0 ** rng.integers(-12, 13, m),
        [f"x{j}" for j in range(n)],
    )
    sides = [f"{r!r}*({spread(A[i], units, names)}) <= {r!r}*{float(b[i])!r}" for i, r in enumerate(rows.tolist())]
    sides += [f"{u!r}*{x} <= {float(t)!r}" for u, x, t in zip(units, names, most, strict=True)]
    model = {
        "variables": {x: {} for x in names},
        "objective": {"sense": "min", "expression": spread(c, units, names)},
        "constraints": [{"name": f"r{i}", "relation": side} for i, side in enumerate(sides)],
    }
    answer, known = solve_free(model), linprog(c, A_ub=A, b_ub=b, bounds=[(0, t) for t in most])
    assert answer.status == {0: "optimal", 2: "infeasible"}[known.status], answer
    if known.status == 0:
        assert answer.objective == pytest.approx(known.fun, rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_curved_models_whose_variables_all_have_units_of_their_own_agree_with_closed_forms(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    units, names = (10.0 ** rng.integers(-9, 10, n)).tolist(), [f"x{j}" for j in range(n)]
    own = [f"{u!r}*{x}" for u, x in zip(units, names, strict=True)]
    gain, size, far = np.exp(rng.normal(0, 1.5, n)), rng.uniform(0.1, 20, n), rng.normal(0, 5, n)
    limit, k = float(rng.uniform(0.1, 20)), 10.0 ** int(rng.integers(-12, 13))
    powers, _ = water_fill(gain, np.ones(n), limit)
    total = f"{k!r}*({' + '.join(own)}) <= {k!r}*{limit!r}"
    ball = ", ".join(f"{x} {'-' if f > 0 else '+'} {abs(float(f))!r}" for x, f in zip(own, far, strict=True))
    for lower, aim, row, optimum in (
        (0, "max " + " + ".join(f"log2(1 + {float(g)!r}*{x})" for g, x in zip(gain, own, strict=True)), total, None),
        (
            0,
            "min " + " + ".join(f"{float(s)!r}^2/({x})" for s, x in zip(size, own, strict=True)),
            total,
            size.sum() ** 2 / limit,
        ),
        (None, "min " + " + ".join(own), f"{k!r}*norm({ball}) <= {k!r}*{limit!r}", far.sum() - limit * np.sqrt(n)),
    ):
        sense, _, expression = aim.partition(" ")
        model = {
            "variables": {x: {"lower": lower} for x in names},
            "objective": {"sense": sense, "expression": expression},
            "constraints": [{"name": "row", "relation": row}],
        }
        answer = solve_free(model)
        assert answer.accepted, answer
        known = np.log2(1.0 + gain * powers).sum() if optimum is None else optimum
        assert answer.objective == pytest.approx(known, rel=1e-6)


@pytest.mark.parametrize("seed", range(60))
def test_models_of_reals_and_whole_numbers_agree_with_enumeration(seed):
    """One release of HiGHS cuts off the optimum of one in fifty of these when it presolves them, and proves what is left."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    reals, bits, m = int(rng.integers(1, 3)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    cost = rng.integers(-10, 11, reals + bits)
    A, b = rng.integers(-6, 7, (m, reals + bits)) * (rng.random((m, reals + bits)) < 0.7), rng.integers(0, 12, m)
    most, names = rng.integers(1, 8, reals), [f"x{i}" for i in range(reals + bits)]
    best = np.inf
    for chosen in product((0, 1), repeat=bits):
        room = b - A[:, reals:] @ chosen
        found = linprog(cost[:reals], A_ub=A[:, :reals], b_ub=room, bounds=[(0, u) for u in most])
        best = min(best, found.fun + cost[reals:] @ chosen) if found.status == 0 else best
    units = [1.0] * len(names)
    kinds = [{"upper": int(u)} for u in most] + [{"kind": "binary"}] * bits
    rows = [f"{spread(a, units, names)} <= {limit}" for a, limit in zip(A, b, strict=True)]
    answer = solve_free(one(f"min {spread(cost, units, names).strip()}", *rows, **dict(zip(names, kinds, strict=True))))
    assert answer.accepted, answer
    assert answer.objective == pytest.approx(best, abs=1e-7)


# -- what is certified is met ---------------------------------------------------------------------------------------------

SNR = {
    "sets": {"k": 2},
    "parameters": {"gain": {"over": ["k"], "value": [1.0e-11, 3.0e-12]}, "need": {"value": 5.0e-13, "unit": "W"}},
    "variables": {"p": {"over": ["k"], "upper": 1, "unit": "W"}},
    "objective": {"sense": "min", "expression": "sum(i in k, p[i])", "unit": "W"},
    "constraints": [{"name": "snr", "relation": "gain[i]*p[i] >= need", "for_all": {"i": "k"}}],
}


def test_powers_in_watts_meet_their_signal_to_noise_ratios():
    answer = solve_free(SNR)
    assert answer.accepted
    assert answer.objective == pytest.approx(0.05 + 1 / 6, rel=1e-9)
    assert (np.array([1.0e-11, 3.0e-12]) * answer.values["p"] >= 5.0e-13 * (1 - 1e-9)).all()


def test_whole_numbers_are_enough_for_small_needs():
    model = {
        "parameters": {"gain": {"value": 1.0e-11}, "need": {"value": 5.0e-11}},
        "variables": {"n": WHOLE},
        "objective": {"sense": "min", "expression": "n"},
        "constraints": [{"name": "cover", "relation": "gain*n >= need"}],
    }
    answer = solve_free(model)
    assert answer.accepted
    assert answer.values["n"] == 5.0


def test_water_filling_at_the_noise_of_a_receiver():
    model = {
        "sets": {"k": 2},
        "parameters": {"gain": {"over": ["k"], "value": [1.0e-11, 3.0e-12]}, "noise": {"value": 1.0e-13}},
        "variables": {"p": {"over": ["k"]}},
        "objective": {"sense": "max", "expression": "sum(i in k, log2(1 + gain[i]*p[i]/noise))"},
        "constraints": [{"name": "budget", "relation": "sum(i in k, p[i]) <= 0.1"}],
    }
    answer = solve_free(model)
    level = (0.1 + 0.01 + 1 / 30) / 2
    assert answer.values["p"] == pytest.approx([level - 0.01, level - 1 / 30], rel=1e-5)
    assert answer.objective == pytest.approx(3.9456389138, rel=1e-9)


@pytest.mark.parametrize("k", [-12, 0, 12])
def test_a_point_that_misses_a_row_is_never_called_solved(k, monkeypatch, tmp_path, capsys):
    """The vertex is moved by a thousandth behind the solver's back, whatever the unit of the row."""
    real = solving.by_highs
    monkeypatch.setattr(solving, "by_highs", lambda *a, **kw: (real(*a, **kw)[0], 0.999 * real(*a, **kw)[1]))
    path = tmp_path / "model.yml"
    path.write_text(
        f"variables: {{x: {{}}}}\nobjective: {{sense: min, expression: x}}\n"
        f"constraints: [{{name: need, relation: '1e{k}*x >= 1e{k}*3'}}]\n"
    )
    assert main(["formulate", f"file={path}", f"out={tmp_path}"]) == 2
    told = " ".join(capsys.readouterr().out.split())
    assert f"need is missed by {0.003 * 10.0**k:.3g}, 0.001 of its largest term (the constant" in told
    assert "objective:" not in told  # nothing that could be quoted


def test_a_miss_is_measured_by_the_rows_own_largest_term():
    model = {
        "variables": {"x": {}, "y": {}},
        "objective": {"sense": "min", "expression": "x"},
        "constraints": [
            {"name": "small", "relation": "1e-12*x + 1e-9 >= 3e-12*y + 1e-9"},
            {"name": "big", "relation": "1e9*y >= 1"},
        ],
    }
    checked = free_model(model)
    found = misses(checked, form_of(checked), np.array([2.0, 1.0]))
    assert len(found) == 1
    assert found[0].share == pytest.approx(1 / 3, rel=1e-3)  # what stands on both sides does not count
    assert found[0].told.startswith("small is missed by 1e-12")


def one(aim, *rows, **variables):
    sense, _, expression = aim.partition(" ")
    return {
        "variables": variables or {"x": {}},
        "objective": {"sense": sense, "expression": expression},
        "constraints": [{"name": f"r{i}", "relation": row} for i, row in enumerate(rows)],
    }


@pytest.mark.parametrize(
    ("model", "optimum"),
    [
        (one("min square(x - 3000)", "x <= 2999.99"), 1e-4),  # small beside its parts, but not zero
        (one("min square(x - 3000)", "x <= 2999.9999"), 1e-8),
        (one("min 1e-12*x + 1e-12*y", "x + 2*y >= 3", x={}, y={}), 1.5e-12),
        (one("min x + 1e9", "x >= 5"), 1e9 + 5),  # a constant does not hide the rest
        (one("min 1e12*1e12*x", "1e12*1e12*1e12*x >= 1"), 1e-12),
        (one("min x9", "x0 >= 1e-10", *(f"x{i + 1} == 0.1*x{i}" for i in range(9)), **{f"x{i}": {} for i in range(10)}), 1e-19),
        (one("min x", "0.1 + 0.2 == 0.3", "x >= 0.3 - 0.1*3"), 0.0),  # rests of rounding are no contradictions
        (one("max x - 10*y", "x <= 1e9*y", "x <= 5", x={}, y={"kind": "binary"}), 0.0),
        (one("max x - 10*y", "x <= 1e12*y", "x <= 5", x={}, y={"kind": "binary"}), 0.0),
        (one("min 1e-9*n + p", "1e-11*n + 1e-12*p >= 5.5e-11", "p <= 4", n=WHOLE, p={}), 6e-9),
    ],
)
def test_small_and_large_numbers_are_solved_to_their_last_digits(model, optimum):
    answer = solve_free(model)
    assert answer.accepted, answer
    assert answer.objective == pytest.approx(optimum, rel=1e-6, abs=0.0)
    if optimum == 1e9 + 5:
        assert answer.values["x"] == pytest.approx(5.0, rel=1e-9)


@pytest.mark.parametrize(
    ("model", "status", "told"),
    [
        (one("min x", "0*x >= 5"), "infeasible", "r0 holds no variable (every coefficient is 0) and is false: 0 >= 5"),
        (one("min x", "1e-12*x >= 1e-12", "1e-12*x <= 0.9e-12"), "infeasible", "every point misses a row"),
        (one("min n", n={"kind": "integer", "lower": 0.5, "upper": 0.7}), "infeasible", "no whole number between its limits"),
        (one("min n", "2*n == 3", n=WHOLE), "infeasible", "r0 is missed by 1"),
        (one("max x", "y >= 1", "y <= 0", x={}, y={}), "infeasible", "every point misses a row"),
    ],
)
def test_what_has_no_answer_says_why(model, status, told):
    answer = solve_free(model)
    assert not answer.accepted
    assert status in answer.status
    assert told in " ".join(answer.checks)


def test_an_objective_that_only_comes_near_its_limit_has_no_optimum():
    assert not solve_free(one("min 1e9/x")).accepted
    assert not solve_free(one("max log2(x)")).accepted


def test_an_idle_row_of_another_size_does_not_pass_a_point_off_as_the_optimum():
    """The only hint of the size of y is a limit of 1e27 that it never comes near."""
    answer = solve_free(one("min square(y - 1)", "1e-12 - y <= (1e9)^3", y={}))
    assert not answer.accepted or answer.values["y"] == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (one("min 1e-90*x", "x >= 1"), "objective.expression: got 1e-90, expected coefficients from"),
        (one("min x", "1e-100*1e-100*1e-100*1e-100*x >= 1"), "constraints.r0.relation: got 'a part that has no value'"),
        (one("min x", "1e-101*x >= 1"), "numbers are 0 or at least 1e-100"),
        (one("min x", "1e13*x >= 1"), "numbers are at most 1e+12"),
        (one("min x", x={"upper": float("nan")}), "variables.x.upper: got nan, expected Input should be a finite number"),
        (
            {**one("min x"), "parameters": {"a": {"value": float("inf")}}},
            "parameters.a.value: got inf, expected finite numbers",
        ),
        ({**one("min x"), "sets": {"s": 0}}, "sets.s: got 0, expected a number of elements from 1 to 1000"),
        ({**one("min x"), "sets": {"s": []}}, "sets.s"),
    ],
)
def test_numbers_that_cannot_be_computed_are_refused_where_they_stand(model, told):
    with pytest.raises(OptionError, match=re.escape(told)):
        solve_free(model)
