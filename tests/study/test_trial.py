"""Trials of suites: a scenario enters a track only if it tells solvers apart, and each rule refuses what it is for."""

from __future__ import annotations

import pytest

from optisolve.cli.main import main
from optisolve.study.suite import load_suite
from optisolve.study.trial import judge
from tests.study.records import made

SOLVERS = ["cma_es", "moead_de", "null", "random_search"]
HARD = {"cma_es": 0.01, "moead_de": 0.1, "random_search": 0.2, "null": 0.3}
"""Gaps of a scenario that passes; everybody's grow with the instance, so that no two instances are alike."""


def trial_of(suite_of, gaps, *, instances=10, spread=0.01, **entry):
    """Verdicts on hand-made records: a solver's gap on instance i is gaps[solver] plus i times the spread."""
    suite = load_suite(suite_of(problems=[{"problem": "toy_sphere", "label": "s", **entry}], solvers=list(gaps)))
    records = [
        made(solver, scenario="s", instance=i, gap=gap + i * spread, dual_bound=False, suite=_member(solver, i))
        for solver, gap in gaps.items()
        for i in range(instances)
    ]
    return judge(suite, records)


def _member(solver, instance):
    return {"name": "tiny", "problem": "s", "solver": solver, "instance": str(instance), "repetition": "0"}


def test_a_scenario_that_tells_solvers_apart_is_admitted(suite_of):
    trial = trial_of(suite_of, HARD)
    (verdict,) = trial.verdicts
    assert verdict.refused == ()
    assert (verdict.instances, verdict.best[0], verdict.median[0]) == (10, "cma_es", "random_search")
    assert verdict.null == pytest.approx(0.345)  # 0.3 and the mean of 0, 0.01, ..., 0.09
    assert verdict.p_value == pytest.approx(2 / 2**10)  # cma_es is better on each of ten instances
    assert (trial.null_place, trial.passed) == (1.0, True)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"null": 0.001}, "null loses 4.6% < 5%"),
        ({"random_search": 0.05}, "random search loses 9.5% < 10%"),
        ({"moead_de": 0.01, "random_search": 0.01 + 1e-12}, "do not differ, p = 1"),
    ],
)
def test_each_rule_refuses_what_it_is_for(suite_of, changes, told):
    trial = trial_of(suite_of, HARD | changes)
    assert any(told in rule for rule in trial.verdicts[0].refused)
    assert not trial.passed


def test_a_few_instances_cannot_show_a_difference(suite_of):
    (verdict,) = trial_of(suite_of, HARD, instances=5).verdicts
    assert verdict.refused == ("best cma_es and median random_search do not differ, p = 0.062 (5 instances, a test needs 6)",)


def test_instances_of_one_reference_value_on_which_null_is_worth_the_same_are_one_instance(suite_of):
    (alike,) = trial_of(suite_of, HARD, spread=0.0).verdicts
    (single,) = trial_of(suite_of, HARD, instances=1).verdicts
    assert alike.refused == ("instances are alike: one reference value, and trivial answers worth the same",)
    assert "one instance" in single.refused


def test_a_scenario_without_controls_is_refused(suite_of):
    (verdict,) = trial_of(suite_of, {"cma_es": 0.01, "moead_de": 0.1, "nsga2": 0.2}).verdicts
    assert verdict.refused == ("no run of null", "no run of random search")


def test_an_exception_with_a_reason_is_kept_and_shown_with_what_it_fails(suite_of):
    trial = trial_of(suite_of, HARD, instances=1, admit="an engineering design has one instance")
    (verdict,) = trial.verdicts
    assert verdict.admitted
    assert "one instance" in verdict.refused
    assert trial.passed


def test_null_above_the_median_fails_the_suite_whatever_its_scenarios_say(suite_of):
    trial = trial_of(suite_of, HARD | {"null": 0.06}, admit="no reason is good enough")
    assert trial.null_place == pytest.approx(1 / 3)  # second of four
    assert not trial.passed


def test_the_command_admits_and_refuses_by_its_exit_code(suite_of, tmp_path, capsys):
    suite_of(
        reference="quick",
        instances=6,
        repetitions=1,
        problems=["parallel_channels", "market_game"],
        solvers=["water_filling", "scipy_local", "random_search", "null"],
    )
    ask = ["bench", f"suite={tmp_path / 'tiny.yaml'}", "trial=true", "executor=serial", f"out={tmp_path / 'runs'}"]
    assert main([*ask, "progress=off", "only=problem:parallel_channels"]) == 0
    assert "admitted" in capsys.readouterr().out
    assert main([*ask, "progress=off"]) == 1  # the finished half is kept, the other one fails
    shown = capsys.readouterr().out
    assert "24 kept from before" in shown
    assert "parallel_channels: refused" not in shown
    assert "market_game: refused: null loses" in shown
