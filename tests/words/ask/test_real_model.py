"""A real small model reads requests; its recorded replies are replayed, so that no model and no network is needed.

The replies are those of SmolLM2-135M on the first twelve generated requests (``requests.json``), temperature 0. What it says
is often wrong;
the point is that nothing wrong gets through.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labelled.judging import judge
from labelled.requests import Intent, Kind

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.goals.goal import goal_from
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.registry import make_problem
from optisolve.words.ask.requests import AskStatus, answer, parse_in

FOLDER = Path(__file__).parent / "transcripts"


@pytest.fixture(scope="module")
def judged():
    rows = json.loads((FOLDER / "requests.json").read_text())
    told = []
    config = llm_config("replay", transcript=str(FOLDER / "smollm2.jsonl"))
    with open_session(config, BudgetMeter(Budget(llm_calls=40))) as session:
        assert session.model == "smollm2-135m"
        for n, row in enumerate(rows):
            goal = None if row["goal"] is None else goal_from(row["goal"])
            intent = Intent(row["text"], row["problem"], row["instance"], Kind(row["kind"]), goal, row["optimum"])
            instance = make_problem(intent.problem).instance(intent.instance)
            parsed = parse_in(session, intent.text, instance, tag=f"ask/{n}")
            told.append((judge(intent, answer(parsed, instance, solver="scipy_local")), parsed))
    return told


def test_nothing_wrong_is_presented_as_verified(judged):
    assert not [j.intent.text for j, _ in judged if j.wrong_verified]


def test_the_model_writes_no_number_and_names_no_user_of_its_own(judged):
    for j, parsed in judged:
        for clause in () if parsed.goal is None else parsed.goal.constraints:
            start, end = clause.source_span
            assert j.intent.text[start:end].replace(" ", "").startswith(f"{clause.value:g}"[:3])
            assert all(str(user) in j.intent.text for user in clause.users)


def test_some_readings_agree_with_the_words_and_are_verified(judged):
    verified = [j for j, _ in judged if j.status is AskStatus.VERIFIED]
    assert verified
    assert all(j.same for j in verified)


def test_where_model_and_words_differ_both_are_shown(judged):
    asked = [p for j, p in judged if j.status is AskStatus.ASKED and p.goal is not None and not p.reading.questions]
    assert asked
    assert all(any("the words say" in question for question in parsed.questions) for parsed in asked)
