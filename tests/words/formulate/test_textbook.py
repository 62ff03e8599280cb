"""Classic word problems in words of our own: their answers derived again without any declarative model."""

from __future__ import annotations

from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
import pytest
import yaml

from optisolve.words.formulate.doubts import ungrounded_numbers, unused_numbers
from optisolve.words.formulate.drafts import FormulateStatus, formulate_model
from optisolve.words.freeform import free_model

CASES = {
    case["name"]: case
    for case in yaml.safe_load((Path(__file__).parents[3] / "benchmarks" / "quality" / "textbook.yaml").read_text())
}


def best_vertex(cost, rows, limits, equal=()):
    """``min cost x`` with rows ``<= limits`` and x >= 0: the best of all vertices; `equal` rows hold with equality."""
    n = len(cost)
    A = np.vstack([np.asarray(rows, float), -np.eye(n)])
    b = np.concatenate([np.asarray(limits, float), np.zeros(n)])
    best = np.inf
    for chosen in combinations(range(len(b)), n):
        if not set(equal) <= set(chosen) or abs(np.linalg.det(A[list(chosen)])) < 1e-12:
            continue
        x = np.linalg.solve(A[list(chosen)], b[list(chosen)])
        if (A @ x <= b + 1e-9).all():
            best = min(best, float(np.dot(cost, x)))
    return best


def whole_points(limits, value, fits):
    return max(value(*x) for x in product(*(range(n + 1) for n in limits)) if fits(*x))


def fewest_workers(need, most=8):
    """Depth-first over how many start on each day; days are checked as soon as all their workers are known."""
    on = [[(s - d) % 7 >= 3 or s == d for s in range(7)] for d in range(7)]  # who started on s works on d
    best = [sum(need)]

    def go(start):
        if sum(start) >= best[0]:
            return
        if len(start) == 7:
            if all(sum(n for s, n in enumerate(start) if on[d][s]) >= need[d] for d in range(7)):
                best[0] = sum(start)
            return
        if len(start) >= 5 and sum(start[:5]) < need[4]:
            return  # Friday is worked by those who start on Monday to Friday
        if len(start) == 6 and sum(start[1:6]) < need[5]:
            return
        for n in range(most + 1):
            go([*start, n])

    go([])
    return best[0]


def least_shipping(cost, supply, need):
    """Dual by enumeration: every basic solution of the transport program, by the vertices of its dual."""
    m, n = len(supply), len(need)
    # max need.v - supply.u with v_j - u_i <= c_ij, u, v >= 0
    rows = [
        [-1.0 if k == i else 0.0 for k in range(m)] + [1.0 if k == j else 0.0 for k in range(n)]
        for i in range(m)
        for j in range(n)
    ]
    return -best_vertex([*supply, *(-d for d in need)], rows, [c for line in cost for c in line])


def assigned(times):
    return min(sum(times[i][j] for i, j in enumerate(order)) for order in permutations(range(len(times))))


def fewest_stations():
    near = {"A": "AB", "B": "ABF", "C": "CD", "D": "CDE", "E": "DEF", "F": "BEF"}
    return min(n for n in range(1, 7) for chosen in combinations("ABCDEF", n) if all(set(near[t]) & set(chosen) for t in near))


DERIVED = {
    "glass": lambda: -best_vertex([-3, -5], [[1, 0], [0, 2], [3, 2]], [4, 12, 18]),
    "toys": lambda: -best_vertex([-3, -2], [[2, 1], [1, 1], [1, 0]], [100, 80, 40]),
    "commercials": lambda: best_vertex([50, 100], [[-7, -2], [-2, -12]], [-28, -24]),
    "sweets": lambda: best_vertex(
        [50, 20, 30, 80],
        [[-400, -200, -150, -500], [-3, -2, 0, 0], [-2, -2, -4, -4], [-2, -4, -1, -5]],
        [-500, -6, -10, -8],
    ),
    "mail": lambda: fewest_workers([17, 13, 15, 19, 14, 16, 11]),
    "paint": lambda: -best_vertex([-5, -4], [[6, 4], [1, 2], [-1, 1], [0, 1]], [24, 6, 1, 2]),
    "investments": lambda: whole_points(
        [1] * 4, lambda a, b, c, d: 16 * a + 22 * b + 12 * c + 8 * d, lambda a, b, c, d: 5 * a + 7 * b + 4 * c + 3 * d <= 14
    ),
    "radiation": lambda: best_vertex([0.4, 0.5], [[0.5, 0.5], [0.3, 0.1], [-0.6, -0.4]], [6, 2.7, -6], equal=(0,)),
    "furniture": lambda: whole_points([6, 6], lambda t, c: 8 * t + 5 * c, lambda t, c: t + c <= 6 and 9 * t + 5 * c <= 45),
    "machines": lambda: assigned([[14, 5, 8, 7], [2, 12, 6, 5], [7, 8, 3, 9], [2, 4, 6, 10]]),
    "belts": lambda: -best_vertex([-4, -3], [[2, 1], [1, 1]], [60, 40]),
    "fire": fewest_stations,
    "electricity": lambda: least_shipping([[8, 6, 10, 9], [9, 12, 13, 7], [14, 9, 16, 5]], [35, 50, 40], [45, 20, 30, 30]),
    "cans": lambda: 0.09 * least_shipping([[2.5, 1.7, 1.8], [2.5, 1.8, 1.4]], [350, 600], [325, 300, 275]),
    "speakers": lambda: float(np.sqrt(2 * 12_000 * 8000 * 0.30)),
    "brewery": lambda: -best_vertex([-13, -23], [[5, 15], [4, 4], [35, 20]], [480, 160, 1190]),
    "clothes": lambda: whole_points(
        [40, 53, 25],
        lambda a, b, c: 6 * a + 4 * b + 7 * c - 200 * (a > 0) - 150 * (b > 0) - 100 * (c > 0),
        lambda a, b, c: 3 * a + 2 * b + 6 * c <= 150 and 4 * a + 3 * b + 4 * c <= 160,
    ),
}


def test_every_problem_of_the_set_is_derived_again():
    assert set(DERIVED) == set(CASES)
    assert len(CASES) >= 12


@pytest.mark.parametrize("name", DERIVED)
def test_the_stated_answer_is_the_derived_one_and_the_model_has_it(name):
    case = CASES[name]
    assert DERIVED[name]() == pytest.approx(case["optimum"], rel=1e-7)
    told = formulate_model(case["model"])
    assert told.status is FormulateStatus.SOLVED, told
    assert told.answer.objective == pytest.approx(case["optimum"], rel=1e-6)


@pytest.mark.parametrize("name", DERIVED)
def test_the_models_numbers_are_those_of_the_text(name):
    model = free_model(CASES[name]["model"])
    assert ungrounded_numbers(model, CASES[name]["text"]) == ()
    if name != "mail":  # 5 days in a row stand in the pattern of zeros and ones, not as a number
        assert unused_numbers(model, CASES[name]["text"]) == ()
