"""Declarative models: a closed grammar, nothing executed, answers accepted only when independent formulations agree.

Word problems are of well-known kinds; their answers were derived again here, by enumeration or by hand, not looked up.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from optisolve.core.errors import OptionError
from optisolve.words.freeform import ExpressionError, free_model, parse_expression, parse_relation, solve_free
from optisolve.words.freeform import solve as solving

LP = {
    "variables": {"doors": {"meaning": "doors made"}, "windows": {}},
    "objective": {"sense": "max", "expression": "3*doors + 5*windows"},
    "constraints": [
        {"name": "plant_1", "relation": "doors <= 4"},
        {"name": "plant_2", "relation": "2*windows <= 12"},
        {"name": "plant_3", "relation": "3*doors + 2*windows <= 18"},
    ],
}
KNAPSACK = {
    "sets": {"item": 5},
    "parameters": {
        "value": {"over": ["item"], "value": [10, 13, 7, 8, 4]},
        "weight": {"over": ["item"], "value": [3, 4, 2, 3, 1]},
        "limit": {"value": 8},
    },
    "variables": {"take": {"over": ["item"], "kind": "binary"}},
    "objective": {"sense": "max", "expression": "sum(i in item, value[i]*take[i])"},
    "constraints": [{"name": "bag", "relation": "sum(i in item, weight[i]*take[i]) <= limit"}],
}
ASSIGNMENT = {
    "sets": {"worker": 3, "job": 3},
    "parameters": {"cost": {"over": ["worker", "job"], "value": [[4, 2, 8], [4, 3, 7], [3, 1, 6]]}},
    "variables": {"x": {"over": ["worker", "job"], "kind": "binary"}},
    "objective": {"sense": "min", "expression": "sum(w in worker, j in job, cost[w,j]*x[w,j])"},
    "constraints": [
        {"name": "each_worker", "relation": "sum(j in job, x[w,j]) == 1", "for_all": {"w": "worker"}},
        {"name": "each_job", "relation": "sum(w in worker, x[w,j]) == 1", "for_all": {"j": "job"}},
    ],
}
WATER = {
    "sets": {"channel": 3},
    "parameters": {"g": {"over": ["channel"], "value": [1.228, 1.977019, 1.460823]}, "P": {"value": 10, "unit": "W"}},
    "variables": {"p": {"over": ["channel"], "unit": "W"}},
    "objective": {"sense": "max", "expression": "sum(m in channel, log2(1 + g[m]*p[m]))"},
    "constraints": [{"name": "budget", "relation": "sum(m in channel, p[m]) <= P"}],
}
DIET = {
    "variables": {"bread": {"kind": "integer", "upper": 20}, "milk": {"kind": "integer", "upper": 20}},
    "objective": {"sense": "min", "expression": "2*bread + 3*milk"},
    "constraints": [
        {"name": "energy", "relation": "4*bread + 3*milk >= 30"},
        {"name": "protein", "relation": "bread + 4*milk >= 20"},
    ],
}


def enumerate_knapsack():
    value, weight = np.array([10, 13, 7, 8, 4]), np.array([3, 4, 2, 3, 1])
    points = np.array(list(product((0, 1), repeat=5)))
    return float((points @ value)[points @ weight <= 8].max())


def enumerate_diet():
    return min(2 * b + 3 * m for b in range(21) for m in range(21) if 4 * b + 3 * m >= 30 and b + 4 * m >= 20)


WORD_PROBLEMS = {
    "products": (LP, 36.0),  # the corner (2, 6), by hand
    "knapsack": (KNAPSACK, enumerate_knapsack()),
    "assignment": (ASSIGNMENT, 12.0),  # the best of the six permutations
    "water": (WATER, 7.828109),  # water-filling by hand, three channels on
    "diet": (DIET, float(enumerate_diet())),
}


@pytest.mark.parametrize("name", WORD_PROBLEMS)
def test_word_problems_have_their_re_derived_answers(name):
    model, optimum = WORD_PROBLEMS[name]
    answer = solve_free(model)
    assert answer.accepted, answer
    assert answer.objective == pytest.approx(optimum, rel=1e-6)
    if name != "water":
        assert any("second formulation: optimal" in check for check in answer.checks)


def test_generated_linear_programs_agree_with_an_independent_solver():
    from scipy.optimize import linprog

    rng = np.random.default_rng(0)
    for _ in range(8):
        n, m = int(rng.integers(2, 5)), int(rng.integers(2, 5))
        A, c = rng.integers(1, 9, (m, n)).astype(float), rng.integers(1, 9, n).astype(float)
        b = rng.integers(10, 40, m).astype(float)
        model = {
            "sets": {"x_set": n, "row": m},
            "parameters": {
                "A": {"over": ["row", "x_set"], "value": A.tolist()},
                "b": {"over": ["row"], "value": b.tolist()},
                "c": {"over": ["x_set"], "value": c.tolist()},
            },
            "variables": {"x": {"over": ["x_set"]}},
            "objective": {"sense": "max", "expression": "sum(j in x_set, c[j]*x[j])"},
            "constraints": [{"name": "use", "relation": "sum(j in x_set, A[i,j]*x[j]) <= b[i]", "for_all": {"i": "row"}}],
        }
        answer = solve_free(model)
        assert answer.accepted
        assert answer.objective == pytest.approx(-linprog(-c, A_ub=A, b_ub=b).fun, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"objective": {"sense": "max", "expression": "doors*windows"}}, "not convex"),
        ({"objective": {"sense": "max", "expression": "square(doors)"}}, "not convex"),
        ({"constraints": []}, "unbounded"),
        ({"constraints": [{"name": "c", "relation": "doors <= -1"}]}, "infeasible"),
    ],
)
def test_what_has_no_certified_optimum_has_no_objective(change, status):
    answer = solve_free({**LP, **change})
    assert status in answer.status
    assert answer.objective is None


def test_a_disagreeing_second_formulation_is_not_accepted(monkeypatch):
    monkeypatch.setattr(solving, "_second_optimum", lambda *a: ("optimal", 35.0))
    answer = solve_free(LP)
    assert not answer.accepted
    assert "second formulation disagrees" in answer.status


HOSTILE = (
    "__import__('os').system('true')",
    "p.__class__",
    "(lambda: 1)()",
    "open(1)",
    "doors; windows",
    "doors if windows else 1",
    "doors[0]",
    "doors ** 2",
    "f'{doors}'",
    "1e999999",
    "(" * 200 + "doors" + ")" * 200,
    "doors" + "+doors" * 600,
    "sum(doors)",
    "eval(doors)",
    "doors @ windows",
    "",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_expressions_are_errors_and_nothing_else(text):
    with pytest.raises((ExpressionError, OptionError)):
        free_model({**LP, "objective": {"sense": "max", "expression": text}})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"objective": {"sense": "max", "expression": "chairs"}}, "neither a parameter"),
        ({"constraints": [{"name": "c", "relation": "doors[1] <= 2"}]}, "has 0 indices"),
        ({"constraints": [{"name": "c", "relation": "doors ? 2"}]}, "not part of the grammar"),
        ({"constraints": [{"name": "c", "relation": "doors"}]}, "was expected"),
        ({"parameters": {"log": {"value": 1}}}, "a name that nothing else has"),
        ({"parameters": {"a": {"over": ["nobody"], "value": [1]}}}, "one of the sets"),
        ({"sets": {"s": 2}, "parameters": {"a": {"over": ["s"], "value": [1]}}}, "shape"),
        ({"sets": {"s": 10_000_000}}, "from 1 to 1000"),
        ({"code": "print(1)"}, "no such part; a model has sets, parameters"),
        ({"variables": {"x y": {}}}, "pattern"),
    ],
)
def test_a_bad_model_names_the_field(change, told):
    with pytest.raises(OptionError, match=told):
        free_model({**LP, **change})


def test_sums_that_would_explode_are_refused_before_they_are_written_out():
    model = {
        "sets": {"s": 1000},
        "variables": {"x": {}},
        "objective": {"sense": "min", "expression": "sum(i in s, j in s, k in s, i*j*k*x)"},
    }
    with pytest.raises(OptionError, match="expands to more than"):
        free_model(model)


def test_precedence_is_that_of_arithmetic():
    from optisolve.words.freeform.evaluate import number

    for text, value in (("2+3*4", 14), ("-2^2", -4), ("(2+3)*4", 20), ("8/4/2", 1), ("2-3-4", -5), ("2^-1", 0.5)):
        assert number(parse_expression(text), np.zeros(1)) == pytest.approx(value)
    assert [r.op for r in parse_relation("x <= 2")] == ["<="]
