"""What the grammar of models says, what it refuses, and where its messages point."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from optisolve.cli.main import main
from optisolve.core.errors import OptionError
from optisolve.words.formulate.drafts import FormulateStatus, formulate_model
from optisolve.words.freeform import ExpressionError, free_model, parse_expression, parse_relation, solve_free
from optisolve.words.freeform.evaluate import number
from optisolve.words.freeform.expressions import RESERVED

WORD_PROBLEMS = {
    case["name"]: case
    for case in yaml.safe_load((Path(__file__).parent / "data" / "word_problems.yaml").read_text(encoding="utf-8"))
}


def model(aim, *rows, variables=None, **more):
    sense, _, expression = aim.partition(" ")
    told = [row if isinstance(row, dict) else {"relation": row} for row in rows]
    return {
        "variables": variables or {"x": {}, "y": {}},
        "objective": {"sense": sense, "expression": expression},
        "constraints": [{"name": f"r{i}", **row} for i, row in enumerate(told)],
        **more,
    }


def solved(*args, **more):
    answer = solve_free(model(*args, **more))
    assert answer.accepted, answer
    return answer


@pytest.mark.parametrize("name", WORD_PROBLEMS)
def test_public_word_problems_have_the_optimum_of_their_model(name):
    told = formulate_model(WORD_PROBLEMS[name]["model"])
    assert told.status is FormulateStatus.SOLVED, told.answer
    assert told.answer.objective == pytest.approx(WORD_PROBLEMS[name]["optimum"], rel=1e-9)


# -- the same problems in the words of the grammar, without matrices of zeros and ones -------------------------------------


def test_a_tour_is_written_with_indices_that_differ():
    case = WORD_PROBLEMS["mamo-complex-82-tsp"]
    tour = model(
        "min sum(c[i,j]*x[i,j] for i in n, j in n if i != j)",
        {"relation": "sum(j in n if i != j, x[i,j]) = 1", "for_all": {"i": "n"}},
        {"relation": "sum(i in n if i != j, x[i,j]) = 1", "for_all": {"j": "n"}},
        {"relation": "u[i] - u[j] + 4*x[i,j] <= 3", "for_all": {"i": "n", "j": "n"}, "where": "i != j and i > 1 and j > 1"},
        variables={"x": {"over": ["n", "n"], "kind": "binary"}, "u": {"over": ["n"], "upper": 3}},
        sets={"n": 4},
        parameters={"c": case["model"]["parameters"]["c"]},
    )
    answer = solve_free(tour)
    assert answer.accepted
    assert answer.objective == case["optimum"]
    assert len(free_model(tour).rows) == 4 + 4 + 6


def test_a_store_is_written_with_the_period_before():
    case = WORD_PROBLEMS["industryor-16-store"]
    store = model(
        "max sum(k in month, price[k]*sold[k] - cost[k]*bought[k])",
        {"relation": "stock[jan] = 200 + bought[jan] - sold[jan]"},
        {"relation": "stock[k] = stock[k-1] + bought[k] - sold[k]", "for_all": {"k": "month"}},
        {"relation": "200 + bought[jan] <= 500"},
        {"relation": "stock[k-1] + bought[k] <= 500", "for_all": {"k": "month"}},
        variables={name: {"over": ["month"]} for name in ("stock", "bought", "sold")},
        sets={"month": ["jan", "feb", "mar"]},
        parameters={
            "cost": {"over": ["month"], "value": {"mar": 9, "jan": 8, "feb": 6}},
            "price": {"over": ["month"], "value": [9, 8, 10]},
        },
    )
    checked = free_model(store)
    assert [row.name for row in checked.rows][1:3] == ["r1[feb]", "r1[mar]"]
    assert any("r1: made for k from feb to mar only" in note for note in checked.notes)
    assert solve_free(checked).objective == pytest.approx(case["optimum"], rel=1e-9)


# -- cones, norms, corners, quotients --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cone",
    [
        "sqrt(square(x)+square(y)) <= t",
        "sqrt(x^2 + y*y) <= t",
        "norm(x, y) <= t",
        "norm(v[i] for i in s) <= t",
        "norm(i in s, v[i]) <= t",
        "sqrt(sum(i in s, v[i]^2)) <= t",
        "3*norm(x, y)/3 <= t",
        "(x^2 + y^2)/t <= t",
        "t >= norm(x, 2*y - y)",
    ],
)
def test_every_way_to_write_a_cone_has_the_distance_of_the_line(cone):
    told = solved(
        "min t",
        cone,
        "x+2*y >= 5",
        "v[1] = x",
        "v[2] = y",
        variables={"x": {}, "y": {}, "t": {}, "v": {"over": ["s"]}},
        sets={"s": 2},
    )
    assert told.objective == pytest.approx(5 / np.sqrt(5), rel=1e-8)


@pytest.mark.parametrize(
    ("aim", "rows", "optimum"),
    [
        ("min max(x, y)", ["x + 2*y >= 6"], 2),
        ("max min(x, 2*y)", ["x + y <= 6"], 4),
        ("min max(v[i] for i in s)", ["sum(i in s, v[i]) >= 6"], 2),
        ("min 1/x + 4/y", ["x + y <= 3"], 3),
        ("max 10 - 1/x - 4/y", ["x + y <= 3"], 7),
        ("min x^2/y + y", ["x >= 2"], 4),
        ("min (2*x^2 + 3*square(x) + 4)/(y + 1) + y", ["x >= 1"], 5),
        ("min sum(square(v[i]) for i in s)/(1 + y) + y", ["sum(i in s, v[i]) >= 6"], 2 * np.sqrt(12) - 1),
        ("min sqrt(2*x^2 + 3*square(y) + 1)", ["x + y >= 1"], np.sqrt(2.2)),
        ("min x*x - 4*x", [], -4),
        ("min x^3 + inv(x)", ["y = 1"], 3**-0.75 + 3**0.25),
        ("max x", ["y/x >= 2", "y <= 4"], "refused"),
        ("max x", ["1 <= x <= 2."], 2),
        ("max x", ["x = .5"], 0.5),
        ("max x", ["x < 2"], 2),
        ("min x", ["x > 1.5", "2 >= x >= 1"], 1.5),
    ],
)
def test_forms_that_are_convex_have_their_optimum(aim, rows, optimum):
    told = solve_free(model(aim, *rows, variables={"x": {}, "y": {}, "v": {"over": ["s"]}}, sets={"s": 3}))
    if optimum == "refused":
        assert "constraint r0: a quotient of two expressions with variables" in told.checks[0]
        assert "multiply the relation by what is below the line" in told.checks[0]
    else:
        assert told.accepted, told
        assert told.objective == pytest.approx(optimum, rel=1e-7)


@pytest.mark.parametrize(
    ("aim", "told"),
    [
        ("min 1/x", "a quotient of what may be negative"),
        ("min inv(x)", "inv of what may be negative"),
        ("min x^-2", "the power -2 of what may be negative"),
        ("min x^3", "the power 3 of what may be negative"),
        ("min x*y", "a product of two expressions with variables"),
        ("min sqrt(x + 3)", "what is minimized must be convex"),
        ("max norm(x, y)", "what is maximized must be concave"),
    ],
)
def test_what_only_a_part_of_its_points_makes_convex_is_refused_by_name(aim, told):
    """On the whole of -2 <= x <= 5 these are not convex; a solver that takes the half x > 0 would certify a wrong optimum."""
    answer = solve_free(model(aim, variables={"x": {"lower": -2, "upper": 5}, "y": {"lower": -2}}))
    assert not answer.accepted
    assert answer.checks[0].startswith("objective: ")
    assert told in answer.checks[0]


def test_a_row_that_is_not_convex_is_named():
    answer = solve_free(model("min x", "x >= 1", {"name": "ring", "relation": "norm(x, y) >= 2"}))
    assert answer.checks[0].startswith("constraint ring: '>=' needs a concave left")


# -- sets, indices, conditions ---------------------------------------------------------------------------------------------


def test_elements_have_names_in_expressions_values_and_tables(tmp_path, capsys):
    told = model(
        "min sum(p in plant, cost[p]*x[p])",
        {"name": "need", "relation": "x[north] + x[south] >= 3"},
        {"name": "share", "relation": "x[p] <= 2", "for_all": {"p": "plant"}, "where": "p != north"},
        variables={"x": {"over": ["plant"]}},
        sets={"plant": ["north", "south"]},
        parameters={"cost": {"over": ["plant"], "value": {"south": 1, "north": 2}}},
    )
    path = tmp_path / "model.json"
    path.write_text(json.dumps(told))
    assert main(["formulate", f"file={path}", f"out={tmp_path / 'runs'}"]) == 0
    shown = capsys.readouterr().out
    assert "x[north]" in shown
    assert "x[south]" in shown
    assert "objective: 4" in shown
    assert [row.name for row in free_model(told).rows] == ["need", "share[south]"]


def test_terms_of_a_sum_are_left_out_where_an_index_does_not_exist():
    checked = free_model(model("min sum(t in s, abs(v[t] - v[t-1]))", variables={"v": {"over": ["s"]}}, sets={"s": 4}))
    assert number(checked.objective, np.array([5.0, 1.0, 1.0, 4.0])) == 4.0 + 0.0 + 3.0
    assert checked.notes == ("objective.expression: made for t from 2 to 4 only, where every shifted index exists",)


@pytest.mark.parametrize(
    ("condition", "count"),
    [("i != j", 6), ("i < j", 3), ("i = j", 3), ("i == j + 1", 2), ("i >= 2 and j >= 2", 4), ("i != j and j != 2", 4)],
)
def test_conditions_choose_rows_and_terms_alike(condition, count):
    row = {"relation": "x[i,j] >= 1", "for_all": {"i": "s", "j": "s"}, "where": condition}
    told = {"variables": {"x": {"over": ["s", "s"]}}, "sets": {"s": 3}}
    checked = free_model(model(f"min sum(i in s, j in s if {condition}, x[i,j])", row, **told))
    assert len(checked.rows) == count
    assert number(checked.objective, np.ones(9)) == count
    assert solve_free(checked).objective == pytest.approx(count)


def test_numbers_and_comparisons_are_read_as_people_write_them():
    assert parse_expression(".5") == parse_expression("0.5") == parse_expression("5.e-1")
    assert [(r.op, r.written) for r in parse_relation("1 <= x < 2")] == [("<=", "<="), ("<=", "<")]
    assert [r.op for r in parse_relation("x = y == 3")] == ["==", "=="]
    for text in ("x ! 2", "1 <= x >= 2", "x", "x <= ", "1e", "sum(x)", "max(x)", "norm()", "s[t-]", "sum(i in s if i, x)"):
        with pytest.raises(ExpressionError):
            parse_relation(text)


# -- where a message points ------------------------------------------------------------------------------------------------


def test_a_strict_comparison_is_told_with_its_constraint_and_what_it_means(tmp_path, capsys):
    path = tmp_path / "model.yml"
    path.write_text(
        "variables: {x: {}, y: {}}\nobjective: {sense: min, expression: x+y}\n"
        'constraints: [{name: first, relation: "x>=1"}, {name: second, relation: "y>1"}]\n'
    )
    assert main(["formulate", f"file={path}", f"out={tmp_path / 'runs'}"]) == 0
    assert "constraints.second.relation: '>' is read as '>='" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("relation", "told"),
    [
        ("y ? 1", "left side, character 3: '?' is not part of the grammar"),
        ("y >= q + 1", "right side, character 6: 'q' is neither a parameter, a variable nor a running index"),
        ("y =< 1", "character 4: a number, a name or a bracket was expected, not '<'; say <="),
        ("y**2 <= 1", "character 3: a number, a name or a bracket was expected, not '*'; say ^"),
        ("y + (x <= 1", "left side, character 8: ')' was expected, not '<='"),
        ("y[2] <= 1", "left side, character 1: 'y' has 0 indices, got 1"),
        ("sum(log in s, y) <= 1", "left side, character 1: the index 'log' is the name of something else"),
        ("1 <= y <= z", "side 3, character 11: 'z' is neither"),
        ("y <= max", "'max' is neither a parameter, a variable nor a running index; max is a function"),
        ("log10(y) <= 1", "left side, character 1: 'log10' is no function here; there are log, log2"),
        ("y >= 0 <= 2", "a chain of comparisons that points one way"),
    ],
)
def test_a_message_names_the_constraint_the_side_and_the_place(relation, told):
    broken = model("min x", "x >= 1", {"name": "second", "relation": relation}, sets={"s": 2})
    with pytest.raises(OptionError) as error:
        free_model(broken)
    (problem,) = error.value.problems
    assert problem.field == "constraints.second.relation"
    assert problem.given == relation
    assert told in problem.expected


def test_all_faults_of_a_model_are_told_at_once():
    broken = model(
        "min q",
        "x >= z",
        {"relation": "x >= 1", "for_all": {"i": "nobody"}},
        {"relation": "x >= i", "for_all": {"i": "s"}, "where": "i != w"},
        {"relation": "v[i-5] >= 1", "for_all": {"i": "s"}},
        variables={"x": {}, "v": {"over": ["s"]}},
        sets={"s": 3},
    )
    with pytest.raises(OptionError) as error:
        free_model(broken)
    fields = [problem.field for problem in error.value.problems]
    relations = ["constraints.r0.relation", "constraints.r1.for_all", "constraints.r2.where", "constraints.r3.relation"]
    assert fields == ["objective.expression", *relations]


@pytest.mark.parametrize("word", sorted(RESERVED))
@pytest.mark.parametrize("kind", ["variables", "parameters", "sets", "for_all", "elements"])
def test_no_name_is_that_of_a_function_or_word_of_the_grammar(kind, word):
    change = {
        "variables": {"variables": {"x": {}, word: {}}},
        "parameters": {"parameters": {word: {"value": 1}}},
        "sets": {"sets": {word: 2}},
        "for_all": {"sets": {"s": 2}, "constraints": [{"name": "c", "relation": "x >= 1", "for_all": {word: "s"}}]},
        "elements": {"sets": {"s": ["a", word]}},
    }[kind]
    with pytest.raises(OptionError, match=f"'{word}'.*a name that nothing else has.*word or function of the grammar"):
        free_model({**model("min x"), **change})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sets": {"s": ["a", "a"]}}, "an element twice"),
        ({"sets": {"s": ["a"]}, "parameters": {"p": {"over": ["s"], "value": {"b": 1}}}}, "the elements are a"),
        ({"sets": {"s": 1}, "parameters": {"p": {"over": ["s"], "value": {"b": 1}}}}, "no names of elements"),
        ({"sets": {"s": ["a", "b"]}, "objective": {"sense": "min", "expression": "sum(i in s, i*x)"}}, "which are no numbers"),
        ({"sets": {"s": ["a"]}, "objective": {"sense": "min", "expression": "sum(a in s, x)"}}, "an element of s"),
        (
            {
                "sets": {"s": ["a", "b"], "t": ["c", "d"]},
                "variables": {"x": {"over": ["s"]}},
                "objective": {"sense": "min", "expression": "sum(i in t, x[i])"},
            },
            "runs through t, whose elements are not those of s",
        ),
        ({"sets": {"s": True}}, "a number of elements"),
    ],
)
def test_named_elements_are_never_taken_for_something_else(change, told):
    with pytest.raises(OptionError, match=told):
        free_model({**model("min x"), **change})
