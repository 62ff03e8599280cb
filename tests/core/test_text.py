"""Texts of others: keys are masked as a whole and nothing else is; nothing steers a terminal."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optisolve.core.errors import FieldProblem, OptionError, OptisolveError
from optisolve.core.text import SHORTEST_KEY, Redactor, encodable, printable, printable_lines, require_encodable, secrets_here

REPLY = '{"design_1": {"uav0.x_m": 12, "max_tokens": 3}} a token for the radio bearer configuration, none of it ollama-like'


@pytest.mark.parametrize("key", ["x", "-", "token", "EMPTY", "ollama", "none", "1", '"', "max_tok"])
def test_a_short_key_is_masked_nowhere(key):
    assert len(key) < SHORTEST_KEY
    assert Redactor([key]).text(REPLY) == REPLY
    assert Redactor([key]).value({key: [key, {"max_tokens": 1}]}) == {key: [key, {"max_tokens": 1}]}


@pytest.mark.parametrize("key", ["canary-1", "max_tokens", "configuration"])
def test_a_key_is_masked_as_a_whole_word_and_never_in_a_name(key):
    redactor = Redactor([key])
    assert redactor.text(f"'{key}' is wrong, {key}. x{key} {key}s") == f"'[redacted]' is wrong, [redacted]. x{key} {key}s"
    assert redactor.value({key: key, "a": (f"<{key}>",)}) == {key: "[redacted]", "a": ["<[redacted]>"]}
    assert redactor.finds({"a": [{"b": key}]})
    assert not redactor.finds({key: [1, None, "b"]})


@given(st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=16, max_size=60))
def test_a_long_key_is_masked_wherever_and_however_it_stands(key):
    redactor = Redactor([key])
    for form in (key, f"ab{key}cd", json.dumps({"a": key}), f"https://host/{quote(key, safe='')}/v1"):
        masked = redactor.text(form)
        assert key not in masked
        assert "[redacted]" in masked


def test_what_looks_like_a_key_is_masked_and_words_are_not():
    redactor = Redactor()
    assert redactor.text("Bearer abcdefgh12345 sk-proj-51e6a0c2 sk-ab***yz") == "[redacted] [redacted] [redacted]"
    assert redactor.text(REPLY + " sk-learn-like task-based") == REPLY + " sk-learn-like task-based"


def test_keys_of_the_environment_are_found_by_their_name_only(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "value-of-some")
    monkeypatch.setenv("OTHER_SECRET", "value-of-other")
    assert "value-of-some" in secrets_here()
    assert "value-of-other" not in secrets_here()
    assert "value-of-other" in secrets_here(["OTHER_SECRET"])


@given(st.text())
def test_no_text_steers_a_terminal_or_breaks_a_file(text):
    assert printable(text).isprintable()
    assert all(line.isprintable() for line in printable_lines(text).split("\n"))
    assert printable_lines(text).count("\n") == text.count("\n")
    encodable(text).encode()


def test_errors_escape_what_others_wrote():
    evil = "h\x1b]0;PWNED\x07\ud800"
    error = OptionError(f"file {evil}", [FieldProblem(evil, evil, "a name")])
    for told in (str(error), str(OptisolveError(evil))):
        assert printable(told.replace("\n", "")) == told.replace("\n", "")
        assert "\\x1b]0;PWNED\\x07\\ud800" in told


def test_data_that_no_file_could_hold_is_refused():
    require_encodable({"a": ["\U0001f600", 1, None]})
    with pytest.raises(ValueError, match="lone surrogate"):
        require_encodable({"a": [{"b\ud800": 1}]})
