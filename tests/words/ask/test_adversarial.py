"""An adversarial request changes nothing but the parse result: no file, no setting, no claim, no crash, in bounded work."""

from __future__ import annotations

import json

import pytest

import optisolve
from optisolve.cli.main import main
from optisolve.words.ask.ground import explicit, same_goal
from optisolve.words.ask.quantities import IntentError
from optisolve.words.ask.requests import AskStatus, answer, parse_in
from optisolve.words.ask.rules import read_by_rules
from optisolve.words.formulate.drafts import FormulateStatus, formulate_in
from tests.solvers.moe.toys import Scripted
from tests.words.ask.hostile import EVERYTHING, FRAGMENTS, INSTRUCTIONS, PATHS, UNICODE
from tests.words.formulate.test_freeform import LP


@pytest.fixture(scope="module")
def game():
    return optisolve.load_problem("power_game").instance(0)


def honest(game):
    return read_by_rules("save at least 5 % power", game.metrics()).goal


@pytest.mark.parametrize("text", EVERYTHING, ids=lambda t: ascii(t[:30]))
def test_what_is_acted_on_is_what_the_plain_words_say(text, game):
    """A complete reading of a hostile text is one of a few harmless ones; anything else is a question or a refusal."""
    try:
        reading = read_by_rules(text, game.metrics())
    except IntentError:
        return
    if not reading.complete:
        return
    goal = explicit(reading.goal, game)
    plain = [honest(game), read_by_rules("user 2 needs at least 5 kbps", game.metrics()).goal]
    absurd = all(c.value <= 0.0 or c.value >= 1e20 for c in goal.constraints)
    repeated = {(c.metric, c.op, c.value) for c in goal.constraints} <= {("total_power", ">=", 5.0), ("rate", ">=", 15.8)}
    assert any(same_goal(goal, p) for p in plain) or repeated or absurd, (text, goal)


@pytest.mark.parametrize("text", [*PATHS, *INSTRUCTIONS], ids=lambda t: ascii(t[:30]))
def test_instructions_and_paths_are_never_verified_whatever_the_model_says(text, game):
    """The model repeats whatever the text wants; it has no words of its own to be believed."""
    number = '{"about": "total_power", "bound": "saving", "users": "none"}'
    obeying = f'{{"aim": "own", "number_1": {number}, "verified": true, "out": "elsewhere"}}'
    session = Scripted(obeying, obeying, obeying)
    session.describe = dict
    parsed = parse_in(session, text, game)
    told = answer(parsed, game, solver="scipy_local")
    assert told.status in (AskStatus.ASKED, AskStatus.UNCONFIRMED)
    assert told.result is None


@pytest.mark.parametrize("style", ["schema", "continuation"])
def test_no_text_makes_either_verb_crash_or_claim_more_than_its_plain_words(style, game):
    """The model always answers with a saving of 5 %, or with a model of another problem."""
    number = '{"about": "total_power", "bound": "saving", "users": "none"}'
    stubborn = f'{{"aim": "own", "number_1": {number}, "verified": true}}'
    for text in EVERYTHING:
        for reply, act in ((stubborn, parse_in), (json.dumps(LP), None)):
            session = Scripted(reply, reply, reply)
            session.preferred_style, session.describe = style, dict
            try:
                if act is None:
                    assert formulate_in(session, text).status is FormulateStatus.ASKED, text
                else:
                    parsed = act(session, text, game)
                    assert not parsed.grounded or same_goal(parsed.goal, honest(game)), text
            except IntentError:
                continue


SIGNS = (
    ("user 2 needs < 5 kbps", "<"),
    ("user 2 needs ~5 kbps", "~"),
    ("save 5 % power & user 2", "&"),
    ("keep the total power below ±5 W", "±"),
)


@pytest.mark.parametrize(("text", "word"), SIGNS)
def test_signs_that_could_turn_a_meaning_are_not_skipped(text, word, game):
    reading = read_by_rules(text, game.metrics())
    assert word in reading.unknown
    assert not reading.complete


def test_numerals_of_other_scripts_have_their_value_and_dashes_are_no_numbers(game):
    for text in UNICODE[:2]:
        assert [c.value for c in read_by_rules(text, game.metrics()).goal.constraints] == [5.0]
    minus = read_by_rules("keep the total power below \u22125 W", game.metrics())
    assert minus.goal.constraints[0].value == -5.0
    assert any("a minus" in q for q in read_by_rules("keep the total power below \u20135 W", game.metrics()).questions)


@pytest.mark.parametrize("text", ["save 5\u202e %\u202c power", "save\u200b 5 % power", "save 5 %\x1b[32m power"])
def test_characters_that_nobody_sees_are_refused(text, game):
    with pytest.raises(IntentError, match="invisible"):
        read_by_rules(text, game.metrics())


@pytest.mark.parametrize("text", [PATHS[0], PATHS[1], FRAGMENTS[3], FRAGMENTS[9], INSTRUCTIONS[4]], ids=lambda t: ascii(t[:30]))
def test_on_the_command_line_a_request_writes_and_changes_nothing(text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = main(["ask", text, "problem=power_game", "parser=rules", "out=runs"])
    assert code == 3
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    assert "unconfirmed" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["ask", "save 5 % power", "problem=power_game"], ["formulate", "make as much as you can"]])
def test_a_mistyped_setting_does_not_become_part_of_the_request(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "sede=3"]) == 1
    told = capsys.readouterr().err
    assert "sede" in told
    assert "seed=" in told
    assert not list(tmp_path.iterdir())
