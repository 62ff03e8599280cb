"""A transcript stands in for the model."""

import json

import pytest

from optisolve.core.budget import Budget, BudgetMeter
from optisolve.core.errors import LlmError
from optisolve.llm.config import llm_config
from optisolve.llm.session import open_session
from optisolve.testing.llm_server import Fault, LlmServer
from tests.llm.helpers import chat, session_for


def replayed(path, budget=None):
    meter = BudgetMeter(budget or Budget())
    return open_session(llm_config("replay", transcript=str(path)), meter), meter


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A transcript with good replies, failures, a re-ask and billed retries; the model is gone afterwards."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = tmp_path / "transcript.jsonl"
    budget = Budget(llm_calls=6)

    def script(number, body):
        text = body["messages"][0]["content"]
        return {"question 1": Fault.SERVER_ERROR, "question 2": Fault.RESET}.get(text, Fault.NONE)

    with LlmServer(script=script, answer=lambda body: f"answer {body['seed']}") as server:
        prices = {"usd_per_million_in": 0.1, "usd_per_million_out": 0.7}
        session, meter = session_for(server, budget, transcript=path, retries=1, **prices)
        with session:
            first = session.ask(chat(4))
            second = session.ask(chat(2, attempt=1, seed=5))
            told = session.describe()
    return path, budget, (first, second, told, meter)


def test_replies_budget_and_hash_are_reproduced_with_the_model_gone(recorded):
    path, budget, (first, second, told, meter) = recorded
    session, again = replayed(path, budget)
    with session:
        replies, reasked = session.ask(chat(4)), session.ask(chat(2, attempt=1, seed=5))
        assert session.describe() == told
    assert [(r.texts, r.failure, r.usd) for r in (*replies, *reasked)] == [
        (r.texts, r.failure, r.usd) for r in (*first, *second)
    ]
    assert [r.failure for r in first] == ["", "server_error", "connection", ""]
    assert [r.failure for r in second] == ["", "budget"]  # the reset was charged twice
    names = ("llm_calls", "tokens_in", "tokens_out", "usd")
    assert [getattr(again, n) for n in names] == [getattr(meter, n) for n in names]


def test_a_reask_is_not_served_the_first_answer(recorded):
    path, _, (_, second, _, _) = recorded
    session, _ = replayed(path)
    with session:
        session.ask(chat(4))
        assert session.ask(chat(1, attempt=1, seed=5))[0].texts == second[0].texts == ("answer 5",)


def test_a_question_that_was_never_asked_is_a_clear_error(recorded):
    session, _ = replayed(recorded[0])
    with session, pytest.raises(LlmError, match=r"no reply for 'q0' \(sample 0, attempt 7\)"):
        session.ask(chat(1, attempt=7))


def test_the_hash_ignores_the_order_of_arrival(tmp_path):
    hashes = set()
    for latency in (0.0, lambda number: 0.03 * ((7 - number) % 4)):
        with LlmServer(answer=lambda body: "same", latency_s=latency) as server:
            session, _ = session_for(server, transcript=tmp_path / f"{len(hashes)}.jsonl")
            with session:
                session.ask(chat(8))
                hashes.add(session.describe()["transcript"])
    assert len(hashes) == 1


def test_a_transcript_cut_off_by_a_crash_still_serves_its_whole_lines(recorded):
    path = recorded[0]
    path.write_text(path.read_text() + '{"type":"call","key":"ab')
    session, _ = replayed(path)
    with session:
        assert session.ask(chat(1))[0].ok


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a header"),
        ("not json\n", "line 1: not JSON"),
        ('{"type":"call"}\n', "must be a header"),
        ('{"type":"header","format":2,"profile":{"nonsense":1}}\n', "damaged"),
        ('{"type":"header","format":99}\n', "format 2"),
    ],
)
def test_a_damaged_transcript_is_a_clear_error(tmp_path, text, message):
    path = tmp_path / "transcript.jsonl"
    path.write_text(text)
    with pytest.raises(LlmError, match=message):
        replayed(path)
    with pytest.raises(LlmError, match="No transcript"):
        replayed(tmp_path / "absent.jsonl")


def test_every_line_is_on_disk_before_the_run_ends(tmp_path):
    path = tmp_path / "transcript.jsonl"
    with LlmServer(answer=lambda body: "x") as server:
        session, _ = session_for(server, transcript=path)
        with session:
            session.ask(chat(3))
            rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["type"] for row in rows] == ["header", "call", "call", "call"]
    assert all(set(row["volatile"]) == {"latency_s", "cached"} for row in rows[1:])
