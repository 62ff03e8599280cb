"""Replies shared between runs, and runs that go on where they were cut off."""

import json

import pytest

from optisolve.core.budget import Budget
from optisolve.core.errors import LlmError, OptionError
from optisolve.llm.config import llm_config
from optisolve.llm.prices import listed_prices
from optisolve.testing.llm_server import Fault, LlmServer
from tests.llm.helpers import FAKE_KEY, chat, session_for

PRICES = {"usd_per_million_in": 2.0, "usd_per_million_out": 8.0}


def test_a_second_run_is_served_from_the_cache_and_reports_the_same(tmp_path):
    told = []
    with LlmServer(answer=lambda body: f"answer {body['seed']}") as server:
        for _ in range(2):
            session, meter = session_for(server, Budget(llm_calls=5), cache=str(tmp_path / "cache"), **PRICES)
            with session:
                replies = session.ask(chat(3)) + session.ask(chat(3, attempt=1))
                told.append((session.describe(), [r.texts for r in replies], meter.llm_calls, meter.usd))
                hits, saved = session.cached_calls, session.cached_usd
        assert server.calls == 5
    assert told[0] == told[1]  # a hit counts as if it had been sent, so both are the same run
    assert (hits, saved) == (5, pytest.approx(told[0][3]))


def test_a_failure_is_not_cached_and_a_reask_is_another_question(tmp_path):
    def script(number, body):
        return Fault.SERVER_ERROR if number == 0 else Fault.NONE

    with LlmServer(script=script, answer=lambda body: "x") as server:
        for expected in ("server_error", ""):
            session, _ = session_for(server, retries=0, cache=str(tmp_path))
            with session:
                assert session.ask(chat(1))[0].failure == expected
        session, _ = session_for(server, cache=str(tmp_path))
        with session:
            session.ask(chat(1))
            session.ask(chat(1, attempt=1))
        assert server.calls == 3


def test_another_tag_hits_and_another_endpoint_misses(tmp_path):
    with LlmServer(answer=lambda body: "one") as one, LlmServer(answer=lambda body: "two") as two:
        for server, text in ((one, "one"), (two, "two"), (one, "one")):
            session, _ = session_for(server, cache=str(tmp_path))
            with session:
                assert session.ask(chat(1))[0].texts == (text,)
        assert (one.calls, two.calls) == (1, 1)


def test_a_damaged_cache_file_counts_as_absent(tmp_path):
    with LlmServer(answer=lambda body: "x") as server:
        for _ in range(3):
            session, _ = session_for(server, cache=str(tmp_path))
            with session:
                assert session.ask(chat(1))[0].ok
            (file,) = tmp_path.rglob("*.json")
            file.write_text('{"format": 1, "reply": {')
        assert server.calls == 3


def test_the_cache_holds_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", FAKE_KEY)
    with LlmServer(script=lambda number, body: Fault.ECHO_KEY) as server:
        session, _ = session_for(server, cache=str(tmp_path))
        with session:
            assert session.ask(chat(1))[0].ok
    assert FAKE_KEY not in "".join(file.read_text() for file in tmp_path.rglob("*.json"))


def test_a_cache_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with LlmServer() as server:
        session, _ = session_for(server, cache=str(tmp_path / "file" / "cache"))
        with pytest.raises(LlmError, match=r"llm\.cache"), session:
            pass


