"""A language model fills the schema: what it writes is data, its numbers are grounded, and somebody must confirm it."""

from __future__ import annotations

import json

import pytest

from optisolve.words.formulate.dialogue import ask_for_model, model_in_words
from optisolve.words.formulate.doubts import doubts, sense_of_text, ungrounded_numbers
from optisolve.words.freeform import free_model
from tests.solvers.moe.toys import Scripted
from tests.words.formulate.test_freeform import KNAPSACK, LP, enumerate_knapsack

BAG = "A bag holds 8 kg. Five items weigh 3, 4, 2, 3 and 1 kg and are worth 10, 13, 7, 8 and 4. Which ones are taken?"


def test_a_good_model_is_solved_translated_back_and_offered_for_confirmation():
    told = ask_for_model(BAG, Scripted("Here you are: " + json.dumps(KNAPSACK)))
    assert told.to_confirm
    model, answer = told.turn.answer
    assert answer.objective == pytest.approx(enumerate_knapsack())
    assert any("take" in line and "binary" in line for line in model_in_words(model))


def test_a_number_that_the_text_does_not_hold_is_named():
    wrong = json.loads(json.dumps(KNAPSACK))
    wrong["parameters"]["limit"]["value"] = 80
    told = ask_for_model(BAG, Scripted(json.dumps(wrong)))
    assert any(q.startswith("80 does not stand") for q in told.doubts)
    assert not told.to_confirm


def test_errors_go_back_to_the_model_a_bounded_number_of_times():
    broken = {**LP, "objective": {"sense": "max", "expression": "__import__('os')"}}
    session = Scripted(json.dumps(broken), "no JSON", json.dumps(broken))
    told = ask_for_model("make doors", session)
    assert told.turn.answer is None
    assert told.turn.asked == len(session.requests) == 3
    assert "not part of the grammar" in session.requests[1].messages[0].content
    assert not told.to_confirm


def test_percentages_count_as_shares():
    model = free_model(
        {
            "variables": {"x": {}},
            "objective": {"sense": "max", "expression": "0.05*x"},
            "constraints": [{"name": "c", "relation": "x <= 30"}],
        }
    )
    assert ungrounded_numbers(model, "a yield of 5 % on at most 30 units") == ()
    assert ungrounded_numbers(model, "a yield on at most 30 units") == (0.05,)


@pytest.mark.parametrize(
    ("expression", "asked"),
    [("3*doors + 5*windows", False), ("3*doors + 5*windows + 3*doors", True), ("3*(doors + windows) - 5*doors", True)],
)
def test_a_variable_that_is_added_up_again_and_again_is_asked_about(expression, asked):
    model = free_model({**LP, "objective": {"sense": "max", "expression": expression}})
    told = doubts(model, "3, 5, 4, 2, 12, 18")
    assert any("several times" in q for q in told) == asked


@pytest.mark.parametrize(
    ("text", "sense"),
    [
        ("Maximize the profit, at least 3 chairs", "max"),
        ("What is the cheapest plan? No more than 4 trips.", "min"),
        ("What can be earned at most?", ""),
        ("the most for the least money", ""),
        ("as few as possible", "min"),
    ],
)
def test_the_sense_of_an_aim_is_read_from_words_that_say_one_thing(text, sense):
    assert sense_of_text(text) == sense


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Minimize 3 doors and 5 windows under 4, 2, 12, 3, 2, 18", "the model for as much as possible"),
        ("at least 18 of 3, 5, 4, 2, 12", "The text says 'at least 18', the model 'at most'"),
        ("at most 18 of 3, 5, 4, 2, 12", ""),
        ("only whole doors: 3, 5, 4, 2, 12, 18", "fractions of everything"),
        ("at least 4 and at most 4 of 3, 5, 2, 12, 18", ""),
        ("3, 5, 4, 2, 12 and 18, and 77 more", "77 stands in the text"),
        ("3, 5, 4, 2 and 12", "18 does not stand in the text"),
    ],
)
def test_what_a_text_says_against_a_model_is_asked(text, told):
    asked = " ".join(doubts(free_model(LP), text))
    assert told in asked
    assert bool(told) == bool(asked)
