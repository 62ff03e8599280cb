"""Programs are read, checked and brought into one form; mistakes are told with their place, and nothing hostile takes long."""

from __future__ import annotations

import time

import numpy as np
import pytest

from optisolve.programs.catalog import SKELETONS
from optisolve.programs.grow import grow
from optisolve.programs.language import MAX_DEPTH, MAX_NODES, OPERATORS, Feature, Kind
from optisolve.programs.parse import parse
from optisolve.programs.program import Machine, Program
from optisolve.programs.tree import ProgramError, Tree, text_of
from tests.programs.evaluator import DEFINITIONS, evaluate

FEATURES = (
    Feature("g", Kind.VECTOR, "1", "a vector"),
    Feature("h", Kind.VECTOR, "1", "another one"),
    Feature("n", Kind.SCALAR, "1", "a scalar"),
    Feature("m", Kind.MATRIX, "1", "a matrix"),
)
KINDS = {feature.name: feature.kind for feature in FEATURES}
WORST = np.array([0.0, -0.0, 1e-300, -1e-13, 1e300, -1e300])


def values(rng: np.random.Generator, n: int) -> dict[str, object]:
    """Features of the size that channels have, and a few that no channel has."""
    found: dict[str, object] = {
        "g": rng.exponential(size=n),
        "h": rng.normal(size=n) * 10.0 ** rng.integers(-3, 4),
        "n": float(rng.integers(0, 9)),
        "m": rng.exponential(size=(n, n)),
    }
    if rng.random() < 0.2:
        found["h"] = rng.choice(WORST, size=n)
    return found


def random_tree(rng: np.random.Generator) -> Tree:
    """An expression, half of the time after one or two registers that it may read."""
    kinds, sets = dict(KINDS), []
    for name in ("r1", "r2")[: int(rng.integers(0, 3))] if rng.random() < 0.5 else ():
        kind = Kind(int(rng.integers(0, 3)))
        sets.append((name, grow(rng, {**kinds, name: kind}, kind, 3)))
        kinds[name] = kind
    return Tree(grow(rng, kinds, Kind.VECTOR if rng.random() < 0.8 else Kind.SCALAR, int(rng.integers(1, 6))), tuple(sets))


def compare(n_programs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(n_programs):
        tree = random_tree(rng)
        program = Program.of(tree, FEATURES)
        assert Program.read(program.text, FEATURES).text == program.text, "the canonical form of a canonical form is itself"
        steps = len(program.codes.instructions)  # none of them jumps, so a program ends after as many
        assert steps <= program.tree.size + len(program.tree.sets) <= MAX_NODES + 2
        n = int(rng.integers(1, 8))
        shapes = {Kind.SCALAR: (), Kind.VECTOR: (n,), Kind.MATRIX: (n, n)}
        machine = Machine(program, n)
        registers = {name: np.zeros(shapes[kind]) for name, kind in program.registers.items()}
        for _ in range(2):  # registers are carried
            features = values(rng, n)
            expected, found = evaluate(tree, features, registers, n), machine.run(features)
            assert np.isfinite(found).all(), program.text
            np.testing.assert_array_equal(found, expected, err_msg=f"{text_of(tree)}\n{program.text}")


def test_the_interpreter_agrees_with_plain_evaluation_of_what_was_written() -> None:
    """Bit for bit, on the text as written: so the canonical form keeps every value, and no value is ever NaN."""
    compare(1_500, seed=1)


@pytest.mark.slow
def test_the_interpreter_agrees_with_plain_evaluation_on_ten_thousand_programs() -> None:
    compare(10_000, seed=2)


def test_every_operator_has_a_plain_definition() -> None:
    assert set(DEFINITIONS) == set(OPERATORS)
    assert len({operator.code for operator in OPERATORS.values()}) == len(OPERATORS)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("(/ g foo)", 5, "unknown name 'foo'"),
        ("(+ g", 0, "never closed"),
        ("(+ g 1))", 7, "too many"),
        ("(+ g 1) (+ h 1)", 8, "one expression only"),
        ("(sort g)", 1, "no operator"),
        ("(* 2 (+ g m))", 6, "rows"),
        ("(+ g (sum n))", 6, "a scalar has no items"),
        ("(clip g 1)", 1, "takes 3 arguments, found 2"),
        ("(+ g +)", 5, "needs brackets"),
        ("(+ g 1e400)", 5, "too large"),
        ("(+ g 1e13)", 5, "too large"),
        ("(+ g 2x)", 5, "neither a number"),
        ("(+ g r2)", 5, "never set"),
        ("(do (set q 1) g)", 9, "no register"),
        ("(do g)", 1, "sets registers first"),
        ("(+ g (do (set r1 1) r1))", 6, "at the very beginning"),
        ("()", 1, "no operator"),
        (")", 0, "missing"),
        ("m", 0, "matrix"),
        ("(do (set r1 (sum g)) (set r1 g) g)", 29, "a scalar and a vector"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, position: int, words: str) -> None:
    with pytest.raises(ProgramError, match=words) as caught:
        Program.read(text, FEATURES)
    assert caught.value.position == position
    assert str(caught.value).startswith(f"character {position + 1}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("def score(g):\n    return g / (1 + h)", "looks like Python"),
        ("import os; os.system('true')", "looks like Python"),
        ("np.log(g)", "looks like Python"),
        ("I would take the strongest link first.", "one expression only"),
        ("(+ " * 1000 + "g" + " 1)" * 1000, "deep"),
        ("(" * 10_000, "deep"),
        ("(+ 1 " * 300_000, "characters"),
        ("(+ " + "g " * 9_000 + ")", "nodes"),
        ("(+ " + "g " * 150 + ")", "deep"),
        ("(+ g " + "? " * 9 + ")", "left open"),
        ("\x00\x1b[31m", "neither a number"),
    ],
)
def test_what_is_no_program_is_refused_at_once(text: str, words: str) -> None:
    begun = time.process_time()
    with pytest.raises(ProgramError, match=words):
        Program.read(text, FEATURES)
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("(+ g h)", "(+ h g)"),
        ("(> g h)", "(< h g)"),
        ("(+ g (* 2 3))", "(+ 6 g)"),
        ("(* g 1)", "g"),
        ("(- (- g))", "g"),
        ("(+ g 1.50)", "(+ 1.5 g)"),
        ("( +   g\n1)", "(+ g 1)"),
        ("(max g g)", "g"),
        ("(where n h h)", "h"),
    ],
)
def test_programs_that_are_the_same_have_one_hash(left: str, right: str) -> None:
    assert Program.read(left, FEATURES).sha256 == Program.read(right, FEATURES).sha256


