"""A language model fills the schema: what it writes is data, its numbers are grounded, and somebody must confirm it."""

from __future__ import annotations

import json

import pytest

from optisolve.intents.freeform import ask_for_model, ungrounded_numbers
from optisolve.modelling.freeform import free_model
from tests.modelling.test_freeform import KNAPSACK, LP, enumerate_knapsack
from tests.moe.toys import Scripted

BAG = "A bag holds 8 kg. Five items weigh 3, 4, 2, 3 and 1 kg and are worth 10, 13, 7, 8 and 4. Which ones are taken?"


def test_a_good_model_is_solved_translated_back_and_offered_for_confirmation():
    told = ask_for_model(BAG, Scripted("Here you are: " + json.dumps(KNAPSACK)))
    assert told.to_confirm
    assert told.answer.objective == pytest.approx(enumerate_knapsack())
    assert any("take" in line and "binary" in line for line in told.words)


def test_a_number_that_the_text_does_not_hold_is_named():
    wrong = json.loads(json.dumps(KNAPSACK))
    wrong["parameters"]["limit"]["value"] = 80
    told = ask_for_model(BAG, Scripted(json.dumps(wrong)))
    assert told.assumed == (80.0,)
    assert not told.to_confirm


def test_errors_go_back_to_the_model_a_bounded_number_of_times():
    broken = {**LP, "objective": {"sense": "max", "expression": "__import__('os')"}}
    session = Scripted(json.dumps(broken), "no JSON", json.dumps(broken))
    told = ask_for_model("make doors", session)
    assert told.answer is None
    assert told.attempts == len(session.requests) == 3
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
