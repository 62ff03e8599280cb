"""One dialogue for everybody: the same misbehaving reply has the same fate and the same counters whoever asked."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import pytest

import optisolve
from optisolve.core.budget import Budget
from optisolve.llm.dialogue import Dialogue, DialogueReport, Turn, Verdict, worded
from optisolve.llm.forms import (
    MAX_TEXT,
    Choice,
    Fate,
    Fault,
    Integer,
    Object,
    OneOf,
    Text,
    first_object,
    grammar_of,
    json_values,
    read_form,
    schema_of,
)
from optisolve.registry import make_problem, make_solver
from optisolve.testing.llm_server import Fault as Failure
from optisolve.testing.llm_server import LlmServer
from optisolve.words.ask.model_parser import read_by_model
from optisolve.words.formulate.dialogue import ask_for_model
from tests.llm.helpers import config_for, session_for
from tests.solvers.moe.toys import Scripted

Report = dict[str, Any]


@dataclass(frozen=True)
class User:
    """Somebody who asks one question, what a good answer is, and the same answer with a part missing or not a number."""

    ask: Callable[[LlmServer, int], Report]
    good: str
    short: str
    number: str
    """The part of the answer that is replaced by NaN, and said twice."""


def solved(problem: str, solver: str, evaluations: int, **options: Any) -> Callable[[LlmServer, int], Report]:
    def ask(server: LlmServer, calls: int) -> Report:
        result = optisolve.solve(
            make_problem(problem).instance(0),
            make_solver(solver, options),
            budget=Budget(evaluations=evaluations, llm_calls=calls),
            llm=config_for(server, retries=0, breaker_calls=0),
        )
        assert result.record.solver.prompts or not calls or solver == "moe_llm"
        return dict(result.record.used.report["operator"])

    return ask


def read(server: LlmServer, calls: int) -> Report:
    instance = make_problem("power_game").instance(0)
    session, _ = session_for(server, Budget(llm_calls=calls), retries=0, breaker_calls=0)
    with session:
        return read_by_model("save 5 % of the power", instance.metrics(), session).dialogue.plain()


def modelled(server: LlmServer, calls: int) -> Report:
    session, _ = session_for(server, Budget(llm_calls=calls), retries=0, breaker_calls=0)
    with session:
        return ask_for_model("At most 3 doors are made.", session, reasks=1).dialogue.plain()


ENTRY = '{"about": "total_power", "bound": "saving", "users": "none"}'
ROW = '[{"name": "c", "relation": "doors <= 3"}]'
POWERS = make_problem("power_control").instance(0).space.names
POINT = ", ".join(f'"{name}": 123' for name in POWERS)
USERS = {
    "ledma": User(
        solved("power_control", "ledma", 9, pop_size=8, n_neighbors=4, n_parents=4, wave_size=1, n_offspring=1, mix="llm_only"),
        f'{{"design_1": {{{POINT}}}}}',
        f'{{"design_1": {{{POINT.rpartition(", ")[0]}}}}}',
        f'"{POWERS[0]}": 123',
    ),
    "opro": User(
        solved("power_control", "opro", 3, n_initial=2, calls_per_step=1),
        f'{{"design_1": {{{POINT}}}}}',
        f'{{"design_1": {{{POINT.rpartition(", ")[0]}}}}}',
        f'"{POWERS[0]}": 123',
    ),
    "hybrid": User(
        solved("power_control", "hybrid", 3, n_initial=2, share=1.0, resolution=1000),
        f'{{"design_1": {{{POINT}}}}}',
        f'{{"design_1": {{{POINT.rpartition(", ")[0]}}}}}',
        f'"{POWERS[0]}": 123',
    ),
    "game": User(
        solved("power_game", "game", 2, agents=["llm", "random", "random", "random"], rounds=1),
        '{"level": 123}',
        "[123, 124]",
        '"level": 123',
    ),
    "q_fusion": User(
        solved("maze", "q_fusion", 2, training="value_iteration"),
        '{"stage_1": {"until": "goal", "go_goal": 60, "avoid_trap": 40}}',
        '{"stage_1": {"until": "goal"}}',
        '"go_goal": 60',
    ),
    "moe_llm": User(
        solved("power_game", "moe_llm", 5, gate="llm", experts=["cma_es", "random_search", "scipy_local"]),
        '{"first": "cma_es", "second": "scipy_local", "third": "random_search"}',
        '{"first": "cma_es", "second": "scipy_local"}',
        '"first": "cma_es"',
    ),
    "ask": User(read, f'{{"number_1": {ENTRY}, "aim": "own"}}', f'{{"number_1": {ENTRY}}}', '"aim": "own"'),
    "formulate": User(
        modelled,
        f'{{"variables": {{"doors": {{}}}}, "objective": {{"sense": "max", "expression": "doors"}}, "constraints": {ROW}}}',
        f'{{"variables": {{"doors": {{}}}}, "constraints": {ROW}}}',
        '"sense": "max"',
    ),
}
REPLIES: dict[str, tuple[Callable[[User], str], Fate, str]] = {
    "as asked": (lambda user: user.good, Fate.OK, ""),
    "prose around it": (lambda user: f"Sure, {{here}} it is:\n```json\n{user.good}\n```\nGood luck.", Fate.OK, ""),
    "cut short": (lambda user: user.good[:-2], Fate.REJECTED, "count"),
    "refusal": (lambda user: "I am sorry, but I cannot help with that.", Fate.REJECTED, "count"),
    "nothing": (lambda user: "", Fate.REJECTED, "count"),
    "behind the end": (lambda user: " " * MAX_TEXT + user.good, Fate.REJECTED, "count"),
    "endless": (lambda user: "[" * 100_000, Fate.REJECTED, "count"),
    "a name twice": (lambda user: user.good.replace(user.number, f"{user.number}, {user.number}"), Fate.REJECTED, "count"),
    "a part missing": (lambda user: user.short, Fate.REJECTED, "length"),
    "not a number": (
        lambda user: user.good.replace(user.number, f"{user.number.partition(':')[0]}: NaN"),
        Fate.REJECTED,
        "not finite",
    ),
}


@pytest.fixture(autouse=True)
def _no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.mark.parametrize("kind", REPLIES)
@pytest.mark.parametrize("name", USERS)
def test_the_same_reply_has_the_same_fate_and_counters_whoever_asked(name, kind):
    user, (reply, fate, reason) = USERS[name], REPLIES[kind]
    with LlmServer(answer=lambda body: reply(user)) as server:
        told = user.ask(server, 10)
    asked = 1 if fate is Fate.OK else 2
    assert told["targets"] == 1
    assert (told["calls"], told["reasks"], told["refused_by_budget"]) == (asked, asked - 1, 0)
    assert told["candidates"] == asked
    assert told["fates"] == {f.value: asked * (f is fate) for f in Fate}
    assert told["reasons"] == ({reason: asked} if reason else {})
    assert told["fallbacks"] == ({} if fate is Fate.OK else {"invalid": 1})


@pytest.mark.parametrize("name", USERS)
def test_a_call_that_fails_is_asked_once_and_named_whoever_asked(name):
    with LlmServer(script=lambda number, body: Failure.SERVER_ERROR) as server:
        told = USERS[name].ask(server, 10)
    assert (told["targets"], told["calls"], told["reasks"], told["candidates"]) == (1, 1, 0, 0)
    assert told["fallbacks"] == {"server_error": 1}


@pytest.mark.parametrize("name", USERS)
def test_what_the_budget_refuses_is_no_call_and_no_fallback_whoever_asked(name):
    with LlmServer() as server:
        told = USERS[name].ask(server, 0)
    assert server.calls == 0
    assert (told["targets"], told["calls"], told["refused_by_budget"], told["fallbacks"]) == (1, 0, 1, {})


@pytest.mark.parametrize("name", USERS)
def test_reports_have_the_same_keys_whoever_asked(name):
    with LlmServer(answer=lambda body: USERS[name].good) as server:
        told = USERS[name].ask(server, 1)
    assert {field.name for field in fields(DialogueReport)} - {"prompts"} <= set(told)
    assert told["style"] == "schema"
    assert told["tokens_in"] > 0


# -- the loop ------------------------------------------------------------------------------------------------------------


def asked(turns, session, *, batch=1, max_reasks=2):
    dialogue = Dialogue(session, max_reasks=max_reasks)

    def request(group, attempt):
        names = "+".join(turn.question for turn in group)
        text = f"{names}: {'; '.join(error for turn in group for error in turn.errors)}"
        return worded(text, "schema", tag=names, attempt=attempt, seed=0, max_tokens=9)

    def judge(group, texts):
        wrong = Fault("bounds", "not yes")
        return [Verdict("yes") if turn.question in texts[0] else Verdict.rejected(wrong) for turn in group]

    dialogue.ask(turns, request, judge, batch=batch)
    return dialogue


def test_only_what_has_no_answer_is_asked_again_and_told_why():
    session = Scripted("a", "nothing", "c", "b")
    turns = [Turn(name) for name in "abc"]
    told = asked(turns, session).report()
    assert [turn.answer for turn in turns] == ["yes"] * 3
    assert [request.tag for request in session.requests] == ["a", "b", "c", "b"]
    assert session.requests[-1].messages[0].content == "b: not yes"
    assert [request.attempt for request in session.requests] == [0, 0, 0, 1]
    assert (told.targets, told.calls, told.reasks) == (3, 4, 1)


def test_questions_of_one_request_are_judged_one_by_one_and_grouped_anew():
    session = Scripted("a", "c", "b d")
    turns = [Turn(name) for name in "abcd"]
    told = asked(turns, session, batch=2).report()
    assert [request.tag for request in session.requests] == ["a+b", "c+d", "b+d"]
    assert (told.targets, told.calls, told.candidates, told.fates["ok"]) == (4, 3, 6, 4)


def test_a_failure_after_a_bad_answer_is_what_the_fallback_is_counted_under():
    turn = Turn("a")
    told = asked([turn], Scripted("no", "")).report()
    assert (turn.failure, turn.why, turn.unheard) == ("timeout", "timeout: too slow", True)
    assert told.fallbacks == {"timeout": 1}


# -- forms ---------------------------------------------------------------------------------------------------------------

FORM = Object(
    {
        "level": Integer(20),
        "kind": Choice(("low", "high")),
        "part": OneOf((Object({"x": Choice(("a",))}), Object({"y": Integer(3)}))),
        "said": Text(5),
    }
)


def test_schema_grammar_and_reader_follow_from_one_form():
    jsonschema = pytest.importorskip("jsonschema", reason="needs the extra [ray]")
    good = {"level": 20, "kind": "low", "part": {"y": 3}, "said": "hello"}
    bad = [{**good, "level": 21}, {**good, "kind": "mid"}, {**good, "part": {"y": 4}}, {**good, "said": 3}]
    bad += [{k: v for k, v in good.items() if k != "part"}, {**good, "level": True}, {**good, "part": {}}]
    checker = jsonschema.Draft202012Validator(schema_of(FORM))
    assert checker.is_valid(good)
    assert read_form(FORM, json.dumps(good)) == (good, None)
    for value in bad:
        assert not checker.is_valid(value), value
        assert read_form(FORM, json.dumps(value))[1] is not None, value
    assert grammar_of(FORM, blank=True) == (
        'root ::= " "? "{" "\\"level\\":" n20 "," "\\"kind\\":" ( "\\"low\\"" | "\\"high\\"" ) "," '
        '"\\"part\\":" ( "{" "\\"x\\":" ( "\\"a\\"" ) "}" | "{" "\\"y\\":" n3 "}" ) "," '
        '"\\"said\\":" "\\"" [a-zA-Z0-9 .,%-]{0,5} "\\"" "}"\n'
        'n3 ::= "0" | [1-2] | "3"\n'
        'n20 ::= "0" | [1-9] | "1" [0-9] | "20"\n'
    )


def test_members_that_nobody_asked_for_are_ignored_and_errors_name_the_place():
    good = {"level": 1, "kind": "low", "part": {"x": "a"}, "said": "", "verified": True}
    assert read_form(FORM, json.dumps(good))[1] is None
    assert "'kind'" in read_form(FORM, json.dumps({**good, "kind": "mid"}))[1].detail
    assert read_form(FORM, '{"level": 3}')[1] == Fault("length", "the answer leaves out 'kind', 'part', 'said'")


def test_the_reader_finds_objects_in_prose_and_ends_at_its_limit():
    assert list(json_values('see {this}: [1, {"a": 2}] and {"b": 3, "b": 4} {"c": {"d": 5}')) == [[1, {"a": 2}], {"d": 5}]
    assert first_object('{"z": 1} {"a": 2}', ["a"])[0] == {"a": 2}
    assert first_object('{"a": [1, {"b": Infinity}]}', ["a"])[1].reason == "not finite"
    assert first_object(" " * MAX_TEXT + '{"a": 2}', ["a"])[1].reason == "count"
