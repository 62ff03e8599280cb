"""The estimate of tokens against counts of a real tokenizer."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.llm import catalog
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.llm.tokens import estimate_tokens
from optisolve.llm.types import LlmRequest
from optisolve.testing.toys import ShiftedZdt1

LACKING = catalog.lacking("smollm2-135m")
TABLE = "1000: 205,371,964\n934: 12,0,1000\n610: 377,402,9\n549:"
WORDS = (
    "Locating a user works best from UAVs at a horizontal distance near 141 m (altitude / sqrt 2) on different sides, at "
    "right angles as seen from the user; from straight overhead or along one line it fails."
)
ANSWER = json.dumps({"design_1": {"uav0.x_m": 100, "uav0.p_w": 7}}, separators=(",", ":"))


@pytest.mark.parametrize(("text", "counted"), [(TABLE, 52), (WORDS, 49), (ANSWER, 28)])
def test_the_estimate_is_close_to_the_tokenizer_of_smollm2(text, counted):
    """Counted with the tokenizer of SmolLM2-135M-Instruct, as served by llama.cpp."""
    assert estimate_tokens(text) == pytest.approx(counted, rel=0.12)


@pytest.mark.skipif(bool(LACKING), reason=f"needs the extra [local-llm] and a model: {LACKING}")
def test_the_estimate_agrees_with_what_the_local_model_reports():
    texts = [TABLE, WORDS, ANSWER, ShiftedZdt1().instance(1).describe().summary + "\n" + 3 * WORDS]
    requests = [LlmRequest(tag=f"t{i}", prompt=text, max_tokens=1) for i, text in enumerate(texts)]
    with open_session(llm_config("local"), BudgetMeter(Budget())) as session:
        counted = [reply.tokens_in for reply in session.ask(requests)]
    assert [estimate_tokens(text) for text in texts] == [pytest.approx(count, rel=0.12) for count in counted]


@settings(deadline=None)  # busy machines are no defect
@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_is_free_and_more_text_is_never_much_cheaper(first, second):
    assert (estimate_tokens(first) == 0) == (first == "")
    assert estimate_tokens(first + second) >= estimate_tokens(first) - 1