@pytest.mark.parametrize(
    ("left", "right"), [("(- g h)", "(- h g)"), ("(+ ? ?)", "?"), ("(max ? ?)", "?"), ("(+ g 1)", "(+ g 2)")]
)
def test_programs_that_differ_have_two(left: str, right: str) -> None:
    assert Program.read(left, FEATURES).sha256 != Program.read(right, FEATURES).sha256


def test_a_factor_of_nothing_keeps_a_vector_a_vector() -> None:
    """``(* g 0)`` is no number: it has items that a sum can run over."""
    assert Program.read("(sum (* g 0))", FEATURES).text == "(sum (* g 0))"


def test_open_constants_are_filled_in_the_order_of_the_text() -> None:
    program = Program.read("(+ (* ? g) (/ h ?))", FEATURES)
    assert program.holes == 2
    with pytest.raises(ProgramError, match="left open"):
        program.require_complete()
    with pytest.raises(ProgramError, match="2 open constants, 1 values"):
        program.filled([1.0])
    filled = program.filled([3.0, 4.0])
    assert filled.holes == 0
    assert filled.text in ("(+ (* g 3) (/ h 4))", "(+ (/ h 3) (* g 4))")
    filled.require_complete()


def test_registers_begin_with_nothing_and_keep_what_was_set() -> None:
    machine = Machine(Program.read("(do (set r1 (+ r1 (sum g))) (* r1 g))", FEATURES), 2)
    g = np.array([1.0, 2.0])
    np.testing.assert_array_equal(machine.run({"g": g}), 3.0 * g)
    np.testing.assert_array_equal(machine.run({"g": g}), 6.0 * g)
    machine.reset()
    np.testing.assert_array_equal(machine.run({"g": g}), 3.0 * g)


def test_a_formula_reads_like_one() -> None:
    program = Program.read("(/ g (* (+ 1 h) (- n (- 2 g))))", FEATURES)
    assert program.formula in ("g / ((h + 1) * (n - (2 - g)))", "g / ((n - (2 - g)) * (h + 1))")


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_the_rules_of_a_skeleton_are_programs_of_it(skeleton) -> None:  # type: ignore[no-untyped-def]
    names = [feature.name for feature in skeleton.features]
    assert len(set(names)) == len(names)
    assert not set(names) & {*OPERATORS, "r1", "r2", "r3", "do", "set"}
    for name, rule in skeleton.hand.items():
        program = skeleton.complete(name)
        assert program.text == skeleton.complete(rule.program).text
        assert rule.meaning


def test_trees_are_as_deep_as_is_said() -> None:
    tree = parse("(+ g (* h (- g)))")
    assert (tree.size, tree.depth) == (6, 4)
    assert tree.depth < MAX_DEPTH
