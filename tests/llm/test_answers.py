"""From raw text to candidates, and the forms that answers are asked for in."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.core.space import Kind, Space, Variable
from optisolve.llm.candidates import Grid, judge, parse_points, parse_rows, parse_tasks, points_form, table_grammar
from optisolve.llm.forms import Fate, grammar_of, schema_of

NAMES = ("a", "b.x_m", "c")
LEVELS = np.array([1000, 1000, 7])
KNOWN = np.array([[1, 2, 3], [500, 600, 7]])


def fates(text, count=2):
    return judge(parse_points(text, NAMES, count), count, LEVELS, KNOWN)


def point(a, b, c):
    return {"a": a, "b.x_m": b, "c": c}


GOOD = json.dumps({"design_1": point(10, 20, 3), "design_2": point(11, 21, 4)})


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
def test_every_bad_design_gets_its_fate_and_spoils_no_other(first, fate, reason):
    told = fates(json.dumps({"design_1": first, "design_2": point(9, 9, 1)}))
    assert [c.fate for c in told] == [fate, Fate.OK]
    assert told[0].reason == reason
    assert told[0].detail


TASKS = ("task_1", "task_2", "task_11")
BATCH = json.dumps(
    {
        "task_1": {"design_1": point(10, 20, 3), "design_2": point(11, 21, 4)},
        "task_2": {"design_1": point(12, 22, 5), "design_2": point(13, 23, 6)},
        "task_11": {"design_1": point(14, 24, 0), "design_2": point(15, 25, 1)},
    }
)


def firsts(text):
    """First number of every point, by task."""
    return [[numbers[0] for numbers, _ in rows] for rows in parse_tasks(text, NAMES, TASKS, 2)]


@pytest.mark.parametrize(
    "text",
    [
        BATCH,
        f"Here {{you}} are: task_1 first.\n```json\n{BATCH}\n```\nTask_2 was hard.",
        BATCH[1:-1],
        json.dumps([{"task": key, "designs": list(value.values())} for key, value in json.loads(BATCH).items()]),
        json.dumps({key: json.loads(BATCH)[key] for key in reversed(TASKS)}),
    ],
)
def test_every_task_gets_its_own_points_however_they_are_wrapped(text):
    assert firsts(text) == [[10, 11], [12, 13], [14, 15]]


def test_a_partial_answer_keeps_the_tasks_that_are_there():
    assert firsts(BATCH[: BATCH.index('"design_2": {"a": 13')]) == [[10, 11], [12], []]
    told = json.loads(BATCH)
    del told["task_2"]
    assert firsts(json.dumps(told)) == [[10, 11], [], [14, 15]]
    assert firsts(GOOD) == [[], [], []]  # points that no task is named for belong to nobody


def test_a_point_of_another_task_is_a_sibling():
    first = judge(parse_points(GOOD, NAMES, 2), 2, LEVELS, KNOWN)
    told = judge(parse_points(GOOD, NAMES, 2), 2, LEVELS, KNOWN, first)
    assert [c.reason for c in told] == ["duplicate of a sibling"] * 2


def test_equal_candidates_count_once():
    told = fates(json.dumps([point(9, 9, 1), point(9.2, 9, 1)]))
    assert [c.reason for c in told] == ["", "duplicate of a sibling"]


def test_rows_of_a_table_are_read_with_or_without_their_values():
    rows = parse_rows(" 1,2,3\n155: 4, 5, 6\n140: 7,8\n", 3, 3)
    assert [numbers for numbers, _ in rows] == [[1, 2, 3], [4, 5, 6], [7, 8]]
    assert [bool(problem) for _, problem in rows] == [False, False, True]
    assert judge(parse_rows("nan,2,3", 3, 1), 1, LEVELS, KNOWN)[0].reason == "not finite"


@settings(deadline=None)  # busy machines are no defect
@given(st.text(max_size=300), st.sampled_from(["", "[", "{", '{"a":', "[[", '{"design_1":']))
def test_no_text_breaks_the_parsers(text, start):
    batched = parse_tasks(f"{start}{text}task_2{start}{text}", NAMES, TASKS, 2)
    for rows in (parse_points(start + text, NAMES, 2), parse_rows(start + text, 3, 2), *batched):
        told = judge(rows, 2, LEVELS, KNOWN)
        assert len(told) == 2
        for candidate in told:
            if candidate.fate.usable:
                assert ((candidate.numbers >= 0) & (candidate.numbers <= LEVELS)).all()


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000, '{"a":' * 50_000, "1" * 100_000, "[" + "9" * 10_000 + ",1,2]"])
def test_hostile_texts_end_quickly(text):
    assert not any(c.fate is Fate.OK for c in fates(text))
    assert firsts(f"task_1{text}task_2{text}") == [[], [], []]
    assert firsts(" ".join(["task_1", text[:400]] * 400)) == [[], [], []]
    assert firsts("task_1 " * 20_000 + BATCH)[1:] == [[], []]


def test_the_schema_requires_every_named_variable_within_its_bounds():
    schema = schema_of(points_form(NAMES, LEVELS.tolist(), 2))
    assert schema["required"] == ["design_1", "design_2"]
    inner = schema["properties"]["design_1"]
    assert inner["required"] == list(NAMES)
    assert inner["additionalProperties"] is False
    assert inner["properties"]["c"] == {"type": "integer", "minimum": 0, "maximum": 7}
    batched = schema_of(points_form(NAMES, LEVELS.tolist(), 2, n_tasks=3))
    assert batched["required"] == ["task_1", "task_2", "task_3"]
    assert all(batched["properties"][key] == schema for key in batched["required"])
    assert schema_of(points_form(NAMES, LEVELS.tolist(), 2, n_tasks=1))["required"] == ["task_1"]


@pytest.mark.parametrize("level", [0, 1, 7, 9, 10, 42, 99, 100, 205, 999, 1000, 1234])
def test_the_grammar_of_a_number_matches_exactly_its_range(level):
    """The rule is read as a regular expression, whose syntax GBNF shares here, and tried on all integers."""
    line = next(line for line in table_grammar([level], [1]).splitlines() if line.startswith(f"n{level} ::="))
    pattern = re.compile(line.split("::=")[1].replace('"', "").replace(" ", ""))
    matched = {k for k in range(5000) if pattern.fullmatch(str(k))}
    assert matched == set(range(level + 1))
    assert not any(pattern.fullmatch(text) for text in ("", "00", "01", "-1", "1.0", " 1"))


def test_grammars_leave_no_room_for_blanks():
    levels = LEVELS.tolist()
    for grammar in (
        grammar_of(points_form(NAMES, levels, 2)),
        grammar_of(points_form(NAMES, levels, 2, n_tasks=2)),
        table_grammar(levels, [90, 80]),
    ):
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
