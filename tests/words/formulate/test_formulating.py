"""Formulating: a typed file is solved and checked, a language model's draft waits for confirmation, nothing is executed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from labelled.word_problems import WORD_PROBLEM_KINDS, generate_word_problems

from optisolve.cli.main import main
from optisolve.words.formulate.doubts import unused_numbers
from optisolve.words.formulate.drafts import FormulateStatus, formulate_in, formulate_model
from optisolve.words.formulate.grammar import freeform_grammar
from optisolve.words.freeform import free_model, solve_free
from optisolve.words.freeform import solve as solving
from optisolve.words.freeform.compiled import BY_MATRIX, Compiled
from tests.solvers.moe.toys import Scripted
from tests.words.formulate.test_freeform import KNAPSACK, LP, WATER

BAG = "A bag holds 8 kg. Five items weigh 3, 4, 2, 3 and 1 kg and are worth 10, 13, 7, 8 and 4. Which ones are taken?"


def scripted(*texts):
    session = Scripted(*texts)
    session.describe = lambda: {
        "provider": "scripted",
        "model": "scripted",
        "calls": len(session.requests),
        "tokens_in": 0,
        "tokens_out": 0,
    }
    return session


def written(tmp_path, model, name="model.yml"):
    path = tmp_path / name
    path.write_text(model if isinstance(model, str) else yaml.safe_dump(model))
    return path


def formulated(tmp_path, model, *more):
    return main(["formulate", f"file={written(tmp_path, model)}", f"out={tmp_path / 'runs'}", *more])


# -- typed files ----------------------------------------------------------------------------------------------------------


def test_a_typed_model_is_solved_checked_and_shown(tmp_path, capsys):
    assert formulated(tmp_path, LP) == 0
    told = capsys.readouterr().out
    for words in (
        "no language model was called",
        "Maximize 3*doors + 5*windows",
        "objective: 36",
        "second formulation: optimal",
    ):
        assert words in told
    (folder,) = (tmp_path / "runs").iterdir()
    saved = json.loads((folder / "formulate.json").read_text())
    assert saved["status"] == "solved"
    assert saved["objective"] == pytest.approx(36.0)
    assert yaml.safe_load((folder / "model.yml").read_text())["objective"]["expression"] == "3*doors + 5*windows"
    assert main(["formulate", f"file={folder / 'model.yml'}", f"out={tmp_path / 'again'}"]) == 0
    assert {p.name for p in (tmp_path / "again").iterdir()} == {folder.name}  # the same model, the same folder


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"constraints": []}, 2, "unbounded"),
        ({"constraints": [{"name": "c", "relation": "doors <= -1"}]}, 2, "infeasible"),
        ({"objective": {"sense": "max", "expression": "doors*windows"}}, 2, "not convex"),
        ({"objective": {"sense": "max", "expression": "chairs"}}, 1, "neither a parameter"),
    ],
)
def test_exit_codes_say_what_became_of_a_model(change, code, told, tmp_path, capsys):
    assert formulated(tmp_path, {**LP, **change}) == code
    printed = capsys.readouterr()
    assert told in printed.out + printed.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["x", "file=y.yml"], "either a problem in words or file="),
        (["file=/nowhere/model.yml"], "cannot be read"),
        (["a problem", "llm=surrogate"], "no language model here"),
        (["a problem", "fiel=model.yml"], "fiel"),
        (["seed=-1", "file=m.yml"], "seed"),
    ],
)
def test_bad_settings_are_one_clear_error(words, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["formulate", *words]) == 1
    assert told in capsys.readouterr().err


def test_ask_points_to_formulate_when_no_family_fits(capsys):
    assert main(["ask", "make chairs", "problem=freeform"]) == 1
    assert "optisolve formulate" in capsys.readouterr().err


def model_of_the_page(start):
    page = (Path(__file__).parents[3] / "docs" / "formulate.md").read_text(encoding="utf-8")
    return page[page.index(start) :].partition("```")[0]


def test_the_model_file_of_the_page_is_solved_to_the_water_filling_optimum(tmp_path):
    from optisolve.numerics.water_filling import water_fill

    answer = formulate_model(yaml.safe_load(model_of_the_page("sets: {channel"))).answer
    gain = np.array([1.2, 2.0, 1.5])
    powers, _ = water_fill(gain, np.ones(3), 10.0)
    assert answer.accepted
    assert answer.objective == pytest.approx(np.log2(1.0 + gain * powers).sum(), rel=1e-7)


def test_the_model_with_named_elements_of_the_page_is_solved():
    told = formulate_model(yaml.safe_load(model_of_the_page("sets: {plant: [north")))
    assert told.status is FormulateStatus.SOLVED, told.answer
    assert told.answer.objective == pytest.approx(12 * 3 * (2 + 3))  # every month makes what it needs


def test_limits_of_the_page_are_those_of_the_code():
    from optisolve.words import typed_file
    from optisolve.words.freeform import expressions, resolve, vertex

    page = (Path(__file__).parents[3] / "docs" / "formulate.md").read_text(encoding="utf-8")
    told = " ".join(page.split())
    assert f"{expressions.MAX_LENGTH} characters and {expressions.MAX_DEPTH // 4} brackets" in told
    assert f"numbers up to {expressions.MAX_NUMBER:.0e}".replace("e+", "e") in told
    assert f"exponents up to {expressions.MAX_EXPONENT:g}" in told
    assert f"{resolve._MAX_VARIABLES} variables, {resolve._MAX_ROWS} rows, {resolve._MAX_NODES:,} terms" in told
    assert f"YAML above {typed_file.MAX_YAML_BYTES // 1000} kB and JSON above {typed_file.MAX_BYTES // 1_000_000} MB" in told
    assert f"not solved within {vertex.TIME_LIMIT_S:g} s" in told


# -- hostile files --------------------------------------------------------------------------------------------------------

BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(9)
)
FILES = {
    "references that multiply": (BOMB, "references"),
    "a constructor": ("!!python/object/apply:os.system ['true']", "cannot be read"),
    "deep nesting": ("[" * 5000 + "]" * 5000, "nested deeper"),
    "deep JSON": ('{"a":' * 50_000, "nested deeper"),
    "a name twice in JSON": ('{"variables": {}, "variables": {}}', "stands twice"),
    "a long text": ("a: [" + "1, " * 100_000 + "1]", "write JSON"),
    "no mapping": ("- 1\n- 2\n", "must hold a mapping"),
    "a name twice": ("variables: {x: {}}\nvariables: {y: {}}\n", "stands twice"),
    "binary": ("\x00\x01\x02", "cannot be read"),
    "too large": ("# " + "x" * 1_000_001, "larger than"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_one_clear_error(name, tmp_path, capsys):
    text, told = FILES[name]
    assert formulated(tmp_path, text) == 1
    assert any(part in capsys.readouterr().err for part in told.split("|"))
    assert not (tmp_path / "runs").exists()


def test_goals_of_ask_are_read_with_the_same_care(tmp_path, capsys):
    assert main(["ask", "problem=power_game", f"goal={written(tmp_path, BOMB)}"]) == 1
    assert "references" in capsys.readouterr().err


# -- hostile expressions --------------------------------------------------------------------------------------------------

HOSTILE = {
    "imports": "__import__('os').system('true')",
    "attributes": "doors.__class__.__mro__[1]",
    "a call": "getattr(doors, windows)",
    "an assignment": "doors := 3",
    "a string": "'doors' + 'windows'",
    "a comprehension": "sum(x for x in doors)",
    "a huge exponent": "doors^1000000000",
    "a tower": "2^9999999",
    "a tower of powers": "doors^2^2^2",
    "a huge number": "1e308*doors",
    "beyond floats": "1e999*doors",
    "digits of another script": "\u0665*doors",
    "letters of another script": "d\u043eors",
    "deep brackets": "(" * 300 + "doors" + ")" * 300,
    "deep minus": "-" * 600 + "doors",
    "a division by zero": "doors + 1/0",
    "a division by a zero of data": "doors/(2 - 2)",
    "a logarithm of nothing": "doors + log(0)",
    "an overflow": "doors + exp(1000)",
    "a complex root": "doors + (0-1)^0.5",
    "powers of big numbers": "doors*(1000000000000^20)^20",
    "too long": "doors" + " + doors" * 300,
    "a newline": "doors;\nimport os",
    "a zero byte": "doors\x00",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_expressions_end_in_one_error_before_any_solver_starts(name, tmp_path, monkeypatch, capsys):
    for start in ("_linear", "_curved"):
        monkeypatch.setattr(solving, start, lambda *a: pytest.fail("a solver was started"))
    model = {**LP, "objective": {"sense": "max", "expression": HOSTILE[name]}}
    assert formulated(tmp_path, json.dumps(model)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ")
    assert "Traceback" not in printed.err


@pytest.mark.parametrize("value", [[True, 1], ["1", 2], [[1], [2]], [1, 10**400], [1, None], {"a": 1}, "[1, 2]"])
def test_data_are_numbers_and_nothing_that_looks_like_them(value):
    model = {**LP, "sets": {"s": 2}, "parameters": {"a": {"over": ["s"], "value": value}}}
    with pytest.raises(solving.free_model.__globals__["OptionError"]):
        free_model(model)


# -- what a language model writes -----------------------------------------------------------------------------------------


def test_a_good_draft_waits_for_confirmation_and_is_never_solved():
    told = formulate_in(scripted(json.dumps(KNAPSACK)), BAG)
    assert told.status is FormulateStatus.UNCONFIRMED
    assert any("Nothing but you" in q for q in told.questions)
    assert formulate_model(told.model).status is FormulateStatus.SOLVED  # what the user confirms is what was shown


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("parameters", "limit", "value"), 80, "80 does not stand in the text"),
        (("parameters", "weight", "value"), [3, 4, 2, 3, 3], ""),
        (("parameters", "value", "value"), [10, 10, 7, 8, 4], "13 stands in the text and nowhere"),
    ],
)
def test_numbers_of_text_and_model_are_compared_both_ways(path, value, told):
    draft = json.loads(json.dumps(KNAPSACK))
    draft[path[0]][path[1]][path[2]] = value
    answer = formulate_in(scripted(json.dumps(draft)), BAG)
    asked = " ".join(answer.questions)
    assert told in asked
    assert answer.status is (FormulateStatus.ASKED if told else FormulateStatus.UNCONFIRMED)  # a swap of numbers is not seen


def test_names_that_stand_twice_are_not_quietly_merged():
    twice = '{"variables": {"x": {}, "x": {"kind": "binary"}}, "objective": {"sense": "max", "expression": "x"}}'
    told = formulate_in(scripted(twice, twice, twice), "make x at most 5")
    assert told.status is FormulateStatus.ASKED
    assert "every name once" in told.questions[0]


def test_the_words_are_not_blamed_when_no_language_model_answered():
    told = formulate_in(scripted("", "", ""), BAG)
    assert told.status is FormulateStatus.ASKED
    assert "did not answer (timeout: too slow)" in told.questions[0]
    assert "other words" not in " ".join(told.questions)
    told = formulate_in(scripted("no JSON", "no JSON", "no JSON"), BAG)
    assert "other words" in told.questions[0]


HOSTILE_REPLIES = (
    "__import__('os').system('touch owned')",
    '{"variables": {"x": {}}, "objective": {"sense": "max", "expression": "open(1)"}}',
    "[" * 100_000,
    '{"a":' * 50_000,
    '{"variables": {"x": {"upper": 1e999}}, "objective": {"sense": "max", "expression": "x"}}',
    '{"variables": {"../../x": {}}, "objective": {"sense": "max", "expression": "x"}}',
    '{"verified": true, "status": "solved"}',
    "\x00\x01",
)


@pytest.mark.parametrize("reply", HOSTILE_REPLIES, ids=range(len(HOSTILE_REPLIES)))
def test_a_hostile_reply_is_no_model_and_nothing_else(reply, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = formulate_in(scripted(reply, reply, reply), "make x at most 5")
    assert told.status is FormulateStatus.ASKED
    assert told.model is None
    assert list(tmp_path.iterdir()) == []


def test_the_grammar_of_small_models_holds_the_texts_numbers_and_no_others():
    grammar = freeform_grammar([40.0, 2.5, 1200.0])
    assert 'number ::= "40" | "2.5" | "1200" | "0" | "1"' in grammar
    assert "NUMBERS" not in grammar
    assert "NAMES" not in grammar


# -- the checks themselves ------------------------------------------------------------------------------------------------


def test_a_point_that_a_search_can_improve_is_not_accepted(monkeypatch):
    real = solving._cleaned
    monkeypatch.setattr(solving, "_cleaned", lambda x, *a: 0.5 * real(x, *a))
    monkeypatch.setattr(Compiled, "objective", property(lambda compiled: compiled.at(0.5 * compiled.x)))
    answer = solve_free(WATER)  # by a solver that claims half of the best point with the value that it has
    assert not answer.accepted
    assert "better point" in answer.status


@pytest.mark.parametrize("seed", [0, 1])
def test_gold_models_of_generated_problems_have_the_optimum_of_the_direct_method(seed):
    count = 3 * len(WORD_PROBLEM_KINDS)
    seen = set()
    for problem in generate_word_problems(count, seed=seed):
        told = formulate_model(problem.gold)
        assert told.status is FormulateStatus.SOLVED, (problem, told)
        assert told.answer.objective == pytest.approx(problem.optimum, rel=1e-6), problem
        assert unused_numbers(told.model, problem.text) == ()
        seen.add((problem.kind, problem.variant))
    assert len(seen) == count  # every kind in every variant


def test_generated_problems_are_the_same_for_the_same_seed():
    first, again, other = (list(generate_word_problems(9, seed=s)) for s in (3, 3, 4))
    assert first == again
    assert [p.text for p in first] != [p.text for p in other]


def test_whole_numbers_are_solved_to_the_last_unit():
    """With its default gap of 1e-4 the solver calls 364971 optimal here; the dynamic program knows 364986."""
    rng = np.random.default_rng(1)
    weight = rng.integers(200, 400, 24)
    value = 100 * weight + rng.integers(-30, 30, 24)
    limit = int(weight.sum() * 0.5)
    best = np.zeros(limit + 1, dtype=np.int64)
    for w, v in zip(weight, value, strict=True):
        for room in range(limit, int(w) - 1, -1):
            best[room] = max(best[room], best[room - w] + v)
    model = {
        "sets": {"item": 24},
        "parameters": {
            "v": {"over": ["item"], "value": value.tolist()},
            "w": {"over": ["item"], "value": weight.tolist()},
        },
        "variables": {"take": {"over": ["item"], "kind": "binary"}},
        "objective": {"sense": "max", "expression": "sum(i in item, v[i]*take[i])"},
        "constraints": [{"name": "limit", "relation": f"sum(i in item, w[i]*take[i]) <= {limit}"}],
    }
    assert formulate_model(model).answer.objective == best[-1] == 364_986


def test_a_large_linear_model_is_solved_as_a_matrix_with_the_same_optimum():
    from scipy.optimize import linear_sum_assignment

    n = 18
    cost = np.random.default_rng(0).integers(1, 99, (n, n))
    model = {
        "sets": {"worker": n, "job": n},
        "parameters": {"c": {"over": ["worker", "job"], "value": cost.tolist()}},
        "variables": {"x": {"over": ["worker", "job"]}},
        "objective": {"sense": "min", "expression": "sum(i in worker, j in job, c[i,j]*x[i,j])"},
        "constraints": [
            {"name": "rows", "relation": "sum(j in job, x[i,j]) == 1", "for_all": {"i": "worker"}},
            {"name": "columns", "relation": "1 == sum(i in worker, x[i,j])", "for_all": {"j": "job"}},
            {"name": "tidy", "relation": "2*x[i,j] - 1 <= 1 + x[i,j] + 0*i", "for_all": {"i": "worker", "j": "job"}},
        ],
    }
    answer = solve_free(model)
    assert free_model(model).size + len(free_model(model).rows) > BY_MATRIX
    assert answer.accepted, answer
    assert answer.objective == pytest.approx(cost[linear_sum_assignment(cost)].sum(), rel=1e-6)


def test_a_linear_form_that_is_not_the_trees_is_noticed(monkeypatch):
    real = solving.form_of

    def wrong(checked):
        form = real(checked)
        form.rows[0].coefficients[0] += 1e-3
        return form

    monkeypatch.setattr(solving, "form_of", wrong)
    answer = solve_free(LP)
    assert not answer.accepted
    assert "not the tree's" in answer.status
