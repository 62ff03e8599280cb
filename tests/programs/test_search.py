"""Searches for rules: reproducible, within their budget, honest about unseen instances."""

from __future__ import annotations

import json

import numpy as np
import pytest

from optisolve.cli.main import main
from optisolve.core.errors import OptisolveError
from optisolve.programs.catalog import ANSWERING, SKELETONS
from optisolve.programs.check import kind_of, kinds_of
from optisolve.programs.grow import grow
from optisolve.programs.language import Kind
from optisolve.programs.program import Machine, Program
from optisolve.programs.search import Search, SearchOptions
from optisolve.registry import make_problem
from optisolve.study.evolve import EvolveOptions, evolve, skeleton_for

FEATURES = ANSWERING["insertion"].features
SMALL = EvolveOptions(train=6, validation=6, test=10)
RNG = np.random.default_rng(5)
CASES = [{f.name: RNG.exponential(size=((), (4,), (4, 4))[f.kind]) for f in FEATURES} for _ in range(8)]


def likeness(program: Program) -> float:
    """How near a program's values are to those of ``g / (1 + 2 heard)``, larger is nearer."""
    machine = Machine(program, 4)
    errors = [np.abs(machine.run(case) - case["g"] / (1.0 + 2.0 * case["heard"])).mean() for case in CASES]
    return -float(np.mean(errors))


def test_random_expressions_have_the_kind_that_was_asked_for() -> None:
    kinds, rng = kinds_of(FEATURES), np.random.default_rng(0)
    for _ in range(300):
        kind = Kind(int(rng.integers(3)))
        node = grow(rng, kinds, kind, 5)
        assert kind_of(node, kinds) is kind
        assert node.depth <= 6  # a matrix without a matrix to read takes one more level


@pytest.mark.parametrize("arm", ["gp", "random"])
def test_a_search_repeats_itself_and_keeps_its_budget(arm) -> None:  # type: ignore[no-untyped-def]
    first, again = (Search(FEATURES, likeness, 80, seed=3, options=SearchOptions(population=10)) for _ in range(2))
    ranked, repeated = first.run(arm), again.run(arm)
    assert [c.program.text for c in ranked] == [c.program.text for c in repeated]
    assert first.evaluations == len(ranked) <= 80
    assert len({c.program.sha256 for c in ranked}) == len(ranked)
    assert [c.score for c in ranked] == sorted((c.score for c in ranked), reverse=True)
    assert all(c.program.codes.nodes <= 30 for c in ranked)
    assert [c.score for c in first.trace] == sorted(c.score for c in first.trace)


def test_genetic_programming_finds_more_than_blind_sampling() -> None:
    """The target is made of features and one number; mean over five seeds at equal evaluations."""
    gp, blind = (
        np.mean(
            [Search(FEATURES, likeness, 400, seed=s, options=SearchOptions(population=15)).run(arm)[0].score for s in range(5)]
        )
        for arm in ("gp", "random")
    )
    assert gp > blind


def test_the_numbers_of_the_best_program_are_fitted() -> None:
    """The structure is given, its number is not right."""
    founders = [Program.read("(* 2 heard)", FEATURES)]

    def near(program: Program) -> float:
        machine = Machine(program, 4)
        return -float(np.mean([np.abs(machine.run(case) - 3.217 * case["heard"]).mean() for case in CASES]))

    best = Search(FEATURES, near, 100, seed=1, options=SearchOptions(fit_share=0.8), founders=founders).run("random")[0]
    assert best.made_by == "fit"
    assert best.score > -0.01


def test_a_search_stops_when_told_to() -> None:
    search = Search(FEATURES, likeness, 1000, seed=0, told=lambda n, _best: n >= 7)
    assert len(search.run("random")) == 7


def test_what_is_told_was_measured_on_instances_that_the_search_has_not_seen() -> None:
    problem = make_problem("power_control", {"n_links": 6})
    found = evolve(problem, ANSWERING["insertion"], "gp", evaluations=40, seed=1, settings=SMALL)
    again = evolve(problem, ANSWERING["insertion"], "gp", evaluations=40, seed=1, settings=SMALL)
    document, repeated = found.document(), again.document()
    assert {**document, "seconds": 0} == {**repeated, "seconds": 0}
    assert found.shrinkage == pytest.approx(found.train_gain - found.test_gain)
    assert found.hand["balanced"] == 0.0
    gains = []
    for i in range(10):  # the third set, by its seeds
        instance = problem.instance(seed=6_000_000 + i)
        made = ANSWERING["insertion"]
        ours, base = (
            float(instance.evaluate(made.answer(program, instance, 100)[None]).F[0, 0])
            for program in (found.best.program, made.complete("balanced"))
        )
        gains.append(100.0 * (ours / base - 1.0))
    assert found.test_gain == pytest.approx(np.mean(gains))


def test_an_operator_of_the_engine_is_measured_by_the_hypervolume_that_it_reaches() -> None:
    problem = make_problem("uav_isac")
    settings = EvolveOptions(train=1, validation=1, test=2, evaluations=60)
    found = evolve(problem, SKELETONS["variation"], "random", evaluations=3, seed=0, settings=settings)
    assert found.hand["de"] == 0.0
    assert len({round(gain, 9) for gain in found.hand.values()}) > 1
    assert np.isfinite(found.test_gain)


@pytest.mark.parametrize(
    ("scenario", "skeleton", "words"),
    [
        ("power_control", "sorting", "Unknown skeleton 'sorting'"),
        ("power_control", "association", "does not fit power_control"),
        ("power_control/min_power", "insertion", "goal"),
    ],
)
def test_a_skeleton_that_does_not_fit_is_one_clear_error(scenario: str, skeleton: str, words: str) -> None:
    with pytest.raises(OptisolveError, match=words):
        skeleton_for(make_problem(scenario), skeleton)


def test_the_command_prints_a_rule_its_figure_on_unseen_instances_and_its_shrinkage(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    sets = ["sets.train=4", "sets.validation=4", "sets.test=6"]
    words = [
        "evolve",
        "problem=power_control",
        "skeleton=insertion",
        "evaluations=15",
        *sets,
        f"out={tmp_path}",
        "progress=off",
    ]
    assert main(words) == 0
    printed = capsys.readouterr().out
    document = json.loads((tmp_path / "rule.json").read_text())
    assert document["program"] in printed
    assert "shrinkage" in printed
    assert "unseen" in printed
    assert (tmp_path / "rule.png").stat().st_size > 5_000
    assert document["evaluations"] <= 15
    assert main(["evolve", "problem=power_control", "skeleton=insertion", "search.population=1"]) == 1
    assert "search" in capsys.readouterr().err


def test_the_page_names_every_feature_and_rule() -> None:
    from tests.docs.blocks import ROOT

    page = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
    for skeleton in SKELETONS.values():
        assert f"### `{skeleton.name}`" in page
        for feature in skeleton.features:
            assert f"| `{feature.name}` | {feature.kind.word} | {feature.unit} | {feature.meaning} |" in page
        for name, rule in skeleton.hand.items():
            assert f"| `{name}` | `{rule.program}` | {rule.meaning} |" in page
