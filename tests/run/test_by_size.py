"""The table of sizes in docs/scaling.md: every family is in it, at sizes that it accepts, with commands that can be run."""

import shlex

import by_size
import pytest
from families import FACTORS, FAMILIES

import optisolve


def test_every_family_has_its_sizes():
    assert set(FAMILIES) == {name.partition("/")[0] for name in optisolve.list_problems()}


@pytest.mark.parametrize("name", FAMILIES)
def test_sizes_are_accepted_and_the_usual_one_is_what_the_scenario_says(name):
    family = FAMILIES[name]
    problems = [optisolve.load_problem(family.scenario, **settings) for settings in family.settings]
    if name != "goal":  # its scenario is another family's
        assert problems[0].instance(0).space.dim == optisolve.load_problem(family.scenario).instance(0).space.dim
    case = problems[0].instance(0)
    assert [optisolve.load_solver(solver).skip(case) for solver in family.solvers] == [None] * len(family.solvers)


def test_a_command_says_every_setting():
    for factor in FACTORS:
        line = next(by_size.commands("beamforming", factor))
        words = shlex.split(line)
        assert words[:3] == ["optisolve", "run", "problem=beamforming"]
        assert {f"problem.n_antennas={8 * factor}", f"problem.n_users={4 * factor}", "budget.seconds=10"} <= set(words)


def test_the_better_answer_is_shown_and_what_stops_is_told():
    row = {
        "family": "cell_free",
        "factor": 10,
        "instance": {"took": 0.1},
        "evaluation": {"s": 2e-6},
        "reference": {"took": 9.1, "end": "none: no bound within 10 s"},
        "evidence": "none",
        "solvers": {
            "moe": {"took": 3.0, "end": "converged", "status": "feasible", "worth": 1.0, "gap": None},
            "cvxpy": {"end": "refused: it needs 36 GB; n_users=32 would fit"},
        },
    }
    shown = by_size.table([row]).splitlines()[-1]
    assert "`moe`, 3 s | no bound" in shown
    assert "reference: none: no bound within 10 s" in shown
    assert "`cvxpy`: refused: it needs 36 GB; n_users=32 would fit" in shown