def test_a_run_goes_on_from_a_transcript_at_any_line(tmp_path):
    """Cut off after any number of bytes, the rest is asked for and everything is as if nothing had happened."""

    def run(path, server):
        session, meter = session_for(server, Budget(llm_calls=6), transcript=path, retries=1, **PRICES)
        with session:
            replies = session.ask(chat(4)) + session.ask(chat(4, attempt=1))
            return session.describe(), [(r.texts, r.failure) for r in replies], meter.llm_calls, meter.usd

    def script(number, body):
        return Fault.RESET if body["messages"][0]["content"] == "question 2" else Fault.NONE

    with LlmServer(script=script, answer=lambda body: f"answer {body['seed']}") as server:
        whole = tmp_path / "whole.jsonl"
        expected = run(whole, server)
        data = whole.read_bytes()
        head = data.index(b"\n")
        for cut in (0, 40, head, head + 1, len(data) // 2, len(data) - 7, len(data) - 1, len(data)):
            path = tmp_path / f"{cut}.jsonl"
            path.write_bytes(data[:cut])
            before = server.calls
            assert run(path, server) == expected
            kinds = [json.loads(line)["type"] for line in path.read_text().splitlines()]
            assert kinds.count("header") == 1
            assert kinds.count("call") == whole.read_text().count('"type":"call"')
        assert server.calls == before  # nothing of a complete transcript is asked again


def test_recorded_calls_keep_their_place_in_the_budget_when_a_run_goes_on(tmp_path):
    """What was paid for is counted before anything new is sent, so retries cannot use it up a second time."""
    path = tmp_path / "transcript.jsonl"

    def script(number, body):
        lost = body["messages"][0]["content"] == "question 1" or number < 2
        return Fault.RESET if lost else Fault.NONE

    with LlmServer(script=script, answer=lambda body: "x") as server:
        session, meter = session_for(server, transcript=path, retries=2)
        with session:
            assert session.ask(chat(1))[0].charged_calls == 3
        session, meter = session_for(server, Budget(llm_calls=4), transcript=path, retries=9)
        with session:
            first, second = session.ask(chat(2))
    assert (first.ok, second.failure, server.calls) == (True, "connection", 4)
    assert meter.llm_calls == first.charged_calls + second.charged_calls == 4


def test_a_cached_reply_costs_what_its_own_call_cost(tmp_path):
    """Not what the run that asked for it lost on the way: its budget need not hold here."""
    with LlmServer(script=[Fault.RESET, Fault.RESET], answer=lambda body: "x") as server:
        session, _ = session_for(server, cache=str(tmp_path), retries=2)
        with session:
            assert session.ask(chat(1))[0].charged_calls == 3
        session, meter = session_for(server, Budget(llm_calls=1, llm_tokens=2000), cache=str(tmp_path))
        with session:
            (reply,) = session.ask(chat(1))
    assert (reply.ok, reply.cached, reply.charged_calls, meter.llm_calls) == (True, True, 1, 1)
    assert meter.tokens_in + meter.tokens_out < 100


def test_a_transcript_of_another_model_is_not_continued(tmp_path):
    path = tmp_path / "transcript.jsonl"
    with LlmServer() as server:
        session, _ = session_for(server, transcript=path)
        with session:
            session.ask(chat(1))
        session, _ = session_for(server, transcript=path, temperature=0.1)
        with pytest.raises(LlmError, match="Resume with the same language model"), session:
            pass


def test_cached_prompt_tokens_cost_their_own_price():
    with LlmServer(answer=lambda body: "x") as server:
        session, _ = session_for(server, usd_per_million_cached=0.5, **PRICES)
        with session:
            assert session.profile.usd(1_000_000, 0, 400_000) == pytest.approx(0.6 * 2.0 + 0.4 * 0.5)


def test_listed_prices_are_found_by_host_and_name_and_say_where_they_come_from():
    prices = listed_prices("https://api.openai.com/v1", "gpt-4o-mini")
    assert prices is not None
    assert (prices.tokens_in, prices.cached, prices.tokens_out) == (0.15, 0.075, 0.6)
    assert "prices/llm.yaml of 20" in prices.source
    assert listed_prices("http://localhost:8000/v1", "gpt-4o-mini") is None
    assert listed_prices("https://api.openai.com/v1", "unheard-of") is None


def test_a_cached_price_without_the_others_is_refused():
    with pytest.raises(OptionError, match="usd_per_million_cached"):
        llm_config("openai", usd_per_million_cached=0.1)
