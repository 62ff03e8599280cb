"""Drafts of a real small model, recorded: well-formed or not, none of a wrong model is offered with a value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.words.formulate.doubts import numbers_of_text
from optisolve.words.formulate.drafts import FormulateStatus, formulate_in
from optisolve.words.freeform.tree import numbers_in

FOLDER = Path(__file__).parent / "transcripts"


@pytest.fixture(scope="module")
def drafts():
    problems = json.loads((FOLDER / "problems.json").read_text())
    config = llm_config("replay", transcript=str(FOLDER / "smollm2.jsonl"))
    with open_session(config, BudgetMeter(Budget(llm_calls=40))) as session:
        assert session.model == "smollm2-135m"
        return [(p, formulate_in(session, p["text"], reasks=1, tag=p["tag"])) for p in problems]


def test_a_real_small_model_fills_the_schema_at_times(drafts):
    usable = [told for _, told in drafts if told.model is not None]
    assert usable
    assert len(usable) < len(drafts)  # and at times it does not, which is an open question and no crash


def test_nothing_wrong_is_offered_and_nothing_of_a_draft_is_called_solved(drafts):
    for problem, told in drafts:
        assert told.status is not FormulateStatus.SOLVED
        if told.status is FormulateStatus.UNCONFIRMED:
            assert told.answer.objective == pytest.approx(problem["optimum"], rel=1e-6)


def test_the_grammar_leaves_no_number_but_those_of_the_text(drafts):
    for problem, told in drafts:
        if told.model is None:
            continue
        said = {*numbers_of_text(problem["text"]), 0.0, 1.0}
        for row in told.model.rows:
            assert set(numbers_in(row.relation.left) + numbers_in(row.relation.right)) <= said
        assert set(numbers_in(told.model.objective)) <= said
