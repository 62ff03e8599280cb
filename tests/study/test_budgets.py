"""The comparison by budgets: which runs there are, that they are resumed and renewed, and what its tables say."""

import numpy as np
import pandas as pd
import pytest
from budget_runs import cases, measuring, tables

from optisolve.plotting.profiles import budget_figure
from optisolve.plotting.style import figure_bytes
from optisolve.solvers.ddpm.factory import TRAINING_SEEDS, VALIDATION_SEEDS


def results(gains: dict[str, float], problems=("uav_isac",), budgets=cases.UAV, pairs=50) -> pd.DataFrame:
    """Made up results: every solver has the same luck on a pair, and its own gain."""
    luck = np.random.default_rng(0).normal(0.5, 0.05, pairs)
    small = np.random.default_rng(1).normal(0.0, 1e-4, (len(gains), pairs))
    rows = [
        (problem, label, n, 100 + k % 10, 100 + k // 10, "1", "x", luck[k] + gain + small[i, k], 0.1 * (i + 1))
        for problem in problems
        for n in budgets
        for i, (label, gain) in enumerate(gains.items())
        for k in range(pairs)
    ]
    return pd.DataFrame(rows, columns=[*measuring.KEY, "version", "settings", "hypervolume", "seconds"])


def test_the_sampler_was_trained_on_other_instances():
    assert max(cases.INSTANCES) < min(TRAINING_SEEDS, VALIDATION_SEEDS)


def test_a_measurement_that_is_stopped_is_balanced():
    """One seed of all instances after the other; slow peers have the first pairs; nobody exceeds its largest budget."""
    asked = list(cases.runs("uav_isac", n_seeds=2, peer_pairs=3))
    half = asked[: len(asked) // 2]
    assert {run.instance for run in half if run.seed == cases.SEEDS[0]} == set(cases.INSTANCES)
    assert len({(r.instance, r.seed) for r in asked if r.entrant.label == "botorch" and r.evaluations == 50}) == 3
    assert all(run.evaluations <= run.entrant.most for run in asked)
    assert len({(r.problem, r.instance, r.seed, r.evaluations, r.entrant.label) for r in asked}) == len(asked)


def test_designs_without_random_instances_vary_their_run_seed():
    asked = [run for run in cases.runs("functions", n_seeds=5, peer_pairs=0) if run.problem == "re24" and run.evaluations == 50]
    pairs = {(run.instance, run.seed) for run in asked}
    assert len(pairs) == 50
    assert {number for number, _ in pairs} == {0}


def test_every_problem_without_weights_has_a_fixed_box_in_which_random_points_lie():
    for problem in cases.FUNCTIONS:
        instance = cases.instance_of(problem, 100)
        X = instance.project(instance.space.sample(np.random.default_rng(0), 2000))
        told, box = instance.evaluate(X), instance.hypervolume_box
        inside = (np.asarray(box.reference) > told.F).all(axis=1) & (told.violation <= 0.0)
        assert inside.any(), problem
        assert np.array_equal(box.reference, cases.instance_of(problem, 101).hypervolume_box.reference)


def test_targets_are_met_or_missed_by_what_was_measured():
    frame = results({"random_search": -0.3, "ddpm": 0.1, "moead_de init=auto": 0.12, "ledma llm=none": 0.13, "moe": 0.16})
    told = tables.chain(frame)
    assert "significantly better than the best single solver at 7 of 7" in told.lower()
    assert told.count(": met") == 7
    assert "at none (target: none)" in told
    own = tables.chain(results({"ddpm": 0.1, "front_descent": 0.16, "moe": 0.16}))
    assert "at 0 of 7 budgets" in own
    assert "the chain is better at 7 of 7, than the best one that looks at no slopes at 7." in own
    worse = tables.chain(results({"ddpm": 0.1, "ledma llm=none": 0.2, "moe": 0.05}))
    assert "at 0 of 7 budgets" in worse
    assert "`ledma llm=none` at 5,000" in worse
    assert worse.count(": missed") == 7  # .55 is below all of them
    assert tables.same_start(frame).count(": met") == 7
    same = tables.same_start(results({"moead_de init=auto": 0.1, "ledma llm=none": 0.1}))
    assert same.count("not worse: met") == 5
    assert same.count("better: missed") == 2


def test_population_solvers_are_counted_by_significance():
    frame = results({"random_search": 0.0, "nsga2": 0.01, "moead_de": 0.02, "parego": 0.1, "moe": -0.1}, ("re24",), cases.FEW)
    told = tables.functions(frame)
    assert "| 2, 0, 0 |" in told
    assert "| 0, 0, 2 |" in told
    assert "`parego`: better in 6 of 6 tests" in told


def test_peers_are_compared_on_the_pairs_that_they_have():
    few = results({"botorch": 0.05}, budgets=(50,), pairs=5)
    frame = pd.concat([results({"moe": 0.1, "parego": 0.1}, budgets=(50,)), few])
    assert "| `botorch` | 50 | `moe` | 5 |" in tables.peers(frame)
    assert "(5)" in tables.means(frame)


def test_what_is_not_measured_is_said():
    for table in tables.TABLES.values():
        assert "Not measured yet" in table(measuring.read_results(measuring.RESULTS.with_name("no such file")))


def test_curves_are_drawn_the_same_way_every_time():
    data = tables.curves(results({"null": -0.1, "ddpm": 0.1, "moe": 0.2}))
    assert list(data["solver"].unique()) == ["null", "ddpm", "moe"]
    pictures = {figure_bytes(budget_figure(data, measure="Hypervolume"), "png") for _ in range(2)}
    assert len(pictures) == 1


@pytest.mark.slow
def test_results_are_kept_and_those_of_other_settings_are_made_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cases, "ENTRANTS", tuple(e for e in cases.ENTRANTS if e.label in ("null", "nsga2")))
    monkeypatch.setattr(cases, "INSTANCES", range(100, 101))
    monkeypatch.setitem(cases.PARTS, "uav_isac", (("uav_isac",), (20, 50)))
    asked = {"n_seeds": 1, "peer_pairs": 0, "workers": 1, "path": tmp_path / "runs.parquet"}
    assert measuring.bring_up_to_date(["uav_isac"], **asked) == []
    first = measuring.read_results(asked["path"])
    assert len(first) == 4
    assert (first["hypervolume"] > 0.0).all()
    measuring.bring_up_to_date(["uav_isac"], **asked)
    assert "4 runs are measured; 0 to go" in capsys.readouterr().out
    assert measuring.outdated(first) == {}
    first.assign(settings=["old", *first["settings"][1:]], hypervolume=0.0).to_parquet(asked["path"])
    assert measuring.outdated(measuring.read_results(asked["path"])) == {"null": 1}
    measuring.bring_up_to_date(["uav_isac"], **asked)
    assert "1 to go" in capsys.readouterr().out
    again = measuring.read_results(asked["path"])
    assert again["hypervolume"][0] == first["hypervolume"][0]
    assert (again["hypervolume"][1:] == 0.0).all()
