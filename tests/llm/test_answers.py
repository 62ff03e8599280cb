"""From raw text to candidates, and the forms that answers are asked for in."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optisolve.core.space import Kind, Space, Variable
from optisolve.llm.candidates import Fate, judge, parse_points, parse_rows
from optisolve.llm.scale import Grid
from optisolve.llm.schema import continuation_grammar, point_schema, schema_grammar

NAMES = ("a", "b.x_m", "c")
LEVELS = np.array([1000, 1000, 7])
KNOWN = np.array([[1, 2, 3], [500, 600, 7]])


def fates(text, count=2):
    return judge(parse_points(text, NAMES, count), count, LEVELS, KNOWN)


def point(a, b, c):
    return {"a": a, "b.x_m": b, "c": c}


GOOD = json.dumps({"candidate_1": point(10, 20, 3), "candidate_2": point(11, 21, 4)})


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Sure! Here {{it}} is:\n```json\n{GOOD}\n```\nGood luck.",
        json.dumps([point(10, 20, 3), point(11, 21, 4)]),
        json.dumps({"candidates": [point("10", "20", 3.0), point(11, 21, 4)]}),
        "[[10, 20, 3], [11, 21, 4]]",
        GOOD + GOOD,
    ],
)
def test_points_are_found_however_they_are_wrapped(text):
    told = fates(text)
    assert [c.fate for c in told] == [Fate.OK, Fate.OK]
    assert [c.numbers.tolist() for c in told] == [[10, 20, 3], [11, 21, 4]]


def test_a_truncated_answer_keeps_its_complete_points():
    told = fates(GOOD[:-20])
    assert [c.fate for c in told] == [Fate.OK, Fate.REJECTED]
    assert told[1].reason == "count"


@pytest.mark.parametrize(
    ("first", "fate", "reason"),
    [
        (point(-5, 20, 3), Fate.CLIPPED, "bounds"),
        (point(5, 20, 9), Fate.CLIPPED, "bounds"),
        (point(5.4, 20, 3), Fate.REPAIRED, "not an integer"),
        (point(1, 2, 3), Fate.DUPLICATE, "duplicate of a parent"),
        (point(500, 600, 10**300), Fate.DUPLICATE, "duplicate of a parent"),
        ({"a": 1, "c": 2}, Fate.REJECTED, "length"),
        (point(float("nan"), 2, 3), Fate.REJECTED, "not finite"),
        (point(float("inf"), 2, 3), Fate.REJECTED, "not finite"),
        (point("__import__('os')", 2, 3), Fate.REJECTED, "not finite"),
        (point(True, 2, 3), Fate.REJECTED, "not finite"),
        (point(None, 2, 3), Fate.REJECTED, "not finite"),
        (point([1], 2, 3), Fate.REJECTED, "not finite"),
    ],
)
def test_every_bad_candidate_gets_its_fate_and_spoils_no_other(first, fate, reason):
    told = fates(json.dumps({"candidate_1": first, "candidate_2": point(9, 9, 1)}))
    assert [c.fate for c in told] == [fate, Fate.OK]
    assert told[0].reason == reason
    assert told[0].detail


def test_equal_candidates_count_once():
    told = fates(json.dumps([point(9, 9, 1), point(9.2, 9, 1)]))
    assert [c.reason for c in told] == ["", "duplicate of a sibling"]


def test_rows_of_a_table_are_read_with_or_without_their_values():
    rows = parse_rows(" 1,2,3\n155: 4, 5, 6\n140: 7,8\n", 3, 3)
    assert [numbers for numbers, _ in rows] == [[1, 2, 3], [4, 5, 6], [7, 8]]
    assert [bool(problem) for _, problem in rows] == [False, False, True]
    assert judge(parse_rows("nan,2,3", 3, 1), 1, LEVELS, KNOWN)[0].reason == "not finite"


@given(st.text(max_size=300), st.sampled_from(["", "[", "{", '{"a":', "[[", '{"candidate_1":']))
def test_no_text_breaks_the_parsers(text, start):
    for rows in (parse_points(start + text, NAMES, 2), parse_rows(start + text, 3, 2)):
        told = judge(rows, 2, LEVELS, KNOWN)
        assert len(told) == 2
        for candidate in told:
            if candidate.fate.usable:
                assert ((candidate.numbers >= 0) & (candidate.numbers <= LEVELS)).all()


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, '{"a":' * 50_000, "1" * 100_000, "[" + "9" * 10_000 + ",1,2]"])
def test_hostile_texts_end_quickly(text):
    assert not any(c.fate is Fate.OK for c in fates(text))


def test_the_schema_requires_every_named_variable_within_its_bounds():
    schema = point_schema(NAMES, LEVELS.tolist(), 2)
    assert schema["required"] == ["candidate_1", "candidate_2"]
    inner = schema["properties"]["candidate_1"]
    assert inner["required"] == list(NAMES)
    assert inner["additionalProperties"] is False
    assert inner["properties"]["c"] == {"type": "integer", "minimum": 0, "maximum": 7}


@pytest.mark.parametrize("level", [0, 1, 7, 9, 10, 42, 99, 100, 205, 999, 1000, 1234])
def test_the_grammar_of_a_number_matches_exactly_its_range(level):
    """The rule is read as a regular expression, whose syntax GBNF shares here, and tried on all integers."""
    line = next(line for line in continuation_grammar([level], [1]).splitlines() if line.startswith(f"n{level} ::="))
    pattern = re.compile(line.split("::=")[1].replace('"', "").replace(" ", ""))
    matched = {k for k in range(5000) if pattern.fullmatch(str(k))}
    assert matched == set(range(level + 1))
    assert not any(pattern.fullmatch(text) for text in ("", "00", "01", "-1", "1.0", " 1"))


def test_grammars_leave_no_room_for_blanks():
    for grammar in (schema_grammar(NAMES, LEVELS.tolist(), 2), continuation_grammar(LEVELS.tolist(), [90, 80])):
        assert "ws" not in grammar
        assert "\\t" not in grammar
        assert "*" not in grammar


def test_the_grid_round_trips_and_respects_integers():
    space = Space.of(
        [
            Variable("r", -1.0, 3.0),
            Variable("k", 2, 5, kind=Kind.INTEGER),
            Variable("b", 0, 1, kind=Kind.BINARY),
            Variable("f", 4.0, 4.0),
        ]
    )
    grid = Grid(space)
    assert grid.levels.tolist() == [1000, 3, 1, 0]
    X = space.sample(np.random.default_rng(0), 200)
    back = grid.decode(grid.encode(X))
    space.require(back)
    assert np.abs(back[:, 0] - X[:, 0]).max() <= 0.5 * 4.0 / 1000 + 1e-12
    assert np.array_equal(back[:, 1:], X[:, 1:])
