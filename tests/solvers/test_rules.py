"""Programs as solver options: conformance, what they refuse, and that records carry them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from optisolve.cli.main import main
from optisolve.core import Budget
from optisolve.core.errors import OptionError, SolverError
from optisolve.programs.catalog import SKELETONS
from optisolve.registry import make_problem, make_solver
from optisolve.run.solve import solve
from optisolve.solvers.moead import MoeadDe
from optisolve.solvers.moead.programmed import MoeadRule
from optisolve.solvers.rule import Rule
from optisolve.testing import SolverConformance
from optisolve.testing.toys import toy_instances
from tests.forging import record_bytes, seal
from tests.solvers.toys import Zdt1
from tests.solvers.toys import solve as solve_toy


@pytest.mark.rule
class TestRule(SolverConformance):
    def make_solver(self):
        return make_solver("rule")

    def make_instances(self):
        names = ("power_control", "power_control/weighted", "user_association", "user_association/max_min", "offloading/n10")
        names += ("traffic_engineering/abilene",)
        return [*(make_problem(name).instance(1) for name in names), make_problem("uav_isac").instance(1), *toy_instances()]


@pytest.mark.moead_rule
class TestMoeadRule(SolverConformance):
    def make_solver(self):
        return make_solver("moead_rule", {"pop_size": 10})

    def make_instances(self):
        return [make_problem("uav_isac").instance(1), *toy_instances()]


@pytest.mark.parametrize("name", ["rule", "moead_rule"])
def test_presets_hold_the_class_defaults(name: str) -> None:
    preset = make_solver(name)
    assert preset == type(preset)()


def test_a_record_carries_the_program_and_its_hash() -> None:
    instance = make_problem("power_control/gaussian_k20_0db").instance(0)
    typed = "(/ g (* (+ 1 caused) (+ 1 heard)))"
    result = solve(instance, "rule", program=typed, skeleton="insertion")
    report = result.run.outcome.report
    program = SKELETONS["insertion"].complete(typed)
    assert (report["program"], report["program_sha256"]) == (program.text, program.sha256)
    again = solve(instance, "rule", program=program.text, skeleton="insertion")
    np.testing.assert_array_equal(again.run.outcome.X, result.run.outcome.X)


def test_the_same_program_written_otherwise_gives_the_same_run() -> None:
    texts = ("(+ x (* 0.5 (- a b)))", "(+ (* (- a b) 0.5) x)")
    left, right = (solve_toy(Zdt1(dim=5).instance(), MoeadRule(program=text), 300, seed=1).points for text in texts)
    np.testing.assert_array_equal(left, right)


def test_differential_evolution_as_a_program_is_as_good_as_the_operator() -> None:
    """Other random numbers, the same law: mean hypervolume within a twentieth over five seeds."""
    instance = Zdt1(dim=6).instance()
    ours, operator = (
        np.mean([solve_toy(instance, solver, 2000, seed=seed).hypervolume() for seed in range(5)])
        for solver in (MoeadRule(program="de"), MoeadDe())
    )
    assert ours == pytest.approx(operator, rel=0.05)


@pytest.mark.parametrize(
    ("solver", "program", "words"),
    [
        ("rule", "(/ g foo)", "character 6"),
        ("rule", "def f(): pass", "looks like Python"),
        ("rule", "(* ? g)", "left open"),
        ("moead_rule", "(+ x g)", "unknown name 'g'"),
        ("moead_rule", "(" * 1000, "deep"),
    ],
)
def test_a_bad_program_is_one_clear_error(solver: str, program: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make_solver(solver, {"program": program})


def test_a_program_of_another_skeleton_is_told_where_it_does_not_fit() -> None:
    instance = make_problem("user_association").instance(0)
    with pytest.raises(SolverError, match="unknown name 'g'"):
        solve(instance, "rule", program="(/ g (+ 1 heard))")


def test_the_first_skeleton_that_fits_is_taken() -> None:
    channel, network = make_problem("power_control").instance(0), make_problem("user_association").instance(0)
    taken = [
        solve(channel, "rule", program=text).run.outcome.report["skeleton"] for text in ("", "(- g caused)", "(+ p slope)")
    ]
    assert taken == ["exchange", "exchange", "update"]
    assert solve(network, "rule").run.outcome.report["skeleton"] == "association"
    assert Rule().skip(make_problem("power_control/min_power").instance(0)) is not None


def test_one_answer_costs_one_evaluation() -> None:
    result = solve(make_problem("power_control").instance(0), "rule", budget=Budget(evaluations=1))
    assert result.run.outcome.X.shape == (1, 10)


def test_an_audit_refuses_a_record_whose_program_has_another_hash(tmp_path, capsys) -> None:
    """The forger writes another program and seals the record anew: the hash of what it parses to is not the record's."""
    instance = make_problem("power_control").instance(0)
    solve(instance, "rule", program="balanced", seed=0).save(tmp_path)
    (file,) = tmp_path.rglob("record.json")
    assert main(["verify", str(file)]) == 0
    record = json.loads(file.read_text())
    assert record["solver"]["checkpoint"]["sha256"] == SKELETONS["exchange"].complete("balanced").sha256
    record["solver"]["options"]["program"] = "(* weight g)"
    file.write_bytes(record_bytes(seal(record)))
    capsys.readouterr()
    assert main(["verify", str(file)]) == 2
    assert "solver.checkpoint" in " ".join(capsys.readouterr().out.split())


@pytest.mark.rule
@pytest.mark.parametrize(("preset", "rule"), [("rule_weakest", "weakest"), ("rule_weights", "")])
def test_the_card_of_a_preset_tells_its_program_and_its_hash(preset: str, rule: str) -> None:
    from optisolve.content import read_text

    solver = make_solver(preset)
    assert isinstance(solver, Rule)
    program = SKELETONS[solver.skeleton].complete(solver.program)
    card = read_text("solvers", f"{preset}.md")
    assert program.text in card
    assert program.sha256 in card
    assert not rule or program.text == SKELETONS[solver.skeleton].complete(rule).text
